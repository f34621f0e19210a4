"""Depth of keyframes from stereo: when it is looked for, what it is merged with, what it counts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from conftest import PlaneScene

from sray.camera import Camera
from sray.field import SemanticField
from sray.frames import Frame, SourceViews
from sray.mapping.mapper import Mapper, MapperConfig
from sray.model import SemanticRay, SemanticRayConfig
from sray.stereo import StereoDepth, StereoNetwork
from sray.stereo.surfaces import LEAST_CONFIDENCE, merged_depth, with_stereo

SCENE = PlaneScene(width=64, height=48)


class SaysTwoMetres(StereoNetwork):
    """Sure of two metres everywhere; counts its sweeps and knows how many partners the last one had."""

    sweeps, partners = 0, 0

    def forward(self, reference, partners, camera, partner_cameras, bounds):  # type: ignore[no-untyped-def]
        self.sweeps += 1
        self.partners = partners.shape[0]
        assert partner_cameras.intrinsics.shape[0] == partners.shape[0]
        rows, columns = reference.half.shape[-2:]
        return torch.zeros(self.planes, rows, columns)

    def read(self, log_probabilities, bounds):  # type: ignore[no-untyped-def]
        shape = log_probabilities.shape[1:]
        return StereoDepth(torch.full(shape, 2.0), torch.full(shape, 0.9))


@pytest.fixture
def model() -> SemanticRay:
    torch.manual_seed(0)
    made = SemanticRay(SemanticRayConfig(3, stereo=True)).eval()
    made.stereo = SaysTwoMetres(planes=8).eval()
    return made


def frame_at(x: float, stamp: int = 0) -> Frame:
    return replace(SCENE.frame((x, 0.0, 0.0)), depth=None, stamp_ns=stamp)


def mapper_of(model: SemanticRay, **settings: bool) -> Mapper:
    return Mapper(SemanticField(model), 3, MapperConfig(**settings))


def test_a_keyframe_gets_depth_once_it_has_partners_and_again_when_better_ones_came(model: SemanticRay) -> None:
    """The first has nobody; the second sweeps and the first is swept again; a far one is nobody's partner."""
    mapper = mapper_of(model)
    mapper.add(frame_at(0.0, 0))
    assert mapper.keyframes[0].surface is None and model.stereo.sweeps == 0
    mapper.add(frame_at(0.2, 1))
    assert model.stereo.sweeps == 2 and model.stereo.partners == 1
    for keyframe in mapper.keyframes:
        depth, confidence = keyframe.surface
        known = depth.isfinite()
        assert known.float().mean() > 0.7 and not known.all()  # beside the other's image nobody confirms it
        assert torch.allclose(depth[known], torch.tensor(2.0)) and (confidence[known] > 0.75).all()
        assert (confidence[~known] == 0).all()
    mapper.add(frame_at(30.0, 2))
    assert model.stereo.sweeps == 2 and mapper.keyframes[2].surface is None
    counted = sum(keyframe.bytes for keyframe in mapper.keyframes)
    assert mapper.keyframes.bytes == counted  # sweeps are in the memory budget
    assert mapper.keyframes[0].bytes > mapper.keyframes[2].bytes


def test_stereo_can_be_left_out(model: SemanticRay) -> None:
    mapper = mapper_of(model, stereo=False)
    mapper.add(frame_at(0.0, 0))
    mapper.add(frame_at(0.2, 1))
    assert model.stereo.sweeps == 0 and all(keyframe.surface is None for keyframe in mapper.keyframes)


def test_a_restored_mapper_finds_every_depth_again(model: SemanticRay) -> None:
    mapper = mapper_of(model)
    for number in range(3):
        mapper.add(frame_at(0.15 * number, number))
    kept = [(keyframe.number, keyframe.frame) for keyframe in mapper.keyframes]
    restored = mapper_of(model)
    restored.restore(kept, 3, mapper.map.state())
    assert all(keyframe.stereo is not None for keyframe in restored.keyframes)
    assert all(math.isfinite(keyframe.stereo_cost) for keyframe in restored.keyframes)


def test_a_sensor_is_believed_and_stereo_fills_its_holes() -> None:
    camera = SCENE.camera((0.0, 0.0, 0.0))
    measured = torch.full((48, 64), 1.5)
    measured[:, 32:] = torch.nan
    sure = torch.full((24, 32), 0.9)
    sure[12:] = LEAST_CONFIDENCE / 2
    depth, confidence = merged_depth(measured, StereoDepth(torch.full((24, 32), 2.0), sure), camera)
    assert (depth[:, :32] == 1.5).all() and (confidence[:, :32] == 1).all()
    assert (depth[:24, 32:] == 2.0).all() and torch.allclose(confidence[:24, 32:], torch.tensor(0.9))
    assert depth[24:, 32:].isnan().all() and (confidence[24:, 32:] == 0).all()


def test_views_that_come_together_give_each_other_depth(model: SemanticRay) -> None:
    """One of them looks away: it has no partner, and stays without."""
    frames = [frame_at(0.0), frame_at(0.2), replace(frame_at(0.1), camera=turned(SCENE.camera((0.1, 0, 0))))]
    views = with_stereo(model.stereo, SourceViews.from_frames(frames), (0.5, 8.0))
    known = views.depth.isfinite()
    assert known[:2].float().mean() > 0.7 and not known[2].any()
    assert torch.allclose(views.depth[known], torch.tensor(2.0))
    field = SemanticField(model)
    field.set_sources(SourceViews.from_frames(frames[:2]))
    view = field.render(SCENE.camera((0.1, 0.0, 0.0)))
    assert view.depth.shape == (48, 64)


def turned(camera: Camera) -> Camera:
    pose = camera.world_from_camera.clone()
    pose[:3, :3] = pose[:3, :3] @ torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    return replace(camera, world_from_camera=pose)
