"""Frames kept from learning, and how well a model renders them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sray.camera import Camera
from sray.field import RenderedView, SemanticField
from sray.frame_renderer import FrameRenderer
from sray.frames import Frame
from sray.metrics import ConfusionMatrix, psnr
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray.sampling import Bounds
from sray.view_selection import select_views

MOST_PIXELS = 160 * 120
"""Larger frames are scored at this many pixels: a look must cost a second or two, whatever the camera."""


@dataclass(frozen=True)
class Score:
    """Of all held-out frames together."""

    strict_miou: float
    """0..1; NaN if none of them is labeled."""
    psnr: float
    """dB, mean over the frames."""

    def worth(self, *, by_labels: bool) -> float:
        """What models are chosen by; higher is better.

        Strict mIoU where labels teach and any frame is labeled, else PSNR.
        """
        return self.strict_miou if by_labels and not math.isnan(self.strict_miou) else self.psnr

    def record(self) -> dict[str, float | None]:
        """As JSON holds it, which knows no NaN: what is unknown is null."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}

    @staticmethod
    def from_record(record: dict[str, float | None] | None) -> Score:
        """What `record` gave; all of it unknown if there is none."""
        known = {name: value for name, value in (record or {}).items() if value is not None}
        return Score(**{"strict_miou": math.nan, "psnr": math.nan, **known})

    @staticmethod
    def of(views: Iterable[tuple[RenderedView, Frame]], classes: int) -> Score:
        """Of rendered views, each with the frame that was taken there, of the same size."""
        matrix = ConfusionMatrix(classes)
        decibels = []
        for view, frame in views:
            decibels.append(psnr(view.color, frame.image.float() / 255))
            if frame.labels is not None:
                matrix.update(view.labels, frame.labels)
        return Score(matrix.strict().miou, sum(decibels) / len(decibels) if decibels else math.nan)


class HeldOut:
    """Renders held-out frames from source frames, as the node would, from color alone (RGB)."""

    def __init__(self, frames: Sequence[Frame], sources: Sequence[Frame], views: int, bounds: Bounds) -> None:
        """Each frame is rendered from its `views` nearest sources; `bounds`: near and far, meters."""
        self._frames = [small(frame) for frame in frames]
        self._sources = list(sources)
        cameras = Camera.stack([frame.camera for frame in sources])
        self._nearest = [sorted(select_views(frame.camera, cameras, views, bounds=bounds)) for frame in frames]
        self._bounds = bounds

    def score(self, model: RayModel) -> Score:
        """Puts the model into eval mode."""
        field = SemanticField(model, RenderConfig.preset("balanced"))
        renderer = FrameRenderer(field, self._sources, self._bounds)
        views = (
            (renderer.render(frame.camera, nearest), frame)
            for frame, nearest in zip(self._frames, self._nearest, strict=True)
        )
        return Score.of(views, model.config.classes)


def small(frame: Frame) -> Frame:
    """At the size that is scored."""
    camera = frame.camera
    scale = math.sqrt(MOST_PIXELS / (camera.width * camera.height))
    if scale >= 1:
        return frame
    return frame.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
