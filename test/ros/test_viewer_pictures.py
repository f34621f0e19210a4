"""Pictures of keyframes that the viewer keeps: of those that the mapper holds, and of those it has yet to tell of."""

from __future__ import annotations

import pytest
from sensor_msgs.msg import Image

from sray_ros.viewer.heard_pictures import MOST, HeardPictures

pytestmark = pytest.mark.ros


def test_pictures_of_keyframes_that_have_left_are_forgotten() -> None:
    pictures = HeardPictures()

    def hear(stamps_ns: list[int], held: set[int]) -> list[int]:
        for stamp_ns in stamps_ns:
            pictures.add(stamp_ns, Image(width=stamp_ns), held)
        return pictures.stamps_ns

    assert hear([1, 2, 3], set()) == [1, 2, 3], "nobody has told yet which are held"
    assert hear([4], {1, 3}) == [1, 3, 4], "of 4 nobody has told yet"
    assert hear([5], {1, 3}) == [1, 3, 4, 5]
    assert hear([1, 2], {3, 4, 5}) == [3, 4, 5, 1, 2], "a bag that starts again"
    assert hear([6], {2}) == [2, 6]
    assert pictures.get(2) == Image(width=2) and pictures.get(3) is None


def test_of_a_mapper_that_tells_nothing_the_last_ones_are_kept() -> None:
    pictures = HeardPictures()
    for stamp_ns in range(MOST + 5):
        pictures.add(stamp_ns, Image(), set())
    assert pictures.stamps_ns == list(range(5, MOST + 5))
