"""Pictures of a report: errors, depth and confidence as colors; written as files or into a page. RGB uint8 arrays."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
from matplotlib import colormaps
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


def depth_colors(depth: NDArray[np.float32], near: float, far: float) -> Picture:
    """Near is bright, far is dark; void is paper."""
    known = np.isfinite(depth)
    scaled = np.clip((np.where(known, depth, near) - near) / max(far - near, 1e-6), 0, 1)
    return _painted(1 - scaled, "viridis", known)


def depth_range(depth: NDArray[np.float32]) -> tuple[float, float]:
    """Near and far for `depth_colors`: percentiles 2 and 98 of what is known, meters; 0 and 1 where nothing is."""
    known = depth[np.isfinite(depth)]
    if not known.size:
        return 0.0, 1.0
    near, far = np.percentile(known, (2, 98))
    return float(near), float(far)


def confidence_colors(confidence: NDArray[np.float32], labels: NDArray[np.uint8]) -> Picture:
    """0 dark to 1 bright; void is paper."""
    return _painted(np.clip(np.nan_to_num(confidence), 0, 1), "magma", labels != VOID)


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


def _painted(values: NDArray[np.floating], palette: str, known: NDArray[np.bool_]) -> Picture:
    colors: Picture = (colormaps[palette](values)[..., :3] * 255).round().astype(np.uint8)
    colors[~known] = PAPER
    return colors
