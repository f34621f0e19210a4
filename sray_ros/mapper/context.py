"""MapperContext: what the parts of semantic_mapper share for as long as the node lives."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import tf2_ros
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header

from sray.errors import CanceledError, SrayError, StaleError, TooFewViewsError
from sray_ros.common.data_folder import DataFolder
from sray_ros.common.error_codes import with_code
from sray_ros.common.worker import Worker
from sray_ros.finetune.parameters import FinetuneSettings
from sray_ros.mapper import api
from sray_ros.mapper.health import MapperHealth
from sray_ros.mapper.lanes import LANES
from sray_ros.mapper.parameters import MapperParameters, MapperSettings

T = TypeVar("T")
EXPECTED = (TooFewViewsError, CanceledError, StaleError)
"""Logged as information: the first keyframes cannot be rendered from others, and a job that is stopped or late is no
fault."""


class MapperContext:
    """Created once, with the node."""

    def __init__(self, node: LifecycleNode) -> None:
        self.node = node
        self.logger: RcutilsLogger = node.get_logger()
        self.parameters = MapperParameters(node, MapperSettings)
        self.health = MapperHealth()
        self.worker: Worker[Any] = Worker(LANES, self.report, self.logger)
        """Works on a `work.Work` while the node is active."""
        self.folder = DataFolder(self.settings.data_dir)
        # The buffer lives as long as the node: the official one brings a service of its own, which cannot be destroyed.
        self.tf = tf2_ros.Buffer(node=node)
        self.is_paused = False
        """Images are ignored (~/pause)."""
        self.label_names: dict[int, str] | None = None
        """What labels/info says that the indices of label images mean; None: nothing yet."""
        self._handled = node.create_publisher(api.HANDLED.type, api.HANDLED.name, api.HANDLED.qos)

    @property
    def settings(self) -> MapperSettings:
        """The present parameters."""
        return self.parameters.now

    @property
    def finetune_settings(self) -> FinetuneSettings:
        return self.settings.fine_tune

    @property
    def is_active(self) -> bool:
        return self.worker.is_open

    @property
    def renders(self) -> int:
        """Views rendered so far."""
        return self.health.renders

    def handled(self, header: Header) -> None:
        """Tell lockstep players that the image with this header is done with."""
        self._handled.publish(header)

    def report(self, error: SrayError) -> None:
        """Count an error, and log it if it is news. Any thread."""
        if self.health.refused(error) and self.is_active:
            # One call site per severity: rclpy refuses a call site whose severity changes.
            if isinstance(error, EXPECTED):
                self.logger.info(with_code(error))
            else:
                self.logger.warning(with_code(error))

    def submit(self, do: Callable[[Any], T]) -> Future[T]:
        """Call `do` with the present `scene.Scene`, between two views.

        The future has its result, or raises the SrayError that came instead: InactiveError, BusyError, or what
        `do` raises.
        """
        return self.worker.submit(lambda work: do(work.scene))
