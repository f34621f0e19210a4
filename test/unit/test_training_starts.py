"""What a training run starts from, and what it keeps: a checkpoint of other classes, the best ones, shipped configs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_fixtures import tiny_run

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.errors import ModelError, SrayError
from sray.label_space import ROOMS, SCANNET20
from sray.model import SemanticRay, SemanticRayConfig, SemanticRayOptions
from sray_train.learn.config import load_config
from sray_train.learn.training.best_checkpoints import BestCheckpoints
from sray_train.learn.training.run import make_trainer, start_from
from sray_train.paper.study.plan import load_study


def test_the_best_are_kept_and_no_more(tmp_path: Path) -> None:
    model, kept = SemanticRay(SemanticRayConfig(ROOMS.classes)), BestCheckpoints(tmp_path, "frozen", keep=2)
    for step, score in ((1, 0.2), (2, 0.5), (3, 0.3), (4, 0.1), (5, 0.5)):
        kept.offer(step, score, model, ROOMS, {"step": step}, best=step < 3)
    assert [path.stem for _, path in kept.kept()] == ["frozen_step000002_score0.5000", "frozen_step000005_score0.5000"]
    assert load_checkpoint(tmp_path / "best_frozen.safetensors").lineage == {"step": 2}


def test_the_best_of_scores_below_zero_are_kept_and_no_more(tmp_path: Path) -> None:
    """The stereo stage's: errors, turned around. A score that is NaN is none."""
    model, kept = SemanticRay(SemanticRayConfig(ROOMS.classes)), BestCheckpoints(tmp_path, "stereo", keep=2)
    for step, score in ((1, -0.3), (2, -0.074), (3, math.nan), (4, -0.12), (5, -0.4)):
        kept.offer(step, score, model, ROOMS, {"step": step}, best=step < 3)
    left = ["stereo_step000002_score-0.0740", "stereo_step000004_score-0.1200"]
    assert [path.stem for _, path in kept.kept()] == left
    assert sorted(path.stem for path in (tmp_path / "kept").iterdir()) == left


def test_a_run_may_start_from_a_checkpoint_of_other_classes(tmp_path: Path) -> None:
    given = SemanticRay(SemanticRayConfig(ROOMS.classes))
    save_checkpoint(tmp_path / "given.safetensors", given, ROOMS)
    same, other = SemanticRay(SemanticRayConfig(ROOMS.classes)), SemanticRay(SemanticRayConfig(SCANNET20.classes))
    fresh = other.fine.classifier.weight.clone()
    start_from(tmp_path / "given.safetensors", same, ROOMS)
    start_from(tmp_path / "given.safetensors", other, SCANNET20)
    for name, tensor in given.state_dict().items():
        assert torch.equal(same.state_dict()[name], tensor), name
        if ".classifier." not in name:
            assert torch.equal(other.state_dict()[name], tensor), name
    assert torch.equal(other.fine.classifier.weight, fresh)
    seeing = SemanticRay(SemanticRayConfig(ROOMS.classes, visibility="full"))
    start_from(tmp_path / "given.safetensors", seeing, ROOMS)
    for name, tensor in given.extended("full").state_dict().items():
        assert torch.equal(seeing.state_dict()[name], tensor), name
    paper = SemanticRay(SemanticRayConfig.paper(ROOMS.classes))
    with pytest.raises(SrayError, match="has another network") as refused:
        start_from(tmp_path / "given.safetensors", paper, ROOMS)
    assert isinstance(refused.value, ModelError)


CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("name", sorted(path.name for path in (CONFIG / "experiments").glob("*.yaml")))
def test_the_shipped_experiments_read(name: str) -> None:
    assert load_config(CONFIG / "experiments" / name).evaluation.views == 8


@pytest.mark.parametrize("name", sorted(path.name for path in (CONFIG / "studies").glob("*.yaml")))
def test_the_shipped_studies_read(name: str) -> None:
    root = "" if name.startswith("rooms") else "scans"
    assert load_study(CONFIG / "studies" / name, root).variants


def test_a_run_keeps_what_the_data_of_its_parents_asks(tmp_path: Path) -> None:
    """Beside what its own asks; each once."""
    for name, terms in (("whole", "research use"), ("stereo", "name the authors")):
        given = SemanticRay(SemanticRayConfig(ROOMS.classes, stereo=True))
        save_checkpoint(tmp_path / f"{name}.safetensors", given, ROOMS, {"terms": terms})
    tiny = tiny_run(tmp_path)
    whole, stereo = str(tmp_path / "whole.safetensors"), str(tmp_path / "stereo.safetensors")
    model = SemanticRayOptions(stereo=True)
    config = replace(tiny, model=model, start_from=whole, stereo_from=stereo, terms="research use")
    lineage = make_trainer(config, tmp_path / "run").lineage
    assert lineage["terms"] == "research use; name the authors"
    assert lineage["parents"] == {
        "start_from": load_checkpoint(whole).sha256,
        "stereo_from": load_checkpoint(stereo).sha256,
    }
    assert "terms" not in make_trainer(tiny, tmp_path / "other").lineage
