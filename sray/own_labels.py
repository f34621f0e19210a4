"""What a model itself says of frames that it is to learn from: so that what their labels do not show is not forgotten.

A network that is taught "wall" wherever there is a label, and nothing elsewhere, says "wall" everywhere. Labels of a 2D
segmenter are like that: it is sure of walls and floors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import UInt8
from torch import Tensor

from sray.camera import Camera
from sray.field import SemanticField
from sray.frame_renderer import FrameRenderer
from sray.frames import Frame
from sray.label_space import VOID
from sray.sampling import Bounds
from sray.view_selection import select_views

VIEWS = 8
"""Source views of a frame that the model labels itself."""


def own_labels(
    field: SemanticField,
    frames: Sequence[Frame],
    which: Sequence[int],
    bounds: Bounds,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> dict[int, UInt8[Tensor, "height width"]]:
    """Labels of the frames at the positions `which`, each rendered from its nearest others. RGB alone.

    `bounds`: near and far, meters.
    """
    cameras = Camera.stack([frame.camera for frame in frames])
    renderer = FrameRenderer(field, frames, bounds)
    found = {}
    for index in which:
        own = torch.arange(len(frames)) == index
        sources = select_views(frames[index].camera, cameras, VIEWS, own, bounds=bounds)
        found[index] = renderer.render(frames[index].camera, sources).labels
        on_progress(len(found) / len(which))
    return found


def filled(frame: Frame, own: UInt8[Tensor, "height width"]) -> Frame:
    """The frame with own labels where it has none."""
    return replace(frame, labels=own if frame.labels is None else torch.where(frame.labels == VOID, own, frame.labels))
