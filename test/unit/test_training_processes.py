"""A training run on several processes: they share each step's work, and learn what one of them would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from training_fixtures import TINY, arguments, curve, only, tiny_run, trainer, written

from sray.errors import SrayError
from sray_train.learn.config import TrainConfig
from sray_train.learn.training.processes import check_shares

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SEVERAL_COMMANDS = """
import json, os, sys
from pathlib import Path
from sray_train.cli import main

ended = {}
for name, arguments in json.loads(Path(sys.argv[1]).read_text()).items():
    try:
        main(arguments)
    except SystemExit as stop:
        ended[name] = str(stop.code)
Path(f"ended_{os.environ['RANK']}.json").write_text(json.dumps(ended))
"""
"""What each of the two processes does: one command after another, as starting takes longer than all of them. At most
one of them may form a group: a second group of the same processes finds the addresses of the first."""


@dataclass
class Together:
    """Runs of two processes, and where they left their folders."""

    config: TrainConfig
    folder: Path
    errors: list[dict[str, str]]
    """By the name of the run, of each process."""


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    """One run without `--devices`, and one step of each stage with it."""
    folder = tmp_path_factory.mktemp("together")
    config = tiny_run(tmp_path_factory.mktemp("data"))
    unaware = {"unaware": arguments(written(config, folder / "unaware.yaml"), folder / "unaware")}
    errors: list[dict[str, str]] = [{}, {}]
    for stage, before in (("encoder", unaware), ("joint", {})):
        file = written(only(config, stage, steps=1), folder / f"{stage}.yaml")
        train = arguments(file, folder / stage, "--devices", "2", "--accelerator", "cpu")
        for rank, ended in enumerate(both_run(folder, before | {stage: train})):
            errors[rank] |= ended
    return Together(config, folder, errors)


def both_run(folder: Path, commands: dict[str, list[str]]) -> list[dict[str, str]]:
    """What each of two processes ended its commands with, by their names; those that ended well are left out."""
    (folder / "runs.json").write_text(json.dumps(commands))
    (folder / "commands.py").write_text(SEVERAL_COMMANDS)
    ran = subprocess.run(
        [*TORCHRUN, "commands.py", "runs.json"], cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=140,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return [json.loads((folder / f"ended_{rank}.json").read_text()) for rank in range(2)]


def test_processes_that_do_not_know_of_each_other_are_refused(together: Together) -> None:
    """Each would be the first, and write the same folder."""
    for errors in together.errors:
        assert errors.keys() == {"unaware"} and "--devices 2" in errors["unaware"]
    assert not (together.folder / "unaware").exists()


def first_gradients(folder: Path) -> dict[str, torch.Tensor]:
    """What Adam remembers after one step: a tenth of the (clipped) gradients."""
    with safe_open(folder / "state.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name.endswith("exp_avg")}  # noqa: SIM118


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["encoder", "joint"])
def test_two_processes_have_the_gradients_of_one(together: Together, tmp_path: Path, stage: str) -> None:
    """Averaged over processes that share a step's work, gradients are those of one process doing all of it.

    `frozen` is `joint` without the encoder's gradients. Tolerance: float32 sums in another order.
    """
    assert trainer(only(together.config, stage, steps=1), tmp_path).run()
    one, other = first_gradients(tmp_path), first_gradients(together.folder / stage)
    assert one.keys() == other.keys() and len(one) > 20
    for name, gradient in one.items():
        torch.testing.assert_close(other[name], gradient, rtol=1e-3, atol=1e-6, msg=name)
    assert max(float(gradient.abs().max()) for gradient in one.values()) > 1e-3
    losses = [[record["loss"] for record in curve(folder)] for folder in (tmp_path, together.folder / stage)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("stage", ["encoder", "frozen", "joint"])
def test_a_step_that_cannot_be_shared_evenly_is_refused_before_the_first(stage: str) -> None:
    part = replace(TINY.encoder, batch=3) if stage == "encoder" else replace(getattr(TINY, stage), targets=3)
    with pytest.raises(SrayError, match=rf"{stage}\.\w+ is 3, which 2 processes"):
        check_shares(replace(TINY, **{stage: part}), 2)
    check_shares(replace(TINY, **{stage: replace(part, steps=0)}), 2)
