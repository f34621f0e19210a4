"""`sray bench`: its arithmetic, its intervals, its reference, and the whole of it on a scene that is known exactly."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PlaneScene

from sray.camera import Camera
from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.field import RenderConfig, SemanticField
from sray.frames import SourceViews
from sray.label_space import VOID, LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray.ray_output import RayOutput
from sray.rays import SampleCounts
from sray_train.cli import main
from sray_train.data.scene import Scene
from sray_train.score.view_scores import ViewScore, miou_interval, strict_miou
from sray_train.tools.bench import levels as bench_levels
from sray_train.tools.bench import run as bench_run
from sray_train.tools.bench.levels import void_where_unsure
from sray_train.tools.bench.memory import peak_mb
from sray_train.tools.bench.plots import plot
from sray_train.tools.bench.reference import ReferenceRenderer, ShortAttention
from sray_train.tools.bench.run import BenchPlan, run_bench, table
from sray_train.tools.bench.scaling import crowd
from sray_train.tools.bench.scenes import bench_views
from sray_train.tools.bench.timing import matmul_rate

SPACE = LabelSpace("stripes", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))
CPU = torch.device("cpu")


@pytest.fixture
def model() -> SemanticRay:
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(3))
    with torch.no_grad():  # attention starts as the identity, which would hide how it attends
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture
def scene() -> Scene:
    plane = PlaneScene()
    frames = tuple(plane.frame((0.15 * index - 0.4, 0.0, 0.0)) for index in range(6))
    return Scene("wall", frames, Camera.stack([frame.camera for frame in frames]))


def test_a_ray_has_the_arithmetic_of_its_attention_once(scene: Scene) -> None:
    """Worked by hand, as Table 6: T tokens that attend to K, of C = 32 channels, take 2 T (4 C^2 + 2 K C)."""
    found = {}
    for attention in ("none", "full"):
        model = SemanticRay(SemanticRayConfig(3, attention=attention)).eval()
        views = model.encode(SourceViews.from_frames(scene.frames[:4]))
        rays = model.rays(scene.cameras[5], scene.cameras[5].pixel_grid()[:11], (0.5, 8.0))
        found[attention] = ReferenceRenderer(model, SampleCounts(6, 9)).flops(views, rays)
    tokens = {6: 6 * 4, 9: 9 * 4}  # samples of each pass, in 4 views
    by_hand = sum(2 * count * (8 * 32**2 + 2 * (samples + 4) * 32) for samples, count in tokens.items())
    assert found["full"] - found["none"] == by_hand
    assert found["none"] > 0


def test_the_reference_renders_what_the_model_does(model: SemanticRay, scene: Scene) -> None:
    """Written-out attention and chunks change rounding alone: float32 sums of at most 128 terms."""
    views = model.encode(SourceViews.from_frames(scene.frames[:4]))
    pixels = scene.cameras[5].pixel_grid()[::13]
    reference = ReferenceRenderer(model, SampleCounts(12, 8), chunk_rays=50)
    assert isinstance(reference.model.fine.attention.steps["cross_view"], ShortAttention)
    found = reference.render(views, model.rays(scene.cameras[5], pixels, (0.5, 8.0)))
    with torch.inference_mode():
        expected = model(views, model.rays(scene.cameras[5], pixels, (0.5, 8.0)), SampleCounts(12, 8))[1]
    assert found.logits.abs().max() > 0.01
    for name in ("logits", "color", "depth", "opacity", "coverage"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-3, atol=1e-4)


def test_written_out_attention_with_absent_tokens(model: SemanticRay) -> None:
    fused = model.fine.attention.steps["cross_view"]
    written = ShortAttention(32)
    written.load_state_dict(fused.state_dict())
    torch.manual_seed(1)
    tokens, valid = torch.randn(40, 8, 32), torch.rand(40, 8) < 0.4
    valid[:3] = False
    with torch.inference_mode():
        found = written(tokens, valid)
        torch.testing.assert_close(found, fused(tokens, valid), rtol=1e-4, atol=1e-5)
    assert (found[:3] == 0).all()


def test_the_reference_is_void_where_the_field_would_be() -> None:
    limits = RenderConfig(min_opacity=0.3, min_coverage=0.5)
    rays = RayOutput(
        logits=torch.tensor([[2.0, 0, 0], [0, 2, 0], [0, 0, 2]]),
        color=torch.zeros(3, 3),
        depth=torch.ones(3),
        opacity=torch.tensor([0.9, 0.2, 0.9]),
        coverage=torch.tensor([4.0, 4.0, 0.4]),
        weights=torch.zeros(3, 2),
        coordinates=torch.zeros(3, 2),
    )
    assert void_where_unsure(rays, limits).tolist() == [0, VOID, VOID]


def score_of(right: int, wrong: int) -> ViewScore:
    """One class, of whose pixels some are answered void: IoU = right / (right + wrong)."""
    return ViewScore(np.array([[right, wrong]]), 20.0)


def test_equal_views_have_no_spread() -> None:
    scores = [score_of(60, 40)] * 5
    assert strict_miou(scores) == pytest.approx(0.6)
    assert miou_interval(scores) == pytest.approx((0.6, 0.6))


def test_the_interval_of_known_views() -> None:
    """100 views, half of them right: the IoU is a mean of 100 coins, 0.5 with standard deviation 0.05."""
    low, high = miou_interval([score_of(10, 0), score_of(0, 10)] * 50)
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)


def test_a_difference_is_paired() -> None:
    """Views differ by far more than the two renderers do, by the same 0.1 in each view."""
    baseline = [score_of(right, 100 - right) for right in (20, 50, 80, 30)]
    better = [score_of(right + 10, 90 - right) for right in (20, 50, 80, 30)]
    assert miou_interval(better, baseline) == pytest.approx((0.1, 0.1))
    low, high = miou_interval(better)
    assert high - low > 0.2
    with pytest.raises(ValueError, match="same views"):
        miou_interval(better, baseline[:2])


def test_more_keyframes_are_copies_moved_a_little(scene: Scene) -> None:
    pool = crowd(scene.cameras, 20)
    assert pool.world_from_camera.shape == (20, 4, 4)
    moved = (pool.center - scene.cameras.center[torch.arange(20) % 6]).norm(dim=-1)
    assert 0.1 < moved.max() <= 1.001
    torch.testing.assert_close(crowd(scene.cameras, 4).center, scene.cameras.center[:4])


def test_peak_memory_is_what_a_call_allocates() -> None:
    found = peak_mb(lambda: torch.ones(25_000_000).sum(), CPU)
    if found is None:
        pytest.skip("only Linux tells the peak of a call")
    assert found == pytest.approx(100, rel=0.1)
    assert peak_mb(lambda: None, CPU) == pytest.approx(0, abs=2)


def test_the_whole_bench(model: SemanticRay, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry that scripts read is there, consistent in itself; and can be printed, stored and drawn."""
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, model, SPACE)
    monkeypatch.setattr(bench_run, "render_memory", lambda *_, **__: 12.0)  # a process each: its own test is above
    monkeypatch.setattr(bench_levels, "CHUNKS", (64,))
    monkeypatch.setattr(bench_levels, "matmul_rate", lambda device: matmul_rate(device, size=256))
    plan = BenchPlan(2, 3, 64, (48, 36), levels=("balanced", "fast"), scaling=False)
    said: list[str] = []
    record = run_bench(load_checkpoint(path), path, [scene], plan, CPU, said.append)
    assert set(record["levels"]) == {"balanced", "balanced_depth", "fast", "fast_depth"}
    for level in record["levels"].values():
        assert {"seconds", "ratio", "strict_miou", "miou_interval", "psnr", "peak_mb"} <= set(level)
        assert level["depth_abs_rel"] > 0 and 0 <= level["depth_within_1_05"] <= level["depth_within_1_25"] <= 1
        assert level["seconds"] > 0 and level["ratio"] > 0 and math.isfinite(level["psnr"])
        low, high = level["miou_interval"]
        assert 0 <= low <= level["strict_miou"] <= high <= 1
    reference = record["reference"]
    assert {"seconds", "strict_miou", "psnr", "peak_mb", "matmul_share"} <= set(reference)
    # A ratio of timings, whose own parts are timed at other moments: on a busy machine they do not multiply to it.
    assert 0 < reference["matmul_share"] < math.inf
    assert reference["matmul_gflops_per_second"] > 0 < reference["flops_per_ray"]
    assert (record["pictures"], record["pixels"]) == (2, 128)
    assert sum(line.startswith("view ") for line in said) == 2

    stored = json.loads(json.dumps(record))
    assert "balanced_depth" in table(stored)
    point = {"x": 1, "seconds": 0.5, "seconds_depth": 0.4}
    unmeasured = {"x": 3, "width": 2, "height": 2, "seconds": None, "seconds_depth": None, "peak_mb": 3.0}
    stored["scaling"] = {
        "level": "balanced",
        "resolution": [point | {"width": 1, "height": 1, "peak_mb": 3.0}, unmeasured],
        "views": [point],
        "fine_samples": [point],
        "keyframes": [point | {"select_seconds": 0.1}],
    }
    names = {drawn.name for drawn in plot(stored, tmp_path / "plots")}
    assert names == {"levels.png", "resolution.png", "views.png", "fine_samples.png", "keyframes.png"}
    assert all((tmp_path / "plots" / name).stat().st_size > 5000 for name in names)


def test_an_existing_record_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "bench.json"
    kept.write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--json", str(kept)])
    assert "Pass --overwrite" in str(stop.value.code)
    assert kept.read_text() == "mine"


def test_a_checkpoint_for_other_classes_is_refused(model: SemanticRay, tmp_path: Path) -> None:
    path = tmp_path / "stripes.safetensors"
    save_checkpoint(path, model, SPACE)
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--checkpoint", str(path), "--json", str(tmp_path / "out.json")])
    assert "knows label space stripes; expected one of" in str(stop.value.code)


@pytest.mark.parametrize("wrong", [["--views", "24"], ["--pixels", "0"], ["--source-width", "4"], ["--seeds", "x"]])
def test_impossible_arguments_exit_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *wrong])
    assert stop.value.code == 2


def test_levels_see_depth_only_in_their_depth_variant(model: SemanticRay, scene: Scene) -> None:
    view = bench_views(SemanticField(model), [scene], targets=1, views=3, pixels=10, source_size=(24, 18))[0]
    assert view.source_views(depth=False).depth is None
    depth = view.source_views(depth=True).depth
    assert depth is not None and depth.shape == (3, 18, 24)
    assert view.features.shape[0] == 3 and view.pixels.unique().shape == (10,)
    again = bench_views(SemanticField(model), [scene], targets=1, views=3, pixels=10, source_size=(24, 18))[0]
    assert torch.equal(again.pixels, view.pixels)
    column, row = view.pixel_positions[0].tolist()
    assert row * 48 + column == int(view.pixels[0])


def test_a_model_with_stereo_has_its_depth_before_and_is_read_at_its_own_scale(scene: Scene) -> None:
    """The reference shows the labels of the level `reference`, whatever size the encoder reads pictures at."""
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(3, reading_focal=45.0, stereo=True, visibility="full")).eval()
    view = bench_views(SemanticField(model), [scene], targets=1, views=3, pixels=200, source_size=(48, 36))[0]
    assert view.rgb.depth is not None and not torch.equal(view.rgb.depth, view.sources.depth)
    assert model.encode(view.rgb, view.features).reading_scale != (1, 1)
    found = bench_levels._reference_rays(ReferenceRenderer(model), view, CPU)
    whole = bench_levels.render_level(model, RenderConfig.preset("reference"), view, view.truth.camera, depth=False)
    labels = whole.labels.flatten()[view.pixels]
    assert len(labels.unique()) > 1
    assert (found.logits.argmax(-1) == labels)[labels != VOID].float().mean() > 0.97
