"""`sray study`: what its jobs leave, that it goes on where it was stopped, and which plans are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import PlaneScene

from sray.checkpoint import load_checkpoint as load_semantic_ray
from sray.errors import FileError, SrayError
from sray.sequence_writer import SequenceWriter
from sray_train.cli import main
from sray_train.configuration import merged
from sray_train.learn.systems import load_checkpoint
from sray_train.paper.study.jobs import jobs, left
from sray_train.paper.study.plan import VariantSection, load_study
from sray_train.paper.study.record import Record, read_records
from sray_train.paper.study.single_scenes import SceneJob
from sray_train.paper.study.unseen_scenes import Generalization

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    writer = SequenceWriter(root / "wall")
    for number, frame in enumerate(PlaneScene().ring(20)):
        writer.add(number, frame)
    return root


def plan(root: Path) -> dict[str, Any]:
    data = {
        "dataset": "folder", "root": str(root), "train": "wall", "validation": "wall", "test": "wall",
        "width": 48, "height": 36, "frames": 0, "learn_by_heart": True,
    }  # fmt: skip
    rays = {"steps": 3, "rays": 16, "views": [2, 3], "coarse_samples": 4, "fine_samples": 2}
    return {
        "encoder": {"data": data, "encoder": {"steps": 2, "batch": 2, "pixels": 16}, "threads": 1},
        "train": {
            "data": data, "frozen": rays, "joint": {"steps": 0}, "threads": 1,
            "evaluation": {"targets": 2, "views": 3, "quality": "fast"},
        },
        "scene": {"scenes": "wall", "steps": 2, "score_every": 1},
        "seeds": [0, 1],
        "variants": {
            "semantic_ray": {"fine_tune": True},
            "ibrnet": {"train": {"system": "ibrnet"}, "seeds": [0]},
            "fused": {"fuse": "semantic_ray", "seeds": [0]},
            "from_fewer": {"rescore": "semantic_ray", "seeds": [0], "train": {"evaluation": {"views": 2}}},
            "by_rays": {"rays_only": "semantic_ray", "seeds": [0]},
            "nerf": {"train": {"system": "nerf", "model": {"layers": 2, "width": 8}}, "seeds": [0], "scratch": rays},
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def study(wall: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(yaml.safe_dump(plan(wall), sort_keys=False))
    return path


@pytest.fixture(scope="module")
def ran(study: Path) -> list[Record]:
    run(study)
    return read_records(study.with_suffix(".json"))


def run(study: Path, *more: str) -> None:
    main(["study", "--config", str(study), "--run-folder", str(study.parent / "runs"),
          "--results", str(study.with_suffix(".json")), *more])  # fmt: skip


@pytest.mark.slow
def test_every_job_leaves_its_records(ran: list[Record]) -> None:
    found = {(r.variant, r.system, r.setting, r.data, r.seed, r.steps) for r in ran}
    assert found == {
        ("semantic_ray", "semantic_ray", "generalization", "folder wall", 0, 3),
        ("semantic_ray", "semantic_ray", "generalization", "folder wall", 1, 3),
        ("ibrnet", "ibrnet", "generalization", "folder wall", 0, 3),
        ("fused", "voxel_fusion", "generalization", "folder wall", 0, 3),
        ("from_fewer", "semantic_ray", "generalization", "folder wall", 0, 3),
        *(("semantic_ray", "semantic_ray", "finetuned", "folder wall", n, step) for n in (0, 1) for step in (0, 1, 2)),
        *(("by_rays", "semantic_ray", "finetuned", "folder wall", 0, step) for step in (0, 1, 2)),
        *(("nerf", "nerf", "scratch", "folder wall", 0, step) for step in (0, 1, 2, 3)),
    }
    assert all(r.pictures == (2 if r.setting == "generalization" else 4) and r.size == (48, 36) for r in ran)
    for record in ran:
        assert (record.metrics["strict_miou"] is None) == (record.system == "nerf")
        assert record.metrics["psnr"] is not None and record.metrics["ssim"] is not None
        assert record.teacher == ("colour alone" if record.system == "nerf" else "ground truth")
    options = {r.variant: r.options for r in ran}
    assert options["by_rays"] == {"rays_only": "semantic_ray"}
    assert options["from_fewer"] == {"rescore": "semantic_ray", "evaluation.views": 2}
    assert {r.variant: r.views for r in ran if r.setting == "generalization"} == {
        "semantic_ray": 3, "ibrnet": 3, "fused": 3, "from_fewer": 2,
    }  # fmt: skip
    whole, rays = (
        next(r.metrics for r in ran if (r.variant, r.setting, r.seed, r.steps) == (name, "finetuned", 0, step))
        for name, step in (("semantic_ray", 0), ("by_rays", 0))
    )
    assert whole == rays, "both begin with the same training"
    assert options["ibrnet"] == {"system": "ibrnet"} and options["fused"] == {"fuse": "semantic_ray", "depth": False}


@pytest.mark.slow
def test_a_record_says_what_evaluate_says_of_the_trained_checkpoint(study: Path, ran: list[Record]) -> None:
    trained = study.parent / "runs" / "semantic_ray" / "seed1" / "trained.safetensors"
    config = study.parent / "config.yaml"
    config.write_text(yaml.safe_dump(plan(Path(plan_root(study)))["train"]))
    said = study.parent / "evaluation.json"
    main(["evaluate", "--checkpoint", str(trained), "--config", str(config), "--json", str(said), "--threads", "1"])
    record = next(r for r in ran if (r.variant, r.setting, r.seed) == ("semantic_ray", "generalization", 1))
    evaluated = json.loads(said.read_text())
    for name in ("strict_miou", "total_accuracy", "psnr", "ssim"):
        assert record.metrics[name] == pytest.approx(evaluated[name], abs=1e-5)


def plan_root(study: Path) -> str:
    return str(yaml.safe_load(study.read_text())["train"]["data"]["root"])


@pytest.mark.slow
def test_all_variants_start_from_one_encoder(study: Path, ran: list[Record]) -> None:
    runs = study.parent / "runs"
    shared = load_semantic_ray(runs / "encoder.safetensors").model.encoder.state_dict()
    for variant in ("semantic_ray", "ibrnet"):
        own = load_checkpoint(runs / variant / "seed0" / "trained.safetensors").model.encoder.state_dict()
        assert all(torch.equal(own[name], tensor) for name, tensor in shared.items())


@pytest.mark.slow
def test_a_second_run_finds_everything_done_and_a_missing_record_is_made_anew_alike(
    study: Path, ran: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    file = study.with_suffix(".json")
    before = file.stat().st_mtime_ns
    run(study)
    assert file.stat().st_mtime_ns == before
    lost = next(r for r in ran if r.variant == "ibrnet")
    kept = [raw for raw in json.loads(file.read_text()) if raw["variant"] != "ibrnet"]
    file.write_text(json.dumps(kept))
    capsys.readouterr()
    run(study, "--list")
    assert "to do  ibrnet seed 0\n" in capsys.readouterr().out
    run(study, "--only", "ibrnet")
    again = next(r for r in read_records(file) if r.variant == "ibrnet")
    assert again.metrics == lost.metrics
    assert again.per_scene == lost.per_scene


@pytest.mark.slow
def test_a_study_out_of_time_goes_on(wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "tiny.yaml"
    raw = plan(wall)
    raw["variants"] = {"semantic_ray": {"seeds": [0]}}
    study.write_text(yaml.safe_dump(raw, sort_keys=False))
    run(study, "--max-hours", "1e-9")
    assert "stopped, run again to go on" in capsys.readouterr().out
    assert not study.with_suffix(".json").exists()
    run(study)
    assert [record.steps for record in read_records(study.with_suffix(".json"))] == [3]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"frozen": {"steps": 4}}, {"loss": {"semantic": 0.5}}, {"evaluation": {"quality": "high"}}],
    ids=["steps", "loss", "quality"],
)
def test_a_changed_plan_is_to_do_again(study: Path, ran: list[Record], change: dict[str, Any]) -> None:
    raw = yaml.safe_load(study.read_text())
    raw["variants"]["ibrnet"]["train"] |= change
    changed = study.parent / "changed.yaml"
    changed.write_text(yaml.safe_dump(raw, sort_keys=False))
    to_do = {job.name for job in jobs(load_study(changed), study.parent / "runs", CPU) if not job.is_done(ran)}
    assert to_do == {"ibrnet seed 0"}


@pytest.mark.slow
def test_a_training_is_run_again_where_its_checkpoint_is_needed_and_gone(
    study: Path, ran: list[Record], tmp_path: Path
) -> None:
    planned = list(jobs(load_study(study), tmp_path / "elsewhere", CPU))
    assert left(planned, ran) == [], "nothing needs them"
    some = [record for record in ran if not (record.setting == "finetuned" and record.seed == 1)]
    names = [job.name for job in left(planned, some)]
    assert names == ["semantic_ray seed 1", "semantic_ray seed 1 finetuned on folder wall"]
    assert left(planned, some, {"semantic_ray seed 1"}) == []


@pytest.mark.slow
def test_a_job_that_fails_does_not_keep_the_others(wall: Path, tmp_path: Path) -> None:
    study = tmp_path / "tiny.yaml"
    raw = plan(wall)
    raw["variants"] = {"ibrnet": {"train": {"system": "ibrnet"}, "seeds": [0]}, "semantic_ray": {"seeds": [0]}}
    study.write_text(yaml.safe_dump(raw, sort_keys=False))
    left = tmp_path / "runs" / "ibrnet" / "seed0" / "best_frozen.safetensors"
    left.parent.mkdir(parents=True)
    left.touch()  # of another run: training refuses to mix two
    with pytest.raises(SystemExit, match="1 failed, the rest is done; the first, ibrnet seed 0: .*best_frozen"):
        run(study)
    assert [record.variant for record in read_records(study.with_suffix(".json"))] == ["semantic_ray"]


def test_jobs_come_seed_by_seed_with_the_scenes_after_the_first_and_again_at_the_end(study: Path) -> None:
    planned = list(jobs(load_study(study), Path("runs"), CPU))
    assert [(job.variant.name, job.seed) for job in planned if isinstance(job, Generalization)] == [
        ("semantic_ray", 0), ("ibrnet", 0), ("fused", 0), ("from_fewer", 0), ("semantic_ray", 1),
    ]  # fmt: skip
    assert [(job.variant.name, job.setting, job.seed) for job in planned if isinstance(job, SceneJob)] == [
        ("semantic_ray", "finetuned", 0), ("by_rays", "finetuned", 0), ("nerf", "scratch", 0),
        ("semantic_ray", "finetuned", 1),
    ]  # fmt: skip
    assert [job.seed for job in planned] == [0, 0, 0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"variants": None}, "variants is missing"),
        ({"variants": {"a": {"fuse": "nobody"}}}, "variants.a.fuse is 'nobody'; expected a variant that is trained"),
        ({"variants": {"a": {"rescore": "b"}}}, "variants.a.rescore is 'b'; expected a variant that is trained"),
        (
            {"variants": {"a": {}, "b": {"rescore": "a", "train": {"frozen": {"steps": 1}}}}},
            "variants.b has frozen beside rescore; expected seeds, train.evaluation and train.data.test alone",
        ),
        ({"variants": {"a": {}, "b": {"rescore": "a", "fine_tune": True}}}, "variants.b has fine_tune beside rescore"),
        ({"variants": {"a": {"rays_only": "a"}}}, "variants.a.rays_only is 'a'; expected a variant that is trained"),
        ({"variants": {"a": {"train": {"frozen": {"steps": "many"}}}}}, "variants.a.train.frozen.steps: found 'many'"),
        (
            {"variants": {"a": {"seed": [1]}}},
            "variants.a: seed is not a field of a variant; expected one of train, scratch",
        ),
        ({"train": {"frozen": {"raise": 1}}}, "train.frozen: raise is not a field of RayStage"),
        ({"variants": {"a": 3}}, "variants.a is 3; expected its fields"),
        ({"scene": {"steps": 0}}, "scene.steps: found 0; expected a value greater than 0"),
        ({"encoder": {"system": "nobody"}}, "encoder.system: system is 'nobody'"),
        ({"like": "missing.yaml"}, "missing.yaml"),
    ],
)
def test_a_wrong_plan_is_refused_by_its_field(
    wall: Path, tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in (plan(wall) | change).items() if value is not None}))
    with pytest.raises(SrayError) as refused:
        load_study(path)
    assert isinstance(refused.value, FileError)
    assert complaint in str(refused.value) and str(path) in str(refused.value)


@pytest.mark.slow
def test_a_study_can_start_from_the_encoder_of_a_checkpoint(study: Path, ran: list[Record], tmp_path: Path) -> None:
    shared = study.parent / "runs" / "encoder.safetensors"
    raw = yaml.safe_load(study.read_text()) | {"encoder": str(shared)}
    raw["variants"] = {"semantic_ray": {"seeds": [0]}}
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    run(tmp_path / "given.yaml")
    assert not (tmp_path / "runs" / "encoder.safetensors").exists()
    again = next(r for r in ran if (r.variant, r.setting, r.seed) == ("semantic_ray", "generalization", 0))
    record = read_records(tmp_path / "given.json")[0]
    assert record.metrics == again.metrics
    assert record.encoder == load_checkpoint(shared).sha256[:8]
    (job,) = jobs(load_study(tmp_path / "given.yaml"), tmp_path / "runs", CPU)
    assert job.is_done([record])
    assert not job.is_done([replace(record, encoder="00000000")])  # of a checkpoint that was replaced since


def test_a_study_like_another_has_what_it_does_not_change(wall: Path, tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text(yaml.safe_dump(plan(wall), sort_keys=False))
    (tmp_path / "second.yaml").write_text(yaml.safe_dump({"like": "first.yaml", "train": {"frozen": {"steps": 7}}}))
    first, second = (load_study(tmp_path / f"{name}.yaml") for name in ("first", "second"))
    assert second.variants["ibrnet"].config.frozen.steps == 7
    assert second.variants["ibrnet"].config.data == first.variants["ibrnet"].config.data
    assert second.encoder == first.encoder


def test_lists_of_any_length_are_read_and_their_values_checked() -> None:
    assert merged(VariantSection(), {"seeds": [4, 5, 6]}).seeds == (4, 5, 6)
    with pytest.raises(ValueError, match=r"seeds\.0: found 'x'; expected a valid integer"):
        merged(VariantSection(), {"seeds": ["x"]})
    with pytest.raises(ValueError, match=r"seeds: found 3; expected a valid array"):
        merged(VariantSection(), {"seeds": 3})
