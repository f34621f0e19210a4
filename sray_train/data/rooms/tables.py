"""Tables and desks, in many shapes. Front towards -y, meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.primitives import Mesh, box, boxes, cylinder, join, lathe
from sray_train.data.rooms.scene import Item, Materials, Part, Surface

Rng = np.random.Generator


def legs(rng: Rng, width: float, depth: float, height: float) -> Mesh:
    """Four legs under a top of this size: square, round or turned."""
    thick = rng.uniform(0.025, 0.08)
    corners = [(x * (width / 2 - 0.05), y * (depth / 2 - 0.05), 0.0) for x in (-1, 1) for y in (-1, 1)]
    if rng.random() < 0.5:
        return boxes([[thick, thick, height]] * 4, corners)
    if rng.random() < 0.5:
        return join([cylinder(thick / 2, height, corner, 8) for corner in corners])
    profile = [(thick * 0.3, 0.0), (thick * 0.7, height * 0.55), (thick * 0.45, height * 0.6), (thick * 0.7, height)]
    return join([lathe(profile, corner, 8) for corner in corners])  # turned on a lathe


def _disc(diameter: float, thick: float, at: float) -> Mesh:
    return lathe([(0, at), (diameter / 2, at), (diameter / 2, at + thick), (0, at + thick)], segments=24)


def table(rng: Rng, materials: Materials) -> Item:
    """A dining or side table."""
    return _table(rng, materials, rng.uniform(0.68, 0.8), rng.uniform(0.7, 1.8))


def coffee_table(rng: Rng, materials: Materials) -> Item:
    return _table(rng, materials, rng.uniform(0.3, 0.5), rng.uniform(0.5, 1.2))


def _table(rng: Rng, materials: Materials, height: float, width: float, deepest: float = 1.05) -> Item:
    depth, thick = rng.uniform(0.7 * deepest, deepest) if width > deepest else width, rng.uniform(0.02, 0.06)
    top = materials.add("hard")
    leg = top if rng.random() < 0.5 else materials.add("hard")
    kind = str(rng.choice(["legs", "legs", "legs", "round", "panel", "pedestal", "trestle", "glass"]))
    if kind == "glass":
        top = materials.add("dark" if rng.random() < 0.5 else "ceramic", gloss=0.4)
        leg = materials.shared("metal", gloss=0.4)
    parts = []
    if kind in ("round", "pedestal"):
        width = depth = min(width, 1.25)
    disc = kind == "round" or (kind == "pedestal" and rng.random() < 0.6)
    if disc:
        parts.append(Part(_disc(width, thick, height - thick), top))
    else:
        parts.append(Part(box(width, depth, thick, (0, 0, height - thick)), top))
    under = height - thick
    if kind == "pedestal":
        parts.append(Part(cylinder(rng.uniform(0.03, 0.09), under, segments=12), leg))
        parts.append(Part(cylinder(width * 0.28, 0.03, segments=16), leg))
    elif kind == "panel":
        sides = boxes([[0.03, depth * 0.9, under]] * 2, [[-width / 2 + 0.05, 0, 0], [width / 2 - 0.05, 0, 0]])
        parts.append(Part(sides, leg))
        if rng.random() < 0.6:
            parts.append(Part(box(width - 0.1, depth * 0.85, 0.025, (0, 0, under * rng.uniform(0.15, 0.6))), leg))
    elif kind == "trestle":
        for x in (-1, 1):
            at = x * width * 0.36
            foot = boxes([[0.06, depth * 0.8, 0.05], [0.07, 0.09, under]], [[at, 0, 0], [at, 0, 0]])
            parts.append(Part(foot, leg))
        parts.append(Part(box(width * 0.72, 0.03, 0.09, (0, 0, under * 0.4)), leg))
    else:
        spread = 0.68 if kind == "round" else 1.0
        parts.append(Part(legs(rng, width * spread, depth * spread, under), leg))
        if kind == "legs" and rng.random() < 0.5:
            parts.append(Part(box(width - 0.1, depth - 0.1, 0.08, (0, 0, under - 0.08)), leg))
    usable = 0.7 if disc else 1.0  # the square in the circle
    if height < 0.55 and not disc and kind == "legs" and rng.random() < 0.5:  # a shelf for magazines
        parts.append(Part(box(width - 0.1, depth - 0.1, 0.02, (0, 0, height * 0.35)), leg))
    if rng.random() < 0.12:
        cloth = materials.add("bedding")
        drop = rng.uniform(0.1, 0.3) if height > 0.6 else 0.06
        if disc:
            parts.append(Part(cylinder(width / 2 + 0.012, drop, (0, 0, height - drop + 0.006), 24), cloth))
        else:
            parts.append(Part(box(width + 0.03, depth + 0.03, drop, (0, 0, height - drop + 0.006)), cloth))
        height += 0.006
    return Item("table", tuple(parts), surfaces=(Surface(height, width * usable, depth * usable),))


def desk(rng: Rng, materials: Materials) -> Item:
    """Like a table, but with drawers, a back panel or a raised shelf: a desk is known by what it is for."""
    width, depth, height = rng.uniform(0.95, 1.7), rng.uniform(0.5, 0.8), rng.uniform(0.7, 0.78)
    thick = rng.uniform(0.02, 0.045)
    top = materials.add("hard")
    body = top if rng.random() < 0.5 else materials.add("hard")
    front = body if rng.random() < 0.4 else materials.add("hard")
    under = height - thick
    parts = [Part(box(width, depth, thick, (0, 0, under)), top)]
    drawers = str(rng.choice(["left", "right", "both", "thin"]))
    if drawers == "thin" or rng.random() < 0.4:
        parts.append(Part(legs(rng, width, depth, under), body))
    else:
        sides = boxes([[0.03, depth * 0.95, under]] * 2, [[-width / 2 + 0.03, 0, 0], [width / 2 - 0.03, 0, 0]])
        parts.append(Part(sides, body))
    if drawers == "thin":
        parts.append(Part(box(width - 0.1, depth - 0.06, 0.1, (0, 0, under - 0.1)), body))
        parts.append(Part(box(width * 0.4, 0.02, 0.08, (0, -depth / 2 + 0.02, under - 0.09)), front))
    sides_with = {"left": (-1,), "right": (1,), "both": (-1, 1)}.get(drawers, ())
    for x in sides_with:
        at = x * (width / 2 - 0.22)
        base = rng.choice([0.0, 0.05])
        parts.append(Part(box(0.36, depth * 0.9, under - base, (at, 0, base)), body))
        count = int(rng.integers(2, 5))
        pitch = (under - base - 0.04) / count
        z = base + 0.03 + pitch * np.arange(count)
        faces = boxes([[0.33, 0.02, pitch - 0.02]] * count, np.stack([0 * z + at, 0 * z - depth * 0.45 - 0.01, z], -1))
        knobs = boxes(
            [[0.1, 0.02, 0.015]] * count, np.stack([0 * z + at, 0 * z - depth * 0.45 - 0.03, z + pitch * 0.5], -1)
        )
        parts += [Part(faces, front), Part(knobs, materials.add("hard", gloss=0.4))]
    if rng.random() < 0.55:
        tall = under * rng.uniform(0.4, 0.85)
        parts.append(Part(box(width - 0.1, 0.02, tall, (0, depth * 0.42, under * 0.12)), body))
    surfaces = [Surface(height, width, depth)]
    if rng.random() < 0.25:  # a raised shelf at the back
        rise, shelf = rng.uniform(0.2, 0.45), rng.uniform(0.16, 0.24)
        y = depth / 2 - shelf / 2
        uprights = boxes([[0.02, shelf, rise]] * 2, [[-width / 2 + 0.02, y, height], [width / 2 - 0.02, y, height]])
        parts += [Part(uprights, body), Part(box(width, shelf, 0.02, (0, y, height + rise)), body)]
        surfaces = [
            Surface(height, width, depth - shelf, y=-shelf / 2),
            Surface(height + rise + 0.02, width, shelf, y=y),
            Surface(height, width - 0.06, shelf, y=y, headroom=rise),
        ]
    return Item("desk", tuple(parts), surfaces=tuple(surfaces))


def side_table(rng: Rng, materials: Materials) -> Item:
    """A small one for beside a sofa."""
    return _table(rng, materials, rng.uniform(0.45, 0.65), rng.uniform(0.38, 0.6), deepest=0.55)
