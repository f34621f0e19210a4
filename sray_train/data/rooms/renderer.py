"""Pictures of a lit room: one Embree ray a sample, shaded in torch.

Depth and labels come from one ray through the pixel's center and are never blended; color is the mean of 2x2 rays,
each at its own moment while the shutter is open. Labels are NYU40 ids.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sray.camera import Camera
from sray.frames import Frame
from sray_train.data.rooms.lighting import LitScene

SAMPLES = 2
"""Color rays a pixel, each way."""


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
        """Bilinear color (rays, 3) at the level whose texels are about as wide as a sample."""
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
        self._mirror = torch.from_numpy(lit.scene.mirror)
        self._lights = [
            (torch.from_numpy(light.center), torch.from_numpy(np.asarray(light.radiance))) for light in lit.scene.lights
        ]

    def brightness(self, camera: Camera) -> NDArray[np.float32]:
        """Mean light (rays,) along a coarse grid of rays through a picture: what a light meter would see."""
        camera = camera.resized(24, 18)
        directions = camera.ray_directions(camera.pixel_grid()).numpy()
        triangle = self._lit.caster.cast(np.broadcast_to(camera.center.numpy(), directions.shape), directions).triangle
        return np.asarray(self._lit.glow[triangle].mean(1), np.float32)

    def render(self, camera: Camera, name: str = "", shutter: tuple[Camera, ...] = ()) -> tuple[Frame, Tensor]:
        """One frame whose picture is still black, and the linear light (height, width, 3) its picture is made from.

        `shutter`: where the camera is at SAMPLES * SAMPLES moments while the picture is taken; it blurs the light, not
        depth and labels. Empty: it stands still.
        """
        width, height = camera.width, camera.height
        pixels = camera.pixel_grid()
        distance, triangle, *_ = self._cast(camera, pixels)
        nothing = triangle < 0
        labels = torch.from_numpy(self._lit.labels)[triangle.clamp(min=0)]
        offsets = (torch.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
        shifts = torch.cartesian_prod(offsets, offsets)
        light = torch.zeros(len(pixels), 3)
        for moment, shift in zip(shutter or (camera,) * len(shifts), shifts, strict=True):
            light += self._shade(moment, pixels + shift)
        frame = Frame(
            image=torch.zeros(height, width, 3, dtype=torch.uint8),
            camera=camera,
            depth=distance.masked_fill(nothing, torch.nan).reshape(height, width),
            labels=labels.masked_fill(nothing, 0).reshape(height, width),
            name=name,
        )
        return frame, (light / len(shifts)).reshape(height, width, 3)

    def _cast(self, camera: Camera, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        directions = camera.ray_directions(pixels)
        return self._follow(camera.center.expand_as(directions), directions)

    def _follow(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        origins_array = np.asarray(origins.numpy())
        hits = self._lit.caster.cast(origins_array, directions.numpy())
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
        directions = camera.ray_directions(pixels)
        focal = float(camera.intrinsics[0, 0]) * SAMPLES
        return self._gather(camera.center.expand_as(directions), directions, focal, mirrors=1)

    def _gather(self, origins: Tensor, directions: Tensor, focal: float, mirrors: int) -> Tensor:
        """Linear light (rays, 3) along rays; `mirrors` is how many reflections are still followed."""
        distance, triangle, u, v, _ = self._follow(origins, directions)
        nothing = triangle < 0
        triangle = triangle.clamp(min=0)
        corners = self._corners[triangle]
        mixed = corners[:, 0] * (1 - u - v)[:, None] + corners[:, 1] * u[:, None] + corners[:, 2] * v[:, None]
        uv, irradiance, normals = mixed[:, :2], mixed[:, 2:5], mixed[:, 5:]
        material = self._materials[triangle]
        length = directions.norm(dim=1)
        facing = (directions * normals).sum(1).abs() / length
        texels = distance * self._density[triangle] * (self._textures.size / focal) / facing.clamp(min=0.2)
        albedo = self._textures.look_up(material, uv, texels)
        light = albedo * (irradiance + self._emission[material][:, None])
        gloss = self._gloss[material]
        shiny = (gloss > 0).nonzero()[:, 0]
        if len(shiny):
            light[shiny] += gloss[shiny, None] * self._highlights(
                origins[shiny] + directions[shiny] * distance[shiny, None],
                directions[shiny] / length[shiny, None],
                torch.nn.functional.normalize(normals[shiny], dim=1),
            )
        mirror = self._mirror[material]
        glass = (mirror > 0).nonzero()[:, 0] if mirrors else ()
        if len(glass):
            normal = torch.nn.functional.normalize(normals[glass], dim=1)
            along = directions[glass]
            reflected = along - 2 * (along * normal).sum(1, keepdim=True) * normal
            points = origins[glass] + along * distance[glass, None] - 1e-3 * along
            share = mirror[glass, None]
            behind = self._gather(points, reflected, focal, mirrors - 1)
            light[glass] = (1 - share) * light[glass] + share * behind
        return light.masked_fill(nothing[:, None], 0)

    def _highlights(self, points: Tensor, directions: Tensor, normals: Tensor) -> Tensor:
        """Unshadowed mirror images of the lights, and a little of the room's light at grazing angles."""
        cosine = (directions * normals).sum(1, keepdim=True)
        mirrored = directions - 2 * cosine * normals
        total: Tensor = (1 - cosine.abs()).pow(4) * 0.5 * torch.ones_like(points)
        for center, radiance in self._lights:
            towards = torch.nn.functional.normalize(center - points, dim=1)
            total += (mirrored * towards).sum(1, keepdim=True).clamp(0, 1).pow(30) * radiance * 0.2
        return total
