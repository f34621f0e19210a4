"""Which pattern and which colors a role (wall, soft, metal, ...) may get.

Walls are mostly pale, tables wooden, toilets white: `ROLES` lists the usual looks of a role with their weights. With
probability `palette.wild` a thing takes a look from `_WILD` instead, so that no class can be told by one look alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from sray_train.data.rooms import cloths, patterns, pictures
from sray_train.data.rooms.palette import Palette
from sray_train.data.rooms.patterns import Array, Rng, Tone

Look = tuple[float, Callable[[Rng, Tone], Array], str]
"""How often (relative to the role's other looks), which pattern, which family of the palette's colors."""

_SEATS: tuple[Look, ...] = (
    (3, patterns.plain, "cloth"),
    (4, cloths.fabric, "cloth"),
    (2, cloths.leather, "cloth"),
    (0.6, cloths.stripes, "cloth"),
    (0.6, cloths.plaid, "cloth"),
    (0.8, cloths.floral, "cloth"),
    (0.4, cloths.damask, "cloth"),
    (0.2, cloths.blobs, "mixed"),
    (0.2, cloths.dots, "mixed"),
    (0.3, patterns.speckle, "mixed"),
)

ROLES: dict[str, tuple[Look, ...]] = {
    "wall": (
        (12, patterns.plain, "wall"),
        (2, patterns.plain, "white"),
        (1, patterns.plain, "color"),
        (0.5, cloths.stripes, "wall"),
        (0.5, cloths.damask, "wall"),
        (0.2, cloths.floral, "wall"),
        (0.5, patterns.brick, "stone"),
        (0.5, patterns.panels, "wood"),
        (0.6, patterns.panels, "white"),
        (0.5, patterns.speckle, "wall"),
        (0.2, cloths.blobs, "mixed"),
    ),
    "wet wall": (
        (3, patterns.tiles, "pale"),
        (3, patterns.plain, "wall"),
        (1, patterns.tiles, "mixed"),
        (1, patterns.mosaic, "mixed"),
        (0.6, patterns.hexagons, "pale"),
        (0.8, patterns.marble, "stone"),
        (0.6, patterns.plain, "color"),
        (0.5, patterns.brick, "white"),
    ),
    "floor": (
        (4, patterns.planks, "wood"),
        (1, patterns.parquet, "wood"),
        (2, cloths.carpet, "pale"),
        (2, cloths.carpet, "wall"),
        (1.5, cloths.carpet, "cloth"),
        (1, patterns.tiles, "stone"),
        (0.5, patterns.tiles, "mixed"),
        (0.5, patterns.granite, "stone"),
        (0.4, patterns.marble, "stone"),
        (0.4, patterns.plain, "stone"),
        (0.2, cloths.blobs, "mixed"),
    ),
    "wet floor": (
        (3, patterns.tiles, "stone"),
        (2, patterns.tiles, "pale"),
        (1, patterns.mosaic, "stone"),
        (1, patterns.hexagons, "pale"),
        (2, patterns.planks, "wood"),
        (0.6, patterns.marble, "stone"),
        (0.5, patterns.parquet, "wood"),
        (0.8, patterns.granite, "stone"),
    ),
    "ceiling": (
        (9, patterns.plain, "white"),
        (1.5, patterns.speckle, "white"),
        (0.7, patterns.planks, "wood"),
        (1.2, patterns.tiles, "white"),
        (0.5, patterns.plain, "wall"),
    ),
    "hard": (
        (7, patterns.wood, "wood"),
        (2, patterns.plain, "white"),
        (2, patterns.plain, "dark"),
        (1, patterns.plain, "mixed"),
        (0.5, patterns.planks, "wood"),
        (0.2, patterns.speckle, "mixed"),
        (0.4, cloths.wicker, "wood"),
    ),
    "trim": ((5, patterns.plain, "white"), (3, patterns.wood, "wood"), (0.5, patterns.plain, "mixed")),
    "metal": ((3, patterns.brushed, "metal"), (3, patterns.plain, "metal"), (1, patterns.plain, "white")),
    "soft": _SEATS,
    "bedding": (
        (4, patterns.plain, "pale"),
        (2, patterns.plain, "cloth"),
        (1.5, cloths.fabric, "pale"),
        (1.5, cloths.floral, "pale"),
        (1, cloths.floral, "cloth"),
        (1, cloths.quilt, "cloth"),
        (1, cloths.stripes, "cloth"),
        (1, cloths.plaid, "cloth"),
        (0.5, cloths.damask, "cloth"),
        (0.4, cloths.dots, "mixed"),
    ),
    "curtain": (
        (4, patterns.plain, "pale"),
        (2, patterns.plain, "cloth"),
        (2, cloths.fabric, "cloth"),
        (1, cloths.stripes, "cloth"),
        (1, cloths.floral, "pale"),
        (1, cloths.damask, "cloth"),
        (0.4, cloths.dots, "mixed"),
    ),
    "ceramic": ((9, patterns.plain, "white"), (1, patterns.plain, "pale"), (0.3, patterns.plain, "color")),
    "stone": (
        (4, patterns.granite, "stone"),
        (2, patterns.marble, "stone"),
        (1.5, patterns.plain, "white"),
        (1, patterns.plain, "dark"),
        (1.5, patterns.wood, "wood"),
        (0.7, patterns.speckle, "stone"),
        (0.5, patterns.tiles, "pale"),
    ),
    "appliance": ((4, patterns.plain, "white"), (3, patterns.brushed, "metal"), (2, patterns.plain, "dark")),
    "bulb": ((1, patterns.plain, "white"),),
    "front": (
        (3, patterns.wood, "wood"),
        (4, patterns.plain, "white"),
        (1, patterns.plain, "color"),
        (0.7, patterns.plain, "dark"),
    ),
    "dark": ((1, patterns.plain, "dark"),),
    "any": (
        (5, patterns.plain, "color"),
        (2, patterns.plain, "white"),
        (2, patterns.plain, "dark"),
        (1, patterns.plain, "wood"),
        (0.7, cloths.stripes, "mixed"),
        (0.5, cloths.dots, "mixed"),
        (0.5, patterns.speckle, "mixed"),
        (0.7, cloths.fabric, "mixed"),
        (2, pictures.package, "mixed"),
    ),
    "wicker": ((3, cloths.wicker, "wood"), (1, cloths.fabric, "mixed")),
    "leaf": ((1, patterns.plain, "color"),),
    "cardboard": ((2, patterns.plain, "wood"), (2, pictures.package, "mixed"), (1, pictures.package, "wood")),
    "rug": (
        (4, cloths.rug, "mixed"),
        (1, cloths.rug, "cloth"),
        (1, cloths.carpet, "cloth"),
        (0.7, cloths.stripes, "mixed"),
        (0.5, cloths.blobs, "mixed"),
        (0.3, cloths.quilt, "mixed"),
    ),
    "art": ((3, pictures.art, "mixed"), (3, pictures.landscape, "mixed"), (0.5, pictures.page, "mixed")),
    "page": ((1, pictures.page, "mixed"),),
    "screen": ((1, pictures.screen, "color"),),
    "outdoor": ((1, pictures.outdoor, "color"),),
}
_FIXED = ("outdoor", "screen", "bulb", "page", "art", "rug", "ceiling")
"""Roles that never take a look from `_WILD`."""
_WILD: tuple[Look, ...] = tuple((1.0, pattern, "mixed") for _, pattern, _ in (*_SEATS, *ROLES["hard"], *ROLES["wall"]))


def make_texture(role: str, rng: Rng, palette: Palette) -> Array:
    """A random texture for a role, (RESOLUTION, RESOLUTION, 3) in 0..1, linear reflectance."""
    looks = _WILD if role not in _FIXED and rng.random() < palette.wild else ROLES[role]
    weights = np.array([weight for weight, _, _ in looks])
    _, pattern, family = looks[rng.choice(len(looks), p=weights / weights.sum())]
    texture = pattern(rng, partial(palette.tone, family, rng))
    if role == "leaf":
        texture = texture * np.array([0.5, 0.8, 0.35], np.float32) + np.array([0.0, 0.04, 0.0], np.float32)
    return np.clip(texture, 0.02, 1).astype(np.float32)
