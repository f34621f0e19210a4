"""A recorded sequence as a rosbag2 (MCAP), written without any ROS: what a robot would have recorded.

Topics: image (rgb8), camera_info, depth (32FC1 metres, NaN where there is none), labels (mono8 class indices, 255
unlabelled), /tf (map -> body) and /tf_static (body -> optical frame, transient local). Every stamp is the frame's own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from sray.camera import Camera
from sray.errors import ErrorCode, SrayError
from sray.frames import Frame

OPTICAL_IN_BODY = (-0.5, 0.5, -0.5, 0.5)
"""Quaternion (x, y, z, w) of the optical frame (x right, y down, z forward) in a body frame (x forward, y left, z up).

Source: REP 103.
"""

_FOREVER = QosTime(9223372036, 854775807)
_MICROSECOND = 1000


@dataclass(frozen=True)
class BagLayout:
    """Names in the bag."""

    image: str = "/camera/image"
    camera_info: str = "/camera/camera_info"
    depth: str = "/camera/depth"
    labels: str = "/camera/labels"
    map_frame: str = "map"
    body_frame: str = "camera_link"
    optical_frame: str = "camera_optical_frame"


@dataclass(frozen=True)
class BagSummary:
    """What was written."""

    folder: Path
    frames: int
    stamps_ns: tuple[int, ...]
    messages: int
    has_depth: bool
    has_labels: bool


def write_bag(frames: Iterable[Frame], folder: Path | str, layout: BagLayout = BagLayout()) -> BagSummary:
    """Write frames into a new rosbag2 folder.

    Raises SrayError(BAD_FILE) if the folder exists already or there is no frame, SrayError(BAD_POSE) for a pose that
    is not finite, and whatever reading the frames raises; nothing half-written is left behind.
    """
    folder = Path(folder)
    if folder.exists():
        raise SrayError(
            ErrorCode.BAD_FILE, f"{folder} exists already; expected a new folder for the bag, remove it or name another"
        )
    try:
        with Writer(folder, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP) as writer:
            recording = _Recording(writer, layout)
            for frame in frames:
                recording.add(frame)
            if not recording.stamps:
                raise SrayError(ErrorCode.BAD_FILE, f"there is no frame to write into {folder}; expected at least one")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise SrayError(
            ErrorCode.BAD_FILE, f"the bag {folder} cannot be written ({error}); expected a writable folder with space"
        ) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
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

    def __init__(self, writer: Writer, layout: BagLayout) -> None:
        self._writer = writer
        self._layout = layout
        self._store = get_typestore(Stores.ROS2_KILTED)
        self.topics: dict[str, Connection] = {}
        self.stamps: list[int] = []
        self.messages = 0

    def add(self, frame: Frame) -> None:
        pose = frame.camera.world_from_camera.double().numpy()
        if not np.isfinite(pose).all():
            raise SrayError(
                ErrorCode.BAD_POSE, f"frame {frame.name or frame.stamp_ns} has a pose that is not finite; leave it out"
            )
        layout, stamp = self._layout, frame.stamp_ns
        if not self.stamps:
            # A millisecond ahead: whoever plays the bag knows the static frames before the first picture.
            static = self._transform(layout.body_frame, layout.optical_frame, stamp, np.zeros(3), OPTICAL_IN_BODY)
            self._write("/tf_static", stamp - 1000 * _MICROSECOND, static)
        # Microseconds apart in recording time, so that any player keeps this order: pose first, picture last.
        self._write("/tf", stamp, self._body_pose(pose, stamp))
        self._write(layout.camera_info, stamp + _MICROSECOND, self._camera_info(frame.camera, stamp))
        if frame.labels is not None:
            self._write(layout.labels, stamp + 2 * _MICROSECOND, self._image(frame.labels.numpy(), "mono8", stamp))
        if frame.depth is not None:
            metres = frame.depth.numpy().astype("<f4")
            self._write(layout.depth, stamp + 3 * _MICROSECOND, self._image(metres, "32FC1", stamp))
        self._write(layout.image, stamp + 4 * _MICROSECOND, self._image(frame.image.numpy(), "rgb8", stamp))
        self.stamps.append(stamp)

    def _write(self, topic: str, time_ns: int, message: Any) -> None:
        if topic not in self.topics:
            durable = topic == "/tf_static"
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

    def _image(self, pixels: NDArray[Any], encoding: str, stamp_ns: int) -> Any:
        height, width = pixels.shape[:2]
        raw = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
        return self._make(
            "sensor_msgs/msg/Image",
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
