"""Refinement of stereo depth: matching at every cell's own depths, what is read from offsets, what it is taught."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from reference.stereo_sweep import agreement

from sray.camera import Camera
from sray.checkpoint import save_checkpoint
from sray.errors import ModelError
from sray.kernel import build
from sray.kernel import sweep as kernel_sweep
from sray.label_space import ROOMS
from sray.model import SemanticRay, SemanticRayConfig
from sray.stereo import StereoDepth, StereoNetwork
from sray.stereo.network import MatchingFeatures
from sray.stereo.refinement import OFFSETS, REACH, WINDOWS, _mean_around, offsets, refined
from sray.stereo.sweep import plain_sweep, sweep
from sray_train.data.scene import Scene
from sray_train.learn.config import StereoStage, TrainConfig
from sray_train.learn.training.run import stereo_from
from sray_train.learn.training.stereo_stage import StereoTraining, matched, refinement_loss

SCENE = PlaneScene(width=64, height=48)


def cameras(count: int, width: int = 20, height: int = 12) -> Camera:
    scene = PlaneScene(width=width, height=height)
    return Camera.stack([scene.camera((0.15 * place, 0.0, 0.0)) for place in range(count)])


def own_depths(planes: int, rows: int, columns: int) -> torch.Tensor:
    """Another depth at every cell of every plane."""
    return 0.5 + 3 * torch.rand(planes, rows, columns, generator=torch.Generator().manual_seed(5))


def test_every_cell_is_matched_at_its_own_depths() -> None:
    """The twin knows planes alone: each cell's depths are given to it as planes, and that cell is taken."""
    torch.manual_seed(0)
    seen = cameras(3)
    seen = replace(seen, intrinsics=seen.intrinsics.double(), world_from_camera=seen.world_from_camera.double())
    maps = torch.nn.functional.normalize(torch.randn(3, 3, 3, 5, dtype=torch.float64), dim=1)
    depths = own_depths(4, 3, 5).double()
    found = sweep(maps[0], maps[1:], seen[0], seen[[1, 2]], depths)
    views = [(view.intrinsics.numpy(), view.world_from_camera.numpy(), 20, 12) for view in (seen[0], seen[1], seen[2])]
    for row, column in ((0, 0), (1, 2), (2, 4)):
        planes = depths[:, row, column].numpy()
        expected = agreement(maps[0].numpy(), maps[1:].numpy(), views[0], views[1:], planes)[:, :, row, column]
        np.testing.assert_allclose(found[:, :, row, column].numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.skipif(isinstance(build.library(), build.NoKernel), reason=f"no compiled kernel: {build.library()}")
@pytest.mark.parametrize(("width", "height"), [(64, 48), (33, 47)])
def test_the_compiled_sweep_does_the_same_at_half_resolution(width: int, height: int) -> None:
    torch.manual_seed(1)
    seen, rows, columns = cameras(3, width, height), -(-height // 2), -(-width // 2)
    maps = torch.nn.functional.normalize(torch.randn(3, 8, rows, columns), dim=1)
    given = (maps[0], maps[1:], seen[0], seen[[1, 2]], own_depths(6, rows, columns), 2)
    assert kernel_sweep.serves(maps)
    compiled, plain = sweep(*given), plain_sweep(*given)
    assert 0 < (plain[2] > 0).float().mean() < 1
    # Neighboring cells differ by up to 2, and a place is off by 1e-5 cells.
    torch.testing.assert_close(compiled, plain, rtol=0, atol=2e-4)


@pytest.mark.parametrize("shape", [(40, 30), (12, 5)])
def test_means_around_are_those_of_pooling_within_the_picture(shape: tuple[int, int]) -> None:
    """Also in pictures smaller than the window."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    for window in WINDOWS:
        pooled = torch.nn.functional.avg_pool2d(values[None, None], window, 1, window // 2, count_include_pad=False)
        torch.testing.assert_close(_mean_around(values, window), pooled[0, 0], rtol=1e-5, atol=1e-6)


def test_depth_moves_by_the_mean_offset() -> None:
    likely = torch.full((OFFSETS, 1, 2), 1e-12)
    likely[0, 0, 0], likely[-1, 0, 1], likely[-2, 0, 1] = 1.0, 0.5, 0.5
    moved = refined(torch.tensor([[2.0, 2.0]]), likely.log())
    step = float(offsets(torch.device("cpu")).diff()[0])
    expected = [2 * math.exp(-REACH), 2 * math.exp(REACH - step / 2)]
    torch.testing.assert_close(moved, torch.tensor([expected]), rtol=1e-5, atol=0)


def test_the_loss_is_least_at_the_true_offsets() -> None:
    """By hand: at the true one of the offsets nothing is lost; beyond their reach only the missing way is."""
    where = offsets(torch.device("cpu"))
    depth = torch.full((1, 3), 2.0)
    truth = torch.tensor([[2 * math.exp(float(where[3])), math.nan, 2 * math.exp(0.3)]])
    likely = torch.full((OFFSETS, 1, 3), 1e-12)
    likely[3, 0, 0], likely[-1, 0, 2] = 1.0, 1.0
    loss, error = refinement_loss(likely.log(), depth, truth)
    assert float(loss) == pytest.approx(0, abs=1e-4)
    assert float(error) == pytest.approx((0.3 - REACH) / 2, abs=1e-5)
    even = torch.full((OFFSETS, 1, 3), 1 / OFFSETS)
    assert float(refinement_loss(even.log(), depth, truth)[0]) > math.log(OFFSETS) / 2
    nothing, _ = refinement_loss(even.log(), depth, torch.full((1, 3), math.nan))
    assert float(nothing) == 0


def model(seed: int = 0) -> SemanticRay:
    torch.manual_seed(seed)
    made = SemanticRay(SemanticRayConfig(3, stereo=True, refined_stereo=True)).eval()
    made.stereo = StereoNetwork(planes=8, refines=True).eval()
    return made


def walk() -> Scene:
    frames = [SCENE.frame((0.15 * place, 0.0, 0.0)) for place in range(4)]
    return Scene("wall", tuple(frames), Camera.stack([frame.camera for frame in frames]))


def test_it_stays_within_its_reach_of_what_the_sweep_found() -> None:
    network = model().stereo
    assert network is not None
    views = StereoTraining(StereoStage(steps=1), model(), [walk()]).draw([torch.Generator().manual_seed(0)]).samples[0]
    with torch.inference_mode():
        given = matched(model(), views.views)
        coarse = network.read(network(*given, views.bounds), views.bounds)
        fine = network.find(*given, views.bounds)
    moved = (fine.depth / coarse.depth).log()
    assert 0 < float(moved.abs().max()) <= REACH + 1e-5
    assert torch.equal(fine.confidence, coarse.confidence)


def test_alone_it_learns_and_nothing_else_does() -> None:
    """On one wall, a few steps: the loss falls, and the sweep's weights are what they were."""
    torch.manual_seed(3)
    learner = model()
    network = learner.stereo
    assert network is not None and network.refinement is not None
    before = {name: weights.clone() for name, weights in network.state_dict().items()}
    stage = StereoTraining(StereoStage(steps=1, refinement_only=True), learner, [walk()])
    optimizer = torch.optim.Adam([{**group, "lr": 3e-3} for group in stage.parameter_groups()])
    losses = []
    for _ in range(12):
        loss, _ = stage.forward(stage.draw([torch.Generator().manual_seed(1)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for name, weights in network.state_dict().items():
        assert torch.equal(weights, before[name]) != name.startswith("refinement."), name
    stage.finish()
    assert all(weights.requires_grad for weights in network.parameters())


def test_what_has_no_refinement_cannot_learn_one() -> None:
    with pytest.raises(ValueError, match=r"refinement_only is true without model\.refined_stereo"):
        TrainConfig(stereo=StereoStage(steps=1, refinement_only=True))
    with pytest.raises(ValueError, match="refined_stereo is true without stereo"):
        SemanticRayConfig(3, refined_stereo=True)


def test_what_is_kept_of_pictures_can_be_joined_and_counted() -> None:
    fine = MatchingFeatures(torch.ones(2, 16, 3, 4), torch.ones(2, 8, 6, 8))
    joined = MatchingFeatures.joined([fine, fine[[1]]])
    assert joined.quarter.shape[0] == 3 and joined.half is not None and joined.half.shape[0] == 3
    assert joined.nbytes == 4 * 3 * (16 * 12 + 8 * 48)
    compact = joined.compact()
    assert compact.nbytes == joined.nbytes / 2 and compact.quarter.dtype == torch.float16
    coarse = MatchingFeatures(torch.ones(1, 16, 3, 4), None).compact()
    assert MatchingFeatures.joined([coarse, coarse]).half is None
    with pytest.raises(ValueError, match="1 of 2 pictures have fine features"):
        MatchingFeatures.joined([coarse, fine[[0]]])


def test_a_network_without_refinement_says_so() -> None:
    network = StereoNetwork(planes=8)
    picture = network.features(torch.rand(1, 3, 48, 64), torch.zeros(1, 32, 12, 16))
    found = StereoDepth(torch.ones(24, 32), torch.ones(24, 32))
    with pytest.raises(ValueError, match="no refinement"):
        network.refine(picture, picture.matching, cameras(1)[0], cameras(1), found)


def test_a_checkpoint_gives_its_stereo_network_to_one_that_is_alike(tmp_path: Path) -> None:
    given = SemanticRay(SemanticRayConfig(ROOMS.classes, stereo=True, refined_stereo=True))
    save_checkpoint(tmp_path / "m.safetensors", given, ROOMS)
    assert given.stereo is not None
    torch.manual_seed(1)
    alike = SemanticRay(SemanticRayConfig(ROOMS.classes, stereo=True, refined_stereo=True))
    stereo_from(tmp_path / "m.safetensors", alike)
    assert alike.stereo is not None
    for name, weights in alike.stereo.state_dict().items():
        assert torch.equal(weights, given.stereo.state_dict()[name]), name
    with pytest.raises(ModelError, match=r"which refines depth.*Set model\.refined_stereo to true"):
        stereo_from(tmp_path / "m.safetensors", SemanticRay(SemanticRayConfig(ROOMS.classes, stereo=True)))
