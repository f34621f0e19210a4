"""What pseudo-labels teach: which pixels, by whom, and that test frames keep theirs."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from segmenter_fixtures import save_model

from sray.camera import Camera
from sray.checkpoint import Checkpoint, save_checkpoint
from sray.errors import FileError, SrayError
from sray.field import SemanticField
from sray.finetune_config import FineTuneConfig
from sray.frames import SourceViews
from sray.label_space import ROOMS, VOID, LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray.own_labels import own_labels
from sray.segmentation import Segmenter, load_mapping, load_pretrained
from sray_train.data.scene import Scene
from sray_train.data.view_split import ViewSplit
from sray_train.learn.finetune import scene_tuning
from sray_train.learn.finetune.relabeled import relabeled, with_own_labels
from sray_train.learn.finetune.scene_tuning import TuningPlan, tune_scene
from sray_train.paper.study.record import Record, read_records

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SPACE = LabelSpace("stripes", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))
SPLIT = ViewSplit((0, 2, 4), (1, 5), (3,))
BOUNDS = (1.0, 4.0)


@pytest.fixture
def scene() -> Scene:
    frames = [replace(frame, name=f"wall/{index}") for index, frame in enumerate(PlaneScene().ring(6))]
    return Scene("wall", frames, Camera.stack([frame.camera for frame in frames]), BOUNDS)


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(3)).eval()


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("pseudolabel_tuning")


def test_relabeled_frames_are_one_object_each_and_the_others_are_untouched(scene: Scene) -> None:
    others = relabeled(scene, {2: torch.zeros_like(scene.frames[2].labels)})
    assert (others.frames[2].labels == 0).all() and others.frames[2] is others.frames[-4] is others.frames[2:3][0]
    assert torch.equal(others.frames[2].image, scene.frames[2].image) and (scene.frames[2].labels != 0).any()
    assert all(others.frames[index] is scene.frames[index] for index in (0, 1, 3, 4, 5)) and len(others.frames) == 6


def test_own_labels_fill_what_is_unlabeled_and_nothing_else(scene: Scene, model: SemanticRay) -> None:
    half = scene.frames[2].labels.clone()
    half[:, 24:] = VOID
    scene = relabeled(scene, {2: half})
    filled = with_own_labels(SemanticField(model), scene, (0, 1, 2, 4, 5)).frames
    field = SemanticField(model)
    others = SourceViews.from_frames([scene.frames[index] for index in scene.nearest(2, 8, (0, 1, 4, 5))])
    field.set_sources(replace(others, depth=None), bounds=BOUNDS)
    rendered = field.render(scene.frames[2].camera).labels
    assert torch.equal(filled[2].labels[:, :24], half[:, :24])
    assert torch.equal(filled[2].labels[:, 24:], rendered[:, 24:]) and (rendered[:, 24:] != VOID).any()
    for index in (0, 1, 4, 5):
        assert torch.equal(filled[index].labels, scene.frames[index].labels)
    assert filled[3] is scene.frames[3]


def test_own_labels_look_at_no_other_frame(scene: Scene, model: SemanticRay) -> None:
    """Frame 3 is noise: nothing changes; frame 1 is: all that it is a source of do."""
    teaching = (0, 1, 2, 4, 5)
    own = own_labels(SemanticField(model), [scene.frames[index] for index in teaching], range(5), BOUNDS)
    for spoilt, alike in ((3, True), (1, False)):
        frames = list(scene.frames)
        frames[spoilt] = replace(frames[spoilt], image=255 - frames[spoilt].image)
        other = own_labels(SemanticField(model), [frames[index] for index in teaching], range(5), BOUNDS)
        assert all(torch.equal(other[index], own[index]) for index in own) == alike


def test_keep_own_teaches_own_labels_and_scores_on_ground_truth(
    scene: Scene, model: SemanticRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = []
    make_tuner = scene_tuning.make_tuner

    def spy(model, scene, split, plan):
        taught.append(scene)
        return make_tuner(model, scene, split, plan)

    monkeypatch.setattr(scene_tuning, "make_tuner", spy)
    checkpoint = Checkpoint(model, SPACE, {}, "0" * 64)
    config = FineTuneConfig(steps=1, picture_steps=1, pictures=2, pixels=8)
    open_everywhere = {index: torch.full((36, 48), VOID, dtype=torch.uint8) for index in (1, 2, 4, 5)}
    scene = relabeled(scene, open_everywhere)
    tuned = [tune_scene(checkpoint, scene, SPLIT, TuningPlan(config, keep_own=keep)) for keep in (True, False)]
    assert taught[1] is scene
    assert torch.equal(taught[0].frames[0].labels, scene.frames[0].labels), "it was labeled everywhere"
    assert all((taught[0].frames[index].labels != VOID).any() for index in open_everywhere)
    assert taught[0].frames[3] is scene.frames[3]
    counts = [each.after.total.confusion.counts.sum(1).tolist() for each in tuned]
    assert counts[0] == counts[1] == np.bincount(scene.frames[3].labels.flatten(), minlength=3).tolist()
    unlabeled = relabeled(scene, {0: open_everywhere[1]})
    with pytest.raises(SrayError, match="none of the 5 frames to learn from has labels") as caught:
        tune_scene(checkpoint, unlabeled, SPLIT, TuningPlan(config, keep_own=True))
    assert isinstance(caught.value, FileError)


def test_each_teacher_says_what_its_name_says(scene: Scene, tmp_path: Path, benchmark: ModuleType) -> None:
    torch.manual_seed(0)
    checkpoint = Checkpoint(SemanticRay(SemanticRayConfig(ROOMS.classes)).eval(), ROOMS, {}, "0" * 64)
    network = save_model("deeplab", tmp_path / "deeplab", ("wall", "floor", "cabinet", "sky"))
    segmenter = Segmenter(load_pretrained(network), load_mapping("ade20k", ROOMS), 0.0)
    teachers = benchmark.teachers_of(scene, SPLIT, checkpoint, segmenter, 0.5)
    assert all(set(labels) == {0, 1, 2, 4, 5} for labels in teachers.values())
    teaching = (0, 1, 2, 4, 5)
    found = own_labels(SemanticField(checkpoint.model), [scene.frames[number] for number in teaching], range(5), BOUNDS)
    own = {number: found[position] for position, number in enumerate(teaching)}
    expected = Segmenter(load_pretrained(network), load_mapping("ade20k", ROOMS), 0.5)
    open_pixels = 0
    for index in (0, 1, 2, 4, 5):
        sure = torch.from_numpy(expected.segment(scene.frames[index].image.numpy()).labels)
        assert torch.equal(teachers["sure"][index], sure)
        assert torch.equal(teachers["own"][index], own[index])
        assert torch.equal(teachers["truth"][index], scene.frames[index].labels)
        assert torch.equal(teachers["kept"][index][sure != VOID], sure[sure != VOID])
        assert torch.equal(teachers["kept"][index][sure == VOID], own[index][sure == VOID])
        assert torch.equal(teachers["all"][index][sure != VOID], sure[sure != VOID])
        open_pixels += int((sure == VOID).sum())
    assert 0 < open_pixels < 5 * 36 * 48
    quality = benchmark.quality(ROOMS, scene, teachers["sure"])
    assert quality["coverage"] == pytest.approx(1 - open_pixels / (5 * 36 * 48), abs=1e-4)
    assert benchmark.quality(ROOMS, scene, teachers["truth"])["strict_miou"] == 1


def test_the_comparison_goes_on_where_it_stopped(
    scene: Scene, tmp_path: Path, benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "m.safetensors", SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS, {})
    network = save_model("deeplab", tmp_path / "deeplab", ("wall", "floor", "cabinet", "sky"))
    monkeypatch.setattr(benchmark, "load_scenes", lambda data, seeds: [scene])
    monkeypatch.setattr(benchmark, "split_views", lambda scene: SPLIT)
    monkeypatch.setattr(sys, "argv", ["pseudolabel_tuning.py"])
    tuned: list[dict] = []
    tuning_curve = benchmark.tuning_curve

    def count(start, scene, split, config, score_every, hold_out):
        tuned.append({index: scene.frames[index].labels for index in range(6)})
        if len(tuned) == 2:
            raise KeyboardInterrupt
        return tuning_curve(start, scene, split, config, score_every, hold_out)

    monkeypatch.setattr(benchmark, "tuning_curve", count)
    path = tmp_path / "out.json"
    measure = benchmark.Measure(
        str(network),
        "ade20k",
        checkpoint=tmp_path / "m.safetensors",
        teachers=("truth", "all"),
        steps=2,
        score_every=1,
        json=path,
        plot=tmp_path / "out.png",
    )
    with pytest.raises(KeyboardInterrupt):
        benchmark.main(measure)
    half = read_records(path)
    assert [(each.teacher, each.steps) for each in half] == [("ground truth", step) for step in (0, 1, 2)]
    benchmark.main(measure)
    whole = read_records(path)
    assert len(tuned) == 3, "ground truth is not tuned on again"
    assert whole[:3] == half
    assert torch.equal(tuned[1][3], scene.frames[3].labels), "the test frame keeps its ground truth"
    assert torch.equal(tuned[0][0], scene.frames[0].labels) and not torch.equal(tuned[1][0], scene.frames[0].labels)
    assert [(each.teacher, each.steps) for each in whole[3:]] == [("pseudo-labels", step) for step in (0, 1, 2)]
    assert {(each.variant, each.setting, each.data) for each in whole} == {("shipped", "finetuned", "rooms wall")}
    assert whole[0].metrics == whole[3].metrics != whole[5].metrics
    assert whole[0].cost["labels_strict_miou"] == 1 > whole[3].cost["labels_strict_miou"]
    assert whole[0].cost["segmenter_strict_miou"] == whole[3].cost["segmenter_strict_miou"]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    benchmark.main(measure)
    assert read_records(path) == whole and len(tuned) == 3, "all of it is there: nothing is tuned"
    benchmark.main(replace(measure, steps=1, teachers=("all",)))
    shorter = read_records(path)
    assert shorter[:3] == half and [each.steps for each in shorter[3:]] == [0, 1], "a curve is replaced as a whole"


def test_semantic_nerf_learns_from_the_same_frames(
    scene: Scene, tmp_path: Path, benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "m.safetensors", SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS, {})
    network = save_model("deeplab", tmp_path / "deeplab", ("wall", "floor", "cabinet", "sky"))
    (tmp_path / "small.yaml").write_text(
        "system: semantic_nerf\nmodel: {layers: 2, width: 16}\nfrozen: {steps: 9000, rays: 16}\n"
    )
    monkeypatch.setattr(benchmark, "load_scenes", lambda data, seeds: [scene])
    monkeypatch.setattr(benchmark, "split_views", lambda scene: SPLIT)
    monkeypatch.setattr(sys, "argv", ["pseudolabel_tuning.py"])
    measure = benchmark.Measure(
        str(network),
        "ade20k",
        checkpoint=tmp_path / "m.safetensors",
        teachers=(),
        semantic_nerf=tmp_path / "small.yaml",
        semantic_nerf_steps=4,
        semantic_nerf_score_every=2,
        semantic_nerf_samples=(4, 2),
        json=tmp_path / "out.json",
    )
    benchmark.main(measure)
    found = read_records(tmp_path / "out.json")
    assert [(each.teacher, each.steps) for each in found] == [
        (teacher, step) for teacher in ("ground truth", "pseudo-labels") for step in (0, 2, 4)
    ]
    assert {(each.system, each.variant, each.setting) for each in found} == {("semantic_nerf",) * 2 + ("scratch",)}
    assert found[0].metrics == found[3].metrics and found[2].metrics != found[5].metrics
    assert found[1].options == {
        "tuning.steps": 4,
        "tuning.rays": 16,
        "tuning.samples": [4, 2],
        "tuning.learning_rate": 4e-3,
    }
    benchmark.main(measure)
    assert read_records(tmp_path / "out.json") == found
    with pytest.raises(ValueError, match="Semantic-NeRF says nothing before"):
        replace(measure, semantic_nerf_teachers=("own",))


def record(room: str, steps: int, seconds: float, score: float) -> Record:
    metrics = dict.fromkeys(("strict_miou", "released_miou", "total_accuracy", "average_accuracy", "psnr"), score)
    return Record("semantic_ray", "finetuned", room, metrics, 0, seconds, "abc", "x.yaml", "shipped", steps)


def test_the_mean_of_rooms_is_taken_step_by_step(benchmark: ModuleType) -> None:
    curves = importlib.import_module("tuning_curves")
    first = [record("rooms 1", 0, 0.0, 0.2), record("rooms 1", 5, 1.0, 0.4)]
    second = [record("rooms 2", 5, 2.0, 0.8), record("rooms 2", 0, 0.0, 0.3), record("rooms 2", 9, 3.0, 0.9)]
    mean = curves.mean_curve([*first, *second])
    assert [each["steps"] for each in mean] == [0, 5]
    assert (mean[1]["seconds"], mean[0]["psnr"]) == (1.5, 0.25) and mean[1]["strict_miou"] == pytest.approx(0.6)


@pytest.mark.parametrize("name", ["finetune_modes", "card_curves", "pseudolabel_tuning"])
def test_what_is_recorded_can_be_drawn_again(name: str, tmp_path: Path, benchmark: ModuleType) -> None:
    """The records that the documents cite are records, and their pictures are drawn from them alone."""
    module, path = importlib.import_module(name), BENCHMARKS / "results" / f"{name}.json"
    records = read_records(path)
    if name == "finetune_modes":
        module.main(module.Measure(json=path, plot=tmp_path / "o.png", redraw=True))
    elif name == "card_curves":
        module.draw(records, tmp_path / "o.png")
    else:
        shipped = [each for each in records if each.variant == "shipped"]
        module.draw(
            {"all": [each for each in shipped if each.teacher == "pseudo-labels"]}, "steps", tmp_path / "o.png", ""
        )
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")


def test_held_out_frames_choose_the_weights_that_are_scored(
    scene: Scene, model: SemanticRay, benchmark: ModuleType
) -> None:
    """The held-out frame says what the model said before: no step is better, and nothing changes."""
    curves = importlib.import_module("tuning_curves")
    field = SemanticField(model)
    nearest = [scene.frames[index] for index in sorted(scene.nearest(5, 8, SPLIT.sources))]
    field.set_sources(SourceViews.from_frames([replace(frame, depth=None) for frame in nearest]), bounds=BOUNDS)
    scene = relabeled(scene, {5: field.render(scene.frames[5].camera).labels})
    config = FineTuneConfig(steps=3, picture_steps=3, pictures=2, pixels=64)
    checkpoint = Checkpoint(model, SPACE, {}, "0" * 64)
    free, guarded = (curves.tuning_curve(checkpoint, scene, SPLIT, config, 1, hold_out) for hold_out in (0, 1))
    scores = [[row["metrics"]["strict_miou"] for row in rows] for rows in (free, guarded)]
    assert [row["steps"] for row in guarded] == [0, 1, 2, 3]
    assert scores[1] == [scores[0][0]] * 4 and scores[0][3] != scores[0][0]
