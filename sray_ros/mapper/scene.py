"""Scene: the model, its keyframes and their map; what services and fine-tuning do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sray.checkpoint import Checkpoint
from sray.errors import FileError, ModelError, NoViewsError, TooFewViewsError
from sray.field import RenderedView
from sray.frames import Frame
from sray.mapping.cloud import LabeledCloud
from sray.mapping.mapper import Mapper
from sray.mapping.session import Session
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.frames import Frames
from sray_ros.mapper.outputs import Publications
from sray_ros.mapper.rendering import PacedRenderer


@dataclass(frozen=True)
class ModelChoice:
    """The checkpoint that the node was configured with."""

    checkpoint: Checkpoint
    path: Path
    device: torch.device


class Scene:
    """Of one configured node; belongs to the worker."""

    def __init__(self, context: MapperContext, model: ModelChoice, publications: Publications) -> None:
        settings = context.settings
        self.checkpoint = model.checkpoint
        """Of the present model."""
        self.configured_model = model.path
        self.model_file = ""
        """The name that ~/load_model has for the present model; empty: it is the configured one."""
        self.device = model.device
        self.map_frame = settings.map_frame
        self.renderer = PacedRenderer(model.checkpoint, model.device, context.parameters, context.health)
        self.engine = self.renderer.engine
        """What renders, in words. Asked for here, because this may compile it: now, not at the first view."""
        self.mapper = Mapper(self.renderer.field, model.checkpoint.label_space.classes, settings.mapper_config())
        self.frames = Frames(context, self.mapper, model.checkpoint.label_space, publications)
        self._context = context
        self._publications = publications
        self._applied = settings
        self._render_config = settings.render_config()

    def clear(self) -> None:
        """Forget keyframes, labels and map."""
        self.mapper.clear()
        self.frames.restart()
        self._publications.keyframes(self.mapper)

    def session(self) -> Session:
        """A snapshot that another thread may save. Raises NoViewsError if there is nothing to save."""
        if not len(self.mapper.keyframes) and not len(self.mapper.map):
            raise NoViewsError("there are neither keyframes nor a map to save", remedy="Move the camera, then save")
        return Session.of(self.mapper, self.checkpoint.id, self.checkpoint.label_space, self.map_frame)

    def map_cloud(self) -> LabeledCloud:
        """The fused map. Raises NoViewsError if it is empty, so that no good file is replaced by nothing."""
        if not len(self.mapper.map):
            raise NoViewsError("the map is empty", remedy="Render some views first (trigger), then save")
        return self.mapper.map.to_cloud()

    def restore(self, session: Session) -> None:
        """Go on from a saved session.

        Raises FileError for one in another map frame, InactiveError, or what `Session.restore` raises; nothing has
        changed then.
        """
        if session.frame not in ("", self.map_frame):
            raise FileError(
                f"the session's poses are in frame {session.frame!r}, this node maps in {self.map_frame!r}",
                "the same",
                "Set map_frame to the session's and configure anew",
            )
        with self._context.worker.stoppable() as stopped:
            session.restore(self.mapper, self.checkpoint.label_space, stopped)
        self.frames.restart()
        self._publications.forget()
        self._publications.keyframes(self.mapper)

    def rehearse(self, frame: Frame, canceled: Callable[[], bool]) -> RenderedView | None:
        """The frame's view from the other keyframes, as the node renders it now; it is not published.

        None where too few keyframes see it. Raises otherwise as `Mapper.render`, and InactiveError.
        """
        try:
            with self._context.worker.stoppable(canceled) as stopped:
                return self.renderer.rehearse(self.mapper, frame, stopped)
        except TooFewViewsError:
            return None

    def change_model(
        self,
        checkpoint: Checkpoint,
        file: str,
        canceled: Callable[[], bool] = lambda: False,
        accept: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Render with another model, which ~/load_model knows as `file`; `accept` as in `Mapper.change_model`.

        Raises ModelError for another label space, NoMemoryError, InactiveError, CanceledError; the old model stays
        then.
        """
        old, old_renderer = self.checkpoint, self.renderer
        if checkpoint.label_space != old.label_space:
            raise ModelError(
                f"the model has label space {checkpoint.label_space.name} ({checkpoint.label_space.classes} classes), "
                f"keyframes and map have {old.label_space.name} ({old.label_space.classes})",
                "the same",
                "To change it set model.path, clean up and configure again",
            )
        renderer = PacedRenderer(checkpoint, self.device, self._context.parameters, self._context.health)

        def accepted() -> bool:
            self.renderer = renderer
            return accept()

        is_taken = False
        try:
            with self._context.worker.stoppable(canceled) as stopped:
                is_taken = self.mapper.change_model(renderer.field, stopped, accepted)
        finally:
            if not is_taken:
                self.renderer = old_renderer
        if is_taken:
            self.checkpoint, self.model_file = checkpoint, file
        return is_taken

    def apply_parameters(self) -> None:
        """Take over parameters that have changed since the last time."""
        settings = self._context.settings
        if settings is self._applied:
            return
        self._applied = settings
        before, self._render_config = self._render_config, settings.render_config()
        self.renderer.configure()
        config, held = settings.mapper_config(), self.mapper.config.map
        # Size and number of the voxels are those that the node was configured with.
        shown = replace(config.map, voxel_size=held.voxel_size, max_voxels=held.max_voxels)
        self.mapper.configure(replace(config, map=shown), self.renderer.field)
        now = self._render_config
        if (now.engine, now.precision) != (before.engine, before.precision):
            self._context.logger.info(f"from now on rendered by: {self.renderer.engine}")
        if now.min_confidence != before.min_confidence:
            self._publications.label_space(now.min_confidence)
