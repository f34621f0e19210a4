"""RayBundle: rays of one camera. SampleCounts: how many samples each ray gets. What a model is asked along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from sray.camera import Camera
from sray.origin import Origin
from sray.sampling import DepthRange


@dataclass(frozen=True)
class RayBundle:
    """Rays through pixels of one camera, each from near to far."""

    camera: Camera
    """The target camera, which the rays start from."""
    pixels: Float[Tensor, "rays 2"]
    """Column and row in the target's image."""
    range: DepthRange

    def __len__(self) -> int:
        return self.pixels.shape[0]

    def __getitem__(self, index: Int64[Tensor, " chosen"] | Bool[Tensor, " rays"] | slice) -> RayBundle:
        """Some of the rays."""
        return replace(self, pixels=self.pixels[index])

    def split(self, size: int) -> Iterator[RayBundle]:
        """The rays in order, at most `size` at a time."""
        for pixels in torch.split(self.pixels, size):
            yield replace(self, pixels=pixels)

    def relative_to(self, origin: Origin) -> RayBundle:
        """The same rays in the frame of another origin."""
        return replace(self, camera=self.camera.relative_to(origin))

    def points(self, depths: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples 3"]:
        """Points (meters from the camera's origin) at depths (camera z, meters) along each ray."""
        directions = self.camera.ray_directions(self.pixels)
        return self.camera.center + depths.unsqueeze(-1) * directions.unsqueeze(-2)


@dataclass(frozen=True)
class SampleCounts:
    """How many samples a ray gets in each pass. Raises ValueError for fewer than 2 coarse or fine ones."""

    coarse: int = 64
    """Evenly spread, to look for surfaces."""
    fine: int = 64
    """Around the surfaces found."""
    whole_ray: int = 0
    """More of the fine pass, evenly from near to far: what attention along a ray sees of it beside the surface."""

    def __post_init__(self) -> None:
        if self.whole_ray < 0:
            raise ValueError(f"{self.whole_ray} samples of the whole ray; expected at least 0")
        if self.coarse < 2 or self.fine < 2:
            raise ValueError(f"{self.coarse} coarse and {self.fine} fine samples; expected at least 2 of each")
