"""Pictures of a report: errors as colors; pictures written as files or into a page. RGB uint8 arrays."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.errors import FileError
from sray.label_space import VOID

Picture = NDArray[np.uint8]
PAPER = (255, 255, 255)
RIGHT, WRONG, UNANSWERED, UNSCORED = (226, 236, 228), (208, 58, 48), (242, 186, 96), (255, 255, 255)
"""Colors of the error picture: labeled rightly, wrongly, left void; no ground truth."""


def error(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Picture:
    """Where the labels are right, wrong, void, or not to be judged."""
    picture = np.empty((*labels.shape, 3), np.uint8)
    picture[:] = WRONG
    picture[labels == truth] = RIGHT
    picture[labels == VOID] = UNANSWERED
    picture[truth == VOID] = UNSCORED
    return picture


def write_picture(path: Path, picture: Picture) -> None:
    """As PNG. Raises FileError if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise FileError(f"{path} cannot be written", "a writable folder with free space")


def data_uri(picture: Picture, *, jpeg: int | None = None) -> str:
    """The picture as a data: URI, which a page holds itself: PNG, or JPEG of a quality of 1 to 100."""
    kind, options = ("png", []) if jpeg is None else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, jpeg])
    done, encoded = cv2.imencode(f".{kind}", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    assert done, f"OpenCV cannot encode a picture of shape {picture.shape} as {kind}"
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"
