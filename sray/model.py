"""SemanticRay: the parts joined. Source views and rays in; semantics, color and depth along the rays out.

encoder -> context M -> geometry (coarse) -> samples -> context M -> attention, view weights, geometry (fine)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sray.attention import AttentionVariant, CrossReprojectionAttention
from sray.backbone import EncoderName, new_encoder
from sray.context import ContextBuilder, ContextSpace, EncodedViews
from sray.density import GeometryNetwork
from sray.encoder import FEATURE_CHANNELS
from sray.frames import SourceViews
from sray.ray_model import Head, RayModel
from sray.ray_output import RayOutput
from sray.sampling import ROOM_BOUNDS, Bounds, Spacing
from sray.stereo import StereoNetwork
from sray.view_weights import SemanticWeightNetwork
from sray.visibility import Surfaces, Visibility
from sray.volume import composite, compositing_weights, step_lengths

__all__ = ["RayHead", "RayOutput", "SemanticRay", "SemanticRayConfig", "SemanticRayOptions"]

Preset = Literal["default", "paper"]


@dataclass(frozen=True)
class SemanticRayConfig:
    """The network. Defaults are the `default` preset; `paper()` is the paper's."""

    classes: int
    """Classes of the label space; the classifier's outputs."""
    attention: AttentionVariant = "full"
    """Cross-Reprojection Attention, or one of its ablations (Table 3; dense: Tables 6 and 7; mlp: as large, but blind
    to other tokens)."""
    residual_attention: bool = True
    """Pre-norm residual attention, starting as the identity. False: Table 13 to the letter."""
    density_statistics: bool = True
    """The geometry-aware network also sees how well colors and features agree. False: Table 15 to the letter."""
    spacing: Spacing = "log"
    """Even samples in log depth, or in inverse depth (the paper's)."""
    visibility: Visibility = "none"
    """What the source views' own depth, where they have some, says of who sees a sample. `mask`: views that do not see
    it do not count for it. `full`: the weight and geometry networks also read how well each view sees it. `none`: the
    paper's, a view sees all that is inside its image."""
    tau: float = 0.7
    """Each of m valid views weighs between tau/m and 1/(tau m) (eq. 12); Table 8 prefers 0.7."""
    encoder: EncoderName = "resunet"
    """The paper's ResUNet (Table 12), or a backbone that ImageNet taught, with a light decoder."""
    reading_focal: float = 0.0
    """Focal length in pixels to which pictures are resized before the encoder reads them: the one it was trained for.
    0: as they come."""
    smoothing: float = 0.0
    """Tolerance, in color units of 0..1, of the smoothing of features within surfaces (`sray.smoothing`; not in the
    paper). 0: none."""
    stereo: bool = False
    """A stereo network, which gives depth to source views that have none (not in the paper)."""
    refined_stereo: bool = False
    """Stereo depth is found once more, finely, around what a sweep of planes found (`sray.stereo.refinement`)."""

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise ValueError(f"classes is {self.classes}; expected at least 1")
        for name, value, known in (
            ("attention", self.attention, get_args(AttentionVariant)),
            ("spacing", self.spacing, get_args(Spacing)),
            ("visibility", self.visibility, get_args(Visibility)),
            ("encoder", self.encoder, get_args(EncoderName)),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; expected one of {', '.join(known)}")
        if self.refined_stereo and not self.stereo:
            raise ValueError("refined_stereo is true without stereo; expected stereo, to refine")
        if not 0 <= self.reading_focal < 10_000:
            raise ValueError(f"reading_focal is {self.reading_focal}; expected pixels, below 10000, or 0")
        if not 0 <= self.smoothing <= 1:
            raise ValueError(f"smoothing is {self.smoothing}; expected a difference of colors, 0 to 1")
        if not 0 < self.tau <= 1:
            raise ValueError(f"tau is {self.tau}; expected more than 0, at most 1 (1 is the mean; the paper: 0.7)")

    @staticmethod
    def paper(classes: int, **overrides: Any) -> SemanticRayConfig:
        """The paper's tables, for the record and for ablations.

        What differs from them in this preset too: no ELU before the sigmoid of Table 15's L2, which would keep it above
        0.27; biases on queries, keys, values and output of the Cross-Reprojection Attention, whose eq. 6-8 and 10 have
        none; no biases in L9 (the geometry network's attention along a ray), as eq. 6-8 have none; a hidden layer in
        L11; steps of eq. 2 and 13 in the normalized coordinate of a ray, not in meters (`volume.step_lengths`); a fine
        pass over its own samples, without the coarse ones.
        """
        letter: dict[str, Any] = {
            "residual_attention": False,
            "density_statistics": False,
            "spacing": "inverse",
            "visibility": "none",
        }
        return SemanticRayConfig(classes, **{**letter, **overrides})


@dataclass(frozen=True)
class SemanticRayOptions:
    """What an experiment file sets of Semantic-Ray."""

    preset: Preset = "default"
    """`paper`: the tables, but for what `SemanticRayConfig.paper` names."""
    attention: AttentionVariant = "full"
    """Cross-Reprojection Attention, or an ablation (Table 3)."""
    tau: float = 0.7
    """Bound on the view weights (eq. 12)."""
    visibility: Visibility = "none"
    """What the source views' own depth says of who sees a sample: `mask` leaves out views that do not, `full` also
    tells the weight and geometry networks. Trained with the scenes' depth, worn as sensors and stereo wear it."""
    encoder: EncoderName = "resunet"
    """The paper's ResUNet, or a backbone that ImageNet taught, with a light decoder."""
    reading_focal: float = 0.0
    """Focal length in pixels to which pictures are resized before the encoder reads them; 0: as they come."""
    smoothing: float = 0.0
    """Tolerance, in color units of 0..1, of the smoothing of features within surfaces; 0: none."""
    stereo: bool = False
    """A stereo network, which gives depth to source views that have none."""
    refined_stereo: bool = False
    """It finds depth once more, finely, around what its sweep of planes found."""

    def __post_init__(self) -> None:
        if self.preset not in get_args(Preset):
            raise ValueError(f"preset is {self.preset!r}; expected one of {', '.join(get_args(Preset))}")
        self.config(classes=1)  # raises ValueError for what the network refuses

    def config(self, classes: int) -> SemanticRayConfig:
        """The network for a label space of so many classes."""
        preset = SemanticRayConfig.paper if self.preset == "paper" else SemanticRayConfig
        return preset(
            classes,
            attention=self.attention,
            tau=self.tau,
            visibility=self.visibility,
            encoder=self.encoder,
            reading_focal=self.reading_focal,
            smoothing=self.smoothing,
            stereo=self.stereo,
            refined_stereo=self.refined_stereo,
        )


class RayHead(Head):
    """Everything after the context space. The coarse and the fine pass have one each."""

    def __init__(self, config: SemanticRayConfig) -> None:
        super().__init__()
        self.attention = CrossReprojectionAttention(
            FEATURE_CHANNELS, config.attention, residual=config.residual_attention
        )
        sight = config.visibility == "full"
        self.view_weights = SemanticWeightNetwork(FEATURE_CHANNELS, config.tau, sight=sight)
        self.geometry = GeometryNetwork(FEATURE_CHANNELS, statistics=config.density_statistics, sight=sight)
        self.classifier = nn.Linear(FEATURE_CHANNELS, config.classes)

    def forward(
        self,
        observed: ContextSpace,
        coordinates: Float[Tensor, "rays samples"],
        depths: Float[Tensor, "rays samples"],
        *,
        semantics: bool = True,
    ) -> RayOutput:
        geometry = self.geometry(observed)
        weights = compositing_weights(geometry.density, step_lengths(coordinates))
        seen_by = observed.valid.sum(0).to(weights)
        output = RayOutput.along(weights, coordinates, depths, geometry.color, seen_by)
        return replace(output, logits=self._logits(observed, coordinates, weights)) if semantics else output

    def _logits(self, context: ContextSpace, coordinates: Tensor, weights: Tensor) -> Tensor:
        refined = self.attention(context.tokens, context.valid, coordinates)
        semantics = (self.view_weights(context).unsqueeze(-1) * refined).sum(0)  # eq. 11
        return self.classify(self.classifier, composite(weights, semantics), weights.sum(-1))

    def surface_weights(
        self, observed: ContextSpace, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples"]:
        """Of the density alone, which needs no attention."""
        return compositing_weights(self.geometry.density(observed), step_lengths(coordinates))

    def tint(self, observed: ContextSpace) -> Float[Tensor, "rays samples 3"]:
        """The source views' colors, blended."""
        return self.geometry.color(observed)


class SemanticRay(RayModel):
    """Semantic-Ray (S-Ray), Liu et al., CVPR 2023."""

    system = "semantic_ray"
    config_type = SemanticRayConfig
    options_type = SemanticRayOptions

    def __init__(self, config: SemanticRayConfig) -> None:
        super().__init__(config)
        self.encoder = new_encoder(config.encoder)
        self.stereo = StereoNetwork(refines=config.refined_stereo) if config.stereo else None
        self.context = ContextBuilder(zero_directions=config.residual_attention, visibility=config.visibility)
        self.coarse: RayHead = RayHead(config)
        self.fine: RayHead = RayHead(config)

    @classmethod
    def from_options(cls, options: SemanticRayOptions, classes: int) -> SemanticRay:
        return cls(options.config(classes))

    @property
    def reads_depth(self) -> bool:
        return bool(self.config.visibility != "none")

    def encode(
        self,
        views: SourceViews,
        features: Float[Tensor, "views channels rows columns"] | None = None,
        bounds: Bounds = ROOM_BOUNDS,
    ) -> EncodedViews:
        """Features, and the surfaces that the views' depth shows, if the model asks who sees what."""
        encoded = super().encode(views, features, bounds)
        return replace(encoded, surfaces=Surfaces.of(views)) if self.reads_depth else encoded

    def extended(self, visibility: Visibility) -> SemanticRay:
        """A copy that asks who sees what, for training to go on from; in this model's mode, on its device.

        Inputs that this model does not read get weights of zero: until they are trained, renders change by the mask
        alone. Raises ValueError for fewer inputs than this model has: what it learned from them would be lost.
        """
        known = get_args(Visibility)
        if known.index(visibility) < known.index(self.config.visibility):
            raise ValueError(f"the model reads visibility {self.config.visibility}; expected no less, not {visibility}")
        model = SemanticRay(replace(self.config, visibility=visibility))
        weights = self.state_dict()
        for name, wanted in model.state_dict().items():
            if wanted.shape != weights[name].shape:  # (out, in): new inputs come last
                weights[name] = F.pad(weights[name], (0, wanted.shape[-1] - weights[name].shape[-1]))
        model.load_state_dict(weights)
        return model.to(next(self.parameters()).device).train(self.training)

    def observe(
        self, views: EncodedViews, origin: Float[Tensor, "3"], points: Float[Tensor, "rays samples 3"]
    ) -> ContextSpace:
        """The contextual space M (eq. 5)."""
        context: ContextSpace = self.context(views, origin, points)
        return context
