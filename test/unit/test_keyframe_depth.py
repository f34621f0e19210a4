"""Depth of keyframes from stereo: when it is looked for, what it is merged with, what it counts."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import PlaneScene
from safetensors import safe_open
from safetensors.numpy import save_file

from sray.camera import Camera
from sray.errors import FileError, SrayError
from sray.field import SemanticField
from sray.frames import Frame, SourceViews
from sray.label_space import LabelSpace
from sray.mapping.keyframe_depth import CLEARLY_BETTER, NO_PARTNER, STEREO_BOUNDS, StereoKeeper
from sray.mapping.keyframes import KeyframeBuffer, KeyframeConfig
from sray.mapping.mapper import Mapper
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.model import SemanticRay, SemanticRayConfig
from sray.stereo import StereoDepth, StereoNetwork
from sray.stereo.found import FoundDepth
from sray.stereo.partners import PARTNERS, partner_cost
from sray.stereo.surfaces import LEAST_CONFIDENCE, merged_depth

SCENE = PlaneScene(width=64, height=48)
SPACE = LabelSpace("three", ("wall", "floor", "bed"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 4))


class SaysTwoMeters(StereoNetwork):
    """Sure of two meters everywhere; counts its sweeps and knows how many partners the last one had."""

    sweeps, partners = 0, 0

    def forward(self, reference, partners, camera, partner_cameras, bounds):  # type: ignore[no-untyped-def]
        self.sweeps += 1
        self.partners = partners.quarter.shape[0]
        assert partner_cameras.intrinsics.shape[0] == self.partners
        rows, columns = reference.half.shape[-2:]
        return torch.zeros(self.planes, rows, columns)

    def read(self, log_probabilities, bounds):  # type: ignore[no-untyped-def]
        shape = log_probabilities.shape[1:]
        return StereoDepth(torch.full(shape, 2.0), torch.full(shape, 0.9))


@pytest.fixture
def model() -> SemanticRay:
    torch.manual_seed(0)
    made = SemanticRay(SemanticRayConfig(3, stereo=True)).eval()
    made.stereo = SaysTwoMeters(planes=8).eval()
    return made


def test_after_a_change_of_the_encoder_keyframes_are_matched_by_its_features(model: SemanticRay) -> None:
    """The depth that was found stays; new keyframes are compared with features of one encoder."""
    config = MapperConfig(KeyframeConfig(min_sharpness=0.0))

    def mapped(shown: SemanticRay) -> Mapper:
        mapper = Mapper(SemanticField(shown), 3, config)
        for place in range(3):
            mapper.add(frame_at(0.2 * place, place))
        return mapper

    other = deepcopy(model)
    with torch.no_grad():
        for parameter in other.encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    mapper, expected = mapped(model), mapped(other)
    depths = [keyframe.stereo for keyframe in mapper.keyframes]
    mapper.change_model(SemanticField(other))
    for keyframe, fresh, depth in zip(mapper.keyframes, expected.keyframes, depths, strict=True):
        assert keyframe.matching is not None and fresh.matching is not None
        torch.testing.assert_close(keyframe.matching.quarter, fresh.matching.quarter, atol=2e-2, rtol=0)
        assert keyframe.stereo is depth


def test_a_change_of_the_model_while_stereo_is_off_forgets_what_the_old_one_matched(model: SemanticRay) -> None:
    """Features of two networks are never compared: switched on again, keyframes are matched anew as they come."""
    config = MapperConfig(KeyframeConfig(min_sharpness=0.0))
    mapper = Mapper(SemanticField(model), 3, config)
    for place in range(3):
        mapper.add(frame_at(0.2 * place, place))
    other = deepcopy(model)
    with torch.no_grad():
        for parameter in other.stereo.parameters():  # type: ignore[union-attr]
            parameter += 0.1
    mapper.config = replace(mapper.config, stereo=False)
    mapper.change_model(SemanticField(other))
    assert all(keyframe.matching is None and keyframe.stereo is None for keyframe in mapper.keyframes)
    mapper.config = replace(mapper.config, stereo=True)
    mapper.add(frame_at(0.6, 3))
    assert mapper.keyframes[3].matching is not None


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


def test_of_hundreds_one_is_swept_again_that_a_full_scan_finds_bettered(model: SemanticRay) -> None:
    generator, depth = torch.Generator().manual_seed(0), StereoDepth(torch.ones(1, 1), torch.ones(1, 1))
    buffer = KeyframeBuffer(KeyframeConfig(capacity=1000))
    for index in range(300):
        x, z = (8 * torch.rand(2, generator=generator)).tolist()
        buffer.add(replace(SCENE.frame((x, 0.0, z)), depth=None, stamp_ns=index), torch.zeros(1, 1, 1))
    costs = partner_cost(buffer.cameras, buffer.cameras, STEREO_BOUNDS)
    first, now = (each.clamp_max(NO_PARTNER).sort(-1).values[:, :PARTNERS].mean(-1) for each in (costs[:, :60], costs))
    for index in range(299):
        buffer.update(index, stereo=FoundDepth(depth, depth, float(first[index])))
    for newest in (299, 7, 100):
        gains = torch.where(torch.isfinite(costs[:, newest]), first - now, 0.0)
        gains[299] = 0.0
        chosen = StereoKeeper(SemanticField(model))._most_bettered(buffer, newest)
        assert chosen is not None and gains[chosen] > CLEARLY_BETTER
    for index in range(299):
        buffer.update(index, stereo=FoundDepth(depth, depth, float(now[index])))
    assert StereoKeeper(SemanticField(model))._most_bettered(buffer, 299) is None


def test_stereo_can_be_left_out(model: SemanticRay) -> None:
    mapper = mapper_of(model, stereo=False)
    mapper.add(frame_at(0.0, 0))
    mapper.add(frame_at(0.2, 1))
    mapper.render(frame_at(0.1, 2).camera)
    assert model.stereo.sweeps == 0 and all(keyframe.surface is None for keyframe in mapper.keyframes)


def test_a_restored_mapper_finds_every_depth_again(model: SemanticRay) -> None:
    mapper = mapper_of(model)
    for number in range(3):
        mapper.add(frame_at(0.15 * number, number))
    kept = [(keyframe.number, keyframe.frame) for keyframe in mapper.keyframes]
    restored = mapper_of(model)
    restored.restore(kept, 3, mapper.map.state())
    assert model.stereo.sweeps > 0
    for keyframe in restored.keyframes:
        assert keyframe.stereo is not None and math.isfinite(keyframe.stereo.cost)


def walked(model: SemanticRay, **config: KeyframeConfig) -> Mapper:
    """Three keyframes that see the same, and one that sees nothing of it."""
    mapper = Mapper(SemanticField(model), 3, MapperConfig(**config))
    for number, x in enumerate((0.0, 0.15, 0.3, 30.0)):
        mapper.add(frame_at(x, number))
    return mapper


@pytest.fixture
def trained() -> SemanticRay:
    """Random weights of the real network: its depth varies from cell to cell."""
    torch.manual_seed(1)
    return SemanticRay(SemanticRayConfig(3, stereo=True)).eval()


def depths_of(mapper: Mapper) -> list[bytes | None]:
    """Every bit of what stereo found."""
    return [
        None
        if (found := keyframe.stereo) is None
        else b"".join(
            part.numpy().tobytes() for each in (found.swept, found.agreed) for part in (each.depth, each.confidence)
        )
        + str(found.cost).encode()
        for keyframe in mapper.keyframes
    ]


def test_a_session_brings_the_depth_that_was_found_and_nothing_is_swept_again(
    trained: SemanticRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapper = walked(trained)
    assert mapper.keyframes[3].stereo is None and depths_of(mapper)[0] != depths_of(mapper)[1]
    Session.of(mapper, "three", SPACE).save(tmp_path / "s.safetensors")
    restored = Mapper(SemanticField(trained), 3)
    with monkeypatch.context() as patch:
        patch.setattr(StereoNetwork, "forward", lambda *_: pytest.fail("swept again"))
        Session.load(tmp_path / "s.safetensors").restore(restored, SPACE)
    assert depths_of(restored) == depths_of(mapper)
    assert restored.keyframes.bytes == mapper.keyframes.bytes
    camera = SCENE.camera((0.1, 0.0, 0.0))
    assert torch.equal(restored.render(camera).view.depth, mapper.render(camera).view.depth)
    for each in (mapper, restored):  # and both go on alike
        each.add(frame_at(0.45, 9))
    assert depths_of(restored) == depths_of(mapper)


def test_depth_that_another_network_found_or_that_was_not_saved_is_found_anew(
    trained: SemanticRay, tmp_path: Path
) -> None:
    Session.of(walked(trained), "three", SPACE).save(tmp_path / "s.safetensors")
    other = SemanticRay(SemanticRayConfig(3, stereo=True)).eval()
    restored = Mapper(SemanticField(other), 3)
    Session.load(tmp_path / "s.safetensors").restore(restored, SPACE)
    assert depths_of(restored)[:3] != depths_of(walked(trained))[:3]
    with safe_open(tmp_path / "s.safetensors", "numpy") as file:
        header = json.loads(file.metadata()["sray-session-1"])
        older = {name: file.get_tensor(name) for name in file.keys() if "stereo" not in name}  # noqa: SIM118
    del header["stereo_network"]
    save_file(older, tmp_path / "older.safetensors", {"sray-session-1": json.dumps(header)})
    found = Mapper(SemanticField(trained), 3)
    Session.load(tmp_path / "older.safetensors").restore(found, SPACE)
    assert all(keyframe.stereo is not None for keyframe in list(found.keyframes)[:3])


@pytest.mark.parametrize(("part", "value"), [(0, 0.0), (1, 1.5), (2, math.inf), (3, -0.1), (2, math.nan)])
def test_depth_that_cannot_be_is_refused(trained: SemanticRay, tmp_path: Path, part: int, value: float) -> None:
    Session.of(walked(trained), "three", SPACE).save(tmp_path / "s.safetensors")
    with safe_open(tmp_path / "s.safetensors", "numpy") as file:
        metadata, arrays = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    arrays["stereo.1"][part, 3, 5] = value
    save_file(arrays, tmp_path / "bad.safetensors", metadata)
    with pytest.raises(SrayError, match="stereo depth of keyframe 1 that cannot be") as refused:
        Session.load(tmp_path / "bad.safetensors")
    assert isinstance(refused.value, FileError)


def test_what_stereo_finds_is_in_the_memory_budget(trained: SemanticRay) -> None:
    """Keyframes that fit without their depth leave once it is found, never the newest one."""
    frames = [replace(frame_at(0.15 * number, number).resized(320, 240), depth=None) for number in range(6)]

    def held(**config: bool) -> tuple[int, int]:
        mapper = Mapper(SemanticField(trained), 3, MapperConfig(KeyframeConfig(memory_budget=4), **config))
        left = [keyframe for frame in frames for keyframe in mapper.add(frame).left]
        assert mapper.keyframes.bytes <= 4 << 20 and mapper.keyframes[len(mapper.keyframes) - 1].stamp_ns == 5
        assert len(left) + len(mapper.keyframes) == len(frames)
        return len(mapper.keyframes), mapper.keyframes[0].bytes

    (many, small), (few, large) = held(stereo=False), held()
    assert many > few > 1
    # Matching features at a quarter, twice depth and confidence at half resolution, all in half precision.
    assert large - small == 2 * 16 * 80 * 60 + 2 * 2 * 2 * 160 * 120


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
    views = model.with_stereo(SourceViews.from_frames(frames), (0.5, 8.0))
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
