"""Tables, desks, cabinets and bookshelves, in many shapes. Front towards -y, metres."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.primitives import Mesh, box, boxes, cylinder, lathe
from sray_train.data.rooms.scene import Item, Materials, Part, Surface

Rng = np.random.Generator


def _legs(rng: Rng, width: float, depth: float, height: float) -> Mesh:
    thick = rng.uniform(0.025, 0.08)
    corners = [(x * (width / 2 - 0.05), y * (depth / 2 - 0.05), 0.0) for x in (-1, 1) for y in (-1, 1)]
    if rng.random() < 0.5:
        return boxes([[thick, thick, height]] * 4, corners)
    legs = [cylinder(thick / 2, height, corner, 8) for corner in corners]
    return Mesh(
        np.concatenate([leg.vertices for leg in legs]),
        np.concatenate([leg.uv for leg in legs]),
        np.concatenate([leg.normals for leg in legs]),
    )


def _disc(diameter: float, thick: float, at: float) -> Mesh:
    return lathe([(0, at), (diameter / 2, at), (diameter / 2, at + thick), (0, at + thick)], segments=24)


def table(rng: Rng, materials: Materials) -> Item:
    """A dining or side table."""
    return _table(rng, materials, rng.uniform(0.68, 0.8), rng.uniform(0.7, 1.8))


def coffee_table(rng: Rng, materials: Materials) -> Item:
    return _table(rng, materials, rng.uniform(0.3, 0.5), rng.uniform(0.5, 1.2))


def _table(rng: Rng, materials: Materials, height: float, width: float) -> Item:
    depth, thick = rng.uniform(0.5, 1.0), rng.uniform(0.02, 0.06)
    top = materials.add("hard")
    leg = top if rng.random() < 0.5 else materials.add("hard")
    kind = str(rng.choice(["legs", "legs", "round", "panel", "pedestal", "trestle"]))
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
        parts.append(Part(_legs(rng, width * spread, depth * spread, under), leg))
        if kind == "legs" and rng.random() < 0.5:
            parts.append(Part(box(width - 0.1, depth - 0.1, 0.08, (0, 0, under - 0.08)), leg))
    usable = 0.7 if disc else 1.0  # the square in the circle
    return Item("table", tuple(parts), surface=Surface(height, width * usable, depth * usable))


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
        parts.append(Part(_legs(rng, width, depth, under), body))
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
    surface = Surface(height, width, depth)
    if rng.random() < 0.25:  # a raised shelf at the back
        rise, shelf = rng.uniform(0.2, 0.45), rng.uniform(0.16, 0.24)
        y = depth / 2 - shelf / 2
        uprights = boxes([[0.02, shelf, rise]] * 2, [[-width / 2 + 0.02, y, height], [width / 2 - 0.02, y, height]])
        parts += [Part(uprights, body), Part(box(width, shelf, 0.02, (0, y, height + rise)), body)]
        surface = Surface(height, width, depth - shelf, y=-shelf / 2)
    return Item("desk", tuple(parts), surface=surface)


def cabinet(rng: Rng, materials: Materials) -> Item:
    """A chest of drawers, sideboard or wardrobe."""
    kind = str(rng.choice(["low", "mid", "tall"], p=[0.4, 0.3, 0.3]))
    height = {"low": rng.uniform(0.4, 0.75), "mid": rng.uniform(0.78, 1.3), "tall": rng.uniform(1.6, 2.2)}[kind]
    return _cabinet(rng, materials, rng.uniform(0.45, 1.7), height)


def nightstand(rng: Rng, materials: Materials) -> Item:
    return _cabinet(rng, materials, rng.uniform(0.35, 0.55), rng.uniform(0.4, 0.65))


def _cabinet(rng: Rng, materials: Materials, width: float, height: float) -> Item:
    depth = rng.uniform(0.35, 0.6)
    body = materials.add("hard")
    front = body if rng.random() < 0.45 else materials.add("hard")
    knob = materials.add("hard", gloss=0.4)
    leg = rng.uniform(0.06, 0.2) if height < 1.4 and rng.random() < 0.35 else 0.0
    parts = [Part(box(width, depth, height - leg, (0, 0, leg)), body)]
    if leg:
        parts.append(Part(_legs(rng, width, depth, leg + 0.01), body))
    top = height
    if rng.random() < 0.35:
        parts.append(Part(box(width + 0.04, depth + 0.03, 0.025, (0, 0, height)), materials.add("hard")))
        top += 0.025
    columns = max(1, round(width / rng.uniform(0.35, 0.7)))
    rows = 1 if height > 1.4 else int(rng.integers(1, 5))
    cell_width, cell_height = width / columns, (height - leg - 0.05) / rows
    pulls = str(rng.choice(["bar", "knob", "none"]))
    for column in range(columns):
        open_row = int(rng.integers(rows)) if rows > 1 and rng.random() < 0.2 else -1
        for row in range(rows):
            x, z = -width / 2 + cell_width * (column + 0.5), leg + 0.03 + cell_height * row
            door = row == 0 and rows == 1
            if row == open_row:  # an open compartment: a dark inset panel stands for it
                inset = box(cell_width - 0.04, 0.004, cell_height - 0.04, (x, -depth / 2 - 0.002, z + 0.01))
                parts.append(Part(inset, knob))
                continue
            panel = box(cell_width - 0.02, 0.02, cell_height - 0.02, (x, -depth / 2 - 0.01, z))
            parts.append(Part(panel, front))
            if door and rng.random() < 0.4:
                frame = box(cell_width * 0.7, 0.012, cell_height * 0.8, (x, -depth / 2 - 0.024, z + cell_height * 0.1))
                parts.append(Part(frame, front))
            if pulls == "none":
                continue
            handle_x = x + (cell_width / 2 - 0.05) * (1 if column % 2 == 0 else -1) if door else x
            at = (handle_x, -depth / 2 - 0.032, z + cell_height * (0.45 if door else 0.6))
            size = (0.02, 0.03, 0.16) if door else (0.13, 0.03, 0.02)
            parts.append(Part(box(*(size if pulls == "bar" else (0.03, 0.03, 0.03)), at), knob))
    return Item("cabinet", tuple(parts), surface=Surface(top, width, depth))


def bookshelf(rng: Rng, materials: Materials) -> Item:
    """Shelves with books, upright, leaning or in piles; the books are part of it, as in NYU40."""
    width, depth, height = rng.uniform(0.5, 1.5), rng.uniform(0.22, 0.38), rng.uniform(0.8, 2.2)
    board = 0.022
    wood = materials.add("hard")
    spines = [materials.add("any", tile=float(rng.uniform(0.1, 0.5))) for _ in range(int(rng.integers(2, 6)))]
    sides = boxes([[board, depth, height]] * 2, [[-width / 2, 0, 0], [width / 2, 0, 0]])
    parts = [Part(sides, wood)]
    if rng.random() < 0.75:
        back = wood if rng.random() < 0.6 else materials.add("hard")
        parts.append(Part(box(width, 0.01, height, (0, depth / 2 - 0.005, 0)), back))
    levels = max(2, int(height / rng.uniform(0.26, 0.42)))
    z = 0.04 + (height - board - 0.04) * np.arange(levels + 1) / levels
    parts.append(Part(boxes([[width, depth, board]] * (levels + 1), np.stack([0 * z, 0 * z, z], -1)), wood))
    if width > 0.9 and rng.random() < 0.4:
        parts.append(Part(box(board, depth * 0.98, height), wood))
    clear = (height - 0.04) / levels - board
    fullness = rng.uniform(0.35, 1.0)
    sizes: list[list[list[float]]] = [[] for _ in spines]
    bases: list[list[list[float]]] = [[] for _ in spines]
    for level in range(levels):
        if rng.random() > 0.5 + fullness / 2:
            continue
        x, limit = -width / 2 + 0.03, -width / 2 + (width - 0.05) * min(1, fullness + rng.uniform(0, 0.4))
        tall = rng.uniform(0.55, 0.85)
        run, material = 0, 0
        while x < limit - 0.06:
            if run == 0:  # runs of like volumes
                run, material = int(rng.integers(1, 9)), int(rng.integers(len(spines)))
                if rng.random() < 0.12:
                    x += rng.uniform(0.03, 0.2)
                    continue
            run -= 1
            pile = rng.random() < 0.03 and x < limit - 0.25
            if pile:
                size = [0.22, depth * 0.6, clear * rng.uniform(0.15, 0.5)]
            else:
                high = clear * (tall + rng.uniform(-0.1, 0.12))
                size = [rng.uniform(0.015, 0.055), depth * rng.uniform(0.55, 0.9), high]
            sizes[material].append(size)
            bases[material].append([x + size[0] / 2, -depth / 2 + size[1] / 2 + 0.01, z[level] + board])
            x += size[0] + 0.002
    for spine, size_list, base_list in zip(spines, sizes, bases, strict=True):
        if size_list:
            parts.append(Part(boxes(size_list, base_list), spine))
    return Item("bookshelf", tuple(parts), surface=Surface(height, width, depth))
