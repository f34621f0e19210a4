"""`sray bag --check`: a sound bag is played with one line, a damaged one refused, and its demands are the node's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bag_fixtures import make_frames, problems, rewrite, without
from conftest import PlaneScene
from sensor_msgs.msg import Image

from sray.errors import SrayError
from sray.label_space import LABEL_SPACES
from sray.sequence_writer import SequenceWriter
from sray_ros.common.conversions import read_depth, read_image
from sray_ros.mapper.parameters import MapperSettings
from sray_train.cli import main
from sray_train.cli.bag import Bag
from sray_train.tools.bags import BagEncoding, BagLayout, write_bag
from sray_train.tools.bags.check import check_bag
from sray_train.tools.bags.choosing import COLOR, DEPTH, GRAY, Wanted
from sray_train.tools.bags.pictures import bytes_per_pixel
from sray_train.tools.bags.transforms import WAIT_NS

LAUNCH = "ros2 launch sray_ros semantic_mapping.launch.py"


def test_a_sound_bag_has_no_problem_and_needs_no_remapping(sound_bag: Path) -> None:
    result = check_bag(sound_bag)
    assert result.works and all(row.verdict == "ok" for row in result.rows), result.rows
    assert result.launch == f"{LAUNCH} bag:={sound_bag} score:=true"
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
    sound_bag: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(shutil.copytree(sound_bag, tmp_path / "bag"))
    result = check_bag(tmp_path / "bag")
    (row,) = [row for row in result.rows if row.subject == "bag"]
    assert row.verdict == "problem" and words in row.text + row.remedy, row
    shutil.rmtree(tmp_path / "bag")
    shutil.copytree(sound_bag, tmp_path / "bag")
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


def test_given_names_and_label_space_are_held_to(sound_bag: Path) -> None:
    missing = check_bag(sound_bag, Wanted(image="/other", map_frame="world"))
    assert problems(missing)[0] == "topic /other: is not in the bag; its Image topics: /depth, /image, /labels"
    lost = check_bag(sound_bag, Wanted(map_frame="world"))
    assert any("no path from world to camera_optical_frame" in text for text in problems(lost))
    other = check_bag(sound_bag, label_space=LABEL_SPACES["scannet20"])
    assert any("class 11 is desk in the bag, and counter in scannet20" in text for text in problems(other)), other.rows


def test_the_command_ends_with_the_launch_line_and_a_status(
    sound_bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["bag", "--check", str(sound_bag), "--json", str(tmp_path / "check.json")])
    out = capsys.readouterr().out
    assert out.strip().splitlines()[-1] == f"{LAUNCH} bag:={sound_bag} score:=true"
    record = json.loads((tmp_path / "check.json").read_text())
    assert record["works"] and record["topics"]["labels_info"] == "/labels/info"
    broken = rewrite(sound_bag, tmp_path / "bag", without("/camera_info"))
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
