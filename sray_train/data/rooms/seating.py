"""Chairs, stools, sofas, in many shapes. Front towards -y, meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.primitives import Mesh, box, boxes, cylinder, rounded_box
from sray_train.data.rooms.scene import Item, Materials, Part

Rng = np.random.Generator
_BASES = (0.25, 0.25, 0.24, 0.08, 0.06, 0.12)


def chair(rng: Rng, materials: Materials) -> Item:
    """A dining or desk chair: any of five backs on any of four bases, padded or not, with or without arms."""
    return _chair(rng, materials, str(rng.choice(["legs", "legs", "legs", "swivel", "block", "sled"], p=_BASES)))


def office_chair(rng: Rng, materials: Materials) -> Item:
    """On castors; at a desk more often than others."""
    return _chair(rng, materials, "swivel" if rng.random() < 0.7 else "legs")


def _chair(rng: Rng, materials: Materials, base: str) -> Item:
    width, depth, height = rng.uniform(0.38, 0.56), rng.uniform(0.38, 0.54), rng.uniform(0.4, 0.5)
    rise = rng.uniform(0.32, 0.7)
    pad = materials.add(str(rng.choice(["soft", "hard", "soft", "any"])))
    frame = materials.add(str(rng.choice(["hard", "hard", "metal", "any"]))) if rng.random() < 0.8 else pad
    padded = rng.random() < 0.6
    seat = (
        rounded_box(width, depth, 0.08, 0.035, (0, 0, height - 0.08))
        if padded
        else box(width, depth, 0.035, (0, 0, height - 0.035))
    )
    parts = [Part(seat, pad)]
    lean = -rng.uniform(0, 0.28)

    def behind(mesh: Mesh) -> Mesh:
        return mesh.tilted(lean).moved(0, depth / 2 - 0.03, height - 0.01)

    back = str(rng.choice(["solid", "rungs", "slats", "pad", "pad", "none"], p=[0.2, 0.18, 0.18, 0.2, 0.2, 0.04]))
    if back == "solid":
        parts.append(Part(behind(box(width, 0.025, rise)), frame))
    elif back == "pad":
        thick = rng.uniform(0.04, 0.1)
        parts.append(Part(behind(rounded_box(width * 0.95, thick, rise * 0.8, 0.035, (0, 0, rise * 0.2))), pad))
        parts.append(Part(behind(box(0.06, 0.02, rise * 0.4)), frame))
    elif back != "none":
        posts = boxes([[0.03, 0.03, rise]] * 2, [[-width / 2 + 0.02, 0, 0], [width / 2 - 0.02, 0, 0]])
        parts.append(Part(behind(posts), frame))
        count = int(rng.integers(2, 6))
        k = np.arange(count)
        zero = np.zeros(count)
        if back == "rungs":
            bars = boxes(
                [[width - 0.04, 0.02, rise / (2 * count)]] * count,
                np.stack([zero, zero, rise * (k + 0.6) / (count + 0.3)], -1),
            )
        else:
            bars = boxes(
                [[width * 0.5 / count, 0.015, rise * 0.95]] * count,
                np.stack([(k + 0.5) / count * (width - 0.06) - width / 2 + 0.03, zero, zero], -1),
            )
            parts.append(Part(behind(box(width - 0.02, 0.025, 0.06, (0, 0, rise - 0.06))), frame))
        parts.append(Part(behind(bars), frame))
    if base == "legs":
        thick = rng.uniform(0.02, 0.045)
        inset = np.array([width / 2 - thick, depth / 2 - thick])
        corners = [[x * inset[0], y * inset[1], 0] for x in (-1, 1) for y in (-1, 1)]
        parts.append(Part(boxes([[thick, thick, height - 0.03]] * 4, corners), frame))
    elif base == "swivel":
        parts.append(Part(cylinder(0.03, height - 0.1, (0, 0, 0.05), 8), frame))
        foot = box(0.26, 0.04, 0.04, (0.13, 0, 0.04))
        parts += [Part(foot.turned(k * 2 * np.pi / 5), frame) for k in range(5)]
    elif base == "sled":
        for x in (-1, 1):
            at = x * (width / 2 - 0.02)
            bars = boxes(
                [[0.025, depth, 0.025], [0.025, 0.025, height - 0.03], [0.025, 0.025, height - 0.03]],
                [[at, 0, 0], [at, -depth / 2 + 0.02, 0], [at, depth / 2 - 0.02, 0]],
            )
            parts.append(Part(bars, frame))
    else:
        parts.append(Part(box(width * 0.85, depth * 0.85, height - 0.05), frame))
    if back != "none" and rng.random() < 0.35:
        for x in (-1, 1):
            rest = boxes(
                [[0.05, depth * 0.8, 0.03], [0.03, 0.03, 0.2]],
                [[x * width / 2, 0, height + 0.19], [x * width / 2, -depth * 0.3, height - 0.01]],
            )
            parts.append(Part(rest, frame))
    return Item("chair", tuple(parts))


def stool(rng: Rng, materials: Materials) -> Item:
    """A seat without a back: a bar stool (a chair) or an ottoman (other furniture)."""
    seat = materials.add("soft" if rng.random() < 0.6 else "hard")
    if rng.random() < 0.35:
        width, depth, height = rng.uniform(0.4, 0.7), rng.uniform(0.4, 0.6), rng.uniform(0.33, 0.48)
        return Item("otherfurniture", (Part(rounded_box(width, depth, height, 0.05), seat),))
    height, radius = rng.uniform(0.45, 0.78), rng.uniform(0.15, 0.2)
    frame = materials.add(str(rng.choice(["hard", "metal"])))
    parts = [Part(cylinder(radius, rng.uniform(0.03, 0.1), (0, 0, height - 0.05), 16), seat)]
    corners = [[x * radius * 0.75, y * radius * 0.75, 0] for x in (-1, 1) for y in (-1, 1)]
    parts.append(Part(boxes([[0.03, 0.03, height - 0.04]] * 4, corners), frame))
    reach = 1.5 * radius
    rungs = boxes([[reach, 0.02, 0.02]] * 2, [[0, y * reach / 2, height * 0.35] for y in (-1, 1)])
    parts.append(Part(rungs, frame))
    return Item("chair", tuple(parts))


def bench(rng: Rng, materials: Materials) -> Item:
    """Long and low, upholstered or of wood, with or without a back."""
    width, depth, height = rng.uniform(0.9, 1.5), rng.uniform(0.35, 0.48), rng.uniform(0.4, 0.5)
    wood = materials.add("hard")
    seat = materials.add("soft") if rng.random() < 0.5 else wood
    parts = [Part(rounded_box(width, depth, 0.08, 0.03, (0, 0, height - 0.08)), seat)]
    ends = boxes([[0.05, depth * 0.9, height - 0.05]] * 2, [[x * (width / 2 - 0.06), 0, 0] for x in (-1, 1)])
    parts.append(Part(ends, wood))
    if rng.random() < 0.3:
        parts.append(Part(box(width, 0.04, 0.45, (0, depth / 2 - 0.02, height - 0.03)), wood))
    return Item("chair", tuple(parts))


def armchair(rng: Rng, materials: Materials) -> Item:
    """A sofa for one, which ScanNet counts as a chair."""
    return _sofa(rng, materials, "chair", 1)


def sofa(rng: Rng, materials: Materials) -> Item:
    """For two to four, with loose or fixed cushions, arms of many widths, sometimes a longer seat at one end."""
    return _sofa(rng, materials, "sofa", int(rng.choice([2, 2, 3, 3, 4])))


def _sofa(rng: Rng, materials: Materials, label: str, seats: int) -> Item:
    arm = float(rng.uniform(0.08, 0.25)) if rng.random() < 0.88 else 0.0
    seat_width = rng.uniform(0.52, 0.75)
    width, depth = seats * seat_width + 2 * arm, rng.uniform(0.75, 0.98)
    height, rise = rng.uniform(0.36, 0.46), rng.uniform(0.28, 0.52)
    leg = rng.uniform(0.06, 0.14) if rng.random() < 0.5 else 0.0
    radius = rng.uniform(0.03, 0.08)
    body = materials.add("soft")
    cushion = materials.add("soft") if rng.random() < 0.4 else body
    parts = [
        Part(rounded_box(width, depth, height * 0.6 - leg, 0.04, (0, 0, leg)), body),
        Part(rounded_box(width, 0.2, height + rise - leg, radius, (0, depth / 2 - 0.1, leg)), body),
    ]
    if arm:
        arm_height = height + rng.uniform(0.06, 0.24) - leg
        for side in (-1, 1):
            at = (side * (width - arm) / 2, 0.0, leg)
            parts.append(Part(rounded_box(arm, depth, arm_height, min(radius, arm / 2), at), body))
    backs = rng.random() < 0.7
    for k in range(seats):
        x = (k + 0.5 - seats / 2) * seat_width
        seat = rounded_box(seat_width * 0.98, depth - 0.2, height * 0.4 + 0.05, 0.06, (x, -0.1, height * 0.6 - 0.01))
        parts.append(Part(seat, cushion))
        if backs:
            back = rounded_box(seat_width * 0.95, 0.16, rise * 0.9, 0.07).tilted(-0.15)
            parts.append(Part(back.moved(x, depth / 2 - 0.28, height), cushion))
    for _ in range(rng.integers(0, 4)):
        size = rng.uniform(0.32, 0.45)
        pillow = rounded_box(size, 0.14, size, 0.06).tilted(-0.35).turned(rng.uniform(-0.4, 0.4))
        x = rng.uniform(-0.5, 0.5) * max(width - 2 * arm - size, 0)
        parts.append(Part(pillow.moved(x, depth / 2 - 0.44, height + 0.02), materials.add("soft"), label="pillow"))
    if rng.random() < 0.2:  # a throw over the seat
        x = rng.uniform(-0.5, 0.5) * max(width - 2 * arm - 0.4, 0)
        throw = rounded_box(rng.uniform(0.3, 0.6), depth * 0.75, 0.03, 0.015, (x, -0.12, height + 0.04))
        parts.append(Part(throw, materials.add("soft")))
    if leg:
        feet = materials.add("hard")
        parts += [
            Part(cylinder(0.025, leg + 0.01, (x * (width / 2 - 0.08), y * (depth / 2 - 0.08), 0), 8), feet)
            for x in (-1, 1)
            for y in (-1, 1)
        ]
    if seats > 1 and rng.random() < 0.2:  # a longer seat at one end
        x = float(rng.choice([-1, 1])) * (width - 2 * arm - seat_width) / 2
        long = rng.uniform(0.4, 0.65)
        y = -depth / 2 - long / 2 + 0.02
        parts.append(Part(rounded_box(seat_width, long, height * 0.6 - leg, 0.04, (x, y, leg)), body))
        parts.append(Part(rounded_box(seat_width * 0.98, long, height * 0.45, 0.06, (x, y, height * 0.58)), cushion))
    return Item(label, tuple(parts))
