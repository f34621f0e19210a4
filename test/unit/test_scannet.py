"""ScanNet's exported folders: orientation, intrinsics, and which ids the labels hold."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from dataset_fixtures.relief import NAMES, pinhole, views
from dataset_fixtures.reprojection import BREAKS, Seen, agreement, assert_consistent
from dataset_fixtures.scannet import LOST, NYU40_IDS, RAW_IDS, TABLE, matrix_text, write_folder, write_table

from sray.label_space import NYU40, SCANNET20, VOID
from sray_train.data.scannet import open_folder, open_scannet, read_table

WIDTH, HEIGHT = 48, 36
K = pinhole(WIDTH, HEIGHT, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset of one scene, its labels in raw ids, and the table beside the scenes."""
    write_folder(tmp_path / "scans" / "scene0000_00", views(K, WIDTH, HEIGHT), K, RAW_IDS)
    write_table(tmp_path / TABLE)
    return tmp_path


def names_in(labels: torch.Tensor | None, space) -> set[str]:
    assert labels is not None
    return {space.names[index] for index in labels.unique().tolist() if index != VOID}


def test_frames_agree_by_depth_pose_and_intrinsics(root: Path) -> None:
    scene = open_scannet(root / "scans" / "scene0000_00", NYU40, root=root)
    assert_consistent([scene[i] for i in range(len(scene))], views(K, WIDTH, HEIGHT), K)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda f: f.__name__)
def test_that_check_sees_what_readers_get_wrong(root: Path, broken) -> None:
    """The same check as of every reader here, with one frame as a wrong reader would give it, or all of them."""
    scene = open_scannet(root / "scans" / "scene0000_00", NYU40)
    frames = [Seen.of(scene[i]) for i in range(len(scene))]
    for other in frames[1:]:
        for found in (agreement(frames[0], broken(other)), agreement(broken(frames[0]), broken(other))):
            assert found.color < 0.2, "more than 0.75 where nothing is wrong"


def test_raw_ids_become_the_classes_by_the_table(root: Path) -> None:
    truth = views(K, WIDTH, HEIGHT)[0]
    frame = open_scannet(root / "scans" / "scene0000_00", NYU40, "scannet")[0]
    assert frame.labels is not None
    wanted = np.array([NYU40.names.index(name) for name in NAMES])[truth.classes]
    assert np.array_equal(frame.labels.numpy(), wanted)


def test_classes_outside_the_label_space_are_ignored(root: Path) -> None:
    frame = open_scannet(root / "scans" / "scene0000_00", SCANNET20)[0]
    assert names_in(frame.labels, SCANNET20) == {"wall", "window", "floor", "door", "picture", "table"}
    assert frame.labels is not None
    assert (frame.labels == VOID).any(), "the ceiling is no ScanNet20 class"


@pytest.mark.parametrize("where", ["scans/scene0000_00", "scans", "."])
def test_the_table_is_found_beside_the_scene_and_above(root: Path, where: str) -> None:
    (root / TABLE).rename(root / where / TABLE)
    assert "ceiling" in names_in(open_scannet(root / "scans" / "scene0000_00", NYU40, root=root)[0].labels, NYU40)
    assert "ceiling" in names_in(open_scannet(root / "scans" / "scene0000_00", NYU40)[0].labels, NYU40)


def test_the_table_is_not_looked_for_above_the_root(root: Path) -> None:
    with pytest.raises(Exception, match=TABLE):
        open_scannet(root / "scans" / "scene0000_00", NYU40, root=root / "scans")


def test_auto_takes_8_bits_for_nyu40(root: Path) -> None:
    scene = write_folder(root / "scans" / "recorded", views(K, WIDTH, HEIGHT), K, NYU40_IDS, np.uint8)
    assert names_in(open_folder(scene, NYU40, root=root)[0].labels, NYU40) == set(NAMES) - {"blinds"}


def test_auto_takes_small_16_bit_ids_for_nyu40_where_no_table_is(root: Path) -> None:
    (root / TABLE).unlink()
    scene = write_folder(root / "scans" / "recorded", views(K, WIDTH, HEIGHT), K, NYU40_IDS)
    assert names_in(open_folder(scene, NYU40, root=root)[0].labels, NYU40) == set(NAMES) - {"blinds"}


def test_what_is_said_is_not_guessed(root: Path) -> None:
    """NYU40 ids in 16 bits beside a table: auto refuses (test/faults), nyu40 reads them."""
    scene = write_folder(root / "scans" / "recorded", views(K, WIDTH, HEIGHT), K, NYU40_IDS)
    assert names_in(open_folder(scene, NYU40, "nyu40", root)[0].labels, NYU40) == set(NAMES) - {"blinds"}
    with pytest.raises(ValueError, match="auto, nyu40, scannet"):
        open_folder(scene, NYU40, "raw", root)  # type: ignore[arg-type]


def test_auto_looks_at_pictures_all_over_the_scene(root: Path) -> None:
    """The only id above 40 in the last of 40 pictures."""
    scene = root / "scans" / "long"
    write_folder(scene, [views(K, WIDTH, HEIGHT)[0]] * 33, K, dict.fromkeys(NAMES, 1))
    ids = np.ones((HEIGHT, WIDTH), np.uint16)
    ids[0, 0] = RAW_IDS["ceiling"]
    cv2.imwrite(str(scene / "label-filt" / "32.png"), ids)
    assert "ceiling" in names_in(open_folder(scene, NYU40, root=root)[32].labels, NYU40)


def test_a_repeated_id_counts_as_its_last_row(tmp_path: Path) -> None:
    """ScanNet's table gives id 107 to pipe (40) and later to pipes (38)."""
    table = tmp_path / TABLE
    table.write_text("id\tnyu40id\n107\t40\n1\t1\n107\t38\n")
    found = read_table(table)
    assert (found[107], found[1], found[2], found[65535]) == (38, 1, 0, 0)


def test_lost_poses_are_skipped_and_counted(root: Path) -> None:
    folder = root / "scans" / "scene0000_00"
    (folder / "pose" / "1.txt").write_text(matrix_text(LOST))
    scene = open_scannet(folder, NYU40)
    assert scene.skipped == {"pose is not finite": [1]}
    assert len(scene) == 3
    assert scene[1].name == "scene0000_00/2"
