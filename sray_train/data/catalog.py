"""The datasets by name: scenes of a `DataConfig`."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from sray.errors import FileError, RequestError
from sray.label_space import LABEL_SPACES
from sray.sequence import Sequence
from sray_train.data.colmap import open_colmap
from sray_train.data.config import DataConfig
from sray_train.data.llff import LlffRecording
from sray_train.data.named_splits import scene_names
from sray_train.data.replica import SEQUENCES, ReplicaRecording
from sray_train.data.rooms import FIRST_HELD_OUT_SEED, make_rooms, parse_seeds, seed_of
from sray_train.data.scannet import open_folder, open_scannet
from sray_train.data.scene import FrameCache, Recording, Scene, fitting_size
from sray_train.data.transforms import PARTS, open_blender, open_nerfstudio
from sray_train.data.tum import open_tum

EXPECTED = {
    "scannet": "{0}/ in ScanNet's exported layout or with {0}.sens in it, or {0}.sens (scans/ may stand before each)",
    "folder": "{0}/ in ScanNet's layout: color/N.jpg pose/N.txt intrinsic/intrinsic_color.txt",
    "replica": "{0}/Sequence_1/ or {0}/Sequence_2/ with rgb/rgb_N.png and traj_w_c.txt; one alone: {0}/Sequence_1",
    "blender": "{0}/transforms_train.json; the other parts: {0}/val, {0}/test",
    "llff": "{0}/poses_bounds.npy",
    "nerfstudio": "{0}/transforms.json",
    "tum": "{0}/ with rgb.txt, groundtruth.txt and, unless it is named freiburg1, 2 or 3, calibration.txt",
    "colmap": "{0}/sparse/0/ (or {0}/sparse/, {0}/) with cameras.txt and images.txt, and {0}/images/",
}
"""Dataset -> what a scene of a given name is, in the dataset's root."""


def load_scenes(data: DataConfig, which: str) -> list[Scene]:
    """The scenes that `which` names (see `DataConfig.train`), at the config's width and their own aspect.

    See `fitting_size`. Rooms are made if not cached yet. Each is called what `which` calls it, so that no two have one
    name; a scene of Replica is one for each of its sequences.

    Raises FileError naming the scene that is not there or cannot be read, and what was expected.
    """
    cache = FrameCache()
    return [
        replace(Scene.of(recording, fitting_size(recording, data.width, data.height), data.frames, cache), name=name)
        for name, recording in recordings(data, which)
    ]


def recordings(data: DataConfig, which: str) -> Iterator[tuple[str, Recording]]:
    """Names of the scenes, and the recordings as they are on disk."""
    if data.dataset == "rooms":
        yield from ((room.name, room) for room in _rooms(data, which))
        return
    for name in scene_names(which, data.dataset):
        found = _recordings_of(data, name)
        for recording in found:
            part = "" if len(found) == 1 else recording.name.rpartition("/")[2]
            yield posixpath.normpath(posixpath.join(name, part)), recording


def refuse_leaks(data: DataConfig) -> None:
    """Raises RequestError if what is trained or chosen on is scored by `data.test`, unless learned by heart.

    Train and test, and validation and test, may share no place; rooms of held-out seeds may be in test alone. No scene
    is read: names decide. Test scenes that nobody named (empty, or the default's rooms for recordings) are none.
    """
    if data.learn_by_heart:
        return
    test = _scored(data)
    for part in ("train", "train_rays", "validation"):
        places = _places(data, part)
        for place, name in places.items():
            if place in test:
                other = "" if test[place] == name else f" (test has {test[place]}, of the same place)"
                raise _leak(
                    f"data.{part} ({getattr(data, part)}) holds {name}{other}, which data.test ({data.test}) scores",
                    f"no scene in both; name data.{part} without it: {_without(places, test)}",
                )
            _refuse_held_out(data, name, f"data.{part} ({getattr(data, part)}) holds")


def refuse_scored(data: DataConfig, folder: Path, recorded: Path) -> None:
    """The same for a recording, `recorded`, of which `folder` was made, and which teaches beside the scenes."""
    seed = seed_of(recorded) if data.dataset == "rooms" else None
    if data.learn_by_heart or (data.dataset == "rooms" and seed is None):
        return
    name = str(recorded) if seed is None else str(seed)
    if scored := _scored(data).get(_place(data, name)):
        found = f"{folder} was made of {recorded}, the place of {scored}, which data.test ({data.test}) scores"
        raise _leak(found, "a recording of another place")
    _refuse_held_out(data, name, f"{folder} was made of")


def _refuse_held_out(data: DataConfig, name: str, found: str) -> None:
    if data.dataset == "rooms" and int(name) >= FIRST_HELD_OUT_SEED:
        raise _leak(
            f"{found} room {name}",
            f"seeds below {FIRST_HELD_OUT_SEED}: those from there up are held out, for data.test alone",
        )


def _scored(data: DataConfig) -> dict[str, str]:
    """Place -> the scene of `data.test`, if somebody named some."""
    unnamed = not data.test.strip() or (data.dataset != "rooms" and data.test == DataConfig.test)
    return {} if unnamed else _places(data, "test")


def _leak(found: str, expected: str) -> RequestError:
    switch = "To show only that everything learns, set data.learn_by_heart: true"
    return RequestError(found, expected, switch)


def _without(places: dict[str, str], test: dict[str, str]) -> str:
    left = [name for place, name in places.items() if place not in test]
    shown = ", ".join(left[:8]) or "other scenes"
    return f"{shown}, and {len(left) - 8} more" if len(left) > 8 else shown


def _places(data: DataConfig, part: str) -> dict[str, str]:
    """Place -> the scene of this part that was recorded there."""
    which = getattr(data, part)
    if part == "train_rays" and not which:
        return {}
    try:
        names = [str(seed) for seed in _seeds(which)] if data.dataset == "rooms" else scene_names(which, data.dataset)
    except RequestError as error:
        raise error.of(f"data.{part}: ") from error
    places: dict[str, str] = {}
    for name in names:
        places.setdefault(_place(data, name), name)
    return places


def _place(data: DataConfig, name: str) -> str:
    """Where a scene was recorded: the same for two scenes of one place. `name`: as in the config, or a whole path.

    ScanNet scanned rooms several times (scene0160_00, _01, ...), Replica has two sequences of each: one place.
    """
    if data.dataset == "rooms":
        return name
    if data.dataset == "scannet":  # scans/ may stand before it
        return Path(name).name.partition("_")[0]
    path = Path(data.root).expanduser().resolve() / name
    if data.dataset == "replica" and path.name in SEQUENCES:
        path = path.parent
    elif data.dataset == "blender" and len(Path(name).parts) == 1:
        path /= "train"
    return str(path.resolve())


def _recordings_of(data: DataConfig, name: str) -> list[Recording]:
    root = Path(data.root).expanduser()
    if not root.is_dir():
        raise FileError(f"{root} is no folder", f"the {data.dataset} dataset", "Set data.root")
    if not (found := OPEN[data.dataset](data, root, name)):
        raise FileError(f"{root} has no scene {name}", EXPECTED[data.dataset].format(name), f"There is {_there(root)}")
    return found


def _scannet(data: DataConfig, root: Path, name: str) -> list[Recording]:
    places = (root / name, root / f"{name}.sens", root / "scans" / name, root / "scans" / f"{name}.sens")
    there = [path for path in places if path.exists()]
    return [open_scannet(path, LABEL_SPACES[data.label_space], data.label_ids, root) for path in there[:1]]


def _folder(data: DataConfig, root: Path, name: str) -> list[Recording]:
    there = (root / name).is_dir()
    return [open_folder(root / name, LABEL_SPACES[data.label_space], data.label_ids, root)] if there else []


def _replica(data: DataConfig, root: Path, name: str) -> list[Recording]:
    scene = root / name
    folders = [scene] if scene.name in SEQUENCES else [scene / sequence for sequence in SEQUENCES]
    there = [folder for folder in folders if folder.is_dir()]
    return [ReplicaRecording.open(folder, LABEL_SPACES[data.label_space]) for folder in there]


def _blender(data: DataConfig, root: Path, name: str) -> list[Recording]:
    scene, _, part = name.partition("/")
    there = (root / scene).is_dir()
    return [open_blender(root / scene, known) for known in PARTS if there and known == (part or "train")]


def _llff(data: DataConfig, root: Path, name: str) -> list[Recording]:
    return [LlffRecording.open(root / name, data.width)] if (root / name).is_dir() else []


def _opened_by(reader: Callable[[Path], Recording]) -> Callable[[DataConfig, Path, str], list[Recording]]:
    return lambda data, root, name: [reader(root / name)] if (root / name).is_dir() else []


OPEN: dict[str, Callable[[DataConfig, Path, str], list[Recording]]] = {
    "scannet": _scannet,
    "folder": _folder,
    "replica": _replica,
    "blender": _blender,
    "llff": _llff,
    "nerfstudio": _opened_by(open_nerfstudio),
    "tum": _opened_by(open_tum),
    "colmap": _opened_by(open_colmap),
}
"""Dataset -> what gives the recordings of a scene, none if it is not there."""


def _there(root: Path) -> str:
    names = sorted(child.name for child in root.iterdir() if child.is_dir() or child.suffix == ".sens")
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) or "nothing") + more


def _rooms(data: DataConfig, which: str) -> Iterator[Recording]:
    space = LABEL_SPACES[data.label_space]
    seeds = _seeds(which)
    if data.frames < 1:
        raise RequestError(f"data.frames is {data.frames}", "at least 1 for rooms to be made of")
    with tqdm(total=len(seeds), unit="room", delay=2, leave=False) as bar:
        folders = make_rooms(
            seeds,
            width=data.width,
            height=data.height,
            frames=data.frames,
            workers=min(len(seeds), os.cpu_count() or 1),
            on_progress=lambda done, _: bar.update(done - bar.n),
        )
    for folder in folders:
        yield Sequence.open(folder, space)


def _seeds(which: str) -> list[int]:
    try:
        return parse_seeds(which)
    except ValueError as error:
        raise RequestError(str(error)) from error
