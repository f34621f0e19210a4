"""`sray bag --check`: whether the node can work with a bag of any origin, and what is missing or wrong if not.

One pass over the messages of the topics that matter; memory is some bytes a message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sray.calibration import same_aspect
from sray.errors import FileError, SrayError
from sray.label_space import VOID, LabelSpace
from sray.recorded_bag import TF_STATIC, tf_name
from sray_train.tools.bags.calibration import CameraInfoTopic
from sray_train.tools.bags.choosing import COLOR, FIND_ALL, Wanted, choose
from sray_train.tools.bags.launching import launch_line
from sray_train.tools.bags.names import CAMERA_INFO, COMPRESSED, IMAGE, TF_MESSAGE, BagLayout
from sray_train.tools.bags.pictures import CompressedTopic, DepthTopic, LabelsTopic, RawTopic
from sray_train.tools.bags.reading import BagReader
from sray_train.tools.bags.rows import Row, listed, note, ok, percent, problem
from sray_train.tools.bags.stamped import ENOUGH, StampedTopic, share_within
from sray_train.tools.bags.transforms import Transforms

TF = "/tf"
PROGRESS_EVERY = 50
"""Messages."""


@dataclass(frozen=True)
class BagCheck:
    """What was found."""

    bag: Path
    rows: tuple[Row, ...]
    topics: dict[str, str | None]
    """The node's input -> the topic in the bag."""
    figures: dict[str, float]
    launch: str | None
    """The line that plays the bag to the node; None without a camera."""

    @property
    def works(self) -> bool:
        """The node would make labels of this bag."""
        return not any(row.verdict == "problem" for row in self.rows)

    def record(self) -> dict[str, Any]:
        """For machines."""
        return {
            "bag": str(self.bag),
            "works": self.works,
            "rows": [vars(row) for row in self.rows],
            "topics": self.topics,
            "figures": self.figures,
            "launch": self.launch,
        }


def check_bag(
    path: Path,
    wanted: Wanted = FIND_ALL,
    *,
    slop: float = 0.02,
    label_space: LabelSpace | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> BagCheck:
    """`slop`: seconds by which matched stamps may differ. `label_space`: what the labels should be.

    Raises FileError if there is nothing at `path`; everything else that is wrong is a row.
    """
    path = path.expanduser()
    if not path.exists():
        raise FileError(f"{path} does not exist", "a rosbag2", "Check the path")
    try:
        bag = BagReader(path)
    except SrayError as error:
        return BagCheck(path, (problem("bag", error.found, error.advice),), {}, {}, None)
    with bag:
        return _Check(bag, wanted, round(slop * 1e9), label_space).run(on_progress)


class _Check:
    def __init__(self, bag: BagReader, wanted: Wanted, slop_ns: int, label_space: LabelSpace | None) -> None:
        self._bag = bag
        self._wanted = wanted
        self._slop_ns = slop_ns
        self._label_space = label_space
        self._rows: list[Row] = []
        self._chosen, missing = choose(bag, wanted)
        self._rows += missing
        chosen = self._chosen
        self._image = (CompressedTopic if chosen.is_compressed else RawTopic)("image", chosen.image or "")
        self._info = CameraInfoTopic("camera_info", chosen.camera_info or "")
        self._depth = DepthTopic("depth", chosen.depth or "")
        self._labels = LabelsTopic("labels", chosen.labels or "")
        self._transforms = Transforms()
        self._bag_classes: dict[int, str] | None = None
        self._damaged_tf = ""

    def run(self, on_progress: Callable[[int, int], None] | None) -> BagCheck:
        damage = self._read(on_progress)
        chosen = self._chosen
        rows = self._rows
        if damage:
            rows.append(damage)
        rows += self._image_rows()
        rows += self._info_rows()
        matched = share_within(self._image.stamps, self._info.stamps, self._slop_ns)
        map_frame, posed = self._tf_rows()
        rows += self._depth_rows()
        rows += self._labels_rows()
        launch = None
        if chosen.image_base and chosen.camera_info:
            launch = launch_line(
                self._bag.path, chosen.image_base, chosen.camera_info, chosen.depth, chosen.labels, map_frame
            )
        topics = {name: getattr(chosen, name) for name in ("image", "camera_info", "depth", "labels", "labels_info")}
        figures = {"images": float(self._image.count), "camera_info_matched": matched, "images_with_pose": posed}
        return BagCheck(self._bag.path, tuple(rows), topics, figures, launch)

    def _read(self, on_progress: Callable[[int, int], None] | None) -> Row | None:
        """Take all messages; the row about where the bag is damaged, if it is."""
        takers: dict[str, StampedTopic] = {
            topic.name: topic for topic in (self._image, self._info, self._depth, self._labels) if topic.name
        }
        tf = [name for name in (TF, TF_STATIC) if self._is(name, TF_MESSAGE)]
        names = [*takers, *tf, *([self._chosen.labels_info] if self._chosen.labels_info else [])]
        total = sum(self._bag.topics[name].messages for name in names)
        try:
            for done, (name, time_ns, raw) in enumerate(self._bag.messages(names)):
                if on_progress is not None and done % PROGRESS_EVERY == 0:
                    on_progress(done, total)
                try:
                    message = self._bag.decode(name, raw)
                    if name in takers:
                        takers[name].take(time_ns, message)
                    elif name in tf:
                        self._transforms.take(name, time_ns, message)
                    else:
                        self._bag_classes = {int(each.class_id): str(each.class_name) for each in message.class_map}
                        self._bag_classes.pop(VOID, None)
                except SrayError as error:
                    if name in takers:
                        takers[name].refuse(error)
                    else:
                        self._damaged_tf = self._damaged_tf or str(error)
        except SrayError as error:
            return problem("bag", error.found, error.advice)
        return None

    def _is(self, name: str, message_type: str) -> bool:
        return name in self._bag.topics and self._bag.topics[name].message_type == message_type

    def _image_rows(self) -> list[Row]:
        image = self._image
        if not image.name:
            every = listed(f"{topic.name} ({topic.message_type})" for topic in self._bag.topics.values())
            return [problem("image", f"no image topic; the bag has {every}", f"record {IMAGE} or its {COMPRESSED}")]
        rows = [ok("image", f"{image.name}, {image.count} pictures")] if image.count else []
        if self._chosen.is_compressed and not image.name.endswith(COMPRESSED):
            text = f"{image.name} is compressed, and its name does not end in {COMPRESSED}"
            rows = [problem("image", text, f"name it {image.name}{COMPRESSED} in the bag")]
        if not image.count and not image.unusable:
            rows.append(problem("image", f"{image.name} has no messages", "was the camera running? Record again"))
        rows += image.unusable_rows()
        if isinstance(image, RawTopic):
            rows += image.encoding_rows(f"one of {listed(COLOR, 4)}, mono8", "convert it with image_proc")
        else:
            rows += image.format_rows()
        return [*rows, *image.stamp_rows(), *image.frame_rows()]

    def _info_rows(self) -> list[Row]:
        info = self._info
        if not info.name:
            remedy = f"record {CAMERA_INFO} beside the image: the driver publishes it once the camera is calibrated"
            return [problem("camera_info", "no camera_info topic", remedy)]
        rows = info.rows(self._image.possible_sizes)
        if not info.count and not info.unusable:
            rows.append(problem("camera_info", f"{info.name} has no messages", "record it with the image"))
        rows += info.unusable_rows()
        if info.count and self._image.count:
            share = share_within(self._image.stamps, info.stamps, self._slop_ns)
            text = f"{percent(share)} of the pictures have one within {self._slop_ns / 1e9:g} s"
            remedy = "both must carry the same stamp: take the camera_info of the same driver, or raise sync.slop"
            judged = problem if share < ENOUGH else note
            subject = "camera_info: stamps"
            rows.append(ok(subject, f"{info.name}, {text}") if share == 1 else judged(subject, text, remedy))
        return rows

    def _tf_rows(self) -> tuple[str | None, float]:
        """Adds rows; the map frame, and the share of pictures with a pose."""
        rows, image, camera = self._rows, self._image, tf_name(self._image.frame)
        if self._damaged_tf:
            rows.append(note("TF", f"a message is unusable: {self._damaged_tf}", "the player leaves it out"))
        if not any(self._transforms.messages.values()):
            elsewhere = [topic.name for topic in self._bag.topics.values() if topic.message_type == TF_MESSAGE]
            text = f"neither {TF} nor {TF_STATIC} has messages" + (f", but {listed(elsewhere)}" if elsewhere else "")
            rows.append(problem("TF", text, f"record both, or rename the bag's to {TF} and {TF_STATIC}"))
            return self._wanted.map_frame, 0.0
        if self._transforms.messages[TF_STATIC] and not self._bag.topics[TF_STATIC].is_durable:
            text = f"{TF_STATIC} is not recorded as transient local: `ros2 bag play` alone offers it volatile, unheard"
            remedy = (
                "nothing to do: the line below offers it latched. By hand: ros2 bag play --qos-profile-overrides-path "
                "with config/bag_qos.yaml of this package"
            )
            rows.append(note("TF: QoS", text, remedy))
        if not camera:
            return self._wanted.map_frame, 0.0
        map_frame = tf_name(self._wanted.map_frame or BagLayout().map_frame)
        if self._wanted.map_frame is None and self._transforms.path(camera, map_frame) is None:
            root = self._transforms.ancestors(camera)[-1]
            if root != camera and map_frame not in self._transforms.frames:
                rows.append(note("TF: map frame", f"no frame is {map_frame}; poses are taken in {listed([root])}"))
                map_frame = root
        found, posed = self._transforms.rows(map_frame, camera, image.stamps, image.times)
        rows += found
        path = self._transforms.path(camera, map_frame)
        if path is not None and all(self._transforms.edges[child].is_static for child in path):
            text = f"the camera never moves: between {listed([map_frame])} and {listed([camera])} all is static"
            remedy = "record with whatever localizes the robot running; name a fixed frame with --map-frame if it does"
            rows.append((note if self._wanted.map_frame else problem)("TF: path", text, remedy))
        return map_frame, posed

    def _depth_rows(self) -> list[Row]:
        depth = self._depth
        if not depth.name:
            return [note("depth", "none: labels come from color alone, which works")]
        rows = depth.unusable_rows()
        rows += depth.encoding_rows("32FC1 in meters or 16UC1 in millimeters", "leave it out, or convert it")
        rows += depth.value_rows()
        registered = "record the depth that the driver registers to the color camera"
        if depth.size and self._image.size and not same_aspect(depth.size, self._image.size):
            text = f"{depth.size[0]}x{depth.size[1]}, the image is {self._image.size[0]}x{self._image.size[1]}, of "
            rows.append(note("depth: size", f"{text}another shape: the node leaves it out", registered))
        if depth.count and self._image.frame and depth.frame != self._image.frame:
            text = f"in frame {listed([depth.frame])}, the image in {listed([self._image.frame])}: the node leaves it "
            rows.append(note("depth: frame", f"{text}out, unless TF says that they are one place", registered))
        if depth.count and self._image.count:
            share = share_within(self._image.stamps, depth.stamps, self._slop_ns)
            text = f"{depth.name}, {percent(share)} of the pictures have one within {self._slop_ns / 1e9:g} s"
            rows.append((ok if share == 1 else note)("depth: stamps", text))
        # The node works without depth, whatever is wrong with it.
        return [note(row.subject, row.text, row.remedy) if row.verdict == "problem" else row for row in rows]

    def _labels_rows(self) -> list[Row]:
        labels = self._labels
        if not labels.name:
            return [note("labels", "no ground truth: labels come out, and no score")]
        rows = labels.unusable_rows()
        rows += labels.encoding_rows("mono8 with class indices", "write class indices, one byte a pixel")
        known, source = self._bag_classes, f"{labels.name}/info"
        if self._label_space is not None:
            asked = dict(enumerate(self._label_space.names))
            if known is not None and known != asked:
                index = next(i for i in sorted({*known, *asked}) if known.get(i) != asked.get(i))
                text = (
                    f"class {index} is {listed([known.get(index, 'nothing')])} in the bag, and "
                    f"{asked.get(index, 'nothing')} in {self._label_space.name}"
                )
                rows.append(problem("labels: classes", text, "convert the scene with this --label-space"))
            known, source = asked, f"label space {self._label_space.name}"
        rows += labels.value_rows(known, source)
        if labels.size and self._image.size and not same_aspect(labels.size, self._image.size):
            text = f"{labels.size[0]}x{labels.size[1]}, the image is {self._image.size[0]}x{self._image.size[1]}"
            rows.append(problem("labels: size", f"{text}, of another shape", "record labels of the image's pixels"))
        if labels.count and self._image.count:
            share = share_within(self._image.stamps, labels.stamps, 0)
            text = f"{labels.name}, {percent(share)} of the pictures have labels of their very stamp"
            remedy = "scores compare equal stamps: give labels the stamp of their picture" if share < ENOUGH else ""
            subject = "labels: stamps"
            rows.append(ok(subject, text) if share == 1 else note(subject, text, remedy))
        elif not labels.unusable:
            rows.append(note("labels", f"{labels.name} has no messages: no score"))
        return rows
