"""New weights on one scene: what an experiment file becomes, that it learns, and that test frames teach nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPOSITORY, PlaneScene

from sray.camera import Camera
from sray.label_space import ROOMS
from sray.learning.losses import LossWeights
from sray_train.cli import main
from sray_train.data.scene import Scene
from sray_train.data.view_split import ViewSplit
from sray_train.learn.config import EncoderStage, RayStage, TrainConfig, load_config
from sray_train.learn.finetune.from_scratch import new_checkpoint, placed, scratch_config, seen_box
from sray_train.learn.finetune.scene_tuning import TunedScene, TuningPlan, tune_scene
from sray_train.learn.systems import load_checkpoint
from sray_train.paper.baselines.coordinate_network import CoordinateOptions

BOUNDS = (1.0, 4.0)
SPLIT = ViewSplit((0, 2, 4), (1, 5), (3,))
NETWORK: dict[str, Any] = {"layers": 3, "width": 48, "place_frequencies": 4}
STAGE = RayStage(40, False, rays=96, coarse_samples=8, fine_samples=4, learning_rate=5e-3, final_learning_rate=1e-3)


@pytest.fixture
def scene() -> Scene:
    frames = [replace(frame, name=f"wall/{index}") for index, frame in enumerate(PlaneScene().ring(6))]
    return Scene("wall", frames, Camera.stack([frame.camera for frame in frames]), BOUNDS)


def experiment(system: str, model: Any, stage: RayStage = STAGE) -> TrainConfig:
    return TrainConfig(system=system, model=model, encoder=EncoderStage(steps=0), frozen=stage)


def tuned(scene: Scene, config: TrainConfig, **changes: Any) -> TunedScene:
    start, tuning = new_checkpoint(config, scene, SPLIT), scratch_config(config, **changes)
    return tune_scene(start, scene, SPLIT, TuningPlan(tuning, quality="fast", score_every=0))


def test_the_place_of_a_scene_is_what_its_cameras_see() -> None:
    """Two cameras side by side that look along z: 2 m apart, near 1 m, far 4 m, 24 pixels of 40 to either side."""
    cameras = Camera.stack([PlaneScene().camera((x, 0.0, 0.0)) for x in (-1.0, 1.0)])
    low, high = seen_box(cameras, BOUNDS)
    across, down = 4 * 23.5 / 40, 4 * 17.5 / 40
    torch.testing.assert_close(low, torch.tensor([-1 - across, -down, 1.0]))
    torch.testing.assert_close(high, torch.tensor([1 + across, down, 4.0]))
    found = placed(CoordinateOptions(), cameras, BOUNDS)
    assert found.centre == pytest.approx((0, 0, 2.5)) and found.extent == pytest.approx(1 + across)
    assert type(found) is CoordinateOptions
    beside = placed(CoordinateOptions(centre=(1.0, 0.0, 2.5)), cameras, BOUNDS)
    assert beside.centre == (1, 0, 2.5) and beside.extent == pytest.approx(2 + across)
    given = CoordinateOptions(centre=(3.2, 2.7, 1.5), extent=3.5)
    assert placed(given, cameras, BOUNDS) == given


def test_an_experiment_says_how_new_weights_are_tuned() -> None:
    room = load_config(REPOSITORY / "config/experiments/semantic_nerf_room.yaml")
    tuning = scratch_config(room)
    assert (tuning.steps, tuning.picture_steps, tuning.rays, tuning.views) == (20_000, 0, 256, 8)
    assert (tuning.coarse_samples, tuning.fine_samples, tuning.heads_learning_rate) == (32, 32, 5e-4)
    assert tuning.heads_learning_rate * tuning.final_rate == pytest.approx(5e-5)
    assert tuning.loss == LossWeights(1.0, 1.0, 0.0) and not tuning.divide_by_opacity
    ours = scratch_config(load_config(REPOSITORY / "config/experiments/rooms.yaml"), steps=100, seed=3)
    assert (ours.steps, ours.picture_steps, ours.seed) == (100, 30, 3)
    assert ours.encoder_learning_rate == ours.heads_learning_rate == 1e-3, "it knows as little as the rest"
    nerf = scratch_config(experiment("nerf", CoordinateOptions()))
    assert nerf.loss.semantic == 0 and nerf.loss.color == 1


def test_the_same_seed_builds_the_same_weights_and_leaves_random_numbers_alone(scene: Scene) -> None:
    config = experiment("semantic_nerf", CoordinateOptions(**NETWORK))
    state = torch.get_rng_state()
    first, again, other = (new_checkpoint(config, scene, SPLIT, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [each.model.state_dict()["fine.classifier.weight"] for each in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert first.model.config.classes == ROOMS.classes == first.label_space.classes
    box = seen_box(scene.cameras[[0, 1, 2, 4, 5]], BOUNDS)
    assert first.model.config.centre == pytest.approx(((box[0] + box[1]) / 2).tolist()), "test cameras place nothing"


@pytest.mark.parametrize(("system", "steps"), [("semantic_nerf", 150), ("nerf", 150), ("semantic_ray", 40)])
def test_it_learns_its_scene(system: str, steps: int, scene: Scene) -> None:
    """On a frame it never saw: better pictures and labels than new weights have."""
    sections: dict[str, Any] = {"nerf": CoordinateOptions(**NETWORK), "semantic_nerf": CoordinateOptions(**NETWORK)}
    result = tuned(scene, experiment(system, sections.get(system) or TrainConfig().model), steps=steps)
    before, after = result.before.record(), result.after.record()
    assert after["psnr"] > before["psnr"] + 2
    if system == "nerf":
        assert math.isnan(after["strict_miou"]) and math.isnan(after["total_accuracy"]), "it knows no classes"
        assert all("semantic" not in step.losses for step in result.result.curve)
    else:
        assert after["strict_miou"] > before["strict_miou"] + 0.2
    kinds = [step.kind for step in result.result.curve]
    assert kinds.count("pictures") == (12 if system == "semantic_ray" else 0)


def test_nerf_has_no_scores_of_labels_elsewhere_either(scene: Scene) -> None:
    config = experiment("nerf", CoordinateOptions(**NETWORK))
    split = ViewSplit((0, 2), (1,), (3,), elsewhere=(4, 5))
    start, plan = new_checkpoint(config, scene, split), TuningPlan(scratch_config(config, steps=1), quality="fast")
    record = tune_scene(start, scene, split, plan).record()
    for when in ("before", "after", "before_elsewhere", "after_elsewhere"):
        assert math.isnan(record[when]["strict_miou"]) and record[when]["psnr"] > 0, when


def test_what_test_frames_show_changes_no_weight(scene: Scene) -> None:
    frames = list(scene.frames)
    frames[3] = replace(frames[3], image=255 - frames[3].image, labels=2 - frames[3].labels)
    config = experiment("semantic_nerf", CoordinateOptions(**NETWORK))
    clean, spoilt = (tuned(each, config, steps=5) for each in (scene, replace(scene, frames=frames)))
    assert clean.after.record()["psnr"] != spoilt.after.record()["psnr"]
    for name, tensor in clean.result.model.state_dict().items():
        assert torch.equal(tensor, spoilt.result.model.state_dict()[name]), name


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PlaneScene().record(tmp_path_factory.mktemp("scratch") / "wall", ROOMS)


def finetune(experiment: Path, recording: Path, out: Path, *more: str) -> dict[str, Any]:
    main(
        ["finetune", "--scratch", str(experiment), "--sequence", str(recording), "--width", "48", "--threads", "1"]
        + ["--split", "4", "4", "2", "--bounds", "1", "4", "--json", str(out / "out.json"), *more]
    )
    record: dict[str, Any] = json.loads((out / "out.json").read_text())
    return record


SMALL = "model: {layers: 2, width: 16}\nfrozen: {steps: 3, rays: 16, coarse_samples: 4, fine_samples: 2}\n"


@pytest.mark.parametrize("system", ["semantic_nerf", "nerf"])
def test_the_command_starts_from_new_weights_and_says_so(system: str, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(f"system: {system}\n{SMALL}")
    output = tmp_path / "o.safetensors"
    record = finetune(tmp_path / "small.yaml", recording, tmp_path, "--learning-rate", "0.02", "--output", str(output))
    assert (record["system"], record["setting"], record["steps"]) == (system, "scratch", 3)
    assert record["checkpoint"] is None and record["experiment"] == str(tmp_path / "small.yaml")
    assert record["plan"]["config"]["learning_rate"] == 0.02
    assert (record["after"]["strict_miou"] is None) == (system == "nerf") and record["after"]["psnr"] > 5
    child = load_checkpoint(output)
    assert child.model.system == system and child.lineage["parent"] is None
    assert child.lineage["parent_lineage"]["scratch"]["model"]["width"] == 16


def test_a_recording_is_placed_by_its_cameras_whatever_the_file_says_of_rooms(recording: Path, tmp_path: Path) -> None:
    network = "model: {layers: 2, width: 16}\nfrozen: {steps: 1, rays: 16, coarse_samples: 4, fine_samples: 2}\n"
    (tmp_path / "room.yaml").write_text(f"like: {REPOSITORY / 'config/experiments/nerf_room.yaml'}\n{network}")
    assert load_config(tmp_path / "room.yaml").model.centre == (3.2, 2.7, 1.5)
    output = tmp_path / "o.safetensors"
    finetune(tmp_path / "room.yaml", recording, tmp_path, "--output", str(output))
    found = load_checkpoint(output).model.config
    assert found.centre == pytest.approx((0, 0, 2.5), abs=0.2) and found.extent != 3.5


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("system: semantic_nerf\nmodle: {}\n", "modle is not a field"),
        pytest.param(
            "system: nerf\nfrozen: {steps: 0}\n",
            "bad.yaml: from new weights steps is 0; expected at least 1",
            marks=pytest.mark.fault(
                "an experiment without a step on rays is to be learned from new weights",
                code="none",
                says="sray finetune --scratch",
                recovery="set frozen.steps, or pass --steps",
            ),
        ),
        ("system: nerf\nloss: {color: 0.0, depth: 0.0}\n", "bad.yaml: from new weights every loss weighs 0"),
    ],
)
def test_an_experiment_that_cannot_be_learned_is_named(text: str, named: str, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(SystemExit) as stop:
        finetune(tmp_path / "bad.yaml", recording, tmp_path)
    assert named in str(stop.value.code)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--checkpoint", "m.safetensors"], "expected one of them"),
        (["--mode", "heads"], "expected full"),
        (["--keep-own"], "leave it out"),
        (["--learning-rate", "0"], "learning_rate is 0"),
    ],
)
def test_wrong_arguments_are_named(more: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["finetune", "--seeds", "9000", "--scratch", "x.yaml", *more])
    assert stop.value.code == 2 and named in capsys.readouterr().err
