"""How procedural rooms are furnished: what is in them, where it stands, and where the camera walks."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from sray.label_space import INDOOR, NYU40
from sray_train.data.rooms.layout import CLEARANCE, ROOM_KINDS, furnish
from sray_train.data.rooms.lighting import light_scene
from sray_train.data.rooms.scene import Footprint, Scene, nyu40_id
from sray_train.data.rooms.trajectory import STEP, plan_cameras

SEEDS = (9100, 9101, 9102, 9103)
MANY = range(9100, 9124)
"""Furnished, not lit and rendered: quick."""


@cache
def scene(seed: int) -> Scene:
    return furnish(seed)


def _classes_of(label: str) -> list[int]:
    """NYU40 ids that a thing of a label may be made of: a counter stands on cabinets and holds a sink."""
    parts = {"counter": ("counter", "cabinet", "sink", "otherfurniture"), "shelves": ("shelves", "bookshelf")}
    return [nyu40_id(name) for name in parts.get(label, (label,))]


def corners(footprint: Footprint) -> np.ndarray:
    c, s = np.cos(footprint.yaw), np.sin(footprint.yaw)
    half = np.array(
        [[x * footprint.width / 2, y * footprint.depth / 2] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    )
    return half @ np.array([[c, s], [-s, c]]) + [footprint.x, footprint.y]


def gap(first: Footprint, second: Footprint) -> float:
    """Separating axes of two rectangles: the widest gap over all edge directions; negative is how deep they overlap."""
    a, b = corners(first), corners(second)
    widest = -np.inf
    for yaw in (first.yaw, first.yaw + np.pi / 2, second.yaw, second.yaw + np.pi / 2):
        axis = np.array([np.cos(yaw), np.sin(yaw)])
        widest = max(widest, (a @ axis).min() - (b @ axis).max(), (b @ axis).min() - (a @ axis).max())
    return float(widest)


def test_homes_hold_every_class_of_a_home_but_people():
    """Over a few dozen rooms, without rendering them."""
    found = {int(each) for seed in MANY for each in np.unique(scene(seed).labels)}
    assert {NYU40.names[each - 1] for each in found} >= set(INDOOR.names) - {"person", "other"}
    clutter = {"books", "box", "bag", "paper", "clothes", "towel", "night stand", "floor mat", "blinds", "otherprop"}
    assert {NYU40.names[each - 1] for each in found} >= clutter


def test_the_kind_of_a_room_decides_what_is_in_it():
    by_kind: dict[str, list[set[str]]] = {}
    for seed in MANY:
        names = {NYU40.names[int(each) - 1] for each in np.unique(scene(seed).labels)}
        by_kind.setdefault(scene(seed).kind, []).append(names)
    assert set(by_kind) <= set(ROOM_KINDS) and {"living", "bedroom", "kitchen", "bathroom", "office"} <= set(by_kind)
    for kind, rooms in by_kind.items():
        for names in rooms:
            if kind.startswith("kitchen"):
                assert {"counter", "sink", "cabinet"} <= names
            if kind != "bathroom":
                assert not names & {"toilet", "bathtub", "shower curtain"}
    for kind, name in (("bathroom", "toilet"), ("bathroom", "bathtub"), ("bedroom", "bed"), ("office", "desk")):
        assert np.mean([name in names for names in by_kind[kind]]) > 0.6, f"{kind} without {name}"


@pytest.mark.parametrize("seed", SEEDS)
def test_things_do_not_overlap_and_small_ones_stand_on_large_ones(seed):
    on_floor = [thing for thing in scene(seed).footprints if thing.bottom == 0]
    on_things = [thing for thing in scene(seed).footprints if thing.bottom > 0]
    assert len(on_floor) > 4
    for level in (on_floor, on_things):
        for index, first in enumerate(level):
            for second in level[index + 1 :]:
                if first.bottom < second.top and second.bottom < first.top:
                    assert gap(first, second) > -0.06, f"{first} and {second}"  # a cell of the grid
    for thing in on_things:
        under = [other for other in on_floor if gap(thing, other) < 0 and other.top > thing.bottom - 0.001]
        assert under, f"nothing is under {thing}"


@pytest.mark.parametrize("seed", SEEDS)
def test_footprints_hold_their_things(seed):
    """What the layout believes about sizes is what the triangles say: nothing sticks out of its rectangle."""
    room = scene(seed)
    for thing in room.footprints:
        if thing.bottom > 0 or thing.label == "wall":
            continue
        c, s = np.cos(thing.yaw), np.sin(thing.yaw)
        near = room.vertices.reshape(-1, 3) - np.array([thing.x, thing.y, 0], np.float32)
        local = np.stack([near[:, 0] * c + near[:, 1] * s, near[:, 1] * c - near[:, 0] * s, near[:, 2]], 1)
        triangles = local.reshape(-1, 3, 3)
        inside = (abs(triangles[..., 0]) < thing.width / 2 + 0.01) & (abs(triangles[..., 1]) < thing.depth / 2 + 0.01)
        own = inside.all(1) & (np.isin(room.labels, _classes_of(thing.label)))
        assert own.any()
        # Its instance lies wholly inside.
        instance = np.bincount(room.instances[own]).argmax()
        assert inside[room.instances == instance].all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_camera_walks_in_free_space_in_small_steps(seed):
    room = scene(seed)
    cameras = plan_cameras(light_scene(room), 24, 160, 120, np.random.default_rng(seed))
    places = cameras.center.numpy().astype(np.float64)
    for place in places:
        for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
            x, y = place[:2] + 0.7 * CLEARANCE * np.array([np.cos(angle), np.sin(angle)])
            assert room.free[int(x / room.cell), int(y / room.cell)]
    assert (places[:, 2] > 0.3).all() and (places[:, 2] < room.height - 0.2).all()
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    turns = np.degrees(np.arccos((cameras.forward[1:] * cameras.forward[:-1]).sum(1).clamp(-1, 1).numpy()))
    assert steps.max() < 2 * STEP and np.median(steps) > 0.6 * STEP
    assert turns.max() < 25 and np.median(turns) < 10
