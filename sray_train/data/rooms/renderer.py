"""Pictures of a lit room: one Embree ray a sample, shaded in torch.

Depth and labels come from one ray through the pixel's centre and are never blended; colour is the mean of 2x2 rays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sray.camera import Camera
from sray.frames import Frame
from sray.label_space import VOID
from sray_train.data.rooms.lighting import LitScene

SAMPLES = 2
"""Colour rays a pixel, each way."""


@dataclass(frozen=True)
class Exposure:
    """What the imaginary camera does to light, the same for all frames of a room."""

    gain: float
    balance: tuple[float, float, float]
    """White balance, RGB factors."""
    noise: float
    """Standard deviation of the pixel noise, in 0..1."""
    vignette: float
    """Loss of light in the corners, 0..1."""


class _Textures:
    """All textures and their mip levels as one table of texels, so that a lookup is one gather."""

    def __init__(self, textures: Tensor) -> None:
        count, self.size = textures.shape[0], textures.shape[1]
        levels, starts, sizes = [textures.reshape(-1, 3)], [0], [self.size]
        level = textures.permute(0, 3, 1, 2)
        while sizes[-1] > 4:
            level = torch.nn.functional.avg_pool2d(level, 2)
            starts.append(starts[-1] + count * sizes[-1] ** 2)
            sizes.append(level.shape[-1])
            levels.append(level.permute(0, 2, 3, 1).reshape(-1, 3))
        self._texels = torch.cat(levels)
        self._starts, self._sizes = torch.tensor(starts), torch.tensor(sizes)

    def look_up(self, material: Tensor, uv: Tensor, texels_a_sample: Tensor) -> Tensor:
        """Bilinear colour (rays, 3) at the level whose texels are about as wide as a sample."""
        level = torch.log2(texels_a_sample.clamp(min=1)).round().long().clamp(max=len(self._sizes) - 1)
        size = self._sizes[level]
        at = uv * size[:, None] - 0.5
        low = at.floor()
        share = at - low
        low = low.long()
        x0, y0 = low[:, 0].remainder(size), low[:, 1].remainder(size)
        x1, y1 = (x0 + 1).remainder(size), (y0 + 1).remainder(size)
        base = self._starts[level] + material * size * size
        sx, sy = share[:, :1], share[:, 1:]
        top = torch.lerp(self._texels[base + y0 * size + x0], self._texels[base + y0 * size + x1], sx)
        bottom = torch.lerp(self._texels[base + y1 * size + x0], self._texels[base + y1 * size + x1], sx)
        return torch.lerp(top, bottom, sy)


class RoomRenderer:
    """Renders frames of one lit room."""

    def __init__(self, lit: LitScene) -> None:
        self._lit = lit
        self._textures = _Textures(torch.from_numpy(lit.scene.textures))
        self._corners = torch.cat(
            [torch.from_numpy(part) for part in (lit.uv, lit.irradiance, lit.normals)], dim=-1
        )  # triangles, corners, 2 + 3 + 3
        self._materials = torch.from_numpy(lit.materials).long()
        self._density = torch.from_numpy(lit.texel_density)
        self._gloss = torch.from_numpy(lit.scene.gloss)
        self._emission = torch.from_numpy(lit.scene.emission)
        self._lights = [
            (torch.from_numpy(light.centre), torch.from_numpy(np.asarray(light.radiance))) for light in lit.scene.lights
        ]

    def expose(self, cameras: Camera, rng: np.random.Generator) -> Exposure:
        """Exposure for a batch of cameras, from a coarse look through a few of them."""
        brightness = []
        for view in range(0, cameras.intrinsics.shape[0], 4):
            camera = cameras[view].resized(24, 18)
            directions = camera.ray_directions(camera.pixel_grid()).numpy()
            triangle = self._lit.caster.cast(np.broadcast_to(camera.centre.numpy(), directions.shape), directions)
            brightness.append(self._lit.glow[triangle.triangle].mean(1))
        seen = np.concatenate(brightness)
        middle = max(float(np.quantile(seen, 0.5)), 0.35 * float(np.quantile(seen, 0.9)), 1e-3)
        warmth, tint = rng.normal(0, 0.05), rng.normal(0, 0.02)
        return Exposure(
            gain=float(rng.uniform(0.16, 0.36)) / middle,
            balance=(1 + warmth, 1 + tint, 1 - warmth),
            noise=float(rng.uniform(0.003, 0.014)),
            vignette=float(rng.uniform(0, 0.25)),
        )

    def render(self, camera: Camera, exposure: Exposure, rng: np.random.Generator, name: str = "") -> Frame:
        """One frame; `rng` makes the pixel noise."""
        width, height = camera.width, camera.height
        pixels = camera.pixel_grid()
        distance, triangle, _, _, _ = self._cast(camera, pixels)
        nothing = triangle < 0
        labels = torch.from_numpy(self._lit.labels)[triangle.clamp(min=0)]
        offsets = (torch.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
        shifts = torch.cartesian_prod(offsets, offsets)
        samples = (pixels[:, None] + shifts).reshape(-1, 2)
        light = self._shade(camera, samples).reshape(-1, len(shifts), 3).mean(1)
        image = self._develop(light.reshape(height, width, 3), exposure, rng)
        return Frame(
            image=image,
            camera=camera,
            depth=distance.masked_fill(nothing, torch.nan).reshape(height, width),
            labels=labels.masked_fill(nothing, VOID).reshape(height, width),
            name=name,
        )

    def _cast(self, camera: Camera, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        directions = camera.ray_directions(pixels)
        origins = np.broadcast_to(camera.centre.numpy(), directions.shape)
        hits = self._lit.caster.cast(origins, directions.numpy())
        # Directions have camera z = 1, so Embree's distance is the camera's z.
        return (
            torch.from_numpy(hits.distance),
            torch.from_numpy(hits.triangle),
            torch.from_numpy(hits.u),
            torch.from_numpy(hits.v),
            directions,
        )

    def _shade(self, camera: Camera, pixels: Tensor) -> Tensor:
        """Linear light (rays, 3) along rays through the pixels."""
        distance, triangle, u, v, directions = self._cast(camera, pixels)
        nothing = triangle < 0
        triangle = triangle.clamp(min=0)
        weights = torch.stack([1 - u - v, u, v], 1)
        mixed = torch.einsum("rk,rkc->rc", weights, self._corners[triangle])
        uv, irradiance, normals = mixed[:, :2], mixed[:, 2:5], mixed[:, 5:]
        material = self._materials[triangle]
        length = directions.norm(dim=1)
        facing = (directions * normals).sum(1).abs() / length
        focal = float(camera.intrinsics[0, 0]) * SAMPLES
        texels = distance * self._density[triangle] * (self._textures.size / focal) / facing.clamp(min=0.2)
        albedo = self._textures.look_up(material, uv, texels)
        light = albedo * (irradiance + self._emission[material][:, None])
        gloss = self._gloss[material]
        shiny = (gloss > 0).nonzero()[:, 0]
        if len(shiny):
            light[shiny] += gloss[shiny, None] * self._highlights(
                camera.centre + directions[shiny] * distance[shiny, None],
                directions[shiny] / length[shiny, None],
                torch.nn.functional.normalize(normals[shiny], dim=1),
            )
        return light.masked_fill(nothing[:, None], 0)

    def _highlights(self, points: Tensor, directions: Tensor, normals: Tensor) -> Tensor:
        """Unshadowed mirror images of the lights, and a little of the room's light at grazing angles."""
        cosine = (directions * normals).sum(1, keepdim=True)
        mirrored = directions - 2 * cosine * normals
        total: Tensor = (1 - cosine.abs()).pow(4) * 0.5 * torch.ones_like(points)
        for centre, radiance in self._lights:
            towards = torch.nn.functional.normalize(centre - points, dim=1)
            total += (mirrored * towards).sum(1, keepdim=True).clamp(0, 1).pow(30) * radiance * 0.2
        return total

    def _develop(self, light: Tensor, exposure: Exposure, rng: np.random.Generator) -> Tensor:
        """Linear light to an 8-bit picture: vignette, white balance, a film-like shoulder, gamma, noise."""
        height, width, _ = light.shape
        y = torch.linspace(-1, 1, height)[:, None]
        x = torch.linspace(-1, 1, width)[None, :]
        falloff = 1 - exposure.vignette * (x * x + y * y) / 2
        gain = exposure.gain * float(rng.uniform(0.97, 1.03))
        image = light * falloff[..., None] * torch.tensor(exposure.balance) * gain
        image = (1 - torch.exp(-1.2 * image.clamp(min=0))).pow(1 / 2.2)
        noise = torch.from_numpy(rng.standard_normal(light.shape, np.float32)) * exposure.noise
        return ((image + noise).clamp(0, 1) * 255 + 0.5).to(torch.uint8)
