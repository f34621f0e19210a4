"""Recorded sequences: what is written comes back; what is unusable is skipped, counted and named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from reference.projection import color_at, project

from sray.errors import FileError, SrayError
from sray.frames import Frame
from sray.label_space import ROOMS, SCANNET20, VOID
from sray.sequence import Sequence, stamp_of
from sray.sequence_writer import SequenceWriter


@pytest.fixture
def recorded(tmp_path: Path, plane_scene) -> tuple[Path, list[Frame]]:
    frames = plane_scene.ring(3)
    assert frames[0].labels is not None
    assert frames[0].depth is not None
    frames[0].labels[0, :5] = VOID
    frames[0].depth[0, :5] = torch.nan
    writer = SequenceWriter(tmp_path / "seq")
    for number, frame in zip((0, 2, 10), frames, strict=True):
        writer.add(number, frame)
    return tmp_path / "seq", frames


def test_what_is_written_comes_back(recorded: tuple[Path, list[Frame]]) -> None:
    folder, frames = recorded
    sequence = Sequence.open(folder)
    assert len(sequence) == 3
    assert sequence.indices == (0, 2, 10), "in the order of numbers, not of names"
    assert sequence.has_depth
    assert sequence.has_labels
    assert sequence.skipped == {}
    for position, written in enumerate(frames):
        read = sequence[position]
        assert read.labels is not None
        assert read.depth is not None
        assert torch.equal(read.labels, written.labels)
        # Millimeters on disk.
        torch.testing.assert_close(read.depth, written.depth, atol=5.1e-4, rtol=0, equal_nan=True)
        # Nine digits on disk; single precision holds seven.
        torch.testing.assert_close(read.camera.world_from_camera, written.camera.world_from_camera)
        torch.testing.assert_close(read.camera.intrinsics, written.camera.intrinsics)
        # JPEG halves the resolution of color, which shows at the stripes' edges; between them it is close.
        assert (read.image.float() - written.image.float()).abs().median() <= 3
        assert read.stamp_ns == stamp_of(sequence.indices[position])
        assert str(sequence.indices[position]) in read.name


def test_colors_keep_their_order(recorded: tuple[Path, list[Frame]]) -> None:
    """RGB in memory, BGR in OpenCV: a red wall must not come back blue."""
    folder, frames = recorded
    red = frames[1].labels == 0
    mean = Sequence.open(folder)[1].image[red].float().mean(0)
    assert mean[0] > 150 > 100 > mean[2]


def test_stamps_are_30_hertz() -> None:
    assert stamp_of(0) == 1_000_000_000
    assert stamp_of(30) == pytest.approx(2_000_000_000, abs=30)
    assert stamp_of(3) > stamp_of(2)


def test_lost_poses_are_skipped_and_counted(recorded: tuple[Path, list[Frame]]) -> None:
    """ScanNet writes -inf where tracking was lost."""
    folder, _ = recorded
    (folder / "pose/2.txt").write_text("\n".join([" ".join(["-inf"] * 4)] * 4))
    (folder / "pose/10.txt").unlink()
    sequence = Sequence.open(folder)
    assert sequence.indices == (0,)
    assert sequence.skipped == {"pose is not finite": [2], "no pose file": [10]}


def test_depth_and_labels_are_optional(recorded: tuple[Path, list[Frame]]) -> None:
    folder, _ = recorded
    for name in ("depth", "label-filt"):
        (folder / name).rename(folder / f"not-{name}")
    frame = Sequence.open(folder)[0]
    assert frame.depth is None
    assert frame.labels is None


def test_a_frame_without_a_file_of_depth_or_labels_has_none(
    recorded: tuple[Path, list[Frame]], caplog: pytest.LogCaptureFixture
) -> None:
    """The others have theirs, and the log says how many lack some."""
    folder, frames = recorded
    (folder / "depth/0.png").unlink()
    (folder / "label-filt/2.png").unlink()
    sequence = Sequence.open(folder)
    assert sequence.has_depth and sequence.has_labels
    assert [sequence[each].depth is None for each in (0, 1)] == [True, False]
    assert [sequence[each].labels is None for each in (0, 1)] == [False, True]
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder / name} has no file of 1 of {len(frames)} frames: they have none" for name in ("depth", "label-filt")
    ]
    for path in (folder / "depth").iterdir():
        path.unlink()
    assert not Sequence.open(folder).has_depth


def test_labels_are_read_in_the_space_that_was_asked_for(recorded: tuple[Path, list[Frame]]) -> None:
    """On disk are NYU40 ids, so another space can read them; floor stays floor."""
    folder, frames = recorded
    ids = cv2.imread(str(folder / "label-filt/2.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(ids)) <= {1, 2, 3}
    read = Sequence.open(folder, SCANNET20)[1].labels
    assert read is not None
    assert (read == SCANNET20.names.index("floor")).equal(frames[1].labels == ROOMS.names.index("floor"))


def test_smaller_depth_and_labels_are_brought_to_the_pictures_size(recorded: tuple[Path, list[Frame]]) -> None:
    """Nearest-exact: every pixel takes one whose center is at most half a (large) pixel away."""
    folder, frames = recorded
    height, width = frames[1].image.shape[:2]
    small = np.arange(width // 3, dtype=np.uint16)[None].repeat(height // 3, 0)
    cv2.imwrite(str(folder / "depth/2.png"), 1000 + small)
    cv2.imwrite(str(folder / "label-filt/2.png"), (1 + small % 3).astype(np.uint8))
    frame = Sequence.open(folder)[1]
    assert frame.depth is not None
    assert frame.labels is not None
    expected = torch.arange(width) // 3
    assert ((frame.depth[0] - 1) * 1000).round().long().tolist() == expected.tolist()
    assert frame.labels[-1].tolist() == (expected % 3).tolist()


def test_a_folder_holds_one_camera(recorded: tuple[Path, list[Frame]], tmp_path: Path) -> None:
    _, frames = recorded
    writer = SequenceWriter(tmp_path / "other")
    writer.add(0, frames[0])
    with pytest.raises(ValueError, match="other intrinsics"):
        writer.add(1, frames[1].resized(24, 18))


def test_errors_name_the_file(recorded: tuple[Path, list[Frame]]) -> None:
    folder, _ = recorded
    (folder / "color/2.jpg").write_bytes(b"no picture")
    sequence = Sequence.open(folder)
    with pytest.raises(SrayError, match=r"color/2\.jpg") as caught:
        sequence[1]
    assert isinstance(caught.value, FileError)
    assert sequence[2].image.shape[2] == 3, "the other frames are still there"


def test_real_frames_agree_in_space(real_sequence_folder: Path) -> None:
    """Poses, intrinsics, depth and pixels of a real recording by the project's conventions.

    Points seen in one frame, moved into another by depth and pose, land where the same depth and color are. A pose
    read the wrong way round, a swapped axis or depth in other units would leave meters and tens of gray levels.
    """
    sequence = Sequence.open(real_sequence_folder)
    assert sequence.has_depth
    depth_errors, color_errors, blind_color_errors = [], [], []
    for first, second in ((10, 11), (40, 42), (60, 61)):  # pairs between which the exposure stayed the same
        a, b = sequence[first], sequence[second]
        assert a.depth is not None
        assert b.depth is not None
        generator = torch.Generator().manual_seed(first)
        columns = torch.randint(8, a.camera.width - 8, (400,), generator=generator)
        rows = torch.randint(8, a.camera.height - 8, (400,), generator=generator)
        depths = a.depth[rows, columns]
        rays = a.camera.ray_directions(torch.stack([columns, rows], dim=-1).float())
        points = a.camera.center + depths[:, None] * rays
        image_a, image_b = (frame.image.permute(2, 0, 1).double().numpy() for frame in (a, b))
        for column, row, point, depth in zip(columns, rows, points, depths, strict=True):
            if not depth.isfinite():
                continue
            u, v, z, seen = project(
                point, b.camera.intrinsics, b.camera.world_from_camera, b.camera.width, b.camera.height
            )
            if not seen:
                continue
            assert u is not None
            assert v is not None
            measured = float(b.depth[min(round(v), b.camera.height - 1), min(round(u), b.camera.width - 1)])
            if np.isfinite(measured):
                depth_errors.append(abs(measured - z))
            here = image_a[:, int(row), int(column)]
            color_errors.append(np.abs(color_at(image_b, u, v) - here).mean())
            blind_color_errors.append(np.abs(image_b[:, int(row), int(column)] - here).mean())
    assert len(depth_errors) > 500
    # The recording's own check found 6 mm between frames two apart; medians, as edges and occlusions are outliers.
    assert np.median(depth_errors) < 0.015
    assert np.median(color_errors) < 8
    assert np.median(color_errors) < 0.5 * np.median(blind_color_errors), "moving must explain the pictures better"
