"""Ray engines: which one serves, half precision, and torch.compile with its way back."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sray.context import EncodedViews
from sray.field import RenderConfig, SemanticField
from sray.frames import SourceViews
from sray.kernel import NativeRays, NoKernel, build
from sray.model import SemanticRay, SemanticRayConfig
from sray.ray_engine import Chain, PlainRays, describe_engine, ray_engine, through_torch_compile

REPOSITORY = Path(__file__).resolve().parents[2]

SMALL = {"coarse_samples": 12, "fine_samples": 6, "wide_samples": 6}


def picture(plane_scene, **config: Any):
    torch.manual_seed(0)
    field = SemanticField(SemanticRay(SemanticRayConfig(5)), RenderConfig(**{**SMALL, **config}))
    field.set_sources(SourceViews.from_frames(plane_scene.ring(3)))
    return field.render(plane_scene.camera((0, 0, 0)))


def engine_of(model: SemanticRay, views: EncodedViews, config: RenderConfig):
    return ray_engine(model, Chain.of(model, config), views, config)


def test_auto_takes_the_kernel_where_there_is_one(plane_scene) -> None:
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(5)).eval()
    with torch.inference_mode():
        views = model.encode(SourceViews.from_frames(plane_scene.ring(2)))
        fastest = PlainRays if isinstance(build.library(), NoKernel) else NativeRays
        assert isinstance(engine_of(model, views, RenderConfig()), fastest)
        for engine in ("plain", "torch_compile"):
            assert isinstance(engine_of(model, views, RenderConfig(engine=engine)), PlainRays)
        dense = SemanticRay(SemanticRayConfig(5, attention="dense")).eval()
        assert isinstance(engine_of(dense, views, RenderConfig()), PlainRays)


def test_what_serves_can_be_read() -> None:
    model = SemanticRay(SemanticRayConfig(5, attention="dense"))
    assert describe_engine(model, RenderConfig()) == "plain PyTorch in float32 (the kernel has no dense attention)"
    asked = RenderConfig(engine="torch_compile", precision="bfloat16")
    assert describe_engine(model, asked) == "torch_compile in bfloat16"
    if not isinstance(build.library(), NoKernel):
        assert describe_engine(SemanticRay(SemanticRayConfig(5)), RenderConfig()) == "compiled kernel"


def test_half_precision_shows_the_same_picture(plane_scene) -> None:
    """bfloat16 keeps 8 bits: values agree to a few hundredths."""
    full, half = (picture(plane_scene, engine="plain", precision=precision) for precision in ("float32", "bfloat16"))
    assert half.color.dtype == half.depth.dtype == torch.float32
    assert not torch.equal(half.color, full.color), "it was asked for"
    assert (half.color - full.color).abs().mean() < 0.01
    assert ((half.depth - full.depth).abs() / full.depth).nanmean() < 0.02
    assert (half.labels != full.labels).float().mean() < 0.05


@pytest.mark.parametrize("engine", ["plain", "auto"])
def test_half_precision_keeps_places_exact(plane_scene, engine: str) -> None:
    """20 m from the origin, 640 pixels wide: eight bits would move points by 6 cm and pixels by two."""
    far = torch.eye(4)
    far[:3, 3] = torch.tensor([20.0, -12.0, 9.0])

    def moved(camera):
        return replace(camera, world_from_camera=far @ camera.world_from_camera)

    frames = [replace(frame, camera=moved(frame.camera)).resized(640, 480) for frame in plane_scene.ring(3)]
    target = moved(plane_scene.camera((0, 0, 0))).resized(640, 480)
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(5)).eval()
    pixels = target.pixel_grid()[::4001]
    found = {}
    with torch.inference_mode():
        views = model.encode(SourceViews.from_frames(frames))
        for precision in ("float32", "bfloat16"):
            config = RenderConfig(engine=engine, precision=precision)
            chosen = ray_engine(model, Chain.of(model, config), views, config)
            found[precision] = chosen.tint(model.rays(target, pixels, (0.5, 8.0)), torch.full((len(pixels), 1), 0.5))
    assert (found["bfloat16"] - found["float32"]).abs().mean() < 0.005


def test_a_failing_torch_compile_is_said_once_for_all_sources(
    plane_scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(function: Any, **_: Any) -> Any:
        def call(*_: Any) -> Any:
            raise RuntimeError("no back end")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    field = SemanticField(SemanticRay(SemanticRayConfig(5)), RenderConfig(**SMALL, engine="torch_compile"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            field.set_sources(replace(SourceViews.from_frames(plane_scene.ring(2)), depth=None))
            field.render(plane_scene.camera((0, 0, 0)).resized(12, 9))
    assert len(caplog.records) == 2, "looking and shading, once each"


def test_no_memory_is_not_taken_for_a_failing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)

    def greedy() -> None:
        raise torch.OutOfMemoryError("16 GiB")

    with pytest.raises(torch.OutOfMemoryError):
        through_torch_compile(greedy)()


def test_a_failing_torch_compile_is_said_once_and_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = []

    def broken(function: Any, **_: Any) -> Any:
        def call(*_: Any) -> Any:
            tries.append(function)
            raise RuntimeError("no back end")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    double = through_torch_compile(lambda x: 2 * x)
    with caplog.at_level(logging.WARNING):
        assert [double(3), double(4)] == [6, 8]
    assert len(tries) == 1
    assert "going on without it: no back end" in caplog.text


WITHOUT_SHAPE_CHECKS = """
import logging, sys
import torch
sys.path.insert(0, "test")
from conftest import PlaneScene
from sray.frames import SourceViews
from sray.model import SemanticRay, SemanticRayConfig
from sray.ray_engine import Chain, ray_engine
from sray.render_config import RenderConfig

logging.basicConfig()
for wrong in ({"engine": "steam"}, {"precision": "float8"}):
    try:
        RenderConfig(**wrong)
    except ValueError as error:
        print("refused:", error)
scene, colors = PlaneScene(), []
camera = scene.camera((0, 0, 0)).resized(24, 18)
pixels = camera.pixel_grid()
for engine in ("plain", "torch_compile"):
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(5)).eval()
    with torch.inference_mode():
        views = model.encode(SourceViews.from_frames(scene.ring(3)))
        config = RenderConfig(engine=engine, chunk_rays=100)
        rays = model.rays(camera, pixels, (0.5, 8.0))
        engine = ray_engine(model, Chain.of(model, config), views, config)
        colors.append(engine.tint(rays, torch.full((len(pixels), 1), 0.5)))
torch.testing.assert_close(colors[1], colors[0], atol=1e-4, rtol=0)
print("the same colors")
"""


@pytest.mark.slow
def test_torch_compile_finds_the_same() -> None:
    """In a process of its own: torch.compile cannot look through the run-time checks of shapes that tests have on.

    On the smallest of the three chains: the largest takes a minute to compile.
    """
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_SHAPE_CHECKS], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "refused: engine is 'steam'; expected one of auto, plain, torch_compile" in ran.stdout
    assert "refused: precision is 'float8'; expected one of float32, bfloat16" in ran.stdout
    assert "the same colors" in ran.stdout
    assert "torch.compile failed" not in ran.stderr
