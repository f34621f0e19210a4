"""Jobs: what callbacks leave for the worker, and in which lanes. Data only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sray.camera import Camera
from sray.errors import SrayError
from sray.mapping.mapper import Rendering
from sray_ros.common.inbox import Lane
from sray_ros.common.poses import Matrix
from sray_ros.mapper.pacing import Effort

if TYPE_CHECKING:
    from sray_ros.mapper.worker import MappingWork

COMMANDS = Lane("commands", 8)
MAP = Lane("map", 1)
IMAGES = Lane("images", 10, at_once=True)
LABELS = Lane("labels", 30, at_once=True)
REQUESTS = Lane("requests", 8)
VIEWPOINTS = Lane("viewpoints", 1)
RENDERS = Lane("renders", 1)
LANES = (COMMANDS, MAP, IMAGES, LABELS, REQUESTS, VIEWPOINTS, RENDERS)
ANSWERED = (COMMANDS, REQUESTS, VIEWPOINTS)
"""Lanes with somebody at the other end, who is told when an item is given up."""


Ask = Callable[[Callable[["MappingWork"], Any], Callable[[Any], None]], None]
"""Hands the first on to the worker; the second gets what came of it, on the worker's thread, or a SrayError instead."""


@dataclass(frozen=True, eq=False)
class Command:
    """Something to do between two views. Whoever waits for it is told: by what `do` does last, or by `refuse`."""

    do: Callable[[], None]
    refuse: Callable[[SrayError], None]


@dataclass(frozen=True, eq=False)
class Target:
    """A view to render because an image came."""

    camera: Camera
    header: Header
    """Of the image: its stamp, its optical frame."""
    stamp_ns: int
    since: float
    """Steady seconds: when the image came."""


@dataclass(frozen=True, eq=False)
class Labels:
    """A label image that may belong to a keyframe."""

    image: Image
    stamp_ns: int


@dataclass(frozen=True, eq=False)
class ViewRequest:
    """A view somebody asked for, by topic or by action."""

    map_from_camera: Matrix
    header: Header
    """Stamp as requested, frame of the virtual camera."""
    answer: Callable[[Rendering, Effort], None]
    """Gets the view, and how well it was rendered."""
    refuse: Callable[[SrayError], None]
    info: CameraInfo | None = None
    """None: the last camera's."""
    scale: float = 1.0
    own_ns: int | None = None
    """Stamp of a keyframe that is no source (unless `views.include_own`)."""
    canceled: Callable[[], bool] = lambda: False
    on_progress: Callable[[float], None] | None = None
    on_preview: Callable[[Rendering], None] | None = None
    """Gets a coarse render first."""
    since: float = field(default_factory=time.monotonic)
    """Steady seconds: when it was asked for."""
