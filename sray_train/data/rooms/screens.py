"""Computer screens, laptops and televisions: a face that shows something, or nothing, in a frame. Meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.primitives import box, boxes, rounded_box
from sray_train.data.rooms.scene import Item, Materials, Part

Rng = np.random.Generator


def _display(rng: Rng, materials: Materials, width: float, tall: float, bottom: float) -> list[Part]:
    """A flat screen with a frame, standing from `bottom` up, its face towards -y."""
    frame = materials.add("dark" if rng.random() < 0.8 else "appliance")
    glow = float(rng.choice([0, 0, 1.5]))
    face = materials.add("screen", tile=1, gloss=0.2, emission=glow)
    edge = rng.uniform(0.01, 0.04)
    inner = (width - 2 * edge, tall - 2 * edge)
    return [
        Part(box(width, 0.035, tall, (0, 0, bottom)), frame),
        Part(box(inner[0], 0.004, inner[1], (0, -0.019, bottom + edge)), face, inner),
    ]


def monitor(rng: Rng, materials: Materials) -> Item:
    """A computer's screen, with a keyboard before it or not."""
    width = rng.uniform(0.38, 0.62)
    parts = _display(rng, materials, width, width * rng.uniform(0.56, 0.78), 0.1)
    stand = boxes([[0.05, 0.03, 0.15], [0.22, 0.16, 0.015]], [[0, 0.03, 0], [0, 0.03, 0]])
    parts.append(Part(stand, materials.add("dark")))
    if rng.random() < 0.7:
        parts.append(
            Part(box(0.42, 0.14, 0.02, (0, -0.24, 0)), materials.add("dark" if rng.random() < 0.6 else "ceramic"))
        )
        parts.append(Part(rounded_box(0.06, 0.1, 0.03, 0.015, (0.3, -0.24, 0), 2), materials.add("dark")))
    return Item("otherprop", tuple(parts))


def laptop(rng: Rng, materials: Materials) -> Item:
    width, depth = rng.uniform(0.29, 0.38), rng.uniform(0.21, 0.26)
    case = materials.add("metal")
    screen = materials.add("screen", tile=1, emission=1.0)
    lid = box(width, 0.012, depth).tilted(-0.35).moved(0, depth / 2, 0.015)
    face = box(width - 0.03, 0.002, depth - 0.03, (0, -0.008, 0.015)).tilted(-0.35).moved(0, depth / 2, 0.015)
    keys = box(width - 0.04, depth * 0.5, 0.003, (0, depth * 0.15, 0.018))
    return Item(
        "otherprop",
        (
            Part(box(width, depth, 0.018), case),
            Part(keys, materials.add("dark")),
            Part(lid, case),
            Part(face, screen, (width - 0.03, depth - 0.03)),
        ),
    )


def television(rng: Rng, materials: Materials) -> Item:
    """A flat one on a foot, or an old deep one."""
    if rng.random() < 0.2:
        width, tall, deep = rng.uniform(0.45, 0.75), rng.uniform(0.4, 0.58), rng.uniform(0.35, 0.5)
        case = materials.add("dark" if rng.random() < 0.7 else "appliance")
        face = materials.add("screen", tile=1, gloss=0.4)
        inner = (width - 0.08, tall - 0.12)
        front = -deep / 2
        glass = box(inner[0], 0.008, inner[1], (0, front - 0.004, 0.08))
        shell = [Part(box(width, deep * 0.4, tall, (0, front + deep * 0.2, 0)), case)]
        shell.append(Part(rounded_box(width * 0.7, deep * 0.65, tall * 0.8, 0.1, (0, deep * 0.17, 0.02)), case))
        return Item("television", (*shell, Part(glass, face, inner)))
    width = rng.uniform(0.6, 1.45)
    parts = _display(rng, materials, width, width * rng.uniform(0.55, 0.62), 0.07)
    foot = boxes([[width * 0.45, 0.22, 0.015], [0.12, 0.04, 0.09]], [[0, 0.02, 0], [0, 0.02, 0]])
    return Item("television", (*parts, Part(foot, materials.add("dark"))))


def wall_television(rng: Rng, materials: Materials, width: float, bottom: float) -> Item:
    """A flat one on a wall (surface y = 0)."""
    parts = _display(rng, materials, width, width * 0.57, bottom)
    return Item("television", tuple(Part(part.mesh.moved(0, -0.06, 0), part.material, part.stretch) for part in parts))
