"""Errors that a user can act on: what was found, what was expected, what to do about it.

A subclass says what kind of thing went wrong, so that callers can tell kinds apart without reading texts. Nothing here
knows of ROS: `sray_ros.common.error_codes` has the codes that clients of the nodes get.
"""

from __future__ import annotations

from typing import TypeVar

Error = TypeVar("Error", bound="SrayError")


class SrayError(Exception):
    """As text: "<found>; expected <expected>. <remedy>", without what is empty. One of the subclasses is raised."""

    def __init__(self, found: str, expected: str = "", remedy: str = "") -> None:
        super().__init__(found, expected, remedy)
        self.found = found
        self.expected = expected
        self.remedy = remedy

    def __str__(self) -> str:
        return self.found + ("; " if self.expected else ". " if self.remedy else "") + self.advice

    @property
    def advice(self) -> str:
        """What follows after `found`: "expected <expected>. <remedy>"."""
        return ". ".join([f"expected {self.expected}"] * bool(self.expected) + [self.remedy] * bool(self.remedy))

    def of(self: Error, what: str) -> Error:
        """The same error, whose text begins with what it is about, such as a parameter or a file."""
        return type(self)(f"{what}{self.found}", self.expected, self.remedy)

    def afresh(self: Error) -> Error:
        """The same error without a traceback. One that is kept, or raised again, keeps all that its frames hold."""
        return type(self)(self.found, self.expected, self.remedy)


class FileError(SrayError):
    """A file or a folder is missing, damaged, in the way, or holds something else."""


class DiskFullError(FileError):
    """There is no room for a file."""


class NotInstalledError(SrayError):
    """A package or a program is missing."""


class RequestError(SrayError):
    """What was asked for means nothing or cannot be done: a value of a request, an option, a parameter, a config."""


class ModelError(SrayError):
    """A model cannot be used for this: another network, another label space, a device that is not there."""


class CalibrationError(SrayError):
    """A camera's calibration is missing or cannot be right. `found` is what the calibration has, a noun."""


class PictureError(SrayError):
    """An image, a depth image or a label image cannot be read, or holds values that mean nothing."""


class PoseError(SrayError):
    """A pose is not finite, not rigid, or too far away."""


class TooFewViewsError(SrayError):
    """Fewer views than a render or a training needs."""


class NoViewsError(TooFewViewsError):
    """Nothing has been seen yet."""


class NoMemoryError(SrayError):
    """There was not enough memory, on the processor or on the device that renders."""


class StaleError(SrayError):
    """It came or waited too long, or something newer took its place."""


class BusyError(SrayError):
    """Something else has to end first."""


class CanceledError(SrayError):
    """It was withdrawn."""


class InternalError(SrayError):
    """Something failed that no input should make fail."""
