"""Which topics of a bag are image, calibration, depth and ground truth: by name, or found by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sray_train.tools.bags.names import CAMERA_INFO, COMPRESSED, COMPRESSED_IMAGE, IMAGE, INFO, LABEL_INFO, BagLayout
from sray_train.tools.bags.reading import BagReader
from sray_train.tools.bags.rows import Row, listed, problem

GRAY = ("mono8", "mono16")
COLOR = (
    *(f"{order}{bits}" for order in ("rgb", "bgr", "rgba", "bgra") for bits in (8, 16)),
    *(f"bayer_{pattern}{bits}" for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)),
    *("yuv422", "uyvy", "yuv422_yuy2", "yuyv"),
)
DEPTH = ("32FC1", "16UC1")
LABELS = ("mono8", "8UC1")
_NO_CAMERA = ("label", "seg", "mask", "depth", "confidence", "coverage")
"""In the name of a gray picture that is no camera's."""
_OWN = BagLayout()


@dataclass(frozen=True)
class Wanted:
    """Names given by the user; None: to be found."""

    image: str | None = None
    """With or without /compressed."""
    camera_info: str | None = None
    depth: str | None = None
    labels: str | None = None
    map_frame: str | None = None


FIND_ALL = Wanted()


@dataclass(frozen=True)
class Chosen:
    """Topics of the bag; None: it has none."""

    image: str | None
    """The topic in the bag: with /compressed, if that is what it has."""
    camera_info: str | None
    depth: str | None
    labels: str | None
    labels_info: str | None
    is_compressed: bool = False

    @property
    def image_base(self) -> str | None:
        """What `image` is to be remapped to: image_transport appends the rest."""
        return self.image.removesuffix(COMPRESSED) if self.image and self.is_compressed else self.image


def choose(bag: BagReader, wanted: Wanted) -> tuple[Chosen, list[Row]]:
    """The topics, and a row for each that was asked for by name and is not there or is something else."""
    finder = _Finder(bag)
    rows: list[Row] = []
    image = finder.named_image(wanted.image, rows) if wanted.image else finder.image()
    info = finder.named(wanted.camera_info, CAMERA_INFO, rows) if wanted.camera_info else finder.camera_info(image)
    depth = finder.named(wanted.depth, IMAGE, rows) if wanted.depth else finder.depth(image)
    labels = finder.named(wanted.labels, IMAGE, rows) if wanted.labels else finder.labels(image)
    labels_info = f"{labels}{INFO}"
    has_info = labels_info in bag.topics and bag.topics[labels_info].message_type == LABEL_INFO
    is_compressed = image is not None and bag.topics[image].message_type == COMPRESSED_IMAGE
    return Chosen(image, info, depth, labels, labels_info if has_info else None, is_compressed), rows


class _Finder:
    """Looks at one message of a topic at most."""

    def __init__(self, bag: BagReader) -> None:
        self._bag = bag
        self._first: dict[str, Any] = {}

    def named(self, name: str, message_type: str, rows: list[Row]) -> str | None:
        name = name if name.startswith("/") else f"/{name}"
        topic = self._bag.topics.get(name)
        if topic is None:
            of_type = self._of(message_type)
            kind = message_type.rpartition("/")[2]
            rows.append(
                problem(
                    f"topic {name}", f"is not in the bag; its {kind} topics: {listed(of_type)}", "name one of these"
                )
            )
        elif topic.message_type != message_type:
            rows.append(problem(f"topic {name}", f"is {topic.message_type}; expected {message_type}", "name another"))
        else:
            return name
        return None

    def named_image(self, name: str, rows: list[Row]) -> str | None:
        name = name if name.startswith("/") else f"/{name}"
        for candidate in (name, name + COMPRESSED):
            topic = self._bag.topics.get(candidate)
            if topic is not None and topic.message_type in (IMAGE, COMPRESSED_IMAGE):
                return candidate
        return self.named(name, IMAGE, rows)

    def image(self) -> str | None:
        raw = [name for name in self._of(IMAGE) if self._peek(name) is not None]
        compressed = [name for name in self._of(COMPRESSED_IMAGE) if "compresseddepth" not in name.lower()]
        compressed.sort(key=lambda name: not name.endswith(COMPRESSED))
        damaged = [name for name in self._of(IMAGE) if name not in raw and self._bag.topics[name].messages]
        others = [name for name in raw + damaged if not any(word in name.lower() for word in _NO_CAMERA)]
        order = [
            *(name for name in (_OWN.image, _OWN.compressed) if name in (*raw, *damaged, *compressed)),
            *(name for name in raw if self._encoding(name) in COLOR),
            *compressed,
            *(name for name in others if self._encoding(name) in GRAY),
            *(name for name in others if self._encoding(name) not in (*DEPTH, *LABELS)),
            *(name for name in self._of(IMAGE) if name not in raw),
        ]
        return next(iter(order), None)

    def camera_info(self, image: str | None) -> str | None:
        found = self._of(CAMERA_INFO)
        if image is None:
            return found[0] if found else None
        beside = image.removesuffix(COMPRESSED).rpartition("/")[0] + "/camera_info"
        frame = _frame_of(self._peek(image))
        same = [name for name in found if frame and _frame_of(self._peek(name)) == frame]
        return next(iter([*([beside] if beside in found else []), *same, *found]), None)

    def depth(self, image: str | None) -> str | None:
        found = [name for name in self._of(IMAGE) if name != image and self._encoding(name) in DEPTH]
        found = [name for name in found if "confidence" not in name]
        # Several: the one registered to the color camera, which drivers call aligned.
        found.sort(key=lambda name: (name != _OWN.depth, "aligned" not in name, "depth" not in name))
        return next(iter(found), None)

    def labels(self, image: str | None) -> str | None:
        found = [name for name in self._of(IMAGE) if name != image and self._encoding(name) in LABELS]
        found = [name for name in found if "label" in name or "seg" in name]
        found.sort(key=lambda name: name != _OWN.labels)
        if not found and _OWN.labels in self._of(IMAGE):
            return _OWN.labels
        return next(iter(found), None)

    def _of(self, message_type: str) -> list[str]:
        """Topics of a type, those with most messages first."""
        topics = [topic for topic in self._bag.topics.values() if topic.message_type == message_type]
        return [topic.name for topic in sorted(topics, key=lambda topic: (-topic.messages, topic.name))]

    def _peek(self, name: str) -> Any:
        if name not in self._first:
            self._first[name] = self._bag.first(name)
        return self._first[name]

    def _encoding(self, name: str) -> str:
        return str(getattr(self._peek(name), "encoding", ""))


def _frame_of(message: Any) -> str:
    return "" if message is None else str(message.header.frame_id)
