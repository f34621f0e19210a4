"""`.sens` files: every byte where it belongs, depth in the color camera, labels beside the file."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from dataset_fixtures.relief import NAMES, POSES, View, pinhole, pose, render, views
from dataset_fixtures.reprojection import assert_consistent
from dataset_fixtures.scannet import (
    LOST,
    MOTION_READINGS,
    RAW_IDS,
    TABLE,
    label_png,
    sens_frame,
    sens_header,
    write_label_archive,
    write_table,
)

from sray.label_space import NYU40, VOID
from sray.sequence import stamp_of
from sray_train.data.registration import DepthRegistration
from sray_train.data.scannet import open_scannet
from sray_train.data.sens import SensRecording

COLOR, DEPTH = (48, 36), (64, 50)
K = pinhole(*COLOR, 32)
DEPTH_K = np.array([[34.0, 0, 35.0], [0, 36, 21.5], [0, 0, 1]])
"""A wider view than the color camera's, its principal point aside: resizing alone would be far off."""


def write_sens(
    path: Path,
    codecs: tuple[int, int] = (2, 1),
    rig_from_color: np.ndarray | None = None,
    rig_from_depth: np.ndarray | None = None,
    stamps: tuple[int, ...] = (0, 0, 0, 0),
    lost: tuple[int, ...] = (),
    units: float = 1000.0,
) -> list[View]:
    """The relief seen by a rig at POSES. Gives what its color camera sees."""
    color_rig = np.eye(4) if rig_from_color is None else rig_from_color
    depth_rig = np.eye(4) if rig_from_depth is None else rig_from_depth
    seen = [render(K, rig @ color_rig, *COLOR) for rig in POSES]
    header = sens_header(
        K,
        DEPTH_K,
        COLOR,
        DEPTH,
        len(POSES),
        codecs=codecs,
        rig_from_color=rig_from_color,
        rig_from_depth=rig_from_depth,
        units=units,
    )
    frames = [
        sens_frame(
            LOST if number in lost else rig,
            seen[number].rgb,
            render(DEPTH_K, rig @ depth_rig, *DEPTH).depth,
            codecs=codecs,
            units=units,
            stamp=stamps[number],
        )
        for number, rig in enumerate(POSES)
    ]
    path.write_bytes(header + b"".join(frames) + MOTION_READINGS)
    return seen


def write_labels(folder: Path, truths: list[View]) -> None:
    folder.mkdir(parents=True)
    for number, view in enumerate(truths):
        (folder / f"{number}.png").write_bytes(label_png(view, RAW_IDS))


def frames_of(scene) -> list:
    return [scene[i] for i in range(len(scene))]


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    """The smallest there is: 2 x 1 raw color, 1 x 2 raw depth, one frame, no name."""
    identity = "0000803f" + "00000000" * 4 + "0000803f" + "00000000" * 4 + "0000803f" + "00000000" * 4 + "0000803f"
    zero, rest = "00000000", "00000000" * 3 + "0000803f" + "00000000" * 4 + "0000803f"
    color_k = "00004040" + zero + "0000003f" + zero * 2 + "00008040" + zero + rest
    depth_k = "00004040" + zero + "0000403e" + zero * 2 + "00008040" + "0000003f" + rest
    path = tmp_path / "tiny.sens"
    path.write_bytes(
        bytes.fromhex(
            "04000000"  # version 4
            "0000000000000000"  # no name
            + color_k  # fx 3, fy 4, cx 1/2
            + identity
            + depth_k  # cx 3/16, cy 1/2
            + identity
            + "00000000 00000000"  # raw, raw
            "02000000 01000000 01000000 02000000"  # 2 x 1, 1 x 2
            "0000003f"  # half a unit a meter
            "0100000000000000"  # one frame
             + identity.replace("0000803f", "0000803f") + "0100000000000000 0200000000000000"  # stamps
            "0600000000000000 0400000000000000"  # 6 bytes of color, 4 of depth
            "010203 fdfeff"
            "0100 0201"  # 1 and 258
        )
    )
    scene = SensRecording.open(path, NYU40)
    assert (scene.header.color_size, scene.header.depth_size, scene.header.units_per_meter) == ((2, 1), (1, 2), 0.5)
    assert scene.cameras.intrinsics[0].tolist() == [[3, 0, 0.5], [0, 4, 0], [0, 0, 1]]
    frame = scene[0]
    assert frame.image.tolist() == [[[1, 2, 3], [253, 254, 255]]]
    assert frame.depth is not None
    assert frame.depth[0, 0] == 2.0, "1 in half units a meter"
    assert torch.isnan(frame.depth[0, 1]), "there is no second depth column"
    assert frame.labels is None


@pytest.mark.parametrize("codecs", [(0, 0), (1, 1), (2, 1)], ids=["raw raw", "png zlib", "jpeg zlib"])
def test_frames_agree_by_depth_pose_and_intrinsics(tmp_path: Path, codecs: tuple[int, int]) -> None:
    truths = write_sens(tmp_path / "scene0000_00.sens", codecs)
    write_labels(tmp_path / "label-filt", truths)
    write_table(tmp_path / TABLE)
    scene = open_scannet(tmp_path / "scene0000_00.sens", NYU40)
    assert_consistent(frames_of(scene), truths, K)
    exact = codecs[0] != 2
    assert np.array_equal(scene[1].image.numpy(), truths[1].rgb) == exact


def depth_errors(scene, truths: list[View]) -> np.ndarray:
    """Relative, of all pixels with depth and without an edge beside them."""
    errors = []
    for frame, truth in zip(frames_of(scene), truths, strict=True):
        smooth = cv2.dilate(truth.depth, np.ones((5, 5))) - cv2.erode(truth.depth, np.ones((5, 5))) < 0.5
        error = np.abs(frame.depth.numpy() - truth.depth) / truth.depth
        errors.append(error[smooth & np.isfinite(error)])
    return np.concatenate(errors)


def test_depth_is_looked_up_along_the_color_cameras_rays(tmp_path: Path) -> None:
    truths = write_sens(tmp_path / "a.sens")
    scene = open_scannet(tmp_path / "a.sens", NYU40)
    assert np.quantile(depth_errors(scene, truths), 0.95) < 0.05, "half a depth pixel on a slanted wall"
    assert np.median(depth_errors(scene, truths)) < 0.01
    assert all(torch.isfinite(frame.depth).float().mean() > 0.99 for frame in frames_of(scene))
    # Resizing alone, which ScanNet's own K would nearly allow, would be far off here.
    raw = render(DEPTH_K, POSES[0], *DEPTH).depth
    resized = cv2.resize(raw, COLOR, interpolation=cv2.INTER_NEAREST_EXACT)
    assert np.median(np.abs(resized - truths[0].depth) / truths[0].depth) > 0.05


def test_cameras_side_by_side(tmp_path: Path) -> None:
    """A depth camera 25 cm to the left and turned; the color camera is not the rig's origin either."""
    rig_from_color, rig_from_depth = pose((0.1, 0.02, 0), 3, 0, 1), pose((-0.15, 0, 0.03), -2, 1, 0)
    truths = write_sens(tmp_path / "a.sens", rig_from_color=rig_from_color, rig_from_depth=rig_from_depth)
    scene = open_scannet(tmp_path / "a.sens", NYU40)
    errors = depth_errors(scene, truths)
    assert np.median(errors) < 0.015
    assert np.quantile(errors, 0.9) < 0.06
    for frame, truth in zip(frames_of(scene), truths, strict=True):
        np.testing.assert_allclose(frame.camera.world_from_camera, truth.pose, atol=1e-5)
        assert torch.isfinite(frame.depth).float().mean() > 0.8, "gaps are few"
    # Taken for one camera, the same file is off by more than that.
    bad = write_sens(tmp_path / "b.sens", rig_from_color=rig_from_color, rig_from_depth=rig_from_color)
    moved = render(DEPTH_K, POSES[0] @ rig_from_depth, *DEPTH).depth
    looked_up = open_scannet(tmp_path / "b.sens", NYU40)._registration.apply(moved.astype(np.float32))
    assert np.nanmedian(np.abs(looked_up - bad[0].depth) / bad[0].depth) > 2 * np.median(errors)


def registered(row: list[float], color_intrinsics, color_width: int, sideways: float = 0.0) -> list[float]:
    """A row of depth, through a camera of focal length 10 at column 0, seen by another one `sideways` meters left."""
    intrinsics = np.array([[10.0, 0, 0], [0, 10, 0], [0, 0, 1]])
    moved = np.eye(4)
    moved[0, 3] = sideways
    sizes = (len(row), 1), (color_width, 1)
    return DepthRegistration.between(intrinsics, color_intrinsics, moved, *sizes).apply(np.float32([row]))[0].tolist()


def test_the_nearest_depth_pixel_is_taken() -> None:
    """Twice the pixels over the same view: c' = 2 (c + 0.5) - 0.5, each depth pixel stands twice, and none is lost."""
    twice = np.array([[20.0, 0, 0.5], [0, 20, 0.5], [0, 0, 1]])
    assert registered([1, 2, 3, 4], twice, 8) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_of_two_points_on_one_pixel_the_nearer_one_counts() -> None:
    """A point moves by 10 pixels times the baseline over its depth: 2 at 1 m, 1 at 2 m."""
    same = np.array([[10.0, 0, 0], [0, 10, 0], [0, 0, 1]])
    nothing = np.nan
    right = registered([nothing, 1, 2, nothing, nothing, nothing], same, 6, 0.2)
    left = registered([nothing, nothing, nothing, 2, 1, nothing], same, 6, -0.2)
    np.testing.assert_array_equal(right, [nothing, nothing, nothing, 1, nothing, nothing])
    np.testing.assert_array_equal(left, [nothing, nothing, 1, nothing, nothing, nothing])


def test_units_come_from_the_header(tmp_path: Path) -> None:
    truths = write_sens(tmp_path / "a.sens", units=5000)
    assert np.median(depth_errors(open_scannet(tmp_path / "a.sens", NYU40), truths)) < 0.01


def test_lost_poses_are_skipped_and_counted_and_labels_stay_with_their_numbers(tmp_path: Path) -> None:
    truths = write_sens(tmp_path / "a.sens", lost=(0, 2), stamps=(10_000, 43_333, 76_666, 110_000))
    write_labels(tmp_path / "a" / "label-filt", truths)
    write_table(tmp_path / TABLE)
    scene = open_scannet(tmp_path / "a.sens", NYU40)
    assert scene.skipped == {"pose is not finite": [0, 2]}
    assert [frame.name for frame in frames_of(scene)] == ["a/1", "a/3"]
    assert [frame.stamp_ns for frame in frames_of(scene)] == [43_333_000, 110_000_000]
    assert_consistent(frames_of(scene), [truths[1], truths[3]], K)


@pytest.mark.parametrize(
    "stamps",
    [(0, 0, 0, 0), (5, 5, 5, 5), (90_000, 60_000, 30_000, 0), (1, 1 << 63, 7, 1 << 60), (1, 2, 3, 4)],
    ids=["zero", "repeated", "backwards", "random", "counters"],
)
def test_stamps_that_are_no_clock_are_replaced_and_it_is_said(tmp_path: Path, stamps, caplog) -> None:
    write_sens(tmp_path / "a.sens", stamps=stamps)
    with caplog.at_level("INFO"):
        scene = SensRecording.open(tmp_path / "a.sens", NYU40)
    assert scene.stamps is None
    assert "a.sens" in caplog.text
    assert [frame.stamp_ns for frame in frames_of(scene)] == [stamp_of(number) for number in range(4)]


@pytest.mark.parametrize("place", ["a/label-filt", "label-filt", "zip", "a/zip"])
def test_labels_beside_the_file(tmp_path: Path, place: str) -> None:
    truths = write_sens(tmp_path / "a.sens")
    write_table(tmp_path / TABLE)
    if place.endswith("zip"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        write_label_archive((tmp_path / place).with_name("a_2d-label-filt.zip"), truths, RAW_IDS)
    else:
        write_labels(tmp_path / place, truths)
    labels = open_scannet(tmp_path / "a.sens", NYU40)[2].labels
    assert labels is not None
    assert np.array_equal(labels.numpy(), np.array([NYU40.names.index(name) for name in NAMES])[truths[2].classes])


def test_a_scene_goes_to_another_process_with_its_archive_open(tmp_path: Path) -> None:
    truths = write_sens(tmp_path / "a.sens")
    write_table(tmp_path / TABLE)
    write_label_archive(tmp_path / "a_2d-label-filt.zip", truths, RAW_IDS)
    scene = open_scannet(tmp_path / "a.sens", NYU40)
    assert torch.equal(scene[1].labels, pickle.loads(pickle.dumps(scene))[1].labels)


def test_labels_in_a_folder_of_several_files_are_nobodys(tmp_path: Path) -> None:
    truths = write_sens(tmp_path / "a.sens")
    write_sens(tmp_path / "b.sens")
    write_labels(tmp_path / "label-filt", truths)
    assert open_scannet(tmp_path / "a.sens", NYU40)[0].labels is None


def test_labels_of_another_size_are_resized(tmp_path: Path) -> None:
    write_sens(tmp_path / "a.sens")
    twice = views(pinhole(96, 72, 64), 96, 72)
    write_labels(tmp_path / "label-filt", twice)
    write_table(tmp_path / TABLE)
    labels = open_scannet(tmp_path / "a.sens", NYU40)[0].labels
    assert labels is not None
    assert labels.shape == (36, 48)
    wanted = np.array([NYU40.names.index(name) for name in NAMES])[views(K, *COLOR)[0].classes]
    assert (labels.numpy() == wanted).mean() > 0.97
    assert not (labels == VOID).any()


def test_a_scene_folder_with_a_file_in_it_is_a_scene(tmp_path: Path) -> None:
    (tmp_path / "scene0000_00").mkdir()
    write_sens(tmp_path / "scene0000_00" / "scene0000_00.sens")
    assert open_scannet(tmp_path / "scene0000_00", NYU40).name == "scene0000_00"


def test_a_file_without_depth(tmp_path: Path) -> None:
    header = sens_header(K, np.zeros((3, 3)), COLOR, (0, 0), 1, codecs=(0, -1), units=0)
    seen = render(K, POSES[0], *COLOR)
    (tmp_path / "a.sens").write_bytes(header + sens_frame(POSES[0], seen.rgb, np.zeros((0, 0)), codecs=(0, 0)))
    frame = SensRecording.open(tmp_path / "a.sens", NYU40)[0]
    assert frame.depth is None
    assert np.array_equal(frame.image.numpy(), seen.rgb)


def test_pictures_are_read_when_asked_for(tmp_path: Path) -> None:
    """A damaged picture harms nobody but its reader."""
    path = tmp_path / "a.sens"
    write_sens(path, codecs=(2, 1))
    scene = SensRecording.open(path, NYU40)
    at, length = int(scene.index[1]["at"]), int(scene.index[1]["color_bytes"])
    content = bytearray(path.read_bytes())
    content[at : at + length] = bytes(length)
    path.write_bytes(bytes(content))
    assert len(SensRecording.open(path, NYU40)) == 4
    assert SensRecording.open(path, NYU40)[2].depth is not None
    assert struct.unpack_from("<Q", content, at - 16)[0] == length, "the header says where the payload is"
