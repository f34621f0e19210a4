"""`sray evaluate --pictures`: 2D labels of single pictures, in the checkpoint's label space and in others."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene
from reference import scores as twin

from sray.checkpoint import save_checkpoint
from sray.errors import FileError, SrayError
from sray.field import SemanticField
from sray.frames import SourceViews
from sray.label_space import LABEL_SPACES, NYU40, ROOMS, SCANNET20, VOID
from sray.model import SemanticRay, SemanticRayConfig
from sray.render_config import RenderConfig
from sray.segmentation.between_spaces import likeliest, projection
from sray_train.cli import main
from sray_train.data.labeled_pictures import LabeledPictures
from sray_train.paper.baselines.picture_labels import NetworkLabels
from sray_train.score.pictures import evaluate_pictures

REAL = Path(os.environ.get("SRAY_REAL_PICTURES", Path(os.environ.get("SRAY_REAL_SEQUENCE", "/none")).parent / "nyuv2"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures of wall, floor and toilet in thirds, red, green and blue; the top rows are unlabeled."""
    generator = np.random.default_rng(0)
    for kind in ("color", "label40"):
        (tmp_path / "home" / kind).mkdir(parents=True)
    for number in range(1, 7):
        column = np.clip((np.arange(32) + number) * 3 // 32, 0, 2)
        image = np.zeros((24, 32, 3), np.uint8)
        image[:, np.arange(32), 2 - column] = generator.integers(150, 255)
        labels = np.broadcast_to(np.array([1, 2, 33], np.uint8)[column], (24, 32)).copy()
        labels[:4] = 0
        cv2.imwrite(str(tmp_path / "home" / "color" / f"{number:04}.jpg"), image)
        cv2.imwrite(str(tmp_path / "home" / "label40" / f"{number:04}.png"), labels)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(3)
    return SemanticRay(SemanticRayConfig(ROOMS.classes)).eval()


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(model: SemanticRay, tmp_path: Path) -> Run:
    checkpoint = tmp_path / "tiny.safetensors"
    save_checkpoint(checkpoint, model, ROOMS)

    def evaluated(*arguments: str) -> dict[str, Any]:
        path = tmp_path / "out.json"
        options = ["--checkpoint", str(checkpoint), "--threads", "1", "--json", str(path), "--overwrite"]
        main(["evaluate", *options, *arguments])
        record: dict[str, Any] = json.loads(path.read_text())
        return record

    return evaluated


def test_the_record_has_the_keys_of_sequences_and_null_for_what_pictures_have_not(run: Run, folder: Path) -> None:
    record = run("--pictures", str(folder), "--label-ids", "nyu40")
    assert record["pictures"] == 6 and record["label_space"] == "rooms" and record["void"] == 0
    assert 0 <= record["strict_miou"] <= 1 and 0 <= record["released_miou"] <= 1
    low, high = record["strict_miou_interval"]
    assert low <= record["strict_miou"] <= high and record["strict_miou_interval_over"] == "pictures"
    for name in ("psnr", "ssim", "lpips", "depth_abs_rel", "depth_within_1_25", "depth_median_error"):
        assert record[name] is None, name
    known = {name for name, iou in record["per_class"].items() if iou is not None}
    assert known == {"wall", "floor", "other"}, "a toilet is other in rooms"
    assert np.sum(record["confusion"]["pixels"]) == 6 * 20 * 32, "four rows of 24 are unlabeled"


def test_those_kept_out_are_scored_alone_and_all_of_them_only_with_a_warning(
    run: Run, folder: Path, tmp_path: Path, model: SemanticRay, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, ending in (("color", "jpg"), ("label40", "png")):
        for number in range(7, 14):
            shutil.copyfile(folder / kind / f"0001.{ending}", folder / kind / f"{number:04}.{ending}")
    pictures = ("--pictures", str(folder))
    run(*pictures)
    assert "warning" not in capsys.readouterr().out, "no picture taught this checkpoint"
    lineage = {"encoder": {"first": {"config": {"data": {"pictures": "nyuv2"}}}}, "rays": {"data": {"pictures": ""}}}
    save_checkpoint(tmp_path / "taught.safetensors", model, ROOMS, lineage)
    taught = ("--checkpoint", str(tmp_path / "taught.safetensors"))
    everything = run(*pictures, *taught)
    assert everything["pictures"] == 13 and everything["config"]["kept_out"] is False
    assert "this checkpoint learned from pictures (nyuv2)" in capsys.readouterr().out
    kept = run(*pictures, *taught, "--kept-out")
    assert kept["pictures"] == 2 and kept["config"]["kept_out"] is True
    assert kept["scored"] == f"every tenth of the pictures of {folder}"
    assert "warning" not in capsys.readouterr().out
    assert LabeledPictures.open(folder, ROOMS).kept_out().numbers == [1, 11]


def test_the_scores_are_those_of_the_networks_labels(model: SemanticRay, folder: Path) -> None:
    """Against the twin, from the labels that the network gives of each picture; in both label spaces."""
    for space in (ROOMS, SCANNET20):
        table = projection(ROOMS, space)
        pictures, network = LabeledPictures.open(folder, space), NetworkLabels(model)
        images = []
        for position in range(len(pictures)):
            frame = pictures[position]
            labels = likeliest(network(SourceViews.from_frames([frame]))[0] @ table)
            images.append(list(zip(labels.flatten().tolist(), frame.labels.flatten().tolist(), strict=True)))
        record = evaluate_pictures(pictures, NetworkLabels(model, table), space).record()
        assert record["strict_miou"] == pytest.approx(twin.strict_miou(images, space.classes))
        assert record["released_miou"] == pytest.approx(twin.released_miou(images, space.classes))


def test_another_label_space_scores_its_own_classes(run: Run, folder: Path) -> None:
    record = run("--pictures", str(folder), "--label-space", "scannet20")
    assert record["label_space"] == "scannet20" and record["checkpoint_label_space"] == "rooms"
    assert list(record["per_class"]) == list(SCANNET20.names)
    assert record["per_class"]["toilet"] == 0, "a class of its own there, which no class of rooms means"
    for name in LABEL_SPACES:
        assert run("--pictures", str(folder), "--label-space", name)["label_space"] == name


def test_pictures_are_resized_and_keep_their_aspect(run: Run, folder: Path) -> None:
    record = run("--pictures", str(folder), "--width", "64")
    assert np.sum(record["confusion"]["pixels"]) == 6 * 40 * 64 and record["size"] == [64, None]


def test_the_camera_is_the_one_that_was_said(folder: Path) -> None:
    camera = LabeledPictures.open(folder, ROOMS, fx_over_width=1.5)[0].camera
    assert camera.intrinsics[0, 0] == camera.intrinsics[1, 1] == 48
    assert camera.intrinsics[:2, 2].tolist() == [15.5, 11.5]


def test_layout_of_other_names_and_numbers_without_partner(folder: Path) -> None:
    (folder / "color").rename(folder / "color")
    (folder / "label40").rename(folder / "label")
    (folder / "label" / "0003.png").unlink()
    (folder / "color" / "0007.jpg").write_bytes((folder / "color" / "0001.jpg").read_bytes())
    assert LabeledPictures.open(folder, NYU40).numbers == [1, 2, 4, 5, 6]


def test_what_is_missing_is_named(folder: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(SrayError) as error:
            LabeledPictures.open(folder, ROOMS)
        assert isinstance(error.value, FileError) and words in str(error.value)

    for number, path in enumerate(sorted((folder / "label40").iterdir())):
        path.rename(folder / "label40" / f"{100 + number}.png")
    refused("of which none has labels in")
    (folder / "label40").rename(folder / "truth")
    refused("no label pictures (there is color, truth); expected a folder label40 or label or label-filt")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sequence", "x"], "--sequence and --pictures are given"),
        (["--report", "x.html"], "--report and --pictures are given; expected none"),
        (["--height", "48", "--targets", "2", "--apart", "0.5", "20"], "--height, --targets, --apart and --pictures"),
        (["--config", "x.yaml", "--frames", "4", "--bounds", "1", "4"], "--config, --frames, --bounds and --pictures"),
        (["--views", "3", "--quality", "fast", "--lpips"], "--views, --quality, --lpips and --pictures"),
        (["--no-match-exposure"], "--no-match-exposure and --pictures"),
        (["--fx-over-width", "0"], "fx_over_width is 0.0"),
        (["--label-space", "cityscapes"], "expected one of rooms"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    run: Run, folder: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run("--pictures", str(folder), *arguments)
    assert stop.value.code == 2 and words in capsys.readouterr().err


def test_kept_out_needs_pictures(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run("--kept-out")
    assert stop.value.code == 2 and "--kept-out is given without --pictures" in capsys.readouterr().err


def test_rendered_labels_are_of_the_other_label_space(model: SemanticRay) -> None:
    """Where a class of ScanNet20 wins in rooms too, it wins in ScanNet20; lamps and ceilings become something else."""
    frames = [PlaneScene(width=32, height=24).frame((0.1 * index, 0.0, 0.0)) for index in range(3)]
    sources, table = SourceViews.from_frames(frames[1:]), projection(ROOMS, SCANNET20)
    views = []
    for projected in (None, table):
        field = SemanticField(model, RenderConfig.preset("fast"), projected)
        field.set_sources(sources)
        views.append(field.render(frames[0].camera))
    own, other = views
    seen = own.labels != VOID
    assert seen.any() and (other.labels[seen] != VOID).all()
    assert (other.labels[seen] < SCANNET20.classes).all()
    assert (other.confidence[seen] <= 1).all()
    torch.testing.assert_close(own.depth_with_void, other.depth_with_void, rtol=0, atol=0, equal_nan=True)
    shared = torch.tensor([name in SCANNET20.names and name != "other" for name in ROOMS.names])
    kept = seen & shared[own.labels.int().clamp_max(ROOMS.classes - 1)]
    meaning = table.argmax(1)[own.labels.int().clamp_max(ROOMS.classes - 1)]
    assert torch.equal(other.labels[kept].int(), meaning[kept].int())


@pytest.mark.skipif(not REAL.is_dir(), reason="SRAY_REAL_PICTURES names no folder of labeled pictures")
def test_real_pictures_are_read() -> None:
    pictures = LabeledPictures.open(REAL, ROOMS, "nyu40")
    frame = pictures[0]
    assert frame.labels is not None and frame.labels.shape == frame.image.shape[:2]
    assert (frame.labels != VOID).float().mean() > 0.4, "every NYU40 class is a class of rooms"
