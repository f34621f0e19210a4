"""Procedural textures by kind, and which kinds a role (wall, soft, hard, ...) may get.

Roles share most of their kinds and all their colours, so that neither colour nor pattern gives a class away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESOLUTION = 128
"""Texels a side. At the usual 0.5 to 1.6 m a tile this is below a pixel of a 320 px wide image at 2 m."""

Array = NDArray[np.float32]
Rng = np.random.Generator

_ROWS, _COLUMNS = (np.mgrid[0:RESOLUTION, 0:RESOLUTION] / RESOLUTION).astype(np.float32)
_FREQUENCY = np.fft.fftfreq(RESOLUTION, 1 / RESOLUTION)
_WOODS = np.array(
    [
        [0.52, 0.35, 0.21],
        [0.70, 0.54, 0.37],
        [0.33, 0.21, 0.13],
        [0.79, 0.70, 0.56],
        [0.24, 0.20, 0.17],
        [0.87, 0.85, 0.81],
        [0.44, 0.26, 0.17],
        [0.58, 0.55, 0.52],
    ]
)


@dataclass(frozen=True)
class Palette:
    """How colourful a room is: its textures draw hues and saturations from here."""

    saturation: float
    """Factor on the saturation of every colour; 0 is grey."""
    hues: tuple[float, ...]
    """Hues (0 to 1) the room keeps to; empty for any."""

    @staticmethod
    def random(rng: Rng) -> Palette:
        hues = tuple(float(h) for h in rng.random(rng.integers(1, 4))) if rng.random() < 0.4 else ()
        return Palette(float(rng.uniform(0.35, 1.2)), hues)

    def colour(self, rng: Rng) -> Array:
        """Any colour of the palette, RGB in 0..1."""
        hue = rng.random() if not self.hues else rng.choice(self.hues) + rng.normal(0, 0.03)
        saturation = self.saturation * rng.beta(1.3, 2.0)
        value = rng.uniform(0.12, 0.95)
        k = (np.array([5.0, 3.0, 1.0]) + hue * 6) % 6
        rgb = value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
        return np.asarray(np.clip(rgb, 0.03, 0.97), np.float32)

    def pale(self, rng: Rng) -> Array:
        return np.clip(rng.uniform(0.55, 0.95) + rng.normal(0, 0.045 * self.saturation + 0.008, 3), 0.03, 0.97).astype(
            np.float32
        )

    def wood(self, rng: Rng) -> Array:
        base = _WOODS[rng.integers(len(_WOODS))] * rng.uniform(0.75, 1.15) + rng.normal(0, 0.025, 3)
        return np.asarray(np.clip(base, 0.03, 0.97), np.float32)

    def mixed(self, rng: Rng) -> Array:
        """A colour, a pale tone or a wood tone: what any surface may have."""
        return (self.colour, self.colour, self.pale, self.wood)[rng.integers(4)](rng)


def noise(rng: Rng, frequency: float, falloff: float = 4, stretch: tuple[float, float] = (1, 1)) -> Array:
    """Periodic band-limited noise in 0..1, (RESOLUTION, RESOLUTION); `stretch` lengthens it along (rows, columns)."""
    radius = np.hypot(_FREQUENCY[:, None] * stretch[0], _FREQUENCY[None, :] * stretch[1])
    amplitude = (1 + (radius / frequency) ** 2) ** (-falloff / 2)
    amplitude[0, 0] = 0
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((RESOLUTION, RESOLUTION))) * amplitude).real
    field -= field.min()
    return (field / max(float(field.max()), 1e-9)).astype(np.float32)


def _vary(colour: Array, field: Array, strength: float) -> Array:
    return np.asarray(colour * (1 + strength * (field[..., None] - 0.5)), np.float32)


def _plain(rng: Rng, palette: Palette) -> Array:
    texture = _vary(palette.mixed(rng), noise(rng, 6), 0.1)
    grain = 0.05 * rng.random() * rng.standard_normal((RESOLUTION, RESOLUTION, 1))
    return np.asarray(texture * (1 + grain), np.float32)


def _wood(rng: Rng, palette: Palette) -> Array:
    stretch = (8.0, 1.0) if rng.random() < 0.5 else (1.0, 8.0)
    colour = palette.wood(rng) if rng.random() < 0.8 else palette.colour(rng)
    return _vary(colour, noise(rng, 8, 3, stretch), rng.uniform(0.15, 0.8))


def _planks(rng: Rng, palette: Palette) -> Array:
    count = int(rng.choice([4, 6, 8]))
    row = (_ROWS * count).astype(int)
    along = _COLUMNS * 2 + 2 * rng.random(count)[row]
    tone = rng.uniform(0.78, 1.12, (count, 2))[row, along.astype(int) % 2].astype(np.float32)
    edge = ((_ROWS * count) % 1 < 0.06) | (along % 1 < 0.02)
    colour = palette.wood(rng) if rng.random() < 0.8 else palette.mixed(rng)
    texture = _vary(colour, noise(rng, 8, 3, (1, 10)), 0.35) * tone[..., None]
    return np.asarray(np.where(edge[..., None], texture * rng.uniform(0.5, 0.9), texture), np.float32)


def _tiles(rng: Rng, palette: Palette) -> Array:
    count = int(rng.choice([2, 3, 4, 6]))
    checker = ((np.floor(_COLUMNS * count) + np.floor(_ROWS * count)) % 2)[..., None] * float(rng.random() < 0.4)
    first, second = palette.pale(rng) if rng.random() < 0.6 else palette.mixed(rng), palette.mixed(rng)
    texture = _vary((first * (1 - checker) + second * checker).astype(np.float32), noise(rng, 6), 0.12)
    joint = ((_COLUMNS * count) % 1 < 0.045) | ((_ROWS * count) % 1 < 0.045)
    return np.where(joint[..., None], texture * np.float32(rng.uniform(0.5, 0.9)), texture)


def _brick(rng: Rng, palette: Palette) -> Array:
    rows = 8
    row = (_ROWS * rows).astype(int)
    along = _COLUMNS * 4 + 0.5 * (row % 2)
    tone = rng.uniform(0.72, 1.15, (rows, 4))[row, along.astype(int) % 4].astype(np.float32)
    joint = ((_ROWS * rows) % 1 < 0.11) | (along % 1 < 0.05)
    texture = _vary(palette.mixed(rng), noise(rng, 20), 0.3) * tone[..., None]
    return np.where(joint[..., None], palette.pale(rng), texture)


def _stripes(rng: Rng, palette: Palette) -> Array:
    count = int(rng.integers(2, 12))
    axis = _COLUMNS if rng.random() < 0.6 else _ROWS
    band = ((axis * count) % 1 < rng.uniform(0.2, 0.7))[..., None]
    return _vary(np.where(band, palette.mixed(rng), palette.mixed(rng)), noise(rng, 6), 0.1)


def _plaid(rng: Rng, palette: Palette) -> Array:
    count = int(rng.integers(2, 6))
    across = 0.5 * ((_COLUMNS * count) % 1 < 0.4)[..., None]
    down = 0.5 * ((_ROWS * count) % 1 < 0.4)[..., None]
    base = palette.mixed(rng) * (1 - across) + palette.mixed(rng) * across
    return np.asarray(base * (1 - down) + palette.mixed(rng) * down, np.float32)


def _fabric(rng: Rng, palette: Palette) -> Array:
    threads = 24 * 2 * np.pi
    weave = 0.5 + 0.5 * np.sin(threads * _COLUMNS) * np.sin(threads * _ROWS)
    return _vary(_vary(palette.mixed(rng), weave.astype(np.float32), 0.2), noise(rng, 6), 0.25)


def _blobs(rng: Rng, palette: Palette) -> Array:
    field = noise(rng, rng.uniform(4, 12))
    level = np.quantile(field, rng.uniform(0.35, 0.75))
    mask = np.clip((field - level) * 40 + 0.5, 0, 1)[..., None]
    return np.asarray(palette.mixed(rng) * mask + palette.mixed(rng) * (1 - mask), np.float32)


def _speckle(rng: Rng, palette: Palette) -> Array:
    return _vary(palette.mixed(rng), noise(rng, 40, 3), rng.uniform(0.4, 1.4))


def _dots(rng: Rng, palette: Palette) -> Array:
    count = int(rng.integers(3, 9))
    radius = np.hypot((_COLUMNS * count) % 1 - 0.5, (_ROWS * count) % 1 - 0.5)
    spot = (radius < rng.uniform(0.12, 0.35))[..., None]
    return _vary(np.where(spot, palette.mixed(rng), palette.mixed(rng)), noise(rng, 6), 0.1)


def _art(rng: Rng, palette: Palette) -> Array:
    """A painting, poster or screen: shapes over a wash. Not meant to be tiled."""
    wash = noise(rng, rng.uniform(2, 8))[..., None]
    texture = palette.colour(rng) * wash + palette.mixed(rng) * (1 - wash)
    for _ in range(rng.integers(1, 9)):
        x, y, size = rng.random(3)
        size = 0.05 + 0.3 * size
        if rng.random() < 0.5:
            shape = np.hypot(_COLUMNS - x, _ROWS - y) < size
        else:
            shape = (abs(_COLUMNS - x) < size) & (abs(_ROWS - y) < rng.uniform(0.03, 0.4))
        texture = np.where(shape[..., None], palette.mixed(rng), texture)
    if rng.random() < 0.3:  # a mount around the picture
        border = np.minimum(np.minimum(_COLUMNS, 1 - _COLUMNS), np.minimum(_ROWS, 1 - _ROWS)) < rng.uniform(0.06, 0.2)
        texture = np.where(border[..., None], palette.pale(rng), texture)
    return _vary(texture.astype(np.float32), noise(rng, 6), 0.15)


def _outdoor(rng: Rng, palette: Palette) -> Array:
    """What a window shows: sky over trees, roofs, or just light. Rows run upwards, as uv do."""
    sky = np.array([0.78, 0.88, 1.0]) * rng.uniform(0.75, 1.1) if rng.random() < 0.7 else palette.pale(rng)
    ground = palette.colour(rng) * (np.array([0.7, 1.0, 0.6]) if rng.random() < 0.6 else 1.0)
    if rng.random() < 0.35:  # roofs and walls of houses
        skyline = np.repeat(rng.uniform(0.1, 0.8, 8), RESOLUTION // 8)
    else:
        skyline = rng.uniform(-0.1, 0.7) + 0.25 * (noise(rng, 4)[0] - 0.5)
    detail = 0.5 + noise(rng, 20)[..., None]
    hidden = (skyline[None, :] > _ROWS)[..., None]
    return np.asarray(np.where(hidden, ground * detail, sky * (1 - 0.25 * _ROWS[..., None])), np.float32)


_KINDS: dict[str, Callable[[Rng, Palette], Array]] = {
    "plain": _plain,
    "wood": _wood,
    "planks": _planks,
    "tiles": _tiles,
    "brick": _brick,
    "stripes": _stripes,
    "plaid": _plaid,
    "fabric": _fabric,
    "blobs": _blobs,
    "speckle": _speckle,
    "dots": _dots,
    "art": _art,
    "outdoor": _outdoor,
}

ROLES: dict[str, tuple[str, ...]] = {
    "wall": (
        "plain",
        "plain",
        "plain",
        "plain",
        "plain",
        "plain",
        "stripes",
        "brick",
        "blobs",
        "wood",
        "tiles",
        "speckle",
        "planks",
    ),
    "floor": ("planks", "planks", "tiles", "plain", "fabric", "speckle", "wood", "blobs"),
    "ceiling": ("plain", "plain", "plain", "wood", "planks", "tiles", "speckle"),
    "hard": ("wood", "wood", "plain", "plain", "plain", "speckle", "tiles", "stripes", "planks"),
    "soft": ("fabric", "fabric", "plain", "plain", "stripes", "plaid", "blobs", "speckle", "dots"),
    "any": ("wood", "plain", "plain", "fabric", "stripes", "speckle", "dots", "plaid", "blobs", "tiles", "art"),
    "art": ("art",),
    "outdoor": ("outdoor",),
}
"""The texture kinds a role draws from; a kind listed twice comes twice as often."""


def make_texture(role: str, rng: Rng, palette: Palette) -> Array:
    """A random texture for a role, (RESOLUTION, RESOLUTION, 3) in 0..1, linear reflectance."""
    kind = str(rng.choice(ROLES[role]))
    return np.clip(_KINDS[kind](rng, palette), 0.02, 1).astype(np.float32)
