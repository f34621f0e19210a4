"""Session files that are damaged or say what cannot be are refused, by what is wrong in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from sray.errors import FileError, SrayError
from sray.label_space import LabelSpace
from sray.mapping.cloud import LabeledCloud
from sray.mapping.session import Session
from sray.mapping.voxel_map import VoxelMap

SPACE = LabelSpace("three", ("wall", "floor", "bed"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 4))

KEY = "sray-session-1"


@pytest.fixture
def small(plane_scene: Any, tmp_path: Path) -> Path:
    """A session that no model made: two keyframes, depth with holes and labels, and a hundred voxels."""
    generator = np.random.default_rng(0)
    voxels = VoxelMap(SPACE.classes)
    voxels.integrate(
        LabeledCloud(
            generator.uniform(-1, 1, (100, 3)).astype(np.float32),
            np.full((100, 3), 9, np.uint8),
            np.full(100, 2, np.uint8),
            np.full(100, 0.5, np.float32),
        )
    )
    bare, labeled = (replace(frame, stamp_ns=10**18 + index) for index, frame in enumerate(plane_scene.ring(2)))
    bare.depth[:9] = torch.nan
    keyframes = ((3, replace(bare, labels=None)), (7, labeled))
    session = Session("three-0123", SPACE, keyframes, 9, voxels.state())
    session.save(tmp_path / "kitchen.safetensors")
    return tmp_path / "kitchen.safetensors"


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Path:
    """The same session with its arrays or its header changed in place."""
    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()[KEY])
        arrays = {name: file.get_tensor(name).copy() for name in file.keys()}  # noqa: SIM118 (not a dict)
    change(arrays, header)
    save_file(arrays, path, {KEY: json.dumps(header)})
    return path


def test_rewriting_alone_changes_nothing(small: Path) -> None:
    """Else the test below would refuse for how it writes, not for what it changes."""
    session = Session.load(rewritten(small, lambda arrays, header: None))
    assert [number for number, _ in session.keyframes] == [3, 7]
    assert (session.next_number, len(session.map.keys)) == (9, 100)


def put(name: str, index: Any, value: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(arrays: dict[str, Any], header: dict[str, Any]) -> None:
        arrays[name][index] = value

    return change


def first(arrays: dict[str, Any], kind: str) -> str:
    return min(name for name in arrays if name.startswith(f"{kind}."))


@pytest.mark.fault(
    "a session's file is damaged or says what cannot be",
    code="BAD_FILE",
    says="the service's answer, naming the file and what is wrong in it",
    recovery="what was mapped stays; load another file",
)
@pytest.mark.parametrize(
    ("named", "change"),
    [
        ("number", lambda a, h: a.pop("number")),
        ("stamp_ns", lambda a, h: a.update(stamp_ns=a["stamp_ns"][:-1])),
        ("numbers do not ascend", put("number", 0, 2**62)),
        ("numbers do not ascend", put("number", 1, -5)),
        ("intrinsics of type F64", lambda a, h: a.update(intrinsics=a["intrinsics"].astype(np.float64))),
        ("calibration", put("intrinsics", (1, 0, 0), 0)),
        ("calibration", put("intrinsics", (1, 0, 2), np.nan)),
        ("not rigid", put("world_from_camera", (1, 0, 0), 7)),
        ("not finite", put("world_from_camera", (1, 0, 3), np.inf)),
        ("image", lambda a, h: a.pop(first(a, "image"))),
        ("picture", lambda a, h: a.update({first(a, "image"): np.zeros((0, 48, 3), np.uint8)})),
        ("image", lambda a, h: a.update({max(n for n in a if "image" in n): np.zeros((3, 4, 3), np.uint8)})),
        ("depth", lambda a, h: a.update({first(a, "depth"): np.zeros((36, 47), np.float32)})),
        ("no class", lambda a, h: a[first(a, "labels")].fill(SPACE.classes)),
        ("image.999, which belongs to no keyframe", lambda a, h: a.update({"image.999": a[first(a, "image")]})),
        ("names", lambda a, h: h.update(names="six")),
        ("names", lambda a, h: h.pop("names")),
        ("next_number", lambda a, h: h.update(next_number=True)),
        ("a higher number", lambda a, h: h.update(next_number=3)),
        ("model", lambda a, h: h.update(model_id=None)),
        ("voxels of -0.05 m", lambda a, h: h.update(voxel_size=-0.05)),
        ("label_space", lambda a, h: h.pop("label_space")),
        ("colors outside", lambda a, h: h["label_space"].update({"colours": [[0, 0, 256]] * 3})),
        ("NYU40 ids outside", lambda a, h: h["label_space"].update(nyu40=[1, 2, 10**12])),
        ("none", lambda a, h: h["label_space"].update(nyu40=[1, 2, float("inf")])),
        ("evidence", lambda a, h: a.update({"map.evidence": a["map.evidence"][:, :2].copy()})),
        ("evidence", put("map.evidence", (3, 1), np.nan)),
        ("evidence", put("map.evidence", (3, 1), -1)),
        ("xyz", put("map.xyz", (0, 2), np.inf)),
        ("rgb", put("map.rgb", (0, 2), 256)),
        ("keys", put("map.keys", 1, 0)),
        ("keys", put("map.keys", 0, -1)),
        ("sightings", put("map.sightings", 5, 0)),
        ("last_seen", put("map.last_seen", 5, 10**9)),
        ("map_revision", lambda a, h: h.update(map_revision=2**60)),
    ],
)
def test_a_session_that_cannot_be_is_refused_by_what_is_wrong_in_it(
    small: Path, named: str, change: Callable[[dict[str, Any], dict[str, Any]], object]
) -> None:
    with pytest.raises(SrayError) as caught:
        Session.load(rewritten(small, change))
    assert isinstance(caught.value, FileError)
    assert named in str(caught.value)
    assert small.name in str(caught.value)


@pytest.mark.parametrize("what", ["missing", "folder", "empty", "cut", "checkpoint"])
def test_what_is_no_session_is_a_bad_file(tmp_path: Path, small: Path, what: str) -> None:
    if what == "missing":
        small.unlink()
    elif what == "folder":
        small.unlink()
        small.mkdir()
    elif what == "checkpoint":
        save_file({"weight": np.zeros(3, np.float32)}, small, {"sray-checkpoint-1": "{}"})
    else:
        small.write_bytes(small.read_bytes()[: 0 if what == "empty" else -1])
    with pytest.raises(SrayError, match=r"kitchen\.safetensors") as caught:
        Session.load(small)
    assert isinstance(caught.value, FileError)
