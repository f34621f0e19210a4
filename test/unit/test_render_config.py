"""How much work a rendering is: the presets, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from sray.field import RenderConfig


def test_presets() -> None:
    reference = RenderConfig.preset("reference")
    assert (reference.coarse_samples, reference.fine_samples, reference.measured_samples) == (64, 64, 64), "the paper's"
    assert (reference.coarse_stride, reference.label_stride) == (1, 1)
    work = []
    for name in ("fast", "balanced", "high", "reference"):
        level = RenderConfig.preset(name)
        looking, shading = level.coarse_samples / level.coarse_stride**2, level.fine_samples / level.label_stride**2
        work.append(looking + shading)
    assert work == sorted(set(work)), "samples a pixel: each does more than the one before it"
    with pytest.raises(ValueError, match="expected one of reference, high, balanced, fast"):
        RenderConfig.preset("best")


@pytest.mark.parametrize(
    "wrong",
    [
        {"coarse_samples": 1},
        {"fine_samples": 0},
        {"measured_samples": 1},
        {"coarse_stride": 0},
        {"label_stride": 3},
        {"tile": 0},
    ],
)
def test_impossible_work_is_refused_by_name(wrong: dict[str, Any]) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        RenderConfig(**wrong)
