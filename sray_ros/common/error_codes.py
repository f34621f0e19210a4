"""Errors on the wire: the codes of `sray_interfaces/msg/ErrorCode.msg`, and which kind of error has which."""

from __future__ import annotations

from enum import IntEnum

from sray import errors
from sray.errors import SrayError


class ErrorCode(IntEnum):
    """Stable numbers: a code is never reused for another meaning."""

    OK = 0
    INACTIVE = 1
    NO_POSE = 2
    NO_KEYFRAMES = 3
    TOO_FEW_VIEWS = 4
    BAD_CAMERA_INFO = 5
    BAD_ENCODING = 6
    STALE = 7
    OUT_OF_MEMORY = 8
    MODEL_MISMATCH = 9
    BAD_FILE = 10
    BAD_POSE = 11
    DISK_FULL = 12
    BUSY = 13
    CANCELED = 14
    INTERNAL = 15
    BAD_REQUEST = 16


class InactiveError(SrayError):
    """The node, or the part of it that was asked, is switched off."""


class NoPoseError(SrayError):
    """TF has no pose of the camera at an image's stamp."""


CODES: dict[type[SrayError], ErrorCode] = {
    InactiveError: ErrorCode.INACTIVE,
    NoPoseError: ErrorCode.NO_POSE,
    errors.NoViewsError: ErrorCode.NO_KEYFRAMES,
    errors.TooFewViewsError: ErrorCode.TOO_FEW_VIEWS,
    errors.CalibrationError: ErrorCode.BAD_CAMERA_INFO,
    errors.PictureError: ErrorCode.BAD_ENCODING,
    errors.StaleError: ErrorCode.STALE,
    errors.NoMemoryError: ErrorCode.OUT_OF_MEMORY,
    errors.ModelError: ErrorCode.MODEL_MISMATCH,
    errors.NotInstalledError: ErrorCode.BAD_FILE,
    errors.FileError: ErrorCode.BAD_FILE,
    errors.PoseError: ErrorCode.BAD_POSE,
    errors.DiskFullError: ErrorCode.DISK_FULL,
    errors.BusyError: ErrorCode.BUSY,
    errors.CanceledError: ErrorCode.CANCELED,
    errors.InternalError: ErrorCode.INTERNAL,
    errors.RequestError: ErrorCode.BAD_REQUEST,
}
_KINDS = {code: kind for kind, code in CODES.items()}  # of BAD_FILE the last, FileError


def code_of(error: SrayError) -> ErrorCode:
    """The code that clients get."""
    return CODES[type(error)]


def with_code(error: SrayError) -> str:
    """For logs and diagnostics: the code's name, which docs/robot.md explains, and the text."""
    return f"{code_of(error).name}: {error}"


def error_of(code: int, text: str) -> SrayError:
    """The error that another node answered with. Raises ValueError for a code that this version does not know."""
    return _KINDS[ErrorCode(code)](text)
