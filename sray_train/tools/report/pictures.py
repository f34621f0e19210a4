"""Pictures of a report, RGB uint8: renderings beside the truth, errors as colors; written as files or into a page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.errors import FileError
from sray.field import RenderedView
from sray.frames import Frame
from sray.label_space import VOID, LabelSpace
from sray.viewing.pictures import paint, painted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def compared(
    space: LabelSpace, truth: Frame, view: RenderedView, ends: tuple[float, float]
) -> list[tuple[str, Picture, bool]]:
    """A rendering beside what it should have been: captions, pictures, and whether pixels must stay pixels.

    `ends`: depths, meters, at the two ends of the colors.
    """
    shown: list[tuple[str, Picture, bool]] = [("color, recorded", truth.image.numpy(), False)]
    if not view.color.isnan().any():
        shown.append(("color, rendered", paint(view, "color", space)[0], False))
    labels = view.labels.numpy()
    if truth.labels is not None:
        shown.append(("labels, true", space.colorize(truth.labels.numpy()), True))
    shown.append(("labels, rendered", space.colorize(labels), True))
    if truth.labels is not None:
        shown.append(("error", error(labels, truth.labels.numpy()), True))
    for name, depth in (("true", truth.depth), ("rendered", view.depth)):
        if depth is not None:
            caption = f"depth, {name}, {ends[0]:.1f} m (bright) to {ends[1]:.1f} m"
            shown.append((caption, painted(depth.numpy(), "depth", ends), False))
    return shown


def drawn(figure: Figure) -> Picture:
    """A figure as pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here: most commands draw nothing

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture: Picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
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
