"""Agreement of depths between views: what is confirmed is averaged, what others look through loses its confidence."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import PlaneScene

from sray.camera import Camera
from sray.stereo import StereoDepth
from sray.stereo.agreement import AGREEING, agreed

SCENE = PlaneScene(width=64, height=48)


def says(depth: float, confidence: float = 0.8) -> StereoDepth:
    return StereoDepth(torch.full((24, 32), depth), torch.full((24, 32), confidence))


def at(*places: float) -> Camera:
    """Cameras side by side, looking the same way."""
    return Camera.stack([SCENE.frame((x, 0.0, 0.0)).camera for x in places])


def test_depths_that_agree_are_averaged_by_their_confidence() -> None:
    """Parallel cameras: a point has one depth in all of them, so the mean is that of the logarithms."""
    low, high = says(2.0, 0.8), says(2.1, 0.4)
    found = agreed(low, at(0.0)[0], [high], at(0.05))
    middle = found.depth[12, 16]
    logs = 0.8 * math.log(2.0) + 0.4 * math.log(2.1)
    expected = math.exp(logs / 1.2)
    assert middle == pytest.approx(expected, rel=1e-5)
    assert 0 < found.confidence[12, 16] < 0.8


def test_a_point_that_another_view_looks_through_is_doubted_and_not_moved() -> None:
    near, far = says(1.0), says(1.0 * (1 + 3 * AGREEING))
    found = agreed(near, at(0.0)[0], [far], at(0.05))
    assert (found.depth == 1.0).all() and found.confidence[12, 16] == 0.0


def test_a_point_hidden_from_another_view_is_not_contradicted_by_it() -> None:
    """One view confirms, one has something in front: it says nothing about what is behind."""
    witnesses = [says(2.0), says(1.0)]
    found = agreed(says(2.0), at(0.0)[0], witnesses, at(0.05, 0.05))
    alone = agreed(says(2.0), at(0.0)[0], witnesses[:1], at(0.05))
    assert torch.equal(found.confidence, alone.confidence)


def test_what_no_other_view_has_in_its_image_is_not_confirmed() -> None:
    found = agreed(says(2.0), at(0.0)[0], [says(2.0)], at(100.0))
    assert (found.confidence == 0).all() and (found.depth == 2.0).all()


def test_a_view_without_others_keeps_its_depth() -> None:
    own = says(2.0)
    assert agreed(own, at(0.0)[0], [], at(0.0)) is own


def test_votes_without_confidence_say_nothing() -> None:
    found = agreed(says(2.0), at(0.0)[0], [says(1.9, 0.0)], at(0.05))
    assert (found.depth == 2.0).all() and (found.confidence == 0).all()
