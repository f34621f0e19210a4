"""Checkpoints: what is saved comes back to the bit, and says what it is."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sray import files
from sray.attention import AttentionVariant
from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.frames import SourceViews
from sray.label_space import ROOMS, SCANNET20
from sray.model import SemanticRay, SemanticRayConfig
from sray.rays import SampleCounts


def model_of(config: SemanticRayConfig, seed: int = 0) -> SemanticRay:
    torch.manual_seed(seed)
    return SemanticRay(config).eval()


def test_a_round_trip_gives_the_same_answers_to_the_bit(tmp_path: Path, plane_scene) -> None:
    model = model_of(SemanticRayConfig(ROOMS.classes, tau=0.6))
    path = tmp_path / "deep/er/model.safetensors"
    save_checkpoint(path, model, ROOMS, {"seed": 3, "data": ["rooms 0-7999"]})
    loaded = load_checkpoint(path)
    assert loaded.model.config == model.config
    assert loaded.label_space == ROOMS
    assert loaded.lineage == {"seed": 3, "data": ["rooms 0-7999"]}
    assert not loaded.model.training
    views, target = SourceViews.from_frames(plane_scene.ring(3)), plane_scene.camera((0, 0, 0))
    with torch.no_grad():
        answers = [
            m.infer(m.encode(views), m.rays(target, target.pixel_grid()[::57], (0.5, 8.0)), SampleCounts(8, 4))
            for m in (model, loaded.model)
        ]
    for name in ("logits", "color", "depth", "opacity"):
        assert torch.equal(getattr(answers[0], name), getattr(answers[1], name)), name


@pytest.mark.parametrize("variant", get_args(AttentionVariant))
@pytest.mark.parametrize("preset", [SemanticRayConfig, SemanticRayConfig.paper])
def test_every_config_round_trips(tmp_path: Path, variant: AttentionVariant, preset) -> None:
    model = model_of(preset(SCANNET20.classes, attention=variant))
    save_checkpoint(tmp_path / "m.safetensors", model, SCANNET20)
    loaded = load_checkpoint(tmp_path / "m.safetensors").model
    assert loaded.config == model.config
    for (name, a), (other, b) in zip(model.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(a, b)


def test_a_checkpoint_that_predates_visibility_loads(tmp_path: Path) -> None:
    """Its config does not name the field; what is saved of its extension does."""
    path = tmp_path / "old.safetensors"
    save_checkpoint(path, model_of(SemanticRayConfig(ROOMS.classes, visibility="none")), ROOMS)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["sray-checkpoint-1"])
    del header["config"]["visibility"]
    save_file(load_file(path), path, {"sray-checkpoint-1": json.dumps(header)})
    old = load_checkpoint(path)
    assert old.model.config.visibility == "none"
    extended = old.model.extended("full")
    save_checkpoint(tmp_path / "more.safetensors", extended, old.label_space)
    again = load_checkpoint(tmp_path / "more.safetensors").model
    assert again.config.visibility == "full"
    for name, tensor in extended.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_the_identity_is_the_files_hash(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    sha256 = save_checkpoint(path, model_of(SemanticRayConfig(16)), ROOMS)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == load_checkpoint(path).sha256
    assert load_checkpoint(path).id == f"rooms-{sha256[:12]}"
    assert save_checkpoint(tmp_path / "o.safetensors", model_of(SemanticRayConfig(16), 1), ROOMS) != sha256


def test_anyone_can_read_what_it_is(tmp_path: Path) -> None:
    """Config, label space and lineage are JSON in the header of an ordinary safetensors file."""
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, model_of(SemanticRayConfig(16)), ROOMS, {"parent": "none"})
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["sray-checkpoint-1"])
    assert header["config"]["classes"] == 16
    assert header["label_space"]["names"][0] == "wall"
    assert header["lineage"] == {"parent": "none"}


def test_the_shipped_ones_say_what_their_data_asks() -> None:
    """The node's log shows it; a checkpoint put together of others must not lose it."""
    models = Path(__file__).parents[2] / "models"
    assert "NYU Depth v2" in load_checkpoint(models / "sray_indoor.safetensors").terms
    assert load_checkpoint(models / "sray_rooms.safetensors").terms == ""


def test_equal_models_have_equal_hashes(tmp_path: Path) -> None:
    """A model's hash is its identity: writing it again must not change it."""
    model = model_of(SemanticRayConfig(16))
    hashes = {save_checkpoint(tmp_path / f"{copy}.safetensors", model, ROOMS, {"a": 1, "b": 2}) for copy in range(5)}
    assert len(hashes) == 1


def test_half_precision_is_stored_as_single(tmp_path: Path) -> None:
    model = model_of(SemanticRayConfig(16)).half()
    save_checkpoint(tmp_path / "m.safetensors", model, ROOMS)
    loaded = load_checkpoint(tmp_path / "m.safetensors").model
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    assert torch.equal(loaded.fine.classifier.weight, model.fine.classifier.weight.float())


def test_a_foreign_label_space_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected the same number"):
        save_checkpoint(tmp_path / "m.safetensors", model_of(SemanticRayConfig(7)), ROOMS)
    assert list(tmp_path.iterdir()) == []


def test_saving_does_not_disturb_training(tmp_path: Path) -> None:
    model = model_of(SemanticRayConfig(16)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_checkpoint(tmp_path / "m.safetensors", model, ROOMS)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_killed_while_writing_the_old_file_is_still_whole(tmp_path: Path) -> None:
    """A process that dies between any two writes has not touched the file under its own name."""
    path = tmp_path / "m.safetensors"
    old = save_checkpoint(path, model_of(SemanticRayConfig(16)), ROOMS)
    child = os.fork()
    if child == 0:  # pragma: no cover - the child dies before it can report
        files.os.fsync = lambda _: os._exit(9)  # after the bytes, before the rename
        files.write_atomically(path, b"half a checkpoint")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    assert load_checkpoint(path).sha256 == old
    save_checkpoint(path, model_of(SemanticRayConfig(16), 1), ROOMS)
    assert load_checkpoint(path).sha256 != old, "and what the dead process left behind is in nobody's way"
