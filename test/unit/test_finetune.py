"""What teaches in fine-tuning, and what is refused before it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest import PlaneScene

from sray.errors import ModelError, SrayError, TooFewViewsError
from sray.finetune import FineTuner
from sray.finetune_config import FineTuneConfig
from sray.frames import Frame
from sray.label_space import VOID
from sray.learning.losses import LossWeights
from sray.learning.supervision import LabeledPixels, balanced_weights, picture_loss, target_rays
from sray.model import SemanticRay, SemanticRayConfig
from sray.ray_output import RayOutput

PLANE = PlaneScene()


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(1)
    return SemanticRay(SemanticRayConfig(3))


@pytest.fixture
def frame() -> Frame:
    return PLANE.frame((0.0, 0.0, 0.0))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_rays_carry_the_truth_of_their_own_pixels(frame) -> None:
    pixels, truth = target_rays(frame, 200, seeded())
    assert len(pixels.unique(dim=0)) > 150
    for (column, row), color, label, depth in zip(pixels.int(), truth.color, truth.labels, truth.depth, strict=True):
        assert torch.equal(color, frame.image[row, column].float() / 255)
        assert label == frame.labels[row, column] and depth == frame.depth[row, column]


def test_rays_of_a_frame_without_labels_or_depth_are_void(frame) -> None:
    _, truth = target_rays(replace(frame, labels=None, depth=None), 20, seeded(), torch.ones(3))
    assert (truth.labels == VOID).all() and truth.depth is None


def test_a_heavier_class_is_drawn_as_much_more_often(frame) -> None:
    half = torch.zeros(36, 48, dtype=torch.uint8)
    half[:, 24:] = 1
    half[0] = VOID
    _, truth = target_rays(replace(frame, labels=half), 20_000, seeded(), torch.tensor([1.0, 4.0, 0.0]))
    drawn = torch.bincount(truth.labels.int(), minlength=256)
    assert drawn[1] / drawn[0] == pytest.approx(4, rel=0.1)
    assert drawn[VOID] / drawn[0] == pytest.approx(2 / 35, rel=0.2), "void pixels still teach color, at weight 1"


def test_balance_makes_rare_classes_heavy_and_unseen_ones_nothing(frame) -> None:
    labels = torch.full((36, 48), VOID, dtype=torch.uint8)
    labels[:16] = 0
    labels[16] = 1  # a sixteenth of class 0
    for balance, ratio in ((0.0, 1.0), (0.5, 4.0), (1.0, 16.0)):
        weights = balanced_weights([replace(frame, labels=labels)], 3, balance)
        assert weights[1] / weights[0] == pytest.approx(ratio)
        assert weights[2] == 0
        assert weights[0] * 16 / 17 + weights[1] / 17 == pytest.approx(1), "1 on average over pixels"


def test_pictures_teach_their_labeled_pixels_alone(model, frame) -> None:
    void = frame.labels.clone()
    void[:, 20:] = VOID
    frames = [replace(frame, labels=void), replace(frame, labels=None)]
    truth = LabeledPixels.draw(frames, 300, seeded())
    known = truth.pixels[0, :, 0] < 20
    assert torch.equal(truth.labels[0] != VOID, known) and (truth.labels[1] == VOID).all()
    features = torch.randn(2, 32, 9, 12, generator=seeded(), requires_grad=True)
    loss = picture_loss(model, features, truth, frame.camera)
    # A grid cell is four pixels: beyond column 24 no labeled pixel reads features.
    gradient = torch.autograd.grad(loss, features)[0]
    assert gradient[0, :, :, :5].abs().sum() > 0
    assert gradient[0, :, :, 6:].abs().sum() == 0 and gradient[1].abs().sum() == 0
    one = LabeledPixels(torch.tensor([[[8.0, 4.0]]]), torch.tensor([[2]], dtype=torch.uint8))
    expected = F.cross_entropy(model.fine.classifier(features[:1, :, 1, 2]), torch.tensor([2]))
    torch.testing.assert_close(picture_loss(model, features[:1], one, frame.camera), expected)
    more = LabeledPixels(torch.tensor([[[8.0, 4.0], [9.0, 4.0]]]), torch.tensor([[2, VOID]], dtype=torch.uint8))
    torch.testing.assert_close(
        picture_loss(model, features[:1], more, frame.camera), expected, msg="the mean is over labeled ones"
    )


def test_color_is_compared_as_it_is_shown(model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rays that stop 40 % of the light, of exactly the right color: composited it is dark, shown it is right."""
    color = torch.tensor([50, 100, 200], dtype=torch.uint8)
    frames = [replace(frame, image=color.expand(36, 48, 3), labels=None, depth=None) for frame in PLANE.ring(2)]
    config = FineTuneConfig(steps=1, rays=16, mode="heads", loss=LossWeights(semantic=0.0))
    tuner = FineTuner(model, frames, config=config, bounds=(1.0, 4.0))
    right = RayOutput(
        logits=torch.zeros(16, 3, requires_grad=True),
        color=(0.4 * color / 255).expand(16, 3).clone().requires_grad_(),
        depth=torch.full((16,), 2.0),
        opacity=torch.full((16,), 0.4),
        coverage=torch.full((16,), 2.0),
        weights=torch.full((16, 4), 0.1),
        coordinates=torch.linspace(0, 1, 4).expand(16, 4),
    )
    monkeypatch.setattr(SemanticRay, "forward", lambda *_, **__: (right, right))
    assert [step.losses.get("color") for step in tuner.run()] == [None, pytest.approx(0, abs=1e-12)]


def test_void_labels_teach_nothing(model) -> None:
    """Labels alone should teach, and all are void but one pixel's, which is never among the few that are drawn."""
    void = torch.full((36, 48), VOID, dtype=torch.uint8)
    one = void.clone()
    one[0, 0] = 1
    frames = [replace(frame, labels=labels) for frame, labels in zip(PLANE.ring(3), (void, one, void), strict=True)]
    config = FineTuneConfig(steps=4, picture_steps=2, rays=16, pixels=16, loss=LossWeights(color=0.0, depth=0.0))
    tuner = FineTuner(model, frames, config=config, bounds=(1.0, 4.0))
    steps = list(tuner.run())
    assert [step.losses.get("pictures", 0) + step.losses.get("semantic", 0) for step in steps] == [0] * 5
    for name, tensor in tuner.result().model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


def test_frames_that_cannot_teach_are_refused(model, frame) -> None:
    other = PLANE.frame((0.2, 0.0, 0.0))
    with pytest.raises(SrayError, match="given 1 frames; expected at least 2") as caught:
        FineTuner(model, [frame])
    assert isinstance(caught.value, TooFewViewsError)
    bare = [replace(each, labels=None) for each in (frame, other)]
    with pytest.raises(SrayError, match="none of the 2 frames to learn from has a label") as caught:
        FineTuner(model, bare, held_out=[PLANE.frame((0.1, 0.0, 0.0))])
    assert isinstance(caught.value, TooFewViewsError)
    FineTuner(model, bare, config=FineTuneConfig(loss=LossWeights(semantic=0.0)))
    strange = replace(other, labels=torch.full_like(other.labels, 3), name="room 7/4")
    for arguments in (([frame, strange],), ([frame, other], [], [strange])):
        with pytest.raises(SrayError, match="room 7/4 has label 3; expected a class of the model, 0 to 2") as caught:
            FineTuner(model, *arguments)
        assert isinstance(caught.value, ModelError)
    with pytest.raises(ValueError, match="held-out frame is among those that teach"):
        FineTuner(model, [frame, other], held_out=[other])
    with pytest.raises(ValueError, match="resize them first"):
        FineTuner(model, [frame, other.resized(24, 18)])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"final_rate": 0.0}, "final_rate"),
        ({"balance": -1.0}, "balance"),
        ({"max_seconds": 0.0}, "max_seconds"),
        ({"fine_samples": 1}, "1 fine samples"),
        ({"loss": LossWeights(0.0, 0.0, 0.0)}, "every loss"),
    ],
)
def test_a_config_names_what_is_wrong(wrong, named) -> None:
    with pytest.raises(ValueError, match=named):
        FineTuneConfig(**wrong)


def test_rays_alone_teach_the_encoder_too_and_no_picture_does(model) -> None:
    config = FineTuneConfig(steps=2, teach_pictures=False, rays=16, views=2, coarse_samples=4, fine_samples=2)
    tuner = FineTuner(model, PLANE.ring(3), config=config, bounds=(1.0, 4.0))
    steps = list(tuner.run())
    assert [step.kind for step in steps] == ["start", "rays", "rays"]
    assert all("pictures" not in step.losses and "semantic" in step.losses for step in steps[1:])
    before, after = (each.encoder.state_dict() for each in (model, tuner.model))
    assert any(not torch.equal(before[name], tensor) for name, tensor in after.items())


def test_learning_rates_rise_and_fall_in_each_part(model) -> None:
    config = FineTuneConfig(steps=22, picture_steps=10, rays=2, pixels=2, pictures=1, warm_up=5, coarse_samples=2)
    tuner = FineTuner(model, PLANE.ring(2), config=config, bounds=(1.0, 4.0))
    next(tuner.run())
    rates = [(step.kind, [group["lr"] for group in tuner._optimization.optimizer.param_groups]) for step in tuner.run()]
    pictures = [lr for kind, (lr, *_) in rates if kind == "pictures"]
    heads, encoder = zip(*(lr for kind, lr in rates if kind == "rays"), strict=True)
    assert (len(pictures), len(heads)) == (10, 12)
    for part, rate in ((pictures, 2e-3), (heads, 3e-4), (encoder, 3e-4)):
        assert part[0] == pytest.approx(rate / 5) and part[0] < part[1] > part[-1]
        assert part[-1] == pytest.approx(rate * 0.05 ** ((len(part) - 1) / len(part)))


@pytest.mark.parametrize("first_layers", [False, True])
def test_the_first_layers_of_a_pretrained_backbone_stay_unless_told(first_layers: bool) -> None:
    """On pictures as on rays; the result is a model whose every weight may learn again."""
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(3, encoder="efficientnet_lite0"))
    config = FineTuneConfig(
        steps=2, picture_steps=1, rays=16, coarse_samples=4, fine_samples=2, warm_up=0, first_layers=first_layers
    )
    tuner = FineTuner(model, PLANE.ring(4), config=config)
    for step in tuner.run():
        assert step.kind == ("start", "pictures", "rays")[step.number]
    tuned = tuner.result().model
    first = {id(parameter) for parameter in tuned.encoder.first_layers}
    before = dict(model.named_parameters())
    for name, parameter in tuned.named_parameters():
        if name.startswith("encoder.") and name.endswith("weight"):
            stays = id(parameter) in first and not first_layers
            assert torch.equal(parameter, before[name]) == stays, name
    assert all(parameter.requires_grad for parameter in tuned.parameters())
