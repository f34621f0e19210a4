"""What can go wrong, as codes. `sray_interfaces/msg/ErrorCode.msg` carries the same numbers over ROS."""

from __future__ import annotations

from enum import IntEnum


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


class SrayError(Exception):
    """An error a user can act on: a code for programs, one sentence for people.

    The sentence says what was wrong, what was expected, and what to do.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code.name}: {self.args[0]}"
