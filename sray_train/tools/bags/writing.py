"""A recorded sequence as a rosbag2, written frame by frame without any ROS: what a robot would have recorded.

Topics: image (rgb8, or jpeg on <image>/compressed), camera_info, depth (32FC1 meters, NaN where there is none, or 16UC1
millimeters, 0 where there is none), labels (mono8 class indices, 255 unlabeled), labels/info (what the indices mean,
transient local), /tf (map -> body) and /tf_static (body -> optical frame, transient local). Stamps are the frames' own.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from scipy.spatial.transform import Rotation

from sray.camera import Camera
from sray.errors import DiskFullError, FileError, PoseError
from sray.files import FULL
from sray.frames import Frame
from sray.label_space import VOID, LabelSpace
from sray.sequence import LATEST_STAMP_NS
from sray_train.tools.bags.names import (
    COMPRESSED_IMAGE,
    IMAGE,
    LABEL_INFO,
    OPTICAL_IN_BODY,
    OWN_NAMES,
    BagLayout,
    typestore,
)

Storage = Literal["mcap", "sqlite3"]
DepthEncoding = Literal["32FC1", "16UC1"]

JPEG_FORMAT = "rgb8; jpeg compressed bgr8"
"""image_transport's words: what was compressed; how; as what it comes out."""
_FOREVER = QosTime(9223372036, 854775807)
_MICROSECOND = 1000


@dataclass(frozen=True)
class BagEncoding:
    """How the bag and the pictures in it are stored."""

    storage: Storage = "mcap"
    jpeg_quality: int | None = None
    """1 to 100: color as jpeg on <image>/compressed; None: raw."""
    depth: DepthEncoding = "32FC1"

    def __post_init__(self) -> None:
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality is {self.jpeg_quality}; expected 1 to 100")


@dataclass(frozen=True)
class BagSummary:
    """What was written."""

    folder: Path
    frames: int
    stamps_ns: tuple[int, ...]
    messages: int
    has_depth: bool
    has_labels: bool


def write_bag(
    frames: Iterable[Frame],
    folder: Path | str,
    layout: BagLayout = OWN_NAMES,
    encoding: BagEncoding = BagEncoding(),
    label_space: LabelSpace | None = None,
) -> BagSummary:
    """Write frames into a new rosbag2 folder, each as it comes: memory stays that of a few frames.

    `label_space`: what the frames' labels mean, written beside them. The folder appears when it is whole: interrupted
    or killed, nothing of that name is there.
    Raises FileError if the folder exists already, there is no frame or a stamp is none of ROS's, PoseError
    for a pose that is not finite, DiskFullError, and whatever reading the frames raises.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileError(f"{folder} exists already", "a new folder for the bag", "Remove it, or name another")
    # The writer names the file in a bag after its folder, hence a folder of that name within one of another.
    around = folder.absolute().parent / f".{folder.absolute().name}.{os.getpid()}.partial"
    partial = around / folder.absolute().name
    try:
        around.mkdir(parents=True)
        plugin = StoragePlugin[encoding.storage.upper()]
        with Writer(partial, version=Writer.VERSION_LATEST, storage_plugin=plugin) as writer:
            recording = _Recording(writer, layout, encoding, label_space)
            for frame in frames:
                recording.add(frame)
            if not recording.stamps:
                raise FileError(f"there is no frame to write into {folder}", "at least one")
        partial.replace(folder)
    except (OSError, WriterError, sqlite3.Error) as error:
        is_full = getattr(error, "errno", None) in FULL or "is full" in str(error)
        raise (DiskFullError if is_full else FileError)(
            f"the bag {folder} cannot be written ({error})",
            "a writable folder with space",
            "Free some space, or name another folder",
        ) from error
    finally:
        shutil.rmtree(around, ignore_errors=True)
    return BagSummary(
        folder,
        len(recording.stamps),
        tuple(recording.stamps),
        recording.messages,
        has_depth=layout.depth in recording.topics,
        has_labels=layout.labels in recording.topics,
    )


class _Recording:
    """The open bag: one connection per topic, made when its first message comes."""

    def __init__(
        self, writer: Writer, layout: BagLayout, encoding: BagEncoding, label_space: LabelSpace | None
    ) -> None:
        self._writer = writer
        self._layout = layout
        self._encoding = encoding
        self._label_space = label_space
        self._store = typestore()
        self.topics: dict[str, Connection] = {}
        self.stamps: list[int] = []
        self.messages = 0

    def add(self, frame: Frame) -> None:
        pose = frame.camera.world_pose
        if not np.isfinite(pose).all():
            raise PoseError(
                f"frame {frame.name or frame.stamp_ns} has a pose that is not finite", remedy="Leave it out"
            )
        layout, stamp = self._layout, frame.stamp_ns
        if not 1000 * _MICROSECOND < stamp < LATEST_STAMP_NS:
            raise FileError(
                f"frame {frame.name or len(self.stamps)} has stamp {stamp} ns",
                "more than a millisecond and less than 2^31 s, as ROS counts time",
                "Give the frames other stamps",
            )
        if not self.stamps:
            # A millisecond ahead: whoever plays the bag knows the static frames before the first picture.
            static = self._transform(layout.body_frame, layout.optical_frame, stamp, np.zeros(3), OPTICAL_IN_BODY)
            self._write("/tf_static", stamp - 1000 * _MICROSECOND, static)
        # Microseconds apart in recording time, so that any player keeps this order: pose first, picture last.
        self._write("/tf", stamp, self._body_pose(pose, stamp))
        self._write(layout.camera_info, stamp + _MICROSECOND, self._camera_info(frame.camera, stamp))
        if frame.labels is not None:
            if self._label_space is not None and layout.labels_info not in self.topics:
                self._write(layout.labels_info, stamp + _MICROSECOND, self._label_info(self._label_space, stamp))
            self._write(layout.labels, stamp + 2 * _MICROSECOND, self._image(frame.labels.numpy(), "mono8", stamp))
        if frame.depth is not None:
            self._write(layout.depth, stamp + 3 * _MICROSECOND, self._depth(frame.depth.numpy(), stamp))
        topic, picture = self._color(frame.image.numpy(), stamp)
        self._write(topic, stamp + 4 * _MICROSECOND, picture)
        self.stamps.append(stamp)

    def _write(self, topic: str, time_ns: int, message: Any) -> None:
        if topic not in self.topics:
            durable = topic in ("/tf_static", self._layout.labels_info)
            self.topics[topic] = self._writer.add_connection(
                topic, message.__msgtype__, typestore=self._store, offered_qos_profiles=[_offered(durable)]
            )
        data = self._store.serialize_cdr(message, message.__msgtype__)
        self._writer.write(self.topics[topic], time_ns, data)
        self.messages += 1

    def _make(self, name: str, **fields: Any) -> Any:
        return self._store.types[name](**fields)

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        stamp = self._make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def _color(self, rgb: NDArray[np.uint8], stamp_ns: int) -> tuple[str, Any]:
        quality = self._encoding.jpeg_quality
        if quality is None:
            return self._layout.image, self._image(rgb, "rgb8", stamp_ns)
        jpeg = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        header = self._header(stamp_ns, self._layout.optical_frame)
        message = self._make(COMPRESSED_IMAGE, header=header, format=JPEG_FORMAT, data=jpeg.reshape(-1))
        return self._layout.compressed, message

    def _depth(self, meters: NDArray[np.float32], stamp_ns: int) -> Any:
        if self._encoding.depth == "32FC1":
            return self._image(meters.astype("<f4"), "32FC1", stamp_ns)
        millimeters = np.nan_to_num(meters * 1000, nan=0, posinf=0, neginf=0).round()
        millimeters[millimeters > 65535] = 0
        return self._image(millimeters.clip(0).astype("<u2"), "16UC1", stamp_ns)

    def _label_info(self, space: LabelSpace, stamp_ns: int) -> Any:
        names = [*enumerate(space.names), (VOID, "UNLABELED")]
        classes = [self._make("vision_msgs/msg/VisionClass", class_id=i, class_name=name) for i, name in names]
        header = self._header(stamp_ns, self._layout.optical_frame)
        return self._make(LABEL_INFO, header=header, class_map=classes, threshold=0.0)

    def _image(self, pixels: NDArray[Any], encoding: str, stamp_ns: int) -> Any:
        height, width = pixels.shape[:2]
        raw = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
        return self._make(
            IMAGE,
            header=self._header(stamp_ns, self._layout.optical_frame),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=raw.size // height,
            data=raw,
        )

    def _camera_info(self, camera: Camera, stamp_ns: int) -> Any:
        intrinsics = camera.intrinsics.double().numpy()
        region = self._make(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._make(
            "sensor_msgs/msg/CameraInfo",
            header=self._header(stamp_ns, self._layout.optical_frame),
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=intrinsics.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.hstack([intrinsics, np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=region,
        )

    def _body_pose(self, world_from_camera: NDArray[np.float64], stamp_ns: int) -> Any:
        rotation = Rotation.from_matrix(world_from_camera[:3, :3]) * Rotation.from_quat(OPTICAL_IN_BODY).inv()
        quaternion = tuple(float(value) for value in rotation.as_quat())
        return self._transform(
            self._layout.map_frame, self._layout.body_frame, stamp_ns, world_from_camera[:3, 3], quaternion
        )

    def _transform(
        self, parent: str, child: str, stamp_ns: int, xyz: NDArray[np.float64], quaternion: tuple[float, ...]
    ) -> Any:
        vector = self._make("geometry_msgs/msg/Vector3", **dict(zip("xyz", map(float, xyz), strict=True)))
        rotation = self._make("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", quaternion, strict=True)))
        stamped = self._make(
            "geometry_msgs/msg/TransformStamped",
            header=self._header(stamp_ns, parent),
            child_frame_id=child,
            transform=self._make("geometry_msgs/msg/Transform", translation=vector, rotation=rotation),
        )
        return self._make("tf2_msgs/msg/TFMessage", transforms=[stamped])


def _offered(durable: bool) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        1 if durable else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if durable else QosDurability.VOLATILE,
        _FOREVER,
        _FOREVER,
        QosLiveliness.AUTOMATIC,
        _FOREVER,
        avoid_ros_namespace_conventions=False,
    )
