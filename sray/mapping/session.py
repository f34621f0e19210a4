"""Session: what a mapper has gathered, in one file, so that mapping goes on after a restart as if there had been none.

The file is safetensors: each keyframe's picture (`image.N`), depth and labels (`depth.N`, `labels.N`, where there are
any), what stereo found of it (`stereo.N`, `stereo_cost.N`), the keyframes' cameras (world poses in float64), stamps and
numbers, how their exposures compare (`exposure.*`), and the voxel map to the bit, relative to its origin. Names, label
space, the model's id, the map's origin and the name of the world's frame are JSON in its header. Features are not
saved: the model makes them again, the same ones if it is the same model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from sray.errors import FileError, ModelError
from sray.files import write_atomically
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.mapping.keyframe_exposure import ExposureState
from sray.mapping.mapper import Mapper
from sray.mapping.refusals import memory_errors
from sray.mapping.session_reader import FORMAT, is_session, read_session
from sray.mapping.voxel_map import VoxelMapState
from sray.stereo.found import FoundDepth


@dataclass(frozen=True)
class Session:
    """Keyframes and map as they were at one moment; nothing in it changes any more."""

    model_id: str
    """Of the model that was mapping: with another one the same keyframes give other labels."""
    label_space: LabelSpace
    keyframes: tuple[tuple[int, Frame], ...]
    """Number and frame, oldest first; all of one size."""
    next_number: int
    """Of the next keyframe."""
    map: VoxelMapState
    frame: str = ""
    """Name of the world's frame (the node's map_frame); empty: not known."""
    stereo: Mapping[int, FoundDepth] = field(default_factory=dict)
    """Depth from stereo, by the keyframes' numbers, where there is any."""
    stereo_network: str = ""
    """Which network found it (`sray.stereo.found.weights_digest`); empty: none."""
    exposure: ExposureState | None = None
    """How the keyframes' exposures compare; None in files of before it was saved."""

    @staticmethod
    def of(mapper: Mapper, model_id: str, label_space: LabelSpace, frame: str = "") -> Session:
        """What the mapper has now. Cheap, and safe to save on another thread while mapping goes on.

        Raises ValueError if the label space has another number of classes than the mapper's map.
        """
        state = mapper.map.state()
        if label_space.classes != state.evidence.shape[1]:
            raise ValueError(
                f"label space {label_space.name} has {label_space.classes} classes, the map {state.evidence.shape[1]}; "
                "expected the mapper's label space"
            )
        frames = tuple((keyframe.number, keyframe.frame) for keyframe in mapper.keyframes)
        stereo = {keyframe.number: keyframe.stereo for keyframe in mapper.keyframes if keyframe.stereo is not None}
        network, exposure = mapper.stereo_network, mapper.exposure.state(mapper.keyframes)
        return Session(
            model_id, label_space, frames, mapper.keyframes.next_number, state, frame, stereo, network, exposure
        )

    def save(self, path: Path) -> int:
        """Write the file, whole or not at all; returns its size in bytes.

        Raises FileError, NoMemoryError; an older file is kept then.
        """
        if path.exists() and not is_session(path):
            raise FileError(
                f"{path} exists and is no session, perhaps a model",
                "a new name, or a session to replace",
                "Give another name, or remove the file",
            )
        header = {
            "model_id": _printable(self.model_id),
            "label_space": self.label_space.to_dict(),
            "names": [_printable(frame.name) for _, frame in self.keyframes],
            "next_number": self.next_number,
            "voxel_size": float(self.map.voxel_size),
            "map_revision": self.map.revision,
            "map_origin": list(self.map.origin),
            "frame": _printable(self.frame),
            "stereo_network": self.stereo_network,
        }
        with memory_errors("save a session", "fewer keyframes.capacity, or save more often"):
            content = save(self._arrays(), {FORMAT: json.dumps(header)})
        write_atomically(path, content)
        return len(content)

    @staticmethod
    def load(path: Path) -> Session:
        """Read a file that `save` wrote.

        Raises FileError if it is missing, damaged, or says what cannot be; NoMemoryError. Nothing is
        unpickled, and nothing is allocated before the file is known to hold it.
        """
        with memory_errors("load a session", "a machine with more memory"):
            return Session(*read_session(path))

    def restore(self, mapper: Mapper, label_space: LabelSpace, canceled: Callable[[], bool] | None = None) -> None:
        """Give a mapper these keyframes and this map instead of its own. With the same model it goes on as that one.

        `canceled` is asked between keyframes, each of which takes as long to encode as when it was new.
        Raises SrayError, and changes nothing: ModelError if the session speaks another label space than the
        mapper, FileError if its map has another voxel size, NoMemoryError, CanceledError.
        """
        self.check_label_space(label_space)
        here = mapper.config.map.voxel_size
        if here != self.map.voxel_size:
            raise FileError(
                f"the session's map has voxels of {self.map.voxel_size} m, this one of {here} m",
                "the same",
                "Set map.voxel_size to the session's and configure anew",
            )
        # What another network found is found anew: of one mapper, all depths must err alike.
        known = self.stereo if self.stereo_network == mapper.stereo_network else None
        mapper.restore(self.keyframes, self.next_number, self.map, canceled, known, self.exposure)

    def check_label_space(self, label_space: LabelSpace) -> None:
        """Raises ModelError for another one than the session's."""
        if label_space != self.label_space:
            raise ModelError(
                f"the session is of label space {_described(self.label_space)}, the model of {_described(label_space)}",
                "the same",
                "Load a model of that label space first",
            )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        frames = [frame for _, frame in self.keyframes]
        arrays: dict[str, NDArray[Any]] = {
            "number": np.array([number for number, _ in self.keyframes], np.int64),
            "stamp_ns": np.array([frame.stamp_ns for frame in frames], np.int64),
            "intrinsics": np.array([frame.camera.intrinsics.numpy() for frame in frames], np.float32).reshape(-1, 3, 3),
            "world_from_camera": np.array([frame.camera.world_pose for frame in frames], np.float64).reshape(-1, 4, 4),
        }
        for number, frame in self.keyframes:
            arrays[f"image.{number}"] = np.ascontiguousarray(frame.image.numpy())
            if frame.depth is not None:
                arrays[f"depth.{number}"] = np.ascontiguousarray(frame.depth.float().numpy())
            if frame.labels is not None:
                arrays[f"labels.{number}"] = np.ascontiguousarray(frame.labels.numpy())
            if number in self.stereo:
                found = self.stereo[number]
                parts = (found.swept.depth, found.swept.confidence, found.agreed.depth, found.agreed.confidence)
                arrays[f"stereo.{number}"] = torch.stack(parts).half().cpu().numpy()
                arrays[f"stereo_cost.{number}"] = np.array([found.cost], np.float64)
        if self.exposure is not None:
            arrays |= {f"exposure.{name}": value for name, value in vars(self.exposure).items()}
        for part in fields(self.map):
            value = getattr(self.map, part.name)
            if isinstance(value, np.ndarray):
                arrays[f"map.{part.name}"] = value
        return arrays


def _printable(name: str) -> str:
    """As the reader takes it: folders, and so frames, may have names with other spaces than one."""
    return "".join(each if each.isprintable() else "?" for each in name)


def _described(space: LabelSpace) -> str:
    return f"{space.name} ({space.classes} classes: {', '.join(space.names[:3])}, ...)"
