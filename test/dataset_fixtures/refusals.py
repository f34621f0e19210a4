"""What the tests on damaged datasets share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from sray.errors import FileError, SrayError


def refused(act: Callable[[], object], *said: str) -> None:
    with pytest.raises(SrayError) as caught:
        act()
    assert isinstance(caught.value, FileError)
    for text in said:
        assert text in str(caught.value)


def read_all(recording) -> None:
    for position in range(len(recording)):
        recording[position]


def resized_picture(path: Path) -> None:
    """The same picture, a third larger."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), cv2.resize(picture, None, fx=4 / 3, fy=4 / 3, interpolation=cv2.INTER_NEAREST))
