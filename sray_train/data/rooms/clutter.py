"""The small things of a home, on tables, shelves and floors, each of the NYU40 class that names it. Meters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sray_train.data.rooms import screens
from sray_train.data.rooms.primitives import ball, box, boxes, lathe, rounded_box
from sray_train.data.rooms.scene import Item, Materials, Part

Rng = np.random.Generator


def carton(rng: Rng, materials: Materials) -> Item:
    size = rng.uniform([0.1, 0.08, 0.05], [0.42, 0.35, 0.35])
    return Item("box", (Part(boxes(size, [0, 0, 0]), materials.add("cardboard", tile=float(size.max()))),))


def ball_toy(rng: Rng, materials: Materials) -> Item:
    return Item("otherprop", (Part(ball(rng.uniform(0.04, 0.14)), materials.add("any", tile=0.4)),))


def bottles(rng: Rng, materials: Materials) -> Item:
    """One to four bottles or vases of any outline."""
    parts = []
    for k in range(int(rng.integers(1, 5))):
        radius, tall = rng.uniform(0.025, 0.055), rng.uniform(0.12, 0.32)
        neck, shoulder = radius * rng.uniform(0.25, 0.9), tall * rng.uniform(0.4, 0.75)
        profile = [(0, 0), (radius * rng.uniform(0.6, 1), 0), (radius, shoulder * 0.6), (radius, shoulder)]
        shape = lathe([*profile, (neck, shoulder + 0.03), (neck, tall), (0, tall)], segments=10)
        at = (0.12 * k, rng.uniform(-0.04, 0.04), 0)
        parts.append(Part(shape.moved(*at), materials.add("any", tile=0.2, gloss=0.2)))
    return Item("otherprop", tuple(parts))


def bowl(rng: Rng, materials: Materials) -> Item:
    """A bowl, sometimes with fruit, or a plate."""
    radius, tall = rng.uniform(0.08, 0.17), rng.uniform(0.015, 0.1)
    shape = lathe([(0, 0.01), (radius * 0.4, 0), (radius, tall), (radius * 0.93, tall), (0, 0.02)])
    parts = [Part(shape, materials.add("any" if rng.random() < 0.5 else "ceramic", tile=0.3))]
    if tall > 0.05 and rng.random() < 0.5:
        fruit = materials.add("any", tile=0.5)
        for k in range(int(rng.integers(2, 6))):
            angle = 2.4 * k
            at = (0.5 * radius * float(np.cos(angle)), 0.5 * radius * float(np.sin(angle)), tall * 0.4)
            parts.append(Part(ball(0.036, at), fruit))
    return Item("otherprop", tuple(parts))


def mug(rng: Rng, materials: Materials) -> Item:
    shape = lathe([(0, 0), (0.038, 0), (0.043, 0.1), (0.037, 0.1), (0.033, 0.02)], segments=12)
    handle = box(0.035, 0.012, 0.06, (0.055, 0, 0.02))
    material = materials.add("any", tile=0.2)
    return Item("otherprop", (Part(shape, material), Part(handle, material)))


def plant(rng: Rng, materials: Materials) -> Item:
    """Leaves of one size around a pot: a few long ones, many short ones, or flowers on stalks."""
    return _plant(rng, materials, rng.uniform(0.5, 1.2))


def floor_plant(rng: Rng, materials: Materials) -> Item:
    return _plant(rng, materials, rng.uniform(1.6, 2.8))


def _plant(rng: Rng, materials: Materials, scale: float) -> Item:
    leaf = materials.add("leaf", tile=0.2)
    profile = [(0, 0), (0.06 * scale, 0), (0.085 * scale, 0.13 * scale), (0, 0.12 * scale)]
    parts = [Part(lathe(profile, segments=12), materials.add("any", tile=0.4))]
    wide, long = rng.uniform(0.02, 0.07) * scale, rng.uniform(0.12, 0.3) * scale
    blooms = materials.add("any", tile=1.0) if rng.random() < 0.3 else None
    for _ in range(int(rng.integers(8, 22))):
        lean, turn = -rng.uniform(0.05, 0.9), rng.uniform(0, 2 * np.pi)
        size = long * rng.uniform(0.6, 1.2)
        blade = rounded_box(wide, 0.008, size, 0.004, cuts=2).tilted(lean).turned(turn)
        parts.append(Part(blade.moved(0, 0, 0.11 * scale), leaf))
        if blooms is not None and rng.random() < 0.5:
            flower = ball(0.025 * scale, (0, 0, size)).tilted(lean).turned(turn)
            parts.append(Part(flower.moved(0, 0, 0.11 * scale), blooms))
    return Item("otherprop", tuple(parts))


def book_pile(rng: Rng, materials: Materials) -> Item:
    """A pile of books or magazines, or a few that stand upright."""
    parts, z = [], 0.0
    if rng.random() < 0.3:
        x = 0.0
        for _ in range(int(rng.integers(3, 9))):
            thick, tall = rng.uniform(0.015, 0.045), rng.uniform(0.17, 0.28)
            parts.append(Part(box(thick, 0.15, tall, (x + thick / 2, 0, 0)), materials.add("any", tile=0.3)))
            x += thick + 0.001
        return Item("books", tuple(parts))
    for _ in range(int(rng.integers(1, 7))):
        thick = rng.uniform(0.008, 0.045)
        book = box(rng.uniform(0.15, 0.27), rng.uniform(0.12, 0.21), thick).turned(rng.normal(0, 0.25))
        parts.append(Part(book.moved(0, 0, z), materials.add("any", tile=0.3)))
        z += thick
    return Item("books", tuple(parts))


def papers(rng: Rng, materials: Materials) -> Item:
    """Loose sheets, one over the other."""
    parts = []
    for k in range(int(rng.integers(1, 5))):
        sheet = box(0.21, 0.297, 0.004).turned(rng.normal(0, 0.5))
        at = (rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06), 0.004 * k)
        parts.append(Part(sheet.moved(*at), materials.add("page", tile=0.3)))
    return Item("paper", tuple(parts))


def photo(rng: Rng, materials: Materials) -> Item:
    """A framed photograph that leans back on its stand."""
    width, tall = rng.uniform(0.1, 0.26), rng.uniform(0.12, 0.3)
    inner = (width - 0.03, tall - 0.03)
    face = box(inner[0], 0.003, inner[1], (0, -0.009, 0.015)).tilted(-0.2)
    frame = box(width, 0.015, tall).tilted(-0.2)
    return Item("picture", (Part(frame, materials.add("hard")), Part(face, materials.add("art", tile=1), inner)))


def clock(rng: Rng, materials: Materials) -> Item:
    """A clock radio or a loudspeaker."""
    size = rng.uniform([0.1, 0.08, 0.06], [0.26, 0.22, 0.38])
    front = box(
        float(size[0]) * 0.8, 0.006, float(size[2]) * 0.8, (0, -float(size[1]) / 2 - 0.003, float(size[2]) * 0.1)
    )
    body = Part(boxes(size, [0, 0, 0]), materials.add("dark" if rng.random() < 0.6 else "hard"))
    return Item("otherprop", (body, Part(front, materials.add("any", tile=0.3))))


def tissues(rng: Rng, materials: Materials) -> Item:
    cloth = rounded_box(0.06, 0.05, 0.07, 0.02, (0, 0, 0.09), 2)
    return Item(
        "otherprop",
        (Part(box(0.23, 0.12, 0.09), materials.add("cardboard", tile=0.3)), Part(cloth, materials.add("ceramic"))),
    )


def basket(rng: Rng, materials: Materials) -> Item:
    """A basket, bucket or waste bin, empty or full."""
    radius, tall = rng.uniform(0.1, 0.22), rng.uniform(0.15, 0.5)
    flare = rng.uniform(0.75, 1.0)
    profile = [
        (0, 0),
        (radius * flare, 0),
        (radius, tall),
        (radius * 0.95, tall),
        (radius * 0.8 * flare, 0.03),
        (0, 0.03),
    ]
    parts = [Part(lathe(profile, segments=16), materials.add("wicker" if rng.random() < 0.5 else "any", tile=0.4))]
    if rng.random() < 0.4:
        heap = rounded_box(radius * 1.3, radius * 1.3, 0.16, 0.06, (0, 0, tall - 0.1))
        parts.append(Part(heap, materials.add("bedding"), label="clothes"))
    return Item("otherprop", tuple(parts))


def bag(rng: Rng, materials: Materials) -> Item:
    """A soft bag with a handle, a backpack or a suitcase."""
    size = rng.uniform([0.26, 0.14, 0.28], [0.48, 0.26, 0.55])
    cloth = materials.add("soft")
    parts = [Part(rounded_box(size[0], size[1], size[2], 0.07), cloth)]
    parts.append(Part(rounded_box(size[0] * 0.7, 0.08, size[2] * 0.45, 0.03, (0, -size[1] / 2, 0.04)), cloth))
    grip = boxes(
        [[0.02, 0.02, 0.14], [0.02, 0.02, 0.14], [0.14, 0.02, 0.02]],
        [[-0.06, 0, size[2] - 0.02], [0.06, 0, size[2] - 0.02], [0, 0, size[2] + 0.1]],
    )
    return Item("bag", (*parts, Part(grip, materials.add("dark"))))


def clothes(rng: Rng, materials: Materials) -> Item:
    """A heap of a few garments."""
    parts = []
    for k in range(int(rng.integers(1, 5))):
        size = rng.uniform([0.18, 0.15, 0.05], [0.42, 0.34, 0.14])
        garment = rounded_box(size[0], size[1], size[2], 0.05).turned(rng.uniform(0, np.pi))
        parts.append(
            Part(garment.moved(rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), 0.03 * k), materials.add("soft"))
        )
    return Item("clothes", tuple(parts))


def shoes(rng: Rng, materials: Materials) -> Item:
    leather = materials.add("any")
    pair = [rounded_box(0.09, 0.26, 0.09, 0.035).turned(rng.normal(0, 0.2)).moved(x, 0, 0) for x in (-0.07, 0.07)]
    return Item("otherprop", tuple(Part(shoe, leather) for shoe in pair))


def toy(rng: Rng, materials: Materials) -> Item:
    """A stuffed animal: two balls, four limbs, two ears."""
    scale, fur = rng.uniform(0.5, 1.3), materials.add("soft", tile=0.4)
    parts = [Part(ball(0.1 * scale), fur), Part(ball(0.075 * scale, (0, -0.01, 0.15 * scale)), fur)]
    for x in (-1, 1):
        parts.append(Part(ball(0.03 * scale, (x * 0.055 * scale, 0, 0.25 * scale)), fur))
        parts.append(
            Part(rounded_box(0.07 * scale, 0.16 * scale, 0.07 * scale, 0.03, (x * 0.08, -0.09 * scale, 0)), fur)
        )
        parts.append(Part(rounded_box(0.16 * scale, 0.07 * scale, 0.06 * scale, 0.03, (x * 0.12 * scale, 0, 0.1)), fur))
    return Item("otherprop", tuple(parts))


def machine(rng: Rng, materials: Materials) -> Item:
    """A printer, a computer's case or a heater: a box with a darker face."""
    size = rng.uniform([0.18, 0.25, 0.15], [0.5, 0.45, 0.5])
    body = Part(rounded_box(size[0], size[1], size[2], 0.02, cuts=2), materials.add("appliance"))
    face = box(size[0] * 0.7, 0.01, size[2] * 0.4, (0, -size[1] / 2 - 0.003, size[2] * 0.3))
    return Item("otherprop", (body, Part(face, materials.add("dark"))))


Builder = Callable[[Rng, Materials], Item]
ON_TABLES: tuple[Builder, ...] = (
    bottles, bottles, bowl, bowl, mug, mug, plant, book_pile, book_pile, papers, screens.laptop, photo, tissues,
    carton, clock,
)  # fmt: skip
ON_DESKS: tuple[Builder, ...] = (
    screens.monitor,
    screens.laptop,
    book_pile,
    book_pile,
    papers,
    papers,
    mug,
    clock,
    machine,
    carton,
    photo,
)
ON_CABINETS: tuple[Builder, ...] = (
    bottles, bowl, plant, plant, book_pile, photo, photo, clock, carton, carton, toy, basket, machine, tissues,
)  # fmt: skip
IN_SHELVES: tuple[Builder, ...] = (book_pile, book_pile, photo, bottles, bowl, carton, clock, plant, toy, ball_toy, mug)
ON_FLOORS: tuple[Builder, ...] = (
    basket, basket, bag, bag, carton, carton, shoes, clothes, toy, ball_toy, machine, floor_plant, floor_plant,
    book_pile,
)  # fmt: skip
ON_BEDS: tuple[Builder, ...] = (bag, clothes, book_pile, toy, screens.laptop, papers)
