"""What belongs to a wall: doors, windows, curtains, pictures, mirrors. Meters.

The wall's surface is at y = 0, the room towards -y.
"""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.primitives import box, boxes, cylinder, sheet
from sray_train.data.rooms.scene import Item, Light, Materials, Part

Rng = np.random.Generator


def _frame(width: float, height: float, bar: float, depth: float, z: float) -> list[list[list[float]]]:
    """Sizes and bases of the two posts and the head around an opening."""
    side = width / 2 + bar / 2
    sizes = [[bar, depth, height + bar], [bar, depth, height + bar], [width, depth, bar]]
    bases = [[-side, -depth / 2, z], [side, -depth / 2, z], [0, -depth / 2, z + height]]
    return [sizes, bases]


def door(rng: Rng, materials: Materials, width: float, height: float) -> Item:
    """Flush, panelled, boarded or glazed, with a frame and a handle; `width` x `height` is the leaf."""
    trim = materials.shared("trim")
    leaf = trim if rng.random() < 0.4 else materials.add("trim")
    metal = materials.shared("metal", gloss=0.4)
    bar = rng.uniform(0.04, 0.1)
    leaves = 2 if width > 1.15 else 1
    leaf_width = width / leaves
    parts = [Part(boxes(*_frame(width, height, bar, 0.06, 0)), trim)]
    kind = str(rng.choice(["flush", "panels", "boards", "glass", "long"]))
    for k in range(leaves):
        x = (k + 0.5) * leaf_width - width / 2
        parts.append(Part(box(leaf_width - 0.003, 0.03, height, (x, -0.015, 0)), leaf))
        if kind == "panels":
            raised = [
                (sx * leaf_width * 0.22, z * height, tall * height)
                for z, tall in ((0.07, 0.36), (0.5, 0.4))
                for sx in (-1, 1)
            ]
            sizes = [[leaf_width * 0.32, 0.015, tall] for _, _, tall in raised]
            parts.append(Part(boxes(sizes, [[x + dx, -0.036, z] for dx, z, _ in raised]), leaf))
        elif kind == "boards":
            count = int(rng.integers(3, 7))
            board = x + ((np.arange(count) + 0.5) / count - 0.5) * (leaf_width - 0.04)
            bases = np.stack([board, 0 * board - 0.034, 0 * board + 0.02], -1)
            parts.append(Part(boxes([[leaf_width / count * 0.85, 0.01, height - 0.06]] * count, bases), leaf))
        elif kind == "glass":
            pane = (leaf_width * 0.7, height * rng.uniform(0.35, 0.75))
            low = height * 0.93 - pane[1]
            view = materials.add("outdoor", gloss=0.3, emission=float(rng.choice([0, 0.5, 2.0])))
            parts.append(Part(box(pane[0], 0.006, pane[1], (x, -0.033, low)), view, pane))
            parts.append(Part(box(0.03, 0.014, pane[1], (x, -0.04, low)), leaf))
        elif kind == "long":
            parts.append(Part(box(leaf_width * 0.66, 0.014, height * 0.84, (x, -0.036, height * 0.08)), trim))
        side = (1 if k == 0 else -1) if leaves == 2 else 1
        at = (x + side * leaf_width * 0.41, -0.06, 0.98)
        handle = cylinder(0.025, 0.12, at, 8) if rng.random() < 0.5 else box(0.12, 0.03, 0.025, at)
        parts.append(Part(handle, metal))
    return Item("door", tuple(parts))


def window(rng: Rng, materials: Materials, width: float, height: float, sill: float, day: float) -> Item:
    """A view outside behind bars, sometimes blinds; it lights the room.

    `sill` is the height of its lower edge; `day` is how bright it is outside: 1 by day, near 0 at night.
    """
    view = materials.add("outdoor", gloss=0.3, emission=day * float(rng.uniform(0.8, 3.0)))
    trim = materials.shared("trim")
    bar = rng.uniform(0.035, 0.08)
    ledge = rng.uniform(0.04, 0.14)
    parts = [
        Part(box(width, 0.012, height, (0, -0.006, sill)), view, (width, height)),
        Part(boxes(*_frame(width, height, bar, 0.06, sill)), trim),
        Part(box(width + 2 * bar, ledge, 0.04, (0, -ledge / 2, sill - 0.04)), trim),
    ]
    columns, rows = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2, 3]))
    thin = rng.uniform(0.02, 0.045)
    upright = [(width * (k / columns - 0.5), -0.02, sill) for k in range(1, columns)]
    level = [(0.0, -0.0175, sill + height * k / rows) for k in range(1, rows)]
    parts += [Part(box(thin, 0.04, height, at), trim) for at in upright]
    parts += [Part(box(width, 0.035, thin, at), trim) for at in level]
    blinds = rng.random() < 0.5
    open_share = 1.0
    if blinds:
        pitch = rng.uniform(0.035, 0.08)
        drawn = rng.uniform(0.2, 1.0)
        open_share = 1 - 0.5 * drawn
        z = sill + height - 0.03 - pitch * np.arange(int(height * drawn / pitch))
        if len(z):
            slats = boxes(
                [[width, 0.012, pitch * rng.uniform(0.3, 0.85)]] * len(z), np.stack([0 * z, 0 * z - 0.07, z], -1)
            )
            parts.append(Part(slats, materials.add("trim", emission=0.4 * day), label="blinds"))
    light = Light(
        np.array([0, -0.14, sill + height / 2], np.float32),
        np.array([width / 2, 0, 0], np.float32),
        np.array([0, 0, height / 2], np.float32),
        np.array([0, -1, 0], np.float32),
        (4.0 * day * open_share * np.array([1.0, rng.uniform(0.93, 1.0), rng.uniform(0.85, 1.05)])).astype(np.float32),
    )
    return Item("window", tuple(parts), (light,))


def curtains(rng: Rng, materials: Materials, width: float, top: float, sill: float, half_room: float) -> list[Item]:
    """One or two lengths of cloth beside (or over) an opening `width` wide.

    `half_room` is how far from the middle they may reach.
    """
    cloth = materials.add("curtain")
    bottom = rng.uniform(0.02, 0.08) if rng.random() < 0.6 else max(sill - rng.uniform(0.08, 0.25), 0.05)
    kind = str(rng.choice(["pair", "pair", "pair", "left", "right", "drawn"]))
    folds, depth = rng.uniform(8, 14), rng.uniform(0.025, 0.045)
    sides = {"left": (-1,), "right": (1,)}.get(kind, (-1, 1))
    items = []
    for side in sides:
        length = width * rng.uniform(0.4, 0.52) if kind == "drawn" else min(width * rng.uniform(0.2, 0.45), 0.6)
        center = width / 2 - length / 2 + (0.04 if kind == "drawn" else rng.uniform(0.05, 0.2))
        center = min(center, half_room - length / 2)
        waves = max(2, round(length * folds))
        hanging = sheet(length, top - bottom, waves, depth, (side * center, -0.19, bottom), cuts=min(8 * waves, 56))
        items.append(Item("curtain", (Part(hanging, cloth),)))
    if rng.random() < 0.6:
        length = min(width / 2 + 0.25, half_room) * 2
        rod = box(length, 0.02, 0.02, (0, -0.19, top))
        items[0] = Item("curtain", (*items[0].parts, Part(rod, materials.add("hard"))))
    return items


def picture(rng: Rng, materials: Materials, width: float, height: float, bottom: float) -> Item:
    """A framed picture, a poster, or a board."""
    art = materials.add("art", tile=1, gloss=float(rng.choice([0, 0.2])))
    if rng.random() < 0.2:
        return Item("picture", (Part(box(width, 0.008, height, (0, -0.004, bottom)), art, (width, height)),))
    edge = rng.uniform(0.015, 0.06)
    frame = box(width, 0.024, height, (0, -0.012, bottom))
    inner = (width - 2 * edge, height - 2 * edge)
    face = box(inner[0], 0.004, inner[1], (0, -0.026, bottom + edge))
    return Item("picture", (Part(frame, materials.add("hard")), Part(face, art, inner)))


def mirror(rng: Rng, materials: Materials, width: float, height: float, bottom: float) -> Item:
    """Glass that shows the room, framed or not; all of it is of the class mirror."""
    glass = materials.add("ceramic", gloss=0, mirror=float(rng.uniform(0.75, 0.92)))
    edge = rng.uniform(0.02, 0.08) if rng.random() < 0.6 else 0.0
    inner = (width - 2 * edge, height - 2 * edge)
    parts = [Part(box(inner[0], 0.008, inner[1], (0, -0.018, bottom + edge)), glass)]
    if edge:
        sizes = [[width, 0.03, edge]] * 2 + [[edge, 0.03, height]] * 2
        sides = [[x * (width - edge) / 2, -0.015, bottom] for x in (-1, 1)]
        bases = [[0, -0.015, bottom], [0, -0.015, bottom + height - edge], *sides]
        parts.append(Part(boxes(sizes, bases), materials.add("trim" if rng.random() < 0.5 else "hard")))
    return Item("mirror", tuple(parts))


def whiteboard(rng: Rng, materials: Materials, width: float, height: float, bottom: float) -> Item:
    """White and a little shiny, in a thin frame, with a tray."""
    board = box(width, 0.015, height, (0, -0.0075, bottom))
    tray = box(width, 0.06, 0.02, (0, -0.03, bottom - 0.02))
    white = materials.add("ceramic", gloss=0.05)
    return Item("whiteboard", (Part(board, white), Part(tray, materials.shared("metal", gloss=0.4))))
