"""nerfstudio, COLMAP, TUM RGB-D and Blender's kin: the room that was seen through a lens comes back as a pinhole's."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dataset_fixtures.posed import HEIGHT, WIDTH, K, png, through_a_lens, write_colmap, write_nerfstudio, write_tum
from dataset_fixtures.refusals import refused
from dataset_fixtures.relief import POSES, View, render, views
from dataset_fixtures.reprojection import assert_consistent

from sray.frames import Frame
from sray.label_space import ROOMS
from sray.sequence import Sequence
from sray.sequence_writer import SequenceWriter
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.colmap import open_colmap
from sray_train.data.config import DataConfig
from sray_train.data.layouts import layout_of
from sray_train.data.picture_files import FileRecording
from sray_train.data.transforms import open_blender, open_nerfstudio
from sray_train.data.tum import PUBLISHED, open_tum
from sray_train.tools.data_check.opening import open_recordings

STRAIGHT = views(K, WIDTH, HEIGHT)
BARREL = [-0.25, 0.05, 0.002, -0.001]
FISHEYE = [0.02, -0.01, 0.0, 0.0]


def assert_sees(recording: FileRecording, room: list[View] = STRAIGHT, k: np.ndarray = K) -> None:
    """Cameras and pictures are those of a pinhole, but for what the lens did not show."""
    assert len(recording) == len(room)
    for position, view in enumerate(room):
        frame = recording[position]
        np.testing.assert_allclose(frame.camera.intrinsics, k, rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(frame.camera.world_from_camera, view.pose, atol=1e-5)
        picture = frame.image.numpy()
        # Two pixels' blend lies beside what one ray sees where the block ends.
        assert np.quantile(np.abs(picture.astype(int) - view.rgb), 0.95) <= 6
        if frame.depth is not None:
            known = np.isfinite(frame.depth.numpy())
            assert np.quantile(np.abs(frame.depth.numpy() - view.depth)[known], 0.9) < 0.1  # half a pixel of a slope


LENSES: dict[str, tuple[dict[str, Any], list[View]]] = {
    "PINHOLE": ({"camera_model": "PINHOLE"}, STRAIGHT),
    "OPENCV": (dict(zip(("k1", "k2", "p1", "p2"), BARREL, strict=True)), through_a_lens(BARREL)),
    "k3": ({"camera_model": "OPENCV", "k1": -0.2, "k3": 0.05}, through_a_lens([-0.2, 0, 0, 0, 0.05])),
    "OPENCV_FISHEYE": (
        {"camera_model": "OPENCV_FISHEYE", "k1": 0.02, "k2": -0.01, "k3": 0, "k4": 0},
        through_a_lens(FISHEYE, fisheye=True),
    ),
    "is_fisheye": ({"is_fisheye": True}, through_a_lens([0.0] * 4, fisheye=True)),
}


@pytest.mark.fault("transforms.json with fl_x fl_y cx cy w h, a lens (camera_model k1-k4 p1 p2), both a frame too",
                   code="none", says="nowhere: they are undistorted, K as given", recovery="none needed")  # fmt: skip
@pytest.mark.parametrize("lens", LENSES)
def test_nerfstudio_scenes_are_read_with_their_lens(tmp_path: Path, lens: str) -> None:
    fields, room = LENSES[lens]
    scene = write_nerfstudio(tmp_path / "scene", room, fields)
    assert_sees(open_nerfstudio(scene))
    (scene / "transforms.json").rename(scene / "transforms_train.json")
    assert_sees(open_blender(scene))


def test_a_frames_own_camera_counts_for_it_alone(tmp_path: Path) -> None:
    scene = write_nerfstudio(tmp_path / "scene", STRAIGHT, {})
    record = json.loads((scene / "transforms.json").read_text())
    other = np.array([[60.0, 0, 30.0], [0, 60.0, 25.0], [0, 0, 1]])
    own = {"fl_x": 60.0, "fl_y": 60.0, "cx": 30.5, "cy": 25.5, "k1": -0.1}
    record["frames"][1].update(own)
    (scene / "transforms.json").write_text(json.dumps(record))
    recording = open_nerfstudio(scene)
    np.testing.assert_allclose(recording.cameras.intrinsics[1], other)
    np.testing.assert_allclose(recording.cameras.intrinsics[0], K)
    assert not np.array_equal(recording[1].image, STRAIGHT[1].rgb)
    np.testing.assert_array_equal(recording[0].image, STRAIGHT[0].rgb)


def test_angles_stand_in_for_focal_lengths_and_the_middle_for_cx(tmp_path: Path) -> None:
    scene = write_nerfstudio(tmp_path / "scene", STRAIGHT, {})
    record = json.loads((scene / "transforms.json").read_text())
    for name in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
        del record[name]
    record["camera_angle_x"], record["camera_angle_y"] = (2 * math.atan(s / 2 / f) for s, f in ((64, 50), (48, 46)))
    (scene / "transforms.json").write_text(json.dumps(record))
    expected = [[50, 0, 31.5], [0, 46, 23.5], [0, 0, 1]]
    np.testing.assert_allclose(open_nerfstudio(scene).cameras.intrinsics[0], expected, rtol=1e-6)


@pytest.mark.fault("a picture of a dataset whose EXIF tag says that it was turned", code="none",
                   says="nowhere: as stored, turned if only that fits K", recovery="none needed")  # fmt: skip
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_pictures_of_datasets_are_turned_only_if_k_says_so(tmp_path: Path, orientation: int) -> None:
    scene = write_nerfstudio(tmp_path / "scene", STRAIGHT, {})
    for number, view in enumerate(STRAIGHT):
        (scene / "images" / f"frame_{number}.png").write_bytes(png(view.rgb, orientation))
    assert_sees(open_nerfstudio(scene))
    if orientation == 3:
        return
    for number, view in enumerate(STRAIGHT):
        stored = np.ascontiguousarray(np.rot90(view.rgb, 1 if orientation == 6 else -1))
        (scene / "images" / f"frame_{number}.png").write_bytes(png(stored, orientation))
    assert_sees(open_nerfstudio(scene))


def test_a_folder_turns_pictures_by_the_principal_point(tmp_path: Path, plane_scene: Any) -> None:
    writer = SequenceWriter(tmp_path / "seq")
    frame: Frame = plane_scene.frame((0.0, 0.0, 0.0))
    writer.add(0, frame)
    (tmp_path / "seq" / "color" / "0.jpg").unlink()
    for stored, orientation in ((frame.image.numpy(), 6), (np.rot90(frame.image.numpy()), 6)):
        (tmp_path / "seq" / "color" / "0.png").write_bytes(png(np.ascontiguousarray(stored), orientation))
        np.testing.assert_array_equal(Sequence.open(tmp_path / "seq")[0].image, frame.image)


@pytest.mark.parametrize(
    ("model", "parameters", "room"),
    [
        ("PINHOLE", [50, 46, 34.5, 22.5], STRAIGHT),
        ("OPENCV", [50, 46, 34.5, 22.5, *BARREL], through_a_lens(BARREL)),
        ("FULL_OPENCV", [50, 46, 34.5, 22.5, *BARREL, 0.01, 0, 0, 0], through_a_lens([*BARREL, 0.01])),
        ("OPENCV_FISHEYE", [50, 46, 34.5, 22.5, *FISHEYE], through_a_lens(FISHEYE, fisheye=True)),
    ],
)
def test_colmap_text_is_read(tmp_path: Path, model: str, parameters: list[float], room: list[View]) -> None:
    recording = open_colmap(write_colmap(tmp_path / "scene", room, model, parameters))
    assert_sees(recording)
    near, far = recording.bounds
    assert 0.5 < near < 1  # points 1 to 4 from their own camera, which others see from nearby
    assert 4 < far < 6


def test_colmaps_simple_models_share_a_focal_length(tmp_path: Path) -> None:
    square = np.array([[50.0, 0, 34.0], [0, 50.0, 22.0], [0, 0, 1]])
    room = [render(square, pose, WIDTH, HEIGHT) for pose in POSES]
    for number, (model, rest) in enumerate({"SIMPLE_PINHOLE": [], "SIMPLE_RADIAL": [0.0], "RADIAL": [0, 0]}.items()):
        recording = open_colmap(write_colmap(tmp_path / str(number), room, model, [50, 34.5, 22.5, *rest]))
        assert_sees(recording, room, square)


@pytest.mark.fault("a COLMAP model in binary form, or of a camera model that is not known here", code="none",
                   says="the command: the file, and COLMAP's command that converts it",
                   recovery="the converted model")  # fmt: skip
def test_colmap_models_that_are_not_read_are_named(tmp_path: Path) -> None:
    scene = write_colmap(tmp_path / "scene", STRAIGHT, "FOV", [50, 46, 34.5, 22.5, 0.9])
    refused(lambda: open_colmap(scene), "cameras.txt, line 2", "'FOV'", "image_undistorter")
    (scene / "sparse" / "0" / "cameras.txt").write_text(f"7 PINHOLE {WIDTH} {HEIGHT} 50 46 34.5\n")
    refused(lambda: open_colmap(scene), "3 parameters for PINHOLE; expected 4")
    (scene / "sparse" / "0" / "images.txt").rename(scene / "sparse" / "0" / "images.bin")
    assert layout_of(scene) == "colmap"
    refused(lambda: open_colmap(scene), "binary form", "model_converter", "TXT")


def test_tum_is_read_by_stamps(tmp_path: Path) -> None:
    recording = open_tum(
        write_tum(tmp_path / "desk", through_a_lens(BARREL), "50 46 34 22 " + " ".join(map(str, BARREL)))
    )
    assert_sees(recording)
    assert recording.has_depth
    assert recording[1].stamp_ns == 1305031103_175304000
    lines = (tmp_path / "desk" / "rgb.txt").read_text().replace("1305031104.175304 rgb", "1305031104.300000 rgb")
    (tmp_path / "desk" / "rgb.txt").write_text(lines)
    assert open_tum(tmp_path / "desk").skipped == {"no pose within 0.02 s": [2]}
    truth = tmp_path / "desk" / "groundtruth.txt"
    truth.write_text(truth.read_text().replace("1305031", "1405031"))
    refused(lambda: open_tum(tmp_path / "desk"), "1405031102.180 to", "rgb.txt 1305031102.175 to", "one clock")


def test_tum_without_a_calibration_is_refused_and_freiburgs_are_known(tmp_path: Path) -> None:
    refused(lambda: open_tum(write_tum(tmp_path / "desk", STRAIGHT, "")), "calibration.txt", "fx fy cx cy")
    large = [cv2.resize(view.rgb, (640, 480)) for view in STRAIGHT]
    folder = write_tum(tmp_path / "rgbd_dataset_freiburg3_office", STRAIGHT, "")
    for path, picture in zip(sorted((folder / "rgb").iterdir()), large, strict=True):
        path.write_bytes(png(picture))
    k = open_tum(folder).cameras.intrinsics[0]
    assert (k[0, 0].item(), k[1, 1].item(), k[0, 2].item(), k[1, 2].item()) == pytest.approx(PUBLISHED["freiburg3"])


@pytest.mark.fault("names padded with zeros (color/000007.jpg, pose/000007.txt), and ScanNet's 25k frames", code="none",
                   says="nowhere: they are numbers", recovery="none needed")  # fmt: skip
def test_padded_names_are_numbers(tmp_path: Path, plane_scene: Any) -> None:
    writer = SequenceWriter(tmp_path / "seq")
    for number, frame in enumerate(plane_scene.ring(3)):
        writer.add(7 * number, frame)
    plain = Sequence.open(tmp_path / "seq")
    expected = [plain[position] for position in range(3)]
    for kind in ("color", "depth", "pose", "label-filt"):
        for path in list((tmp_path / "seq" / kind).iterdir()):
            path.rename(path.with_name(f"{int(path.stem):06d}{path.suffix}"))
    (tmp_path / "seq" / "label-filt").rename(tmp_path / "seq" / "label")
    (tmp_path / "seq" / "intrinsic" / "intrinsic_color.txt").rename(tmp_path / "seq" / "intrinsics_color.txt")
    padded = Sequence.open(tmp_path / "seq")
    assert padded.indices == (0, 7, 14)
    assert padded.skipped == {}
    for position, frame in enumerate(expected):
        read = padded[position]
        assert (read.image == frame.image).all() and (read.labels == frame.labels).all()  # type: ignore[union-attr]
        np.testing.assert_array_equal(read.depth, frame.depth)
    (tmp_path / "seq" / "pose" / "7.txt").write_text("")
    refused(lambda: Sequence.open(tmp_path / "seq"), "has the number of 0000", "one file a number")


@pytest.mark.fault("K of a larger or smaller picture in a recorded folder", code="none",
                   says="the command: the principal point and the size that it is the middle of",
                   recovery="K of these pictures; `sray data check` says by which factor")  # fmt: skip
@pytest.mark.parametrize("factor", [2.0, 4.0, 1.5, 0.5])
def test_k_of_another_size_in_a_folder_is_refused(tmp_path: Path, plane_scene: Any, factor: float) -> None:
    writer = SequenceWriter(tmp_path / "seq")
    writer.add(0, plane_scene.frame((0.0, 0.0, 0.0)))
    path = tmp_path / "seq" / "intrinsic" / "intrinsic_color.txt"
    matrix = np.loadtxt(path)
    matrix[:2] *= factor
    np.savetxt(path, matrix)
    refused(
        lambda: Sequence.open(tmp_path / "seq"), "intrinsic_color.txt", "principal point", "the middle of pictures of"
    )
    ((recording, _),) = open_recordings(tmp_path / "seq", "auto", "rooms", "auto")  # which judges by matched points
    assert len(recording) == 1


@pytest.mark.fault("depth or labels of a recording that have another shape than its pictures", code="none",
                   says="the command: the file and both sizes", recovery="depth for the color camera")  # fmt: skip
@pytest.mark.parametrize("kind", ["depth", "label-filt"])
def test_depth_and_labels_of_another_shape_are_refused(tmp_path: Path, plane_scene: Any, kind: str) -> None:
    writer = SequenceWriter(tmp_path / "seq")
    writer.add(0, plane_scene.frame((0.0, 0.0, 0.0)))
    path = tmp_path / "seq" / kind / "0.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:27])
    refused(lambda: Sequence.open(tmp_path / "seq")[0], "0.png", "48x27 beside a picture of 48x36")


@pytest.mark.parametrize("layout", ["nerfstudio", "colmap", "tum", "blender"])
def test_commands_read_every_layout_without_being_told(tmp_path: Path, layout: str) -> None:
    scene = tmp_path / "scene"
    if layout == "colmap":
        write_colmap(scene, STRAIGHT, "PINHOLE", [50, 46, 34.5, 22.5])
    elif layout == "tum":
        write_tum(scene, STRAIGHT, "50 46 34 22")
    else:
        write_nerfstudio(scene, STRAIGHT, {})
        if layout == "blender":
            (scene / "transforms.json").rename(scene / "transforms_train.json")
    (chosen,) = chosen_scenes(DataConfig(frames=0, width=WIDTH, height=HEIGHT), ROOMS, sequence=scene)
    frames = [chosen.frames[position] for position in range(len(chosen.frames))]
    assert_consistent(frames, STRAIGHT, K, color_only=True)
    ((recording, findings),) = open_recordings(scene, "auto", "rooms", "auto")
    assert len(recording) == 4 and not findings


@pytest.mark.fault("a folder in a known layout that is not read: NICE-SLAM's Replica, 7-Scenes, rosbag2",
                   code="none", says="the command: the layout, and how to convert it",
                   recovery="the converted folder")  # fmt: skip
@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["traj.txt", "results/frame000000.jpg"], "NICE-SLAM's Replica"),
        (["frame-000000.color.png", "frame-000000.pose.txt"], "7-Scenes"),
        (["rgb.txt", "rgb/1.png"], "TUM RGB-D without its poses"),
        (["images/0.jpg"], "pictures without poses"),
        (["metadata.yaml", "bag_0.mcap"], "sray bag --check"),
        (["bag_0.db3"], "rosbag2"),
        (["notes.txt"], "looks like no dataset known here"),
    ],
)
def test_other_layouts_are_named(tmp_path: Path, files: list[str], words: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    refused(lambda: chosen_scenes(DataConfig(), ROOMS, sequence=tmp_path), str(tmp_path), words)


def test_near_and_far_of_nerfstudio_are_of_its_sparse_points(tmp_path: Path) -> None:
    ahead = np.stack([np.zeros(30), np.zeros(30), np.linspace(2, 3, 30)])
    points = np.concatenate([pose[:3, :3] @ ahead + pose[:3, 3:] for pose in POSES], 1)
    scene = write_nerfstudio(tmp_path / "scene", STRAIGHT, {}, ply_file_path="sparse_pc.ply")
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {points.shape[1]}\n" + "".join(
        f"property float {axis}\n" for axis in "xyz"
    )
    body = b"".join(struct.pack("<3f", *point) for point in points.T)
    (scene / "sparse_pc.ply").write_bytes(f"{head}end_header\n".encode() + body)
    near, far = open_nerfstudio(scene).bounds
    assert 1.2 < near < 2 and 3 < far < 4.5
