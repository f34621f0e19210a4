"""Shared by NeRF and Semantic-NeRF: a network from coordinates to density and color, of one scene, without pictures.

NeRF (Mildenhall et al., ECCV 2020), sections 3 to 5.3: a point's place, frequency-encoded, goes through fully connected
layers, the place once more in their middle; density is read from the last, color from that and the encoded viewing
direction. One network looks for surfaces (coarse), another paints them (fine).

Deviations, in both systems: cameras, bounds, spacing of samples, step lengths, losses and renderer are this project's.
The fine network is asked at the new samples alone, not at the coarse ones too. Softplus for ReLU in the density, which
has a hidden layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from sray.camera import FEATURE_STRIDE
from sray.context import EncodedViews
from sray.ray_model import RayModel
from sray.sampling import Spacing
from sray_train.configuration import CHECKED
from sray_train.paper.baselines.frequencies import frequencies
from sray_train.paper.baselines.point_head import DensityMLP, PointHead


@checked_dataclass(frozen=True, config=CHECKED)
class CoordinateOptions:
    """What an experiment file sets of a network that knows one scene."""

    centre: Annotated[tuple[float, float, float], Field(strict=False)] = (0.0, 0.0, 0.0)  # a list in checkpoints
    """Of the scene, meters in its own axes."""
    extent: PositiveFloat = 5.0
    """Meters from the center to what is farthest from it along any axis: places are encoded in -1 to 1 so."""
    layers: Annotated[int, Field(ge=2)] = 8
    """Of the network of a place; the paper's, as all these defaults."""
    width: Annotated[int, Field(ge=2)] = 256
    place_frequencies: PositiveInt = 10
    direction_frequencies: PositiveInt = 4
    spacing: Spacing = "log"
    """Even samples in log depth, or in inverse depth."""


@checked_dataclass(frozen=True, config=CHECKED, kw_only=True)
class CoordinateConfig(CoordinateOptions):
    """The network."""

    classes: int


@dataclass(frozen=True)
class Places:
    """Points on rays, as the network takes them."""

    place: Float[Tensor, "rays samples encoded"]
    direction: Float[Tensor, "rays samples encoded"]
    """Unit viewing direction, encoded."""


@dataclass(frozen=True)
class KnownPlaces:
    """What the layers make of points."""

    values: Float[Tensor, "rays samples width"]
    direction: Float[Tensor, "rays samples encoded"]

    @property
    def seen_by(self) -> Float[Tensor, "rays samples"]:
        """One each: no view is looked at, and the network has an answer everywhere."""
        return torch.ones_like(self.values[..., 0])


class CoordinateHead(PointHead):
    """One network: density and color of places. A subclass says what it knows of classes."""

    def __init__(self, classes: int, options: CoordinateOptions) -> None:
        super().__init__(classes)
        width, place = options.width, encoded(options.place_frequencies)
        self.again_at = options.layers // 2
        """The layer that reads the place once more: the fifth of eight."""
        self.layers = nn.ModuleList(
            nn.Linear(place if number == 0 else width + place * (number == self.again_at), width)
            for number in range(options.layers)
        )
        self.density_mlp = DensityMLP(width, width // 2)
        self.feature = nn.Linear(width, width)
        self.color_mlp = nn.Sequential(
            nn.Linear(width + encoded(options.direction_frequencies), width // 2), nn.ReLU(), nn.Linear(width // 2, 3)
        )

    def gather(self, observed: Places) -> KnownPlaces:
        values = observed.place
        for number, layer in enumerate(self.layers):
            if number == self.again_at:
                values = torch.cat([values, observed.place], dim=-1)
            values = F.relu(layer(values))
        return KnownPlaces(values, observed.direction)

    def density(self, points: KnownPlaces, coordinates: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
        density: Tensor = self.density_mlp(points.values)
        return density

    def color(self, points: KnownPlaces) -> Float[Tensor, "rays samples 3"]:
        return torch.sigmoid(self.color_mlp(torch.cat([self.feature(points.values), points.direction], dim=-1)))


class NoEncoder(nn.Module):
    """Pictures to features of no channels."""

    def forward(self, images: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views 0 rows columns"]:
        rows, columns = (-(-size // FEATURE_STRIDE) for size in images.shape[-2:])
        return images.new_zeros(len(images), 0, rows, columns)


class CoordinateModel(RayModel):
    """A system that knows one scene by heart. The source views say nothing to it."""

    config_type = CoordinateConfig
    options_type = CoordinateOptions
    head_type: ClassVar[type[CoordinateHead]]
    feature_channels = 0
    generalizes = False

    def __init__(self, config: CoordinateConfig) -> None:
        super().__init__(config)
        self.encoder = NoEncoder()
        self.coarse: CoordinateHead = self.head_type(config.classes, config)
        self.fine: CoordinateHead = self.head_type(config.classes, config)

    def observe(
        self, views: EncodedViews, origin: Float[Tensor, "3"], points: Float[Tensor, "rays samples 3"]
    ) -> Places:
        """Where the points are, and from where they are looked at."""
        config: CoordinateOptions = self.config
        with torch.autocast(points.device.type, enabled=False):  # half precision has no room for 2^9 pi
            place = (points - points.new_tensor(config.centre)) / config.extent
            direction = F.normalize(points - origin, dim=-1)
            return Places(
                frequencies(place, config.place_frequencies), frequencies(direction, config.direction_frequencies)
            )


def encoded(count: int) -> int:
    """Channels of three values at so many frequencies."""
    return 3 * (1 + 2 * count)
