"""Free space: what a map holds and views look through."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from reference.voxel_fusion import looked_through

from sray.camera import Camera
from sray.mapping.cloud import LabeledCloud, largest_around
from sray.mapping.voxel_map import CLEARANCE, VoxelMap, VoxelMapConfig
from sray.origin import Origin

WIDTH, HEIGHT = 12, 10
INTRINSICS = torch.tensor([[8.0, 0, 5.5], [0, 8.0, 4.5], [0, 0, 1]])
CAMERA = Camera(INTRINSICS, torch.eye(4), WIDTH, HEIGHT)


def cloud(*points: tuple[float, float, float], origin: Origin = Origin()) -> LabeledCloud:  # noqa: B008 (immutable)
    count = len(points)
    rgb, labels = np.zeros((count, 3), np.uint8), np.zeros(count, np.uint8)
    return LabeledCloud(np.array(points, np.float32), rgb, labels, np.ones(count, np.float32), origin)


def mapped(*points: tuple[float, float, float], limit: float = 0.0) -> VoxelMap:
    made = VoxelMap(1, VoxelMapConfig(max_looked_through=limit))
    made.integrate(cloud(*points))
    return made


def wall(depth: float = 2.0) -> torch.Tensor:
    return torch.full((HEIGHT, WIDTH), depth)


def test_what_a_view_looks_through_is_left_out_and_nothing_else() -> None:
    """Before the wall; within the clearance; on it; behind it; behind the camera; beside the picture."""
    before, near, on, behind = (0.01, 0.01, 1.5), (0.21, 0.01, 1.9), (0.41, 0.01, 2.0), (0.01, 0.01, 3.0)
    back, beside = (0.01, 0.01, -1.5), (3.0, 0.01, 1.5)
    made = mapped(before, near, on, behind, back, beside)
    assert made.carve(CAMERA, wall()) == 1
    assert len(made) == 6, "it is held: others may see it again"
    shown = {tuple(round(float(value), 2) for value in point) for point in made.to_cloud().points}
    assert shown == {near, on, behind, back, beside}


def test_seen_often_it_bears_to_be_looked_through_now_and_then() -> None:
    made = mapped((0.01, 0.01, 1.5), limit=0.25)
    for _ in range(3):
        made.integrate(cloud((0.01, 0.01, 1.5)))
    made.carve(CAMERA, wall())
    assert len(made.to_cloud()) == 1, "once, and seen four times"
    made.carve(CAMERA, wall())
    assert len(made.to_cloud()) == 0
    for _ in range(4):
        made.integrate(cloud((0.01, 0.01, 1.5)))
    assert len(made.to_cloud()) == 1, "it is back where it was"


@pytest.mark.parametrize("unknown", [0.0, math.nan, math.inf])
def test_where_nothing_is_known_nothing_is_looked_through(unknown: float) -> None:
    made = mapped((0.01, 0.01, 1.5))
    revision = made.revision
    depth = wall()
    depth[4, 5] = unknown  # beside the pixel that the point falls into
    assert made.carve(CAMERA, depth) == 0 and made.revision == revision
    assert made.carve(CAMERA, wall()) == 1 and made.revision > revision


def test_at_an_edge_the_nearer_surface_counts() -> None:
    depth = wall(4.0)
    depth[:, 6:] = 1.5
    assert mapped((-0.01, 0.01, 1.5)).carve(CAMERA, depth) == 0, "one pixel away from what is nearer"
    assert mapped((-0.6, 0.01, 1.5)).carve(CAMERA, depth) == 1


def test_a_map_far_away_and_a_camera_of_another_origin() -> None:
    """The map's frame is 3 km from the camera's."""
    there = Origin(3000.0, -2000.0, 0.0)
    made = VoxelMap(1, VoxelMapConfig(max_looked_through=0.0))
    made.integrate(cloud((0.01, 0.01, 1.5), origin=there))
    pose = torch.eye(4)
    pose[0, 3], pose[1, 3] = 3000.0, -2000.0
    assert made.carve(Camera(INTRINSICS, pose, WIDTH, HEIGHT), wall()) == 1
    assert made.carve(CAMERA, wall()) == 0


def test_it_is_its_twin() -> None:
    """Random points around a tilted camera, random depths, some unknown."""
    generator = np.random.default_rng(0)
    points = generator.uniform((-2, -2, 0.2), (2, 2, 3.5), (400, 3)).astype(np.float32)
    angle = 0.3
    pose = np.eye(4)
    pose[:3, :3] = [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    pose[:3, 3] = 0.2, -0.1, 0.3
    depth = generator.uniform(2, 4, (HEIGHT, WIDTH))
    depth[generator.uniform(size=depth.shape) < 0.02] = 0
    made = VoxelMap(1, VoxelMapConfig(voxel_size=0.01, max_looked_through=0.0))
    made.integrate(cloud(*map(tuple, points.tolist())))
    state = made.state()
    camera = Camera(INTRINSICS, torch.from_numpy(pose).float(), WIDTH, HEIGHT)
    made.carve(camera, torch.from_numpy(depth).float())
    expected = looked_through(state.xyz, INTRINSICS.numpy(), pose, depth.tolist(), CLEARANCE, 0.01)
    assert 20 < sum(expected) < len(expected) - 20
    assert made.state().looked_through.astype(bool).tolist() == expected


def test_it_is_part_of_the_state_and_leaves_with_its_voxel() -> None:
    made = mapped((0.01, 0.01, 1.5))
    made.carve(CAMERA, wall())
    again = VoxelMap.from_state(made.state(), VoxelMapConfig(max_looked_through=0.0))
    assert len(again) == 1 and len(again.to_cloud()) == 0
    small = VoxelMap(1, VoxelMapConfig(max_voxels=1, max_looked_through=0.0))
    small.integrate(cloud((0.01, 0.01, 1.5)))
    small.carve(CAMERA, wall())
    small.integrate(cloud((0.61, 0.01, 1.5)))  # the first leaves, and its row is used again
    assert len(small) == 1 and len(small.to_cloud()) == 1


@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_a_limit_that_cannot_be_is_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match=r"map\.max_looked_through is .*; expected 0 or more"):
        VoxelMapConfig(max_looked_through=value)


def test_the_largest_around_is_that_of_torchs_pooling_at_the_border_too() -> None:
    values = torch.randn(7, 9, generator=torch.Generator().manual_seed(0))
    values[:3, :3] = -torch.inf
    assert torch.equal(largest_around(values), torch.nn.functional.max_pool2d(values[None], 3, 1, 1)[0])
