"""Whole training runs: from one seed twice, stopped and killed, on a full disk, with gradients that are not finite."""

from __future__ import annotations

import errno
import math
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_fixtures import command, curve, only, tiny_run, trainer, written

from sray.checkpoint import load_checkpoint
from sray.errors import DiskFullError, RequestError, SrayError
from sray_train.learn.config import StereoStage, TrainConfig
from sray_train.learn.training.encoder_stage import EncoderTraining
from sray_train.learn.training.processes import make_fabric
from sray_train.learn.training.trainer import Trainer


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    return tiny_run(tmp_path_factory.mktemp("data"))


@dataclass
class Whole:
    """The run of `config` that nothing disturbed, with which the others are compared."""

    run: Trainer
    folder: Path
    curve: list[dict[str, Any]]

    def copied(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.folder, folder))


@pytest.fixture(scope="module")
def whole(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    run = trainer(config, folder)
    assert run.run()
    return Whole(run, folder, curve(folder))


def test_the_same_seed_gives_the_same_losses_and_another_one_others(
    config: TrainConfig, whole: Whole, tmp_path: Path
) -> None:
    for seed in (0, 1):
        trainer(replace(only(config, "encoder"), seed=seed), tmp_path / str(seed)).run()
    first = [[record["loss"] for record in curve(tmp_path / name)[:20]] for name in "01"]
    assert len(first[0]) == 20 and first[1] != first[0] == [record["loss"] for record in whole.curve[:20]]


def test_work_drawn_ahead_is_the_same_work(config: TrainConfig, whole: Whole, tmp_path: Path) -> None:
    ahead = trainer(replace(config, loader_workers=2), tmp_path)
    assert ahead.run()
    for name, tensor in whole.run.model.state_dict().items():
        torch.testing.assert_close(ahead.model.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


def test_mixed_precision_learns_too(config: TrainConfig, whole: Whole, tmp_path: Path) -> None:
    fabric = make_fabric("bf16-mixed", accelerator="cpu", devices=1)
    run = trainer(replace(config, precision="bf16-mixed"), tmp_path, fabric=fabric)
    assert run.run()
    assert run.progress.best.keys() == {"encoder", "frozen", "joint"}
    for stage, score in whole.run.progress.best.items():
        assert run.progress.best[stage] == pytest.approx(score, abs=0.1), stage
    assert curve(tmp_path) != whole.curve
    assert {tensor.dtype for tensor in run.model.state_dict().values()} == {torch.float32}


def test_gradients_that_are_not_finite_change_nothing(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = only(config, "encoder")
    run, calls = trainer(config, tmp_path), []
    plain = EncoderTraining.forward

    def poisoned(stage: EncoderTraining, batch: Any) -> Any:
        loss, terms = plain(stage, batch)
        calls.append(1)
        return (loss * math.nan if len(calls) in (3, 4) else loss), terms

    monkeypatch.setattr(EncoderTraining, "forward", poisoned)
    assert run.run()
    assert all(tensor.isfinite().all() for tensor in run.model.state_dict().values())
    monkeypatch.setattr(EncoderTraining, "forward", lambda stage, batch: (plain(stage, batch)[0] * math.nan, {}))
    with pytest.raises(SrayError, match="diverged"):
        trainer(config, tmp_path / "lost").run()


@pytest.mark.slow
def test_a_run_that_is_stopped_and_then_killed_goes_on_along_the_same_curve(
    config: TrainConfig, whole: Whole, tmp_path: Path
) -> None:
    """As a user starts it: Ctrl-C saves a whole step; after a kill, the steps since the last save are taken again."""
    folder = tmp_path / "run"

    def started(save_every_seconds: float) -> subprocess.Popen[str]:
        changed = replace(config, save_every_seconds=save_every_seconds)
        file = written(changed, tmp_path / "config.yaml")
        return subprocess.Popen(command(file, folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    stopped = started(save_every_seconds=1000.0)
    wait_for_steps(stopped, folder, 8)
    stopped.send_signal(signal.SIGINT)
    _, complaint = stopped.communicate(timeout=100)
    assert stopped.returncode == 130 and "Traceback" not in complaint
    done = len(curve(folder))
    assert 8 <= done < len(whole.curve)

    killed = started(save_every_seconds=0.3)
    wait_for_steps(killed, folder, done + 8)
    killed.send_signal(signal.SIGKILL)
    told, _ = killed.communicate(timeout=100)
    assert "going on after" in told

    ended = started(save_every_seconds=0.3)
    told, complaint = ended.communicate(timeout=200)
    assert ended.returncode == 0 and "going on after" in told, told + complaint
    assert curve(folder) == whole.curve, "no step is missing, none is there twice"
    best = (load_checkpoint(each / "best_joint.safetensors").model for each in (folder, whole.folder))
    for one, other in zip(*(model.state_dict().items() for model in best), strict=True):
        assert torch.equal(one[1], other[1]), one[0]


def wait_for_steps(run: subprocess.Popen[str], folder: Path, steps: int) -> None:
    deadline = time.monotonic() + 100
    while run.poll() is None and time.monotonic() < deadline:
        if (folder / "log.jsonl").exists() and len(curve(folder)) >= steps:
            return
        time.sleep(0.02)


def test_a_full_disk_ends_the_run_and_costs_no_checkpoint(
    config: TrainConfig, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = whole.copied(tmp_path / "run")
    (folder / "state.safetensors").unlink()
    files = {path: path.read_bytes() for path in folder.rglob("*.safetensors")}
    assert len(files) >= 6, "the best of each stage, and kept ones"

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SrayError) as refused:
        trainer(replace(config, seed=5), folder).run()
    assert isinstance(refused.value, DiskFullError)
    for path, content in files.items():
        assert path.read_bytes() == content, path
    assert not list(folder.rglob("*.partial"))


def test_checkpoints_without_a_state_are_not_mixed_with_a_new_run(
    config: TrainConfig, whole: Whole, tmp_path: Path
) -> None:
    folder = whole.copied(tmp_path / "run")
    (folder / "state.safetensors").unlink()
    with pytest.raises(SrayError, match="best_encoder.*Move the checkpoints away"):
        trainer(config, folder).resume()


def test_pictures_without_labels_teach_color_alone(config: TrainConfig, tmp_path: Path) -> None:
    shutil.copytree(config.data.root, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "wall" / "label-filt")
    bare = replace(config, data=replace(config.data, root=str(tmp_path / "data")))
    with pytest.raises(SrayError, match=r"no validation scene has labels.*encoder\.steps 0"):
        trainer(bare, tmp_path / "run").run()
    run = trainer(only(bare, "frozen"), tmp_path / "color")
    classifier = run.model.fine.classifier.weight.clone()
    assert run.run()
    assert torch.equal(run.model.fine.classifier.weight, classifier)
    assert {record["semantic"] for record in curve(tmp_path / "color")} == {0.0}
    assert run.progress.best["frozen"] > 5, "dB: nothing else can be scored"


def test_a_recording_labeled_in_some_pictures_alone_teaches(config: TrainConfig, tmp_path: Path) -> None:
    """Also if the first one has no labels and no depth."""
    shutil.copytree(config.data.root, tmp_path / "data")
    for kind in ("label-filt", "depth"):
        for number in (0, 3):
            (tmp_path / "data" / "wall" / kind / f"{number}.png").unlink()
    partly = replace(config, data=replace(config.data, root=str(tmp_path / "data")))
    run = trainer(only(partly, "encoder", "frozen", steps=2), tmp_path / "run")
    assert run.run() and run.progress.best.keys() == {"encoder", "frozen"}


def test_a_stereo_stage_needs_depth_to_be_scored_by(config: TrainConfig, tmp_path: Path) -> None:
    shutil.copytree(config.data.root, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "wall" / "depth")
    data = replace(config.data, root=str(tmp_path / "data"))
    bare = replace(only(config, "frozen"), data=data, stereo=StereoStage(steps=1))
    with pytest.raises(RequestError, match=r"no validation scene has depth.*stereo\.steps 0"):
        trainer(bare, tmp_path / "run")
