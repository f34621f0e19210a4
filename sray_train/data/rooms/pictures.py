"""Pictures rather than patterns: paintings, pages, screens, packages and what a window shows. Not meant to be tiled."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.patterns import COLUMNS, RESOLUTION, ROWS, Array, Rng, Tone, noise, vary


def art(rng: Rng, tone: Tone) -> Array:
    """A painting, poster or screen: shapes over a wash. Not meant to be tiled."""
    wash = noise(rng, rng.uniform(2, 8))[..., None]
    texture = tone() * wash + tone() * (1 - wash)
    for _ in range(rng.integers(1, 9)):
        x, y, size = rng.random(3)
        size = 0.05 + 0.3 * size
        if rng.random() < 0.5:
            shape = np.hypot(COLUMNS - x, ROWS - y) < size
        else:
            shape = (abs(COLUMNS - x) < size) & (abs(ROWS - y) < rng.uniform(0.03, 0.4))
        texture = np.where(shape[..., None], tone(), texture)
    if rng.random() < 0.3:  # a mount around the picture
        border = np.minimum(np.minimum(COLUMNS, 1 - COLUMNS), np.minimum(ROWS, 1 - ROWS)) < rng.uniform(0.06, 0.2)
        texture = np.where(border[..., None], tone(), texture)
    return vary(texture.astype(np.float32), noise(rng, 6), 0.15)


def outdoor(rng: Rng, tone: Tone) -> Array:
    """What a window shows: sky over trees, roofs, or just light. Rows run upwards, as uv do."""
    sky = np.array([0.78, 0.88, 1.0]) * rng.uniform(0.75, 1.1) if rng.random() < 0.7 else tone()
    green = np.array([0.25, 0.4, 0.15]) * rng.uniform(0.4, 1.6) + rng.uniform(0, 0.15)
    ground = green if rng.random() < 0.7 else 0.5 * tone() + 0.2
    if rng.random() < 0.35:  # roofs and walls of houses
        skyline = np.repeat(rng.uniform(0.1, 0.8, 8), RESOLUTION // 8)
    else:
        skyline = rng.uniform(-0.1, 0.7) + 0.25 * (noise(rng, 4)[0] - 0.5)
    detail = 0.5 + noise(rng, 20)[..., None]
    hidden = (skyline[None, :] > ROWS)[..., None]
    return np.asarray(np.where(hidden, ground * detail, sky * (1 - 0.25 * ROWS[..., None])), np.float32)


def landscape(rng: Rng, tone: Tone) -> Array:
    """A painted view: sky, hills one behind the other, sometimes a sun; framed in paper or not."""
    texture = tone() * (1 - 0.4 * ROWS[..., None]) + 0.3 * ROWS[..., None]
    for level in np.sort(rng.uniform(0.15, 0.75, int(rng.integers(2, 5))))[::-1]:
        ridge = level + 0.25 * (noise(rng, rng.uniform(2, 6))[0] - 0.5)
        texture = np.where((ridge[None, :] > ROWS)[..., None], vary(tone(), noise(rng, 12), 0.5), texture)
    if rng.random() < 0.4:
        border = np.minimum(np.minimum(COLUMNS, 1 - COLUMNS), np.minimum(ROWS, 1 - ROWS)) < rng.uniform(0.06, 0.2)
        texture = np.where(border[..., None], rng.uniform(0.6, 0.9), texture)
    return np.asarray(texture, np.float32)


def page(rng: Rng, tone: Tone) -> Array:
    """A printed sheet: lines of words in columns, sometimes a picture."""
    ground = rng.uniform(0.7, 0.92) * np.ones((RESOLUTION, RESOLUTION, 3), np.float32)
    lines = int(rng.integers(12, 30))
    written = ((ROWS * lines) % 1 < 0.5) & (noise(rng, 20, 2, (3, 1)) > 0.4) & (abs(COLUMNS - 0.5) < 0.42)
    texture = np.where(written[..., None], 0.25, ground)
    if rng.random() < 0.5:
        x, y = rng.uniform(0.2, 0.8, 2)
        texture = np.where(((abs(COLUMNS - x) < 0.2) & (abs(ROWS - y) < 0.15))[..., None], tone(), texture)
    return texture.astype(np.float32)


def screen(rng: Rng, tone: Tone) -> Array:
    """A display: off (nearly black), windows on a desktop, or a scene."""
    draw = rng.random()
    if draw < 0.5:
        return vary(np.full(3, rng.uniform(0.02, 0.05), np.float32), noise(rng, 2), 0.3)
    if draw < 0.75:
        return landscape(rng, tone)
    texture = np.broadcast_to(tone(), (RESOLUTION, RESOLUTION, 3)).astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        x, y, wide, tall = rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.3)
        inside = (abs(COLUMNS - x) < wide) & (abs(ROWS - y) < tall)
        texture = np.where(inside[..., None], page(rng, tone), texture)
    return texture


def package(rng: Rng, tone: Tone) -> Array:
    """A printed box or label: a ground, a band and a badge."""
    texture = np.where((abs(ROWS - rng.uniform(0.2, 0.8)) < rng.uniform(0.05, 0.3))[..., None], tone(), tone())
    x, y, size = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.3)
    texture = np.where((np.hypot(COLUMNS - x, ROWS - y) < size)[..., None], tone(), texture)
    return vary(texture.astype(np.float32), noise(rng, 6), 0.1)
