"""Stereo: the sweep against its twin, what depth is read from it, which keyframes are partners, what it is taught."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from reference.stereo_sweep import agreement

from sray.camera import Camera, cell_pixels
from sray.frames import Frame, SourceViews
from sray.kernel import build
from sray.kernel import sweep as kernel_sweep
from sray.model import SemanticRay, SemanticRayConfig
from sray.stereo import StereoDepth, StereoNetwork, select_partners
from sray.stereo.agreement import agreed
from sray.stereo.partners import partner_cost
from sray.stereo.sweep import plain_sweep, plane_depths, sweep
from sray_train.data.scene import Scene
from sray_train.learn.config import StereoStage
from sray_train.learn.training.stereo_stage import StereoTraining, matched, stereo_loss

BOUNDS = (1.0, 4.0)


def camera_at(x: float, yaw: float = 0.0, width: int = 64, height: int = 48) -> Camera:
    """Beside the origin, turned to the right by `yaw` radians."""
    pose = torch.eye(4)
    pose[:3, :3] = torch.tensor(
        [[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]], dtype=torch.float32
    )
    pose[0, 3] = x
    intrinsics = torch.tensor([[50.0, 0, width / 2 - 0.5], [0, 50.0, height / 2 - 0.5], [0, 0, 1]])
    return Camera(intrinsics, pose, width, height)


def doubled(camera: Camera) -> Camera:
    return Camera(camera.intrinsics.double(), camera.world_from_camera.double(), camera.width, camera.height)


def test_the_sweep_is_its_twin() -> None:
    """Partners to the side, turned, and one that looks away and sees nothing."""
    torch.manual_seed(0)
    cameras = [doubled(camera_at(x, yaw, 20, 12)) for x, yaw in ((0, 0), (0.4, 0.1), (-0.3, -0.2), (0, math.pi))]
    maps = torch.nn.functional.normalize(torch.randn(4, 3, 3, 5, dtype=torch.float64), dim=1)
    depths = plane_depths(0.5, 4.0, 4).double()
    found = sweep(maps[0], maps[1:], cameras[0], Camera.stack(cameras[1:]), depths)
    as_twin = [(each.intrinsics.numpy(), each.world_from_camera.numpy(), 20, 12) for each in cameras]
    expected = agreement(maps[0].numpy(), maps[1:].numpy(), as_twin[0], as_twin[1:], depths.numpy())
    assert 0 < (expected[2] > 0).mean() < 1  # some cells are seen, some are not
    # Pixels come from K (R | t), the twin's from a matrix inverse: a few roundings of numbers up to 20.
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


needs_kernel = pytest.mark.skipif(
    isinstance(build.library(), build.NoKernel), reason=f"no compiled kernel: {build.library()}"
)


@needs_kernel
@pytest.mark.parametrize(("width", "height"), [(64, 48), (33, 47), (20, 8), (12, 12), (8, 8)])
@pytest.mark.parametrize("channels", [3, 8, 16, 20, 48])
def test_the_compiled_sweep_finds_what_the_plain_one_finds(width: int, height: int, channels: int) -> None:
    """Also of a partner that looks away, on fewer cells than lanes, with channels that fill half a register."""
    torch.manual_seed(1)
    near = min(1.0, width / 20)  # small pictures see little from farther away
    places = ((0, 0), (0.4 * near, 0.1 * near), (-0.3 * near, -0.2 * near), (0, math.pi))
    cameras = Camera.stack([camera_at(x, yaw, width, height) for x, yaw in places])
    maps = torch.nn.functional.normalize(torch.randn(4, channels, -(-height // 4), -(-width // 4)), dim=1)
    given = (maps[0], maps[1:], cameras[0], cameras[[1, 2, 3]], plane_depths(0.4, 8.0, 12))
    assert kernel_sweep.serves(maps)
    compiled, plain = sweep(*given), plain_sweep(*given)
    assert 0 < (plain[2] > 0).float().mean() < 1
    # Single precision on either side: a place is off by about 1e-5 cells, and from cell to cell features differ by 2.
    torch.testing.assert_close(compiled, plain, rtol=0, atol=1e-4)
    assert not kernel_sweep.serves(maps[..., :1, :]) and not kernel_sweep.serves(maps[..., :1])
    assert not kernel_sweep.serves(maps.double()) and not kernel_sweep.serves(maps.requires_grad_())


def test_partners_agree_best_at_the_true_depth() -> None:
    """Features that are a smooth function of the place on a wall two meters away, as each camera sees it."""
    cameras = [camera_at(x, yaw) for x, yaw in ((0, 0), (0.3, 0.05), (-0.2, -0.1))]

    def seen_by(camera: Camera) -> torch.Tensor:
        directions = camera.ray_directions(cell_pixels(12, 16, torch.device("cpu")))
        x, y, _ = (camera.center + (2.0 - camera.center[2]) / directions[:, 2:] * directions).unbind(-1)
        waves = torch.stack([torch.sin(3 * x), torch.cos(3 * x), torch.sin(3 * y), torch.cos(3 * y)])
        return torch.nn.functional.normalize(waves, dim=0).reshape(4, 12, 16)

    depths = torch.tensor([1.0, 1.4, 2.0, 3.0, 5.0])
    partners = torch.stack([seen_by(camera) for camera in cameras[1:]])
    found = sweep(seen_by(cameras[0]), partners, cameras[0], Camera.stack(cameras[1:]), depths)
    by_both = found[2].min(0).values == 1
    assert int(by_both.sum()) > 20
    for kind in (found[0], found[1]):
        assert int(kind[:, by_both].mean(1).argmax()) == 2
    assert float(found[0][2, by_both].mean()) > 0.98


def test_depth_is_read_from_the_likeliest_group_of_planes() -> None:
    """Two neighbors share a surface between them; a distant second peak, higher than either, pulls nothing."""
    network = StereoNetwork(planes=16)
    probabilities = torch.full((16, 1, 1), 1e-9)
    probabilities[4], probabilities[5], probabilities[12] = 0.3, 0.3, 0.4
    read = network.read((probabilities / probabilities.sum(0)).log(), BOUNDS)
    between = math.sqrt(float(plane_depths(*BOUNDS, 16)[4] * plane_depths(*BOUNDS, 16)[5]))
    assert float(read.depth) == pytest.approx(between, rel=1e-4)
    assert float(read.confidence) == pytest.approx(0.6, abs=1e-4)


def test_depth_of_a_pixel_is_that_of_one_cell() -> None:
    """At an edge no pixel lies between the two surfaces, on odd sizes too; cell i is centered at pixel 2 i."""
    network = StereoNetwork(planes=8)
    likely = torch.full((8, 3, 4), -20.0)
    likely[1, :, :2], likely[6, :, 2:] = 0, 0
    depth, confidence = network.read(torch.log_softmax(likely, 0), BOUNDS).at(camera_at(0, width=7, height=5))
    assert depth.shape == confidence.shape == (5, 7)
    assert len(depth.unique()) == 2
    assert (depth[:, :4] < 2).all() and (depth[:, 4:] > 2).all()  # pixels 0 to 3: cells 0, 0, 1, 1


@pytest.mark.parametrize("size", [(64, 48), (90, 60), (33, 47)])
def test_every_size_and_any_number_of_partners_is_read(size: tuple[int, int]) -> None:
    width, height = size
    torch.manual_seed(1)
    model = SemanticRay(SemanticRayConfig(3, stereo=True)).eval()
    model.stereo = StereoNetwork(planes=8)
    for partners in (1, 3):
        cameras = Camera.stack([camera_at(0.1 * x, 0, width, height) for x in range(partners + 1)])
        views = SourceViews(torch.rand(partners + 1, 3, height, width), cameras)
        with torch.inference_mode():
            likely = model.stereo(*matched(model, views), BOUNDS)
        assert likely.shape == (8, -(-height // 2), -(-width // 2))
        torch.testing.assert_close(likely.exp().sum(0), torch.ones(likely.shape[1:]))


def test_exposure_and_white_balance_of_a_view_change_its_matching_features_little() -> None:
    torch.manual_seed(2)
    network = StereoNetwork(planes=8).eval()
    image = torch.rand(1, 3, 48, 64)
    with torch.inference_mode():
        context = torch.zeros(1, 32, 12, 16)  # the encoder's is another matter
        first = network.features(image, context).matching.quarter
        second = network.features(image * torch.tensor([0.5, 0.6, 0.7])[:, None, None] + 0.1, context).matching.quarter
    assert float((first * second).sum(1).mean()) > 0.98


def test_partners_have_parallax_and_see_the_same() -> None:
    keyframe = camera_at(0)
    candidates = Camera.stack(
        [
            camera_at(0),  # itself: no parallax
            camera_at(0.005),
            camera_at(0.2),  # the wanted baseline
            camera_at(0.9),
            camera_at(0.2, math.pi),  # looks away
            camera_at(0.25, 0.1),
        ]
    )
    assert select_partners(keyframe, candidates)[:2] == [2, 5]
    assert set(select_partners(keyframe, candidates)) <= {2, 3, 5}
    assert torch.isinf(partner_cost(keyframe, candidates)[[0, 1, 4]]).all()


def test_partners_among_thousands_are_those_of_a_full_scan() -> None:
    """In a corridor with keyframes every 2 cm, in four directions; and of a camera that stood still for a while."""
    corridor = [camera_at(0.02 * step, turn * math.pi / 6) for step in range(500) for turn in range(4)]
    stood = [*(camera_at(0.0001 * step) for step in range(80)), *(camera_at(x) for x in (-0.3, 0.2, 0.25, 0.3))]
    for candidates in (Camera.stack(corridor), Camera.stack(stood)):
        for index in (0, 40, len(candidates.intrinsics) - 1):
            cost = partner_cost(candidates[index], candidates)
            found = select_partners(candidates[index], candidates)
            assert len(found) == 4 and found == cost.argsort(stable=True)[:4].tolist()


def test_the_loss_is_least_at_the_true_planes() -> None:
    """By hand: cross-entropy on two planes half and half is log 2 at the true shares, and the depth's error is 0."""
    depths = plane_depths(1.0, 4.0, 5)
    truth = torch.tensor([[float((depths[1] * depths[2]).sqrt()), math.nan]])
    shared = torch.full((5, 1, 2), 1e-12)
    shared[1:3] = 0.5
    loss, error = stereo_loss(shared.log(), truth, (1.0, 4.0))
    assert float(loss) == pytest.approx(math.log(2), abs=1e-4) and float(error) == pytest.approx(0, abs=1e-5)
    wrong = torch.full((5, 1, 2), 0.2)
    assert float(stereo_loss(wrong.log(), truth, (1.0, 4.0))[0]) > float(loss)
    nothing, _ = stereo_loss(wrong.log(), torch.full((1, 2), math.nan), (1.0, 4.0))
    assert float(nothing) == 0


def test_planes_outside_all_reason_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 < near < far"):
        plane_depths(2.0, 1.0, 8)


def test_context_lies_at_the_pixels_it_was_read_from() -> None:
    """A picture read at one and a half times its size: its features come to the cells that see the same pixel."""
    model = SemanticRay(SemanticRayConfig(3, encoder="efficientnet_lite0", reading_focal=75.0, stereo=True)).eval()
    camera = camera_at(0)
    width, height = model.reading_size(camera)
    assert (width, height) == (96, 72)
    assert model.stereo is not None
    given: list[torch.Tensor] = []
    model.stereo.context.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    columns = torch.arange(width // 4).float().expand(1, 32, height // 4, -1)  # cell j: pixel 4 j as it was read
    with torch.inference_mode():
        model.stereo_features(torch.rand(1, 3, 48, 64), camera, columns)
    expected = (1.5 * (4 * torch.arange(16) + 0.5) - 0.5) / 4
    torch.testing.assert_close(given[0], expected.expand(1, 32, 12, 16))


def test_frames_without_known_depth_do_not_count_as_right(plane_scene: PlaneScene) -> None:
    """In a validation: neither those that have none, nor those where no pixel is known."""
    known = plane_scene.ring(4)
    torch.manual_seed(3)
    model = SemanticRay(SemanticRayConfig(3, stereo=True)).eval()
    model.stereo = StereoNetwork(planes=8)

    def scene(*frames: Frame) -> Scene:
        return Scene("wall", frames, Camera.stack([frame.camera for frame in frames]))

    first = scene(replace(known[0], depth=None), *known[1:])
    stage = StereoTraining(StereoStage(steps=1), model, [first])
    assert stage.draw([torch.Generator().manual_seed(seed) for seed in range(8)]), "frames without depth are drawn too"
    unknown = [replace(frame, depth=torch.full_like(frame.depth, math.nan)) for frame in known]
    scores = stage.validate([scene(*known)])
    assert scores["depth_abs_rel"] > 0
    assert stage.validate([scene(*known), scene(*unknown)]) == scores
    for nothing in ([], [scene(*unknown)], [scene(*(replace(frame, depth=None) for frame in known))]):
        assert math.isnan(stage.validate(nothing)["depth_abs_rel"])
        assert math.isnan(stage.rank(stage.validate(nothing)))


def test_cameras_may_be_on_another_device_than_what_is_swept() -> None:
    """A mapper's are on the CPU, whatever renders. The device `meta` computes nothing, and mixes with no other."""
    cameras = Camera.stack([camera_at(0.2 * place) for place in range(3)])
    features, depths = torch.ones(3, 16, 12, 16, device="meta"), torch.ones(8, device="meta")
    found = sweep(features[0], features[1:], cameras[0], cameras[[1, 2]], depths)
    assert found.shape == (3, 8, 12, 16) and found.device.type == "meta"
    depth = StereoDepth(*torch.ones(2, 24, 32, device="meta"))
    assert agreed(depth, cameras[0], [depth], cameras[[1]]).depth.device.type == "meta"
