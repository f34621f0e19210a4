"""PacedRenderer: renders each view at the quality and size that `render.max_latency` allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.field import RenderedView, SemanticField
from sray.frames import Frame
from sray.mapping.mapper import Mapper, Rendering
from sray.ray_engine import describe_engine
from sray.render_config import RenderConfig
from sray_ros.common.refusals import too_late
from sray_ros.mapper.health import MapperHealth
from sray_ros.mapper.pacing import COST, Effort, Pace
from sray_ros.mapper.parameters import QUALITIES, MapperParameters

PREVIEW_SCALE = 0.25
QUICKEST = min(COST, key=lambda quality: COST[quality])


class PacedRenderer:
    """Belongs to the worker."""

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device, parameters: MapperParameters, health: MapperHealth
    ) -> None:
        self._model = checkpoint.model.to(device)
        self._parameters = parameters
        self._health = health
        self._pace = Pace()
        self._configs: dict[str, RenderConfig] = {}
        self.configure()

    def configure(self) -> None:
        """Take the present parameters."""
        settings = self._parameters.now
        configs = {quality: settings.render_config(quality) for quality in QUALITIES}
        if configs == self._configs:
            return  # another parameter changed: with torch.compile new fields would be compiled anew
        self._configs = configs
        self._fields = {quality: SemanticField(self._model, config) for quality, config in configs.items()}

    @property
    def field(self) -> SemanticField:
        """As `render.quality` asks for."""
        return self._fields[self._parameters.now.render.quality]

    @property
    def engine(self) -> str:
        """What renders, in words. Compiles the kernel where it is to serve and is not there yet."""
        return describe_engine(self._model, self._parameters.now.render_config())

    def render(
        self, mapper: Mapper, camera: Camera, since: float, *, scale: float = 1.0, **how: Any
    ) -> tuple[Rendering, Effort]:
        """Render as well as the time since `since` (steady seconds) allows; `how` as `Mapper.render` takes it.

        Raises StaleError if the time that `render.max_latency` gives is over already.
        """
        effort = self._effort(camera, since, scale)
        started = time.monotonic()
        rendering = self._at(effort, mapper, camera, scale, how)
        seconds = time.monotonic() - started
        self._pace.learn(effort, _pixels(camera, scale), seconds)
        self._health.rendered(seconds, effort)
        return rendering, effort

    def preview(self, mapper: Mapper, camera: Camera, since: float, *, scale: float = 1.0, **how: Any) -> Rendering:
        """The same view, small; does not count as a render."""
        return self._at(self._effort(camera, since, scale), mapper, camera, scale * PREVIEW_SCALE, how)

    def rehearse(self, mapper: Mapper, frame: Frame, canceled: Callable[[], bool]) -> RenderedView:
        """The frame's view without its own keyframe, quickly; does not count as a render."""
        field = self._fields[QUICKEST]
        return mapper.render(frame.camera, stamp_ns=frame.stamp_ns, field=field, canceled=canceled).view

    def _at(self, effort: Effort, mapper: Mapper, camera: Camera, scale: float, how: dict[str, Any]) -> Rendering:
        self._health.busy_since = time.monotonic()
        try:
            return mapper.render(camera, scale=scale * effort.scale, field=self._fields[effort.quality], **how)
        finally:
            self._health.busy_since = None

    def _effort(self, camera: Camera, since: float, scale: float) -> Effort:
        bound, waited = self._parameters.now.render.max_latency, time.monotonic() - since
        if 0 < bound < waited:
            raise too_late(waited, bound)
        left = bound - waited if bound > 0 else None
        return self._pace.choose(self._parameters.now.render.quality, _pixels(camera, scale), left)


def _pixels(camera: Camera, scale: float) -> int:
    return max(1, round(camera.width * camera.height * scale**2))
