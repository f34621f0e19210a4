"""RayModel: what every system is that renders a field along rays, from source views or by heart.

A system encodes the source pictures, says what they show at points in space, and has a coarse and a fine head that
composite what is shown. Training, rendering, fine-tuning and checkpoints know no more of it than this.

observe -> coarse head -> samples where surfaces are -> observe -> fine head
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sray.camera import AS_READ, FEATURE_STRIDE, Camera, cell_pixels, feature_grid
from sray.context import EncodedViews
from sray.encoder import FEATURE_CHANNELS
from sray.frames import SourceViews
from sray.ray_output import RayOutput
from sray.rays import RayBundle, SampleCounts
from sray.sampling import ROOM_BOUNDS, Bounds, DepthRange, Spacing, importance_samples, joined_samples, uniform_samples
from sray.smoothing import smoothed
from sray.stereo import StereoNetwork
from sray.stereo.network import StereoFeatures
from sray.stereo.surfaces import with_stereo

READING_STEP = 8
"""Pixels: sizes at which an encoder with a reading focal length reads pictures are multiples of it, so that the size of
its features tells the size exactly."""

M = TypeVar("M", bound="RayModel")


@runtime_checkable
class FieldConfig(Protocol):
    """What is asked of any system's config: a frozen dataclass of numbers and words, kept in checkpoints as JSON."""

    @property
    def classes(self) -> int: ...
    @property
    def spacing(self) -> Spacing: ...


class Head(nn.Module):
    """One pass: from what is observed at the samples of rays (the system's own kind) to what the rays show."""

    classifier: nn.Linear
    """Reads a composited semantic ray; also the encoder's features, when single pictures teach."""

    def forward(
        self,
        observed: Any,
        coordinates: Float[Tensor, "rays samples"],
        depths: Float[Tensor, "rays samples"],
        *,
        semantics: bool = True,
    ) -> RayOutput:
        """Everything, at ascending normalized coordinates; without `semantics` no logits."""
        raise NotImplementedError

    def surface_weights(
        self, observed: Any, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples"]:
        """Compositing weights alone: all that a coarse pass must find out at inference."""
        raise NotImplementedError

    def tint(self, observed: Any) -> Float[Tensor, "rays samples 3"]:
        """Colors alone, 0..1, before compositing."""
        raise NotImplementedError

    @staticmethod
    def classify(
        classifier: nn.Linear, semantic_ray: Float[Tensor, "rays channels"], opacity: Float[Tensor, " rays"]
    ) -> Float[Tensor, "rays classes"]:
        """Logits of composited rays. The classifier is linear: this equals compositing classified samples (eq. 13)."""
        return semantic_ray @ classifier.weight.T + opacity.unsqueeze(-1) * classifier.bias


class RayModel(nn.Module):
    """A system. A subclass names itself, sets `encoder`, `coarse`, `fine`, and defines `observe`.

    A system that needs more of its views than each picture's features (a cost volume) extends `encode`; one that knows
    a single scene by heart has an encoder without parameters and ignores the views.
    """

    system: ClassVar[str]
    """Its name in checkpoints and experiment files."""
    config_type: ClassVar[Any]
    """The dataclass of its config, a FieldConfig."""
    options_type: ClassVar[Any]
    """The dataclass of what an experiment file sets of it: the config but for what follows from the data."""
    generalizes: ClassVar[bool] = True
    """False: it knows a single scene by heart, and is not trained for others."""
    knows_classes: ClassVar[bool] = True
    """False: it knows colors alone. No label teaches it, and none scores it."""
    feature_channels: ClassVar[int] = FEATURE_CHANNELS
    """Of `encoder`'s features. 0: the system has no encoder, and single pictures teach it nothing."""

    encoder: nn.Module
    """Pictures in 0..1, (views, 3, height, width), to features, (views, feature_channels, rows, columns)."""
    stereo: StereoNetwork | None
    """Gives depth to source views that have none; None: the system has no such network."""
    coarse: Head
    fine: Head

    def __init__(self, config: FieldConfig) -> None:
        super().__init__()
        self.config: Any = config
        self.stereo = None

    @classmethod
    def from_options(cls: type[M], options: Any, classes: int) -> M:
        """A new network of these options, an `options_type`, for a label space of so many classes."""
        return cls(cls.config_type(classes=classes, **asdict(options)))

    @property
    def reads_depth(self) -> bool:
        """Whether the network reads the source views' depth, beside the samples that are placed by it."""
        return False

    @property
    def picture_classifier(self) -> nn.Linear:
        """What reads classes from the encoder's features of single pictures."""
        return self.fine.classifier

    def observe(self, views: EncodedViews, origin: Float[Tensor, "3"], points: Float[Tensor, "rays samples 3"]) -> Any:
        """What the heads read at points (meters, in the views' frame) on rays from `origin`, the target's center."""
        raise NotImplementedError

    def depth_range(self, bounds: Bounds) -> DepthRange:
        """A scene's near and far with the spacing of samples that this model was trained with."""
        return DepthRange(*bounds, self.config.spacing)

    def rays(self, camera: Camera, pixels: Float[Tensor, "rays 2"], bounds: Bounds) -> RayBundle:
        """Rays of a target camera between a scene's near and far, as this model samples them."""
        return RayBundle(camera, pixels, self.depth_range(bounds))

    def encode(
        self,
        views: SourceViews,
        features: Float[Tensor, "views channels rows columns"] | None = None,
        bounds: Bounds = ROOM_BOUNDS,
    ) -> EncodedViews:
        """What rays read of source views: once per set of views is enough.

        `features`: the encoder's of each picture, where they are kept; None encodes here. `bounds`: of the scene.
        """
        if features is None:
            # Under autocast features come in half precision, pixels do not; they are sampled alike.
            features = self.picture_features(views.images, views.camera).to(views.images)
        scale = self.reading_scale(features, views.camera)
        return EncodedViews(views.images, views.camera, features, reading_scale=scale)

    def picture_features(
        self,
        images: Float[Tensor, "views 3 height width"],
        camera: Camera,
        like: Float[Tensor, "channels rows columns"] | None = None,
    ) -> Float[Tensor, "views channels rows columns"]:
        """The encoder's features of pictures (RGB in 0..1) of a camera, or of a batch of alike ones.

        The pictures are read at the angular resolution that the encoder was trained for, whatever the camera's; with
        `like`, at that of these features: pictures of one size, and focal lengths that differ a little, are sources
        together.
        """
        width, height = self.reading_size(camera, like)
        if (width, height) != (camera.width, camera.height):
            images = F.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=True)
        return self.read(images)

    def read(self, images: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views channels rows columns"]:
        """The encoder's features of pictures (RGB in 0..1) of the angular resolution that it was trained for."""
        features: Tensor = self.encoder(images)
        tolerance = getattr(self.config, "smoothing", 0.0)
        return smoothed(features, images, tolerance) if tolerance else features

    def stereo_features(
        self,
        images: Float[Tensor, "views 3 height width"],
        camera: Camera,
        features: Float[Tensor, "views channels rows columns"] | None = None,
    ) -> StereoFeatures:
        """What stereo reads of pictures (RGB in 0..1) of a camera, or of a batch of alike ones.

        `features`: the encoder's of them, where they are kept; None encodes here. Raises ValueError without a stereo
        network.
        """
        if self.stereo is None:
            raise ValueError(f"{self.system} has no stereo network")
        if features is None:
            features = self.picture_features(images, camera)
        rows, columns = -(-camera.height // FEATURE_STRIDE), -(-camera.width // FEATURE_STRIDE)
        pixels = cell_pixels(rows, columns, images.device).reshape(1, rows, columns, 2)
        grid = feature_grid(pixels, features.shape[-1], features.shape[-2], self.reading_scale(features, camera))
        grid = grid.expand(len(features), -1, -1, -1)
        context = F.grid_sample(features.float(), grid, padding_mode="border", align_corners=False)
        return self.stereo.features(images, context)

    def with_stereo(
        self,
        views: SourceViews,
        bounds: Bounds,
        features: Float[Tensor, "views channels rows columns"] | None = None,
    ) -> SourceViews:
        """The views with depth from each other, if they have none and the model has a stereo network; else unchanged.

        `bounds`: near and far of the sweeps, meters. `features`: as in `stereo_features`.
        """
        if views.depth is not None or self.stereo is None:
            return views
        found = self.stereo_features(views.images, views.camera, features)
        return with_stereo(self.stereo, found, views, bounds)

    def reading_size(
        self, camera: Camera, like: Float[Tensor, "channels rows columns"] | None = None
    ) -> tuple[int, int]:
        """Width and height, pixels, at which the encoder reads pictures of a camera: a multiple of a cell."""
        focal = getattr(self.config, "reading_focal", 0.0)
        if not focal:
            return camera.width, camera.height
        if like is not None:
            return like.shape[-1] * FEATURE_STRIDE, like.shape[-2] * FEATURE_STRIDE
        scale = focal / float(camera.intrinsics[..., 0, 0].mean())
        width, height = (
            max(READING_STEP, READING_STEP * round(scale * size / READING_STEP))
            for size in (camera.width, camera.height)
        )
        return width, height

    def reading_scale(
        self, features: Float[Tensor, "views channels rows columns"], camera: Camera
    ) -> tuple[float, float]:
        """The size at which features were read, over the size of the camera's pictures."""
        if not getattr(self.config, "reading_focal", 0.0):
            return AS_READ
        rows, columns = features.shape[-2:]
        return columns * FEATURE_STRIDE / camera.width, rows * FEATURE_STRIDE / camera.height

    def forward(
        self,
        views: EncodedViews,
        rays: RayBundle,
        samples: SampleCounts,
        generator: torch.Generator | None = None,
        *,
        coarse_semantics: bool = True,
    ) -> tuple[RayOutput, RayOutput]:
        """Coarse and fine result along the rays, for training (eq. 15 needs both).

        With a generator samples are jittered. `coarse_semantics=False` leaves out the coarse logits: no render shows
        them, and they are half the work.
        """
        coordinates = uniform_samples(len(rays), samples.coarse, device=rays.pixels.device, generator=generator)
        coarse = self.coarse(*self._observe_along(views, rays, coordinates), semantics=coarse_semantics)
        coordinates = importance_samples(coarse.weights, samples.fine, generator=generator)
        coordinates = joined_samples(coordinates, samples.whole_ray, generator=generator)
        return coarse, self.fine(*self._observe_along(views, rays, coordinates))

    def infer(self, views: EncodedViews, rays: RayBundle, samples: SampleCounts) -> RayOutput:
        """The fine result alone, each ray by itself: the coarse pass looks for surfaces only."""
        coordinates = uniform_samples(len(rays), samples.coarse, device=rays.pixels.device)
        weights = self.look(views, rays, coordinates)
        return self.shade(views, rays, joined_samples(importance_samples(weights, samples.fine), samples.whole_ray))

    def look(
        self, views: EncodedViews, rays: RayBundle, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples"]:
        """Where surfaces are: the coarse head's compositing weights at ascending normalized coordinates."""
        observed, _, _ = self._observe_along(views, rays, coordinates)
        return self.coarse.surface_weights(observed, coordinates)

    def shade(self, views: EncodedViews, rays: RayBundle, coordinates: Float[Tensor, "rays samples"]) -> RayOutput:
        """What surfaces are: the fine head's result at ascending normalized coordinates."""
        shaded: RayOutput = self.fine(*self._observe_along(views, rays, coordinates))
        return shaded

    def tint(
        self, views: EncodedViews, rays: RayBundle, coordinates: Float[Tensor, "rays 1"]
    ) -> Float[Tensor, "rays 3"]:
        """Colors, 0..1, of surfaces at known normalized coordinates, by the fine head."""
        observed, _, _ = self._observe_along(views, rays, coordinates)
        return self.fine.tint(observed).squeeze(1)

    def _observe_along(self, views: EncodedViews, rays: RayBundle, coordinates: Tensor) -> tuple[Any, Tensor, Tensor]:
        rays = rays.relative_to(views.camera.origin)
        with torch.autocast(coordinates.device.type, enabled=False):  # half precision would move points by centimeters
            depths = rays.range.depth_of(coordinates)
            points = rays.points(depths)
        return self.observe(views, rays.camera.center, points), coordinates, depths
