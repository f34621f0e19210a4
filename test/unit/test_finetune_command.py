"""`sray finetune` on a recorded folder: what it writes, what it refuses, and Ctrl-C."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.label_space import LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence import Sequence
from sray_train.cli import main
from sray_train.cli.finetune import Finetune
from sray_train.learn.finetune.watch import Watch

SPACE = LabelSpace("stripes", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))
SCORES = {"strict_miou", "released_miou", "total_accuracy", "average_accuracy", "psnr", "ssim", "per_class"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PlaneScene().record(tmp_path_factory.mktemp("finetune") / "wall", SPACE)


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
    output = tmp_path / "o.safetensors"
    finetune(checkpoint, recording, tmp_path, "--steps", "4", "--score-every", "2", "--output", str(output))
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


def test_a_folder_without_labels_is_refused_unless_color_alone_teaches(
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


@pytest.fixture(scope="module")
def mislabeled(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recording, everything called the second class."""
    folder = tmp_path_factory.mktemp("mislabeled") / "guessed"
    shutil.copytree(recording, folder)
    for path in (folder / "label-filt").iterdir():
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.full_like(ids, 2))
    (folder / "pseudolabels.json").write_text('{"model": "a guesser"}')
    return folder


def test_truth_scores_the_test_frames_and_teaches_nothing(
    checkpoint: Path, recording: Path, mislabeled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records, words = {}, {}
    for name, sequence, more in (
        ("own", recording, []),
        ("guessed", mislabeled, []),
        ("both", mislabeled, ["--truth", str(recording)]),
    ):
        (tmp_path / name).mkdir()
        steps = ["--steps", "40", "--hold-out", "1", "--score-every", "0"]
        finetune(
            checkpoint, sequence, tmp_path / name, *steps, "--output", str(tmp_path / name / "o.safetensors"), *more
        )
        records[name] = json.loads((tmp_path / name / "out.json").read_text())
        words[name] = capsys.readouterr().out
    own, guessed, both = records["own"], records["guessed"], records["both"]
    # Scored as ground truth is: a row of counts for each class that is there.
    truth = Sequence.open(recording, SPACE)
    tested = [int(name.rpartition("/")[2]) for name in both["scenes"][0]["frames"]["test"]]
    counted = sum(np.bincount(truth[number].labels.flatten(), minlength=3) for number in tested)
    assert np.sum(both["after"]["confusion"]["pixels"], 1).tolist() == counted.tolist() and (counted > 0).all()
    assert both["before"]["confusion"] == own["before"]["confusion"] != guessed["before"]["confusion"]
    # Taught as the guesses do: the same losses, the same held-out scores, the same weights.
    for theirs, alone in zip(both["curve"], guessed["curve"], strict=True):
        assert theirs["losses"] == alone["losses"] and theirs["held_out"] == alone["held_out"]
    tuned = {name: load_checkpoint(tmp_path / name / "o.safetensors") for name in records}
    alike = tuned["guessed"].model.state_dict()
    assert all(torch.equal(alike[name], value) for name, value in tuned["both"].model.state_dict().items())
    # It has learned to say the second class: mostly right by the guesses, and as often wrong by the truth.
    said = np.array(both["after"]["confusion"]["pixels"])
    assert (
        guessed["after"]["total_accuracy"] == pytest.approx(said[:, 1].sum() / counted.sum())
        and said[:, 1].sum() > 0.7 * counted.sum()
    )
    assert (
        both["after"]["total_accuracy"] == pytest.approx(np.trace(said) / counted.sum())
        and np.trace(said) < 0.6 * counted.sum()
    )
    expected = {
        "teach": {"path": str(mislabeled), "made_by": "a guesser"},
        "score": {"path": str(recording), "made_by": None},
    }
    assert both["labels"] == tuned["both"].lineage["labels"] == expected
    assert guessed["labels"]["score"]["made_by"] == "a guesser"
    assert "scores are on labels that a guesser made; --truth scores on ground truth" in words["guessed"]
    assert "scores are on labels" not in words["both"] + words["own"]


def test_truth_scores_the_frames_elsewhere_too(
    checkpoint: Path, recording: Path, mislabeled: Path, tmp_path: Path
) -> None:
    options = ["--split", "3", "2", "2", "--truth", str(recording), "--steps", "1", "--score-every", "0"]
    finetune(checkpoint, mislabeled, tmp_path, *options)
    (scene,) = json.loads((tmp_path / "out.json").read_text())["scenes"]
    truth = Sequence.open(recording, SPACE)
    away = [int(name.rpartition("/")[2]) for name in scene["frames"]["elsewhere"]]
    counted = sum(np.bincount(truth[number].labels.flatten(), minlength=3) for number in away)
    assert len(away) == 2 and np.count_nonzero(counted) > 1
    for when in ("before_elsewhere", "after_elsewhere"):
        assert np.sum(scene[when]["confusion"]["pixels"], 1).tolist() == counted.tolist()


def _without_labels(folder: Path) -> None:
    shutil.rmtree(folder / "label-filt")


def _shorter(folder: Path) -> None:
    for path in (folder / "color").glob("[5-9].jpg"):
        path.unlink()


def _elsewhere(folder: Path) -> None:
    for path in (folder / "pose").iterdir():
        pose = np.loadtxt(path)
        pose[0, 3] += 0.5
        np.savetxt(path, pose)


def _strange_ids(folder: Path) -> None:
    for path in (folder / "label-filt").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) + 20)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(
            _without_labels,
            "has no labels; expected label-filt/N.png for every test frame. Give another --truth",
            marks=pytest.mark.fault(
                "the recording to score fine-tuning on has no labels",
                code="none",
                says="sray finetune --truth",
                recovery="give the labeled one",
            ),
        ),
        pytest.param(
            _shorter,
            "has no usable frame 7 (its frames: 0, 1, 2, 3, 4); expected the frames that guessed is scored on, by the "
            "same numbers (2, 7)",
            marks=pytest.mark.fault(
                "the recording to score fine-tuning on lacks frames",
                code="none",
                says="sray finetune --truth",
                recovery="give a copy of the same recording",
            ),
        ),
        pytest.param(
            _elsewhere,
            "has frame 2 at another pose than guessed (they differ by 0.50); expected a copy of the same recording",
            marks=pytest.mark.fault(
                "the recording to score fine-tuning on is another one",
                code="none",
                says="sray finetune --truth",
                recovery="give a copy of the same recording",
            ),
        ),
        pytest.param(
            _strange_ids,
            "labels none of the test frames (2, 7) with a class of the checkpoint's label space stripes (NYU40 ids "
            "1, 2, 3); expected some. Say what its ids are with --truth-label-ids",
            marks=pytest.mark.fault(
                "the recording to score fine-tuning on has labels of another label space",
                code="none",
                says="sray finetune --truth",
                recovery="--truth-label-ids, or a checkpoint of their label space",
            ),
        ),
    ],
)
def test_a_truth_that_does_not_fit_is_refused_before_a_step(
    checkpoint: Path, recording: Path, mislabeled: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    shutil.copytree(recording, tmp_path / "truth")
    spoil(tmp_path / "truth")
    with pytest.raises(SystemExit) as stop:
        finetune(checkpoint, mislabeled, tmp_path, "--truth", str(tmp_path / "truth"))
    assert f"{tmp_path / 'truth'} {said}" in str(stop.value.code)
    assert not (tmp_path / "out.json").exists()


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
        (["--seeds", "9000", "--sequence", "x"], "--seeds and --sequence are given; expected one of them"),
        (["--seeds", "9000:9002", "--output", "o.safetensors"], "--output takes the model of one scene"),
        (["--seeds", "9000", "--split", "8", "0", "4"], "at least 1 frame of each kind"),
        (["--seeds", "9000", "--steps", "0"], "steps is 0"),
        (["--seeds", "9000", "--truth", "x"], "--truth is the ground truth of a --sequence"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["finetune", *arguments])
    assert stop.value.code == 2
    assert named in capsys.readouterr().err


def test_keep_own_reaches_the_plan() -> None:
    assert Finetune(seeds=("9000",), keep_own=True).plan().keep_own and not Finetune(seeds=("9000",)).plan().keep_own
