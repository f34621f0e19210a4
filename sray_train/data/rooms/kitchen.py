"""What a kitchen is made of: counters with a sink and a stove, wall cabinets, refrigerators, islands. Meters.

A counter is of three classes: its top is "counter", what is under it "cabinet", the basin "sink".
"""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.primitives import Mesh, box, boxes, cylinder, join, lathe, rounded_box
from sray_train.data.rooms.scene import Item, Materials, Part, Surface

Rng = np.random.Generator
SLAB = 0.035
"""Thickness of a worktop."""


def basin(width: float, depth: float, deep: float, at: tuple[float, float, float]) -> Mesh:
    """An open box hung below `at`, the middle of its rim: four sides and a bottom."""
    x, y, z = at
    wall = 0.012
    sizes = [[width, wall, deep], [width, wall, deep], [wall, depth, deep], [wall, depth, deep], [width, depth, wall]]
    low = z - deep
    bases = [[x, y - depth / 2, low], [x, y + depth / 2, low], [x - width / 2, y, low], [x + width / 2, y, low]]
    return boxes(sizes, [*bases, [x, y, low]])


def faucet(rng: Rng, at: tuple[float, float, float]) -> Mesh:
    """Stands behind a basin and reaches forwards (-y)."""
    rise, reach = rng.uniform(0.12, 0.34), rng.uniform(0.12, 0.2)
    neck = cylinder(0.013, rise, segments=8)
    spout = box(0.024, reach, 0.022, (0, -reach / 2 + 0.012, rise - 0.02))
    tip = box(0.02, 0.02, 0.05, (0, -reach + 0.02, rise - 0.06))
    lever = box(0.02, 0.07, 0.012, (0.04, 0, 0.06))
    return join([neck, spout, tip, lever]).moved(*at)


def slab_with_hole(width: float, depth: float, height: float, hole: tuple[float, float, float, float]) -> Mesh:
    """A worktop whose upper side is at `height`, around a hole (x, y, width, depth)."""
    x, y, hole_width, hole_depth = hole
    left, right = x - hole_width / 2 + width / 2, width / 2 - x - hole_width / 2
    front, back = y - hole_depth / 2 + depth / 2, depth / 2 - y - hole_depth / 2
    z = height - SLAB
    sizes = [[left, depth, SLAB], [right, depth, SLAB], [hole_width, front, SLAB], [hole_width, back, SLAB]]
    bases = [
        [-width / 2 + left / 2, 0, z],
        [width / 2 - right / 2, 0, z],
        [x, -depth / 2 + front / 2, z],
        [x, depth / 2 - back / 2, z],
    ]
    return boxes(sizes, bases)


def fronts(
    rng: Rng, materials: Materials, width: float, depth: float, low: float, high: float, front: int
) -> list[Part]:
    """Doors and drawers along the front of a row of base or wall cabinets, from `low` to `high`."""
    columns = max(1, round(width / rng.uniform(0.38, 0.6)))
    cell, tall = width / columns, high - low
    knob = materials.shared("metal", gloss=0.4)
    framed = rng.random() < 0.5
    panels, raised, pulls = [], [], []
    for column in range(columns):
        x = -width / 2 + cell * (column + 0.5)
        rows = [(low, tall)]
        if tall > 0.5 and rng.random() < 0.75:
            drawer = 0.16
            rows = [(low, tall - drawer), (high - drawer, drawer)]
            if rng.random() < 0.25:
                rows = [(low + k * tall / 3, tall / 3) for k in range(3)]
        for z, rise in rows:
            panels.append([x, z, cell - 0.012, rise - 0.012])
            if framed:
                raised.append([x, z + 0.05, cell - 0.12, rise - 0.1])
            drawer_like = rise < 0.35
            side = 1 if column % 2 == 0 else -1
            at_x = x if drawer_like else x + side * (cell / 2 - 0.05)
            at_z = z + rise / 2 if drawer_like else z + rise * (0.75 if low < 1 else 0.1)
            pulls.append([at_x, at_z, 0.11 if drawer_like else 0.015, 0.015 if drawer_like else 0.11])
    y = -depth / 2

    def faces(rows: list[list[float]], thick: float, out: float) -> Mesh:
        sizes = [[w, thick, max(h, 0.01)] for _, _, w, h in rows]
        return boxes(sizes, [[x, y - out, z] for x, z, _, _ in rows])

    parts = [Part(faces(panels, 0.02, 0.008), front, label="cabinet")]
    if raised:
        parts.append(Part(faces(raised, 0.01, 0.02), front, label="cabinet"))
    parts.append(Part(faces(pulls, 0.025, 0.03), knob, label="cabinet"))
    return parts


def counter(rng: Rng, materials: Materials, width: float, *, sink: bool = False, stove: bool = False) -> Item:
    """A run of base cabinets under a worktop, against a wall."""
    depth, height = 0.62, rng.uniform(0.86, 0.94)
    body, top = materials.shared("hard"), materials.shared("stone", gloss=0.2)
    base = height - SLAB
    parts = [
        Part(box(width, depth - 0.06, base - 0.1, (0, 0.03, 0.1)), body, label="cabinet"),
        Part(box(width, depth - 0.12, 0.1, (0, 0.06, 0)), materials.shared("dark"), label="cabinet"),
    ]
    surfaces = []
    metal = materials.shared("metal", gloss=0.4)
    cut = 0.0  # what sink and stove take at the right of the worktop
    stove_width = 0.6 if stove and width > 1.0 else 0.0
    if stove_width:
        x = width / 2 - stove_width / 2
        parts += _stove(rng, materials, stove_width, depth, height, x)
        cut += stove_width
    if sink:
        room = width - stove_width
        wide, deep = min(rng.uniform(0.45, 0.8), room - 0.15), rng.uniform(0.36, 0.42)
        x = rng.uniform(-1, 1) * max(room - wide - 0.2, 0) / 2 - stove_width / 2
        steel = metal if rng.random() < 0.7 else materials.add("ceramic", gloss=0.2)
        shift = (x + stove_width / 2, -0.02, wide, deep)
        parts.append(Part(slab_with_hole(room, depth, height, shift).moved(-stove_width / 2, 0, 0), top))
        parts.append(Part(basin(wide, deep, 0.17, (x, -0.02, height + 0.003)), steel, label="sink"))
        parts.append(Part(faucet(rng, (x, deep / 2 + 0.02, height)), metal, label="sink"))
        for low, high in ((-width / 2, x - wide / 2), (x + wide / 2, width / 2 - stove_width)):
            if high - low > 0.15:
                surfaces.append(Surface(height, high - low, depth - 0.06, x=(low + high) / 2, headroom=0.45))
    else:
        room = width - cut
        parts.append(Part(box(room, depth, SLAB, (-cut / 2, 0, base)), top))
        surfaces.append(Surface(height, room, depth - 0.06, x=-cut / 2, headroom=0.45))
    doors = fronts(rng, materials, width - stove_width, depth - 0.06, 0.1, base, materials.shared("front"))
    parts += [Part(part.mesh.moved(-stove_width / 2, 0.03, 0), part.material, label="cabinet") for part in doors]
    if rng.random() < 0.6:  # a low backsplash of the worktop's stone
        parts.append(Part(box(width, 0.015, rng.uniform(0.06, 0.14), (0, depth / 2 - 0.008, height)), top))
    return Item("counter", tuple(parts), surfaces=tuple(surfaces))


def _stove(rng: Rng, materials: Materials, width: float, depth: float, height: float, x: float) -> list[Part]:
    """An oven with four plates or burners on top: furniture of no class of its own."""
    body = materials.add("appliance", gloss=0.2)
    dark = materials.shared("dark", gloss=0.2)
    front = -depth / 2 - 0.012
    plates = [[x + sx * 0.14, sy * 0.13, height + 0.004] for sx in (-1, 1) for sy in (-1, 1)]
    rings = join([cylinder(rng.uniform(0.06, 0.1), 0.012, (a, b, c), 14) for a, b, c in plates])
    knobs = boxes([[0.035, 0.03, 0.035]] * 4, [[x - 0.2 + 0.13 * k, front - 0.01, height - 0.1] for k in range(4)])
    parts = [
        Part(box(width - 0.006, depth, height, (x, 0, 0)), body),
        Part(box(width - 0.01, depth - 0.04, 0.006, (x, 0, height)), dark),
        Part(rings, materials.shared("metal", gloss=0.4) if rng.random() < 0.3 else dark),
        Part(box(width * 0.75, 0.02, 0.3, (x, front + 0.008, 0.3)), dark),
        Part(box(width * 0.85, 0.03, 0.025, (x, front - 0.02, 0.66)), materials.shared("metal", gloss=0.4)),
        Part(knobs, dark),
    ]
    if rng.random() < 0.5:  # a panel at the back
        parts.append(Part(box(width - 0.01, 0.06, 0.18, (x, depth / 2 - 0.03, height)), body))
    return [Part(part.mesh, part.material, label="otherfurniture") for part in parts]


def wall_cabinet(rng: Rng, materials: Materials, width: float, height: float, bottom: float) -> Item:
    """Hangs on a wall, its front at y = -0.33."""
    depth = 0.33
    parts = [Part(box(width, depth, height, (0, -depth / 2, bottom)), materials.shared("hard"))]
    doors = fronts(rng, materials, width, depth, bottom, bottom + height, materials.shared("front"))
    parts += [Part(part.mesh.moved(0, -depth / 2, 0), part.material) for part in doors]
    return Item("cabinet", tuple(parts))


def hood(rng: Rng, materials: Materials, bottom: float, ceiling: float) -> Item:
    """A cooker hood, or a microwave in its place, on the wall."""
    body = materials.add("appliance", gloss=0.2)
    if rng.random() < 0.4:
        glass = box(0.4, 0.01, 0.24, (-0.05, -0.385, bottom + 0.05))
        case = box(0.6, 0.38, 0.36, (0, -0.19, bottom))
        return Item("otherprop", (Part(case, body), Part(glass, materials.shared("dark", gloss=0.2))))
    canopy = boxes([[0.6, 0.45, 0.07], [0.45, 0.3, 0.12]], [[0, -0.225, bottom], [0, -0.2, bottom + 0.07]])
    chimney = box(0.26, 0.24, ceiling - bottom - 0.19, (0, -0.13, bottom + 0.19))
    return Item("otherfurniture", (Part(canopy, body), Part(chimney, body)))


def island(rng: Rng, materials: Materials) -> Item:
    """A free-standing counter with cabinets on one side and an overhang on the other."""
    width, depth, height = rng.uniform(1.0, 1.9), rng.uniform(0.65, 0.95), rng.uniform(0.88, 0.98)
    over = rng.uniform(0, 0.25)
    base = height - SLAB
    body = materials.shared("front")
    parts = [
        Part(box(width, depth, SLAB, (0, 0, base)), materials.shared("stone", gloss=0.2)),
        Part(box(width - 0.08, depth - over - 0.06, base, (0, -over / 2, 0)), body, label="cabinet"),
    ]
    doors = fronts(rng, materials, width - 0.08, depth - over - 0.06, 0.08, base, body)
    parts += [Part(part.mesh.moved(0, -over / 2, 0), part.material, label="cabinet") for part in doors]
    return Item("counter", tuple(parts), surfaces=(Surface(height, width, depth),))


def refrigerator(rng: Rng, materials: Materials) -> Item:
    """One door, a freezer above or below, or two doors side by side; sometimes with notes and magnets on it."""
    kind = str(rng.choice(["top", "bottom", "side", "single"]))
    width = rng.uniform(0.8, 0.95) if kind == "side" else rng.uniform(0.56, 0.8)
    depth, height = rng.uniform(0.6, 0.75), rng.uniform(1.0 if kind == "single" else 1.45, 1.9)
    body = materials.add("appliance", tile=2.0, gloss=0.2)
    handle = materials.shared("metal", gloss=0.4) if rng.random() < 0.6 else body
    front = -depth / 2 - 0.03
    doors: list[tuple[float, float, float, float]] = []  # x, z, width, height
    if kind == "side":
        share = rng.uniform(0.4, 0.5)
        doors = [(-width / 2 * (1 - share), 0.06, width * share, height - 0.06)]
        doors.append((width / 2 * share, 0.06, width * (1 - share), height - 0.06))
    elif kind == "single":
        doors = [(0, 0.06, width, height - 0.06)]
    else:
        split = height * (rng.uniform(0.66, 0.75) if kind == "top" else rng.uniform(0.3, 0.4))
        doors = [(0, 0.06, width, split - 0.06), (0, split, width, height - split)]
    parts = [Part(box(width, depth, height), body)]
    hinge = float(rng.choice([-1, 1]))
    for k, (x, z, wide, tall) in enumerate(doors):
        parts.append(Part(box(wide - 0.01, 0.06, tall - 0.01, (x, front + 0.03, z)), body))
        side = (1 if k == 0 else -1) if kind == "side" else hinge
        grip = min(tall * 0.5, 0.5)
        low = z + (0.08 if k == 1 and kind != "side" else tall - grip - 0.1)
        parts.append(Part(box(0.025, 0.04, grip, (x + side * (wide / 2 - 0.06), front - 0.05, low)), handle))
    if rng.random() < 0.25:
        parts.append(Part(box(0.2, 0.01, 0.3, (doors[0][0], front - 0.004, height * 0.55)), materials.shared("dark")))
    for _ in range(int(rng.integers(0, 9)) if rng.random() < 0.5 else 0):
        size = rng.uniform([0.03, 0.03], [0.16, 0.2])
        at = (rng.uniform(-0.35, 0.35) * width, front - 0.003, rng.uniform(0.5, 0.85) * height)
        note = materials.add("page" if rng.random() < 0.5 else "any", tile=0.2)
        parts.append(Part(box(float(size[0]), 0.006, float(size[1]), at), note, label="paper"))
    return Item("refrigerator", tuple(parts), surfaces=(Surface(height, width, depth, headroom=0.5),))


def kettle(rng: Rng, materials: Materials) -> Item:
    """A kettle, coffee maker, toaster or mixing bowl: what stands on worktops."""
    kind = str(rng.choice(["kettle", "coffee", "toaster", "jar", "microwave", "board"]))
    body = materials.add(str(rng.choice(["appliance", "any"])), gloss=0.2)
    if kind == "kettle":
        shape = lathe([(0, 0), (0.09, 0), (0.1, 0.08), (0.06, 0.2), (0.02, 0.22), (0, 0.22)])
        return Item("otherprop", (Part(shape, body), Part(box(0.02, 0.03, 0.16, (0.11, 0, 0.04)), body)))
    if kind == "coffee":
        tower = boxes(
            [[0.2, 0.24, 0.03], [0.2, 0.1, 0.34], [0.2, 0.22, 0.08]], [[0.0, 0, 0], [0, 0.07, 0], [0, 0, 0.26]]
        )
        return Item(
            "otherprop", (Part(tower, body), Part(cylinder(0.06, 0.13, (0, -0.04, 0.03)), materials.add("dark")))
        )
    if kind == "toaster":
        return Item("otherprop", (Part(rounded_box(0.3, 0.18, 0.19, 0.04), body),))
    if kind == "microwave":
        glass = Part(box(0.3, 0.01, 0.2, (-0.05, -0.185, 0.05)), materials.shared("dark", gloss=0.2))
        return Item("otherprop", (Part(box(0.48, 0.36, 0.29), body), glass))
    if kind == "board":
        return Item("otherprop", (Part(box(0.26, 0.02, 0.36).tilted(-0.2), materials.add("hard")),))
    count = int(rng.integers(1, 4))
    jars = join([cylinder(0.05 + 0.01 * k, 0.12 + 0.04 * k, (0.13 * k, 0, 0), 12) for k in range(count)])
    return Item("otherprop", (Part(jars, body),))
