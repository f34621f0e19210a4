"""`sray session`: what it says, and exports that the other commands read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import trimesh
from conftest import PlaneScene

from sray.checkpoint import save_checkpoint
from sray.errors import FileError, SrayError
from sray.frames import Frame
from sray.label_space import ROOMS, VOID
from sray.mapping.cloud import LabeledCloud
from sray.mapping.session import Session
from sray.mapping.session_export import export_sequence
from sray.mapping.voxel_map import VoxelMap
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence import Sequence
from sray_train.cli import main
from sray_train.data.catalog import load_scenes
from sray_train.data.config import DataConfig


def frame_of(number: int) -> Frame:
    """Every third has no depth, every fourth no labels; the ROOMS classes 0, 1 and 2 are walls, floor and cabinets."""
    frame = PlaneScene().frame((0.1 * number - 0.8, 0.0, 0.0))
    depth = frame.depth + 0.0004
    depth[0, :4] = torch.tensor([torch.nan, torch.inf, 70.0, -1.0])
    labels = frame.labels.clone()
    labels[5, 5] = VOID
    return replace(
        frame,
        depth=None if number % 3 == 2 else depth,
        labels=None if number % 4 == 3 else labels,
        stamp_ns=10**9 * number,
    )


@pytest.fixture(scope="module")
def session() -> Session:
    voxels = VoxelMap(ROOMS.classes)
    for x in (0.01, 1.51):
        confidence = np.array([0.5, 0.75], np.float32)
        points = np.array([[x, 0.01, 0.01], [x, 0.51, 0.01]], np.float32)
        voxels.integrate(LabeledCloud(points, np.full((2, 3), 9, np.uint8), np.array([1, 13], np.uint8), confidence))
    keyframes = tuple((number, frame_of(number)) for number in (*range(2, 12), 40))
    return Session("rooms-0123456789ab", ROOMS, keyframes, 41, voxels.state())


@pytest.fixture(scope="module")
def file(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("session") / "kitchen.safetensors"
    session.save(path)
    return path


@pytest.fixture(scope="module")
def folder(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "kitchen"
    assert export_sequence(session, folder) == 11
    assert [path.name for path in folder.parent.iterdir()] == ["kitchen"]
    return folder


def stopped(*arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["session", *map(str, arguments)])
    return str(stop.value.code)


def test_it_says_what_is_in_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["session", str(file)])
    out = " ".join(capsys.readouterr().out.split())
    for words in (
        "rooms-0123456789ab",
        "rooms, 16 classes",
        "11 of 48x36, numbers 2 to 40, over 38.0 s",
        "depth 7 keyframes",
        "labels 8 keyframes",
        "4 voxels of 0.05 m, 1.5 x 0.5 x 0.0 m",
        "ceiling 50.0% 0.0%",
    ):
        assert words in out


def test_an_empty_session_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.safetensors"
    Session("m", ROOMS, (), 7, VoxelMap(ROOMS.classes).state()).save(empty)
    main(["session", str(empty)])
    out = capsys.readouterr().out
    assert "none (the next is number 7)" in out and "0 voxels" in out
    assert "holds no keyframes" in stopped(empty, "--export", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_exported_recording_says_what_the_keyframes_say(session: Session, folder: Path) -> None:
    sequence = Sequence.open(folder, ROOMS)
    assert sequence.indices == tuple(number for number, _ in session.keyframes)
    assert sequence.has_depth and sequence.has_labels and not sequence.skipped
    for position, (_, frame) in enumerate(session.keyframes):
        read = sequence[position]
        torch.testing.assert_close(read.camera.world_from_camera, frame.camera.world_from_camera, rtol=0, atol=1e-7)
        assert torch.equal(read.camera.intrinsics, frame.camera.intrinsics)
        gray = [cv2.cvtColor(each.image.numpy(), cv2.COLOR_RGB2GRAY).astype(int) for each in (read, frame)]
        assert np.abs(gray[0] - gray[1]).mean() < 4, "JPEG is lossy, not wrong"
        if frame.labels is None:
            assert (read.labels == VOID).all()
        else:
            assert torch.equal(read.labels, frame.labels)
        if frame.depth is None:
            assert read.depth.isnan().all()
        else:
            assert read.depth[0, :4].isnan().all(), "neither too far nor negative is a reading"
            torch.testing.assert_close(read.depth[1:], frame.depth[1:], rtol=0, atol=0.0005 + 1e-6)


def test_training_reads_the_exported_recording(folder: Path) -> None:
    data = DataConfig(
        "folder", str(folder.parent), train=folder.name, label_space="rooms", width=48, height=36, frames=0
    )
    (scene,) = load_scenes(data, data.train)
    assert len(scene.frames) == 11
    assert set(np.unique(scene.frames[0].labels)) == {0, 1, 2, VOID}


def test_fine_tuning_reads_it(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "m.safetensors", SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    options = {
        "--checkpoint": "m.safetensors",
        "--json": "out.json",
        "--output": "o.safetensors",
    }
    files = [part for option, name in options.items() for part in (option, str(tmp_path / name))]
    more = ["--width", "48", "--threads", "1", "--split", "4", "3", "2", "--bounds", "1", "4", "--steps", "1"]
    main(["finetune", "--sequence", str(folder), *files, *more, "--score-every", "0", "--teach-depth"])
    assert (tmp_path / "o.safetensors").exists()


def test_the_map_is_a_ply_that_others_read(session: Session, file: Path, tmp_path: Path) -> None:
    main(["session", str(file), "--ply", str(tmp_path / "map.ply")])
    cloud = trimesh.load(tmp_path / "map.ply")
    np.testing.assert_allclose(sorted(cloud.vertices.tolist()), sorted(session.map.xyz.tolist()))
    data = cloud.metadata["_ply_raw"]["vertex"]["data"]
    assert sorted(np.asarray(data["label"]).ravel().tolist()) == [1, 1, 13, 13]


def test_what_exists_is_kept(file: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "map.ply").write_bytes(b"mine")
    assert "folder exists" in stopped(file, "--export", tmp_path / "folder")
    assert "map.ply exists" in stopped(file, "--ply", tmp_path / "map.ply", "--export", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "map.ply"]
    assert (tmp_path / "map.ply").read_bytes() == b"mine"
    assert "none.safetensors does not exist" in stopped(tmp_path / "none.safetensors")


def test_keyframes_of_two_cameras_are_refused_before_anything_is_written(session: Session, tmp_path: Path) -> None:
    number, frame = session.keyframes[4]
    other = replace(frame, camera=replace(frame.camera, intrinsics=frame.camera.intrinsics * torch.tensor([[1.2]])))
    with pytest.raises(SrayError, match=f"keyframe {number} was taken by another camera than keyframe 2") as caught:
        mixed = (*session.keyframes[:4], (number, other), *session.keyframes[5:])
        export_sequence(replace(session, keyframes=mixed), tmp_path / "out")
    assert isinstance(caught.value, FileError)
    assert list(tmp_path.iterdir()) == []


def test_pictures_cut_out_of_larger_ones_are_not_exported(session: Session, tmp_path: Path) -> None:
    """A region of interest: the layout has K alone, and whoever reads it would take K for a mistake."""
    number, frame = session.keyframes[0]
    intrinsics = frame.camera.intrinsics.clone()
    intrinsics[0, 2] += 0.4 * frame.camera.width
    cut = replace(frame, camera=replace(frame.camera, intrinsics=intrinsics))
    with pytest.raises(FileError, match="principal point .*map the whole ones"):
        export_sequence(replace(session, keyframes=((number, cut),)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_leaves_nothing(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imwrite", lambda *_: False)
    with pytest.raises(SrayError) as caught:
        export_sequence(session, tmp_path / "out")
    assert isinstance(caught.value, FileError)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(SrayError, match="cannot write") as caught:
        export_sequence(session, tmp_path / "file" / "out")
    assert isinstance(caught.value, FileError)
