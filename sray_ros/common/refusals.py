"""Refusal messages that several places use, and the conversion of any exception into a SrayError."""

from __future__ import annotations

import traceback

import numpy as np
from rclpy.impl.rcutils_logger import RcutilsLogger

from sray.errors import BusyError, InternalError, NoMemoryError, PoseError, SrayError, StaleError
from sray.mapping.cloud import LabeledCloud
from sray.mapping.voxel_map import VoxelMap
from sray_ros.common.error_codes import InactiveError


def inactive() -> SrayError:
    return InactiveError("the node is not active", remedy="Configure and activate it, then ask again")


def displaced() -> SrayError:
    return StaleError("newer requests took its place before the worker was free", remedy="Ask again")


def busy() -> SrayError:
    return BusyError("too many commands wait for the worker", "fewer at a time", "Ask again later")


def too_late(waited: float, bound: float) -> SrayError:
    return StaleError(
        f"waited {waited:.2f} s for the worker",
        f"no more than render.max_latency ({bound:g} s)",
        "Ask less often, or raise render.max_latency",
    )


def beyond_the_map(voxels: VoxelMap, cloud: LabeledCloud) -> SrayError:
    """Of a view none of whose points the map can hold."""
    away = float(np.linalg.norm(cloud.world_points.mean(axis=0) - voxels.origin))
    return PoseError(
        f"a view lies {away / 1000:.0f} km from the map's origin {voxels.origin}",
        f"at most {voxels.reach / 1000:.0f} km, what a map of such voxels can hold",
        "The view is published, and not mapped: save the map, then call ~/clear to begin one here",
    )


def explained(error: Exception, logger: RcutilsLogger) -> SrayError:
    """A known error as it is, one of memory by its code; anything else is a bug, whose traceback is logged."""
    if isinstance(error, SrayError):
        return error
    if isinstance(error, MemoryError):
        return NoMemoryError(str(error) or "no memory is left", remedy="Hold fewer keyframes.capacity")
    return bug(error, logger)


def bug(error: Exception, logger: RcutilsLogger) -> SrayError:
    """An unexpected exception becomes an InternalError, with its traceback in the log."""
    logger.error("a bug, please report it:\n" + "".join(traceback.format_exception(error)))
    return InternalError(f"{error!r}", remedy="Please report it with the log")
