"""Reads back what the demo's recorder wrote, beside the frames that were played."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table
from scipy.spatial.transform import Rotation

from sray.camera import up_of
from sray.checkpoint import Checkpoint
from sray.errors import FileError, InternalError
from sray.field import RenderedView
from sray.frames import Frame
from sray.label_space import VOID
from sray.mapping.cloud import LabeledCloud
from sray.origin import Origin
from sray_train.tools.report.demo_run import DemoRun

LEAST_LABEL_IMAGES = 10
"""Or half of the frames, where a recording is short: the first ones are kept and have no others to be rendered from."""


def write_truth(output: Path, frames: list[Frame]) -> None:
    """truth/<stamp_ns>.png, of the label image's size, for each label image whose frame has ground truth."""
    for frame in frames:
        label = output / "labels" / f"{frame.stamp_ns}.png"
        if frame.labels is not None and label.is_file():
            height, width = _read(label).shape
            truth = frame.resized(width, height).labels
            assert truth is not None
            (output / "truth").mkdir(exist_ok=True)
            cv2.imwrite(str(output / "truth" / label.name), truth.numpy())


def read_run(output: Path, frames: list[Frame], checkpoint: Checkpoint, **told: Any) -> DemoRun:
    """The run as the files say it went; `told`: the fields of DemoRun that no file holds."""
    path = output / "received" / "recording.json"
    if not path.is_file():
        raise InternalError(f"the recorder left no {path}", "one, see its log beside it")
    record = json.loads(path.read_text())
    mapped = _map(output)
    # All that the page draws is relative to the map's origin, as its points are.
    poses = np.stack([frame.camera.relative_to(mapped.origin).world_from_camera.numpy() for frame in frames])
    by_stamp = {frame.stamp_ns: frame for frame in frames}
    scene = _scene(output, mapped.origin)
    labels = sorted((output / "labels").glob("*.png"), key=lambda file: int(file.stem))
    return DemoRun(
        label_space=checkpoint.label_space,
        views=tuple(_view(output, file, by_stamp[int(file.stem)]) for file in labels if int(file.stem) in by_stamp),
        map=mapped,
        surfaces=tuple(
            replace(frame, camera=frame.camera.relative_to(mapped.origin))
            for frame in frames
            if frame.depth is not None
        ),
        path=poses[:, :3, 3],
        up=up_of(poses),
        keyframes=record["keyframes"],
        keyframe_poses=scene[0],
        frustums=scene[1],
        clouds=record["clouds"],
        seconds_per_render=tuple(record["render_seconds"]),
        model_id=checkpoint.id,
        model_sha256=checkpoint.sha256,
        rmw=record["rmw"],
        **told,
    )


def table_of(run: DemoRun) -> Table:
    """The report, for a terminal."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in run.report().items():
        if isinstance(value, float):
            table.add_row(name, f"{value:.3f}")
        elif isinstance(value, dict):
            table.add_row(name, str(value.get("id") or value.get("rmw")))
        else:
            table.add_row(name, "no ground truth" if value is None else str(value))
    return table


def complaint_about(run: DemoRun, frames: int, has_labels: bool) -> str | None:
    """Why the run is not a success; None if it is one."""
    least = min(LEAST_LABEL_IMAGES, max(1, frames // 2))
    if len(run.views) < least:
        return f"{len(run.views)} label images came out of {frames} frames; expected at least {least}"
    if run.labeled_fraction == 0:
        return "every pixel of every label image is void"
    if has_labels and not run.scored:
        return "there is ground truth, but no label image could be scored"
    return None


def _view(output: Path, file: Path, frame: Frame) -> tuple[Frame, RenderedView]:
    labels = _read(file).astype(np.uint8)
    height, width = labels.shape
    truth = frame.resized(width, height)
    color = _received(output, "color", file.name, (height, width, 3))[..., ::-1] / 255
    depth = _received(output, "depth", file.name, (height, width))
    depth = torch.from_numpy(np.where(depth > 0, depth / 1000, np.float32(np.nan)))
    confidence = _received(output, "confidence", file.name, (height, width)) / 255
    return truth, replace(
        RenderedView.blank(truth.camera),
        labels=torch.from_numpy(labels),
        common_color=torch.from_numpy(np.ascontiguousarray(color)),
        depth=depth,
        depth_with_void=depth,
        confidence=torch.from_numpy(np.where(labels == VOID, np.float32(0), confidence)),
    )


def _received(output: Path, kind: str, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A picture; NaN where it was not received."""
    path = output / "received" / kind / name
    return _read(path).astype(np.float32) if path.is_file() else np.full(shape, np.nan, np.float32)


def _read(path: Path) -> NDArray[Any]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise FileError(f"{path} cannot be read", "a PNG that the recorder wrote")
    return picture


def _map(output: Path) -> LabeledCloud:
    path = output / "received" / "map.npz"
    if not path.is_file():
        none = np.zeros(0, np.uint8)
        return LabeledCloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), none, none.astype(np.float32))
    with np.load(path) as stored:
        return LabeledCloud(**{**stored, "origin": Origin(*stored["origin"].tolist())})


def _scene(output: Path, origin: Origin) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float32]]]:
    """map_from_body of the keyframes (n, 4, 4), and the frustums' lines; nothing if none was received."""
    path = output / "received" / "scene.npz"
    if not path.is_file():
        return np.zeros((0, 4, 4)), {}
    with np.load(path) as stored:
        told = stored["keyframes"]
        poses = np.tile(np.eye(4), (len(told), 1, 1))
        if len(told):
            poses[:, :3, :3] = Rotation.from_quat(told[:, 3:]).as_matrix()
            poses[:, :3, 3] = told[:, :3] - origin
        lines = {name: stored[name] - origin for name in stored.files if name != "keyframes"}
        return poses, {name: ends.astype(np.float32) for name, ends in lines.items()}
