"""The voxel map against its twin, its bound, and the PLY it is saved as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st
from reference.voxel_fusion import fuse, supported

from sray.errors import FileError, SrayError
from sray.label_space import ROOMS
from sray.mapping.cloud import LabeledCloud, write_ply
from sray.mapping.voxel_map import VoxelMap, VoxelMapConfig

CLASSES = 4


def random_cloud(generator: np.random.Generator, points: int, extent: float) -> LabeledCloud:
    labels = generator.choice([0, 1, 2, 3, 255], points).astype(np.uint8)
    return LabeledCloud(
        generator.uniform(-extent, extent, (points, 3)).astype(np.float32),
        generator.integers(0, 256, (points, 3)).astype(np.uint8),
        labels,
        generator.uniform(0, 1, points).astype(np.float32),
    )


def one_point(x: float, label: int = 0, confidence: float = 0.5) -> LabeledCloud:
    return LabeledCloud(
        np.array([[x, 0.01, 0.01]], np.float32),
        np.array([[10, 20, 30]], np.uint8),
        np.array([label], np.uint8),
        np.array([confidence], np.float32),
    )


@given(
    seed=st.integers(0, 10_000),
    sightings=st.integers(1, 5),
    points=st.integers(0, 40),
    extent=st.sampled_from([0.1, 0.4, 2.0]),
    max_voxels=st.sampled_from([3, 20, 1000]),
    support=st.sampled_from([(1, 0), (2, 0), (1, 2), (2, 3)]),
)
def test_the_map_is_its_twin(
    seed: int, sightings: int, points: int, extent: float, max_voxels: int, support: tuple[int, int]
) -> None:
    generator = np.random.default_rng(seed)
    voxel_map = VoxelMap(CLASSES, VoxelMapConfig(0.125, max_voxels, *support))
    clouds = [random_cloud(generator, points, extent) for _ in range(sightings)]
    for cloud in clouds:
        voxel_map.integrate(cloud)
    twin = fuse(
        [
            [
                ([float(v) for v in p], [int(v) for v in c], int(label), float(s))
                for p, c, label, s in zip(cloud.points, cloud.rgb, cloud.labels, cloud.confidence, strict=True)
            ]
            for cloud in clouds
        ],
        0.125,
        max_voxels,
    )
    fused = voxel_map.to_cloud()
    assert len(voxel_map) == len(twin), "what is not told of is held"
    twin = supported(twin, *support)
    assert len(fused) == len(twin)
    # Both list voxels by coordinates. Five float32 means of values up to 2 m are off by some 1e-7 each.
    for index, key in enumerate(sorted(twin)):
        xyz, rgb, label, confidence, _ = twin[key]
        assert fused.points[index] == pytest.approx(xyz, abs=2e-6)
        assert np.abs(fused.rgb[index].astype(float) - rgb).max() <= 0.5 + 1e-3
        assert fused.labels[index] == label
        assert fused.confidence[index] == pytest.approx(confidence, abs=1e-6)


def test_a_close_view_with_many_points_counts_as_one_sighting() -> None:
    voxel_map = VoxelMap(CLASSES)
    many = LabeledCloud(
        np.full((50, 3), 0.01, np.float32),
        np.zeros((50, 3), np.uint8),
        np.full(50, 1, np.uint8),
        np.full(50, 0.6, np.float32),
    )
    voxel_map.integrate(many)
    for _ in range(2):
        voxel_map.integrate(one_point(0.01, label=2, confidence=0.9))
    fused = voxel_map.to_cloud()
    assert fused.labels.tolist() == [2]
    assert fused.confidence[0] == pytest.approx((0.9 + 0.9) / 3)


def test_what_no_second_view_confirms_stays_out_until_one_does() -> None:
    voxel_map = VoxelMap(CLASSES, VoxelMapConfig(0.1, min_sightings=2))
    voxel_map.integrate(one_point(0.05))
    assert len(voxel_map) == 1 and len(voxel_map.to_cloud()) == 0
    voxel_map.integrate(one_point(0.06))
    assert len(voxel_map.to_cloud()) == 1


def test_an_island_is_dropped_and_a_wall_is_not() -> None:
    """A wall of 3 x 3 voxels: its corners have 3 neighbors. Half a meter before it floats a voxel by itself."""
    cells = [(x, y, 5) for x in range(3) for y in range(3)] + [(1, 1, 0)]
    points = (np.array(cells, np.float32) + 0.5) * 0.1 - 0.2  # coordinates of both signs
    cloud = LabeledCloud(points, np.zeros((10, 3), np.uint8), np.zeros(10, np.uint8), np.ones(10, np.float32))
    for least, left in ((0, 10), (1, 9), (3, 9), (4, 5), (5, 5), (8, 1), (9, 0)):
        voxel_map = VoxelMap(CLASSES, VoxelMapConfig(0.1, min_neighbors=least))
        voxel_map.integrate(cloud)
        assert len(voxel_map.to_cloud()) == left, least


@pytest.mark.parametrize(("setting", "value"), [("min_sightings", 0), ("min_neighbors", -1), ("min_neighbors", 27)])
def test_support_that_cannot_be_is_refused_by_name(setting: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"map.{setting} is {value}; expected"):
        VoxelMapConfig(**{setting: value})  # type: ignore[arg-type]


def test_the_oldest_then_least_seen_voxels_leave_first() -> None:
    voxel_map = VoxelMap(CLASSES, VoxelMapConfig(0.05, 2))
    for x in (1.01, 2.01, 2.01, 1.01, 3.01):
        voxel_map.integrate(one_point(x))
    assert voxel_map.to_cloud().points[:, 0].tolist() == pytest.approx([1.01, 3.01])
    parts = zip(_parts(one_point(1.01)), _parts(one_point(3.01)), strict=True)
    both = LabeledCloud(*(np.concatenate(pair) for pair in parts))
    voxel_map.integrate(both)  # equally old now: 1.01 was seen three times, 3.01 twice
    voxel_map.integrate(one_point(4.01))
    assert voxel_map.to_cloud().points[:, 0].tolist() == pytest.approx([1.01, 4.01])


def _parts(cloud: LabeledCloud) -> tuple[np.ndarray, ...]:
    return cloud.points, cloud.rgb, cloud.labels, cloud.confidence


def test_slots_of_voxels_that_left_are_clean_when_used_again() -> None:
    voxel_map = VoxelMap(CLASSES, VoxelMapConfig(0.05, 1))
    voxel_map.integrate(one_point(1.01, label=3, confidence=1.0))
    voxel_map.integrate(one_point(2.01, label=0, confidence=0.4))
    voxel_map.integrate(one_point(3.01, label=1, confidence=0.3))
    fused = voxel_map.to_cloud()
    assert (fused.labels.tolist(), fused.confidence.tolist()) == ([1], pytest.approx([0.3]))


def test_points_that_are_not_finite_or_too_far_are_left_out() -> None:
    voxel_map = VoxelMap(CLASSES)
    for x in (np.nan, np.inf, -1e9):
        assert voxel_map.integrate(one_point(x)) == 0
    assert len(voxel_map) == 0


def test_the_revision_tells_a_change_and_nothing_else() -> None:
    voxel_map = VoxelMap(CLASSES)
    revision = voxel_map.revision
    voxel_map.integrate(one_point(1.0, label=255))
    assert voxel_map.revision == revision
    voxel_map.integrate(one_point(1.0))
    assert voxel_map.revision == revision + 1
    voxel_map.clear()
    assert (voxel_map.revision, len(voxel_map)) == (revision + 2, 0)


def test_a_label_outside_the_space_is_refused_and_the_map_stays() -> None:
    voxel_map = VoxelMap(CLASSES)
    voxel_map.integrate(one_point(1.0))
    with pytest.raises(ValueError, match="label 7"):
        voxel_map.integrate(one_point(1.0, label=7))
    assert voxel_map.to_cloud().confidence.tolist() == [0.5]


def test_a_ply_says_to_another_reader_what_the_cloud_says(tmp_path: Path) -> None:
    cloud = random_cloud(np.random.default_rng(0), 30, 1.0)
    write_ply(tmp_path / "map.ply", cloud, ROOMS)
    read = trimesh.load(tmp_path / "map.ply")
    np.testing.assert_array_equal(np.asarray(read.vertices, np.float32), cloud.points)
    np.testing.assert_array_equal(read.colors[:, :3], cloud.rgb)
    data = read.metadata["_ply_raw"]["vertex"]["data"]
    np.testing.assert_array_equal(np.asarray(data["label"]).ravel(), cloud.labels)
    np.testing.assert_array_equal(np.asarray(data["confidence"]).ravel(), cloud.confidence)
    assert [path.name for path in tmp_path.iterdir()] == ["map.ply"]


def test_a_ply_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SrayError) as caught:
        write_ply(tmp_path / "file" / "map.ply", one_point(1.0), ROOMS)
    assert isinstance(caught.value, FileError)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
