"""What goes out: values against each other and against the field, stamps and frames, map and cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from geometry_msgs.msg import PoseStamped
from reference.voxel_fusion import fuse, supported
from rig.mapper import OPTICAL_FRAME, MapperProcess, seconds_of, time_of
from rig.views import LATCHED, Oracle, as_heard, as_started, at, keyframes, pixels, points_of, pose_of
from rig.views import SETTINGS as EXACT
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from sray.camera import Camera
from sray.field import RenderedView
from sray.frames import Frame
from sray.label_space import VOID
from sray.view_selection import select_views
from sray_interfaces.srv import SaveMap

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {**EXACT}
VIEW_FRAME = "semantic_mapper_view_optical_frame"
IMAGES = {
    "label/image": np.uint8, "label/confidence": np.float32, "label/color": np.uint8, "label/overlay": np.uint8,
    "color/image": np.uint8, "depth/image": np.float32, "coverage": np.uint8,
}  # fmt: skip


@pytest.fixture(autouse=True)
def others_as_started(process: MapperProcess) -> Iterator[None]:
    yield
    assert process.set(**as_started(SETTINGS)) == ""


@pytest.fixture
def heard(process: MapperProcess) -> dict[str, list[Any]]:
    """Every output of a view, of a mapper that was started over with these listeners there."""
    kinds = {**dict.fromkeys(IMAGES, Image), "label/camera_info": CameraInfo, "points": PointCloud2}
    topics = {name: process.hear(kind, f"/semantic_mapper/{name}", 10) for name, kind in kinds.items()}
    process.start_over()
    return topics


def assert_consistent(heard: dict[str, list[Any]], second: float, frame_id: str, view: RenderedView) -> None:
    """All outputs of one view: stamp, frame, the field's own values, and the cloud on the label image, exactly."""
    messages = {name: at(messages, second) for name, messages in heard.items()}
    for name, message in messages.items():
        assert message.header.frame_id == ("map" if name == "points" else frame_id), name
    picture = {name: pixels(messages[name], kind) for name, kind in IMAGES.items()}
    label, color = picture["label/image"], picture["color/image"]
    np.testing.assert_array_equal(label, view.labels.numpy())
    np.testing.assert_array_equal(picture["label/confidence"], view.confidence.numpy())
    np.testing.assert_array_equal(picture["depth/image"], view.depth.numpy())
    np.testing.assert_array_equal(picture["coverage"], view.coverage.numpy())
    np.testing.assert_array_equal(color, (view.color.numpy() * 255).round().astype(np.uint8))
    np.testing.assert_allclose(np.array(messages["label/camera_info"].k).reshape(3, 3), view.camera.intrinsics)
    known = label != VOID
    classes = np.array([[200, 50, 50], [50, 200, 50], [50, 50, 200]])
    np.testing.assert_array_equal(picture["label/color"][known], classes[label[known]])
    assert (picture["label/color"][~known] == 0).all()
    np.testing.assert_array_equal(
        picture["label/overlay"][known], (color[known].astype(int) + classes[label[known]]) // 2
    )

    xyz, rgb, labels, confidence = points_of(messages["points"])
    projection = view.camera.project(torch.from_numpy(xyz))
    torch.testing.assert_close(projection.pixels, projection.pixels.round(), atol=0.02, rtol=0)
    columns, rows = projection.pixels.round().long().T.numpy()
    assert len(set(zip(rows, columns, strict=True))) == len(xyz) == known.sum(), "each labeled pixel is one point"
    np.testing.assert_array_equal(labels, label[rows, columns])
    np.testing.assert_array_equal(rgb, color[rows, columns])
    np.testing.assert_array_equal(confidence, picture["label/confidence"][rows, columns])
    np.testing.assert_allclose(projection.depth, picture["depth/image"][rows, columns], rtol=1e-5)


@pytest.mark.shows("~/label/image", "~/label/camera_info", "~/label/confidence", "~/label/color", "~/label/overlay",
                   "~/color/image", "~/depth/image", "~/coverage", "~/points", "semantic_mapper")  # fmt: skip
def test_a_cameras_view_has_its_stamp_its_frame_and_the_fields_values(
    process: MapperProcess, heard: dict[str, list[Any]], frames: list[Frame], data_dir: Path, model_file: Path
) -> None:
    frustums = process.hear(MarkerArray, "/semantic_mapper/frustums", LATCHED)
    seconds = process.send_in_lockstep(frames, 100.25)
    assert process.listener.until(lambda: all(len(messages) == 3 for messages in heard.values()))
    oracle = Oracle(process, data_dir, model_file)
    ids = {seconds_of(k.stamp): k.id for k in keyframes(process).keyframes}
    for index in (2, 3, 4):
        own = oracle.frames[ids[seconds[index]]]
        # Best first, as the mapper says it: from what it held then, without its own.

        earlier = [oracle.frames[ids[second]] for second in seconds[:index]]
        order = select_views(
            own.camera, Camera.stack([f.camera for f in earlier]), 8, bounds=(0.5, 4.0), min_overlap=0.02
        )
        view = oracle.render([ids[seconds[i]] for i in order], own.camera)
        assert_consistent(heard, seconds[index], OPTICAL_FRAME, view)
    assert process.listener.until(lambda: frustums and seconds_of(frustums[-1].markers[0].header.stamp) > 0)
    assert {marker.header.frame_id for message in frustums for marker in message.markers} == {"map"}


@pytest.mark.shows("viewpoint", "/tf (view)", "~/label/image", "~/points")
def test_a_viewpoints_view_is_where_tf_says_its_frame_is_at_its_stamp(
    process: MapperProcess,
    heard: dict[str, list[Any]],
    frames: list[Frame],
    plane_scene: PlaneScene,
    data_dir: Path,
    model_file: Path,
) -> None:
    listener = process.listener
    assert process.set(trigger="request") == ""
    seconds = process.send_in_lockstep(frames)
    told = process.hear(TFMessage, "/tf", 100)
    publisher = listener.node.create_publisher(PoseStamped, "viewpoint", 1)
    assert listener.until(publisher.get_subscription_count)
    oracle = Oracle(process, data_dir, model_file)
    camera = plane_scene.camera((0.05, 0.02, -0.1), yaw_degrees=3.0)

    def of_view(second: float) -> list[Any]:
        transforms = [t for message in told for t in message.transforms]
        return [t for t in transforms if t.child_frame_id == VIEW_FRAME and seconds_of(t.header.stamp) == second]

    # In the map, at a stamp of its own; then from the camera, which at that stamp stood where TF says.
    relative = pose_of(plane_scene.camera((0.05, 0.0, 0.1), yaw_degrees=-2.0))
    relative.header.frame_id = OPTICAL_FRAME
    camera_then = oracle.frames[keyframes(process).keyframes[1].id].camera.world_from_camera.double().numpy()
    in_map = pose_of(camera)
    for viewpoint, second, expected in (
        (in_map, 200.5, as_heard(camera, in_map)),
        (relative, seconds[1], None),
    ):
        viewpoint.header.stamp = time_of(second)
        publisher.publish(viewpoint)
        assert listener.until(lambda second=second: of_view(second) and len(heard["points"]) and all(
            any(seconds_of(m.header.stamp) == second for m in messages) for messages in heard.values()
        ))  # fmt: skip
        (transform,) = of_view(second)
        assert transform.header.frame_id == "map"
        q, t = transform.transform.rotation, transform.transform.translation
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        pose[:3, 3] = [t.x, t.y, t.z]
        if expected is None:
            wanted = camera_then @ as_heard(camera, relative).world_from_camera.double().numpy()
            np.testing.assert_allclose(pose, wanted, atol=1e-5)
            continue
        np.testing.assert_allclose(pose, expected.world_from_camera, atol=1e-6)
        # REP 103: the optical frame's z is forward: what is rendered lies before it, in TF's own words.
        xyz, *_ = points_of(at(heard["points"], second))
        assert (((xyz - pose[:3, 3]) @ pose[:3, :3])[:, 2] > 0.5).all()

        ids = list(oracle.frames)
        cameras = Camera.stack([frame.camera for frame in oracle.frames.values()])
        order = select_views(expected, cameras, 8, bounds=(0.5, 4.0), min_overlap=0.02)
        assert_consistent(heard, second, VIEW_FRAME, oracle.render([ids[i] for i in order], expected))
    listener.node.destroy_publisher(publisher)


@pytest.mark.shows("~/map", "map.voxel_size", "map.max_voxels", "~/save_map")
@pytest.mark.parametrize(("size", "most"), [(0.05, 500_000), (0.2, 500_000), (0.05, 60)])
def test_the_map_holds_the_fused_views_a_voxel_a_point(
    process: MapperProcess, frames: list[Frame], data_dir: Path, size: float, most: int
) -> None:
    assert process.set(map__voxel_size=size, map__max_voxels=most) == ""
    clouds = process.hear(PointCloud2, "/semantic_mapper/points", 10)
    process.start_over()  # takes effect when configured
    process.send_in_lockstep(frames)
    assert process.listener.until(lambda: len(clouds) == 3)
    views = [list(zip(*(part.tolist() for part in points_of(cloud)), strict=True)) for cloud in clouds]
    fused = fuse(views, size, most)
    saved = process.service(SaveMap, "save_map", SaveMap.Request(file="map"))
    assert saved.points == len(fused) <= most
    maps = process.hear(PointCloud2, "/semantic_mapper/map", LATCHED)
    assert process.listener.until(lambda: maps and maps[-1].width == len(fused))
    xyz, rgb, labels, confidence = points_of(maps[-1])
    found = [tuple(key) for key in np.floor(xyz.astype(float) / size).astype(int).tolist()]
    by_key = dict(zip(found, zip(xyz, rgb, labels, confidence, strict=True), strict=True))
    assert len(by_key) == len(xyz), "at most one point a voxel"
    assert set(by_key) == set(fused)
    for key, (mean, color, label, sureness, _) in fused.items():
        np.testing.assert_allclose(by_key[key][0], mean, atol=1e-4)
        np.testing.assert_allclose(by_key[key][1].astype(int), color, atol=0.51)
        assert by_key[key][2] == label
        assert by_key[key][3] == pytest.approx(sureness, abs=1e-4)


@pytest.mark.shows("~/map", "map.min_sightings", "map.min_neighbors", "~/save_map")
def test_the_map_leaves_out_what_few_views_saw_and_islands(process: MapperProcess, frames: list[Frame]) -> None:
    """At once and both ways: what is not shown is held."""
    size = 0.05
    clouds = process.hear(PointCloud2, "/semantic_mapper/points", 10)
    process.start_over()
    process.send_in_lockstep(frames)
    assert process.listener.until(lambda: len(clouds) == 3)
    views = [list(zip(*(part.tolist() for part in points_of(cloud)), strict=True)) for cloud in clouds]
    fused = fuse(views, size, 500_000)
    maps = process.hear(PointCloud2, "/semantic_mapper/map", LATCHED)
    counts = []
    for sightings, around in ((1, 0), (2, 0), (2, 3), (1, 0)):
        assert process.set(map__min_sightings=sightings, map__min_neighbors=around) == ""
        expected = set(supported(fused, sightings, around))
        assert process.listener.until(lambda expected=expected: maps and maps[-1].width == len(expected))
        xyz, *_ = points_of(maps[-1])
        assert {tuple(key) for key in np.floor(xyz.astype(float) / size).astype(int).tolist()} == expected
        saved = process.service(SaveMap, "save_map", SaveMap.Request(file="map"))
        assert saved.points == len(expected)
        counts.append(len(expected))
    assert counts[0] > counts[1] > counts[2] > 0 and counts[3] == counts[0]


@pytest.mark.shows("map.max_looked_through")
def test_the_map_leaves_out_what_views_look_through(process: MapperProcess, frames: list[Frame]) -> None:
    """At once and both ways. The stricter, the fewer; what is shown is among what there is."""
    process.start_over()
    maps = process.hear(PointCloud2, "/semantic_mapper/map", LATCHED)
    views = process.hear(PointCloud2, "/semantic_mapper/points", 10)
    process.send_in_lockstep(frames)
    assert process.listener.until(lambda: len(views) == 3 and bool(maps))
    shown = []
    for limit in (1e6, 0.0, 1e6):
        assert process.set(map__max_looked_through=limit) == ""
        saved = process.service(SaveMap, "save_map", SaveMap.Request(file="map"))
        assert process.listener.until(lambda saved=saved: maps[-1].width == saved.points)
        xyz, *_ = points_of(maps[-1])
        shown.append({tuple(point) for point in xyz.tolist()})
    assert shown[1] < shown[0] == shown[2]


@pytest.mark.shows("/diagnostics")
def test_diagnostics_count_what_was_done(process: MapperProcess, frames: list[Frame]) -> None:
    process.start_over()
    before = process.said("") and int(process.value("renders") or 0), int(process.value("frames too_close") or 0)
    process.send_in_lockstep([*frames, frames[4]])
    assert process.listener.until(lambda: process.value("images received") == "6")
    assert process.listener.until(lambda: int(process.value("renders") or 0) == before[0] + 3)
    assert int(process.value("frames too_close") or 0) == before[1] + 1
    facts = {key: process.value(key) for key in ("keyframes", "trigger", "images dropped", "requests waiting")}
    assert facts == {"keyframes": "5", "trigger": "keyframe", "images dropped": "0", "requests waiting": "0"}
    assert int(process.value("voxels") or 0) > 100
    assert float(process.value("latency seconds (median)") or 0) > 0
    names = [status.name for status in process.diagnostics[-1].status]
    assert names == ["semantic_mapper: output", "semantic_mapper: work"]
    assert float(process.value("memory MiB") or 0) > 50
