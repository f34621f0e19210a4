"""Systems mixed up: checkpoints, configs and run folders of another system than is asked for, and the way on."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.errors import FileError, ModelError, SrayError
from sray.label_space import ROOMS, SCANNET20
from sray.model import SemanticRay, SemanticRayConfig
from sray_train.learn import systems
from sray_train.learn.config import TrainConfig, load_config
from sray_train.learn.training.run import encoder_from, start_from
from sray_train.paper.baselines.coordinate_network import CoordinateConfig
from sray_train.paper.baselines.ibrnet import IBRNet, IBRNetConfig
from sray_train.paper.baselines.nerf import NeRF
from sray_train.paper.baselines.neuray import NeuRayOptions


@pytest.fixture
def ibrnet(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "ibrnet.safetensors", IBRNet(IBRNetConfig(classes=ROOMS.classes)), ROOMS)
    return tmp_path / "ibrnet.safetensors"


def refused(ibrnet: Path) -> str:
    with pytest.raises(SrayError) as caught:
        load_checkpoint(ibrnet)
    assert isinstance(caught.value, ModelError)
    return str(caught.value)


@pytest.mark.fault(
    "a checkpoint of one of the paper's comparison systems is given to the node",
    code="MODEL_MISMATCH",
    says="~/load_model's answer, or the log where it is model.path",
    recovery="give a Semantic-Ray checkpoint; `sray evaluate` reads the others",
)
def test_who_knows_semantic_ray_alone_refuses_another_system_by_name(ibrnet: Path) -> None:
    said = refused(ibrnet)
    assert "ibrnet.safetensors" in said and "'ibrnet'" in said and "expected semantic_ray" in said
    assert "sray evaluate" in said
    assert systems.load_checkpoint(ibrnet).model.system == "ibrnet"


@pytest.mark.parametrize("name", ["gaussians", 3, None, ["ibrnet"], {"a": 1}])
def test_a_system_that_nobody_knows_is_refused_with_those_there_are(
    name: object, ibrnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = IBRNet(IBRNetConfig(classes=ROOMS.classes))
    model.system = name  # type: ignore[assignment]
    save_checkpoint(ibrnet, model, ROOMS)
    with pytest.raises(SrayError, match="expected semantic_ray, neuray, ibrnet, mvsnerf") as caught:
        systems.load_checkpoint(ibrnet)
    assert isinstance(caught.value, ModelError) and repr(name)[:20] in str(caught.value)


def test_a_checkpoint_without_a_system_is_semantic_rays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "m.safetensors", SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    assert b'"system"' not in (tmp_path / "m.safetensors").read_bytes(), "files from before and after are the same"
    assert type(systems.load_checkpoint(tmp_path / "m.safetensors").model) is SemanticRay


def test_the_committed_model_is_what_it_was() -> None:
    path = Path(__file__).resolve().parents[2] / "models" / "sray_rooms.safetensors"
    known, any_system = load_checkpoint(path), systems.load_checkpoint(path)
    assert known.sha256 == any_system.sha256 and type(known.model) is type(any_system.model) is SemanticRay


def test_an_experiment_names_a_system_and_its_own_fields(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("system: neuray\nmodel: {visibility: depth}\n")
    assert load_config(path).model == NeuRayOptions(visibility="depth")
    for text, complaint in (
        ("system: nerv\n", "system is 'nerv'; expected one of semantic_ray, neuray, ibrnet, mvsnerf"),
        ("system: [neuray]\n", "system: found.*expected a valid string"),
        ("system: neuray\nmodel: {tau: 0.5}\n", "model: tau is not a field of NeuRayOptions; expected.*visibility"),
        ("system: neuray\nmodel: {planes: 1}\n", "model.planes: found 1; expected a value greater than or equal to 2"),
        ("model: {planes: 3}\n", "model: planes is not a field of SemanticRayOptions"),
        ("start_from: a\nencoder_from: b\n", "encoder_from is given beside start_from"),
        ("encoder: {hints: 1.0}\n", "encoder.hints is 1.0 without start_from"),
    ):
        path.write_text(text)
        with pytest.raises(SrayError, match=complaint) as caught:
            load_config(path)
        assert isinstance(caught.value, FileError)
    path.write_text("system: nerf\n")
    assert load_config(path).encoder.steps == 0, "it has no encoder to train"
    path.write_text("system: semantic_nerf\nencoder: {steps: 5}\n")
    with pytest.raises(SrayError, match="encoder.steps is 5; expected 0, as semantic_nerf has no encoder"):
        load_config(path)
    for text, complaint in (
        ("extent: 0", "model.extent: found 0; expected a value greater than 0"),
        ("centre: [0, 1]", "model.centre.2: found.*field required"),
        ("layers: 1", "model.layers: found 1; expected a value greater than or equal to 2"),
    ):
        path.write_text(f"system: nerf\nmodel: {{{text}}}\n")
        with pytest.raises(SrayError, match=complaint):
            load_config(path)
    with pytest.raises(ValueError, match="expected the fields of NeuRayOptions"):
        TrainConfig(system="neuray")


@pytest.mark.parametrize("name", ["neuray", "ibrnet", "mvsnerf"])
def test_the_experiments_of_the_systems_differ_from_ours_in_the_system_alone(name: str) -> None:
    folder = Path(__file__).resolve().parents[2] / "config" / "experiments"
    ours, theirs = load_config(folder / "rooms.yaml"), load_config(folder / f"{name}_rooms.yaml")
    assert theirs.system == name
    for part in ("data", "loss", "encoder", "frozen", "joint", "evaluation", "precision", "threads", "seed"):
        assert getattr(theirs, part) == getattr(ours, part), part


def test_the_experiments_of_one_room_differ_in_the_system_and_in_what_nerf_can_not_learn() -> None:
    folder = Path(__file__).resolve().parents[2] / "config" / "experiments"
    nerf, semantic = (load_config(folder / f"{name}_room.yaml") for name in ("nerf", "semantic_nerf"))
    assert (nerf.system, semantic.system) == ("nerf", "semantic_nerf")
    assert asdict(nerf.model) == asdict(semantic.model)  # type: ignore[call-overload]
    assert (nerf.loss.semantic, semantic.loss.semantic) == (0, 1)
    same = {"system": "nerf", "model": nerf.model, "loss": nerf.loss}
    assert replace(semantic, **same) == nerf


def test_no_encoder_is_given_to_a_system_that_has_none_nor_taken_from_it(ibrnet: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    nerf, other = (NeRF(CoordinateConfig(classes=ROOMS.classes, layers=2, width=8)) for _ in range(2))
    save_checkpoint(tmp_path / "nerf.safetensors", nerf, ROOMS)
    for path, model in ((ibrnet, other), (tmp_path / "nerf.safetensors", IBRNet(IBRNetConfig(classes=ROOMS.classes)))):
        with pytest.raises(SrayError, match=f"encoder_from.*another encoder than {model.system}") as caught:
            encoder_from(path, model, ROOMS)
        assert isinstance(caught.value, ModelError)
    start_from(tmp_path / "nerf.safetensors", other, ROOMS)
    assert all(torch.equal(a, b) for a, b in zip(nerf.parameters(), other.parameters(), strict=True))


def test_a_run_starts_from_its_own_system_or_from_anyones_encoder(ibrnet: Path) -> None:
    given = systems.load_checkpoint(ibrnet).model
    torch.manual_seed(1)
    ours, other = SemanticRay(SemanticRayConfig(ROOMS.classes)), SemanticRay(SemanticRayConfig(SCANNET20.classes))
    before = other.fine.classifier.weight.clone()
    with pytest.raises(SrayError, match="another network.*encoder_from"):
        start_from(ibrnet, ours, ROOMS)
    encoder_from(ibrnet, ours, ROOMS)
    encoder_from(ibrnet, other, SCANNET20)
    for model in (ours, other):
        for name, tensor in given.encoder.state_dict().items():
            assert torch.equal(model.encoder.state_dict()[name], tensor), name
    for head in (ours.coarse, ours.fine):
        assert torch.equal(head.classifier.weight, given.fine.classifier.weight)
    assert torch.equal(other.fine.classifier.weight, before), "of another label space"
