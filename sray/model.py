"""SemanticRay: the parts joined. Source views and rays in; semantics, colour and depth along the rays out.

encoder -> context M -> geometry (coarse) -> samples -> context M -> attention, view weights, geometry (fine)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sray.attention import AttentionVariant, CrossReprojectionAttention
from sray.camera import Camera
from sray.context import ContextBuilder, ContextSpace, EncodedViews
from sray.density import GeometryNetwork
from sray.encoder import FEATURE_CHANNELS, ResUNet
from sray.frames import SourceViews
from sray.sampling import Spacing, depth_of, importance_samples, uniform_samples
from sray.view_weights import SemanticWeightNetwork
from sray.volume import composite, compositing_weights, step_lengths


@dataclass(frozen=True)
class SemanticRayConfig:
    """The network. Defaults are the `default` preset; `paper()` is the paper to the letter."""

    classes: int
    """Classes of the label space; the classifier's outputs."""
    attention: AttentionVariant = "full"
    """Cross-Reprojection Attention, or one of its ablations (Table 3; dense: Tables 6 and 7)."""
    residual_attention: bool = True
    """Pre-norm residual attention, starting as the identity. False: Table 13 to the letter."""
    density_statistics: bool = True
    """The geometry-aware network also sees how well colours and features agree. False: Table 15 to the letter."""
    spacing: Spacing = "log"
    """Even samples in log depth, or in inverse depth (the paper's)."""
    tau: float = 0.7
    """Each of m valid views weighs between tau/m and 1/(tau m) (eq. 12); Table 8 prefers 0.7."""

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise ValueError(f"classes is {self.classes}; expected at least 1")
        for name, value, known in (
            ("attention", self.attention, get_args(AttentionVariant)),
            ("spacing", self.spacing, get_args(Spacing)),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; expected one of {', '.join(known)}")
        if not 0 < self.tau <= 1:
            raise ValueError(f"tau is {self.tau}; expected more than 0, at most 1 (1 is the mean; the paper: 0.7)")

    @staticmethod
    def paper(classes: int, **overrides: Any) -> SemanticRayConfig:
        """The paper's tables to the letter, for the record and for ablations."""
        letter: dict[str, Any] = {"residual_attention": False, "density_statistics": False, "spacing": "inverse"}
        return SemanticRayConfig(classes, **{**letter, **overrides})


@dataclass(frozen=True)
class RayOutput:
    """What was found along rays."""

    logits: Float[Tensor, "rays classes"] | None
    """Classified semantic rays (eq. 13); zero where nothing is seen. None where only geometry was asked for."""
    color: Float[Tensor, "rays 3"]
    """0..1, black where nothing is seen."""
    depth: Float[Tensor, "rays"]
    """Camera z in metres: sum w z / sum w; near 0 / 0 where nothing is seen, so read it with `opacity`."""
    opacity: Float[Tensor, "rays"]
    """Sum of the weights, 0..1."""
    coverage: Float[Tensor, "rays"]
    """Source views that see what the ray shows: valid views, averaged with the weights."""
    weights: Float[Tensor, "rays samples"]
    coordinates: Float[Tensor, "rays samples"]
    """Normalised sample coordinates, ascending."""

    def opaque(self, rays: Bool[Tensor, " rays"]) -> RayOutput:
        """The same with the opacity of some rays raised to 1, and what is composited along them raised alike.

        Rays on which nothing is found stay as they are.
        """
        scale = torch.where(rays & (self.opacity > 1e-3), 1 / self.opacity.clamp_min(1e-3), 1.0)
        return replace(
            self,
            logits=None if self.logits is None else self.logits * scale.unsqueeze(-1),  # linear, bias included
            color=self.color * scale.unsqueeze(-1),
            opacity=self.opacity * scale,
            weights=self.weights * scale.unsqueeze(-1),
        )


class RayHead(nn.Module):
    """Everything after the context space. The coarse and the fine pass have one each."""

    def __init__(self, config: SemanticRayConfig) -> None:
        super().__init__()
        self.attention = CrossReprojectionAttention(
            FEATURE_CHANNELS, config.attention, residual=config.residual_attention
        )
        self.view_weights = SemanticWeightNetwork(FEATURE_CHANNELS, config.tau)
        self.geometry = GeometryNetwork(FEATURE_CHANNELS, statistics=config.density_statistics)
        self.classifier = nn.Linear(FEATURE_CHANNELS, config.classes)

    def forward(
        self,
        context: ContextSpace,
        coordinates: Float[Tensor, "rays samples"],
        depths: Float[Tensor, "rays samples"],
        *,
        semantics: bool = True,
    ) -> RayOutput:
        geometry = self.geometry(context)
        weights = compositing_weights(geometry.density, step_lengths(coordinates))
        opacity = weights.sum(-1)
        seen_by = context.valid.sum(0).to(weights)
        return RayOutput(
            logits=self._logits(context, coordinates, weights) if semantics else None,
            color=composite(weights, geometry.color),
            depth=(weights * depths).sum(-1) / opacity.clamp_min(1e-6),
            opacity=opacity,
            coverage=(weights * seen_by).sum(-1) / opacity.clamp_min(1e-6),
            weights=weights,
            coordinates=coordinates,
        )

    def _logits(self, context: ContextSpace, coordinates: Tensor, weights: Tensor) -> Tensor:
        refined = self.attention(context.tokens, context.valid, coordinates)
        semantics = (self.view_weights(context).unsqueeze(-1) * refined).sum(0)  # eq. 11
        return self.classify(self.classifier, composite(weights, semantics), weights.sum(-1))

    @staticmethod
    def classify(
        classifier: nn.Linear, semantic_ray: Float[Tensor, "rays channels"], opacity: Float[Tensor, " rays"]
    ) -> Float[Tensor, "rays classes"]:
        """Logits of composited rays. The classifier is linear: this equals compositing classified samples (eq. 13)."""
        return semantic_ray @ classifier.weight.T + opacity.unsqueeze(-1) * classifier.bias

    def surface_weights(
        self, context: ContextSpace, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples"]:
        """Compositing weights alone: all that a coarse pass must find out at inference."""
        return compositing_weights(self.geometry.density(context), step_lengths(coordinates))


@dataclass(frozen=True)
class RaySamples:
    """How many samples a ray gets in each pass."""

    coarse: int = 64
    fine: int = 64

    def __post_init__(self) -> None:
        if self.coarse < 2 or self.fine < 2:
            raise ValueError(f"{self.coarse} coarse and {self.fine} fine samples; expected at least 2 of each")


class SemanticRay(nn.Module):
    """Semantic-Ray (S-Ray), Liu et al., CVPR 2023."""

    def __init__(self, config: SemanticRayConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResUNet()
        self.context = ContextBuilder(zero_directions=config.residual_attention)
        self.coarse = RayHead(config)
        self.fine = RayHead(config)

    def encode(self, views: SourceViews) -> EncodedViews:
        """Run the encoder over the source pictures: once per picture is enough."""
        # Under autocast features come in half precision, pixels do not; they are sampled alike.
        return EncodedViews(views.images, views.camera, self.encoder(views.images).to(views.images))

    def forward(
        self,
        views: EncodedViews,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        bounds: tuple[float, float],
        samples: RaySamples,
        generator: torch.Generator | None = None,
        *,
        coarse_semantics: bool = True,
    ) -> tuple[RayOutput, RayOutput]:
        """Coarse and fine result along the target's rays through `pixels`, for training (eq. 15 needs both).

        `bounds`: near and far, camera z in metres. With a generator samples are jittered. `coarse_semantics=False`
        leaves out the coarse logits: no render shows them, and they are half the work.
        """
        coordinates = uniform_samples(pixels.shape[0], samples.coarse, device=pixels.device, generator=generator)
        gathered = self._gather(views, target, pixels, coordinates, bounds)
        coarse = self.coarse(*gathered, semantics=coarse_semantics)
        coordinates = importance_samples(coarse.weights, samples.fine, generator=generator)
        return coarse, self.fine(*self._gather(views, target, pixels, coordinates, bounds))

    def infer(
        self,
        views: EncodedViews,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        bounds: tuple[float, float],
        samples: RaySamples,
    ) -> RayOutput:
        """The fine result alone, each ray by itself: the coarse pass looks for surfaces only and needs no attention."""
        coordinates = uniform_samples(pixels.shape[0], samples.coarse, device=pixels.device)
        weights = self.look(views, target, pixels, coordinates, bounds)
        return self.shade(views, target, pixels, importance_samples(weights, samples.fine), bounds)

    def look(
        self,
        views: EncodedViews,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        coordinates: Float[Tensor, "rays samples"],
        bounds: tuple[float, float],
    ) -> Float[Tensor, "rays samples"]:
        """Where surfaces are: the coarse head's compositing weights at ascending normalised coordinates."""
        context, _, _ = self._gather(views, target, pixels, coordinates, bounds)
        return self.coarse.surface_weights(context, coordinates)

    def shade(
        self,
        views: EncodedViews,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        coordinates: Float[Tensor, "rays samples"],
        bounds: tuple[float, float],
    ) -> RayOutput:
        """What surfaces are: the fine head's result at ascending normalised coordinates."""
        shaded: RayOutput = self.fine(*self._gather(views, target, pixels, coordinates, bounds))
        return shaded

    def tint(
        self,
        views: EncodedViews,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        coordinates: Float[Tensor, "rays 1"],
        bounds: tuple[float, float],
    ) -> Float[Tensor, "rays 3"]:
        """Colours, 0..1, of surfaces at known normalised coordinates: the sources', blended by the fine head."""
        context, _, _ = self._gather(views, target, pixels, coordinates, bounds)
        return self.fine.geometry.color(context).squeeze(1)

    def _gather(
        self,
        views: EncodedViews,
        target: Camera,
        pixels: Tensor,
        coordinates: Tensor,
        bounds: tuple[float, float],
    ) -> tuple[ContextSpace, Tensor, Tensor]:
        with torch.autocast(pixels.device.type, enabled=False):  # half precision would move points by centimetres
            depths = depth_of(coordinates, *bounds, self.config.spacing)
            directions = target.ray_directions(pixels)
            points = target.centre + depths.unsqueeze(-1) * directions.unsqueeze(-2)
        return self.context(views, target.centre, points), coordinates, depths
