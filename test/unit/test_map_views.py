"""Pictures of a map for the report: from above, from a corner, with the keyframes' arrows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sray.mapping.cloud import LabeledCloud
from sray_train.tools.report import pictures
from sray_train.tools.report.map_views import Look, arrows, map_view


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_map_is_seen_from_above_and_not_mirrored(axis: int, sign: int) -> None:
    """Three points on the ground, counter-clockwise seen against gravity, stay so; what hangs above is cut away."""
    up = np.zeros(3, np.float32)
    up[axis] = sign
    right = np.roll([0, 1, 0], axis).astype(np.float32)
    forward = np.cross(up, right)
    ground = np.stack([0 * right, 2 * right, 2 * right + 2 * forward]).astype(np.float32)
    points = np.concatenate([ground, ground + 2.5 * up]).astype(np.float32)
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]] + [[9, 9, 9]] * 3, np.uint8)
    cloud = LabeledCloud(points, colors, np.zeros(6, np.uint8), np.ones(6, np.float32))
    picture, scale = map_view(cloud, colors, (ground.mean(0) + 1.4 * up)[None], up, longest_side=200)
    corners = []
    for color in colors[:3]:
        rows, columns = np.nonzero((picture == color).all(-1))
        corners.append(np.array([columns.mean(), -rows.mean()]) * scale)
    first, second = corners[1] - corners[0], corners[2] - corners[1]
    assert first[0] * second[1] - first[1] * second[0] == pytest.approx(4, rel=0.1)
    assert not (picture == 9).all(-1).any()


def column(picture: pictures.Picture, color: tuple[int, int, int]) -> NDArray[np.float64]:
    """Mean (column, row) of the pixels of a color."""
    rows, columns = np.nonzero((picture == color).all(-1))
    assert len(rows), f"nothing is {color}"
    return np.array([columns.mean(), rows.mean()])


def test_from_a_corner_high_is_high_near_is_low_and_the_nearer_walls_are_cut() -> None:
    """A floor of 4 x 4 m with a post in its middle and walls all around, seen from its front right."""
    ground = np.stack(np.meshgrid(np.linspace(0, 4, 81), np.linspace(0, 4, 81), [0.0]), -1).reshape(-1, 3)
    side = np.stack(np.meshgrid(np.linspace(0, 4, 81), np.linspace(0.4, 1.6, 25)), -1).reshape(-1, 2)
    level = np.zeros(len(side))
    walls = [
        np.column_stack(parts)
        for parts in (
            (side[:, 0], level + 4, side[:, 1]), (level, side[:, 0], side[:, 1]),  # behind and left: stay
            (side[:, 0], level, side[:, 1]), (level + 4, side[:, 0], side[:, 1]),  # before and right: would hide it
        )
    ]  # fmt: skip
    post = np.column_stack([np.full((20, 2), 2.0), np.linspace(0.05, 1.0, 20)])
    parts = [ground, *walls, post]
    paint = [(200, 200, 200), (0, 90, 0), (0, 0, 90), (90, 90, 0), (90, 0, 90), (255, 0, 0)]
    colors = np.concatenate([np.tile(np.array(c, np.uint8), (len(p), 1)) for p, c in zip(parts, paint, strict=True)])
    points = np.concatenate(parts).astype(np.float32)
    cloud = LabeledCloud(points, colors, np.zeros(len(points), np.uint8), np.ones(len(points), np.float32))
    path = np.array([[1, 1, 1.5], [3, 3, 1.5]], np.float32)
    up = np.array([0, 0, 1], np.float32)
    look = Look(elevation=40, azimuth=30)
    picture, _ = map_view(cloud, colors, path[:1], up, look, longest_side=300)
    for kept in paint[1:3]:
        column(picture, kept)
    for cut in paint[3:5]:
        assert not (picture == cut).all(-1).any(), f"{cut} stands between the viewer and the room"
    post_at, left_wall, back_wall = (column(picture, paint[index]) for index in (5, 2, 1))
    assert left_wall[0] < post_at[0] < back_wall[0] and back_wall[1] < post_at[1]


def test_an_arrow_of_a_keyframe_points_along_its_x() -> None:
    turned = np.eye(4)
    turned[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # x forward looks along the map's y
    turned[:3, 3] = (1, 2, 3)
    shaft, *barbs = arrows(turned[None], length=0.5)
    np.testing.assert_allclose(shaft, [[1, 2, 3], [1, 2.5, 3]], atol=1e-6)
    np.testing.assert_allclose([barb[0] for barb in barbs], [shaft[1]] * 2, atol=1e-6)
    assert all(barb[1][1] < 2.5 for barb in barbs)
