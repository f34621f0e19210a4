"""How well a view is rendered when there is little time: against a machine whose speed is known."""

from __future__ import annotations

import pytest

from sray_ros.mapper.pacing import COST, SCALES, Effort, Pace

pytestmark = pytest.mark.shows("render.max_latency")
PIXELS = 320 * 240


class Machine:
    """Takes a fixed time a view, and a time a pixel that depends on the quality."""

    def __init__(self, fixed: float, balanced: float) -> None:
        self.fixed, self.balanced = fixed, balanced

    def seconds(self, effort: Effort) -> float:
        return self.fixed + self.balanced * COST[effort.quality] * effort.scale**2


def settle(pace: Pace, machine: Machine, seconds: float, views: int = 20) -> list[Effort]:
    efforts = []
    for _ in range(views):
        effort = pace.choose("high", PIXELS, seconds)
        pace.learn(effort, PIXELS, machine.seconds(effort))
        efforts.append(effort)
    return efforts


def test_without_a_limit_and_before_anything_is_known_it_is_as_asked() -> None:
    pace = Pace()
    assert pace.choose("high", PIXELS, 0.001) == Effort("high")
    pace.learn(Effort("high"), PIXELS, 100.0)
    assert pace.choose("high", PIXELS, None) == Effort("high")
    assert pace.choose("high", PIXELS, 200.0) == Effort("high")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (3.0, Effort("high")),
        (1.2, Effort("balanced", is_lowered=True)),
        (0.6, Effort("fast", is_lowered=True)),
        (0.28, Effort("fast", 0.71, is_lowered=True)),
        (0.14, Effort("fast", 0.5, is_lowered=True)),
        (0.001, Effort("fast", SCALES[-1], is_lowered=True)),
    ],
)
def test_quality_goes_first_then_size(seconds: float, expected: Effort) -> None:
    pace = Pace()
    pace.learn(Effort("high"), PIXELS, 2.4)  # so balanced takes 1.0 and fast 0.45
    assert pace.choose("high", PIXELS, seconds) == expected


@pytest.mark.parametrize("fixed", [0.0, 0.02])
@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.8, 1.5, 5.0])
def test_it_settles_within_the_limit_and_no_more_than_a_step_below_the_best(fixed: float, seconds: float) -> None:
    machine = Machine(fixed, 0.7)
    ladder = [Effort(name) for name in ("high", "balanced", "fast")] + [Effort("fast", scale) for scale in SCALES[1:]]
    times = [machine.seconds(effort) for effort in ladder]
    best = next(index for index, time in enumerate(times) if time <= seconds)
    for effort in settle(Pace(), machine, seconds)[10:]:
        place = next(i for i, e in enumerate(ladder) if (e.quality, e.scale) == (effort.quality, effort.scale))
        assert times[place] <= seconds
        assert place <= best + 1


def test_it_climbs_back_when_the_machine_is_free_again() -> None:
    pace = Pace()
    slow, free = Machine(0.0, 7.0), Machine(0.0, 0.07)
    assert settle(pace, slow, 0.5)[-1].scale < 1
    assert settle(pace, free, 0.5)[-1] == Effort("high")
