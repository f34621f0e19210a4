"""A furnished room from a seed: its kind decides size, furniture and finish. Meters."""

from __future__ import annotations

import cv2
import numpy as np

from sray_train.data.rooms.decor import decorate
from sray_train.data.rooms.floor_plan import CELL, FloorPlan
from sray_train.data.rooms.groups import GROUPS
from sray_train.data.rooms.placement import RoomInProgress
from sray_train.data.rooms.scene import Scene
from sray_train.data.rooms.shell import build_shell
from sray_train.data.rooms.wet_rooms import furnish_bathroom, furnish_kitchen

CLEARANCE = 0.27
"""Meters the camera keeps from what stands on the floor."""

ROOM_KINDS: dict[str, tuple[float, str]] = {
    "living": (4, "sofa sofa television cabinet bookshelf chair chair floor_lamp cabinet table table"),
    "bedroom": (4.5, "bed dresser wardrobe chair bookshelf television"),
    "twin": (1, "bed bed dresser cabinet desk chair bookshelf"),
    "office": (2.5, "desk desk bookshelf cabinet chair cabinet table table"),
    "dining": (2, "dining cabinet cabinet bookshelf chair sofa"),
    "meeting": (1, "dining dining bookshelf cabinet chair chair television"),
    "studio": (1.5, "bed sofa desk television cabinet dining bookshelf"),
    "library": (1, "bookshelf bookshelf bookshelf bookshelf table chair chair floor_lamp"),
    "kitchen": (3.5, "dining cabinet chair"),
    "kitchen_living": (1.5, "dining sofa television cabinet bookshelf chair"),
    "bathroom": (2.2, ""),
}
"""How often each kind of room comes, and what it is furnished with: the first always, most of it in most rooms."""
EXTRAS = (
    "chair", "chair", "table", "cabinet", "sofa", "bookshelf", "table", "floor_lamp", "television", "bench", "dresser",
    "sofa",
)  # fmt: skip
LARGE = ("bed", "sofa", "desk", "dining", "television", "wardrobe")


def furnish(seed: int) -> Scene:
    """The room of a seed. Tries again (with the next stream of the same seed) if no camera could walk in it."""
    for attempt in range(50):
        scene = _furnished(np.random.default_rng([seed, 0, attempt]), np.random.default_rng([seed, 2]))
        if _walkable(scene):
            return scene
    raise RuntimeError(f"no walkable room for seed {seed} in 50 tries")


def _walkable(scene: Scene) -> bool:
    distance = cv2.distanceTransform(np.pad(scene.free, 1).astype(np.uint8), cv2.DIST_L2, 5) * scene.cell
    count, _, statistics, _ = cv2.connectedComponentsWithStats((distance > CLEARANCE).astype(np.uint8))
    enough = 0.45 if scene.kind == "bathroom" else 0.8
    return count > 1 and int(statistics[1:, cv2.CC_STAT_AREA].max()) * scene.cell**2 > enough


def _furnished(rng: np.random.Generator, kind_rng: np.random.Generator) -> Scene:
    """One attempt. The kind comes from numbers of its own: retries must not make small rooms rarer."""
    weights = np.array([weight for weight, _ in ROOM_KINDS.values()])
    kind = str(kind_rng.choice(list(ROOM_KINDS), p=weights / weights.sum()))
    if kind == "bathroom":
        plan = FloorPlan(rng, (1.9, 3.4), (1.8, 3.0), fullest=0.6)
    elif kind == "kitchen":
        plan = FloorPlan(rng, (2.5, 4.8), (2.4, 4.2), fullest=0.55)
    else:
        plan = FloorPlan(rng, (3.0, 6.4), (2.9, 5.4), fullest=0.52)
    room = RoomInProgress(rng, kind, plan)
    build_shell(room)
    if kind == "bathroom":
        furnish_bathroom(room)
    elif kind.startswith("kitchen"):
        furnish_kitchen(room)
    wanted = [name for k, name in enumerate(ROOM_KINDS[kind][1].split()) if k == 0 or rng.random() < 0.85]
    if kind not in ("bathroom", "kitchen"):
        wanted += [str(name) for name in rng.choice(EXTRAS, int(rng.integers(1, 5)))]
    wanted.sort(key=lambda name: name not in LARGE)  # large things first, while there is room for them
    for name in wanted:
        GROUPS[name](room)
    decorate(room)
    return room.builder.finish(~plan.occupied, CELL, plan.height, kind)
