"""Lamps and the clutter that stands on things. Metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sray_train.data.rooms.primitives import ball, box, boxes, cylinder, lathe, rounded_box
from sray_train.data.rooms.scene import Item, Light, Materials, Part

Rng = np.random.Generator


def _warm(rng: Rng, strength: float) -> NDArray[np.float32]:
    return (strength * np.array([1, rng.uniform(0.8, 0.98), rng.uniform(0.55, 0.95)])).astype(np.float32)


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
    lit = rng.random() < 0.45
    metal = materials.add("hard", gloss=0.4)
    shade = materials.add("any", emission=float(rng.uniform(0.4, 0.9)) if lit else 0.0)
    radius, tall = rng.uniform(0.13, 0.24) * scale, rng.uniform(0.18, 0.34) * scale
    top = radius * rng.uniform(0.35, 1)
    parts = [Part(cylinder(rng.uniform(0.08, 0.15) * scale, 0.025, segments=14), metal)]
    kind = str(rng.choice(["shade", "shade", "globe", "arm"]))
    if kind == "arm":  # a jointed reading lamp
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
    shade = materials.add("any", emission=0.9 if lit else 0.0)
    kind = str(rng.choice(["shade", "globe", "flush", "panel"]))
    if kind == "flush":
        bowl = lathe([(0, -0.1), (radius * 0.7, -0.08), (radius, 0)], segments=16)
        parts = [Part(bowl, shade)]
        drop = 0.12
    elif kind == "panel":
        parts = [Part(box(rng.uniform(0.3, 1.2), rng.uniform(0.15, 0.6), 0.05, (0, 0, -0.05)), shade)]
        drop = 0.06
    else:
        parts = [Part(cylinder(0.008, drop, (0, 0, -drop), 6), materials.add("hard"))]
        if kind == "globe":
            parts.append(Part(ball(radius * 0.7, (0, 0, -drop - radius)), shade))
        else:
            low = -drop - 0.1
            rim = [(radius, low), (radius * 0.4, -drop + 0.1), (radius * 0.38, -drop + 0.1), (radius - 0.01, low)]
            parts.append(Part(lathe(rim, segments=16), shade))
        drop += radius + 0.05
    return Item("lamp", tuple(parts), (_bulb(rng, -drop - 0.05, rng.uniform(8, 20)),) if lit else ())


def clutter(rng: Rng, materials: Materials) -> Item:
    """Something small to stand on a table, a shelf or the floor."""
    kind = str(rng.choice(["box", "ball", "bottles", "bowl", "plant", "pile", "screen", "mug", "basket"]))
    material = materials.add("any", tile=float(rng.uniform(0.1, 0.5)))
    if kind == "box":
        size = rng.uniform([0.08, 0.08, 0.04], [0.32, 0.25, 0.3])
        return Item("other", (Part(boxes(size, [0, 0, 0]), material),))
    if kind == "ball":
        return Item("other", (Part(ball(rng.uniform(0.05, 0.15)), material),))
    if kind == "bottles":
        parts = []
        for k in range(int(rng.integers(1, 4))):
            scale = rng.uniform(0.7, 1.2)
            profile = [(0, 0), (0.04, 0), (0.042, 0.14), (0.015, 0.2), (0.015, 0.26), (0, 0.26)]
            bottle = lathe([(r * scale, z * scale) for r, z in profile], segments=10)
            parts.append(Part(bottle.moved(0.11 * k, rng.uniform(-0.05, 0.05), 0), material))
        return Item("other", tuple(parts))
    if kind == "bowl":
        return Item("other", (Part(lathe([(0, 0.01), (0.05, 0), (0.12, 0.07), (0.11, 0.07), (0, 0.02)]), material),))
    if kind == "mug":
        return Item("other", (Part(lathe([(0, 0), (0.04, 0), (0.045, 0.1), (0.04, 0.1), (0.035, 0.02)]), material),))
    if kind == "basket":
        radius, tall = rng.uniform(0.12, 0.2), rng.uniform(0.15, 0.35)
        profile = [(0, 0), (radius * 0.85, 0), (radius, tall), (radius * 0.95, tall), (radius * 0.8, 0.03), (0, 0.03)]
        return Item("other", (Part(lathe(profile, segments=16), material),))
    if kind == "screen":
        width = rng.uniform(0.35, 0.65)
        tall = width * rng.uniform(0.5, 0.7)
        picture = materials.add("art", tile=1, gloss=0.2, emission=float(rng.choice([0, 0.5])))
        stand = boxes([[0.05, 0.05, 0.12], [0.22, 0.15, 0.015]], [[0, 0, 0], [0, 0, 0]])
        inner = (width - 0.03, tall - 0.03)
        return Item(
            "other",
            (
                Part(box(width, 0.03, tall, (0, 0, 0.1)), material),
                Part(box(inner[0], 0.004, inner[1], (0, -0.017, 0.115)), picture, inner),
                Part(stand, material),
            ),
        )
    if kind == "plant":
        leaf = materials.add("any", tile=0.2)
        scale = rng.uniform(0.7, 1.5)
        pot = lathe([(0, 0), (0.07 * scale, 0), (0.1 * scale, 0.16), (0, 0.15)], segments=12)
        parts = [Part(pot, material)]
        for _ in range(int(rng.integers(6, 14))):
            blade = rounded_box(0.05 * scale, 0.012, rng.uniform(0.15, 0.35) * scale, 0.006, cuts=2)
            blade = blade.tilted(-rng.uniform(0.1, 0.9)).turned(rng.uniform(0, 2 * np.pi))
            parts.append(Part(blade.moved(0, 0, 0.14), leaf))
        return Item("other", tuple(parts))
    z, parts = 0.0, []
    for _ in range(int(rng.integers(2, 6))):
        thick = rng.uniform(0.015, 0.05)
        book = box(rng.uniform(0.15, 0.24), rng.uniform(0.12, 0.2), thick).turned(rng.normal(0, 0.2)).moved(0, 0, z)
        parts.append(Part(book, materials.add("any", tile=0.3)))
        z += thick
    return Item("other", tuple(parts))
