"""The node as a process of its own: what comes back over DDS is, value for value, what the model says."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from geometry_msgs.msg import PoseArray, PoseStamped
from lifecycle_msgs.msg import Transition
from rig.mapper import ACTIVE, OPTICAL_FRAME, MapperProcess, seconds_of
from rig.views import LATCHED, at, goal_for, pixels, pose_of
from rig.views import SETTINGS as EXACT
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from sensor_msgs_py import point_cloud2
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import MarkerArray

from sray.camera import Camera
from sray.checkpoint import load_checkpoint
from sray.field import RenderConfig, RenderedView, SemanticField
from sray.frames import Frame, SourceViews
from sray_interfaces.action import RenderView
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = EXACT


def expected_view(model_file: Path, sources: list[Frame], camera: Camera) -> RenderedView:
    config = replace(RenderConfig.preset("fast"), min_opacity=0.0)
    field = SemanticField(load_checkpoint(model_file).model, config)
    features = torch.stack([field.encode(frame.image, frame.camera) for frame in sources])
    views = replace(SourceViews.from_frames(sources), depth=None)  # the node is told of no depth
    field.set_sources(views, features, (0.5, 4.0))
    return field.render(camera)


@pytest.mark.shows("semantic_mapper", "~/label/image", "~/points")
def test_the_label_image_of_a_keyframe_is_the_models_render_from_the_others(
    mapper: MapperProcess, frames: list[Frame], model_file: Path
) -> None:
    listener = mapper.listener
    topics = {
        name: mapper.hear(kind, f"/semantic_mapper/{name}", 10)
        for name, kind in {
            "label/image": Image, "label/confidence": Image, "label/color": Image, "label/overlay": Image,
            "color/image": Image, "depth/image": Image, "coverage": Image,
            "label/camera_info": CameraInfo, "points": PointCloud2,
        }.items()
    }  # fmt: skip
    mapper.start_over()  # its new publishers find the subscriptions there already
    seconds = mapper.send_in_lockstep(frames)
    assert listener.until(lambda: len(topics["label/image"]) == 3 and len(topics["points"]) == 3)
    # Two sources at least: the first two keyframes have not enough others.
    assert [seconds_of(message.header.stamp) for message in topics["label/image"]] == seconds[2:]

    label = at(topics["label/image"], seconds[4])
    assert (label.encoding, label.header.frame_id) == ("mono8", OPTICAL_FRAME)
    order = [keyframe_order(frames[4], frames[:4])[index] for index in range(4)]
    view = expected_view(model_file, [frames[index] for index in order], frames[4].camera)
    np.testing.assert_array_equal(pixels(label), view.labels.numpy())
    assert len(np.unique(pixels(label))) > 1
    np.testing.assert_array_equal(pixels(at(topics["coverage"], seconds[4])), view.coverage.numpy())
    confidence = pixels(at(topics["label/confidence"], seconds[4]), np.float32)
    # The poses went through a quaternion: float32 poses may differ in the last digit.
    np.testing.assert_allclose(confidence, view.confidence.numpy(), atol=1e-4)
    np.testing.assert_allclose(pixels(at(topics["depth/image"], seconds[4]), np.float32), view.depth, atol=1e-3)
    color = pixels(at(topics["color/image"], seconds[4]))
    np.testing.assert_allclose(color, view.color.numpy() * 255, atol=1.01)
    space = load_checkpoint(model_file).label_space
    np.testing.assert_array_equal(pixels(at(topics["label/color"], seconds[4])), space.colorize(pixels(label)))
    blend = (color.astype(int) + space.colorize(pixels(label))) // 2
    known = pixels(label) != 255
    overlay = pixels(at(topics["label/overlay"], seconds[4]))
    np.testing.assert_array_equal(overlay[known], blend[known])
    np.testing.assert_array_equal(overlay[~known], color[~known])
    info = at(topics["label/camera_info"], seconds[4])
    np.testing.assert_allclose(np.array(info.k).reshape(3, 3), frames[4].camera.intrinsics)

    cloud = at(topics["points"], seconds[4])
    assert cloud.header.frame_id == "map"
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb", "label", "confidence"]
    points = point_cloud2.read_points(cloud)
    assert len(points) == int(known.sum()) > 100
    projection = frames[4].camera.project(torch.from_numpy(np.stack([points[n] for n in "xyz"], axis=-1)))
    columns, rows = projection.pixels.round().long().T.numpy()
    torch.testing.assert_close(projection.pixels, projection.pixels.round(), atol=0.02, rtol=0)
    np.testing.assert_array_equal(points["label"], pixels(label)[rows, columns])
    np.testing.assert_array_equal(points["confidence"], confidence[rows, columns])
    packed = points["rgb"].view(np.uint32)
    rgb = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=-1)
    np.testing.assert_array_equal(rgb, color[rows, columns])


def keyframe_order(target: Frame, sources: list[Frame]) -> list[int]:
    from sray.view_selection import select_views

    return select_views(
        target.camera, Camera.stack([frame.camera for frame in sources]), 8, bounds=(0.5, 4.0), min_overlap=0.02
    )


@pytest.mark.shows("~/label/info", "~/legend", "~/keyframes", "~/frustums", "~/map")
def test_latched_topics_tell_late_listeners_what_there_is(mapper: MapperProcess, frames: list[Frame]) -> None:
    mapper.send_in_lockstep(frames)
    listener = mapper.listener
    infos = mapper.hear(LabelInfo, "/semantic_mapper/label/info", LATCHED)
    legends = mapper.hear(Image, "/semantic_mapper/legend", LATCHED)
    keyframes = mapper.hear(PoseArray, "/semantic_mapper/keyframes", LATCHED)
    frustums = mapper.hear(MarkerArray, "/semantic_mapper/frustums", LATCHED)
    maps = mapper.hear(PointCloud2, "/semantic_mapper/map", LATCHED)
    assert listener.until(lambda: infos and legends and keyframes and frustums and maps)
    assert [(c.class_id, c.class_name) for c in infos[0].class_map] == [
        (0, "red"), (1, "green"), (2, "blue"), (255, "UNLABELED"),
    ]  # fmt: skip
    assert pixels(legends[0]).shape[0] == 4 * 24
    assert pixels(legends[0])[12, 20].tolist() == [200, 50, 50]
    assert [marker.ns for marker in frustums[0].markers] == ["sources", "target"]
    assert len(frustums[0].markers[0].points) == 4 * 16
    assert 100 < maps[0].width < 5 * 48 * 36
    for pose, frame in zip(keyframes[0].poses, frames, strict=True):
        q, expected = pose.orientation, frame.camera.world_from_camera.double().numpy()
        forward = Rotation.from_quat([q.x, q.y, q.z, q.w]).apply([1, 0, 0])
        np.testing.assert_allclose(forward, expected[:3, 2], atol=1e-6)
        np.testing.assert_allclose([pose.position.x, pose.position.y, pose.position.z], expected[:3, 3], atol=1e-6)


@pytest.mark.shows("viewpoint", "/tf (view)")
def test_a_viewpoint_is_rendered_and_its_frame_is_told_to_tf(
    mapper: MapperProcess, frames: list[Frame], plane_scene: Any, model_file: Path
) -> None:
    listener = mapper.listener
    labels = mapper.hear(Image, "/semantic_mapper/label/image", 10)
    mapper.start_over()  # its new publishers find the subscription there already
    mapper.send_in_lockstep(frames)
    transforms = mapper.hear(TFMessage, "/tf", 100)
    publisher = listener.node.create_publisher(PoseStamped, "viewpoint", 1)
    assert listener.until(publisher.get_subscription_count)
    camera = plane_scene.camera((0.05, 0.02, 0.0), yaw_degrees=3.0)
    viewpoint = pose_of(camera)
    viewpoint.header.stamp.sec = 200
    publisher.publish(viewpoint)
    frame_id = "semantic_mapper_view_optical_frame"
    assert listener.until(lambda: any(message.header.frame_id == frame_id for message in labels))
    label = at(labels, 200.0)
    order = keyframe_order(Frame(frames[0].image, camera), frames)
    np.testing.assert_array_equal(
        pixels(label), expected_view(model_file, [frames[i] for i in order], camera).labels.numpy()
    )

    def told_of_view() -> list[Any]:
        return [t for message in transforms for t in message.transforms if t.child_frame_id == frame_id]

    assert listener.until(told_of_view)
    told = told_of_view()
    assert [(t.header.frame_id, t.header.stamp.sec) for t in told] == [("map", 200)]
    assert told[0].transform.translation.x == pytest.approx(0.05)


@pytest.mark.shows("~/render_view", "error NO_KEYFRAMES", "error INACTIVE")
def test_render_view_answers_by_state_and_with_the_models_render(
    mapper: MapperProcess, frames: list[Frame], plane_scene: Any, model_file: Path
) -> None:
    camera = plane_scene.camera((0.05, 0.02, 0.0))
    early = mapper.answer(mapper.ask(goal_for(camera))).result
    assert ErrorCode(early.error_code) is ErrorCode.NO_KEYFRAMES
    assert "expected" in early.error_text
    mapper.send_in_lockstep(frames)
    result = mapper.answer(mapper.ask(goal_for(camera, want_points=True, want_label=True, want_depth=True))).result
    assert ErrorCode(result.error_code) is ErrorCode.OK
    order = keyframe_order(Frame(frames[0].image, camera), frames)
    view = expected_view(model_file, [frames[i] for i in order], camera)
    np.testing.assert_array_equal(pixels(result.label), view.labels.numpy())
    assert result.color.data.tolist() == []
    assert result.points.width == int((view.labels != 255).sum())
    assert [i % 5 for i in result.keyframe_ids] == order
    assert result.model_id == load_checkpoint(model_file).id
    assert 0 < result.seconds < 30
    assert mapper.transition(Transition.TRANSITION_DEACTIVATE)
    assert ErrorCode(mapper.answer(mapper.ask(goal_for(camera))).result.error_code) is ErrorCode.INACTIVE
    assert mapper.activate()
    again = mapper.answer(mapper.ask(goal_for(camera, want_label=True, scale=0.5, camera_info=result.camera_info)))
    assert ErrorCode(again.result.error_code) is ErrorCode.OK, "keyframes outlast a deactivation"
    assert (again.result.label.width, again.result.label.height) == (24, 18)


@pytest.mark.shows("error CANCELED", "~/render_view")
def test_a_render_is_canceled_promptly_and_the_next_one_answers(
    mapper: MapperProcess, frames: list[Frame], plane_scene: Any
) -> None:
    mapper.send_in_lockstep(frames[:3])
    camera = plane_scene.camera((0.05, 0.02, 0.0)).resized(1600, 1200)
    info = CameraInfo(width=1600, height=1200)
    info.k = camera.intrinsics.double().reshape(-1).tolist()
    running, waiting = (mapper.ask(goal_for(camera, camera_info=info)) for _ in range(2))
    started = time.monotonic()
    for handle in (waiting, running):
        handle.cancel_goal_async()
        assert ErrorCode(mapper.answer(handle).result.error_code) is ErrorCode.CANCELED
    assert time.monotonic() - started < 5
    small = plane_scene.camera((0.05, 0.02, 0.0))
    assert ErrorCode(mapper.answer(mapper.ask(goal_for(small))).result.error_code) is ErrorCode.OK


@pytest.mark.shows("error INACTIVE")
def test_a_deactivation_answers_whoever_waits(mapper: MapperProcess, frames: list[Frame], plane_scene: Any) -> None:
    mapper.send_in_lockstep(frames[:3])
    camera = plane_scene.camera((0.05, 0.02, 0.0)).resized(1600, 1200)
    info = CameraInfo(width=1600, height=1200)
    info.k = camera.intrinsics.double().reshape(-1).tolist()
    rendered, queued = (mapper.ask(goal_for(camera, camera_info=info)) for _ in range(2))
    client = mapper.listener.client(Trigger, "/semantic_mapper/clear")
    cleared = client.call_async(Trigger.Request())
    assert mapper.set(tf__timeout=60.0) == ""
    try:
        nowhere = RenderView.Goal()
        nowhere.viewpoint.header.frame_id = "nowhere"
        poseless = mapper.ask(nowhere)
        assert mapper.transition(Transition.TRANSITION_DEACTIVATE)
        for handle in (rendered, queued, poseless):
            assert ErrorCode(mapper.answer(handle).result.error_code) is ErrorCode.INACTIVE
        assert mapper.listener.until(cleared.done)
        assert not cleared.result().success
        assert cleared.result().message.startswith("INACTIVE: ")
    finally:
        mapper.listener.node.destroy_client(client)
        assert mapper.set(tf__timeout=0.2) == ""


def test_sigint_while_rendering_ends_the_node_with_0_within_3_seconds(
    mapper: MapperProcess, frames: list[Frame], plane_scene: Any
) -> None:
    # The last test of this file: it ends the shared node.
    mapper.send_in_lockstep(frames[:3])
    assert mapper.state == ACTIVE
    camera = plane_scene.camera((0.05, 0.02, 0.0)).resized(1600, 1200)
    info = CameraInfo(width=1600, height=1200)
    info.k = camera.intrinsics.double().reshape(-1).tolist()
    mapper.ask(goal_for(camera, camera_info=info))
    mapper.listener.end(mapper.process, signal.SIGINT, within=3.0)
