"""The contextual space M against projection, sampling and direction twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference.projection import color_at, direction_difference, feature_at, project

from sray.camera import Camera
from sray.context import ContextBuilder, EncodedViews


def scene(views: int, width: int, height: int) -> tuple[EncodedViews, torch.Tensor]:
    generator = torch.Generator().manual_seed(views)

    def random(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    poses = torch.eye(4, dtype=torch.float64).repeat(views, 1, 1)
    for view in range(views):
        poses[view, :3, :3] = torch.linalg.qr(torch.eye(3, dtype=torch.float64) + 0.3 * random(3, 3))[0]
        poses[view, :3, :3] *= torch.sign(torch.diagonal(poses[view, :3, :3]))
        poses[view, :3, 3] = 0.5 * random(3)
    intrinsics = torch.tensor(
        [[width * 0.8, 0, width / 2], [0, width * 0.8, height / 2], [0, 0, 1]], dtype=torch.float64
    )
    camera = Camera(intrinsics.repeat(views, 1, 1), poses, width, height)
    features = random(views, 32, -(-height // 4), -(-width // 4))
    return EncodedViews(random(views, 3, height, width), camera, features), torch.tensor([0.1, -0.2, -0.3]).double()


@pytest.mark.parametrize(("views", "rays", "samples"), [(1, 1, 2), (3, 4, 5), (2, 0, 3)])
@pytest.mark.parametrize(("width", "height"), [(24, 16), (21, 15)])
def test_m_is_its_twin(views: int, rays: int, samples: int, width: int, height: int) -> None:
    encoded, origin = scene(views, width, height)
    generator = torch.Generator().manual_seed(5)
    spread = torch.tensor([2.0, 2, 3], dtype=torch.float64)
    points = torch.tensor([-1.0, -1, 0.4]).double() + spread * torch.rand(
        rays, samples, 3, generator=generator, dtype=torch.float64
    )
    builder = ContextBuilder(zero_directions=False).double()
    found = builder(encoded, origin, points)
    assert found.tokens.shape == (views, rays, samples, 32)
    seen_count = 0
    for view in range(views):
        camera = encoded.camera[view]
        for ray in range(rays):
            for sample in range(samples):
                place = (view, ray, sample)
                point = points[ray, sample].numpy()
                u, v, _, seen = project(
                    point, camera.intrinsics.numpy(), camera.world_from_camera.numpy(), width, height
                )
                assert bool(found.valid[place]) == seen
                directions = direction_difference(camera.center.numpy(), origin.numpy(), point)
                np.testing.assert_allclose(found.directions[place].numpy(), directions, atol=1e-12)
                if not seen:
                    continue
                seen_count += 1
                # grid_sample goes through [-1, 1] and back in double precision: 1e-15 times some 30 cells, squared.
                features = feature_at(encoded.features[view].numpy(), u, v)
                np.testing.assert_allclose(found.features[place].numpy(), features, atol=1e-11)
                np.testing.assert_allclose(
                    found.colors[place].numpy(), color_at(encoded.images[view].numpy(), u, v), atol=1e-11
                )
                embedding = builder.direction_mlp(torch.tensor(directions, dtype=torch.float64))
                torch.testing.assert_close(
                    found.tokens[place], torch.from_numpy(features) + embedding, atol=1e-11, rtol=0
                )
    if rays and views > 1:
        assert 0 < seen_count < views * rays * samples, "the test must hold seen and unseen points"


def test_unseen_points_stay_finite() -> None:
    """A point in the plane of a camera, behind it, or at its center must not put NaN where a mask multiplies by 0."""
    encoded, origin = scene(1, 24, 16)
    center, forward = encoded.camera.center[0], encoded.camera.forward[0]
    sideways = encoded.camera.world_from_camera[0, :3, 0]
    points = torch.stack([center, center + sideways, center - forward, origin])[None]
    found = ContextBuilder(zero_directions=False).double()(encoded, origin, points)
    assert not found.valid[:, :, :3].any()
    for values in (found.tokens, found.features, found.colors, found.directions):
        assert values.isfinite().all()


def test_zero_directions_starts_from_the_features_themselves() -> None:
    encoded, origin = scene(2, 24, 16)
    points = torch.rand(3, 4, 3, dtype=torch.float64) + 1
    found = ContextBuilder(zero_directions=True).double()(encoded, origin, points)
    torch.testing.assert_close(found.tokens, found.features, atol=0, rtol=0)
    assert not torch.equal(
        *(
            getattr(ContextBuilder(zero_directions=False).double()(encoded, origin, points), name)
            for name in ("tokens", "features")
        )
    )
