"""For tests: what the node should have rendered, by the model itself, from the very keyframes that the node holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image, PointCloud2
from sensor_msgs_py import point_cloud2

from rig.mapper import MapperProcess, seconds_of
from sray.camera import Camera
from sray.checkpoint import load_checkpoint
from sray.field import RenderConfig, RenderedView, SemanticField
from sray.frames import Frame, SourceViews
from sray.mapping.session import Session
from sray_interfaces.action import RenderView
from sray_interfaces.srv import ListKeyframes, SaveSession
from sray_ros.common.error_codes import ErrorCode
from sray_ros.common.parameters import declared_in
from sray_ros.common.poses import matrix_of_pose
from sray_ros.mapper.parameters import MapperSettings

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SETTINGS: dict[str, Any] = {
    "keyframes.min_sharpness": 0.0,
    "render.min_opacity": 0.0,
    "render.quality": "fast",
    "depth.use": False,  # it guides the samples, and whether the first picture meets its depth in time varies
    "cloud.stride": 1,
    "cloud.max_jump": 1e6,
    "map.min_sightings": 1,
    "map.min_neighbors": 0,
    "map.max_looked_through": 1e6,
    "near": 0.5,
    "far": 4.0,
}
"""Of a mapper whose views can be foretold to the bit."""


def as_started(settings: dict[str, Any]) -> dict[str, Any]:
    """Every parameter that can be set, as it was when a node with these settings started; for MapperProcess.set."""
    fixed = ("data_dir", "model.path")
    return {
        p.name.replace(".", "__"): settings.get(p.name, p.default)
        for p in declared_in(MapperSettings)
        if p.name not in fixed
    }


class Oracle:
    """Takes the keyframes out of a saved session: their poses are those of the node, to the last digit."""

    def __init__(self, mapper: MapperProcess, data_dir: Path, model_file: Path) -> None:
        saved = mapper.service(SaveSession, "save_session", SaveSession.Request(file="oracle"))
        assert ErrorCode(saved.error_code) is ErrorCode.OK, saved.error_text
        self.frames: dict[int, Frame] = dict(Session.load(data_dir / "oracle.safetensors").keyframes)
        self._model = load_checkpoint(model_file).model

    def render(
        self,
        ids: Iterable[int],
        camera: Camera,
        *,
        bounds: tuple[float, float] = (0.5, 4.0),
        quality: str = "fast",
        scale: float = 1.0,
        **config: Any,
    ) -> RenderedView:
        """`camera` at `scale`, from the keyframes with these ids, best first."""
        field = SemanticField(self._model, replace(RenderConfig.preset(quality), **{"min_opacity": 0.0, **config}))
        sources = [self.frames[number] for number in ids]
        features = torch.stack([field.encode(frame.image, frame.camera) for frame in sources])
        field.set_sources(SourceViews.from_frames(sources), features, bounds)
        return field.render(camera, scale=scale)


def as_heard(camera: Camera, pose: PoseStamped) -> Camera:
    """The camera of a request with this pose: a quaternion rounds."""
    return Camera.at(matrix_of_pose(pose.pose), camera.intrinsics, camera.width, camera.height)


def pose_of(camera: Camera) -> PoseStamped:
    message = PoseStamped()
    message.header.frame_id = "map"
    pose = camera.world_pose
    p, q = message.pose.position, message.pose.orientation
    p.x, p.y, p.z = (float(value) for value in pose[:3, 3])
    q.x, q.y, q.z, q.w = (float(value) for value in Rotation.from_matrix(pose[:3, :3]).as_quat())
    return message


def goal_for(camera: Camera, **wanted: Any) -> RenderView.Goal:
    goal = RenderView.Goal(**wanted)
    goal.viewpoint = pose_of(camera)
    return goal


def view(mapper: MapperProcess, camera: Camera, **wanted: Any) -> RenderView.Result:
    """The answer to a goal, which must be one."""
    result = mapper.answer(mapper.ask(goal_for(camera, **wanted))).result
    assert ErrorCode(result.error_code) is ErrorCode.OK, result.error_text
    return result


def pixels(message: Image, kind: type = np.uint8) -> np.ndarray:
    channels = (3,) if message.encoding == "rgb8" else ()
    return np.frombuffer(message.data, kind).reshape(message.height, message.width, *channels)


def points_of(message: PointCloud2) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """xyz (n, 3), rgb (n, 3), label (n,), confidence (n,)."""
    points = point_cloud2.read_points(message)
    packed = points["rgb"].view(np.uint32)
    rgb = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1)
    return np.stack([points[axis] for axis in "xyz"], axis=-1), rgb, points["label"], points["confidence"]


def at(messages: list[Any], second: float) -> Any:
    """The one message of this stamp."""
    found = [message for message in messages if seconds_of(message.header.stamp) == second]
    assert len(found) == 1, f"{len(found)} messages at {second}, of {len(messages)}"
    return found[0]


def keyframes(mapper: MapperProcess) -> ListKeyframes.Response:
    return mapper.service(ListKeyframes, "list_keyframes", ListKeyframes.Request())


def stamps(mapper: MapperProcess) -> list[float]:
    """Seconds of the keyframes held."""
    return [seconds_of(keyframe.stamp) for keyframe in keyframes(mapper).keyframes]
