"""What a bathroom is made of: toilet, bathtub, shower, vanity or pedestal basin, towels. Front towards -y, meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms.kitchen import SLAB, basin, faucet, fronts, slab_with_hole
from sray_train.data.rooms.primitives import Mesh, box, boxes, cylinder, join, lathe, rounded_box, sheet
from sray_train.data.rooms.scene import Item, Materials, Part, Surface

Rng = np.random.Generator


def _bowl(radius: float, height: float, rim: float = 0.03) -> Mesh:
    """A round basin on a foot, hollow: up the outside, over the rim, down the inside."""
    profile = [(radius * 0.45, 0), (radius * 0.5, height * 0.3), (radius * 0.95, height * 0.85), (radius, height)]
    inside = [(radius - rim, height), (radius * 0.7, height * 0.75), (radius * 0.2, height * 0.6), (0, height * 0.6)]
    return lathe([*profile, *inside], segments=20)


def toilet(rng: Rng, materials: Materials) -> Item:
    """A bowl with seat and lid (up or down) and a cistern: on the floor, boxed in, or in the wall."""
    china = materials.add("ceramic", gloss=0.2)
    seat = china if rng.random() < 0.75 else materials.add("hard")
    radius, height, long = rng.uniform(0.17, 0.2), rng.uniform(0.38, 0.43), rng.uniform(1.2, 1.4)
    parts = [Part(_bowl(radius, height).scaled(1, long, 1), china)]
    parts.append(Part(box(radius * 1.1, radius, height * 0.95, (0, radius * long * 0.8, 0)), china))
    ring = lathe([(radius * 0.62, 0), (radius * 1.02, 0), (radius * 1.02, 0.02), (radius * 0.62, 0.02)], segments=20)
    parts.append(Part(ring.scaled(1, long, 1).moved(0, 0, height), seat))
    lid = lathe([(0, 0), (radius * 1.02, 0), (radius * 1.02, 0.02), (0, 0.025)], segments=20).scaled(1, long, 1)
    if rng.random() < 0.6:
        parts.append(Part(lid.moved(0, 0, height + 0.022), seat))
    else:
        raised = lid.moved(0, -radius * long, 0).tilted(-1.75).moved(0, radius * long * 0.9, height + 0.02)
        parts.append(Part(raised, seat))
    back = radius * long + 0.09
    if rng.random() < 0.8:
        wide, rise = rng.uniform(0.36, 0.5), rng.uniform(0.32, 0.42)
        parts.append(Part(rounded_box(wide, 0.19, rise, 0.03, (0, back, height - 0.02)), china))
        parts.append(Part(rounded_box(wide + 0.03, 0.21, 0.04, 0.015, (0, back, height + rise - 0.02)), china))
        lever = box(0.07, 0.02, 0.02, (-wide * 0.32, back - 0.11, height + rise - 0.1))
        parts.append(Part(lever, materials.shared("metal", gloss=0.4)))
        surfaces = [Surface(height + rise + 0.02, wide, 0.18, y=back, headroom=0.6)]
    else:
        parts.append(Part(box(0.5, 0.16, 1.05, (0, back, 0)), materials.add("wet wall"), label="wall"))
        surfaces = [Surface(1.05, 0.5, 0.16, y=back, headroom=0.6)]
    return Item("toilet", tuple(parts), surfaces=tuple(surfaces))


def bathtub(rng: Rng, materials: Materials) -> Item:
    """Built in with an apron, or free-standing; long side to the wall."""
    width, depth, height = rng.uniform(1.45, 1.75), rng.uniform(0.7, 0.82), rng.uniform(0.45, 0.6)
    china = materials.add("ceramic", gloss=0.2)
    metal = materials.shared("metal", gloss=0.4)
    tap = faucet(rng, (0, 0, 0)).turned(np.pi / 2).moved(-width / 2 + 0.1, 0, height)
    if rng.random() < 0.2:
        shell = _bowl(0.4, height, 0.05).scaled(width / 0.8, depth / 0.8, 1)
        return Item("bathtub", (Part(shell, china), Part(tap, metal)))
    rim = 0.07
    z = height - 0.03
    sizes = [[width, rim, 0.03], [width, rim, 0.03], [rim, depth, 0.03], [rim, depth, 0.03]]
    bases = [[0, y * (depth - rim) / 2, z] for y in (-1, 1)] + [[x * (width - rim) / 2, 0, z] for x in (-1, 1)]
    apron = china if rng.random() < 0.65 else materials.add("wet wall")
    parts = [
        Part(boxes(sizes, bases), china),
        Part(basin(width - 2 * rim, depth - 2 * rim, height - 0.1, (0, 0, height)), china),
        Part(box(width, 0.03, z, (0, -depth / 2 + 0.015, 0)), apron),
        Part(boxes([[0.03, depth, z]] * 2, [[x * (width / 2 - 0.015), 0, 0] for x in (-1, 1)]), apron),
        Part(tap, metal),
    ]
    return Item("bathtub", tuple(parts))


def shower_tray(rng: Rng, materials: Materials) -> Item:
    """A tray on the floor with a pole and a head above it; a curtain or glass comes with it from the layout."""
    width, depth = rng.uniform(0.8, 1.1), rng.uniform(0.75, 0.95)
    china, metal = materials.add("ceramic", gloss=0.2), materials.shared("metal", gloss=0.4)
    rim = boxes(
        [[width, 0.05, 0.1]] * 2 + [[0.05, depth, 0.1]] * 2,
        [[0, y * (depth - 0.05) / 2, 0] for y in (-1, 1)] + [[x * (width - 0.05) / 2, 0, 0] for x in (-1, 1)],
    )
    pole = join(
        [cylinder(0.012, 1.1, (0, depth / 2 - 0.05, 0.95), 8), box(0.02, 0.25, 0.02, (0, depth / 2 - 0.17, 2.03))]
    )
    head = cylinder(0.09, 0.02, (0, depth / 2 - 0.28, 2.01), 14)
    parts = (Part(join([rim, box(width, depth, 0.05)]), china), Part(join([pole, head]), metal, label="otherstructure"))
    return Item("bathtub", parts)


def shower_curtain(rng: Rng, materials: Materials, width: float, top: float) -> list[Item]:
    """Cloth on a rod along y = 0, `width` long, drawn more or less, from the left or the right."""
    cloth = materials.add("curtain")
    drawn = width * rng.uniform(0.25, 0.95)
    side = float(rng.choice([-1, 1]))
    waves = max(3, round(drawn * rng.uniform(7, 12)))
    bottom = rng.uniform(0.1, 0.3)
    hanging = sheet(drawn, top - bottom, waves, 0.03, (side * (width - drawn) / 2, 0, bottom), cuts=min(8 * waves, 72))
    rod = box(width, 0.025, 0.025, (0, 0, top))
    return [
        Item("shower curtain", (Part(hanging, cloth),)),
        Item("otherprop", (Part(rod, materials.shared("metal", gloss=0.4)),)),
    ]


def vanity(rng: Rng, materials: Materials) -> Item:
    """A basin in a counter on cabinets, on two legs, or on a pedestal."""
    china, metal = materials.add("ceramic", gloss=0.2), materials.shared("metal", gloss=0.4)
    height = rng.uniform(0.78, 0.88)
    if rng.random() < 0.3:
        wide, deep = rng.uniform(0.5, 0.65), rng.uniform(0.4, 0.5)
        bowl = _bowl(0.3, 0.18).scaled(wide / 0.6, deep / 0.6, 1).moved(0, 0, height - 0.18)
        foot = lathe([(0.11, 0), (0.075, 0.2), (0.075, height - 0.12)], (0, 0.05, 0), 14)
        tap = faucet(rng, (0, deep / 2 - 0.05, height))
        return Item("sink", (Part(bowl, china), Part(foot, china), Part(tap, metal)))
    width, depth = rng.uniform(0.6, 1.7), rng.uniform(0.46, 0.56)
    basins = 2 if width > 1.45 else 1
    wide, deep = rng.uniform(0.38, 0.5), rng.uniform(0.28, 0.33)
    top = materials.add("stone", gloss=0.2)
    parts: list[Part] = []
    each = width / basins
    surfaces = []
    for k in range(basins):
        x = (k + 0.5) * each - width / 2
        if rng.random() < 0.55:
            parts.append(Part(slab_with_hole(each, depth, height, (0, -0.03, wide, deep)).moved(x, 0, 0), top))
            bowl = basin(wide, deep, 0.13, (x, -0.03, height + 0.004))
        else:  # round, on the worktop
            parts.append(Part(box(each, depth, SLAB, (x, 0, height - SLAB)), top))
            bowl = _bowl(0.25, rng.uniform(0.05, 0.14)).scaled(wide / 0.5, deep / 0.5, 1).moved(x, -0.03, height)
        parts.append(Part(bowl, china, label="sink"))
        parts.append(Part(faucet(rng, (x, -0.03 + deep / 2 + 0.03, height)), metal, label="sink"))
        edge = (each - wide) / 2
        if edge > 0.12:
            for side in (-1, 1):
                at = x + side * (each - edge) / 2
                surfaces.append(Surface(height, edge, depth - 0.05, x=at, headroom=0.4))
    base = height - SLAB
    front = materials.add("hard")
    if rng.random() < 0.85:
        parts.append(Part(box(width - 0.02, depth - 0.05, base - 0.08, (0, 0.02, 0.08)), front, label="cabinet"))
        parts.append(
            Part(box(width - 0.06, depth - 0.12, 0.08, (0, 0.05, 0)), materials.shared("dark"), label="cabinet")
        )
        doors = fronts(rng, materials, width - 0.02, depth - 0.05, 0.08, base, front)
        parts += [Part(part.mesh.moved(0, 0.02, 0), part.material, label="cabinet") for part in doors]
    else:
        corners = [[x * (width / 2 - 0.04), y * (depth / 2 - 0.04), 0] for x in (-1, 1) for y in (-1, 1)]
        parts.append(Part(boxes([[0.04, 0.04, base]] * 4, corners), metal))
    if rng.random() < 0.6:
        parts.append(Part(box(width, 0.015, 0.1, (0, depth / 2 - 0.008, height)), top))
    return Item("counter", tuple(parts), surfaces=tuple(surfaces))


def towel(rng: Rng, materials: Materials, width: float, top: float) -> Item:
    """One or two towels over a rail on a wall."""
    metal = materials.shared("metal", gloss=0.4)
    rail = boxes(
        [[width, 0.02, 0.02], [0.02, 0.07, 0.02], [0.02, 0.07, 0.02]],
        [[0, -0.07, top], [-width / 2, -0.035, top], [width / 2, -0.035, top]],
    )
    parts = [Part(rail, metal, label="otherprop")]
    count = int(rng.integers(1, 3))
    for k in range(count):
        wide = width / count * rng.uniform(0.6, 0.95)
        long = rng.uniform(0.3, 0.7)
        x = (k + 0.5) / count * width - width / 2
        cloth = rounded_box(wide, 0.05, long, 0.02, (x, -0.075, top + 0.025 - long), 2)
        parts.append(Part(cloth, materials.add("curtain")))
    return Item("towel", tuple(parts))


def toiletry(rng: Rng, materials: Materials) -> Item:
    """Bottles, a soap dish, a cup with brushes, a paper roll, a folded towel: what stands in a bathroom."""
    kind = str(rng.choice(["bottles", "cup", "soap", "roll", "folded", "tissues"]))
    stuff = materials.add("any", tile=0.2)
    if kind == "bottles":
        count = int(rng.integers(1, 5))
        bottles = []
        for k in range(count):
            radius, tall = rng.uniform(0.02, 0.04), rng.uniform(0.1, 0.24)
            body = lathe(
                [(0, 0), (radius, 0), (radius, tall * 0.75), (radius * 0.4, tall * 0.85), (0, tall)], segments=9
            )
            bottles.append(Part(body.moved(0.085 * k, rng.uniform(-0.02, 0.02), 0), materials.add("any", tile=0.15)))
        return Item("otherprop", tuple(bottles))
    if kind == "cup":
        brushes = boxes([[0.008, 0.008, 0.18]] * 2, [[0.01, 0, 0.01], [-0.01, 0.01, 0.01]])
        return Item("otherprop", (Part(cylinder(0.035, 0.1, segments=12), stuff), Part(brushes, materials.add("any"))))
    if kind == "soap":
        return Item("otherprop", (Part(rounded_box(0.12, 0.08, 0.04, 0.02, cuts=2), stuff),))
    if kind == "roll":
        return Item("otherprop", (Part(cylinder(0.055, 0.1, segments=14), materials.add("ceramic")),))
    if kind == "folded":
        cloth = rounded_box(0.32, 0.22, rng.uniform(0.05, 0.2), 0.025, cuts=2)
        return Item("towel", (Part(cloth, materials.add("curtain")),))
    return Item("otherprop", (Part(box(0.22, 0.12, 0.08), materials.add("cardboard", tile=0.2)),))
