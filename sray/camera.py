"""Cameras: intrinsics, pose, image size; pixel rays and projection. The only place with camera conventions.

OpenCV axes (x right, y down, z forward), meters. Pixel centers are at integers: pixel (0, 0) is the center of the
top-left pixel and the image spans [-0.5, width - 0.5). Poses are `world_from_camera`: float32, in the frame of the
scene's origin (`sray.origin`), which is the world's own frame unless the scene lies kilometers from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from sray.origin import WORLD, Origin


@dataclass(frozen=True)
class Projection:
    """Where world points fall in views."""

    pixels: Float[Tensor, "*shape 2"]
    """Column and row. Meaningless, not clamped, where `seen` is false."""
    depth: Float[Tensor, "*shape"]
    """Camera z in meters; negative behind the camera."""
    seen: Bool[Tensor, "*shape"]
    """z > 0 and inside the image."""


@dataclass(frozen=True)
class Camera:
    """One camera, or a batch of cameras of one image size (leading dimension `views`)."""

    intrinsics: Float[Tensor, "*views 3 3"]
    """K: focal lengths and principal point in pixels, integer pixel centers."""
    world_from_camera: Float[Tensor, "*views 4 4"]
    """In the frame of `origin`: its axes are the world's."""
    width: int
    height: int
    origin: Origin = WORLD
    """Where that frame's origin lies in the world. Points that this camera makes or sees are in the same frame."""

    @staticmethod
    def at(
        world_from_camera: NDArray[np.float64],
        intrinsics: Float[Tensor, "*views 3 3"],
        width: int,
        height: int,
        origin: Origin | None = None,
    ) -> Camera:
        """A camera, or a batch, at world poses (..., 4, 4) of any size. `origin`: None takes one near the poses."""
        if origin is None:
            # Of a long recording the middle: far from it float32 is coarse again.
            centers = np.asarray(world_from_camera)[..., :3, 3].reshape(-1, 3)
            origin = Origin.near(np.median(centers, axis=0)) if len(centers) else WORLD
        return Camera(intrinsics, origin.local_pose(world_from_camera), width, height, origin)

    @staticmethod
    def stack(cameras: Sequence[Camera]) -> Camera:
        """A batch of single cameras, in the frame of the first one's origin.

        Raises ValueError if sizes differ or there is none.
        """
        sizes = {(camera.width, camera.height) for camera in cameras}
        if len(sizes) != 1:
            raise ValueError(f"cameras have sizes {sorted(sizes)}; expected exactly one size, resize them first")
        width, height = sizes.pop()
        origin = cameras[0].origin
        return Camera(
            torch.stack([camera.intrinsics for camera in cameras]),
            torch.stack([camera.relative_to(origin).world_from_camera for camera in cameras]),
            width,
            height,
            origin,
        )

    def __getitem__(self, index: int | Tensor | list[int]) -> Camera:
        """One camera, or a smaller batch, of a batch."""
        return replace(self, intrinsics=self.intrinsics[index], world_from_camera=self.world_from_camera[index])

    def to(self, device: torch.device | str) -> Camera:
        return replace(
            self,
            intrinsics=self.intrinsics.to(device),
            world_from_camera=self.world_from_camera.to(device),
        )

    @property
    def world_pose(self) -> NDArray[np.float64]:
        """World poses (..., 4, 4) in float64: what is published, saved and compared between scenes."""
        return self.origin.world_pose(self.world_from_camera)

    def relative_to(self, origin: Origin) -> Camera:
        """The same camera in the frame of another origin."""
        if origin == self.origin:
            return self
        pose = origin.local_pose(self.world_pose).to(self.world_from_camera)
        return replace(self, world_from_camera=pose, origin=origin)

    @property
    def center(self) -> Float[Tensor, "*views 3"]:
        """The camera's position, meters from `origin`."""
        return self.world_from_camera[..., :3, 3]

    @property
    def forward(self) -> Float[Tensor, "*views 3"]:
        """The unit optical axis, in the world's axes."""
        return self.world_from_camera[..., :3, 2]

    @property
    def projection(self) -> Float[Tensor, "*views 3 4"]:
        """K (R | t): points (meters from `origin`, homogeneous) to pixels (homogeneous). Eq. 4."""
        camera_from_world = self.world_from_camera[..., :3, :3].transpose(-1, -2)
        offset = -(camera_from_world @ self.world_from_camera[..., :3, 3:])
        return self.intrinsics @ torch.cat([camera_from_world, offset], dim=-1)

    def resized(self, width: int, height: int) -> Camera:
        """The same camera for its image resized to the given size: c' = s (c + 0.5) - 0.5."""
        intrinsics = self.intrinsics.clone()
        for row, scale in ((0, width / self.width), (1, height / self.height)):
            intrinsics[..., row, :2] *= scale
            intrinsics[..., row, 2] = scale * (self.intrinsics[..., row, 2] + 0.5) - 0.5
        return replace(self, intrinsics=intrinsics, width=width, height=height)

    def pixel_grid(self) -> Float[Tensor, "pixels 2"]:
        """Centers of all pixels, row by row (column, row)."""
        device = self.intrinsics.device
        rows, columns = torch.meshgrid(
            torch.arange(self.height, dtype=torch.float32, device=device),
            torch.arange(self.width, dtype=torch.float32, device=device),
            indexing="ij",
        )
        return torch.stack([columns, rows], dim=-1).reshape(-1, 2)

    def ray_directions(self, pixels: Float[Tensor, "rays 2"]) -> Float[Tensor, "*views rays 3"]:
        """World directions through the pixels, with camera z = 1; of each view of a batch.

        A point at parameter z of `center + z * direction` has depth z in its camera.
        """
        k = self.intrinsics[..., None, :, :]
        y = (pixels[:, 1] - k[..., 1, 2]) / k[..., 1, 1]
        x = (pixels[:, 0] - k[..., 0, 2] - k[..., 0, 1] * y) / k[..., 0, 0]
        directions = torch.stack([x, y, torch.ones_like(x)], dim=-1)
        return directions @ self.world_from_camera[..., :3, :3].transpose(-1, -2)

    def project(self, points: Float[Tensor, "*points 3"]) -> Projection:
        """Project points (meters from `origin`) into this view, or into each of a batch (views first in the result).

        A point 2 m ahead on the optical axis lands on (cx, cy): test_camera.py::test_conventions.
        Source: eq. 4.
        """
        shape = points.shape[:-1]
        matrix = self.projection  # one small matrix per view: one pass over the points
        flat = points.reshape(-1, 3)
        homogeneous = flat @ matrix[..., :3].transpose(-1, -2) + matrix[..., 3].unsqueeze(-2)
        z = homogeneous[..., 2]
        in_front = z > 1e-6
        pixels = homogeneous[..., :2] / torch.where(in_front, z, 1.0).unsqueeze(-1)
        u, v = pixels.unbind(-1)
        inside = (u >= -0.5) & (u < self.width - 0.5) & (v >= -0.5) & (v < self.height - 0.5)
        batch = self.intrinsics.shape[:-2]
        return Projection(
            pixels.reshape(*batch, *shape, 2), z.reshape(*batch, *shape), (in_front & inside).reshape(*batch, *shape)
        )


def up_of(world_from_camera: NDArray[np.floating]) -> NDArray[np.float32]:
    """Against gravity, a unit vector, from poses (frames, 4, 4).

    Cameras are held upright on average, and worlds have an upright axis: the nearest one is taken.
    """
    mean = -world_from_camera[:, :3, 1].mean(0)
    axis = int(np.abs(mean).argmax())
    up = np.zeros(3, np.float32)
    up[axis] = np.sign(mean[axis])
    return up


def image_grid(pixels: Float[Tensor, "*shape 2"], width: int, height: int) -> Float[Tensor, "*shape 2"]:
    """`grid_sample` coordinates (align_corners=False) of pixels in an image: x = (2 u + 1) / W - 1."""
    size = torch.tensor([width, height], dtype=pixels.dtype, device=pixels.device)
    return (2 * pixels + 1) / size - 1


FEATURE_STRIDE = 4
"""The encoder's features: cell i is centered at pixel 4 i (strided convolutions, not a resized image)."""


def cell_pixels(
    rows: int, columns: int, device: torch.device, stride: int = FEATURE_STRIDE
) -> Float[Tensor, "cells 2"]:
    """Pixels (column, row) at the centers of a feature map's cells, row by row. Cell i lies at pixel `stride` i."""
    cells = torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device))
    return stride * cells.flip(-1).float()


AS_READ = (1.0, 1.0)
"""The encoder reads pictures at their own size."""


def feature_grid(
    pixels: Float[Tensor, "*shape 2"],
    feature_width: int,
    feature_height: int,
    reading_scale: tuple[float, float] = AS_READ,
) -> Float[Tensor, "*shape 2"]:
    """`grid_sample` coordinates of pixels in a quarter-resolution feature map.

    `reading_scale`: width and height at which the encoder read the picture, over the picture's own.
    """
    if reading_scale != AS_READ:
        scale = torch.tensor(reading_scale, dtype=pixels.dtype, device=pixels.device)
        pixels = scale * (pixels + 0.5) - 0.5
    return image_grid(pixels / FEATURE_STRIDE, feature_width, feature_height)
