"""Beds of many sizes: divans, slatted and canopy beds, cots and bunks, made or rumpled. Front towards -y, meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.primitives import box, boxes, rounded_box
from sray_train.data.rooms.scene import Item, Materials, Part, Surface

Rng = np.random.Generator


def bed(rng: Rng, materials: Materials) -> Item:
    """A bed for one or two: on a box, on legs or a mattress alone; with a headboard, a quilt and pillows."""
    width, depth = float(rng.choice([0.9, 1.2, 1.4, 1.6, 1.8])), rng.uniform(1.95, 2.15)
    height, thick = rng.uniform(0.2, 0.38), rng.uniform(0.14, 0.26)
    frame = materials.add(str(rng.choice(["hard", "soft", "any"])))
    mattress, cover, pillow = (materials.add("bedding") for _ in range(3))
    style = str(rng.choice(["box", "legs", "legs", "mattress"]))
    parts = []
    if style == "box":
        parts.append(Part(box(width + 0.06, depth, height), frame))
    elif style == "legs":
        corners = [[x * width / 2, y * (depth / 2 - 0.06), 0] for x in (-1, 1) for y in (-1, 1)]
        parts.append(Part(box(width + 0.06, depth, 0.12, (0, 0, height - 0.12)), frame))
        parts.append(Part(boxes([[0.07, 0.07, height]] * 4, corners), frame))
    else:
        parts.append(Part(rounded_box(width, depth - 0.04, height, 0.05), frame))
    parts.append(Part(rounded_box(width, depth - 0.06, thick, 0.06, (0, 0, height - 0.02)), mattress))
    top = height + thick - 0.02
    if rng.random() < 0.92:
        length = depth * rng.uniform(0.45, 0.97)
        drop = rng.uniform(0.05, 0.9) * top
        spread = rng.uniform(0.04, 0.1)
        at = (0, -depth / 2 + length / 2 - 0.01, top + 0.03 - drop)
        parts.append(Part(rounded_box(width + spread, length, drop, 0.045, at, 5), cover))
    if rng.random() < 0.8:
        head = materials.add("any") if rng.random() < 0.4 else frame
        rise = rng.uniform(0.65, 1.25)
        if rng.random() < 0.75:
            parts.append(Part(box(width + 0.1, 0.06, rise, (0, depth / 2, 0)), head))
        else:  # bars
            count = int(rng.integers(5, 12))
            across = np.linspace(-width / 2, width / 2, count)
            places = np.stack([across, 0 * across + depth / 2, 0 * across], -1)
            bars = boxes([[0.03, 0.03, rise]] * count, places)
            parts += [Part(bars, head), Part(box(width + 0.08, 0.04, 0.05, (0, depth / 2, rise - 0.05)), head)]
        if rng.random() < 0.35:
            parts.append(Part(box(width + 0.1, 0.05, rise * rng.uniform(0.4, 0.8), (0, -depth / 2 - 0.03, 0)), head))
    if width > 1.1 and rng.random() < 0.1:  # four posts, joined at the top or not
        tall = rng.uniform(1.6, 2.0)
        corners = [[x * (width / 2 + 0.02), y * (depth / 2 - 0.02), 0] for x in (-1, 1) for y in (-1, 1)]
        parts.append(Part(boxes([[0.07, 0.07, tall]] * 4, corners), frame))
        if rng.random() < 0.5:
            rails = boxes([[width, 0.05, 0.05]] * 2, [[0, y * (depth / 2 - 0.02), tall - 0.05] for y in (-1, 1)])
            sides = boxes([[0.05, depth, 0.05]] * 2, [[x * (width / 2 + 0.02), 0, tall - 0.05] for x in (-1, 1)])
            parts += [Part(rails, frame), Part(sides, frame)]
    for _ in range(int(rng.integers(0, 3))):  # a throw, or clothes left on it
        size = rng.uniform([0.3, 0.3, 0.03], [0.9, 0.7, 0.12])
        x, y = rng.uniform(-0.3, 0.3) * (width - size[0]), -depth * rng.uniform(0.05, 0.3)
        heap = rounded_box(size[0], size[1], size[2], 0.04).turned(rng.normal(0, 0.3)).moved(x, y, top + 0.01)
        parts.append(Part(heap, materials.add("bedding"), label="clothes" if size[2] > 0.08 else None))
    count = 1 if width < 1.3 else 2
    rows = int(rng.choice([1, 1, 2, 3]))
    shams = materials.add("bedding")
    leaning = rng.random() < 0.4
    for row in range(rows):
        for k in range(count):
            wide = min(0.65, width / count * 0.85) * (1 - 0.2 * row)
            cushion = rounded_box(wide, 0.4 - 0.1 * row, 0.14, 0.06).turned(rng.normal(0, 0.08))
            x = (k + 0.5) / count * width - width / 2
            material = pillow if row == 0 else shams
            if leaning:
                cushion = cushion.tilted(1.1)
            cushion = cushion.moved(x, depth / 2 - 0.3 - 0.2 * row, top - 0.02 + 0.03 * row)
            parts.append(Part(cushion, material, label="pillow"))
    reach = depth * 0.5
    return Item(
        "bed", tuple(parts), surfaces=(Surface(top + 0.04, width * 0.7, reach, y=-depth / 2 + reach / 2 + 0.1),)
    )


def bunk_bed(rng: Rng, materials: Materials) -> Item:
    """One bed above another, with a ladder."""
    width, depth, tall = rng.uniform(0.85, 1.0), rng.uniform(1.95, 2.1), rng.uniform(1.5, 1.75)
    frame = materials.add("hard")
    corners = [[x * width / 2, y * (depth / 2 - 0.03), 0] for x in (-1, 1) for y in (-1, 1)]
    parts = [Part(boxes([[0.07, 0.07, tall]] * 4, corners), frame)]
    for level in (rng.uniform(0.3, 0.4), tall - rng.uniform(0.35, 0.5)):
        rails = boxes([[0.03, depth, 0.16]] * 2, [[x * width / 2, 0, level - 0.05] for x in (-1, 1)])
        ends = boxes([[width, 0.03, 0.3]] * 2, [[0, y * (depth / 2 - 0.03), level] for y in (-1, 1)])
        parts += [Part(rails, frame), Part(ends, frame)]
        parts.append(Part(rounded_box(width - 0.05, depth - 0.08, 0.16, 0.05, (0, 0, level)), materials.add("bedding")))
        cover = rounded_box(width, depth * 0.65, 0.14, 0.04, (0, -depth * 0.15, level + 0.06))
        parts.append(Part(cover, materials.add("bedding")))
        pillow = rounded_box(0.55, 0.36, 0.12, 0.05, (0, depth / 2 - 0.3, level + 0.15))
        parts.append(Part(pillow, materials.add("bedding"), label="pillow"))
    rungs = np.arange(0.25, tall, 0.28)
    bars = boxes([[0.03, 0.32, 0.03]] * len(rungs), np.stack([0 * rungs - width / 2 - 0.03, 0 * rungs, rungs], -1))
    return Item("bed", (*parts, Part(bars, frame)))
