"""Cabinets, chests, wardrobes, night stands and shelves, in many shapes. Front towards -y, meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.primitives import box, boxes
from sray_train.data.rooms.scene import Item, Materials, Part, Surface
from sray_train.data.rooms.tables import legs

Rng = np.random.Generator


def cabinet(rng: Rng, materials: Materials) -> Item:
    """A chest of drawers, sideboard or wardrobe."""
    kind = str(rng.choice(["low", "mid", "tall"], p=[0.4, 0.3, 0.3]))
    height = {"low": rng.uniform(0.4, 0.75), "mid": rng.uniform(0.78, 1.3), "tall": rng.uniform(1.6, 2.2)}[kind]
    return _cabinet(rng, materials, "cabinet", rng.uniform(0.45, 1.7), height)


def dresser(rng: Rng, materials: Materials) -> Item:
    """A wide chest of drawers; NYU40 has it as a class of its own."""
    return _cabinet(
        rng, materials, "dresser", rng.uniform(0.8, 1.7), rng.uniform(0.75, 1.2), rows=int(rng.integers(3, 6))
    )


def wardrobe(rng: Rng, materials: Materials) -> Item:
    return _cabinet(rng, materials, "cabinet", rng.uniform(0.8, 2.0), rng.uniform(1.85, 2.25), rows=1)


def nightstand(rng: Rng, materials: Materials) -> Item:
    return _cabinet(rng, materials, "night stand", rng.uniform(0.35, 0.55), rng.uniform(0.45, 0.7))


def tv_stand(rng: Rng, materials: Materials) -> Item:
    return _cabinet(rng, materials, "cabinet", rng.uniform(0.9, 1.9), rng.uniform(0.38, 0.65))


def _cabinet(rng: Rng, materials: Materials, label: str, width: float, height: float, rows: int = 0) -> Item:
    """`rows` of drawers or doors; 0: any number that goes with the height."""
    depth = rng.uniform(0.36, 0.6)
    body = materials.add("hard")
    front = body if rng.random() < 0.45 else materials.add("hard")
    knob = materials.shared("metal", gloss=0.4)
    leg = rng.uniform(0.06, 0.2) if height < 1.4 and rng.random() < 0.35 else 0.0
    parts = [Part(box(width, depth, height - leg, (0, 0, leg)), body)]
    if leg:
        parts.append(Part(legs(rng, width, depth, leg + 0.01), body))
    top = height
    if rng.random() < 0.35:
        parts.append(Part(box(width + 0.04, depth + 0.03, 0.025, (0, 0, height)), materials.add("hard")))
        top += 0.025
    columns = max(1, round(width / rng.uniform(0.35, 0.7)))
    rows = rows or (1 if height > 1.4 else int(rng.integers(1, 5)))
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
    return Item(label, tuple(parts), surfaces=(Surface(top, width, depth),))


def bookshelf(rng: Rng, materials: Materials) -> Item:
    """Shelves with books, upright, leaning or in piles; the books are part of it, as in NYU40."""
    width, depth, height = rng.uniform(0.5, 1.5), rng.uniform(0.22, 0.38), rng.uniform(0.8, 2.2)
    board = 0.022
    wood = materials.add("hard")
    spines = [materials.add("any", tile=float(rng.uniform(0.1, 0.5))) for _ in range(int(rng.integers(3, 8)))]
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
    fullness = rng.uniform(0.35, 1.0) if rng.random() < 0.8 else 0.0
    sizes: list[list[list[float]]] = [[] for _ in spines]
    bases: list[list[list[float]]] = [[] for _ in spines]
    surfaces = [Surface(height, width, depth)]
    for level in range(levels):
        if rng.random() > 0.4 + fullness / 2:  # things instead of books
            surfaces.append(Surface(float(z[level]) + board, width - 0.08, depth - 0.04, headroom=clear))
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
    return Item("bookshelf" if fullness else "shelves", tuple(parts), surfaces=tuple(surfaces))
