"""The paper's comparison systems in SemanticRay's place: each learns, is kept, resumes, is scored and is fine-tuned."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PlaneScene

from sray.camera import Camera
from sray.checkpoint import save_checkpoint
from sray.field import RenderConfig, SemanticField
from sray.finetune import FineTuner
from sray.finetune_config import FineTuneConfig
from sray.frames import Frame, SourceViews
from sray.label_space import ROOMS, LabelSpace
from sray.learning.losses import LossWeights, total_loss
from sray.learning.supervision import target_rays
from sray.metrics import ConfusionMatrix, psnr
from sray.ray_model import RayModel
from sray.rays import SampleCounts
from sray_train.cli import main
from sray_train.data.scene import Scene
from sray_train.learn.config import EncoderStage, RayStage, TrainConfig
from sray_train.learn.systems import SYSTEMS, load_checkpoint
from sray_train.learn.training.trainer import Trainer
from sray_train.paper.baselines.coordinate_network import CoordinateOptions
from sray_train.paper.baselines.ibrnet import IBRNetOptions
from sray_train.paper.baselines.mvsnerf import MVSNeRF, MVSNeRFOptions, VolumeViews
from sray_train.paper.baselines.neuray import NeuRayOptions

BOUNDS = (1.0, 4.0)
SAMPLES = SampleCounts(12, 8)
STRIPES = LabelSpace("stripes", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))
SMALL: dict[str, Any] = {"centre": (0.0, 0.0, 2.0), "extent": 2.5, "layers": 3, "width": 48, "place_frequencies": 5}
EACH: dict[str, tuple[str, Any]] = {
    "neuray": ("neuray", NeuRayOptions(planes=8)),
    "neuray from depth": ("neuray", NeuRayOptions(visibility="depth")),
    "ibrnet": ("ibrnet", IBRNetOptions()),
    "mvsnerf": ("mvsnerf", MVSNeRFOptions(planes=8)),
    "nerf": ("nerf", CoordinateOptions(**SMALL)),
    "semantic_nerf": ("semantic_nerf", CoordinateOptions(**SMALL)),
}
each_system = pytest.mark.parametrize("name", EACH)


def built(name: str, classes: int = 3) -> RayModel:
    torch.manual_seed(1)
    system, options = EACH[name]
    return SYSTEMS[system].from_options(options, classes)


def learn(model: RayModel, target: Frame, sources: list[Frame], steps: int) -> list[float]:
    """A few steps on one target from fixed sources."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    losses = []
    for _ in range(steps):
        pixels, truth = target_rays(target, 128, generator)
        views = model.encode(SourceViews.from_frames(sources), bounds=BOUNDS)
        outputs = model(views, model.rays(target.camera, pixels, BOUNDS), SAMPLES, generator)
        loss, terms = total_loss(outputs, truth, LossWeights(), model.depth_range(BOUNDS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        constant = terms["semantic"].item() if model.system == "nerf" else 0.0  # which classes it can not tell apart
        losses.append(loss.item() - constant)
    return losses


@each_system
def test_a_tiny_scene_is_learned_and_kept(name: str, plane_scene: PlaneScene, tmp_path: Path) -> None:
    model, sources = built(name), plane_scene.ring(4)
    target = plane_scene.frame((0.02, 0.03, 0.0), yaw_degrees=2)  # all of it is seen by some source
    losses = learn(model, target, sources, 50 if SYSTEMS[EACH[name][0]].generalizes else 100)
    assert sum(losses[-8:]) < 0.6 * sum(losses[:8])
    save_checkpoint(tmp_path / "model.safetensors", model, STRIPES, {"steps": 50})
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert type(loaded.model) is type(model) and loaded.model.config == model.config
    assert loaded.lineage == {"steps": 50} and loaded.id.startswith("stripes-")
    views = []
    for each in (model, loaded.model):
        field = SemanticField(each, RenderConfig(coarse_samples=SAMPLES.coarse, fine_samples=SAMPLES.fine))
        field.set_sources(SourceViews.from_frames(sources), bounds=BOUNDS)
        views.append(field.render(target.camera))
    assert torch.equal(views[0].labels, views[1].labels) and torch.equal(views[0].color, views[1].color)
    matrix = ConfusionMatrix(3)
    matrix.update(views[0].labels, target.labels)
    if name == "nerf":  # knows one class everywhere
        assert matrix.strict().miou == matrix.commonest_class().miou
    else:
        assert matrix.strict().miou > 0.75 > 3 * matrix.commonest_class().miou
    # Gray everywhere would score 10 dB on this wall; half of the bounds is 0.5 m off.
    assert psnr(views[0].color, target.image / 255) > 15
    assert (views[0].depth - target.depth).abs().nanmedian() < 0.2


@pytest.fixture(scope="module")
def scene() -> Scene:
    plane = PlaneScene()
    frames = tuple(plane.frame((0.15 * index - 0.4, 0.0, 0.0)) for index in range(6))
    return Scene("wall", frames, Camera.stack([frame.camera for frame in frames]), bounds=BOUNDS)


def trainer(name: str, scene: Scene, folder: Path, seconds: float = math.inf) -> Trainer:
    rays = RayStage(steps=3, train_encoder=False, rays=32, views=(2, 3), coarse_samples=8, fine_samples=4)
    system, model = EACH[name]
    config = TrainConfig(
        system=system,
        model=model,
        encoder=EncoderStage(steps=1 if SYSTEMS[system].feature_channels else 0, batch=2, pixels=64),
        frozen=rays,
        joint=replace(rays, steps=2, train_encoder=True),
        validate_every=2,
    )
    return Trainer(config, built(name), STRIPES, [scene], [scene], folder, seconds)


@pytest.mark.parametrize("name", ["neuray", "ibrnet", "mvsnerf", "nerf", "semantic_nerf"])
def test_a_stopped_run_resumes_to_the_same_weights_and_curve(name: str, scene: Scene, tmp_path: Path) -> None:
    whole = trainer(name, scene, tmp_path / "whole")
    assert whole.run()
    assert not trainer(name, scene, tmp_path / "parts", seconds=0).run()  # one step on rays, then the time is up
    part = trainer(name, scene, tmp_path / "parts")
    assert part.resume() and part.run()
    for key, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(part.model.state_dict()[key], tensor, rtol=0, atol=0, msg=key)
    curves = []
    for folder in ("whole", "parts"):
        log = [json.loads(line) for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()]
        curves.append([record["validation"] for record in log if "validation" in record])
    assert len(curves[0]) == (4 if SYSTEMS[EACH[name][0]].feature_channels else 3)
    # depth_error may be NaN, which equals nothing.
    assert [{k: repr(v) for k, v in each.items()} for each in curves[0]] == [
        {k: repr(v) for k, v in each.items()} for each in curves[1]
    ]
    best = load_checkpoint(tmp_path / "whole" / "best_joint.safetensors")
    assert best.model.system == EACH[name][0] == best.lineage["config"]["system"]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PlaneScene().record(tmp_path_factory.mktemp("baselines") / "wall", ROOMS)


def checkpoint_of(name: str, folder: Path) -> Path:
    save_checkpoint(folder / "model.safetensors", built(name, ROOMS.classes), ROOMS)
    return folder / "model.safetensors"


@each_system
def test_sray_evaluate_scores_it_and_names_it(name: str, recording: Path, tmp_path: Path) -> None:
    arguments = ["--checkpoint", str(checkpoint_of(name, tmp_path)), "--sequence", str(recording), "--targets", "1"]
    arguments += ["--views", "3", "--quality", "fast", "--width", "48", "--bounds", "1", "4", "--threads", "1"]
    depth = ["--depth"] if name == "neuray from depth" else []
    main(["evaluate", *arguments, *depth, "--json", str(tmp_path / "out.json")])
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["system"] == EACH[name][0]
    assert record["input"] == ("RGB-D" if depth else "RGB")
    assert 0 <= record["strict_miou"] <= 1 and record["psnr"] > 5 and record["pictures"] == 1


def test_neuray_from_depth_says_that_rgb_is_not_enough(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint", str(checkpoint_of("neuray from depth", tmp_path)), "--sequence", str(recording)]
    with pytest.raises(SystemExit, match="--depth"):
        main(["evaluate", *arguments, "--width", "48", "--json", str(tmp_path / "out.json")])
    assert not (tmp_path / "out.json").exists()


@each_system
def test_sray_finetune_tunes_it(name: str, recording: Path, tmp_path: Path) -> None:
    parent = checkpoint_of(name, tmp_path)
    arguments = ["--checkpoint", str(parent), "--sequence", str(recording), "--width", "48", "--threads", "1"]
    arguments += ["--split", "4", "4", "2", "--bounds", "1", "4", "--steps", "4", "--score-every", "0"]
    depth = ["--depth"] if name == "neuray from depth" else []
    main(["finetune", *arguments, *depth, "--json", str(tmp_path / "o.json"), "--output", str(tmp_path / "o.st")])
    record = json.loads((tmp_path / "o.json").read_text())
    assert record["steps"] == 4 and record["before"] != record["after"]
    child = load_checkpoint(tmp_path / "o.st")
    before, after = load_checkpoint(parent).model.state_dict(), child.model.state_dict()
    assert child.model.system == EACH[name][0] and child.lineage["parent"] == load_checkpoint(parent).sha256
    learned = "fine.feature.weight" if name == "nerf" else "fine.classifier.weight"
    assert not torch.equal(before[learned], after[learned])
    assert torch.equal(before["fine.classifier.bias"], after["fine.classifier.bias"]) == (name == "nerf")
    assert (record["after"]["strict_miou"] is None) == (name == "nerf"), "it knows no classes"
    assert (record["system"], record["setting"]) == (EACH[name][0], "finetuned")
    assert {step["kind"] for step in record["curve"]} >= (
        {"start"} if SYSTEMS[EACH[name][0]].feature_channels else {"start", "rays"}
    )


@pytest.mark.parametrize("name", ["ibrnet", "semantic_nerf"])
def test_sray_render_flies_through_it(name: str, recording: Path, tmp_path: Path) -> None:
    arguments = ["--checkpoint", str(checkpoint_of(name, tmp_path)), "--sequence", str(recording), "--frames", "2"]
    arguments += ["--quality", "fast", "--width", "48", "--bounds", "1", "4", "--threads", "1", "--views", "1"]
    main(["render", *arguments, "--output", str(tmp_path / "out")])
    assert len(list((tmp_path / "out").glob("*/color/*"))) == 2


def test_a_cost_volume_spans_the_bounds_of_the_scene_wherever_it_is_made(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In training, frozen and joint, in validation, in fine-tuning of both modes, and in a field."""
    swept: list[tuple[float, float]] = []
    encode = MVSNeRF.encode

    def recording_encode(*arguments: Any, **named: Any) -> VolumeViews:
        views = encode(*arguments, **named)
        swept.append((views.range.near, views.range.far))
        return views

    monkeypatch.setattr(MVSNeRF, "encode", recording_encode)
    run = trainer("mvsnerf", scene, tmp_path)
    assert run.run() and len(swept) >= 5
    for mode in ("full", "heads"):
        config = FineTuneConfig(mode=mode, steps=1, picture_steps=0, rays=32, views=3)  # type: ignore[arg-type]
        list(FineTuner(run.model.eval(), scene.frames, config=config, bounds=BOUNDS).run())
    field = SemanticField(run.model, RenderConfig.preset("fast"))
    field.set_sources(SourceViews.from_frames(scene.frames[:2]), bounds=BOUNDS)
    assert set(swept) == {BOUNDS}


@each_system
def test_the_held_out_frames_choose_its_weights(name: str, scene: Scene) -> None:
    if name == "neuray from depth":
        pytest.skip("held-out frames are rendered from RGB")
    config = FineTuneConfig(mode="heads", steps=3, rays=32, views=3, validate_every=1)
    tuner = FineTuner(built(name).eval(), scene.frames[:4], (), scene.frames[4:], config, bounds=BOUNDS)
    assert [step.number for step in tuner.run()] == [0, 1, 2, 3]
    scores = [step.held_out.strict_miou for step in tuner.curve if step.held_out]
    assert len(scores) == 4 and tuner.result().after.strict_miou == max(scores)
