"""Reads what `Session.save` wrote, believing nothing: every array's type and shape is checked before it is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sray.camera import Camera
from sray.checkpoint import read_header, read_label_space
from sray.encoder import LEAST_SIDE
from sray.errors import FileError, PoseError
from sray.frames import Frame
from sray.label_space import VOID, LabelSpace
from sray.mapping.keyframe_exposure import ExposureState
from sray.mapping.refusals import check_pose
from sray.mapping.voxel_map import VoxelMapState
from sray.origin import SPACING, Origin
from sray.stereo import StereoDepth
from sray.stereo.depth import DEPTH_STRIDE
from sray.stereo.found import FoundDepth

FORMAT = "sray-session-1"
LARGEST_SIDE = 1 << 14
"""Pixels; beyond it a file is damaged, not a picture large."""
LARGEST_INTRINSIC = 1e6
"""Pixels."""
LARGEST_LOG_RATIO = 20.0
"""Of colors: no sensor tells more apart. Twice what `sray.exposure` compares is 6, gains add up along a path."""
_LARGEST_COUNT = 1 << 38
"""Of numbers and revisions: they go on counting, and share 64 bits with others."""
_KINDS = {"U8": np.uint8, "I64": np.int64, "F16": np.float16, "F32": np.float32, "F64": np.float64}


class _Damaged(FileError):
    """Begins with what the file has or is; its name is put before it."""


Parts = tuple[
    str,
    LabelSpace,
    tuple[tuple[int, Frame], ...],
    int,
    VoxelMapState,
    str,
    dict[int, FoundDepth],
    str,
    ExposureState | None,
]
"""Of a Session, in its order."""


def read_session(path: Path) -> Parts:
    """Raises FileError, naming the file and what is wrong in it."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise _Damaged(f"says nothing of {FORMAT}", "a session as save_session writes")
            return _parts(_Arrays(file), read_header(metadata[FORMAT]))
    except FileNotFoundError as error:
        raise FileError(f"{path} does not exist", "a session (.safetensors)") from error
    except _Damaged as damage:
        raise FileError(f"{path} {damage.found}", damage.expected, "Save the session again") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(
            f"{path} cannot be read ({error!r})",
            "an undamaged session (.safetensors)",
            "Copy it again from where it was saved, or name another",
        ) from error


def is_session(path: Path) -> bool:
    """Whether the file says that it is one; False too for one that cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            return FORMAT in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return False


class _Arrays:
    """The arrays of an open file. Each is read once, and only if it is what is expected."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = set(file.keys())

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def shape(self, name: str) -> list[int]:
        if name not in self._left:
            raise _Damaged(f"has no {name}", "one")
        shape: list[int] = self._file.get_slice(name).get_shape()
        return shape

    def take(self, name: str, kind: str, *expected: int) -> NDArray[Any]:
        shape = self.shape(name)
        found = self.kind(name)
        if found != kind or shape != [*expected]:
            raise _Damaged(f"has {name} of type {found} and shape {shape}", f"{kind} of shape {[*expected]}")
        self._left.remove(name)
        array: NDArray[Any] = np.asarray(self._file.get_tensor(name), _KINDS[kind])
        return array

    def kind(self, name: str) -> str:
        self.shape(name)  # raises if there is none
        kind: str = self._file.get_slice(name).get_dtype()
        return kind

    def refuse_others(self) -> None:
        if self._left:
            raise _Damaged(f"holds {min(self._left)}, which belongs to no keyframe", "nothing else")


def _parts(arrays: _Arrays, header: dict[str, Any]) -> Parts:
    space = read_label_space(header["label_space"])
    next_number = _count(header, "next_number")
    frames = _frames(arrays, header["names"], space.classes)
    if frames and frames[-1][0] >= next_number:
        raise _Damaged(f"has keyframe {frames[-1][0]}, and {next_number} for the next", "a higher number")
    state = _map(arrays, header, space.classes)
    stereo = {number: found for number, frame in frames if (found := _stereo(arrays, number, frame)) is not None}
    exposure = _exposure(arrays, [number for number, _ in frames])
    arrays.refuse_others()
    model_id = header["model_id"]
    if not isinstance(model_id, str) or not model_id.isprintable():
        raise _Damaged(f"has {model_id!r:.50} for its model", "a name")
    frame, network = header.get("frame", ""), header.get("stereo_network", "")
    for name, what in ((frame, "frame"), (network, "stereo network")):
        if not isinstance(name, str) or not name.isprintable():
            raise _Damaged(f"has {name!r:.50} for the name of its {what}", "a name")
    return model_id, space, frames, next_number, state, frame, stereo, network, exposure


def _frames(arrays: _Arrays, names: Any, classes: int) -> tuple[tuple[int, Frame], ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
        raise _Damaged("has keyframes without names", "a list of printable names")
    count = len(names)
    numbers = arrays.take("number", "I64", count)
    stamps = arrays.take("stamp_ns", "I64", count)
    intrinsics = torch.from_numpy(arrays.take("intrinsics", "F32", count, 3, 3))
    # Until version 0.1 poses were saved as float32.
    kind = "F32" if arrays.kind("world_from_camera") == "F32" else "F64"
    poses = arrays.take("world_from_camera", kind, count, 4, 4)
    if count and (numbers[0] < 0 or (numbers[1:] <= numbers[:-1]).any()):
        raise _Damaged("has keyframes whose numbers do not ascend", "each its own, oldest first")
    frames: list[tuple[int, Frame]] = []
    for index, number in enumerate(numbers.tolist()):
        # All are of the first one's size.
        height, width = _picture_size(arrays.shape(f"image.{numbers[0]}")) if not frames else _size_of(frames[0][1])
        if not np.isfinite(poses[index]).all():
            raise _Damaged(f"has keyframe {number} whose pose is not finite", "rigid poses")
        camera = Camera.at(poses[index], intrinsics[index].clone(), width, height)
        _check_camera(camera, number)
        image = arrays.take(f"image.{number}", "U8", height, width, 3)
        depth = arrays.take(f"depth.{number}", "F32", height, width) if f"depth.{number}" in arrays else None
        labels = arrays.take(f"labels.{number}", "U8", height, width) if f"labels.{number}" in arrays else None
        if labels is not None and ((labels >= classes) & (labels != VOID)).any():
            raise _Damaged(f"has labels of keyframe {number} that are no class", f"less than {classes}, or {VOID}")
        frame = Frame(
            torch.from_numpy(image),
            camera,
            None if depth is None else torch.from_numpy(depth),
            None if labels is None else torch.from_numpy(labels),
            int(stamps[index]),
            names[index],
        )
        frames.append((number, frame))
    return tuple(frames)


def _stereo(arrays: _Arrays, number: int, frame: Frame) -> FoundDepth | None:
    """None for a keyframe without partners, and in files of before stereo was saved."""
    if f"stereo.{number}" not in arrays:
        return None
    rows, columns = (-(-side // DEPTH_STRIDE) for side in _size_of(frame))
    parts = torch.from_numpy(arrays.take(f"stereo.{number}", "F16", 4, rows, columns))
    cost = float(arrays.take(f"stereo_cost.{number}", "F64", 1)[0])
    depths, confidences = parts[0::2], parts[1::2]
    is_sound = (depths.isfinite() & (depths > 0)).all() and ((confidences >= 0) & (confidences <= 1)).all()
    if not is_sound or not 0 <= cost < math.inf:
        raise _Damaged(
            f"has stereo depth of keyframe {number} that cannot be", "depths above 0, confidences from 0 to 1"
        )
    return FoundDepth(StereoDepth(parts[0], parts[1]), StereoDepth(parts[2], parts[3]), cost)


def _exposure(arrays: _Arrays, numbers: list[int]) -> ExposureState | None:
    """None in files of before exposures were saved."""
    if "exposure.pairs" not in arrays:
        return None
    shape = arrays.shape("exposure.pairs")
    count = shape[0] if shape else 0
    state = ExposureState(
        arrays.take("exposure.log_gains", "F32", len(numbers), 3),
        arrays.take("exposure.pairs", "I64", count, 2),
        arrays.take("exposure.log_ratios", "F32", count, 3),
        arrays.take("exposure.cells", "I64", count),
    )
    logarithms = np.concatenate([state.log_gains, state.log_ratios])
    if not (np.abs(logarithms) <= LARGEST_LOG_RATIO).all() or not ((state.cells > 0) & (state.cells < 1 << 32)).all():
        raise _Damaged("has exposures that cannot be", f"logarithms up to {LARGEST_LOG_RATIO}, cells above 0")
    if not np.isin(state.pairs, numbers).all() or (state.pairs[:, 0] == state.pairs[:, 1]).any():
        raise _Damaged("compares exposures of keyframes that it does not have", "pairs of its keyframes")
    return state


def _picture_size(shape: list[int]) -> tuple[int, int]:
    if len(shape) != 3 or not all(1 <= side <= LARGEST_SIDE for side in shape[:2]) or max(shape[:2]) < LEAST_SIDE:
        raise _Damaged(
            f"has a picture of shape {shape}", f"rows, columns, 3: up to {LARGEST_SIDE}, one at least {LEAST_SIDE}"
        )
    return shape[0], shape[1]


def _size_of(frame: Frame) -> tuple[int, int]:
    return frame.camera.height, frame.camera.width


def _check_camera(camera: Camera, number: int) -> None:
    # No more: of a region of interest, or of pictures brought to another camera's size, the middle may be anywhere
    # and pixels need not be square.
    k = camera.intrinsics
    is_finite = bool((k.abs() < LARGEST_INTRINSIC).all())  # NaN is not below it
    if not (is_finite and k[0, 0] > 0 and k[1, 1] > 0 and k[2].tolist() == [0, 0, 1] and k[1, 0] == 0):
        expected = f"intrinsics below {LARGEST_INTRINSIC:g} px, focal lengths above 0"
        raise _Damaged(f"has keyframe {number} without a calibration", expected)
    try:
        check_pose(camera, f"keyframe {number}")
    except PoseError as error:
        raise _Damaged(f"is damaged ({error.found})", "rigid poses") from error


def _map(arrays: _Arrays, header: dict[str, Any], classes: int) -> VoxelMapState:
    voxel_size, revision = header["voxel_size"], _count(header, "map_revision")
    if not isinstance(voxel_size, float) or not 0 < voxel_size < math.inf:
        raise _Damaged(f"has voxels of {voxel_size!r:.50} m", "more than 0")
    shape = arrays.shape("map.keys")
    count = shape[0] if shape else 0
    state = VoxelMapState(
        voxel_size,
        revision,
        arrays.take("map.keys", "I64", count),
        arrays.take("map.xyz", "F32", count, 3),
        arrays.take("map.rgb", "F32", count, 3),
        arrays.take("map.evidence", "F32", count, classes),
        arrays.take("map.sightings", "I64", count),
        arrays.take("map.last_seen", "I64", count),
        _looked_through(arrays, count),
        _origin(header.get("map_origin", [0.0, 0.0, 0.0])),
    )
    for name, is_sound in (
        ("keys", not count or (state.keys[0] >= 0 and (state.keys[1:] > state.keys[:-1]).all())),
        ("xyz", np.isfinite(state.xyz).all()),
        ("rgb", ((state.rgb >= 0) & (state.rgb <= 255)).all()),
        ("evidence", (np.isfinite(state.evidence) & (state.evidence >= 0)).all()),
        ("sightings", (state.sightings >= 1).all()),
        ("looked_through", ((state.looked_through >= 0) & (state.looked_through < _LARGEST_COUNT)).all()),
        ("last_seen", ((state.last_seen >= 0) & (state.last_seen <= revision)).all()),
    ):
        if not is_sound:
            raise _Damaged(f"has a map whose {name} cannot be", "what a map saves")
    return state


def _looked_through(arrays: _Arrays, count: int) -> NDArray[Any]:
    """0 in files of before free space was carved."""
    is_there = "map.looked_through" in arrays
    return arrays.take("map.looked_through", "I64", count) if is_there else np.zeros(count, np.int64)


def _origin(value: Any) -> Origin:
    is_place = isinstance(value, list) and len(value) == 3 and all(isinstance(each, float) for each in value)
    if not is_place or Origin(*value) != Origin.near(np.nan_to_num(value)):
        raise _Damaged(f"has {value!r:.50} for the map's origin", f"three multiples of {SPACING:.0f} m")
    return Origin(*value)


def _count(header: dict[str, Any], name: str) -> int:
    value = header[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST_COUNT:
        raise _Damaged(f"has {value!r:.50} for {name}", "a count")
    return value
