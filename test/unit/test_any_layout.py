"""`--sequence` reads every layout that training reads: the same frames, whatever the folder looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_fixtures.color_only import write_blender, write_llff
from dataset_fixtures.relief import POSES, pinhole, render, views
from dataset_fixtures.replica import write_sequence
from dataset_fixtures.scannet import NYU40_IDS, sens_frame, sens_header, write_folder

from sray.checkpoint import save_checkpoint
from sray.errors import FileError, SrayError
from sray.label_space import NYU40, ROOMS, VOID, LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray_train.cli import main
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.config import DataConfig

K = pinhole(48, 36, 24)
DATA = DataConfig(width=24, height=18, frames=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    seen = views(K, 48, 36)
    sens = sens_header(K, K, (48, 36), (48, 36), 2)
    sens += b"".join(sens_frame(pose, (view := render(K, pose, 48, 36)).rgb, view.depth) for pose in POSES[:2])
    (tmp_path / "scene0002_00.sens").write_bytes(sens)
    write_folder(tmp_path / "recorded", seen, K, NYU40_IDS, np.uint8)
    for number in (1, 2):
        write_sequence(tmp_path / "room_0" / f"Sequence_{number}", seen)
    write_blender(tmp_path / "lego", seen, 24)
    write_llff(tmp_path / "fern", 192, 144, 96, [(1, 6)] * 4)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("recorded", {"recorded": 4}),
        ("scene0002_00.sens", {"scene0002_00": 2}),
        ("room_0", {"room_0/Sequence_1": 4, "room_0/Sequence_2": 4}),
        ("room_0/Sequence_2", {"room_0/Sequence_2": 4}),
        ("lego", {"lego": 4}),
        ("fern", {"fern": 4}),
    ],
)
def test_every_layout_is_read_at_the_width_asked_for(root: Path, path: str, found: dict[str, int]) -> None:
    scenes = chosen_scenes(DATA, NYU40, sequence=root / path)
    assert {scene.name: len(scene.frames) for scene in scenes} == found
    for scene in scenes:
        assert scene.frames[0].image.shape[1] == 24


def test_labels_of_replica_come_in_the_checkpoints_own_space(root: Path) -> None:
    mine = LabelSpace("mine", ("floor",), ((1, 2, 3),), (2,))
    (scene,) = chosen_scenes(DATA, mine, sequence=root / "room_0" / "Sequence_1")
    labels = scene.frames[0].labels
    assert labels is not None and set(labels.unique().tolist()) <= {0, VOID}


def test_what_cannot_be_tuned_as_asked_is_refused_before_a_step(root: Path, tmp_path: Path) -> None:
    """A model of each of Replica's two sequences into one file, and depth that a recording has not."""
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "tiny.safetensors", SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    options = ["finetune", "--checkpoint", str(tmp_path / "tiny.safetensors"), "--json", str(tmp_path / "out.json")]
    with pytest.raises(SystemExit, match=r"of one scene, but .*room_0 has room_0/Sequence_1, room_0/Sequence_2"):
        main([*options, "--sequence", str(root / "room_0"), "--output", str(tmp_path / "tuned.safetensors")])
    for option in ("--depth", "--teach-depth"):
        with pytest.raises(SystemExit, match=f"lego has no depth.*Leave out {option}"):
            main([*options, "--sequence", str(root / "lego"), "--color-only", option])


def test_what_is_no_recording_is_named(root: Path) -> None:
    (root / "empty").mkdir()
    for name, words in (("empty", "looks like no dataset known here"), ("nowhere", "does not exist")):
        with pytest.raises(SrayError, match=words) as error:
            chosen_scenes(DATA, NYU40, sequence=root / name)
        assert isinstance(error.value, FileError)
