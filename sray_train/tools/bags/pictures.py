"""Checks of image topics: color, raw or compressed; depth; ground-truth labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.depth import why_not_meters
from sray.errors import PictureError
from sray.label_space import VOID
from sray.pictures import FORMATS, claimed_size
from sray_train.tools.bags.choosing import COLOR, DEPTH, GRAY, LABELS
from sray_train.tools.bags.rows import Row, listed, note, ok, percent, problem
from sray_train.tools.bags.stamped import ENOUGH, LARGEST_SIDE, StampedTopic, count

_BYTES = {"mono": 1, "rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4}
_MANY_VOID = 0.9


class RawTopic(StampedTopic):
    """sensor_msgs/Image."""

    expected: tuple[str, ...] = (*COLOR, *GRAY)

    @property
    def possible_sizes(self) -> list[tuple[int, int]]:
        return [self.size] if self.size else []

    def __init__(self, subject: str, name: str) -> None:
        super().__init__(subject, name)
        self.encodings: Counter[str] = Counter()

    def _look(self, message: Any) -> None:
        count(self.encodings, str(message.encoding))
        if message.encoding not in self.expected:
            return  # a row of its own says so
        width, height = int(message.width), int(message.height)
        row = width * bytes_per_pixel(message.encoding)
        needed = max(int(message.step), row) * (height - 1) + row
        if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and len(message.data) >= needed):
            raise PictureError(
                f"{width}x{height} pixels in {message.encoding[:40]!r}, rows of {message.step} bytes, with "
                f"{len(message.data)} bytes of data",
                f"all rows and sides up to {LARGEST_SIDE}",
            )
        count(self.sizes, (width, height))
        self._look_inside(message, width, height)

    def _look_inside(self, message: Any, width: int, height: int) -> None:
        """Look at the pixels of a message that is whole."""

    def pixels(self, message: Any, width: int, height: int, dtype: str) -> NDArray[Any]:
        """(height, width), without padding."""
        order = ">" if message.is_bigendian else "<"
        item = np.dtype(dtype).itemsize
        step = max(int(message.step), width * item)
        data = np.frombuffer(message.data, np.uint8)
        found: NDArray[Any] = np.ndarray((height, width), np.dtype(order + dtype), data, strides=(step, item))
        return found

    def encoding_rows(self, wanted: str, remedy: str) -> list[Row]:
        unknown = [encoding for encoding in self.encodings if encoding not in self.expected]
        if not self.encodings:
            return []
        if unknown:
            share = sum(self.encodings[encoding] for encoding in unknown) / sum(self.encodings.values())
            text = f"{listed(unknown)} in {percent(share)} of the messages; expected {wanted}"
            return [(problem if share > 1 - ENOUGH else note)(f"{self.subject}: encoding", text, remedy)]
        return [self.size_row(listed(self.encodings))]


class CompressedTopic(StampedTopic):
    """sensor_msgs/CompressedImage: sizes from the headers; every picture is decoded, small."""

    def __init__(self, subject: str, name: str) -> None:
        super().__init__(subject, name)
        self.formats: Counter[str] = Counter()
        self._turned: Counter[tuple[int, int]] = Counter()

    @property
    def possible_sizes(self) -> list[tuple[int, int]]:
        """As stored, and as turned by EXIF tags."""
        return [size for sizes in (self.sizes, self._turned) for size, _ in sizes.most_common(1)]

    def _look(self, message: Any) -> None:
        width, height = _size_in_header(message.data)
        if not 0 < width * height <= LARGEST_SIDE**2 // 4:  # before anything decodes it
            raise _undecodable(message, f"a picture of {width}x{height}")
        picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
        if picture is None:
            raise _undecodable(message, "damaged bytes")
        count(self.sizes, (width, height))
        if (picture.shape[1] > picture.shape[0]) != (width > height) and width != height:
            count(self._turned, (height, width))
        count(self.formats, str(message.format))

    def format_rows(self) -> list[Row]:
        return [self.size_row(f"compressed ({listed(self.formats)})")] if self.formats else []


class DepthTopic(RawTopic):
    expected = DEPTH

    def __init__(self, subject: str, name: str) -> None:
        super().__init__(subject, name)
        self._unknown = 0.0
        self._looked_at = 0
        self._no_meters: PictureError | None = None

    def _look_inside(self, message: Any, width: int, height: int) -> None:
        depth = self.pixels(message, width, height, "f4" if message.encoding == "32FC1" else "u2")
        if message.encoding == "32FC1":
            self._no_meters = self._no_meters or why_not_meters(depth)
        with np.errstate(invalid="ignore"):
            self._unknown += 1 - float(np.mean(np.isfinite(depth) & (depth > 0)))
        self._looked_at += 1

    @property
    def unknown(self) -> float:
        """Share of pixels without a reading."""
        return self._unknown / max(1, self._looked_at)

    def value_rows(self) -> list[Row]:
        if not self._looked_at:
            return []
        if self._no_meters:
            found, advice = self._no_meters.found, self._no_meters.advice
            return [note("depth: values", found, f"the node leaves it out; {advice}")]
        text = f"{percent(self.unknown)} of the pixels have no reading"
        if self.unknown > _MANY_VOID:
            return [note("depth: values", text, "is the sensor covered, or the unit wrong? 32FC1 is meters, 16UC1 mm")]
        return [ok("depth: values", text)]


class LabelsTopic(RawTopic):
    expected = LABELS

    def __init__(self, subject: str, name: str) -> None:
        super().__init__(subject, name)
        self.pixels_of = np.zeros(256, np.int64)
        """How many pixels have each value."""

    def _look_inside(self, message: Any, width: int, height: int) -> None:
        labels = np.ascontiguousarray(self.pixels(message, width, height, "u1"))
        self.pixels_of += np.bincount(labels.reshape(-1), minlength=256)

    def value_rows(self, known: dict[int, str] | None, source: str) -> list[Row]:
        """`known`: the classes by index, if anybody says; `source`: who."""
        total = int(self.pixels_of.sum())
        if not total:
            return []
        subject = "labels: values"
        present = [int(value) for value in np.flatnonzero(self.pixels_of) if value != VOID]
        void = f"{percent(self.pixels_of[VOID] / total)} unlabeled"
        if known is None:
            text = f"{len(present)} indices up to {max(present, default=0)}, {void}; nobody says what they mean"
            return [note(subject, text, "say which with --label-space; a bag of `sray bag` has it on <labels>/info")]
        outside = [value for value in present if value not in known]
        if outside:
            share = self.pixels_of[outside].sum() / total
            text = f"{listed(outside)} in {percent(share)} of the pixels are no classes of {source} ({len(known)})"
            remedy = f"give the label space they are in with --label-space, or write indices of it, {VOID} for the rest"
            return [problem(subject, text, remedy)]
        return [ok(subject, f"{len(present)} of the {len(known)} classes of {source}, {void}")]


def bytes_per_pixel(encoding: str) -> int:
    if encoding in DEPTH:
        return 4 if encoding == "32FC1" else 2
    if encoding in LABELS:
        return 1
    if encoding.startswith(("yu", "uyvy")):
        return 2
    wide = 2 if encoding.endswith("16") else 1
    return wide * _BYTES.get(encoding.rstrip("0168"), 1)  # a Bayer pattern has one


def _size_in_header(data: NDArray[np.uint8]) -> tuple[int, int]:
    size = claimed_size(data.tobytes())
    if size is None:
        raise PictureError(f"{len(data)} bytes that are no whole {FORMATS}", "what image_transport compresses")
    return size


def _undecodable(message: Any, found: str) -> PictureError:
    return PictureError(
        f"a compressed picture of format {str(message.format)[:60]!r} is {found}", "one that OpenCV decodes"
    )
