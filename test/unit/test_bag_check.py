"""`sray bag --check`: a sound bag is played with one line, and each fault of a bag is named, with what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_fixtures import Message, make_frames, rewrite
from conftest import PlaneScene
from sensor_msgs.msg import Image

from sray.errors import SrayError
from sray.label_space import LABEL_SPACES, ROOMS
from sray.sequence_writer import SequenceWriter
from sray_ros.common.conversions import read_depth, read_image
from sray_ros.mapper.parameters import MapperSettings
from sray_train.cli import main
from sray_train.cli.bag import Bag
from sray_train.tools.bags import BagEncoding, BagLayout, write_bag
from sray_train.tools.bags.check import BagCheck, check_bag
from sray_train.tools.bags.choosing import COLOR, DEPTH, GRAY, Wanted
from sray_train.tools.bags.pictures import bytes_per_pixel
from sray_train.tools.bags.transforms import WAIT_NS

LAUNCH = "ros2 launch sray_ros semantic_mapping.launch.py"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bags") / "sound"
    write_bag(make_frames(), folder, label_space=ROOMS)
    return folder


def problems(result: BagCheck) -> list[str]:
    return [f"{row.subject}: {row.text}" for row in result.rows if row.verdict == "problem"]


def test_a_sound_bag_has_no_problem_and_needs_no_remapping(sound: Path) -> None:
    result = check_bag(sound)
    assert result.works and all(row.verdict == "ok" for row in result.rows), result.rows
    assert result.launch == f"{LAUNCH} bag:={sound} score:=true"
    assert result.figures == {"images": 4.0, "camera_info_matched": 1.0, "images_with_pose": 1.0}
    texts = {row.subject: row.text for row in result.rows}
    assert texts["TF: path"] == "map -> camera_link -> camera_optical_frame"
    assert texts["image: stamps"] == "4 over 0.3 s, 10.0 Hz"
    assert texts["TF: gap"] == "largest 0.100 s, of map -> camera_link"
    assert texts["labels: values"].startswith("16 of the 16 classes of /labels/info")


def test_a_robots_bag_is_understood_by_types_and_its_line_remaps(tmp_path: Path) -> None:
    names = BagLayout("/front/image_raw", "/front/camera_info", "/front/range", "/seg/labels", map_frame="odom")
    write_bag(make_frames(), tmp_path / "bag", names, BagEncoding("sqlite3", 90, "16UC1"))
    result = check_bag(tmp_path / "bag")
    assert result.works, problems(result)
    assert result.launch == (
        f"{LAUNCH} bag:={tmp_path / 'bag'} image:=/front/image_raw camera_info:=/front/camera_info "
        "depth:=/front/range labels:=/seg/labels map_frame:=odom score:=true"
    )
    notes = [row.text for row in result.rows if row.verdict == "note"]
    assert "no frame is map; poses are taken in odom" in notes
    assert any("nobody says what they mean" in text for text in notes)


Change = Callable[[Message], Message | None]


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


def without(*topics: str) -> Change:
    return lambda message: None if message[0] in topics else message


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
def test_each_fault_is_named_with_a_remedy(sound: Path, tmp_path: Path, fault: str) -> None:
    change, words = FAULTS[fault]
    result = check_bag(rewrite(sound, tmp_path / "bag", change))
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
def test_what_the_node_can_live_with_is_a_note(sound: Path, tmp_path: Path, what: str) -> None:
    change, words = NOTED[what]
    result = check_bag(rewrite(sound, tmp_path / "bag", change))
    assert result.works, problems(result)
    assert any(words in row.text for row in result.rows if row.verdict == "note"), result.rows


def test_a_pose_recorded_too_late_for_its_picture_does_not_count(sound: Path, tmp_path: Path) -> None:
    def late(message: Message) -> Message:
        return (*message[:2], message[2] + 250_000_000, *message[3:]) if message[0] == "/tf" else message

    result = check_bag(rewrite(sound, tmp_path / "bag", late))
    assert result.figures["images_with_pose"] == 0.0 and not result.works


def spoil_metadata(folder: Path) -> None:
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: [")


def cut_storage(folder: Path) -> None:
    storage = next(folder.glob("*.mcap"))
    storage.write_bytes(storage.read_bytes()[:-2000])


def spoil_chunk(folder: Path) -> None:
    storage = next(folder.glob("*.mcap"))
    content = bytearray(storage.read_bytes())
    content[2000:6000] = b"\xff" * 4000
    storage.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "metadata.yaml").unlink(), "ros2 bag reindex"),
        (spoil_metadata, "Could not load YAML"),
        (lambda folder: next(folder.glob("*.mcap")).unlink(), "files are missing"),
        (cut_storage, "File end magic is invalid"),
        (spoil_chunk, "is damaged after"),
    ],
    ids=["no metadata", "spoilt metadata", "no storage", "cut short", "spoilt chunk"],
)
@pytest.mark.fault("a damaged bag", code="none", says="sray bag --check", recovery="as its remedy says")
def test_a_damaged_bag_is_one_problem_with_a_remedy(
    sound: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(shutil.copytree(sound, tmp_path / "bag"))
    result = check_bag(tmp_path / "bag")
    (row,) = [row for row in result.rows if row.subject == "bag"]
    assert row.verdict == "problem" and words in row.text + row.remedy, row
    shutil.rmtree(tmp_path / "bag")
    shutil.copytree(sound, tmp_path / "bag")
    assert check_bag(tmp_path / "bag").works, "a whole copy is fine"


@pytest.mark.fault("a recording's folder is given where a bag is expected", code="none", says="sray bag --check",
                   recovery="sray data check, or sray bag --output")  # fmt: skip
def test_a_recording_is_no_bag_and_is_called_one(tmp_path: Path, plane_scene: PlaneScene) -> None:
    SequenceWriter(tmp_path / "room").add(0, plane_scene.frame((0.0, 0.0, 0.0)))
    (row,) = [row for row in check_bag(tmp_path / "room").rows if row.subject == "bag"]
    assert row.verdict == "problem"
    assert f"sray data check {tmp_path / 'room'}" in row.text + row.remedy
    assert "reindex" not in row.text + row.remedy
    main(["bag", str(tmp_path / "room"), "--output", str(tmp_path / "bag")])  # what the remedy says
    assert (tmp_path / "bag" / "metadata.yaml").exists()


def test_given_names_and_label_space_are_held_to(sound: Path) -> None:
    missing = check_bag(sound, Wanted(image="/other", map_frame="world"))
    assert problems(missing)[0] == "topic /other: is not in the bag; its Image topics: /depth, /image, /labels"
    lost = check_bag(sound, Wanted(map_frame="world"))
    assert any("no path from world to camera_optical_frame" in text for text in problems(lost))
    other = check_bag(sound, label_space=LABEL_SPACES["scannet20"])
    assert any("class 11 is desk in the bag, and counter in scannet20" in text for text in problems(other)), other.rows


def test_the_command_ends_with_the_launch_line_and_a_status(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["bag", "--check", str(sound), "--json", str(tmp_path / "check.json")])
    out = capsys.readouterr().out
    assert out.strip().splitlines()[-1] == f"{LAUNCH} bag:={sound} score:=true"
    record = json.loads((tmp_path / "check.json").read_text())
    assert record["works"] and record["topics"]["labels_info"] == "/labels/info"
    broken = rewrite(sound, tmp_path / "bag", without("/camera_info"))
    with pytest.raises(SystemExit) as caught:
        main(["bag", "--check", str(broken)])
    assert caught.value.code == 1
    out = capsys.readouterr().out
    assert "no camera_info topic" in out and "cannot work with this bag" in out
    with pytest.raises(SystemExit, match="does not exist"):
        main(["bag", "--check", str(tmp_path / "nowhere")])


# What the check demands is what the node demands; the two may not import each other, so this holds them together.


def test_encodings_are_those_the_node_reads() -> None:
    for encoding in (*COLOR, *GRAY):
        data = bytes(4 * 8 * bytes_per_pixel(encoding))
        message = Image(height=4, width=8, encoding=encoding, step=8 * bytes_per_pixel(encoding), data=data)
        assert read_image(message).shape == (4, 8, 3), encoding
    for encoding in DEPTH:
        step = 8 * bytes_per_pixel(encoding)
        assert read_depth(Image(height=4, width=8, encoding=encoding, step=step, data=bytes(4 * step))).shape == (4, 8)
    for encoding in ("h264", "8UC3", "32FC1", "nv12", ""):
        assert encoding not in (*COLOR, *GRAY)
        with pytest.raises(SrayError):
            read_image(Image(height=4, width=8, encoding=encoding, step=64, data=bytes(256)))


def test_waiting_times_are_the_nodes_defaults() -> None:
    defaults = MapperSettings()
    assert Bag(check=Path("bag")).slop == defaults.sync.slop
    assert round(defaults.tf.timeout * 1e9) == WAIT_NS
    assert BagLayout().map_frame == defaults.map_frame
    assert replace(BagLayout(), image="/a").compressed == "/a/compressed"
