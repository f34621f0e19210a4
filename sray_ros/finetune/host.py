"""What fine-tuning needs of the node that it runs in. Fine-tuning knows these protocols, not the mapper."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

import torch
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node

from sray.checkpoint import Checkpoint
from sray.field import RenderedView
from sray.frames import Frame
from sray.mapping.mapper import Mapper
from sray_ros.common.data_folder import DataFolder
from sray_ros.common.health import Health
from sray_ros.finetune.parameters import FinetuneSettings

T = TypeVar("T")


class Scene(Protocol):
    """The model with its keyframes and map; only the worker touches it."""

    checkpoint: Checkpoint
    """Of the model that renders now."""
    model_file: str
    """The name that ~/load_model has for it; empty: the one that the node was configured with."""
    device: torch.device
    mapper: Mapper

    def rehearse(self, frame: Frame, canceled: Callable[[], bool]) -> RenderedView | None:
        """The frame's view from the other keyframes; None where too few of them see it. Raises SrayError."""

    def change_model(
        self, checkpoint: Checkpoint, file: str, canceled: Callable[[], bool], accept: Callable[[], bool]
    ) -> bool:
        """Render with another model, if `accept` agrees once it does. Raises SrayError; the old one stays then."""


class Host(Protocol):
    """The node and its worker."""

    node: Node
    logger: RcutilsLogger
    folder: DataFolder

    @property
    def health(self) -> Health: ...

    @property
    def finetune_settings(self) -> FinetuneSettings: ...

    @property
    def is_active(self) -> bool: ...

    @property
    def renders(self) -> int:
        """Views rendered so far."""

    def submit(self, do: Callable[[Any], T]) -> Future[T]:
        """Call `do` with the `Scene` on the worker's thread. The future raises the SrayError that came instead."""
