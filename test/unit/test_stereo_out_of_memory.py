"""Stereo for which memory is short: what a mapper holds then, and what it renders with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import PlaneScene
from mapper_fixtures import kind_of

from sray.errors import CanceledError, NoMemoryError
from sray.field import SemanticField
from sray.label_space import LabelSpace
from sray.mapping.keyframe_depth import StereoKeeper
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper import Added, Mapper
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.model import SemanticRay, SemanticRayConfig

SCENE = PlaneScene(width=64, height=48)
SPACE = LabelSpace("three", ("wall", "floor", "bed"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 4))


def network(seed: int) -> SemanticRay:
    torch.manual_seed(seed)
    return SemanticRay(SemanticRayConfig(3, stereo=True)).eval()


def see(mapper: Mapper, number: int) -> Added:
    frame = SCENE.frame((0.15 * number, 0.0, 0.0))
    return mapper.add(replace(frame, depth=None, stamp_ns=number))


def walked() -> Mapper:
    """Three keyframes without measured depth."""
    mapper = Mapper(SemanticField(network(0)), 3, MapperConfig(KeyframeConfig(min_sharpness=0.0)))
    for number in range(3):
        see(mapper, number)
    return mapper


def memory_runs_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sweep finds the memory that it needs from now on."""

    def fails(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(StereoKeeper, "_sweep", fails)


def test_another_model_whose_depth_does_not_fit_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mapper = walked()
    camera = SCENE.camera((0.1, 0.0, 0.0))
    keyframes, gains = list(mapper.keyframes), mapper.exposure.gains(list(mapper.keyframes))
    before = mapper.render(camera).view
    memory_runs_short(monkeypatch)
    assert kind_of(lambda: mapper.change_model(SemanticField(network(1)))) is NoMemoryError
    assert all(now is then for now, then in zip(mapper.keyframes, keyframes, strict=True))
    assert torch.equal(mapper.exposure.gains(keyframes), gains)
    after = mapper.render(camera).view
    assert torch.equal(after.confidence, before.confidence) and torch.equal(after.depth, before.depth)
    assert mapper.keyframes.bytes == sum(keyframe.bytes for keyframe in keyframes)


@pytest.mark.fault(
    "no memory to find a keyframe's depth",
    code="OUT_OF_MEMORY",
    says="log and diagnostics, with what to lower",
    recovery="the keyframe enters without depth; the next one that fits has it",
)
def test_a_keyframe_whose_depth_does_not_fit_stays_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    memory_runs_short(monkeypatch)
    mapper = Mapper(SemanticField(network(0)), 3, MapperConfig(KeyframeConfig(min_sharpness=0.0)))
    added = see(mapper, 0)
    assert added.keyframe is mapper.keyframes[0] and added.keyframe.stereo is None
    assert "not enough memory to find the depth of a keyframe" in str(added.without_depth)
    assert see(mapper, 1).keyframe is mapper.keyframes[1]


def test_a_session_whose_depth_does_not_fit_leaves_the_map_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Session.of(walked(), "three", SPACE).save(tmp_path / "s.safetensors")
    mapper = Mapper(SemanticField(network(1)), 3)  # of another network: depth is found anew
    see(mapper, 7)
    memory_runs_short(monkeypatch)
    held, session = list(mapper.keyframes), Session.load(tmp_path / "s.safetensors")
    assert kind_of(lambda: session.restore(mapper, SPACE)) is NoMemoryError
    assert list(mapper.keyframes) == held


def test_finding_depth_anew_can_be_canceled(tmp_path: Path) -> None:
    Session.of(walked(), "three", SPACE).save(tmp_path / "s.safetensors")
    mapper, asked = Mapper(SemanticField(network(1)), 3), iter([False] * 4 + [True])
    session = Session.load(tmp_path / "s.safetensors")
    assert kind_of(lambda: session.restore(mapper, SPACE, lambda: next(asked))) is CanceledError
    assert not len(mapper.keyframes)
