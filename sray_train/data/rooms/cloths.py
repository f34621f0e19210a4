"""Patterns of cloth, carpet, leather and wicker; see `patterns`."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.patterns import COLUMNS, RESOLUTION, ROWS, Array, Rng, Tone, noise, vary


def stripes(rng: Rng, tone: Tone) -> Array:
    count = int(rng.integers(2, 12))
    axis = COLUMNS if rng.random() < 0.6 else ROWS
    band = ((axis * count) % 1 < rng.uniform(0.2, 0.7))[..., None]
    return vary(np.where(band, tone(), tone()), noise(rng, 6), 0.1)


def plaid(rng: Rng, tone: Tone) -> Array:
    count = int(rng.integers(2, 6))
    across = 0.5 * ((COLUMNS * count) % 1 < 0.4)[..., None]
    down = 0.5 * ((ROWS * count) % 1 < 0.4)[..., None]
    base = tone() * (1 - across) + tone() * across
    return np.asarray(base * (1 - down) + tone() * down, np.float32)


def fabric(rng: Rng, tone: Tone) -> Array:
    threads = 24 * 2 * np.pi
    weave = 0.5 + 0.5 * np.sin(threads * COLUMNS) * np.sin(threads * ROWS)
    return vary(vary(tone(), weave.astype(np.float32), 0.2), noise(rng, 6), 0.25)


def blobs(rng: Rng, tone: Tone) -> Array:
    field = noise(rng, rng.uniform(4, 12))
    level = np.quantile(field, rng.uniform(0.35, 0.75))
    mask = np.clip((field - level) * 40 + 0.5, 0, 1)[..., None]
    return np.asarray(tone() * mask + tone() * (1 - mask), np.float32)


def dots(rng: Rng, tone: Tone) -> Array:
    count = int(rng.integers(3, 9))
    radius = np.hypot((COLUMNS * count) % 1 - 0.5, (ROWS * count) % 1 - 0.5)
    spot = (radius < rng.uniform(0.12, 0.35))[..., None]
    return vary(np.where(spot, tone(), tone()), noise(rng, 6), 0.1)


def carpet(rng: Rng, tone: Tone) -> Array:
    """Short pile: fine grain and wide soft shades."""
    grain = rng.standard_normal((RESOLUTION, RESOLUTION)).astype(np.float32)
    return vary(vary(tone(), noise(rng, 4), 0.15), 0.5 + 0.25 * grain, rng.uniform(0.1, 0.4))


def leather(rng: Rng, tone: Tone) -> Array:
    """Fine wrinkles and worn places."""
    wrinkle = 1 - abs(2 * noise(rng, 25, 3) - 1)
    return vary(vary(tone(), wrinkle, 0.25), noise(rng, 3), 0.35)


def wicker(rng: Rng, tone: Tone) -> Array:
    count = int(rng.choice([8, 12, 16]))
    over = (np.floor(COLUMNS * count) + np.floor(ROWS * count)) % 2
    strand = np.where(over > 0, np.sin(np.pi * ((COLUMNS * count) % 1)), np.sin(np.pi * ((ROWS * count) % 1)))
    return vary(tone() * (0.45 + 0.55 * strand[..., None]).astype(np.float32), noise(rng, 8), 0.3)


def floral(rng: Rng, tone: Tone) -> Array:
    """Flowers of a few petals strewn over a ground."""
    texture = vary(tone(), noise(rng, 6), 0.1)
    colors = [tone() for _ in range(3)]
    for k in range(int(rng.integers(8, 30))):
        x, y = rng.random(2)
        size, petals = rng.uniform(0.03, 0.1), int(rng.integers(4, 7))
        dx, dy = (COLUMNS - x + 0.5) % 1 - 0.5, (ROWS - y + 0.5) % 1 - 0.5
        radius = np.hypot(dx, dy) / size
        leaf = radius < 0.65 + 0.35 * np.cos(petals * np.arctan2(dy, dx) + k)
        texture = np.where(leaf[..., None], colors[k % 3], texture)
        texture = np.where((radius < 0.2)[..., None], colors[(k + 1) % 3], texture)
    return texture.astype(np.float32)


def damask(rng: Rng, tone: Tone) -> Array:
    """A mirrored ornament in two near shades, repeated."""
    count = int(rng.integers(2, 5))
    field = noise(rng, rng.uniform(5, 9))
    u, v = abs((COLUMNS * count) % 1 - 0.5), abs((ROWS * count) % 1 - 0.5)
    ornament = field[(v * RESOLUTION).astype(int) % RESOLUTION, (u * RESOLUTION).astype(int) % RESOLUTION]
    mask = np.clip((ornament - np.median(ornament)) * 30 + 0.5, 0, 1)[..., None]
    first = tone()
    second = first * np.float32(rng.uniform(0.6, 0.9)) if rng.random() < 0.6 else tone()
    return np.asarray(first * mask + second * (1 - mask), np.float32)


def quilt(rng: Rng, tone: Tone) -> Array:
    """Patches of a few colors with seams."""
    count = int(rng.integers(3, 9))
    colors = np.stack([tone() for _ in range(int(rng.integers(1, 6)))])
    pick = colors[rng.integers(len(colors), size=(count, count))]
    texture = pick[(ROWS * count).astype(int) % count, (COLUMNS * count).astype(int) % count]
    seam = np.minimum(abs((COLUMNS * count) % 1 - 0.5), abs((ROWS * count) % 1 - 0.5)) > 0.44
    return vary(np.where(seam[..., None], texture * 0.8, texture).astype(np.float32), noise(rng, 10), 0.25)


def rug(rng: Rng, tone: Tone) -> Array:
    """A woven rug with borders around a mirrored ornament. Not meant to be tiled."""
    edge = np.minimum(np.minimum(COLUMNS, 1 - COLUMNS), np.minimum(ROWS, 1 - ROWS))
    texture = damask(rng, tone)
    depth = 0.0
    for _ in range(int(rng.integers(1, 4))):
        depth += float(rng.uniform(0.02, 0.06))
    band = depth
    while band > 0:
        texture = np.where((edge < band)[..., None], tone(), texture)
        band -= float(rng.uniform(0.02, 0.06))
    return vary(texture.astype(np.float32), noise(rng, 40, 2), 0.3)
