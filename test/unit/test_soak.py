"""What the soak says about memory, on samples whose growth is known."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
HOUR = np.arange(10, 3601, 10, dtype=np.float64)


@pytest.fixture
def memory_trend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("memory_trend")


def noisy(seconds: np.ndarray, slope: float, seed: int, alike: float = 0.0) -> np.ndarray:
    """400 MB and so many MB an hour, with noise of 1 MB whose neighbors correlate by `alike`."""
    noise = np.random.default_rng(seed).normal(0, 1, len(seconds))
    for index in range(1, len(noise)):
        noise[index] = alike * noise[index - 1] + np.sqrt(1 - alike**2) * noise[index]
    return 400 + slope * seconds / 3600 + noise


@pytest.mark.parametrize("alike", [0.0, 0.6])
@pytest.mark.parametrize("slope", [0.0, 12.0])
def test_the_interval_holds_the_true_growth_as_often_as_it_says(
    memory_trend: ModuleType, slope: float, alike: float
) -> None:
    held = 0
    for seed in range(200):
        fitted = memory_trend.trend([(HOUR, noisy(HOUR, slope, seed, alike))])
        held += fitted.low <= slope <= fitted.high
    assert 178 <= held <= 200, "95 of 100, less three standard deviations and what estimating the correlation costs"


def test_flat_grows_and_undecided(memory_trend: ModuleType) -> None:
    flat, leak = (memory_trend.trend([(HOUR, noisy(HOUR, slope, 1))]) for slope in (0.0, 60.0))
    assert flat.verdict(5.0) == "flat"
    assert leak.verdict(5.0) == "grows" and leak.slope == pytest.approx(60, abs=2)
    short = HOUR[HOUR < 600]
    assert memory_trend.trend([(short, noisy(short, 0.0, 1))]).verdict(5.0) == "undecided"


def test_what_is_filled_at_the_start_is_no_growth(memory_trend: ModuleType) -> None:
    filling = 400 - 200 * np.exp(-HOUR / 120)
    assert memory_trend.trend([(HOUR, filling + noisy(HOUR, 0, 2) - 400)]).verdict(5.0) == "flat"


def test_runs_of_different_levels_give_one_slope(memory_trend: ModuleType) -> None:
    runs = [(HOUR, 400 + 20 * HOUR / 3600), (HOUR[:180], 900 + 20 * HOUR[:180] / 3600)]
    fitted = memory_trend.trend(runs)
    assert (fitted.slope, fitted.low, fitted.high) == pytest.approx((20, 20, 20))


def test_too_short_a_run_is_no_verdict(memory_trend: ModuleType) -> None:
    with pytest.raises(ValueError, match="Run longer"):
        memory_trend.trend([(HOUR[:20], HOUR[:20])])


def test_a_mapper_that_stands_still_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy", reason="needs the ROS environment")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    soak = importlib.import_module("soak")
    renders = [5, 9, 9, 9, 9, 12, 12]
    run = [{"seconds": 10.0 * (index + 1), "renders": count} for index, count in enumerate(renders)]
    assert soak.longest_pause(run) == 30


def test_the_nodes_that_benchmarks_start_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for module in importlib.import_module("ros_rig").MODULES.values():
        assert importlib.util.find_spec(module) is not None, module
