"""`sray pseudolabel` on a recorded folder: what it writes, what `sray finetune` makes of it, resuming, and refusals."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene
from segmenter_fixtures import save_model

from sray.checkpoint import save_checkpoint
from sray.label_space import ROOMS, SCANNET20, VOID
from sray.model import SemanticRay, SemanticRayConfig
from sray.segmentation import Segmenter, load_mapping, load_pretrained
from sray.sequence import Sequence
from sray_train.cli import main
from sray_train.learn.pseudolabels import labeling
from sray_train.learn.segmenter.pictures import RoomPictures
from sray_train.learn.segmenter.training import SegmenterTrainer, SegmenterTraining

FRAMES = 8
NAMES = ("wall", "floor", "cabinet", "sky")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labeled with the first three classes of the rooms: walls, floor, cabinets."""
    return PlaneScene().record(tmp_path_factory.mktemp("pseudolabel") / "wall", ROOMS, FRAMES)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("deeplab", tmp_path_factory.mktemp("model") / "deeplab", NAMES)


def pseudolabel(recording: Path, model: Path, output: Path, *more: str) -> None:
    main(
        ["pseudolabel", str(recording), "--model", str(model), "--mapping", "ade20k", "--output", str(output)]
        + ["--threads", "1", *more]
    )


def stopped(recording: Path, model: Path, output: Path, *more: str) -> str:
    with pytest.raises(SystemExit) as stop:
        pseudolabel(recording, model, output, *more)
    return str(stop.value.code)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_recording_is_labeled_scored_and_left_as_it_was(
    recording: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, output = content(recording), tmp_path / "labeled"
    pseudolabel(recording, model, output, "--threshold", "0.4")
    assert content(recording) == before
    expected = Segmenter(load_pretrained(model), load_mapping("ade20k", ROOMS), 0.4)
    made, own = Sequence.open(output, ROOMS), Sequence.open(recording, ROOMS)
    assert made.indices == own.indices
    union, hits, unsure, right, answered = np.zeros(3), np.zeros(3), 0, 0, 0
    for position in range(FRAMES):
        labels, truth = made[position].labels.numpy(), own[position].labels.numpy()
        assert (labels == expected.segment(own[position].image.numpy()).labels).all()
        assert torch.equal(made[position].image, own[position].image)
        assert torch.equal(made[position].camera.world_from_camera, own[position].camera.world_from_camera)
        unsure += int((labels == VOID).sum())
        right += int((labels == truth).sum())
        answered += int((labels != VOID).sum())
        for index in range(3):
            hits[index] += ((labels == index) & (truth == index)).sum()
            union[index] += ((labels == index) | (truth == index)).sum()
    assert 0 < unsure < FRAMES * 48 * 36
    record = json.loads((output / "pseudolabels.json").read_text())
    assert record["coverage"] == pytest.approx(1 - unsure / (FRAMES * 48 * 36))
    assert record["strict_miou"] == pytest.approx((hits / union).mean())
    assert record["accuracy_where_labelled"] == pytest.approx(right / answered)
    assert record["iou"]["cabinet"] == pytest.approx(hits[2] / union[2]) and record["iou"]["bed"] is None
    assert sum(record["share_by_class"].values()) == pytest.approx(1)
    assert (record["frames"], record["threshold"], record["mapping"]) == (FRAMES, 0.4, "ade20k.yaml")
    assert record["model_sha256"] == expected.pretrained.sha256 and record["meaning"]["armchair"] == "chair"
    out = " ".join(capsys.readouterr().out.split())
    for words in (
        f"8 pictures (8 new, {'0'}",
        f"{100 * record['coverage']:.1f} % of pixels at threshold 0.4",
        f"strict mIoU {record['strict_miou']:.3f}",
        f"sray finetune --sequence {output}",
    ):
        assert words in out


@pytest.mark.parametrize("more", [[], ["--copy"]], ids=["linked", "copied"])
def test_the_layout_of_scannets_25k_frames_can_be_read_again(
    recording: Path, model: Path, tmp_path: Path, more: list[str]
) -> None:
    flat, output = tmp_path / "scene0000_00", tmp_path / "labeled"
    shutil.copytree(recording, flat)
    (flat / "intrinsic" / "intrinsic_color.txt").rename(flat / "intrinsics_color.txt")
    shutil.rmtree(flat / "intrinsic")
    (flat / "label-filt").rename(flat / "label")
    pseudolabel(flat, model, output, "--threshold", "0", *more)
    made, own = Sequence.open(output, ROOMS), Sequence.open(flat, ROOMS)
    assert made.indices == own.indices and made.has_labels and (made.intrinsics == own.intrinsics).all()
    assert (output / "intrinsics_color.txt").is_symlink() == (not more)


def test_fine_tuning_learns_from_it(recording: Path, model: Path, tmp_path: Path) -> None:
    pseudolabel(recording, model, tmp_path / "labeled", "--threshold", "0")
    checkpoint = tmp_path / "model.safetensors"
    torch.manual_seed(0)
    save_checkpoint(checkpoint, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    main(
        ["finetune", "--checkpoint", str(checkpoint), "--sequence", str(tmp_path / "labeled"), "--steps", "2"]
        + ["--split", "3", "3", "2", "--width", "48", "--threads", "1", "--bounds", "1", "4", "--score-every", "0"]
        + ["--json", str(tmp_path / "tune.json")]
    )
    assert json.loads((tmp_path / "tune.json").read_text())["steps"] == 2


def test_an_interrupted_run_goes_on_to_the_same_labels(
    recording: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pseudolabel(recording, model, tmp_path / "whole")
    segment, labeled = Segmenter.segment, []

    def interrupted(self, image):
        if len(labeled) == 3:
            raise KeyboardInterrupt
        labeled.append(image)
        return segment(self, image)

    monkeypatch.setattr(Segmenter, "segment", interrupted)
    assert stopped(recording, model, tmp_path / "parts") == "130"
    assert len(list((tmp_path / "parts" / "label-filt").iterdir())) == 3
    (tmp_path / "parts" / "label-filt" / "1.png").write_bytes(b"half a picture")
    labeled.clear()
    monkeypatch.setattr(Segmenter, "segment", lambda self, image: labeled.append(image) or segment(self, image))
    capsys.readouterr()
    pseudolabel(recording, model, tmp_path / "parts")
    assert len(labeled) == FRAMES - 2 and "8 pictures (6 new" in capsys.readouterr().out
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_a_run_that_is_asked_to_stop_says_how_far_it_came(recording: Path, model: Path, tmp_path: Path) -> None:
    space = load_mapping("ade20k", ROOMS)
    segmenter, answers = Segmenter(load_pretrained(model), space), iter([False, False, True])
    sequence = Sequence.open(recording, ROOMS)
    folder = labeling.PseudoLabelFolder(tmp_path / "part", sequence)
    folder.prepare(segmenter)
    result = labeling.label_recording(segmenter, sequence, folder, lambda: next(answers))
    assert result.frames == 2 and not result.complete and not result.resumed


@pytest.mark.fault(
    "labels would be overwritten by pseudo-labels",
    code="none",
    says="sray pseudolabel",
    recovery="another --output",
)
def test_labels_are_never_overwritten(recording: Path, model: Path, tmp_path: Path) -> None:
    output, other = tmp_path / "labeled", shutil.copytree(recording, tmp_path / "other")
    pseudolabel(recording, model, output)
    before = content(output)
    for folder in (recording, other):
        own = content(folder)
        assert "is no folder of pseudo-labels" in stopped(recording, model, folder)
        assert content(folder) == own
    assert "made with another threshold (0.5, now 0.6)" in stopped(recording, model, output, "--threshold", "0.6")
    assert "made with another sequence" in stopped(other, model, output)
    message = stopped(recording, model, output, "--label-space", SCANNET20.name)
    assert "made with another meaning; expected" in message and "--output" in message
    again = save_model("deeplab", tmp_path / "model", NAMES, seed=1)
    assert f"made with another model ({model}, now {again})" in stopped(recording, again, output)
    (output / "pseudolabels.json").write_text("[]")
    assert "made with another sequence (unknown" in stopped(recording, model, output)
    (output / "pseudolabels.json").write_bytes(before["pseudolabels.json"])
    pseudolabel(recording, model, output)
    assert content(output) == before


def test_without_ground_truth_there_is_no_score(
    recording: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = shutil.copytree(recording, tmp_path / "bare", ignore=shutil.ignore_patterns("label-filt"))
    pseudolabel(bare, model, tmp_path / "labeled", "--copy")
    record = json.loads((tmp_path / "labeled" / "pseudolabels.json").read_text())
    assert record["strict_miou"] is None and record["coverage"] > 0
    assert "ground truth" not in capsys.readouterr().out
    shutil.rmtree(bare)
    assert len(Sequence.open(tmp_path / "labeled", ROOMS)) == FRAMES  # copied, not linked
    assert cv2.imread(str(tmp_path / "labeled" / "label-filt" / "0.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint8


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--threshold", "1.5"), "threshold is 1.5; expected a probability"),
        (("--label-space", "flats"), "label-space is flats; expected one of rooms"),
        (("--threads", "-1"), "threads is -1"),
    ],
)
def test_wrong_arguments(
    recording: Path, model: Path, tmp_path: Path, more: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped(recording, model, tmp_path / "out", *more) == "2"
    assert words in " ".join(capsys.readouterr().err.split())


def test_what_is_missing_is_named_before_anything_is_written(
    recording: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    assert "has no color/ folder" in stopped(tmp_path, model, output)
    assert "does not exist; expected one of ade20k" in stopped(recording, model, output, "--mapping", "cityscapes")
    assert "does not know" in stopped(recording, save_model("deeplab", tmp_path / "m", ("a", "b")), output)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install 'sray_ros[segmenter]'" in stopped(recording, model, output)
    assert not output.exists()


def test_training_a_small_segmenter_goes_on_along_the_same_curve(tmp_path: Path, recording: Path) -> None:
    pictures = RoomPictures((Sequence.open(recording, ROOMS),))
    config = SegmenterTraining(width=48, height=36, depth_multiplier=0.25, steps=4, batch=2)
    at_once = SegmenterTrainer(config, tmp_path / "once", pictures)
    assert at_once.run()
    first = SegmenterTrainer(config, tmp_path / "parts", pictures)
    assert not first.run(stopped=lambda: first.step == 1)
    second = SegmenterTrainer(config, tmp_path / "parts", pictures)
    assert second.step == 1 and second.run()
    for name, tensor in at_once.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    second.export(tmp_path / "model", {"steps_done": second.step})
    made = load_pretrained(tmp_path / "model")
    assert made.labels == ROOMS.names
    scores = second.validate(pictures, every=1)
    segmenter = Segmenter(made, load_mapping("rooms", ROOMS), 0.0)
    frames = [pictures[index] for index in range(FRAMES)]
    right = [(segmenter.segment(frame.image.numpy()).labels == frame.labels.numpy()).mean() for frame in frames]
    assert np.mean(right) == pytest.approx(scores.total_accuracy, abs=0.02)  # pictures of 36 rows are read as 36 rows


def test_a_small_segmenter_learns(tmp_path: Path, recording: Path) -> None:
    """Three colors, three classes."""
    pictures = RoomPictures((Sequence.open(recording, ROOMS),))
    config = SegmenterTraining(width=48, height=36, depth_multiplier=0.25, steps=40, batch=4, balance=0.0)
    trainer, losses = SegmenterTrainer(config, tmp_path, pictures), []
    trainer.run(on_step=lambda step, loss: losses.append(loss))
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_held_out_rooms_are_never_learned_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seed 9000 is held out"):
        RoomPictures.of([0, 9000], width=48, height=36, frames=2, cache=tmp_path)
