"""Light baked once per room at the corners of finely cut triangles: lamps, windows, the sun, one bounce.

Baked light does not depend on the view, so all pictures of a room agree, and a frame costs no shadow ray. The same ray
pattern serves all points: neighbors then err alike, which looks smooth where random patterns look mottled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sray_train.data.rooms.ray_caster import RayCaster
from sray_train.data.rooms.scene import Light, Scene, nyu40_id

Array = NDArray[np.float32]

LONGEST_EDGE = 0.16
"""Meters. Shorter edges give sharper shadows and cost time: halving it makes four times the points."""
LIGHT_SAMPLES = 3
"""A side of the grid of sample points on an area light."""
BOUNCE_RAYS = 32
NEAREST_LIGHT = 0.4
"""Meters. Nothing is lit more brightly than at this distance."""
BULB_AREA = 0.12
"""A light without a normal counts as this many square meters: bulbs are small and bright."""


@dataclass(frozen=True)
class LitScene:
    """A scene cut into small triangles with the light that reaches their corners."""

    scene: Scene
    caster: RayCaster
    uv: Array
    """(triangles, 3, 2)"""
    normals: Array
    """(triangles, 3, 3)"""
    irradiance: Array
    """(triangles, 3, 3): RGB at each corner."""
    labels: NDArray[np.uint8]
    instances: NDArray[np.int32]
    materials: NDArray[np.int32]
    texel_density: Array
    """(triangles,): texture repeats per meter."""
    glow: Array
    """(triangles, 3): what the mean color of a triangle sends back and emits."""


def light_scene(scene: Scene) -> LitScene:
    """Cut and bake. Deterministic."""
    vertices, uv, normals, origin = _cut(scene.vertices, scene.uv, scene.normals, LONGEST_EDGE)
    caster = RayCaster(vertices)
    materials = scene.materials[origin]
    albedo = scene.textures.mean((1, 2))[materials]
    emitted = scene.emission[materials][:, None] * albedo
    points, point_normals, inverse = _points(vertices, normals)
    direct = np.zeros_like(points)
    for light in scene.lights:
        direct += _direct(caster, light, points, point_normals)
    if scene.sun is not None:
        is_pane = (scene.labels == nyu40_id("window")) & (scene.emission[scene.materials] > 0)
        direct += _sunlight(caster, scene.sun, is_pane[origin], points, point_normals)
    per_triangle = direct[inverse].reshape(-1, 3, 3).mean(1)
    # One bounce is traced; what further bounces would add is a constant share of the light in the room.
    ambient = np.float32(0.04) + np.float32(0.2) * per_triangle.mean(0)
    # Lights reach the points directly. What shines or stands right at a bulb is left out here: few rays would hit it,
    # and those that do would be bright spots on the walls.
    lit = np.minimum(per_triangle, 2.5 * np.quantile(per_triangle.mean(1), 0.75))
    sent = (albedo * (lit + ambient)).astype(np.float32)
    total = direct + _bounced(caster, points, point_normals, sent, ambient)
    irradiance = total[inverse].reshape(-1, 3, 3)
    return LitScene(
        scene=scene,
        caster=caster,
        uv=uv,
        normals=normals,
        irradiance=irradiance,
        labels=scene.labels[origin],
        instances=scene.instances[origin],
        materials=materials,
        texel_density=_density(vertices, uv),
        glow=albedo * irradiance.mean(1) + emitted,
    )


def _cut(vertices: Array, uv: Array, normals: Array, longest: float) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Halve triangles at their longest edge until no edge is longer; also the index of the triangle each came from."""
    together = np.concatenate([vertices, uv, normals], -1)
    origin = np.arange(len(vertices))
    done, done_origin = [], []
    while len(together):
        edges = np.linalg.norm(together[..., :3] - np.roll(together[..., :3], -1, 1), axis=2)
        long = edges.max(1) > longest
        done.append(together[~long])
        done_origin.append(origin[~long])
        together, origin = together[long], origin[long]
        first = edges[long].argmax(1)
        order = (first[:, None] + np.arange(3)) % 3
        corner = np.take_along_axis(together, order[..., None], 1)
        middle = (corner[:, 0] + corner[:, 1]) / 2
        together = np.concatenate(
            [np.stack([corner[:, 0], middle, corner[:, 2]], 1), np.stack([middle, corner[:, 1], corner[:, 2]], 1)]
        )
        origin = np.concatenate([origin, origin])
    cut = np.concatenate(done)
    cut_normals = cut[..., 5:]
    cut_normals = cut_normals / (np.linalg.norm(cut_normals, axis=-1, keepdims=True) + 1e-9)
    return (
        np.ascontiguousarray(cut[..., :3]),
        np.ascontiguousarray(cut[..., 3:5]),
        cut_normals.astype(np.float32),
        np.concatenate(done_origin),
    )


def _points(vertices: Array, normals: Array) -> tuple[Array, Array, NDArray[np.int64]]:
    """Corners that share place and normal, once each: points, normals, and the point of every corner."""
    corners, directions = vertices.reshape(-1, 3), normals.reshape(-1, 3)
    # Pulled towards their triangle's middle, or points on contact lines would lie inside the neighbor.
    pulled = (0.9 * vertices + 0.1 * vertices.mean(1, keepdims=True)).reshape(-1, 3)
    key = np.concatenate([np.round(corners * 2000), np.round(directions * 50)], 1).astype(np.int64)
    # One 64-bit hash a corner (wrapping products): sorting single numbers is ten times faster than sorting rows.
    mixer = np.random.default_rng(0).integers(2**62, size=6) * 2 + 1
    _, first, inverse = np.unique((key * mixer).sum(1), return_index=True, return_inverse=True)
    normal = directions[first]
    return (pulled[first] + 2e-3 * normal).astype(np.float32), normal, inverse.reshape(-1)


def _direct(caster: RayCaster, light: Light, points: Array, normals: Array) -> Array:
    """Irradiance (points, 3) from one light: shadow rays to a grid of points on it."""
    side = LIGHT_SAMPLES if light.normal is not None else 1
    steps = (np.arange(side) + 0.5) / side * 2 - 1
    total = np.zeros(len(points), np.float32)
    for a in steps:
        for b in steps:
            # A slight turn of the grid keeps the samples' shadows from lining up along walls.
            target = light.center + (a + 0.15 * b) * light.half_width + (b - 0.15 * a) * light.half_height
            towards = (target - points).astype(np.float32)
            distance = np.linalg.norm(towards, axis=1)
            towards /= np.maximum(distance, 1e-4)[:, None]
            weight = np.clip((towards * normals).sum(1), 0, 1) / np.maximum(distance, NEAREST_LIGHT) ** 2
            if light.normal is not None:
                weight *= np.clip(-(towards @ light.normal), 0, 1)
            reached = np.flatnonzero(weight > 1e-3)
            shadowed = caster.occluded(points[reached], towards[reached], distance[reached] - 0.02)
            weight[reached[shadowed]] = 0
            total += weight
    area = 4 * np.linalg.norm(light.half_width) * np.linalg.norm(light.half_height)
    power = light.radiance * np.float32((area if light.normal is not None else BULB_AREA) / side**2)
    return np.asarray(total[:, None] * power, np.float32)


def _sunlight(caster: RayCaster, sun: Light, is_pane: NDArray[np.bool_], points: Array, normals: Array) -> Array:
    """Irradiance (points, 3) from the sun where the way to it leads through a window; `is_pane` is per triangle."""
    if sun.normal is None:
        raise ValueError("the sun has no direction; expected the way to it as its normal")
    weight = np.clip(normals @ sun.normal, 0, 1).astype(np.float32)
    reached = np.flatnonzero(weight > 1e-3)
    towards = np.broadcast_to(sun.normal, (len(reached), 3)).astype(np.float32)
    met = caster.cast(points[reached], towards).triangle
    weight[reached[(met < 0) | ~is_pane[met]]] = 0
    return np.asarray(weight[:, None] * sun.radiance, np.float32)


def _bounced(caster: RayCaster, points: Array, normals: Array, sent: Array, ambient: Array) -> Array:
    """Mean of what a cosine-weighted set of rays sees: one bounce, and dark where near things close the view."""
    index = np.arange(BOUNCE_RAYS) + 0.5
    radius, angle = np.sqrt(index / BOUNCE_RAYS), index * np.pi * (3 - np.sqrt(5))  # a golden-angle spiral
    pattern = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)], -1).astype(np.float32)
    helper = np.where(abs(normals[:, :1]) < 0.9, *np.eye(3, dtype=np.float32)[:2])
    tangent = np.cross(normals, helper)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    frame = np.stack([tangent, np.cross(normals, tangent), normals], 1)
    total = np.zeros_like(points)
    for direction in pattern:
        triangle = caster.cast(points, (direction @ frame).astype(np.float32)).triangle
        total += np.where((triangle >= 0)[:, None], sent[triangle], ambient)
    return np.asarray(total / BOUNCE_RAYS, np.float32)


def _density(vertices: Array, uv: Array) -> Array:
    edges = vertices[:, 1:] - vertices[:, :1]
    uv_edges = uv[:, 1:] - uv[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    uv_area = abs(uv_edges[:, 0, 0] * uv_edges[:, 1, 1] - uv_edges[:, 0, 1] * uv_edges[:, 1, 0])
    return np.asarray(np.sqrt(uv_area / np.maximum(area, 1e-9)), np.float32)
