"""Messages to arrays and back, poses, lenses, the inbox, the parameters: without a node, value by value."""

from __future__ import annotations

import array
import copy
import threading

import cv2
import numpy as np
import pytest
import torch
from cv_bridge import CvBridge
from geometry_msgs.msg import Pose, Transform
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sray.camera import Camera
from sray.camera_info import read_camera_info
from sray.errors import CalibrationError, PictureError, PoseError, SrayError
from sray.frames import Frame
from sray.label_space import ROOMS
from sray.mapping.keyframes import KeyframeBuffer, KeyframeConfig
from sray.rectification import Rectifier
from sray_ros.common import conversions
from sray_ros.common.conversions import camera_info_message, image_message, label_info_message, read_depth, read_image
from sray_ros.common.inbox import Inbox, Lane
from sray_ros.common.parameters import declared_in, snapshot
from sray_ros.common.poses import body_pose, matrix_of_pose, matrix_of_transform, pose_of_matrix, transform_of_matrix
from sray_ros.mapper.frame_reader import camera_of_request
from sray_ros.mapper.legend import ROW, legend
from sray_ros.mapper.outputs import poses_of
from sray_ros.mapper.parameters import MapperSettings

RNG = np.random.default_rng(0)
RGB = cv2.resize(RNG.integers(0, 256, (6, 8, 3), np.uint8), (64, 48), interpolation=cv2.INTER_CUBIC)
K = np.array([[60.0, 0, 31.0], [0, 61.0, 24.5], [0, 0, 1]])


def message_of(picture: np.ndarray, encoding: str) -> Image:
    return image_message(Header(), picture, encoding)


def info_with(d: list[float] | None = None, model: str = "plumb_bob") -> CameraInfo:
    info = CameraInfo(width=64, height=48, distortion_model=model)
    info.k = K.reshape(-1).tolist()
    info.p = np.hstack([K * [[0.5], [0.5], [1]] + [[0, 0, 16], [0, 0, 12], [0, 0, 0]], np.zeros((3, 1))]).reshape(-1)
    info.d = d or []
    return info


def kind_of(action: object, *arguments: object) -> type[SrayError]:
    assert callable(action)
    with pytest.raises(SrayError) as caught:
        action(*arguments)
    return type(caught.value)


@pytest.mark.parametrize(
    ("encoding", "code"),
    [("rgb8", None), ("bgr8", cv2.COLOR_RGB2BGR), ("rgba8", cv2.COLOR_RGB2RGBA), ("bgra8", cv2.COLOR_RGB2BGRA)],
)
def test_color_encodings_read_as_the_same_rgb(encoding: str, code: int | None) -> None:
    sent = RGB if code is None else cv2.cvtColor(RGB, code)
    np.testing.assert_array_equal(read_image(message_of(sent, encoding)), RGB)


class ReadsWholePixels(CvBridge):
    """Takes a row for as many whole pixels as its bytes are enough for, as the official cv_bridge does."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> np.ndarray:
        scalar, channels = self.encoding_to_dtype_with_channels(img_msg.encoding)
        pixel = np.dtype(scalar).itemsize * channels
        read = copy.copy(img_msg)
        read.step = img_msg.step // pixel * pixel
        return np.asarray(super().imgmsg_to_cv2(read, desired_encoding))


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgb16", "32FC1"])
def test_rows_padded_to_no_whole_pixel_are_read_straight(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "_BRIDGE", ReadsWholePixels())
    meters = RGB[:, :, 0].astype(np.float32) / 100 + 1
    sent = {"bgr8": RGB[:, :, ::-1], "rgb16": RGB.astype(np.uint16) * 257, "32FC1": meters}.get(encoding, RGB)
    message = message_of(sent, encoding)
    rows = np.frombuffer(message.data, np.uint8).reshape(48, -1)
    padded = np.pad(rows, ((0, 0), (0, 7)), constant_values=200)
    message.step += 7
    message.data = array.array("B", padded.tobytes())
    read, expected = (read_depth, meters) if encoding == "32FC1" else (read_image, RGB)
    np.testing.assert_array_equal(read(message), expected)
    message.data = message.data[: -message.step]
    assert kind_of(read, message) is PictureError


def test_gray_reads_as_rgb_and_depth_or_nonsense_is_refused() -> None:
    gray = RGB[:, :, 0].copy()
    np.testing.assert_array_equal(read_image(message_of(gray, "mono8")), np.stack([gray] * 3, axis=-1))
    assert kind_of(read_image, message_of(np.zeros((4, 4), np.float32), "32FC1")) is PictureError
    assert kind_of(read_image, message_of(gray, "nonsense")) is PictureError


def test_a_compressed_image_reads_as_rgb_and_a_broken_one_is_refused() -> None:
    png = cv2.imencode(".png", cv2.cvtColor(RGB, cv2.COLOR_RGB2BGR))[1].tobytes()
    message = CompressedImage(format="png", data=array.array("B", png))
    np.testing.assert_array_equal(read_image(message), RGB)
    broken = CompressedImage(format="png", data=array.array("B", png[:20]))
    assert kind_of(read_image, broken) is PictureError


def test_depth_is_meters_with_nan_where_there_is_none() -> None:
    meters = np.array([[1.5, np.nan, np.inf, 0.0, -1.0]], np.float32)
    np.testing.assert_array_equal(read_depth(message_of(meters, "32FC1")), [[1.5, np.nan, np.nan, np.nan, np.nan]])
    millimeters = np.array([[1500, 0, 65535]], np.uint16)
    np.testing.assert_allclose(read_depth(message_of(millimeters, "16UC1")), [[1.5, np.nan, 65.535]], rtol=1e-6)
    assert kind_of(read_depth, message_of(RGB, "rgb8")) is PictureError


def test_an_undistorted_image_is_opencvs_and_the_tables_follow_the_calibration() -> None:
    rectifier = Rectifier()
    for d in ([-0.3, 0.1, 0.001, 0.002, 0.0], [0.2, -0.1, 0.0, 0.0, 0.0]):
        calibration = read_camera_info(info_with(d), is_rectified=False)
        expected = cv2.undistort(RGB, K, np.array(d))
        inside = cv2.undistort(np.full_like(RGB, 255), K, np.array(d)) == 255
        found = rectifier.picture(calibration, RGB)
        # Both interpolate in fixed point, with tables of different precision.
        assert np.abs(found.astype(int) - expected)[inside].mean() < 1
        assert np.abs(expected.astype(int) - RGB).mean() > 2
        assert inside.all() == (d[0] < 0)
    # What the lens does not show is the nearest edge again: black would be blended into views.
    assert (expected[0, 0] == 0).all()
    for row, column in ((0, 0), (-1, -1)):
        assert np.abs(found[row, column].astype(int) - RGB[row, column]).max() <= 1
    # Also where the lens model folds back, in each corner the corner.
    folding = read_camera_info(info_with([-1.2, 0.0, 0.0, 0.0, 0.0]), is_rectified=False)
    found = rectifier.picture(folding, RGB)
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert (found[row, column] == RGB[row, column]).all()
    fisheye = read_camera_info(info_with([0.1, 0.01, 0.0, 0.0], "equidistant"), is_rectified=False)
    expected = cv2.fisheye.undistortImage(RGB, K, np.array([0.1, 0.01, 0.0, 0.0]), Knew=K)
    assert np.abs(rectifier.picture(fisheye, RGB).astype(int) - expected).mean() < 1


def test_undistorted_depth_invents_no_values_and_is_nan_outside() -> None:
    depth = np.where(np.arange(64) < 32, 1.0, 3.0).astype(np.float32)[None].repeat(48, 0)
    calibration = read_camera_info(info_with([0.3, 0.1, 0.0, 0.0, 0.0]), is_rectified=False)
    rectified = Rectifier().depth(calibration, depth)
    assert set(np.unique(rectified[np.isfinite(rectified)])) == {1.0, 3.0}
    assert np.isnan(rectified[0, 0])


def test_a_rectified_topic_uses_p_and_no_distortion() -> None:
    calibration = read_camera_info(info_with([-0.3, 0.1, 0.0, 0.0, 0.0]), is_rectified=True)
    assert calibration.is_pinhole
    assert calibration.intrinsics[0, 0] == K[0, 0] / 2
    assert Rectifier().picture(calibration, RGB) is RGB


def test_a_requested_camera_is_what_the_same_camera_info_is_for_pictures() -> None:
    info = info_with()
    for is_rectified in (False, True):
        expected = read_camera_info(info, is_rectified=is_rectified).intrinsics
        camera = camera_of_request(info, np.eye(4), is_rectified=is_rectified)
        np.testing.assert_allclose(camera.intrinsics, expected)
    info.p = [0.0] * 12  # of a client that fills in K alone
    np.testing.assert_allclose(camera_of_request(info, np.eye(4), is_rectified=True).intrinsics, K)


def test_camera_infos_that_cannot_be_right_are_refused() -> None:
    uncalibrated = info_with()
    uncalibrated.k[0] = 0.0
    infinite = info_with()
    infinite.k[2] = float("inf")
    for info in (
        uncalibrated,
        infinite,
        info_with([0.1], "plumb_bob"),
        info_with([0.1] * 4, "omnidirectional"),
    ):
        assert kind_of(read_camera_info, info) is CalibrationError
    assert kind_of(read_camera_info(info_with()).of_pictures, 64, 40) is CalibrationError


@given(st.integers(0, 10_000))
def test_poses_are_scipys_and_come_back(seed: int) -> None:
    generator = np.random.default_rng(seed)
    rotation = Rotation.random(random_state=generator)
    if seed % 3 == 0:  # half turns, where formulas with special cases break
        rotation = Rotation.from_rotvec(np.pi * np.eye(3)[seed % 9 // 3])
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = generator.normal(size=3)
    q = pose.orientation
    q.x, q.y, q.z, q.w = rotation.as_quat()
    matrix = matrix_of_pose(pose)
    np.testing.assert_allclose(matrix[:3, :3], rotation.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(matrix_of_pose(pose_of_matrix(matrix)), matrix, atol=1e-12)
    np.testing.assert_allclose(matrix_of_transform(transform_of_matrix(matrix)), matrix, atol=1e-12)


def test_the_body_of_a_camera_looks_along_x_with_z_up() -> None:
    pose = np.eye(4)
    pose[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # level: looks along world y, image down is world -z
    body = matrix_of_pose(body_pose(pose))
    np.testing.assert_allclose(body[:3, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(body[:3, 2], [0, 0, 1], atol=1e-12)


def test_keyframes_are_shown_where_they_are_and_worked_out_once() -> None:
    buffer = KeyframeBuffer(KeyframeConfig(capacity=3))
    poses: dict[int, Pose] = {}
    for number, x in enumerate((0.0, 1.0, 1.25, 3.0, 5.0)):
        pose = torch.eye(4)
        pose[0, 3] = x
        camera = Camera(torch.from_numpy(K).float(), pose, 64, 48)
        buffer.add(Frame(torch.from_numpy(RGB), camera), torch.zeros(1, 1, 1))
        before, poses = poses, poses_of(buffer, poses)
        assert all(poses[known] is before[known] for known in before.keys() & poses.keys())
        assert (list(poses)[-1], poses[number].position.x) == (number, x)
        np.testing.assert_allclose(matrix_of_pose(poses[number])[:3, 0], [0, 0, 1], atol=1e-12)
    assert [pose.position.x for pose in poses.values()] == [1.25, 3.0, 5.0]  # 1.0 left, then 0.0


def test_a_quaternion_of_length_0_and_a_nan_are_refused() -> None:
    zero = Transform()
    zero.rotation.w = 0.0
    nan = Pose()
    nan.position.x = float("nan")
    assert kind_of(matrix_of_transform, zero) is PoseError
    assert kind_of(matrix_of_pose, nan) is PoseError


def test_camera_info_and_label_info_say_what_the_library_says() -> None:
    camera = Camera(torch.from_numpy(K).float(), torch.eye(4), 64, 48)
    info = camera_info_message(Header(frame_id="camera"), camera)
    assert (info.width, info.height, info.header.frame_id) == (64, 48, "camera")
    np.testing.assert_allclose(read_camera_info(info).intrinsics, K, rtol=1e-6)
    np.testing.assert_allclose(read_camera_info(info, is_rectified=True).intrinsics, K, rtol=1e-6)
    labels = label_info_message(Header(), ROOMS, 0.25)
    assert [entry.class_name for entry in labels.class_map] == [*ROOMS.names, "UNLABELED"]
    assert [entry.class_id for entry in labels.class_map] == [*range(16), 255]
    assert labels.threshold == 0.25


def test_the_legend_shows_each_color_in_its_row() -> None:
    picture = legend(ROOMS)
    rows = [tuple(picture[ROW * index + 12, 20].tolist()) for index in range(17)]
    assert rows == [*ROOMS.colors, (0, 0, 0)]


def test_the_inbox_lets_the_oldest_go_and_gives_lanes_their_turn() -> None:
    images, jobs = Lane("images", 2, at_once=True), Lane("jobs", 3)
    inbox = Inbox((images, jobs))
    assert inbox.put(images, "early") == ["early"]  # still closed
    inbox.open()
    assert [inbox.put(images, item) for item in "abc"] == [[], [], ["a"]]
    for item in (1, 2):
        inbox.put(jobs, item)
    assert inbox.dropped == {"images": 1, "jobs": 0}
    assert (inbox.waiting(images), inbox.waiting(jobs)) == (2, 2)
    assert inbox.take() == ["b", "c"]
    inbox.put(images, "d")
    assert [inbox.take(), inbox.take()] == [[1], ["d"]]
    assert inbox.remove_if(jobs, lambda item: item == 2) == [2]
    inbox.put(jobs, 3)
    assert inbox.close() == [3]
    assert inbox.take() is None


def test_closing_wakes_who_waits_for_work() -> None:
    inbox = Inbox((Lane("jobs", 1),))
    inbox.open()
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(inbox.take()))
    thread.start()
    inbox.close()
    thread.join(5)
    assert taken == [None]


def test_every_parameter_accepts_its_default_and_refuses_beyond_its_bounds_by_name() -> None:
    for parameter in declared_in(MapperSettings):
        assert parameter.complaint(parameter.default) is None
        if parameter.within is not None:
            for beyond in (parameter.within[0] - 1, parameter.within[1] + 1, float("nan")):
                assert str(parameter.complaint(beyond)).startswith(f"{parameter.name} is {beyond}; expected ")
    assert snapshot(MapperSettings, {}) == MapperSettings()
    with pytest.raises(ValueError, match="views.min is 9"):
        snapshot(MapperSettings, {"views.min": 9})
    with pytest.raises(ValueError, match=r"near is 2.0 and far 1.0"):
        snapshot(MapperSettings, {"near": 2.0, "far": 1.0})


def test_the_memory_budget_is_the_keyframes() -> None:
    assert MapperSettings().mapper_config().keyframes.memory_budget == 0
    settings = snapshot(MapperSettings, {"model.memory_budget": 512, "keyframes.capacity": 7})
    keyframes = settings.mapper_config().keyframes
    assert (keyframes.memory_budget, keyframes.capacity) == (512, 7)
