"""Pictures and calibrations that cannot be used: refused by name, and the next good ones work."""

from __future__ import annotations

import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rig.mapper import OPTICAL_FRAME, MapperProcess, info_of, time_of, transform_of
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sray.frames import Frame
from sray.mapping.session import Session
from sray_interfaces.srv import ListKeyframes, SaveSession
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {"keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast"}

Spoil = Callable[[Image, CameraInfo], None]


def cut_short(image: Image, info: CameraInfo) -> None:
    image.data = image.data[:100]


def without_pixels(image: Image, info: CameraInfo) -> None:
    image.width = image.height = image.step = 0
    image.data = array.array("B")


def unknown_encoding(image: Image, info: CameraInfo) -> None:
    image.encoding = "infrared9"


def uncalibrated(image: Image, info: CameraInfo) -> None:
    info.k = np.zeros(9)


def not_finite(image: Image, info: CameraInfo) -> None:
    info.k[4] = float("nan")


def other_size(image: Image, info: CameraInfo) -> None:
    info.width, info.k[2] = 96, 47.5


def unknown_lens(image: Image, info: CameraInfo) -> None:
    info.distortion_model, info.d = "kannala9", [0.1] * 5


def three_values(image: Image, info: CameraInfo) -> None:
    info.d = [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(
            unknown_encoding, "BAD_ENCODING: an image with encoding 'infrared9'",
            marks=pytest.mark.fault("an image with an unknown encoding", code="BAD_ENCODING",
                                    says="log and diagnostics, with the encoding", recovery="the next good image"),
        ),
        pytest.param(
            cut_short, "BAD_ENCODING: an image with encoding 'rgb8'",
            marks=pytest.mark.fault("an image cut short", code="BAD_ENCODING",
                                    says="log and diagnostics, with the bytes found and expected",
                                    recovery="the next good image"),
        ),
        pytest.param(
            without_pixels, "BAD_ENCODING: an image has 0x0 pixels; expected some",
            marks=pytest.mark.fault("an image of 0x0 pixels", code="BAD_ENCODING", says="log and diagnostics",
                                    recovery="the next good image"),
        ),
        pytest.param(
            uncalibrated, "BAD_CAMERA_INFO: camera_info has K[0] = 0",
            marks=pytest.mark.fault("camera_info of an uncalibrated camera (K is zero)", code="BAD_CAMERA_INFO",
                                    says="log and diagnostics", recovery="the next good camera_info"),
        ),
        pytest.param(
            not_finite, "BAD_CAMERA_INFO: camera_info has K = ",
            marks=pytest.mark.fault("camera_info with a value that is not finite", code="BAD_CAMERA_INFO",
                                    says="log and diagnostics, with K", recovery="the next good camera_info"),
        ),
        pytest.param(
            other_size, "BAD_CAMERA_INFO: camera_info has size 96x36, but the image is 48x36",
            marks=pytest.mark.fault("camera_info of another size than the image", code="BAD_CAMERA_INFO",
                                    says="log and diagnostics, with both sizes", recovery="the next good camera_info"),
        ),
        pytest.param(
            unknown_lens, "BAD_CAMERA_INFO: camera_info has distortion model 'kannala9'",
            marks=pytest.mark.fault("camera_info with an unknown distortion model", code="BAD_CAMERA_INFO",
                                    says="log and diagnostics, with the known ones",
                                    recovery="the next good camera_info, or camera.rectified"),
        ),
        pytest.param(
            three_values, "BAD_CAMERA_INFO: camera_info has 3 values in D",
            marks=pytest.mark.fault("camera_info with a wrong number of distortion values", code="BAD_CAMERA_INFO",
                                    says="log and diagnostics, with the numbers allowed",
                                    recovery="the next good camera_info"),
        ),
    ],
)  # fmt: skip
def test_a_bad_picture_is_refused_by_name_and_a_good_one_then_works(
    mapper: MapperProcess, frames: list[Frame], spoil: Spoil, words: str
) -> None:
    del mapper.handled[:], mapper.rosout[:]
    mapper.send(frames[0], 50.0, spoil=spoil)
    mapper.wait_handled(50.0)
    assert mapper.says(words), mapper.lines
    assert "Traceback" not in mapper.lines
    assert mapper.renders(frames[:3], 60.0)


@pytest.mark.fault("a compressed image that is none", code="BAD_ENCODING", says="log and diagnostics, with its format",
                   recovery="the next good image")  # fmt: skip
def test_bytes_that_are_no_picture_are_refused(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.set(image_transport="compressed") == ""
    try:
        mapper.start_over()
        before = int(mapper.fact("refused BAD_ENCODING") or 0)
        del mapper.rosout[:], mapper.handled[:]
        header = Header(stamp=time_of(50.0), frame_id=OPTICAL_FRAME)
        jpeg = cv2.imencode(".jpg", frames[0].image.numpy())[1].tobytes()
        for second, data in enumerate((b"", b"garbage" * 50, jpeg[:30]), 50):
            mapper.tell_tf(transform_of(frames[0], float(second)))
            header.stamp = time_of(float(second))
            mapper._info.publish(info_of(frames[0], header))
            mapper._compressed.publish(CompressedImage(header=header, format="jpeg", data=array.array("B", data)))
            mapper.wait_handled(float(second))
        assert mapper.says("BAD_ENCODING: a compressed image ('jpeg') is no whole jpeg, png"), mapper.lines
        assert mapper.fact("refused BAD_ENCODING") == str(before + 3)
        assert mapper.renders(frames[:3], 60.0)
    finally:
        assert mapper.set(image_transport="raw") == ""
    assert mapper.fact("refused INTERNAL") is None, mapper.log()


LENSES = {
    "plumb_bob": [0.25, -0.1, 0.004, -0.003, 0.02],
    "rational_polynomial": [0.25, -0.1, 0.004, -0.003, 0.02, 0.01, 0.0, 0.01],
    "equidistant": [0.1, 0.02, -0.01, 0.005],
}


@pytest.mark.fault("images of a lens that distorts (D is not zero)", code="none",
                   says="nowhere: they are undistorted", recovery="none needed")  # fmt: skip
@pytest.mark.parametrize("model", list(LENSES))
def test_a_distorted_picture_is_kept_as_opencv_undistorts_it(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path, model: str
) -> None:
    def distorted(image: Image, info: CameraInfo) -> None:
        info.distortion_model, info.d = model, LENSES[model]

    for second, frame in enumerate(frames[:2], 100):
        mapper.send(frame, float(second), spoil=distorted)
        mapper.wait_handled(float(second))
    saved = mapper.service(SaveSession, "save_session", SaveSession.Request(file=model))
    assert saved.error_text == ""
    (_, kept), _ = Session.load(data_dir / f"{model}.safetensors").keyframes
    k, d, picture = frames[0].camera.intrinsics.double().numpy(), np.array(LENSES[model]), frames[0].image.numpy()

    def undistorted(image: np.ndarray) -> np.ndarray:
        return cv2.fisheye.undistortImage(image, k, d, Knew=k) if model == "equidistant" else cv2.undistort(image, k, d)

    expected, inside = undistorted(picture), undistorted(np.full_like(picture, 255)) == 255
    # Both interpolate; OpenCV's one-call forms round positions to 1/32 pixel. Outside they are black, ours the edge.
    assert np.abs(kept.image.numpy().astype(int) - expected)[inside].max() <= 6 and inside.mean() > 0.8
    assert np.abs(kept.image.numpy().astype(int) - picture).max() > 40
    assert mapper.renders(frames[2:], 110.0)


@pytest.mark.fault("the camera's resolution changes while it runs", code="none",
                   recovery="~/clear takes the new size",
                   says="nowhere: keyframes keep the size of the first one")  # fmt: skip
def test_another_resolution_goes_on_with_one_size_of_keyframes(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    sent = [*frames[:2], *(frame.resized(96, 72) for frame in frames[2:4]), frames[4]]
    assert mapper.renders(sent, 100.0)
    listed = mapper.service(ListKeyframes, "list_keyframes", ListKeyframes.Request())
    assert ErrorCode(listed.error_code) is ErrorCode.OK
    assert [(keyframe.width, keyframe.height) for keyframe in listed.keyframes] == [(48, 36)] * 5
    assert mapper.service(SaveSession, "save_session", SaveSession.Request(file="sizes")).error_text == ""
    kept = Session.load(data_dir / "sizes.safetensors").keyframes[3][1]
    # Twice as large and back again: as before, but for interpolation.
    assert np.abs(kept.image.numpy().astype(int) - frames[3].image.numpy()).mean() < 6
    np.testing.assert_allclose(kept.camera.intrinsics, frames[3].camera.intrinsics, atol=1e-4)
