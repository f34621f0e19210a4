"""`sray data check`: every fault is found and named, and nothing is found where nothing is wrong."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sray.camera import Camera
from sray.errors import FileError, SrayError
from sray.frames import Frame
from sray.label_space import ROOMS
from sray.sequence_writer import SequenceWriter
from sray_train.cli import main
from sray_train.data.rooms import make_rooms
from sray_train.tools.data_check.check import CheckResult, check_recording
from sray_train.tools.data_check.depth_checks import blame
from sray_train.tools.data_check.opening import open_recordings
from sray_train.tools.data_check.readings import POSE_READINGS, intrinsics_readings
from sray_train.tools.data_check.sample import Sample
from sray_train.tools.data_check.trajectory import check_trajectory
from sray_train.tools.data_check.transfer import Transfer

ROOM_SEEDS = [8100, 8101]
Matrix = NDArray[np.float64]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    cache = tmp_path_factory.mktemp("rooms")
    return make_rooms(ROOM_SEEDS, width=160, height=120, frames=12, cache=cache, workers=1)


def check(folder: Path, label_ids: str = "auto", label_space: str = "rooms") -> CheckResult:
    ((recording, known),) = open_recordings(folder, "auto", label_space, label_ids)
    return check_recording(recording, ROOMS, known=known)


def problems(result: CheckResult) -> list[str]:
    return [finding.code for finding in result.findings if finding.severity == "problem"]


def warnings(result: CheckResult) -> list[str]:
    return [finding.code for finding in result.findings if finding.severity == "warning"]


# Faults: each rewrites the files of a copy


def change_poses(folder: Path, change: Callable[[Matrix], Matrix]) -> None:
    for path in (folder / "pose").glob("*.txt"):
        np.savetxt(path, change(np.loadtxt(path)), fmt="%.9g")


def change_intrinsics(folder: Path, change: Callable[[Matrix], Matrix]) -> None:
    path = folder / "intrinsic" / "intrinsic_color.txt"
    matrix = np.loadtxt(path)
    matrix[:3, :3] = change(matrix[:3, :3].copy())
    np.savetxt(path, matrix, fmt="%.9g")


def change_depth(folder: Path, change: Callable[[Matrix], Matrix]) -> None:
    for path in (folder / "depth").glob("*.png"):
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float64)
        cv2.imwrite(str(path), change(raw).round().clip(0, 65535).astype(np.uint16))


def change_labels(folder: Path, ids: dict[int, int], kind: type = np.uint8, other: int = 0) -> None:
    """`ids`: NYU40 id -> id to be written; `other` for the rest."""
    table = np.full(256, other, kind)
    table[list(ids)] = list(ids.values())
    for path in (folder / "label-filt").glob("*.png"):
        cv2.imwrite(str(path), table[cv2.imread(str(path), cv2.IMREAD_UNCHANGED)])


def resized_intrinsics(scale: float) -> Callable[[Matrix], Matrix]:
    """K of the same pictures `scale` times as large: c' = s (c + 0.5) - 0.5."""

    def change(matrix: Matrix) -> Matrix:
        matrix[:2, :2] *= scale
        matrix[:2, 2] = scale * (matrix[:2, 2] + 0.5) - 0.5
        return matrix

    return change


def scaled_translation(factor: float) -> Callable[[Matrix], Matrix]:
    def change(pose: Matrix) -> Matrix:
        pose[:3, 3] *= factor
        return pose

    return change


def doubled_focal(matrix: Matrix) -> Matrix:
    matrix[0, 0] *= 2
    matrix[1, 1] *= 2
    return matrix


def y_and_z_flipped(pose: Matrix) -> Matrix:
    """The same camera described with OpenGL's axes."""
    return pose @ np.diag([1.0, -1.0, -1.0, 1.0])


RAW_SCANNET = {1: 1, 2: 3, 3: 7, 4: 11, 5: 2, 6: 6, 7: 4, 8: 5, 9: 16, 10: 18, 11: 15, 14: 9, 16: 22, 22: 41, 35: 74}
"""NYU40 id -> an id that scannetv2-labels.combined.tsv maps to it."""
REPLICA = {1: 93, 2: 40, 3: 14, 4: 7, 5: 20, 6: 76, 7: 80, 8: 37, 9: 97, 10: 78, 11: 59, 14: 23, 16: 30, 22: 31, 35: 47}
ROOM_INDICES = {nyu40: index for index, nyu40 in enumerate(ROOMS.nyu40)}

Fault = Callable[[Path], None]

MAIN_FAULTS: dict[str, tuple[Fault, str]] = {
    "camera_from_world": (lambda folder: change_poses(folder, np.linalg.inv), "poses-inverted"),
    "K of 324x243": (lambda folder: change_intrinsics(folder, resized_intrinsics(2.025)), "intrinsics-resolution"),
    "5000 a meter": (lambda folder: change_depth(folder, lambda raw: 5 * raw), "depth-unit"),
    "raw ScanNet ids": (lambda folder: change_labels(folder, RAW_SCANNET, np.uint16, 56), "labels-other-space"),
}
FURTHER_FAULTS: dict[str, tuple[Fault, str]] = {
    "OpenGL": (lambda folder: change_poses(folder, y_and_z_flipped), "poses-opengl"),
    "inverted OpenGL": (
        lambda folder: change_poses(folder, lambda pose: np.linalg.inv(y_and_z_flipped(pose))),
        "poses-inverted-opengl",
    ),
    "poses in mm": (lambda folder: change_poses(folder, scaled_translation(1000)), "poses-unit"),
    "poses in cm": (lambda folder: change_poses(folder, scaled_translation(100)), "poses-unit"),
    "K of 80x60": (lambda folder: change_intrinsics(folder, resized_intrinsics(0.5)), "intrinsics-resolution"),
    "focal of 320x240": (lambda folder: change_intrinsics(folder, doubled_focal), "intrinsics-focal"),
    "1/10 mm": (lambda folder: change_depth(folder, lambda raw: 10 * raw), "depth-unit"),
    "meters": (lambda folder: change_depth(folder, lambda raw: raw / 1000), "depth-unit"),
    "inverse depth": (lambda folder: change_depth(folder, lambda raw: 2e7 / np.maximum(raw, 400)), "depth-inverse"),
    "indices": (lambda folder: change_labels(folder, ROOM_INDICES, other=255), "labels-other-space"),
    "small raw ids": (lambda folder: change_labels(folder, RAW_SCANNET | {22: 0, 35: 28}), "labels-other-space"),
    "Replica's ids": (lambda folder: change_labels(folder, REPLICA), "labels-other-space"),
}


def broken(folder: Path, into: Path, fault: Fault) -> Path:
    shutil.copytree(folder, into, copy_function=shutil.copyfile)
    for path in (into, *into.rglob("*")):
        path.chmod(0o755)
    fault(into)
    return into


@pytest.mark.parametrize("room", [0, 1])
def test_a_healthy_room_is_fine(rooms: list[Path], room: int) -> None:
    result = check(rooms[room])
    assert problems(result) == []
    assert warnings(result) == ["frames-few"]  # twelve
    assert result.readings["as-stored"] < 0.5
    assert result.figures["depth_factor"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("room", [0, 1])
@pytest.mark.parametrize("name", MAIN_FAULTS)
def test_the_main_faults_are_found_and_named(rooms: list[Path], tmp_path: Path, name: str, room: int) -> None:
    fault, code = MAIN_FAULTS[name]
    result = check(broken(rooms[room], tmp_path / "room", fault), label_ids="nyu40")
    assert problems(result) == [code], [finding.evidence for finding in result.findings]


@pytest.mark.parametrize("name", FURTHER_FAULTS)
def test_further_faults_are_found_and_named(rooms: list[Path], tmp_path: Path, name: str) -> None:
    fault, code = FURTHER_FAULTS[name]
    result = check(broken(rooms[1], tmp_path / "room", fault), label_ids="nyu40")
    assert problems(result) == [code], [finding.evidence for finding in result.findings]


@pytest.mark.parametrize("name", ["camera_from_world", "OpenGL", "K of 324x243", "focal of 320x240"])
def test_poses_and_intrinsics_are_judged_without_depth(rooms: list[Path], tmp_path: Path, name: str) -> None:
    fault, code = (MAIN_FAULTS | FURTHER_FAULTS)[name]
    folder = broken(rooms[0], tmp_path / "room", fault)
    shutil.rmtree(folder / "depth")
    assert problems(check(folder)) == [code]


def test_two_faults_at_once_are_both_named(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", MAIN_FAULTS["camera_from_world"][0])
    MAIN_FAULTS["K of 324x243"][0](folder)
    MAIN_FAULTS["5000 a meter"][0](folder)
    assert problems(check(folder)) == ["poses-inverted", "intrinsics-resolution", "depth-unit"]


def test_findings_say_what_to_do(rooms: list[Path], tmp_path: Path) -> None:
    (finding,) = [f for f in check(broken(rooms[0], tmp_path / "room", MAIN_FAULTS["5000 a meter"][0])).findings
                  if f.severity == "problem"]  # fmt: skip
    assert "5000 a meter" in finding.cause
    assert finding.figures["factor"] == pytest.approx(0.2, rel=0.05)
    assert finding.figures["reprojection_with_factor_px"] < 1 < finding.figures["reprojection_px"]
    assert "by 0.2 " in finding.remedy


@pytest.mark.parametrize(("axes", "codes"), [(np.diag([1.0, -1.0, -1.0, 1.0]), []), (np.eye(4), ["poses-opengl"])])
def test_other_datasets_are_checked_through_their_readers(
    rooms: list[Path], tmp_path: Path, axes: Matrix, codes: list[str]
) -> None:
    """A room as a Blender scene; its poses with OpenGL's axes, as they should be there, and with OpenCV's."""
    intrinsics = np.loadtxt(rooms[0] / "intrinsic" / "intrinsic_color.txt")
    (tmp_path / "train").mkdir()
    frames = []
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"train/r_{number}.png"), cv2.imread(str(rooms[0] / "color" / f"{number}.jpg")))
        pose = np.loadtxt(rooms[0] / "pose" / f"{number}.txt") @ axes
        frames.append({"file_path": f"./train/r_{number}", "transform_matrix": pose.tolist()})
    record = {"camera_angle_x": 2 * math.atan(80 / intrinsics[0, 0]), "frames": frames}
    (tmp_path / "transforms_train.json").write_text(json.dumps(record))
    assert problems(check(tmp_path)) == codes


# Labels


def test_nyu40_ids_read_as_raw_ones_are_named(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", lambda folder: None)
    table = "\n".join(f"{raw}\t{nyu40}" for nyu40, raw in RAW_SCANNET.items())
    (folder / "scannetv2-labels.combined.tsv").write_text(f"id\tnyu40id\n{table}\n")
    result = check(folder, label_ids="scannet")
    assert "labels-other-space" in problems(result)
    change_labels(folder, RAW_SCANNET, np.uint16)
    assert problems(check(folder, label_ids="scannet")) == []


def test_raw_ids_without_their_table_are_refused_as_training_would(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", MAIN_FAULTS["raw ScanNet ids"][0])
    assert problems(check(folder)) == ["labels-refused", "labels-other-space"]


def test_labels_of_other_frames_disagree_between_views(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", lambda folder: None)
    pictures = [(folder / "label-filt" / f"{number}.png").read_bytes() for number in range(12)]
    for number, content in enumerate(pictures[6:] + pictures[:6]):
        (folder / "label-filt" / f"{number}.png").write_bytes(content)
    assert "labels-disagree" in problems(check(folder))


def test_cropped_labels_are_named(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", lambda folder: None)
    for path in (folder / "label-filt").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, 20:140])
    result = check(folder)
    assert "labels-misaligned" in problems(result)
    assert "120x120" in next(f.evidence for f in result.findings if f.code == "labels-misaligned")


# Files


@pytest.fixture
def recording(tmp_path: Path, plane_scene) -> Path:
    """Small and with little texture, for what needs no matching."""
    writer = SequenceWriter(tmp_path / "recording")
    for number, frame in enumerate(plane_scene.ring(12)):
        writer.add(number, frame)
    return tmp_path / "recording"


def test_broken_files_are_counted_and_stop_nothing(recording: Path) -> None:
    (recording / "color" / "1.jpg").write_bytes((recording / "color" / "1.jpg").read_bytes()[:-40])
    (recording / "depth" / "2.png").unlink()
    (recording / "pose" / "3.txt").write_text("1 0 0 0")
    cv2.imwrite(str(recording / "color" / "4.jpg"), np.full((30, 40, 3), 90, np.uint8))
    (recording / "pose" / "5.txt").write_text("\n".join(["inf inf inf inf"] * 4))
    result = check(recording)
    found = {finding.code: finding for finding in result.findings}
    assert found["files-cut-short"].figures["frames"] == [1]
    assert found["files-missing"].figures["frames"] == [2]
    assert found["poses-damaged"].figures["files"] == ["3.txt"]
    assert found["pictures-sizes-differ"].figures["frames"] == [4]
    assert found["frames-unreadable"].figures["frames"] == [1, 2, 4]
    assert found["frames-skipped"].figures["pose is not finite"] == [5]
    assert result.figures["frames"] == 10
    assert result.labels is not None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda image: np.zeros_like(image), "pictures-dark"),
        (lambda image: np.full_like(image, 120), "pictures-blank"),
        (lambda image: np.where(np.arange(image.shape[1])[:, None] < 40, 255, image), "pictures-overexposed"),
    ],
)
def test_pictures_of_nothing_are_named(recording: Path, change: Callable, code: str) -> None:
    assert code not in [finding.code for finding in check(recording).findings]
    for number in (2, 5, 9):
        path = recording / "color" / f"{number}.jpg"
        cv2.imwrite(str(path), change(cv2.imread(str(path))).astype(np.uint8))
    finding = next(finding for finding in check(recording).findings if finding.code == code)
    assert finding.figures["frames"] == [2, 5, 9]
    assert finding.severity == "problem"  # a quarter of the frames


def test_depth_that_is_one_value_is_named(recording: Path) -> None:
    change_depth(recording, lambda raw: np.full_like(raw, 1500))
    assert "depth-constant" in problems(check(recording))


def without_texture(folder: Path) -> None:
    for path in (folder / "color").glob("*.jpg"):
        cv2.imwrite(str(path), np.full((36, 48, 3), 120, np.uint8))


def test_depth_out_of_range_is_named_even_if_nothing_matches(recording: Path) -> None:
    without_texture(recording)
    change_depth(recording, lambda raw: 10 * raw)
    result = check(recording)
    assert result.readings == {}
    assert "geometry-not-judged" in warnings(result)
    assert "depth-unit" in problems(result)


def test_a_principal_point_far_off_is_named_even_if_nothing_matches(recording: Path) -> None:
    without_texture(recording)
    assert "intrinsics-resolution" not in problems(check(recording))
    change_intrinsics(recording, resized_intrinsics(2))
    assert "intrinsics-resolution" in problems(check(recording))


def test_repeated_pictures_are_named(recording: Path) -> None:
    for number in (4, 5):
        shutil.copy(recording / "color" / "3.jpg", recording / "color" / f"{number}.jpg")
    finding = next(finding for finding in check(recording).findings if finding.code == "pictures-repeated")
    assert finding.figures["frames"] == [4, 5]


# The path


@dataclass
class FakeRecording:
    """A recording in memory."""

    frames: list[Frame]
    name: str = "fake"
    skipped: dict[str, list[int]] = field(default_factory=dict)

    @property
    def cameras(self) -> Camera:
        return Camera.stack([frame.camera for frame in self.frames])

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, position: int) -> Frame:
        return self.frames[position]


def walk(plane_scene, count: int = 30) -> list[Frame]:
    return [plane_scene.frame((0.02 * number, 0.01 * (number % 3), 0.0)) for number in range(count)]


def path_findings(frames: list[Frame], **details) -> dict[str, str]:
    findings, _ = check_trajectory(Sample(FakeRecording(frames, **details)), metric=True)
    return {finding.code: finding.severity for finding in findings}


def moved(frame: Frame, meters: float) -> Frame:
    pose = frame.camera.world_from_camera.clone()
    pose[0, 3] += meters
    return replace(frame, camera=replace(frame.camera, world_from_camera=pose))


def test_a_steady_walk_is_fine(plane_scene) -> None:
    assert path_findings(walk(plane_scene)) == {}


def test_a_jump_is_named_before_the_frame_it_leads_to(plane_scene) -> None:
    frames = walk(plane_scene)
    findings, _ = check_trajectory(Sample(FakeRecording([*frames[:17], moved(frames[17], 3.0), *frames[18:]])), True)
    (finding,) = findings
    assert finding.code == "trajectory-jumps"
    assert finding.figures["frames"] == [17, 18]
    assert finding.figures["longest_m"] == pytest.approx(3, rel=0.02)


def test_frozen_poses_are_named_only_if_the_pictures_go_on(plane_scene) -> None:
    frames = walk(plane_scene)
    frozen = [replace(frame, camera=frames[10].camera) if 10 < i < 20 else frame for i, frame in enumerate(frames)]
    assert path_findings(frozen) == {"poses-frozen": "problem"}
    resting = [frames[10] if 10 < i < 20 else frame for i, frame in enumerate(frames)]
    assert path_findings(resting) == {}


@pytest.mark.parametrize(("count", "severity"), [(8, "problem"), (9, "warning"), (19, "warning")])
def test_few_frames_are_named(plane_scene, count: int, severity: str) -> None:
    assert path_findings(walk(plane_scene, count)) == {"frames-few": severity}


@pytest.mark.parametrize(("lost", "severity"), [(5, "warning"), (31, "problem")])
def test_skipped_frames_are_counted(plane_scene, lost: int, severity: str) -> None:
    skipped = {"pose is not finite": list(range(lost))}
    assert path_findings(walk(plane_scene), skipped=skipped) == {"frames-skipped": severity}


def test_a_path_in_millimeters_is_named_without_depth(plane_scene) -> None:
    frames = [moved(frame, 19.98 * i) for i, frame in enumerate(walk(plane_scene))]
    findings, _ = check_trajectory(Sample(FakeRecording(frames)), metric=False)
    assert [finding.code for finding in findings] == ["poses-unit"]


# The parts


def test_transfer_by_depth_is_the_cameras_own_projection(plane_scene) -> None:
    first = plane_scene.camera((0.1, 0.0, 0.0), 5.0)
    second = plane_scene.camera((-0.2, 0.1, 0.3), -8.0)
    pixels, depth = np.array([[3.0, 4.0], [40.0, 30.0], [24.0, 10.0]]), np.array([1.0, 2.5, 4.0])
    relative = torch.linalg.inv(second.world_from_camera.double()) @ first.world_from_camera.double()
    transfer = Transfer.between(
        pixels, first.intrinsics.double().numpy(), second.intrinsics.double().numpy(), relative.numpy()
    )
    rays = first.ray_directions(torch.from_numpy(pixels).float())
    points = first.center + torch.from_numpy(depth).float()[:, None] * rays
    np.testing.assert_allclose(transfer.pixels(depth), second.project(points).pixels.numpy(), atol=1e-4)
    distance, found = transfer.best(transfer.pixels(depth))
    np.testing.assert_allclose(distance, 0, atol=1e-9)
    np.testing.assert_allclose(found, depth, rtol=1e-9)


@pytest.mark.parametrize("translation", [(0.3, 0.1, 0.0), (0.1, 0.0, 0.5), (0.0, 0.05, -0.4), (0.0, 0.0, 0.0)])
def test_the_best_depth_is_the_best_of_all_positive_ones(translation: tuple[float, float, float]) -> None:
    intrinsics = np.array([[150.0, 0, 80], [0, 150, 60], [0, 0, 1]])
    generator = np.random.default_rng(1)
    pixels, seen = generator.uniform(0, 120, (40, 2)), generator.uniform(0, 120, (40, 2))
    relative = np.eye(4)
    relative[:3, :3] = cv2.Rodrigues(np.array([0.02, -0.1, 0.03]))[0]
    relative[:3, 3] = translation
    distance, _ = Transfer.between(pixels, intrinsics, intrinsics, relative).best(seen)
    expected = np.full(40, np.inf)
    for depth in np.geomspace(1e-4, 1e5, 40_000):
        points = np.c_[pixels, np.ones(40)] @ np.linalg.inv(intrinsics).T * depth
        there = points @ relative[:3, :3].T + relative[:3, 3]
        landing = there @ intrinsics.T
        miss = np.linalg.norm(landing[:, :2] / landing[:, 2:] - seen, axis=1)
        expected = np.minimum(expected, np.where(there[:, 2] > 0, miss, np.inf))
    # The grid of depths is finer than a hundredth of a pixel, but near the camera.
    np.testing.assert_allclose(distance, expected, atol=0.05)


def test_every_reading_gives_back_the_true_pose() -> None:
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.3, -0.8, 0.2]))[0]
    pose[:3, 3] = 1.0, -2.0, 0.5
    rotation, center = pose[:3, :3], pose[:3, 3]
    right, down, forward = rotation.T

    def stored(columns: list[Matrix], position: Matrix) -> Matrix:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = np.stack(columns, axis=1), position
        return matrix

    inverse = stored(list(rotation), -rotation.T @ center)
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    mirrored = np.diag([1.0, -1.0, 1.0, 1.0]) @ pose @ np.diag([1.0, -1.0, 1.0, 1.0])
    held = {
        "as-stored": pose,
        "poses-inverted": inverse,
        "poses-opengl": stored([right, -down, -forward], center),
        "poses-inverted-opengl": flip @ inverse,
        "poses-body-axes": stored([forward, -right, -down], center),
        "poses-llff-axes": stored([down, right, -forward], center),
        "poses-left-handed": mirrored,
        "poses-rotation-transposed": stored(list(rotation), center),
        "poses-translation-inverted": stored([right, down, forward], -rotation.T @ center),
    }
    assert [reading.code for reading in POSE_READINGS] == list(held)
    for reading in POSE_READINGS:
        np.testing.assert_allclose(reading.convert(held[reading.code]), pose, atol=1e-12, err_msg=reading.code)


def test_a_foreign_k_is_scaled_back_to_the_pictures(plane_scene) -> None:
    camera = plane_scene.camera((0, 0, 0))
    large = camera.resized(2 * camera.width, 2 * camera.height)
    reading = intrinsics_readings(replace(large, width=camera.width, height=camera.height))[1]
    assert reading.code == "intrinsics-resolution"
    assert "96x72" in reading.means
    restored = reading.convert(large.intrinsics.double().numpy())
    np.testing.assert_allclose(restored, camera.intrinsics.numpy(), atol=1e-4)
    assert {each.code for each in intrinsics_readings(camera)} == {"as-stored", "intrinsics-focal"}


@pytest.mark.parametrize(
    ("factor", "median", "at_fault", "named"),
    [
        (0.2, 12.0, "depth", "5000 a meter"),
        (0.2, 7.0, "depth", "5000 a meter"),
        (0.1, 25.0, "depth", "1/10 mm"),
        (1000.0, 0.0025, "depth", "meters"),
        (1000.0, 2.5, "poses", "millimeters"),
        (100.0, 2.5, "poses", "centimeters"),
        (0.37, 2.5, "poses", "structure from motion"),
        (0.5, 14.0, "depth", "another unit"),
    ],
)
def test_units_are_blamed_by_what_a_room_can_have(factor: float, median: float, at_fault: str, named: str) -> None:
    verdict = blame(factor, median)
    assert verdict.at_fault == at_fault
    assert named in verdict.cause


# The command


def run(*arguments: str) -> int:
    try:
        main(["data", "check", *arguments])
    except SystemExit as stop:
        assert isinstance(stop.code, int), stop.code
        return stop.code
    return 0


def test_the_command_writes_page_and_record_and_says_so_by_its_status(
    rooms: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, record = tmp_path / "pages", tmp_path / "record.json"
    assert run(str(rooms[0]), "--report", str(report), "--json", str(record)) == 0
    assert "Fine" in capsys.readouterr().out
    healthy = json.loads(record.read_text())
    assert healthy["fine"] is True
    assert healthy["recordings"][0]["labels"]["classes"]["floor"] > 0

    wrong = broken(rooms[0], tmp_path / "wrong", MAIN_FAULTS["camera_from_world"][0])
    assert run(str(wrong), "--report", str(report), "--json", str(record), "--overwrite") == 1
    assert "poses-inverted" in capsys.readouterr().out
    (finding,) = [f for f in json.loads(record.read_text())["recordings"][0]["findings"] if f["severity"] == "problem"]
    assert finding["code"] == "poses-inverted"
    assert finding["figures"]["error_read_so_px"] < 0.5 < 2 < finding["figures"]["error_as_stored_px"]

    page = (report / "wrong.html").read_text()
    assert finding["evidence"] in page
    assert "http" not in page.replace("http-equiv", ""), "nothing is fetched from elsewhere"
    assert page.count("<img") == page.count('src="data:image/')
    assert page.count("<img") >= 4 + 2 + 4  # misses and checkerboards, plots, labels
    assert run(str(wrong), "--report", str(report)) == 1, "a former report is replaced"


def test_what_is_no_recording_is_a_finding_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "color").mkdir()
    assert run(str(tmp_path), "--report", str(tmp_path / "pages")) == 1
    assert "holds no N.jpg" in " ".join(capsys.readouterr().out.split())


def test_other_peoples_files_are_not_replaced(rooms: list[Path], tmp_path: Path) -> None:
    record, page = tmp_path / "record.json", tmp_path / f"{rooms[0].name}.html"
    record.write_text("mine")
    with pytest.raises(SystemExit, match="record.json exists"):
        main(["data", "check", str(rooms[0]), "--report", str(tmp_path), "--json", str(record)])
    page.write_text("mine")
    with pytest.raises(SystemExit, match="no report of sray data check"):
        main(["data", "check", str(rooms[0]), "--report", str(tmp_path)])
    assert record.read_text() == page.read_text() == "mine"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SrayError) as caught:
        open_recordings(tmp_path / "nowhere", "auto", "rooms", "auto")
    assert isinstance(caught.value, FileError)
    with pytest.raises(SystemExit, match="nowhere does not exist"):
        main(["data", "check", str(tmp_path / "nowhere")])


# Real pictures, real poses


REAL_FAULTS = {name: fault for name, fault in (MAIN_FAULTS | FURTHER_FAULTS).items() if not fault[1].startswith("lab")}


@pytest.fixture(scope="module")
def real_copy(real_sequence_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first sixty frames, so that a check takes a few seconds."""
    folder = tmp_path_factory.mktemp("real") / "real"
    numbers = sorted(int(path.stem) for path in (real_sequence_folder / "color").glob("*.jpg"))[:60]
    shutil.copytree(real_sequence_folder / "intrinsic", folder / "intrinsic", copy_function=shutil.copyfile)
    for kind, ending in (("color", "jpg"), ("depth", "png"), ("pose", "txt")):
        (folder / kind).mkdir()
        for number in numbers:
            name = f"{number}.{ending}"
            shutil.copyfile(real_sequence_folder / kind / name, folder / kind / name)
    return folder


@pytest.mark.slow
def test_the_real_recording_is_fine(real_sequence_folder: Path) -> None:
    result = check(real_sequence_folder)
    assert result.findings == []
    assert result.readings["as-stored"] < 1
    assert math.isclose(result.figures["depth_factor"], 1, rel_tol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["camera_from_world", "K of 324x243", "5000 a meter", "OpenGL", "poses in mm"])
def test_faults_of_a_real_recording_are_named(real_copy: Path, tmp_path: Path, name: str) -> None:
    fault, code = REAL_FAULTS[name]
    assert problems(check(broken(real_copy, tmp_path / "real", fault))) == [code]


@pytest.mark.fault(
    "the stored focal length does not fit the pictures, by 12 %", code="none",
    says="sray data check: a problem, with the focal length that fits and what it is worth in pixels",
    recovery="calibrate, or multiply fx and fy by the printed factor",
)  # fmt: skip
@pytest.mark.parametrize("factor", [1.12, 1 / 1.12])
def test_a_focal_length_wrong_by_12_percent_is_found_and_the_right_one_named(
    rooms: list[Path], tmp_path: Path, factor: float
) -> None:
    folder = Path(shutil.copytree(rooms[0], tmp_path / "room"))
    change_intrinsics(folder, lambda k: k @ np.diag([factor, factor, 1.0]))
    result = check(folder)
    assert "intrinsics-do-not-fit" in problems(result), result.findings
    (finding,) = [finding for finding in result.findings if finding.code == "intrinsics-do-not-fit"]
    assert result.figures["fitted_focal_factor"] == pytest.approx(1 / factor, abs=0.03)
    assert result.figures["fitted_px"] < 0.8 * result.figures["fitted_stored_px"]
    assert f"% too {'large' if factor > 1 else 'small'}" in finding.cause
