"""The colors of a room: few hues that go together, the woods, stones and metals of homes, and how wild it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Rng = np.random.Generator

_WOODS = np.array(
    [
        [0.52, 0.33, 0.18],
        [0.66, 0.46, 0.26],
        [0.30, 0.16, 0.09],
        [0.76, 0.62, 0.43],
        [0.17, 0.11, 0.08],
        [0.42, 0.20, 0.11],
        [0.36, 0.24, 0.15],
        [0.58, 0.38, 0.22],
        [0.50, 0.45, 0.40],
    ]
)
_STONES = np.array(
    [
        [0.62, 0.55, 0.45],
        [0.75, 0.72, 0.66],
        [0.35, 0.33, 0.31],
        [0.12, 0.12, 0.13],
        [0.52, 0.38, 0.28],
        [0.8, 0.8, 0.8],
    ]
)
_METALS = np.array([[0.62, 0.62, 0.63], [0.45, 0.44, 0.43], [0.66, 0.53, 0.31], [0.12, 0.12, 0.12], [0.75, 0.75, 0.75]])
_WALLS = np.array(
    [
        [0.82, 0.80, 0.75],
        [0.78, 0.70, 0.56],
        [0.84, 0.83, 0.82],
        [0.72, 0.66, 0.55],
        [0.62, 0.64, 0.62],
        [0.80, 0.74, 0.63],
        [0.66, 0.72, 0.74],
        [0.70, 0.74, 0.64],
        [0.78, 0.64, 0.56],
    ]
)


@dataclass(frozen=True)
class Palette:
    """Where a room's textures draw colors from."""

    saturation: float
    """Factor on the saturation of every color; 0 is gray."""
    hues: tuple[float, ...]
    """Hues (0 to 1) the room keeps to; empty for any."""
    wild: float
    """Share of things that take any color and pattern, whatever they are: it keeps a class from having one look."""
    woods: tuple[int, ...]
    """Which woods the room keeps to."""

    @staticmethod
    def random(rng: Rng) -> Palette:
        hues = tuple(float(h) for h in rng.random(rng.integers(1, 4))) if rng.random() < 0.55 else ()
        wild = float(rng.uniform(0.0, 0.12)) if rng.random() < 0.8 else float(rng.uniform(0.3, 0.9))
        woods = tuple(int(k) for k in rng.integers(len(_WOODS), size=rng.integers(1, 4)))
        return Palette(float(rng.uniform(0.35, 1.2)), hues, wild, woods)

    def tone(self, name: str, rng: Rng) -> Array:
        """A color of a family, which is a method's name: RGB in 0..1. Raises KeyError for a family there is not."""
        return _clip(vars(Palette)[name](self, rng))

    def color(self, rng: Rng) -> Array:
        """Any color of the palette, RGB in 0..1."""
        hue = rng.random() if not self.hues else rng.choice(self.hues) + rng.normal(0, 0.03)
        saturation = self.saturation * rng.beta(1.4, 1.6)
        value = rng.uniform(0.08, 0.85)
        k = (np.array([5.0, 3.0, 1.0]) + hue * 6) % 6
        return _clip(value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1))

    def pale(self, rng: Rng) -> Array:
        return _clip(rng.uniform(0.55, 0.92) + rng.normal(0, 0.045 * self.saturation + 0.008, 3))

    def white(self, rng: Rng) -> Array:
        return _clip(rng.uniform(0.68, 0.92) * np.array([1, rng.uniform(0.96, 1), rng.uniform(0.88, 1)]))

    def dark(self, rng: Rng) -> Array:
        return _clip(rng.uniform(0.03, 0.14) * (1 + rng.normal(0, 0.1, 3)))

    def wood(self, rng: Rng) -> Array:
        base = _WOODS[self.woods[rng.integers(len(self.woods))]]
        return _clip(base * rng.uniform(0.8, 1.2) + rng.normal(0, 0.015, 3))

    def wall(self, rng: Rng) -> Array:
        return _clip(_WALLS[rng.integers(len(_WALLS))] * rng.uniform(0.8, 1.08) + rng.normal(0, 0.025, 3))

    def stone(self, rng: Rng) -> Array:
        return _clip(_STONES[rng.integers(len(_STONES))] * rng.uniform(0.8, 1.15) + rng.normal(0, 0.015, 3))

    def metal(self, rng: Rng) -> Array:
        return _clip(_METALS[rng.integers(len(_METALS))] * rng.uniform(0.8, 1.15))

    def cloth(self, rng: Rng) -> Array:
        """What seats and curtains are made of: pale, dark, brown or colored."""
        draw = rng.random()
        if draw < 0.3:
            return _clip(self.pale(rng) * rng.uniform(0.6, 1))
        return self.color(rng) if draw < 0.7 else self.dark(rng) if draw < 0.82 else self.wood(rng)

    def mixed(self, rng: Rng) -> Array:
        """A color, a pale tone or a wood tone: what any surface may have."""
        return (self.color, self.color, self.pale, self.wood)[rng.integers(4)](rng)


def _clip(color: ArrayLike) -> Array:
    return np.clip(np.asarray(color, np.float32), 0.02, 0.95).astype(np.float32)
