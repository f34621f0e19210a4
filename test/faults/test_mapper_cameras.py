"""What a camera says of its pictures is heeded by the node, or refused by name: turned, cropped, resized, of a lens."""

from __future__ import annotations

import array
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from PIL import Image as Pillow
from rig.mapper import OPTICAL_FRAME, MapperProcess, image_of, info_of, time_of, transform_of
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from sray.frames import Frame
from sray.mapping.session import Session
from sray_interfaces.srv import SaveSession

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {
    "keyframes.min_sharpness": 0.0, "keyframes.min_translation": 0.0, "keyframes.min_rotation": 0.0,
    "render.min_opacity": 0.0, "render.quality": "fast", "trigger": "request", "depth.use": True,
}  # fmt: skip


def kept(mapper: MapperProcess, data_dir: Path) -> list[Frame]:
    """The keyframes, as the node holds them."""
    assert mapper.service(SaveSession, "save_session", SaveSession.Request(file="kept")).error_text == ""
    return [frame for _, frame in Session.load(data_dir / "kept.safetensors").keyframes]


def sent(mapper: MapperProcess, frame: Frame, second: float, spoil: Callable[[Image, CameraInfo], None]) -> None:
    del mapper.handled[:], mapper.rosout[:]
    mapper.send(frame, second, spoil=spoil)
    mapper.wait_handled(second)


def encoded(picture: np.ndarray, kind: str, orientation: int) -> bytes:
    """A picture file whose EXIF tag says that its camera was held turned."""
    exif, file = Pillow.Exif(), io.BytesIO()
    exif[274] = orientation
    Pillow.fromarray(picture).save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {"lossless": True}))
    return file.getvalue()


def send_compressed(
    mapper: MapperProcess, frame: Frame, second: float, data: bytes, name: str, info: CameraInfo
) -> None:
    header = Header(stamp=time_of(second), frame_id=OPTICAL_FRAME)
    info.header = header
    mapper.tell_tf(transform_of(frame, second))
    mapper._info.publish(info)
    mapper._compressed.publish(CompressedImage(header=header, format=name, data=array.array("B", data)))
    mapper.wait_handled(second)


@pytest.fixture
def compressed(mapper: MapperProcess) -> Any:
    assert mapper.set(image_transport="compressed") == ""
    mapper.start_over()
    del mapper.handled[:]
    yield mapper
    assert mapper.set(image_transport="raw") == ""


@pytest.mark.fault("a compressed picture with an EXIF orientation: jpeg, png or webp", code="none",
                   says="nowhere: its pixels are taken as stored, turned only if camera_info is of the turned size",
                   recovery="none needed")  # fmt: skip
def test_a_turned_picture_is_taken_as_the_size_of_camera_info_tells(
    compressed: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    frame, second = frames[0], 100.0
    picture = frame.image.numpy()
    for kind in ("JPEG", "PNG", "WEBP"):
        for orientation in (1, 3, 6, 8):
            data = encoded(picture, kind, orientation)
            send_compressed(compressed, frame, second, data, kind.lower(), info_of(frame, Header()))
            second += 1
    stored = np.ascontiguousarray(
        np.rot90(picture)
    )  # lies on its side; turned by 90 degrees to the right it is upright
    send_compressed(compressed, frame, second, encoded(stored, "PNG", 6), "png", info_of(frame, Header()))
    found = kept(compressed, data_dir)
    assert len(found) == 13
    assert np.median(np.abs(found[0].image.numpy().astype(int) - picture)) < 8  # JPEG halves the resolution of color
    for each in found[1:4]:
        np.testing.assert_array_equal(each.image.numpy(), found[0].image.numpy())
    for each in found[4:]:
        np.testing.assert_array_equal(each.image.numpy(), picture)


@pytest.mark.fault("a compressed Bayer pattern", code="none", says="nowhere: its format names it",
                   recovery="none needed")  # fmt: skip
def test_a_compressed_bayer_pattern_is_colored(compressed: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    color = np.full((36, 48, 3), (200, 100, 40), np.uint8)
    pattern = color[..., 2].copy()
    pattern[::2, ::2], pattern[::2, 1::2], pattern[1::2, ::2] = 200, 100, 100  # rggb
    data = cv2.imencode(".png", pattern)[1].tobytes()
    send_compressed(compressed, frames[0], 100.0, data, "bayer_rggb8; png compressed ", info_of(frames[0], Header()))
    np.testing.assert_array_equal(kept(compressed, data_dir)[0].image.numpy()[4:-4, 4:-4], color[4:-4, 4:-4])


@pytest.mark.fault("16-bit pictures of a sensor of 10, 12 or 14 bits (mono16, rgb16, bayer_*16)", code="none",
                   says="nowhere: they are scaled by the bits that it fills", recovery="none needed")  # fmt: skip
def test_pictures_of_12_bits_are_not_black(mapper: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    gray = frames[0].image.numpy()[..., 1].copy()
    gray[0, 0] = 200  # as bright as takes all of 8 bits, and 12 of them
    for second, shift in ((100.0, 4), (101.0, 8)):  # from 16 bits on, the camera fills 16

        def deep(image: Image, info: CameraInfo, shift: int = shift) -> None:
            image.encoding, image.step = "mono16", 2 * image.width
            image.data = array.array("B", (gray.astype("<u2") << shift).tobytes())

        sent(mapper, frames[0], second, deep)
    for frame in kept(mapper, data_dir):
        np.testing.assert_array_equal(frame.image.numpy()[..., 0], gray)


@pytest.mark.fault("an ideal fisheye: camera_info says equidistant, and D is zero", code="none",
                   says="nowhere: it is undistorted like any fisheye", recovery="none needed")  # fmt: skip
def test_a_fisheye_without_coefficients_is_no_pinhole(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    def fisheye(image: Image, info: CameraInfo) -> None:
        info.distortion_model, info.d = "equidistant", [0.0] * 4

    sent(mapper, frames[0], 100.0, fisheye)
    picture, k = frames[0].image.numpy(), frames[0].camera.intrinsics.double().numpy()
    expected = cv2.fisheye.undistortImage(picture, k, np.zeros(4), Knew=k)
    found = kept(mapper, data_dir)[0].image.numpy()
    assert np.abs(found.astype(int) - expected).max() <= 6
    assert np.abs(found.astype(int) - picture).max() > 20


@pytest.mark.fault("K of a larger or a smaller picture than camera_info and image have", code="BAD_CAMERA_INFO",
                   says="log and diagnostics, with the principal point and the size that it is the middle of",
                   recovery="the next good camera_info")  # fmt: skip
@pytest.mark.parametrize("factor", [4.0, 2.0, 1.5, 0.5])
def test_k_of_another_size_is_refused(mapper: MapperProcess, frames: list[Frame], factor: float) -> None:
    def other(image: Image, info: CameraInfo) -> None:
        info.k = [factor * value for value in info.k[:8]] + [1.0]

    sent(mapper, frames[0], 100.0, other)
    assert mapper.says(f"camera_info has principal point ({factor * 23.5:.1f}, "), mapper.lines
    assert mapper.renders(frames[:3], 110.0)


@pytest.mark.fault("camera_info of another size than the image, but of its shape: the image was resized", code="none",
                   says="log, once, with both sizes: K is scaled", recovery="none needed")  # fmt: skip
def test_k_is_scaled_to_pictures_that_were_resized(mapper: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    def of_the_sensor(image: Image, info: CameraInfo) -> None:
        large = info_of(frames[0].resized(144, 108), info.header)
        info.k, info.width, info.height = large.k, large.width, large.height

    sent(mapper, frames[0], 100.0, of_the_sensor)
    assert mapper.logged("camera_info is of 144x108 pixels, the image has 48x36, the same shape"), mapper.lines
    np.testing.assert_allclose(kept(mapper, data_dir)[0].camera.intrinsics, frames[0].camera.intrinsics, atol=1e-4)


@pytest.mark.fault("camera_info with a region of interest, or with binning", code="none",
                   says="nowhere: K is that of the region, of larger pixels", recovery="none needed")  # fmt: skip
def test_a_region_and_binning_move_and_scale_k(mapper: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    def of_the_sensor(image: Image, info: CameraInfo) -> None:
        # The picture is the part of 96x72 pixels at (20, 10), of which two by two became one.
        sensor = info_of(frames[0].resized(96, 72), info.header)
        info.width, info.height = 140, 96
        info.k = sensor.k
        info.k[2], info.k[5] = info.k[2] + 20, info.k[5] + 10
        info.binning_x = info.binning_y = 2
        info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 20, 10, 96, 72

    sent(mapper, frames[0], 100.0, of_the_sensor)
    np.testing.assert_allclose(kept(mapper, data_dir)[0].camera.intrinsics, frames[0].camera.intrinsics, atol=1e-4)


@pytest.mark.shows("camera.stereo_frame")
@pytest.mark.fault("the second camera of a stereo pair (P[0,3] is not zero)", code="BAD_CAMERA_INFO",
                   says="log and diagnostics, with the baseline",
                   recovery="the first camera, or camera.stereo_frame: whose optical center the frame is")  # fmt: skip
def test_the_right_camera_of_a_pair_is_refused_until_its_frame_is_told(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    def right(image: Image, info: CameraInfo) -> None:
        info.p[3] = -0.12 * info.p[0]

    sent(mapper, frames[0], 100.0, right)
    assert mapper.says("it is the second camera of a stereo pair, 0.120 m beside the first"), mapper.lines
    pose = frames[0].camera.world_from_camera.double().numpy()
    for second, (meaning, shift) in enumerate((("own", 0.0), ("first", 0.12)), 101):
        assert mapper.set(camera__stereo_frame=meaning) == ""
        sent(mapper, frames[0], float(second), right)
        found = kept(mapper, data_dir)[-1].camera.world_from_camera.double().numpy()
        np.testing.assert_allclose(found[:3, 3], pose[:3, 3] + shift * pose[:3, 0], atol=1e-6)
    assert mapper.set(camera__stereo_frame="") == ""


def transform(frame_id: str, child: str, x: float, second: float) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header = Header(stamp=time_of(second), frame_id=frame_id)
    message.transform.translation.x, message.transform.rotation.w = x, 1.0
    return message


@pytest.mark.fault("depth in millimeters as 32FC1, of another shape than the image, or in another place",
                   code="BAD_ENCODING", says="log and diagnostics, with what was found; again after 5 s",
                   recovery="mapping goes on without this depth")  # fmt: skip
def test_depth_that_is_not_the_cameras_is_left_out(mapper: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    wall = np.full((36, 48), 2.0, np.float32)
    cases: list[tuple[np.ndarray, str, str]] = [  # of changing codes: one that goes on is logged every 5 s only
        (1000 * wall, OPTICAL_FRAME, "32FC1) has a median of 2000; expected meters"),
        (
            wall,
            "beside",
            f"depth is in frame 'beside', the image in '{OPTICAL_FRAME}', 0.050 m and 0.0 degrees away",
        ),
        (wall[:27], OPTICAL_FRAME, "a depth image is 48x27, the camera's image 48x36"),
        (wall, "nowhere", "and TF does not say that they are one place"),
    ]
    second = 100.0
    for depth, frame_id, words in [*cases, (wall, "alias", ""), (wall[::2, ::2], OPTICAL_FRAME, "")]:
        del mapper.handled[:], mapper.rosout[:]
        header = Header(stamp=time_of(second), frame_id=OPTICAL_FRAME)
        mapper.tell_tf(
            transform_of(frames[0], second),
            transform(OPTICAL_FRAME, "beside", 0.05, second), transform(OPTICAL_FRAME, "alias", 0.0, second),
        )  # fmt: skip
        message = Image(header=Header(stamp=header.stamp, frame_id=frame_id), encoding="32FC1")
        message.height, message.width = depth.shape
        message.step, message.data = 4 * message.width, array.array("B", np.ascontiguousarray(depth).tobytes())
        mapper._depth.publish(message)
        mapper.listener.until(lambda: False, 0.3)  # depth first: one that comes after its image may not be waited for
        mapper._info.publish(info_of(frames[0], header))
        mapper._image.publish(image_of(frames[0], header))
        mapper.wait_handled(second)
        if words:
            assert mapper.logged(words), mapper.lines
        second += 1
    depths = [frame.depth for frame in kept(mapper, data_dir)]
    assert [depth is not None for depth in depths] == [False] * 4 + [True] * 2
    assert all(depth is None or math.isclose(float(depth.mean()), 2.0) for depth in depths)
