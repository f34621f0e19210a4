"""Another backbone for a trained model: it learns from pictures that are pasted together, and from the old features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import PlaneScene

from sray.backbone import BackboneName
from sray.camera import Camera
from sray.checkpoint import save_checkpoint
from sray.label_space import ROOMS, VOID
from sray.model import SemanticRay, SemanticRayConfig
from sray_train.data.scene import Scene
from sray_train.learn.config import EncoderStage
from sray_train.learn.training.augmentation import pasted
from sray_train.learn.training.encoder_stage import EncoderTraining, distance_to
from sray_train.learn.training.run import same_encoder, start_from


def new_model(backbone: BackboneName, seed: int) -> SemanticRay:
    torch.manual_seed(seed)
    return SemanticRay(SemanticRayConfig(ROOMS.classes, encoder=backbone, stereo=True))


def test_half_of_the_classes_of_a_picture_are_pasted_and_no_other_pixel() -> None:
    labels = torch.zeros(4, 6, dtype=torch.uint8)
    other = torch.tensor([1, 2, 3, 4, VOID, VOID], dtype=torch.uint8).expand(4, 6)
    image, other_image = torch.zeros(3, 4, 6), torch.ones(3, 4, 6)
    seen = set()
    for seed in range(20):
        mixed, truth = pasted(image, labels, other_image, other, torch.Generator().manual_seed(seed))
        covered = mixed[0] == 1
        assert torch.equal(covered.expand(3, -1, -1), mixed == 1), "a pixel comes from one picture in all its channels"
        assert torch.equal(truth, torch.where(covered, other, labels))
        here = set(truth[covered].tolist())
        assert len(here) == 2 and VOID not in here, "what nobody labeled covers nothing"
        seen |= here
    assert seen == {1, 2, 3, 4}


def test_a_picture_without_labels_covers_nothing() -> None:
    labels, none = torch.ones(2, 2, dtype=torch.uint8), torch.full((2, 2), VOID, dtype=torch.uint8)
    mixed, truth = pasted(torch.zeros(3, 2, 2), labels, torch.ones(3, 2, 2), none, torch.Generator())
    assert mixed.eq(0).all() and torch.equal(truth, labels)


def test_a_model_with_another_backbone_takes_all_but_the_encoder(tmp_path: Path) -> None:
    given, model = new_model("efficientnet_lite0", 0), new_model("efficientnet_lite1", 1)
    save_checkpoint(tmp_path / "given.safetensors", given, ROOMS)
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    returned = start_from(tmp_path / "given.safetensors", model, ROOMS).model
    assert same_encoder(returned, given) and not same_encoder(model, given)
    old, new = given.state_dict(), model.state_dict()
    assert all(torch.equal(new[name], old[name]) for name in old if not name.startswith("encoder."))
    assert all(torch.equal(new[f"encoder.{name}"], tensor) for name, tensor in before.items())


def test_hints_bring_features_to_those_of_the_given_model() -> None:
    plane = PlaneScene(width=64, height=48)
    frames = tuple(
        replace(frame, labels=torch.zeros(48, 64, dtype=torch.uint8))
        for frame in (plane.frame((0.1 * index, 0.0, 0.0)) for index in range(3))
    )
    scene = Scene("wall", frames, Camera.stack([frame.camera for frame in frames]))
    given = new_model("efficientnet_lite0", 0).eval()
    config = EncoderStage(steps=1, batch=2, width=64, height=48, pixels=16, hints=3.0)
    model = new_model("efficientnet_lite0", 1)
    stage = EncoderTraining(config, model, [scene], hinting=given)
    batch = stage.draw([torch.Generator().manual_seed(seed) for seed in (0, 1)])
    loss, terms = stage.forward(batch)
    with torch.no_grad():
        wanted = given.read(batch.images)
    features = model.read(batch.images)
    expected = ((features - wanted) ** 2).mean() / wanted.var()
    assert float(terms["hints"]) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert float(loss.detach()) == pytest.approx(float(terms["semantic"] + 3 * terms["hints"]), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is None for parameter in given.parameters()), "the given model learns nothing"
    assert float(distance_to(given, wanted, batch.images).detach()) == 0

    optimizer = torch.optim.Adam([parameter for group in stage.parameter_groups() for parameter in group["params"]])
    for _ in range(15):
        optimizer.zero_grad()
        stage.forward(batch)[0].backward()
        optimizer.step()
    assert float(stage.forward(batch)[1]["hints"]) < 0.8 * float(expected.detach())
