"""MapperSource: a running mapper as the source of a viewer, over topics, services and actions alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import tf2_ros
import torch
from geometry_msgs.msg import PoseArray
from jaxtyping import Float, UInt8
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from torch import Tensor
from vision_msgs.msg import LabelInfo

from sray.camera import Camera
from sray.errors import SrayError, StaleError
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.mapping.cloud import NO_POINTS, LabeledCloud
from sray.viewing.source import Answer, Settings, ShownKeyframe, Status, Tuning
from sray_interfaces.srv import ListKeyframes, SaveMap, SaveSession
from sray_ros.common.conversions import nanoseconds, read_image
from sray_ros.common.error_codes import InactiveError, with_code
from sray_ros.common.poses import matrix_of_pose, matrix_of_transform
from sray_ros.common.tf_thread import TfThread
from sray_ros.viewer import api
from sray_ros.viewer.asking import Mapper
from sray_ros.viewer.heard_pictures import HeardPictures
from sray_ros.viewer.reading import camera_of, cloud_of_message, space_of_message, view_of_result
from sray_ros.viewer.tuning import MapperTuning

LOOK_PERIOD = 0.5
ANSWERED = 20.0
"""Seconds after which a mapper that has not told its keyframes is taken to be gone."""
SILENCE = 5.0
"""Seconds between two questions for the keyframes when nothing says that they have changed."""
GUESSED_FOCAL = 0.8
"""Focal length over width, until the mapper has told its camera's."""
PARAMETERS = ("render.quality", "render.max_latency", "render.min_confidence", "map.voxel_size")


class MapperSource:
    """Hears what the mapper publishes; a thread of its own asks for what it does not: it may block, callbacks may not.

    A mapper that ends or starts again is noticed by its keyframes: what was heard of the old one is forgotten.
    """

    def __init__(self, node: Node, mapper: str) -> None:
        self._node = node
        self._mapper = Mapper(node, mapper)
        self._tuning = MapperTuning(node, self._mapper)
        self._space: LabelSpace = LABEL_SPACES["rooms"]
        self._map_frame = ""
        self._cloud: PointCloud2 | None = None
        self._clouds = self._voxels = 0
        self._read: tuple[int, LabeledCloud] = (0, NO_POINTS)
        self._shown: tuple[ShownKeyframe, ...] = ()
        self._pictures = HeardPictures()
        self._info: CameraInfo | None = None
        """Of the mapper's camera; None: not told yet."""
        self._handled: Header | None = None
        self._running: tuple[Header | None, Camera | None] = (None, None)
        self._settings = Settings()
        self._voxel_size, self._model_id = 0.0, ""
        self._is_alive, self._revision = False, 0
        self._has_changed, self._ending = threading.Event(), threading.Event()
        for topic, callback in (
            (api.LABEL_INFO, self._on_label_info),
            (api.KEYFRAMES, self._on_keyframes),
            (api.KEYFRAME_IMAGE, self._on_keyframe_image),
            (api.HANDLED, self._on_handled),
        ):
            node.create_subscription(topic.type, topic.name.replace("~", mapper, 1), callback, topic.qos)
        self._hear_map()
        self._tf = tf2_ros.Buffer()
        self._tf_thread = TfThread(
            self._tf, node, lambda error: node.get_logger().warning(f"TF: {error}"), self._frames_asked_for
        )
        self._asker = threading.Thread(target=self._ask, name="asking", daemon=True)
        self._asker.start()

    def close(self) -> None:
        self._ending.set()
        self._has_changed.set()
        self._asker.join(5)
        self._tf_thread.close()

    # --- what is heard

    def _hear_map(self) -> None:
        """From now on, and the last one of a mapper that is there."""
        name = api.MAP.name.replace("~", self._mapper.name, 1)
        self._map = self._node.create_subscription(api.MAP.type, name, self._on_map, api.MAP.qos)

    def _on_label_info(self, info: LabelInfo) -> None:
        self._space = space_of_message(info)

    def _on_map(self, cloud: PointCloud2) -> None:
        self._cloud, self._clouds, self._voxels = cloud, self._clouds + 1, cloud.width * cloud.height

    def _on_keyframes(self, _: PoseArray) -> None:
        self._has_changed.set()

    def _on_keyframe_image(self, image: Image) -> None:
        self._pictures.add(nanoseconds(image.header.stamp), image, {keyframe.stamp_ns for keyframe in self._shown})

    def _on_handled(self, header: Header) -> None:
        self._handled = header

    def _frames_asked_for(self) -> tuple[str, ...]:
        header = self._handled
        return () if header is None else (header.frame_id,)

    # --- what is asked for

    def _ask(self) -> None:
        """Keyframes when they have changed, and now and then, as nothing tells of a mapper that has gone."""
        while not self._ending.is_set():
            self._has_changed.wait(SILENCE if self._is_alive else LOOK_PERIOD)
            if self._ending.is_set():
                return
            self._has_changed.clear()
            try:
                self._look_at_keyframes()
            except SrayError as error:
                if self._is_alive:
                    self._node.get_logger().warning(with_code(error))
                self._is_alive = False
                if not self._mapper.is_there:
                    self._tuning.ended(error.found)
            except Exception as error:  # a message that cannot be read: the next one may
                self._node.get_logger().error(f"what the mapper holds cannot be shown: {error!r}")
            self._ending.wait(LOOK_PERIOD)  # a mapper that enters keyframes all the time is asked twice a second

    def _look_at_keyframes(self) -> None:
        held = self._mapper.call("list_keyframes", ListKeyframes.Request(), ANSWERED)
        self._clouds += held.map_frame != self._map_frame  # a map that has come before is drawn now
        self._map_frame = held.map_frame
        if not self._is_alive:
            self._is_alive = True
            self._read_parameters()
        numbers = [keyframe.id for keyframe in held.keyframes]
        if self._shown and (not numbers or max(numbers) < self._shown[-1].number):
            self._forget()
        if self._info is None and numbers:
            self._ask_calibration(held)
        known = {(keyframe.number, keyframe.stamp_ns): keyframe for keyframe in self._shown}
        if (shown := tuple(self._keyframe(keyframe, known) for keyframe in held.keyframes)) != self._shown:
            self._shown = shown
        if held.model_id != self._model_id:
            self._model_id = held.model_id
            self._revision += 1

    def _keyframe(self, message: Any, known: dict[tuple[int, int], ShownKeyframe]) -> ShownKeyframe:
        stamp_ns = nanoseconds(message.stamp)
        old = known.get((message.id, stamp_ns))
        if old is not None and old.has_labels == message.has_labels:
            return old
        return ShownKeyframe(message.id, self._camera(message), stamp_ns, message.has_depth, message.has_labels)

    def _camera(self, message: Any) -> Camera:
        """A keyframe's: its pose, with the intrinsics of the mapper's camera at the keyframe's size."""
        pose, width, height = matrix_of_pose(message.pose), message.width, message.height
        if self._info is not None:
            return camera_of(self._info, pose).resized(width, height)
        focal = GUESSED_FOCAL * width
        intrinsics = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        return Camera.at(pose, intrinsics, width, height)

    def _ask_calibration(self, held: ListKeyframes.Response) -> None:
        try:
            self._info = self._mapper.calibration(self._camera(held.keyframes[-1]), held.map_frame)
        except SrayError as error:
            if isinstance(error, StaleError | InactiveError):
                raise
            self._has_changed.set()  # too few views as yet: again soon
        else:
            self._shown = ()

    def _read_parameters(self) -> None:
        values = self._mapper.parameters(*PARAMETERS)
        self._settings = Settings(*(values.get(name, default) for name, default in zip(
            PARAMETERS, ("balanced", 0.0, 0.0), strict=False
        )))  # fmt: skip
        self._voxel_size = float(values.get("map.voxel_size", 0.0))
        self._revision += 1

    def _forget(self) -> None:
        """The mapper has begun anew. Its map may have come before its keyframes were asked for: hear it again."""
        self._shown, self._info = (), None
        self._node.destroy_subscription(self._map)
        self._cloud, self._clouds, self._voxels = None, self._clouds + 1, 0
        self._hear_map()
        self._revision += 1

    # --- as a Source

    @property
    def title(self) -> str:
        return self._mapper.name.strip("/")

    @property
    def label_space(self) -> LabelSpace:
        return self._space

    @property
    def voxel_size(self) -> float:
        return self._voxel_size

    def status(self) -> Status:
        text = f"{len(self._shown)} keyframes, {self._voxels:,} voxels, model {self._model_id or 'not known'}"
        if not self._is_alive:
            text = f"The mapper {self.title} does not answer. Shown is what it said last: {text}."
        return Status(text, self._is_alive, self._revision)

    def map_revision(self) -> int:
        return self._clouds

    def map(self) -> LabeledCloud:
        revision, cloud, map_frame = self._clouds, self._cloud, self._map_frame
        if not map_frame:
            return NO_POINTS
        if self._read[0] != revision:
            self._read = (revision, NO_POINTS if cloud is None else cloud_of_message(cloud, map_frame))
        return self._read[1]

    def keyframes(self) -> tuple[ShownKeyframe, ...]:
        return self._shown

    def picture(self, number: int) -> UInt8[Tensor, "height width 3"] | None:
        keyframe = next((each for each in self._shown if each.number == number), None)
        image = None if keyframe is None else self._pictures.get(keyframe.stamp_ns)
        return None if image is None else torch.from_numpy(read_image(image))

    def depth(self, number: int) -> Float[Tensor, "height width"] | None:
        return None  # the mapper does not tell it

    def running_camera(self) -> Camera | None:
        header = self._handled
        if header is None or header is self._running[0] or not self._map_frame or not self._shown:
            return self._running[1]
        try:
            transform = self._tf.lookup_transform(self._map_frame, header.frame_id, Time.from_msg(header.stamp))
        except tf2_ros.TransformException:
            return self._running[1]
        last = self._shown[-1].camera
        pose = matrix_of_transform(transform.transform)
        self._running = header, Camera.at(pose, last.intrinsics, last.width, last.height, last.origin)
        return self._running[1]

    def render(
        self,
        camera: Camera,
        *,
        is_preview: bool = False,
        own: ShownKeyframe | None = None,
        canceled: Callable[[], bool] = lambda: False,
    ) -> Answer:
        if not self._map_frame:
            raise self._mapper.away()
        result = self._mapper.view(camera, self._map_frame, 0 if own is None else own.stamp_ns, canceled)
        return Answer(view_of_result(result, camera), tuple(result.keyframe_ids))

    def settings(self) -> Settings:
        return self._settings

    def change(self, settings: Settings) -> None:
        self._mapper.set_parameters(
            render__quality=settings.quality,
            render__max_latency=settings.max_latency,
            render__min_confidence=settings.min_confidence,
        )
        self._settings = replace(settings)
        self._revision += 1

    def tuning(self) -> Tuning:
        return self._tuning.state

    def tune(self, steps: int, time_limit: float) -> None:
        self._tuning.start(steps, time_limit)

    def stop_tuning(self) -> None:
        self._tuning.stop()

    def use_model(self, which: Literal["before", "tuned"]) -> None:
        self._tuning.use(which)
        self._has_changed.set()

    def save_session(self, name: str) -> str:
        response = self._mapper.call("save_session", SaveSession.Request(file=name))
        return f"{response.keyframes} keyframes and the map in {response.path}, on the mapper's machine"

    def save_map(self, name: str) -> str:
        response = self._mapper.call("save_map", SaveMap.Request(file=name))
        return f"{response.points:,} points in {response.path}, on the mapper's machine"
