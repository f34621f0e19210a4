"""The jobs of the mapper's worker: an image, its render, labels, a requested view, the map."""

from __future__ import annotations

from dataclasses import dataclass

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sray.errors import SrayError
from sray_ros.common.inbox import Lane
from sray_ros.common.worker import Job
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.inputs import Arrival
from sray_ros.mapper.lanes import IMAGES, LABELS, MAP, RENDERS
from sray_ros.mapper.outputs import Publications
from sray_ros.mapper.scene import ModelChoice, Scene
from sray_ros.mapper.views import Target, ViewRequest, Views


class Work:
    """What the jobs work on: one configured model with its keyframes, map and views. Belongs to the worker."""

    def __init__(self, context: MapperContext, model: ModelChoice, publications: Publications) -> None:
        self.scene = Scene(context, model, publications)
        self.views = Views(context, self.scene, publications)

    def prepare(self) -> None:
        self.scene.apply_parameters()


class _ImageJob(Job):
    """A job that ends with the header of its image on ~/handled, whatever happens."""

    def __init__(self, context: MapperContext, header: Header) -> None:
        self._context = context
        self._header = header

    def drop(self, why: SrayError) -> None:
        self.end()

    def end(self) -> None:
        self._context.handled(self._header)


class AddImage(_ImageJob):
    """An image enters; if a render is due for it, the render is the next job, and ends this one."""

    lane = IMAGES

    def __init__(self, context: MapperContext, arrival: Arrival) -> None:
        super().__init__(context, arrival.image.header)
        self.arrival = arrival

    def run(self, work: Work) -> None:
        frame, is_keyframe = work.scene.frames.add(self.arrival)
        target = work.views.target_of(frame, is_keyframe, self._header, self.arrival.since)
        if target is None:
            self.end()
        else:
            self._context.worker.put(RenderImage(self._context, target))


class RenderImage(_ImageJob):
    """The view of an image's camera. Only the newest one waits."""

    lane = RENDERS

    def __init__(self, context: MapperContext, target: Target) -> None:
        super().__init__(context, target.header)
        self._target = target

    def run(self, work: Work) -> None:
        work.views.render_target(self._target)
        self.end()


@dataclass(frozen=True, eq=False)
class AddLabels(Job):
    """A label image that may belong to a keyframe."""

    image: Image
    lane = LABELS

    def run(self, work: Work) -> None:
        work.scene.frames.supervise(self.image)

    def drop(self, why: SrayError) -> None:
        """Nobody waits for it."""


@dataclass(frozen=True, eq=False)
class RenderRequest(Job):
    """A view that somebody asked for: in REQUESTS each has its turn, in VIEWPOINTS the newest one."""

    request: ViewRequest
    lane: Lane

    def run(self, work: Work) -> None:
        work.views.render_request(self.request)

    def drop(self, why: SrayError) -> None:
        self.request.refuse(why)

    @property
    def is_canceled(self) -> bool:
        return self.request.canceled()


class PublishMap(Job):
    """For whoever has come to listen."""

    lane = MAP

    def run(self, work: Work) -> None:
        work.views.publish_map()

    def drop(self, why: SrayError) -> None:
        """There will be another one."""
