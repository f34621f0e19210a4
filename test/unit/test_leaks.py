"""What is scored is neither trained nor chosen on: scenes, and recordings that teach beside them, by their places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import REPOSITORY

from sray.errors import RequestError, SrayError
from sray_train.cli.train import Train
from sray_train.data.catalog import refuse_leaks, refuse_scored
from sray_train.data.config import DataConfig
from sray_train.data.rooms import room_path
from sray_train.learn.config import load_config

RELEASED = "released_scannet:"


@pytest.mark.parametrize(
    ("dataset", "train", "validation", "test", "said"),
    [
        ("rooms", "0:10", "8000", "5", ["data.train (0:10) holds 5, which data.test (5) scores", "0, 1, 2, 3, 4, 6"]),
        ("rooms", "0:10", "8000 8001", "8001", ["data.validation (8000 8001) holds 8001", "without it: 8000."]),
        ("rooms", "0:9001", "8000", "9500", ["data.train (0:9001) holds room 9000", "below 9000"]),
        ("rooms", "0", "9400", "9500", ["data.validation (9400) holds room 9400"]),
        ("rooms", "0", "x", "9500", ["data.validation: seeds are 'x'"]),
        ("folder", "hall,office", "kitchen", "office", ["data.train (hall,office) holds office", "without it: hall."]),
        ("folder", "hall", "office/", "./office", ["data.validation (office/) holds office/", "other scenes"]),
        (
            "scannet",
            f"{RELEASED}train",
            f"{RELEASED}validation",
            f"{RELEASED}test",
            ["holds scene0211_00, which data.test (released_scannet:test)", "without it: scene0200_00, scene0226_00."],
        ),
        ("scannet", "scene0160_02", "scene0001_00", f"{RELEASED}test", ["(test has scene0160_00, of the same place)"]),
        (
            "scannet",
            "scans/scene0160_00",
            "scene0001_00",
            "scene0160_00",
            ["(test has scene0160_00, of the same place)"],
        ),
        ("replica", "office_4/Sequence_2", "room_0", "office_4/Sequence_1", ["of the same place"]),
        ("replica", "office_0", "room_2", "gsnerf_replica:test", ["data.validation (room_2) holds room_2"]),
        ("blender", "lego", "chair/val", "lego/train", ["data.train (lego) holds lego"]),
    ],
)
def test_a_scene_that_is_scored_is_not_trained_on(dataset, train, validation, test, said: list[str]) -> None:
    data = DataConfig(dataset, "/nowhere", train, validation, test)
    with pytest.raises(SrayError) as caught:
        refuse_leaks(data)
    assert isinstance(caught.value, RequestError)
    for part in said:
        assert part in str(caught.value)
    if "seeds are" not in said[0]:
        assert "data.learn_by_heart: true" in str(caught.value)
        refuse_leaks(replace(data, learn_by_heart=True))


def test_rooms_that_train_rays_are_not_scored_either() -> None:
    data = DataConfig("rooms", "", "0:10", "8000", "9000", train_rays="100 9000")
    with pytest.raises(SrayError, match=r"data\.train_rays \(100 9000\) holds 9000, which data\.test"):
        refuse_leaks(data)
    refuse_leaks(replace(data, train_rays="100"))


@pytest.mark.parametrize(
    ("dataset", "test", "recorded", "said"),
    [
        ("folder", "hall, ./office/", "office", "the place of ./office/"),
        ("folder", "linked", "office", "the place of linked"),
        ("scannet", f"{RELEASED}test", "scans/scene0160_00", "the place of scene0160_00"),
        ("scannet", "scans/scene0160_00", "/elsewhere/scene0160_01", "the place of scans/scene0160_00"),
        ("replica", "room_0", "room_0/Sequence_2", "the place of room_0"),
        ("rooms", "5", str(room_path(5)), "the place of 5"),
        ("rooms", "9000:9020", str(room_path(9500)), "made of room 9500"),
    ],
)
def test_a_recording_of_a_scored_place_teaches_nothing(tmp_path: Path, dataset, test, recorded, said: str) -> None:
    (tmp_path / "linked").symlink_to(tmp_path / "office")
    data = DataConfig(dataset, str(tmp_path), "1", "2", test)
    with pytest.raises(RequestError, match=said):
        refuse_scored(data, Path("labeled"), tmp_path / recorded)
    refuse_scored(replace(data, learn_by_heart=True), Path("labeled"), tmp_path / recorded)
    for other in (room_path(7), tmp_path / "scene0001_00", tmp_path / "9500"):
        refuse_scored(data, Path("labeled"), other)


@pytest.mark.parametrize(
    ("dataset", "train", "validation", "test"),
    [
        ("rooms", "0:8000", "8000:9000", "9000:9020"),
        ("rooms", "0:10", "8000", ""),
        ("folder", "hall", "kitchen", DataConfig.test),
        ("blender", "lego", "lego/val", "lego/test"),
        ("scannet", f"{RELEASED}train", "scene0200_00,scene0226_00", f"{RELEASED}test"),
        ("scannet", "gsnerf_scannet:train", "scene0061_00", "gsnerf_scannet:test"),
    ],
)
def test_scenes_apart_are_taken(dataset, train: str, validation: str, test: str) -> None:
    refuse_leaks(DataConfig(dataset, "/nowhere", train, validation, test))


def test_the_command_refuses_before_it_reads_anything(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("data: {dataset: folder, root: /nowhere, train: a, validation: b, test: a}\n")
    with pytest.raises(SrayError, match=r"data\.train \(a\) holds a"):
        Train(tmp_path / "run.yaml", tmp_path / "run").main()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["rooms", "overfit"])
def test_the_shipped_experiments_do_not_leak(name: str) -> None:
    refuse_leaks(load_config(REPOSITORY / "config" / "experiments" / f"{name}.yaml").data)
