"""Every dataset by its name in a config, and a missing scene named."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_fixtures.color_only import write_blender, write_llff
from dataset_fixtures.relief import POSES, pinhole, render, views
from dataset_fixtures.replica import write_sequence
from dataset_fixtures.scannet import NYU40_IDS, RAW_IDS, TABLE, sens_frame, sens_header, write_folder, write_table

from sray.camera import Camera
from sray.errors import FileError, SrayError, TooFewViewsError
from sray_train.cli.train import Train
from sray_train.data.catalog import EXPECTED, OPEN, load_scenes, recordings, refuse_leaks
from sray_train.data.config import DataConfig
from sray_train.data.named_splits import load_splits, scene_names
from sray_train.data.scene import fitting_size
from sray_train.learn.config import EncoderStage, TrainConfig, load_config
from sray_train.learn.training.run import check_scenes

REPOSITORY = Path(__file__).resolve().parents[2]

K = pinhole(48, 36, 24)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a scene of each dataset."""
    seen = views(K, 48, 36)
    write_folder(tmp_path / "scene0000_00", seen, K, RAW_IDS)
    write_table(tmp_path / TABLE)
    (tmp_path / "scans" / "scene0001_00").mkdir(parents=True)
    sens = sens_header(K, K, (48, 36), (48, 36), 2)
    sens += b"".join(sens_frame(pose, (view := render(K, pose, 48, 36)).rgb, view.depth) for pose in POSES[:2])
    (tmp_path / "scans" / "scene0001_00" / "scene0001_00.sens").write_bytes(sens)
    (tmp_path / "scene0002_00.sens").write_bytes(sens)
    write_folder(tmp_path / "recorded", seen, K, NYU40_IDS, np.uint8)
    for number in (1, 2):
        write_sequence(tmp_path / "room_0" / f"Sequence_{number}", seen)
    write_blender(tmp_path / "lego", seen, 24)
    write_blender(tmp_path / "lego", seen[:3], 24, "test")
    (tmp_path / "another").symlink_to(tmp_path)
    write_llff(tmp_path / "fern", 192, 144, 96, [(1, 6)] * 4)
    return tmp_path


@pytest.mark.parametrize(
    ("dataset", "which", "found"),
    [
        ("scannet", "scene0000_00", {"scene0000_00": 4}),
        ("scannet", "scene0001_00,scene0002_00", {"scene0001_00": 2, "scene0002_00": 2}),
        ("folder", "recorded", {"recorded": 4}),
        ("replica", "room_0", {"room_0/Sequence_1": 4, "room_0/Sequence_2": 4}),
        ("replica", "room_0/Sequence_2", {"room_0/Sequence_2": 4}),
        ("folder", "recorded,./another/recorded/", {"recorded": 4, "another/recorded": 4}),
        (
            "replica",
            "room_0,another/room_0",
            {f"{at}room_0/Sequence_{n}": 4 for at in ("", "another/") for n in (1, 2)},
        ),
        ("blender", "lego/test, lego", {"lego/test": 3, "lego": 4}),
        ("llff", "fern", {"fern": 4}),
    ],
)
def test_scenes_by_name(root: Path, dataset, which: str, found: dict[str, int]) -> None:
    data = DataConfig(dataset, str(root), label_space="nyu40", width=24, height=18, frames=0)
    scenes = load_scenes(data, which)
    assert {scene.name: len(scene.frames) for scene in scenes} == found
    for scene in scenes:
        frame = scene.frames[1]
        assert frame.image.shape == (18, 24, 3)
        assert torch.equal(scene.cameras.intrinsics[1], frame.camera.intrinsics)
        assert torch.equal(scene.cameras.world_from_camera[1], frame.camera.world_from_camera)
        labeled = dataset in ("folder", "replica") or scene.name == "scene0000_00"
        assert (frame.labels is not None) == labeled
    assert scenes[0].bounds == {"blender": (2, 6), "llff": (1, 6)}.get(dataset, scenes[0].bounds)


def test_llff_reads_the_size_that_the_config_asks_for(root: Path) -> None:
    ((_, recording),) = recordings(DataConfig("llff", str(root), width=40, height=30), "fern")
    assert (recording.cameras.width, recording.cameras.height) == (48, 36)


def test_a_named_part_of_a_split(root: Path) -> None:
    with pytest.raises(SrayError, match="scene0160_00"):
        list(recordings(DataConfig("scannet", str(root)), "released_scannet:test"))


@pytest.mark.parametrize("dataset", OPEN)
def test_a_missing_scene_is_named_with_what_was_expected_and_what_there_is(root: Path, dataset) -> None:
    with pytest.raises(SrayError) as caught:
        load_scenes(DataConfig(dataset, str(root)), "nowhere")
    assert isinstance(caught.value, FileError)
    for said in (
        str(root),
        "no scene nowhere",
        EXPECTED[dataset].format("nowhere"),
        "another, fern, lego, recorded, room_0",
    ):
        assert said in str(caught.value)


def test_a_missing_part_is_named(root: Path) -> None:
    with pytest.raises(SrayError, match="lego/all"):
        load_scenes(DataConfig("blender", str(root)), "lego/all")
    with pytest.raises(SrayError, match="transforms_val.json"):
        load_scenes(DataConfig("blender", str(root)), "lego/val")


def test_a_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(SrayError, match="Set data.root"):
        load_scenes(DataConfig("replica", str(tmp_path / "nowhere")), "room_0")


def blocks() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs" / "datasets.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("block", blocks(), ids=lambda block: block.split()[2])
def test_the_config_lines_of_the_documents(tmp_path: Path, block: str) -> None:
    (tmp_path / "config.yaml").write_text(block)
    config = load_config(tmp_path / "config.yaml")
    for which in (config.data.train, config.data.validation, config.data.test):
        assert scene_names(which, config.data.dataset)
    refuse_leaks(config.data)
    assert not set(scene_names(config.data.train, config.data.dataset)) & set(
        scene_names(config.data.validation, config.data.dataset)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"devices": 0}, "devices is 0; expected at least 1"),
        ({"nodes": -1}, "nodes is -1"),
        ({"max_hours": 0.0}, "max-hours is 0"),
        ({"accelerator": "cuda"}, "accelerator is cuda, but there is none"),
    ],
)
def test_a_wrong_option_of_training_is_named(monkeypatch: pytest.MonkeyPatch, options, said: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=said):
        Train(**options)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="devices is 3; expected at most 2"):
        Train(devices=3)
    assert Train(devices=2).devices == 2 and Train(devices=3, accelerator="cpu").devices == 3


# Sizes


def test_recordings_keep_their_aspect_and_nearly_fitting_ones_the_size_asked_for(root: Path) -> None:
    for height, taken in ((18, 18), (24, 18), (19, 18)):
        (scene,) = load_scenes(DataConfig("folder", str(root), width=24, height=height, frames=0), "recorded")
        assert (scene.cameras.width, scene.cameras.height) == (24, taken)
        assert scene.frames[0].image.shape == (taken, 24, 3)
    scannet = Recorded(1296, 968)
    assert fitting_size(scannet, 320, 240) == (320, 240), "239 is within 2 %"
    assert fitting_size(scannet, 320, 250) == (320, 239)


class Recorded:
    """Only the size."""

    def __init__(self, width: int, height: int) -> None:
        self.cameras = Camera(torch.eye(3)[None], torch.eye(4)[None], width, height)


def test_scenes_that_training_cannot_use_are_refused_when_loaded(root: Path) -> None:
    data = DataConfig("folder", str(root), "recorded", "recorded", width=24, height=18, frames=1)
    single = load_scenes(data, "recorded")
    several = load_scenes(replace(data, frames=0), "recorded")
    for scenes in ((single, several), (several, single)):
        with pytest.raises(SrayError, match="recorded has 1 usable frames; expected at least 2") as caught:
            check_scenes(TrainConfig(), *scenes)
        assert isinstance(caught.value, TooFewViewsError)
    check_scenes(TrainConfig(), several, several)
    write_folder(root / "tall", views(pinhole(48, 48, 24), 48, 48), pinhole(48, 48, 24), NYU40_IDS, np.uint8)
    mixed = load_scenes(replace(data, frames=0), "recorded,tall")
    with pytest.raises(SrayError, match="recorded 24x18, tall 24x24"):
        check_scenes(TrainConfig(), mixed, several)
    check_scenes(TrainConfig(encoder=EncoderStage(steps=0)), mixed, several)


def test_rooms_of_no_frames_are_refused() -> None:
    with pytest.raises(SrayError, match="data.frames is 0"):
        load_scenes(DataConfig(frames=0), "9000")


def test_the_documents_count_the_splits_as_they_are() -> None:
    text = (REPOSITORY / "docs" / "datasets.md").read_text()
    for name, split in load_splits().items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert [int(number) for number in re.findall(r"\d+", row.split("|")[2])] == [
            len(s) for s in split.parts.values()
        ]
