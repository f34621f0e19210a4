"""Lamps that stand, hang or sit flush in a ceiling. Meters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sray_train.data.rooms.primitives import ball, box, cylinder, join, lathe
from sray_train.data.rooms.scene import Item, Light, Materials, Part

Rng = np.random.Generator


def _warm(rng: Rng, strength: float) -> NDArray[np.float32]:
    return (strength * np.array([1, rng.uniform(0.8, 0.98), rng.uniform(0.55, 0.95)])).astype(np.float32)


def _glow(rng: Rng) -> float:
    """How bright a lit shade is, as a factor of its own color: from a glimmer to white in the picture."""
    return float(rng.uniform(0.6, 4.0))


def _bulb(rng: Rng, height: float, strength: float) -> Light:
    return Light(
        np.array([0, 0, height], np.float32),
        np.array([0.05, 0, 0], np.float32),
        np.array([0, 0, 0.05], np.float32),
        None,
        _warm(rng, strength),
    )


def floor_lamp(rng: Rng, materials: Materials) -> Item:
    return _lamp(rng, materials, rng.uniform(1.25, 1.8), 1.0)


def table_lamp(rng: Rng, materials: Materials) -> Item:
    return _lamp(rng, materials, rng.uniform(0.28, 0.55), rng.uniform(0.45, 0.65))


def _lamp(rng: Rng, materials: Materials, height: float, scale: float) -> Item:
    lit = rng.random() < 0.5
    metal = materials.add(str(rng.choice(["metal", "hard", "ceramic"])), gloss=0.4)
    shade = materials.add("curtain" if rng.random() < 0.8 else "any", emission=_glow(rng) if lit else 0.0)
    radius, tall = rng.uniform(0.13, 0.24) * scale, rng.uniform(0.18, 0.34) * scale
    top = radius * rng.uniform(0.35, 1)
    parts = [Part(cylinder(rng.uniform(0.08, 0.15) * scale, 0.025, segments=14), metal)]
    kind = str(rng.choice(["shade", "shade", "globe", "arm", "vase"]))
    if kind == "vase":  # a shade on a wide body of glass or china
        body = rng.uniform(0.05, 0.11) * scale
        low = height - tall
        belly = [(body * 0.6, 0.02), (body, low * 0.4), (body * 0.3, low * 0.9), (0.012, low + 0.03)]
        parts.append(Part(lathe(belly, segments=14), materials.add("any", gloss=0.2)))
        rim = [(radius, low), (top, height), (top - 0.008, height), (radius - 0.008, low)]
        parts.append(Part(lathe(rim, segments=16), shade))
        lights = (_bulb(rng, height - tall * 0.5, 6.0 * scale),) if lit else ()
    elif kind == "arm":  # a jointed reading lamp
        reach = 0.22 * scale + 0.05
        parts.append(Part(cylinder(0.014, height * 0.8, segments=7), metal))
        parts.append(Part(box(0.025, reach, 0.025, (0, -reach / 2, height * 0.8 - 0.03)), metal))
        head = lathe([(0.05, 0.1), (0.1, 0), (0.09, 0), (0.04, 0.09)], segments=12)
        parts.append(Part(head.moved(0, -reach, height * 0.8 - 0.11), shade))
        lights = (_bulb(rng, height * 0.8 - 0.2, 3.0).placed((0, -reach, 0), 0),) if lit else ()
    else:
        post = (
            lathe(
                [(0.012, 0.02), (rng.uniform(0.012, 0.09) * scale, height * 0.2), (0.012, height - tall * 0.9)],
                segments=10,
            )
            if rng.random() < 0.5
            else cylinder(0.012, height - tall * 0.5, segments=7)
        )
        parts.append(Part(post, metal))
        if kind == "globe":
            parts.append(Part(ball(radius * 0.8, (0, 0, height - 1.6 * radius)), shade))
        else:
            low = height - tall
            profile = [(radius, low), (top, height), (top - 0.008, height), (radius - 0.008, low)]
            parts.append(Part(lathe(profile, segments=16), shade))
        lights = (_bulb(rng, height - tall * 0.5 if kind == "shade" else height + 0.05, 6.0 * scale),) if lit else ()
    return Item("lamp", tuple(parts), lights)


def ceiling_lamp(rng: Rng, materials: Materials) -> Item:
    """Hangs from z = 0 downwards."""
    radius, drop = rng.uniform(0.12, 0.3), rng.uniform(0.15, 0.6)
    lit = rng.random() < 0.7
    shade = materials.add("ceramic" if rng.random() < 0.6 else "curtain", emission=_glow(rng) if lit else 0.0)
    kind = str(rng.choice(["shade", "globe", "flush", "panel", "branches", "fan"]))
    if kind == "flush":
        bowl = lathe([(0, -0.1), (radius * 0.7, -0.08), (radius, 0)], segments=16)
        parts = [Part(bowl, shade)]
        drop = 0.12
    elif kind == "panel":
        parts = [Part(box(rng.uniform(0.3, 1.2), rng.uniform(0.15, 0.6), 0.05, (0, 0, -0.05)), shade)]
        drop = 0.06
    elif kind == "branches":  # arms around a post, each with a small shade
        metal = materials.shared("metal", gloss=0.4)
        arm = box(radius, 0.015, 0.015, (radius / 2, 0, -drop))
        cup = lathe([(0.03, 0), (0.055, 0.09), (0.05, 0.09)], (radius, 0, -drop + 0.01), 10)
        turns = [k * 2 * np.pi / 5 for k in range(5)]
        parts = [
            Part(join([cylinder(0.012, drop, (0, 0, -drop), 6), *(arm.turned(turn) for turn in turns)]), metal),
            Part(join([cup.turned(turn) for turn in turns]), shade),
        ]
    elif kind == "fan":  # blades above a globe
        drop = 0.3
        blade = box(0.5, 0.13, 0.012, (0.36, 0, -drop + 0.06))
        blades = join([blade.turned(k * 2 * np.pi / 5) for k in range(5)])
        motor = join([cylinder(0.015, drop, (0, 0, -drop), 6), cylinder(0.1, 0.12, (0, 0, -drop), 14)])
        parts = [
            Part(blades, materials.add("hard"), label="otherfurniture"),
            Part(motor, materials.shared("metal", gloss=0.4), label="otherfurniture"),
            Part(ball(0.1, (0, 0, -drop - 0.19)), shade),
        ]
        drop += 0.2
    else:
        parts = [Part(cylinder(0.008, drop, (0, 0, -drop), 6), materials.shared("metal", gloss=0.4))]
        if kind == "globe":
            parts.append(Part(ball(radius * 0.7, (0, 0, -drop - radius)), shade))
        else:
            low = -drop - 0.1
            rim = [(radius, low), (radius * 0.4, -drop + 0.1), (radius * 0.38, -drop + 0.1), (radius - 0.01, low)]
            parts.append(Part(lathe(rim, segments=16), shade))
        drop += radius + 0.05
    return Item("lamp", tuple(parts), (_bulb(rng, -drop - 0.05, rng.uniform(8, 20)),) if lit else ())


def spot(rng: Rng, materials: Materials) -> Item:
    """A small round lamp let into the ceiling; hangs from z = 0. Its light goes down."""
    radius = rng.uniform(0.05, 0.09)
    face = cylinder(radius, 0.012, (0, 0, -0.012), 12)
    light = Light(
        np.array([0, 0, -0.03], np.float32),
        np.array([radius, 0, 0], np.float32),
        np.array([0, radius, 0], np.float32),
        np.array([0, 0, -1], np.float32),
        _warm(rng, rng.uniform(40, 110)),
    )
    return Item("lamp", (Part(face, materials.shared("bulb", emission=4.0)),), (light,))


def wall_lamp(rng: Rng, materials: Materials, bottom: float) -> Item:
    """One to three small shades on a wall, as beside a mirror or a bed."""
    count, glow = int(rng.integers(1, 4)), _glow(rng)
    shade = materials.add("ceramic", emission=glow)
    at = [0.2 * (k - (count - 1) / 2) for k in range(count)]
    plate = box(0.2 * count - 0.08, 0.02, 0.06, (0, -0.01, bottom + 0.05))
    shades = join([lathe([(0.035, 0), (0.06, 0.13), (0.055, 0.13)], (x, -0.09, bottom), 10) for x in at])
    lights = tuple(_bulb(rng, bottom + 0.2, 3.0).placed((x, -0.15, 0), 0) for x in at)
    return Item("lamp", (Part(plate, materials.shared("metal", gloss=0.4)), Part(shades, shade)), lights)
