"""Whole training runs as a user starts them: on several processes, killed, on a full disk, from one seed twice."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import PlaneScene
from safetensors import safe_open

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.errors import DiskFullError, ModelError, SrayError
from sray.label_space import ROOMS, SCANNET20
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence_writer import SequenceWriter
from sray_train.data.catalog import load_scenes
from sray_train.data.config import DataConfig
from sray_train.learn.config import EncoderStage, RayStage, TrainConfig, load_config
from sray_train.learn.training.best_checkpoints import BestCheckpoints
from sray_train.learn.training.encoder_stage import EncoderTraining
from sray_train.learn.training.logbook import read_records
from sray_train.learn.training.processes import check_shares, make_fabric
from sray_train.learn.training.run import start_from
from sray_train.learn.training.trainer import Trainer

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TINY = TrainConfig(
    encoder=EncoderStage(steps=24, batch=4, pixels=64),
    frozen=RayStage(steps=12, train_encoder=False, targets=2, rays=32, views=(2, 3), coarse_samples=8, fine_samples=4),
    joint=RayStage(steps=4, train_encoder=True, targets=2, rays=32, views=(2, 3), coarse_samples=8, fine_samples=4),
    validate_every=10,
    threads=1,
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A tiny run on a recorded wall."""
    root = tmp_path_factory.mktemp("data")
    writer = SequenceWriter(root / "wall")
    for number, frame in enumerate(PlaneScene().ring(6)):
        writer.add(number, frame)
    data = DataConfig("folder", str(root), "wall", "wall", "wall", width=48, height=36, frames=0, learn_by_heart=True)
    return replace(TINY, data=data)


def written(config: TrainConfig, path: Path) -> Path:
    path.write_text(yaml.safe_dump(json.loads(json.dumps(asdict(config)))))
    return path


def command(config: Path, folder: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "sray_train.cli",
        "train",
        "--config",
        str(config),
        "--run-folder",
        str(folder),
        *more,
    ]


def curve(folder: Path) -> list[dict[str, Any]]:
    return [record for record in read_records(folder / "log.jsonl") if "loss" in record]


def trainer(config: TrainConfig, folder: Path) -> Trainer:
    torch.manual_seed(config.seed)
    scenes = load_scenes(config.data, config.data.train)
    return Trainer(config, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS, scenes, scenes, folder)


def test_the_same_seed_gives_the_same_losses_and_another_one_others(config: TrainConfig, tmp_path: Path) -> None:
    short = replace(config, frozen=replace(config.frozen, steps=0), joint=replace(config.joint, steps=0))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        trainer(replace(short, seed=seed), tmp_path / name).run()
    first = [[record["loss"] for record in curve(tmp_path / name)[:20]] for name in "abc"]
    assert len(first[0]) == 20 and first[0] == first[1] != first[2]


def test_work_drawn_ahead_is_the_same_work(config: TrainConfig, tmp_path: Path) -> None:
    runs = {workers: trainer(replace(config, loader_workers=workers), tmp_path / str(workers)) for workers in (0, 2)}
    assert all(run.run() for run in runs.values())
    for name, tensor in runs[0].model.state_dict().items():
        torch.testing.assert_close(runs[2].model.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


def first_gradients(folder: Path) -> dict[str, torch.Tensor]:
    """What Adam remembers after one step: a tenth of the (clipped) gradients."""
    with safe_open(folder / "state.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name.endswith("exp_avg")}  # noqa: SIM118


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["encoder", "joint"])
def test_two_processes_have_the_gradients_of_one(config: TrainConfig, tmp_path: Path, stage: str) -> None:
    """Averaged over processes that share a step's work, gradients are those of one process doing all of it.

    `frozen` is `joint` without the encoder's gradients. Tolerance: float32 sums in another order.
    """
    steps = {name: 1 if name == stage else 0 for name in ("encoder", "frozen", "joint")}
    stages = {name: replace(getattr(config, name), steps=count) for name, count in steps.items()}
    file = written(replace(config, **stages), tmp_path / "config.yaml")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command(file, tmp_path / "one"), check=True, env=environment, timeout=200)
    two = command(file, tmp_path / "two", "--devices", "2", "--accelerator", "cpu")[1:]
    subprocess.run([*TORCHRUN, *two], check=True, env=environment, timeout=200)
    one, other = first_gradients(tmp_path / "one"), first_gradients(tmp_path / "two")
    assert one.keys() == other.keys() and len(one) > 20
    for name, gradient in one.items():
        torch.testing.assert_close(other[name], gradient, rtol=1e-3, atol=1e-6, msg=name)
    assert max(float(gradient.abs().max()) for gradient in one.values()) > 1e-3
    losses = [[record["loss"] for record in curve(tmp_path / name)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_processes_that_do_not_know_of_each_other_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    """Each would be the first, and write the same folder."""
    file = written(config, tmp_path / "config.yaml")
    ran = subprocess.run([*TORCHRUN, *command(file, tmp_path / "run")[1:]], capture_output=True, text=True, timeout=200)
    assert ran.returncode != 0 and "--devices 2" in ran.stderr
    assert not (tmp_path / "run").exists()


def test_mixed_precision_learns_too(config: TrainConfig, tmp_path: Path) -> None:
    mixed = replace(config, precision="bf16-mixed")
    fabric = make_fabric("bf16-mixed", accelerator="cpu", devices=1)
    scenes = load_scenes(config.data, config.data.train)
    torch.manual_seed(0)
    run = Trainer(mixed, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS, scenes, scenes, tmp_path, fabric=fabric)
    assert run.run()
    exact = trainer(config, tmp_path / "exact")
    assert exact.run()
    for stage, score in exact.progress.best.items():
        assert run.progress.best[stage] == pytest.approx(score, abs=0.1), stage
    assert {tensor.dtype for tensor in run.model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("stage", ["encoder", "frozen", "joint"])
def test_a_step_that_cannot_be_shared_evenly_is_refused_before_the_first(config: TrainConfig, stage: str) -> None:
    part = replace(config.encoder, batch=3) if stage == "encoder" else replace(getattr(config, stage), targets=3)
    with pytest.raises(SrayError, match=rf"{stage}\.\w+ is 3, which 2 processes"):
        check_shares(replace(config, **{stage: part}), 2)
    check_shares(replace(config, **{stage: replace(part, steps=0)}), 2)


def test_gradients_that_are_not_finite_change_nothing(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_ctrl_c_saves_a_whole_step(config: TrainConfig, tmp_path: Path) -> None:
    whole = trainer(config, tmp_path / "whole")
    assert whole.run()
    file, folder = written(replace(config, save_every_seconds=1000.0), tmp_path / "config.yaml"), tmp_path / "run"
    run = subprocess.Popen(command(file, folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_steps(run, folder, 8)
    run.send_signal(signal.SIGINT)
    _, complaint = run.communicate(timeout=100)
    assert run.returncode == 130 and "Traceback" not in complaint
    done = len(curve(folder))
    assert 8 <= done < len(curve(tmp_path / "whole"))
    subprocess.run(command(file, folder), check=True, timeout=200, stdout=subprocess.DEVNULL)
    assert curve(folder) == curve(tmp_path / "whole")


def wait_for_steps(run: subprocess.Popen[str], folder: Path, steps: int) -> None:
    deadline = time.monotonic() + 100
    while run.poll() is None and time.monotonic() < deadline:
        if (folder / "log.jsonl").exists() and len(curve(folder)) >= steps:
            return
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_run_goes_on_along_the_same_curve(config: TrainConfig, tmp_path: Path) -> None:
    whole = trainer(config, tmp_path / "whole")
    assert whole.run()
    # Saved now and then, as in a long run: steps after the last save are taken again.
    file, folder = written(replace(config, save_every_seconds=0.3), tmp_path / "config.yaml"), tmp_path / "killed"
    for _ in range(2):
        before = len(curve(folder)) if (folder / "log.jsonl").exists() else 0
        run = subprocess.Popen(command(file, folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_for_steps(run, folder, before + 12)
        run.send_signal(signal.SIGKILL)
        run.wait()
    ended = subprocess.run(command(file, folder), capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "going on after" in ended.stdout
    assert curve(folder) == curve(tmp_path / "whole"), "no step is missing, none is there twice"
    best = (load_checkpoint(tmp_path / name / "best_joint.safetensors").model for name in ("killed", "whole"))
    for one, other in zip(*(model.state_dict().items() for model in best), strict=True):
        assert torch.equal(one[1], other[1]), one[0]


def test_a_full_disk_ends_the_run_and_costs_no_checkpoint(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trainer(replace(config, frozen=replace(config.frozen, steps=0)), tmp_path)
    assert first.run()
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    assert len(files) >= 4
    (tmp_path / "state.safetensors").unlink()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SrayError) as refused:
        trainer(replace(config, seed=5), tmp_path).run()
    assert isinstance(refused.value, DiskFullError)
    del files[tmp_path / "state.safetensors"]
    for path, content in files.items():
        assert path.read_bytes() == content, path
    assert not list(tmp_path.rglob("*.partial"))


def test_checkpoints_without_a_state_are_not_mixed_with_a_new_run(config: TrainConfig, tmp_path: Path) -> None:
    assert trainer(replace(config, frozen=replace(config.frozen, steps=0)), tmp_path).run()
    (tmp_path / "state.safetensors").unlink()
    with pytest.raises(SrayError, match="best_encoder.*Move the checkpoints away"):
        trainer(config, tmp_path).resume()


def test_the_best_are_kept_and_no_more(tmp_path: Path) -> None:
    model, kept = SemanticRay(SemanticRayConfig(ROOMS.classes)), BestCheckpoints(tmp_path, "frozen", keep=2)
    for step, score in ((1, 0.2), (2, 0.5), (3, 0.3), (4, 0.1), (5, 0.5)):
        kept.offer(step, score, model, ROOMS, {"step": step}, best=step < 3)
    assert [path.stem for _, path in kept.kept()] == ["frozen_step000002_score0.5000", "frozen_step000005_score0.5000"]
    assert load_checkpoint(tmp_path / "best_frozen.safetensors").lineage == {"step": 2}


def test_a_run_may_start_from_a_checkpoint_of_other_classes(tmp_path: Path) -> None:
    given = SemanticRay(SemanticRayConfig(ROOMS.classes))
    save_checkpoint(tmp_path / "given.safetensors", given, ROOMS)
    same, other = SemanticRay(SemanticRayConfig(ROOMS.classes)), SemanticRay(SemanticRayConfig(SCANNET20.classes))
    fresh = other.fine.classifier.weight.clone()
    start_from(tmp_path / "given.safetensors", same, ROOMS)
    start_from(tmp_path / "given.safetensors", other, SCANNET20)
    for name, tensor in given.state_dict().items():
        assert torch.equal(same.state_dict()[name], tensor), name
        if ".classifier." not in name:
            assert torch.equal(other.state_dict()[name], tensor), name
    assert torch.equal(other.fine.classifier.weight, fresh)
    seeing = SemanticRay(SemanticRayConfig(ROOMS.classes, visibility="full"))
    start_from(tmp_path / "given.safetensors", seeing, ROOMS)
    for name, tensor in given.extended("full").state_dict().items():
        assert torch.equal(seeing.state_dict()[name], tensor), name
    paper = SemanticRay(SemanticRayConfig.paper(ROOMS.classes))
    with pytest.raises(SrayError, match="has another network") as refused:
        start_from(tmp_path / "given.safetensors", paper, ROOMS)
    assert isinstance(refused.value, ModelError)


def test_pictures_without_labels_teach_color_alone(config: TrainConfig, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(config.data.root, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "wall" / "label-filt")
    bare = replace(config, data=replace(config.data, root=str(tmp_path / "data")))
    with pytest.raises(SrayError, match=r"no validation scene has labels.*encoder\.steps 0"):
        trainer(bare, tmp_path / "run").run()
    color = replace(bare, encoder=replace(bare.encoder, steps=0), joint=replace(bare.joint, steps=0))
    run = trainer(color, tmp_path / "color")
    classifier = run.model.fine.classifier.weight.clone()
    assert run.run()
    assert torch.equal(run.model.fine.classifier.weight, classifier)
    assert {record["semantic"] for record in curve(tmp_path / "color")} == {0.0}
    assert run.progress.best["frozen"] > 5, "dB: nothing else can be scored"


@pytest.mark.parametrize("name", ["rooms", "overfit"])
def test_the_shipped_experiments_read(name: str) -> None:
    config = load_config(Path(__file__).parents[2] / "config" / "experiments" / f"{name}.yaml")
    assert config.evaluation.views == 8
