"""Scores by hand, and against their twin."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import scores as twin
from reference import ssim as ssim_twin

from sray.metrics import ConfusionMatrix, mean, psnr
from sray_train.score import image_quality
from sray_train.score.image_quality import find_lpips, ssim

VOID = 255


def scored(predicted: list[int], truth: list[int], classes: int) -> ConfusionMatrix:
    matrix = ConfusionMatrix(classes)
    matrix.update(np.array(predicted, np.uint8), np.array(truth, np.uint8))
    return matrix


def test_strict_scores_by_hand() -> None:
    """Class 0: 2 of 4 (one void, one taken for 1). Class 1: 2 right, one wrongly claimed. Class 2 is absent."""
    scores = scored([0, 0, VOID, 1, 1, 1, 2], [0, 0, 0, 0, 1, 1, VOID], 3).strict()
    assert scores.per_class_iou[:2] == [2 / 4, 2 / 3]
    assert math.isnan(scores.per_class_iou[2])
    assert scores.miou == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores.total_accuracy == pytest.approx(4 / 6)
    assert scores.average_accuracy == pytest.approx((2 / 4 + 1) / 2)


def test_released_code_drops_pixels_predicted_void() -> None:
    assert scored([0, 0, VOID, 1], [0, 0, 0, 0], 2).released_code().miou == pytest.approx(2 / 3)  # of 3 answered


def test_a_class_predicted_but_absent_is_an_error_of_the_class_it_hides_only() -> None:
    scores = scored([2, 0], [0, 0], 3).strict()
    assert scores.miou == pytest.approx(1 / 2)


def test_answering_void_everywhere_scores_zero_strictly_and_nothing_in_released_code() -> None:
    matrix = scored([VOID, VOID], [0, 1], 2)
    assert matrix.strict().miou == 0
    assert matrix.strict().total_accuracy == 0
    assert math.isnan(matrix.released_code().miou)


def test_without_truth_there_is_no_score() -> None:
    scores = scored([0, 1], [VOID, VOID], 2).strict()
    assert all(math.isnan(x) for x in (scores.miou, scores.total_accuracy, scores.average_accuracy))
    assert math.isnan(mean([])) and mean([math.nan, 1.0, 2.0]) == 1.5


def test_the_commonest_class_is_the_floor() -> None:
    """0 everywhere: right for 3 of 4 pixels, IoU 3/4 and 0."""
    matrix = scored([1, 1, 1, 1], [0, 0, 0, 1], 2)
    assert matrix.commonest_class().miou == pytest.approx(3 / 8)
    assert matrix.commonest_class().total_accuracy == pytest.approx(3 / 4)


labels = st.sampled_from([0, 1, 2, 3, VOID])
images = st.lists(st.lists(st.tuples(labels, labels), min_size=1, max_size=30), min_size=1, max_size=4)


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b, abs=1e-12)


@given(images)
def test_scores_are_their_twin(images: list[list[tuple[int, int]]]) -> None:
    matrix, released = ConfusionMatrix(4), []
    for image in images:
        predicted, truth = (np.array(column, np.uint8) for column in zip(*image, strict=True))
        matrix.update(predicted, torch.from_numpy(truth))
        released.append(scored(predicted.tolist(), truth.tolist(), 4).released_code().miou)
    strict = matrix.strict()
    assert same(strict.miou, twin.strict_miou(images, 4))
    assert same(mean(released), twin.released_miou(images, 4))
    if any(true != VOID for image in images for _, true in image):
        total, average = twin.accuracies(images, 4)
        assert same(strict.total_accuracy, total)
        assert same(strict.average_accuracy, average)


def test_a_strange_label_is_refused_and_nothing_is_counted() -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match="prediction holds 3"):
        matrix.update(np.array([0, 3], np.uint8), np.array([0, 0], np.uint8))
    with pytest.raises(ValueError, match="truth holds 9"):
        matrix.update(np.array([0, 0], np.uint8), np.array([0, 9], np.uint8))
    with pytest.raises(ValueError, match="shape"):
        matrix.update(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))
    assert matrix.counts.sum() == 0


def test_psnr_by_hand() -> None:
    """An error of 0.1 everywhere is a mean square of 0.01: 20 dB."""
    truth = torch.full((4, 5, 3), 0.5)
    assert psnr(truth + 0.1, truth) == pytest.approx(20, abs=1e-4)
    assert psnr(truth, truth) == math.inf
    off = truth.clone()
    off[0] = 1
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[0] = False
    assert psnr(off, truth, mask) == math.inf
    assert psnr(off, truth, ~mask) == pytest.approx(-20 * math.log10(0.5))
    assert math.isnan(psnr(off, truth, torch.zeros(4, 5, dtype=torch.bool)))


FLOAT32 = 2e-4
"""SSIM's variances are differences of squares up to 1, off by 1e-7, against a constant of 9e-4."""


def test_ssim_is_its_twin() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(13, 16, 3, generator=generator)
    for noise in (0.02, 0.3):
        image = (truth + noise * torch.randn(13, 16, 3, generator=generator)).clamp(0, 1)
        assert ssim(image, truth) == pytest.approx(ssim_twin.ssim(image.tolist(), truth.tolist()), abs=FLOAT32)


def test_ssim_by_hand() -> None:
    """Flat pictures differ in luminance alone: (2 a b + c1) / (a^2 + b^2 + c1) of 0.2 and 0.6, c1 = 0.0001."""
    flat = torch.full((11, 12, 3), 0.2, dtype=torch.float64)
    assert ssim(flat, flat) == pytest.approx(1, abs=FLOAT32)
    assert ssim(flat, flat + 0.4) == pytest.approx(0.2401 / 0.4001, abs=FLOAT32)
    assert math.isnan(ssim(flat[:10], flat[:10])), "no window fits"


def test_ssim_is_of_windows_within_the_picture() -> None:
    """One window fits into 11x11: a wrong border pixel counts by its small weight, not once more for its mirror."""
    truth = torch.full((11, 11, 3), 0.5, dtype=torch.float64)
    image = truth.clone()
    image[0] = 1
    assert ssim(image, truth) == pytest.approx(ssim_twin.ssim(image.tolist(), truth.tolist()), abs=FLOAT32)


def test_without_its_backbone_lpips_is_unknown_and_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert find_lpips(download=True) == (None, "torchvision, which holds its backbone, is not installed")
    monkeypatch.undo()

    weights = SimpleNamespace(DEFAULT=SimpleNamespace(url="somewhere/alexnet-1234.pth"))
    models = ModuleType("torchvision.models")
    models.AlexNet_Weights = weights  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: SimpleNamespace(name=name))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    built: list[str] = []
    monkeypatch.setattr(image_quality, "Lpips", lambda: built.append("fetched") or "distance")
    found, reason = find_lpips()
    assert found is None and "alexnet-1234.pth" in reason and "--lpips" in reason
    assert not built, "nothing may be fetched unasked"
    assert find_lpips(download=True) == ("distance", "")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-1234.pth").touch()
    assert find_lpips() == ("distance", "")


def test_counts_keep_their_meaning_among_another_number_of_classes() -> None:
    matrix = ConfusionMatrix(4)
    matrix.update(np.array([0, 1, 255], np.uint8), np.array([0, 0, 1], np.uint8))
    wider, narrower = matrix.resized(6), matrix.resized(2)
    for other in (wider, narrower):
        assert other.strict().miou == matrix.strict().miou
        assert other.released_code().miou == matrix.released_code().miou
    assert narrower.counts.tolist() == [[1, 1, 0], [0, 0, 1]]
    with pytest.raises(ValueError, match="2 pixels counted are of classes beyond 1"):
        matrix.resized(1)
