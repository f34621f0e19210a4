"""`sray bag --check`: each fault of a bag's messages is named with what to do, and what does no harm is a note."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_fixtures import Change, Message, problems, rewrite, without

from sray_train.tools.bags.check import check_bag


def edit(topic: str, change: Callable[[Any], None]) -> Change:
    def apply(message: Message) -> Message:
        if message[0] == topic:
            change(message[3])
        return message

    return apply


def setting(**values: Any) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        for name, value in values.items():
            setattr(message, name, value)

    return change


def shift_stamps(nanoseconds: int) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        stamp = message.header.stamp
        stamp.sec, stamp.nanosec = divmod(stamp.sec * 10**9 + stamp.nanosec + nanoseconds, 10**9)

    return change


def no_stamp(message: Any) -> None:
    message.header.stamp.sec = message.header.stamp.nanosec = 0


def first_is_late(message: Any) -> None:
    if message.header.stamp.sec == 1 and message.header.stamp.nanosec == 0:
        message.header.stamp.sec = 50


def turned(**values: float) -> Callable[[Any], None]:
    def change(message: Any) -> None:
        for name, value in values.items():
            setattr(message.transforms[0].transform.rotation, name, value)

    return change


def of_another_size(width: int, height: int) -> Callable[[Any], None]:
    """A camera of that size, with its principal point in the middle."""

    def change(message: Any) -> None:
        message.width, message.height = width, height
        message.k = message.k.copy()
        message.k[2], message.k[5] = (width - 1) / 2, (height - 1) / 2

    return change


def four_times(message: Any) -> None:
    message.k = message.k * np.array([4, 4, 4, 4, 4, 4, 1, 1, 1])


def second_of_a_pair(message: Any) -> None:
    message.p = message.p.copy()
    message.p[3] = -0.12 * message.p[0]


def zero_focal_length(message: Any) -> None:
    message.k = np.zeros(9)


def unlatched(message: Message) -> Message:
    return (*message[:4], []) if message[0] == "/tf_static" else message


def other_parent(message: Any) -> None:
    message.transforms[0].header.frame_id = "base_link"


def class_200(message: Any) -> None:
    message.data = np.full_like(message.data, 200)


def cut(topic: str) -> Change:
    from sray_train.tools.bags.names import typestore

    def apply(message: Message) -> Message:
        if message[0] != topic:
            return message
        return (*message[:3], bytes(typestore().serialize_cdr(message[3], message[1]))[:60], message[4])

    return apply


FAULTS: dict[str, tuple[Change, str]] = {
    "no image": (without("/image"), "no image topic"),
    "unknown encoding": (
        edit("/image", setting(encoding="h264")),
        "h264 in 100 % of the messages; expected one of rgb8",
    ),
    "too few bytes": (edit("/image", setting(height=2000)), "32x2000 pixels in 'rgb8', rows of 96 bytes, with 2304"),
    "absurd size": (edit("/image", setting(width=2**31, height=2**31)), "2147483648x2147483648 pixels"),
    "cut messages": (cut("/image"), "4 of 4 messages cannot be used, the first: a message on /image is no sensor_msgs"),
    "no camera_info": (without("/camera_info"), "no camera_info topic"),
    "uncalibrated": (edit("/camera_info", zero_focal_length), "K[0] = 0"),
    "another size": (edit("/camera_info", of_another_size(64, 24)), "is of a 64x24 picture, the image is 32x24"),
    "K of another size": (edit("/camera_info", four_times), "the middle of pictures of about 125x93"),
    "an unknown lens": (
        edit("/camera_info", setting(distortion_model="fov")),
        "distortion model 'fov'; expected plumb",
    ),
    "a right camera": (edit("/camera_info", second_of_a_pair), "the second camera of a stereo pair, 0.120 m apart"),
    "unmatched stamps": (edit("/camera_info", shift_stamps(50_000_000)), "0 % of the pictures have one within 0.02 s"),
    "zero stamps": (edit("/image", no_stamp), "100 % are zero"),
    "stamps going back": (edit("/image", first_is_late), "go back 1 times, by up to 48.900 s (after 50.000 s)"),
    "no frame": (edit("/image", lambda m: setattr(m.header, "frame_id", "")), "frame_id is empty"),
    "no TF": (without("/tf", "/tf_static"), "neither /tf nor /tf_static has messages"),
    "unconnected": (
        edit("/tf_static", other_parent),
        "no path from map to camera_optical_frame: unconnected trees: base_link (with camera_optical_frame); "
        "map (with camera_link)",
    ),
    "poses of another time": (
        edit("/tf", lambda m: shift_stamps(-(10**9) + 5)(m.transforms[0])),
        "the pose is known for 0 % of 4 pictures; map -> camera_link alone for 0 %, first missing at 1.000 s",
    ),
    "NaN in TF": (edit("/tf", turned(x=float("nan"))), "4 of 4 transforms of camera_link are NaN or have a quaternion"),
    "long quaternion": (edit("/tf", turned(w=3.0)), "4 of 4 transforms of camera_link are NaN or have a quaternion"),
    "labels outside the space": (
        edit("/labels", class_200),
        "200 in 100 % of the pixels are no classes of /labels/info",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_a_remedy(sound_bag: Path, tmp_path: Path, fault: str) -> None:
    change, words = FAULTS[fault]
    result = check_bag(rewrite(sound_bag, tmp_path / "bag", change))
    assert not result.works
    assert any(words in text for text in problems(result)), result.rows
    assert all(row.remedy for row in result.rows if row.verdict == "problem")


NOTED: dict[str, tuple[Change, str]] = {
    "distortion": (edit("/camera_info", setting(d=np.array([0.1, 0, 0, 0, 0.0]))), "distorted: plumb_bob (0.1, 0"),
    "a fisheye with D = 0": (
        edit("/camera_info", setting(distortion_model="equidistant", d=np.zeros(4))),
        "distorted: equidistant (0, 0, 0, 0)",
    ),
    "resized": (
        edit("/camera_info", of_another_size(64, 48)),
        "is of a 64x48 picture, the image is 32x24, of the same",
    ),
    "depth in another frame": (
        edit("/depth", lambda m: setattr(m.header, "frame_id", "ir")),
        "in frame ir, the image in camera_optical_frame",
    ),
    "static TF not latched": (unlatched, "/tf_static is not recorded as transient local"),
    "no depth": (without("/depth"), "labels come from color alone"),
    "no labels": (without("/labels", "/labels/info"), "no ground truth"),
    "labels of other stamps": (edit("/labels", shift_stamps(1)), "0 % of the pictures have labels of their very stamp"),
}


@pytest.mark.parametrize("what", NOTED)
def test_what_the_node_can_live_with_is_a_note(sound_bag: Path, tmp_path: Path, what: str) -> None:
    change, words = NOTED[what]
    result = check_bag(rewrite(sound_bag, tmp_path / "bag", change))
    assert result.works, problems(result)
    assert any(words in row.text for row in result.rows if row.verdict == "note"), result.rows


def test_a_pose_recorded_too_late_for_its_picture_does_not_count(sound_bag: Path, tmp_path: Path) -> None:
    def late(message: Message) -> Message:
        return (*message[:2], message[2] + 250_000_000, *message[3:]) if message[0] == "/tf" else message

    result = check_bag(rewrite(sound_bag, tmp_path / "bag", late))
    assert result.figures["images_with_pose"] == 0.0 and not result.works
