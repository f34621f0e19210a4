"""`sray finetune` on a recorded folder: what it writes, what it refuses, and Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from conftest import PlaneScene

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.label_space import LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence import SequenceWriter
from sray_train.cli import main
from sray_train.tuning.watch import Watch

SPACE = LabelSpace("stripes", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))
SCORES = {"strict_miou", "released_miou", "total_accuracy", "average_accuracy", "psnr", "ssim", "per_class"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune") / "wall"
    writer = SequenceWriter(folder, SPACE)
    for index in range(10):
        writer.add(index, PlaneScene().frame((0.1 * index - 0.5, 0.0, 0.0)))
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("finetune") / "model.safetensors"
    save_checkpoint(path, SemanticRay(SemanticRayConfig(3)), SPACE, {"seed": 0})
    return path


def finetune(checkpoint: Path, recording: Path, out: Path, *more: str) -> None:
    main(
        ["finetune", "--checkpoint", str(checkpoint), "--sequence", str(recording), "--width", "48", "--threads", "1"]
        + ["--split", "4", "4", "2", "--bounds", "1", "4", "--json", str(out / "out.json"), *more]
    )


def test_it_writes_scores_curve_and_a_checkpoint_that_names_its_parent(
    checkpoint: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checkpoint.read_bytes()
    finetune(
        checkpoint,
        recording,
        tmp_path,
        "--steps",
        "4",
        "--score-every",
        "2",
        "--output",
        str(tmp_path / "o.safetensors"),
    )
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["before"].keys() >= SCORES and record["after"].keys() >= SCORES
    assert record["steps"] == 4 and record["seconds"] > 0 and record["input"] == "RGB"
    assert [row["step"] for row in record["curve"]] == [0, 2, 4]
    assert record["curve"][0]["strict_miou"] == record["before"]["strict_miou"]
    assert record["curve"][-1]["strict_miou"] == pytest.approx(record["after"]["strict_miou"])
    assert record["before"]["pictures"] == 2 and record["before"] != record["after"]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    parent, child = load_checkpoint(checkpoint), load_checkpoint(tmp_path / "o.safetensors")
    assert checkpoint.read_bytes() == before
    assert child.label_space == SPACE and child.sha256 != parent.sha256
    lineage = child.lineage
    assert lineage["parent"] == parent.sha256 and lineage["parent_lineage"] == {"seed": 0}
    assert (lineage["steps"], lineage["seed"], lineage["data"]["scene"]) == (4, 0, "wall")
    frames = [lineage["data"][part] for part in ("sources", "tuning", "test")]
    assert [len(part) for part in frames] == [4, 4, 2] and len({name for part in frames for name in part}) == 10
    assert lineage["after"]["strict_miou"] == record["after"]["strict_miou"]
    assert "4 steps in" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        finetune(checkpoint, recording, tmp_path, "--steps", "4")
    assert "out.json exists" in str(stop.value.code)


def test_a_folder_without_labels_is_refused_unless_colour_alone_teaches(
    checkpoint: Path, recording: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(recording, bare)
    shutil.rmtree(bare / "label-filt")
    with pytest.raises(SystemExit) as stop:
        finetune(checkpoint, bare, tmp_path)
    assert "bare: none of the 8 frames to learn from has labels" in str(stop.value.code)
    assert "--color-only" in str(stop.value.code) and not (tmp_path / "out.json").exists()
    finetune(checkpoint, bare, tmp_path, "--color-only", "--steps", "2")
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["after"]["strict_miou"] is None and record["after"]["psnr"] != record["before"]["psnr"]
    assert {row["kind"] for row in record["curve"]} == {"start", "rays"}


def test_a_short_recording_is_refused_with_what_it_takes(checkpoint: Path, recording: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        finetune(checkpoint, recording, tmp_path, "--split", "8", "8", "4")
    assert "wall has 10 usable frames; expected at least 20" in str(stop.value.code)


def test_ctrl_c_keeps_the_best_so_far_and_says_so(
    checkpoint: Path,
    recording: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    see = Watch.see

    def press(watch, step, row) -> None:
        see(watch, step, row)
        if step.number == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Watch, "see", press)
    finetune(checkpoint, recording, tmp_path, "--steps", "500", "--output", str(tmp_path / "o.safetensors"))
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["steps"] == 3 and record["scenes"][0]["stopped"]
    assert load_checkpoint(tmp_path / "o.safetensors").lineage["steps"] == 3
    assert "stopped after 3 steps; the best so far is kept, of step 3" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "one of --sequence and --seeds"),
        (["--seeds", "9000", "--sequence", "x"], "one of --sequence and --seeds"),
        (["--seeds", "9000:9002", "--output", "o.safetensors"], "--output takes the model of one scene"),
        (["--seeds", "9000", "--split", "8", "0", "4"], "at least 1 frame of each kind"),
        (["--seeds", "9000", "--steps", "0"], "steps is 0"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["finetune", *arguments])
    assert stop.value.code == 2
    assert named in capsys.readouterr().err
