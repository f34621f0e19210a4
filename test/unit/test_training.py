"""The training loop on a scene that is known exactly: it learns, resumes as if never stopped, and refuses bad files."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PlaneScene

from sray.camera import Camera
from sray.checkpoint import load_checkpoint
from sray.errors import FileError, SrayError
from sray.field import SemanticField
from sray.label_space import LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray.render_config import RenderConfig
from sray_train.data.scene import Scene
from sray_train.data.source_views import draw_views
from sray_train.learn.config import EncoderStage, RayStage, TrainConfig, load_config
from sray_train.learn.training import trainer as training_loop
from sray_train.learn.training.logbook import Logbook
from sray_train.learn.training.ray_stage import RayTraining
from sray_train.learn.training.trainer import Trainer
from sray_train.score.evaluate import render_queries, spread_queries

SPACE = LabelSpace("stripes", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))
TINY = TrainConfig(
    encoder=EncoderStage(steps=6, batch=2, pixels=64, width=48, height=36),
    frozen=RayStage(steps=6, train_encoder=False, rays=32, views=(2, 3), coarse_samples=8, fine_samples=4),
    joint=RayStage(steps=4, train_encoder=True, rays=32, views=(2, 3), coarse_samples=8, fine_samples=4),
    validate_every=3,
)


@pytest.fixture
def scene() -> Scene:
    plane = PlaneScene()
    frames = tuple(plane.frame((0.15 * index - 0.4, 0.0, 0.0)) for index in range(6))
    return Scene("wall", frames, Camera.stack([frame.camera for frame in frames]))


def trainer(scene: Scene, folder: Path, config: TrainConfig = TINY, seconds: float = math.inf) -> Trainer:
    torch.manual_seed(3)
    return Trainer(config, SemanticRay(SemanticRayConfig(3)), SPACE, [scene], [scene], folder, seconds)


def test_a_stopped_run_resumes_to_the_same_weights(scene: Scene, tmp_path: Path) -> None:
    stages = {name: replace(getattr(TINY, name), steps=3) for name in ("encoder", "frozen", "joint")}
    config = replace(TINY, **stages)
    whole = trainer(scene, tmp_path / "whole", config)
    assert whole.run()

    stops = 0
    while True:
        part = trainer(scene, tmp_path / "parts", config, seconds=0)  # one step, then the time is up
        assert part.resume() == (stops > 0)
        if part.run():
            break
        stops += 1
    assert stops == 6  # the last step of each stage ends it, time or no time
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(part.model.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


def test_a_run_killed_between_two_stages_still_hands_over(scene: Scene, tmp_path: Path) -> None:
    """The state on disk then says: last step of the encoder stage done. The heads must still start from its result."""
    config = replace(TINY, joint=replace(TINY.joint, steps=0), frozen=replace(TINY.frozen, steps=0))
    killed = trainer(scene, tmp_path, config)
    book = Logbook(tmp_path)
    killed._run_stage(killed._builders[0][2](), book)
    book.close()
    resumed = trainer(scene, tmp_path, config)
    assert resumed.resume() and resumed.progress.step == TINY.encoder.steps
    assert resumed.run()
    assert torch.equal(resumed.model.coarse.classifier.weight, resumed.model.fine.classifier.weight)


def test_training_lowers_the_loss_and_keeps_the_best(scene: Scene, tmp_path: Path) -> None:
    config = replace(TINY, encoder=replace(TINY.encoder, steps=140, batch=2), validate_every=35)
    config = replace(config, frozen=replace(config.frozen, steps=0), joint=replace(config.joint, steps=0))
    run = trainer(scene, tmp_path, config)
    assert run.run()
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [record["semantic"] for record in records if "semantic" in record]
    scores = [record["validation"]["strict_miou"] for record in records if "validation" in record]
    assert losses[-1] < 0.7 * losses[0]
    best = load_checkpoint(tmp_path / "best_encoder.safetensors")
    assert run.progress.best["encoder"] == pytest.approx(max(scores))
    assert max(scores) > 0.8
    assert best.label_space == SPACE
    assert best.lineage["best"] == run.progress.best
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("train_classifier", [True, False])
def test_frozen_rays_leave_the_encoder_alone_and_the_classifier_where_told(
    scene: Scene, tmp_path: Path, train_classifier: bool
) -> None:
    config = replace(TINY, encoder=replace(TINY.encoder, steps=0), joint=replace(TINY.joint, steps=0))
    config = replace(config, frozen=replace(config.frozen, train_classifier=train_classifier))
    run = trainer(scene, tmp_path, config)
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    assert run.run()
    for name, tensor in run.model.state_dict().items():
        if name.startswith("encoder."):
            assert torch.equal(tensor, before[name]), name
    for name in ("coarse.classifier.weight", "fine.classifier.weight"):
        assert torch.equal(run.model.state_dict()[name], before[name]) != train_classifier, name
    assert not torch.equal(run.model.fine.geometry.gate.weight, before["fine.geometry.gate.weight"])


def test_after_frozen_rays_a_joint_stage_teaches_the_encoder_again(scene: Scene, tmp_path: Path) -> None:
    run = trainer(scene, tmp_path, replace(TINY, encoder=replace(TINY.encoder, steps=0)))
    before = {name: tensor.clone() for name, tensor in run.model.encoder.state_dict().items()}
    assert run.run()
    assert all(not torch.equal(tensor, before[name]) for name, tensor in run.model.encoder.state_dict().items())


def test_a_joint_stage_leaves_the_first_layers_of_a_pre_trained_backbone_alone(scene: Scene) -> None:
    model = SemanticRay(SemanticRayConfig(3, encoder="efficientnet_lite0"))
    held = set(model.encoder.first_layers)
    stage = RayTraining("joint", TINY.joint, TINY.loss, model, [scene])
    trained = {parameter for group in stage.parameter_groups() for parameter in group["params"]}
    assert held and not held & trained
    assert set(model.encoder.parameters()) - held <= trained


def test_without_coarse_labels_the_fine_pass_learns_as_it_would(scene: Scene, tmp_path: Path) -> None:
    """The same fine loss and gradients; the coarse pass has no semantic term and learns geometry alone."""
    losses, gradients = [], []
    for wanted in (True, False):
        config = replace(TINY, frozen=replace(TINY.frozen, coarse_semantics=wanted))
        stage = RayTraining("frozen", config.frozen, config.loss, trainer(scene, tmp_path).model, [scene])
        loss, terms = stage.forward(stage.draw([torch.Generator().manual_seed(1)]))
        loss.backward()
        losses.append({name: float(term) for name, term in terms.items()})
        gradients.append({name: p.grad for name, p in stage.model.named_parameters() if p.grad is not None})
    with_labels, without = losses
    assert without["color"] == pytest.approx(with_labels["color"], rel=1e-5)
    assert 0 < without["semantic"] < with_labels["semantic"]
    assert "coarse.geometry.gate.weight" in gradients[1], "surfaces are still learned"
    assert not any(name.startswith(("coarse.attention", "coarse.classifier")) for name in gradients[1])
    for name, gradient in gradients[1].items():
        if name.startswith("fine."):
            torch.testing.assert_close(gradient, gradients[0][name], msg=name)


def test_freed_memory_can_be_kept_on_this_c_library() -> None:
    """In a process of its own: it cannot be undone. Peak memory stays resident after the tensor is gone."""
    script = (
        "import re, sys, torch; from sray_train.learn.training.allocator import keep_freed_memory\n"
        "kept = sys.argv[1] == 'keep' and keep_freed_memory()\n"
        "block = torch.ones(40_000_000); del block\n"
        "print(kept, int(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)"
    )
    resident = {}
    for mode in ("keep", "leave"):
        ran = subprocess.run([sys.executable, "-c", script, mode], capture_output=True, text=True, check=True)
        kept, resident[mode] = ran.stdout.split()
        if mode == "keep" and kept == "False":
            pytest.skip("this C library has no mallopt")
    assert int(resident["keep"]) - int(resident["leave"]) > 120, "of 160 MB"


@pytest.mark.parametrize("depth", [True, False])
def test_scores_are_of_rgb_unless_depth_is_asked_for(
    scene: Scene, depth: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A room's frames have depth, and a field uses what it is given."""
    field, given = SemanticField(SemanticRay(SemanticRayConfig(3)), RenderConfig.preset("fast")), []
    show = field.set_sources
    monkeypatch.setattr(field, "set_sources", lambda views, **how: (given.append(views.depth), show(views, **how)))
    assert len(list(render_queries(field, spread_queries(scene, 2, 3), depth=depth))) == 2
    assert [known is not None for known in given] == [depth, depth]


def test_a_target_is_never_its_own_source(scene: Scene) -> None:
    for seed in range(50):
        target, sources = draw_views(scene, (2, 4), torch.Generator().manual_seed(seed))
        assert target not in sources
        assert 2 <= len(set(sources)) == len(sources) <= 4


def test_another_config_does_not_mix_with_a_run(scene: Scene, tmp_path: Path) -> None:
    trainer(scene, tmp_path, seconds=0).run()
    other = replace(TINY, encoder=replace(TINY.encoder, batch=3))
    with pytest.raises(SrayError, match=r"encoder.batch 2, this one has 3"):
        trainer(scene, tmp_path, other).resume()
    larger = replace(TINY, model=replace(TINY.model, stereo=True))
    with pytest.raises(SrayError, match=r"model.stereo False, this one has True"):
        trainer(scene, tmp_path, larger).resume()
    assert trainer(scene, tmp_path, replace(TINY, threads=1)).resume()


def test_a_run_from_before_there_was_a_setting_goes_on(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran as the default says, and another value is another run."""
    trainer(scene, tmp_path, seconds=0).run()
    as_saved = training_loop.load_state

    def older(path: Path, model: torch.nn.Module, check: Callable[[dict[str, Any]], None]) -> Any:
        def checked(raw: dict[str, Any]) -> None:
            del raw["config"]["data"]["pseudolabelled"], raw["config"]["frozen"]["pseudolabel_share"]
            check(raw)

        return as_saved(path, model, checked)

    monkeypatch.setattr(training_loop, "load_state", older)
    assert trainer(scene, tmp_path).resume()
    with pytest.raises(SrayError, match="pseudolabel_share 0.25, this one has 0.5"):
        trainer(scene, tmp_path, replace(TINY, frozen=replace(TINY.frozen, pseudolabel_share=0.5))).resume()


def test_a_damaged_state_is_refused_by_name(scene: Scene, tmp_path: Path) -> None:
    trainer(scene, tmp_path, seconds=0).run()
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(SrayError, match="state.safetensors") as caught:
        trainer(scene, tmp_path).resume()
    assert isinstance(caught.value, FileError)


def test_an_experiment_file_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("encoder: {stepz: 3}\n")
    with pytest.raises(SrayError, match="stepz is not a field of EncoderStage") as caught:
        load_config(path)
    assert isinstance(caught.value, FileError)
    path.write_text("model: {attention: sideways}\n")
    with pytest.raises(SrayError, match="sideways"):
        load_config(path)
    path.write_text("model: {preset: papper}\n")
    with pytest.raises(SrayError, match="papper"):
        load_config(path)
    with pytest.raises(SrayError, match="none.yaml"):
        load_config(tmp_path / "none.yaml")
