"""Procedural patterns: wood, tiles, weave, marble, ... Each is a function of random numbers and of a source of colors.

A pattern is (RESOLUTION, RESOLUTION, 3), linear reflectance, and repeats without a seam where it says nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RESOLUTION = 128
"""Texels a side. At the usual 0.5 to 1.6 m a tile this is below a pixel of a 320 px wide image at 2 m."""

Array = NDArray[np.float32]
Rng = np.random.Generator
Tone = Callable[[], Array]
"""Draws a color, RGB in 0..1."""

ROWS, COLUMNS = (np.mgrid[0:RESOLUTION, 0:RESOLUTION] / RESOLUTION).astype(np.float32)
_FREQUENCY = np.fft.fftfreq(RESOLUTION, 1 / RESOLUTION)


def noise(rng: Rng, frequency: float, falloff: float = 4, stretch: tuple[float, float] = (1, 1)) -> Array:
    """Periodic band-limited noise in 0..1, (RESOLUTION, RESOLUTION); `stretch` lengthens it along (rows, columns)."""
    radius = np.hypot(_FREQUENCY[:, None] * stretch[0], _FREQUENCY[None, :] * stretch[1])
    amplitude = (1 + (radius / frequency) ** 2) ** (-falloff / 2)
    amplitude[0, 0] = 0
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((RESOLUTION, RESOLUTION))) * amplitude).real
    field -= field.min()
    return (field / max(float(field.max()), 1e-9)).astype(np.float32)


def vary(color: Array, field: Array, strength: float) -> Array:
    """A color made lighter and darker by a field of 0..1."""
    return np.asarray(color * (1 + strength * (field[..., None] - 0.5)), np.float32)


def plain(rng: Rng, tone: Tone) -> Array:
    texture = vary(tone(), noise(rng, 6), 0.1)
    grain = 0.05 * rng.random() * rng.standard_normal((RESOLUTION, RESOLUTION, 1))
    return np.asarray(texture * (1 + grain), np.float32)


def wood(rng: Rng, tone: Tone) -> Array:
    stretch = (8.0, 1.0) if rng.random() < 0.5 else (1.0, 8.0)
    return vary(tone(), noise(rng, 8, 3, stretch), rng.uniform(0.15, 0.8))


def planks(rng: Rng, tone: Tone) -> Array:
    count = int(rng.choice([4, 6, 8]))
    row = (ROWS * count).astype(int)
    along = COLUMNS * 2 + 2 * rng.random(count)[row]
    shade = rng.uniform(0.78, 1.12, (count, 2))[row, along.astype(int) % 2].astype(np.float32)
    edge = ((ROWS * count) % 1 < 0.06) | (along % 1 < 0.02)
    texture = vary(tone(), noise(rng, 8, 3, (1, 10)), 0.35) * shade[..., None]
    return np.asarray(np.where(edge[..., None], texture * rng.uniform(0.5, 0.9), texture), np.float32)


def tiles(rng: Rng, tone: Tone) -> Array:
    count = int(rng.choice([2, 3, 4, 6]))
    checker = ((np.floor(COLUMNS * count) + np.floor(ROWS * count)) % 2)[..., None] * float(rng.random() < 0.4)
    first = tone()
    second = tone()
    texture = vary((first * (1 - checker) + second * checker).astype(np.float32), noise(rng, 6), 0.12)
    joint = ((COLUMNS * count) % 1 < 0.045) | ((ROWS * count) % 1 < 0.045)
    return np.where(joint[..., None], texture * np.float32(rng.uniform(0.5, 0.9)), texture)


def brick(rng: Rng, tone: Tone) -> Array:
    rows = 8
    row = (ROWS * rows).astype(int)
    along = COLUMNS * 4 + 0.5 * (row % 2)
    shade = rng.uniform(0.72, 1.15, (rows, 4))[row, along.astype(int) % 4].astype(np.float32)
    joint = ((ROWS * rows) % 1 < 0.11) | (along % 1 < 0.05)
    texture = vary(tone(), noise(rng, 20), 0.3) * shade[..., None]
    return np.where(joint[..., None], tone(), texture)


def speckle(rng: Rng, tone: Tone) -> Array:
    return vary(tone(), noise(rng, 40, 3), rng.uniform(0.4, 1.4))


def panels(rng: Rng, tone: Tone) -> Array:
    """Upright boards with a groove between them: wainscot and paneling."""
    count = int(rng.integers(4, 11))
    texture = vary(tone(), noise(rng, 8, 3, (1, 8)), rng.uniform(0.02, 0.25))
    groove = ((COLUMNS * count) % 1 < 0.07)[..., None]
    return np.asarray(np.where(groove, texture * rng.uniform(0.6, 0.85), texture), np.float32)


def parquet(rng: Rng, tone: Tone) -> Array:
    """Squares of short boards, turned from one square to the next."""
    count, boards = int(rng.choice([2, 4])), int(rng.integers(3, 6))
    upright = (np.floor(COLUMNS * count) + np.floor(ROWS * count)) % 2 > 0
    across = np.where(upright, COLUMNS, ROWS) * count * boards
    shade = rng.uniform(0.75, 1.15, (count, count, boards)).astype(np.float32)[
        (ROWS * count).astype(int), (COLUMNS * count).astype(int), across.astype(int) % boards
    ]
    texture = vary(tone(), noise(rng, 12, 3), 0.3) * shade[..., None]
    return np.asarray(np.where((across % 1 < 0.06)[..., None], texture * 0.7, texture), np.float32)


def hexagons(rng: Rng, tone: Tone) -> Array:
    """Six-sided tiles in two shades."""
    count = int(rng.choice([4, 6, 8]))
    x, y = COLUMNS * count, ROWS * count
    spots = [(x - np.round(x), y - np.round(y)), (x - np.floor(x) - 0.5, y - np.floor(y) - 0.5)]
    first, second = (np.maximum(abs(a), 0.5 * abs(a) + 0.75 * abs(b)) for a, b in spots)
    pattern = np.where((first < second)[..., None], tone(), tone() if rng.random() < 0.5 else tone() * np.float32(0.95))
    joint = (abs(first - second) < 0.05)[..., None]
    return np.where(joint, np.float32(rng.uniform(0.4, 0.9)), vary(pattern.astype(np.float32), noise(rng, 6), 0.12))


def mosaic(rng: Rng, tone: Tone) -> Array:
    """Small tiles, each of its own shade out of a few colors."""
    count = int(rng.choice([8, 12, 16]))
    colors = np.stack([tone() for _ in range(int(rng.integers(1, 5)))])
    pick = rng.integers(len(colors), size=(count, count))
    grid = colors[pick] * rng.uniform(0.8, 1.15, (count, count, 1))
    texture = grid[(ROWS * count).astype(int), (COLUMNS * count).astype(int)].astype(np.float32)
    joint = ((COLUMNS * count) % 1 < 0.12) | ((ROWS * count) % 1 < 0.12)
    return np.asarray(np.where(joint[..., None], rng.uniform(0.4, 0.85), texture), np.float32)


def marble(rng: Rng, tone: Tone) -> Array:
    """Veins where a noise field crosses its middle, over a cloudy ground."""
    field = noise(rng, rng.uniform(3, 7), 3)
    vein = np.exp(-abs(field - np.median(field)) * rng.uniform(25, 70))[..., None]
    ground = vary(tone(), noise(rng, 5), 0.3)
    return np.asarray(ground * (1 - 0.6 * vein) + tone() * 0.6 * vein, np.float32)


def granite(rng: Rng, tone: Tone) -> Array:
    """Grains of three shades."""
    grain = noise(rng, rng.uniform(25, 60), 2)
    texture = vary(tone(), noise(rng, 8), 0.2)
    for low, color in ((0.12, tone() * np.float32(0.4)), (0.1, tone() * np.float32(1.3))):
        texture = np.where((grain < np.quantile(grain, low))[..., None], color, texture)
        grain = noise(rng, 40, 2)
    return np.asarray(texture, np.float32)


def brushed(rng: Rng, tone: Tone) -> Array:
    """Metal with fine lines one way and soft reflections the other."""
    fine = noise(rng, 30, 2, (1, 20) if rng.random() < 0.5 else (20, 1))
    return vary(vary(tone(), fine, 0.15), noise(rng, 2), rng.uniform(0.1, 0.6))
