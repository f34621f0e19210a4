"""Camera conventions, and projection against its twin."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.projection import project

from sray.camera import Camera, feature_grid, image_grid, up_of


def rotation(generator: torch.Generator) -> torch.Tensor:
    matrix, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    return matrix * torch.sign(torch.linalg.det(matrix))


def random_camera(seed: int, dtype: torch.dtype = torch.float64) -> Camera:
    generator = torch.Generator().manual_seed(seed)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = rotation(generator)
    pose[:3, 3] = torch.randn(3, generator=generator, dtype=torch.float64)
    intrinsics = torch.tensor([[60.0, 0.7, 30.2], [0.0, 55.0, 22.9], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return Camera(intrinsics.to(dtype), pose.to(dtype), 64, 48)


def test_conventions() -> None:
    """2 m ahead lands on (cx, cy); x is right, y is down; the image spans [-0.5, width - 0.5)."""
    camera = Camera(torch.tensor([[50.0, 0, 20], [0, 50, 15], [0, 0, 1]]), torch.eye(4), 40, 30)
    points = torch.tensor([[0.0, 0, 2], [1.0, 0, 5], [0.0, 1, 5], [0.0, 0, -2]])
    found = camera.project(points)
    torch.testing.assert_close(found.pixels[:3], torch.tensor([[20.0, 15], [30, 15], [20, 25]]))
    assert found.depth.tolist() == [2, 5, 5, -2]
    assert found.seen.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("u", "v", "seen"),
    [(-0.5, 0, True), (-0.51, 0, False), (39.49, 0, True), (39.5, 0, False), (0, 29.49, True), (0, 29.5, False)],
)
def test_the_image_ends_half_a_pixel_beyond_the_outer_centers(u: float, v: float, seen: bool) -> None:
    camera = Camera(torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]), torch.eye(4), 40, 30)
    assert camera.project(torch.tensor([[u, v, 1.0]])).seen.tolist() == [seen]


@pytest.mark.parametrize("shape", [(), (7,), (2, 5), (0, 3)])
def test_projection_is_its_twin(shape: tuple[int, ...]) -> None:
    cameras = [random_camera(seed) for seed in range(3)]
    points = 3 * torch.randn(*shape, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    found = Camera.stack(cameras).project(points)
    assert found.pixels.shape == (3, *shape, 2)
    for view, camera in enumerate(cameras):
        for index in np.ndindex(*shape):
            u, v, z, seen = project(
                points[index].numpy(), camera.intrinsics.numpy(), camera.world_from_camera.numpy(), 64, 48
            )
            place = (view, *index)
            assert bool(found.seen[place]) == seen
            # Some ten operations on numbers below 1e3, divided by z of at least 1e-3 m: 1e-16 * 1e4 * 1e3.
            assert float(found.depth[place]) == pytest.approx(z, abs=1e-9)
            if u is not None and z > 1e-3:
                assert float(found.pixels[place][0]) == pytest.approx(u, abs=1e-8)
                assert float(found.pixels[place][1]) == pytest.approx(v, abs=1e-8)


@given(
    seed=st.integers(0, 1000),
    u=st.floats(-0.49, 63.49),
    v=st.floats(-0.49, 47.49),
    z=st.floats(0.05, 20),
)
def test_a_point_on_a_pixels_ray_projects_back_to_it(seed: int, u: float, v: float, z: float) -> None:
    camera = random_camera(seed)
    pixel = torch.tensor([[u, v]], dtype=torch.float64)
    found = camera.project(camera.center + z * camera.ray_directions(pixel))
    torch.testing.assert_close(found.pixels, pixel, atol=1e-7, rtol=0)
    torch.testing.assert_close(found.depth, torch.tensor([z], dtype=torch.float64), atol=1e-9, rtol=1e-9)
    assert found.seen.all()


def test_a_round_trip_in_single_precision_stays_within_a_thousandth_of_a_pixel() -> None:
    """eps 6e-8, times coordinates of some 1e2 px and 1e1 m, times the few operations of K (R p + t)."""
    camera = random_camera(4, torch.float32)
    pixels = camera.pixel_grid()
    found = camera.project(camera.center + 3.7 * camera.ray_directions(pixels))
    torch.testing.assert_close(found.pixels, pixels, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("width", "height"), [(32, 24), (160, 90), (63, 48)])
def test_resizing_keeps_what_a_camera_sees(width: int, height: int) -> None:
    """c' = s (c + 0.5) - 0.5: corners stay corners, and every point keeps its place in the picture."""
    camera = random_camera(1)
    small = camera.resized(width, height)
    points = camera.center + 2 * camera.ray_directions(torch.rand(20, 2, dtype=torch.float64) * 40)
    scale = torch.tensor([width / 64, height / 48], dtype=torch.float64)
    torch.testing.assert_close(
        small.project(points).pixels, scale * (camera.project(points).pixels + 0.5) - 0.5, atol=1e-9, rtol=0
    )
    assert (small.width, small.height) == (width, height)
    torch.testing.assert_close(small.resized(64, 48).intrinsics, camera.intrinsics)


def test_pixel_grid_runs_row_by_row() -> None:
    camera = Camera(torch.eye(3), torch.eye(4), 3, 2)
    assert camera.pixel_grid().tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]


def test_grids_address_pixel_and_cell_centers() -> None:
    """grid_sample reads exactly picture cell u, and feature cell u / 4."""
    picture = torch.arange(12.0).reshape(1, 1, 3, 4)
    pixels = torch.tensor([[2.0, 1.0]])
    read = torch.nn.functional.grid_sample(
        picture, image_grid(pixels, 4, 3)[None, None], align_corners=False, padding_mode="border"
    )
    assert read.item() == pytest.approx(6)
    read = torch.nn.functional.grid_sample(
        picture, feature_grid(4 * pixels, 4, 3)[None, None], align_corners=False, padding_mode="border"
    )
    assert read.item() == pytest.approx(6)


def test_center_and_forward_come_from_the_pose() -> None:
    camera = random_camera(2)
    in_world = camera.world_from_camera @ torch.tensor([[0.0, 0], [0, 0], [0, 1], [1, 1]], dtype=torch.float64)
    torch.testing.assert_close(camera.center, in_world[:3, 0])
    torch.testing.assert_close(camera.forward, in_world[:3, 1] - in_world[:3, 0])
    assert math.isclose(float(camera.forward.norm()), 1, abs_tol=1e-12)


def test_stack_and_index_are_inverse() -> None:
    cameras = [random_camera(seed) for seed in range(3)]
    batch = Camera.stack(cameras)
    torch.testing.assert_close(batch[1].world_from_camera, cameras[1].world_from_camera)
    assert batch[[2, 0]].intrinsics.shape == (2, 3, 3)


def test_stack_refuses_cameras_of_different_sizes() -> None:
    with pytest.raises(ValueError, match="exactly one size"):
        Camera.stack([random_camera(0), random_camera(1).resized(32, 24)])
    with pytest.raises(ValueError, match="exactly one size"):
        Camera.stack([])


def test_up_is_the_axis_against_gravity_on_average() -> None:
    """Cameras that look along the map's y, and half a right angle down: up is z, for either sign of z."""
    half = math.sqrt(0.5)
    poses = np.stack([np.eye(4)] * 2)
    for pose, down in zip(poses, (half, 0.0), strict=True):
        forward = np.array([0, math.sqrt(1 - down**2), -down])
        right = np.array([1.0, 0, 0])
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    np.testing.assert_array_equal(up_of(poses), [0, 0, 1])
    poses[:, :3, :3] = np.diag([1, -1, -1]) @ poses[:, :3, :3]
    np.testing.assert_array_equal(up_of(poses), [0, 0, -1])
