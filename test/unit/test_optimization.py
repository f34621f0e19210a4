"""The step that training and fine-tuning share: rates by hand, clipping, steps that are left out, features kept."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import PlaneScene
from torch import nn

from sray.frames import SourceViews
from sray.held_out import Score
from sray.learning.feature_cache import FeatureCache
from sray.learning.losses import semantic_loss, summed_cross_entropy
from sray.learning.optimization import CLIP_NORM, Optimization, Schedule, head_parameters, picture_parameters
from sray.learning.supervision import answering_by_frequency
from sray.model import SemanticRay, SemanticRayConfig

BOUNDS = (1.0, 4.0)


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(1)
    return SemanticRay(SemanticRayConfig(3)).eval()


def test_rates_rise_over_the_warm_up_and_end_at_their_share() -> None:
    schedule = Schedule(steps=10, final_share=0.01, warm_up=4)
    assert [schedule.rate(2.0, done) / (2.0 * 0.01 ** (done / 10)) for done in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    assert schedule.rate(2.0, 10) == pytest.approx(0.02)
    delayed = [schedule.rate(2.0, done, delay=3) for done in (0, 2, 3)]
    assert delayed[:2] == [0.0, 0.0] and delayed[2] == pytest.approx(2.0 * 0.01**0.3 / 4)
    assert Schedule(10, 1.0, warm_up=0).rate(2.0, 0) == 2.0, "no warm-up: the whole rate from the first step"


def test_each_group_has_its_own_rate_and_decay() -> None:
    """Adam's first step is the rate along the gradient's sign; weight decay takes rate x decay of the weight first."""
    quick, slow = (nn.Parameter(torch.tensor([1.0, -1.0])) for _ in range(2))
    groups = [{"params": [quick], "lr": 0.1}, {"params": [slow], "lr": 0.01, "weight_decay": 0.5}]
    optimization = Optimization(groups, Schedule(steps=2, final_share=1.0, warm_up=0))
    assert optimization.step((quick + slow).sum(), done=0)
    torch.testing.assert_close(quick.detach(), torch.tensor([0.9, -1.1]))
    torch.testing.assert_close(slow.detach(), torch.tensor([1.0, -1.0]) * 0.995 - 0.01)


def test_large_gradients_of_all_groups_are_scaled_together() -> None:
    one, other = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimization = Optimization(
        [{"params": [one], "lr": 0.1}, {"params": [other], "lr": 0.1}], Schedule(1, final_share=1.0, warm_up=0)
    )
    optimization.step((300 * one + 400 * other).sum(), done=0)
    assert one.grad is not None and other.grad is not None
    found = (float(one.grad), float(other.grad))
    assert found == pytest.approx((0.6 * CLIP_NORM, 0.8 * CLIP_NORM), rel=1e-5)


@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
def test_a_step_that_is_not_finite_changes_nothing_and_the_next_one_learns(spoiled: float) -> None:
    weight = nn.Parameter(torch.ones(3))
    optimization = Optimization([{"params": [weight], "lr": 0.1}], Schedule(4, final_share=1.0, warm_up=0))
    assert not optimization.step((weight * spoiled).sum(), done=0)
    assert torch.equal(weight.detach(), torch.ones(3)) and not optimization.optimizer.state
    assert optimization.step(weight.sum(), done=1)
    torch.testing.assert_close(weight.detach(), torch.full((3,), 0.9))


def test_pictures_and_rays_teach_all_of_a_model_between_them(model: SemanticRay) -> None:
    pictures, heads = ({id(each) for each in found(model)} for found in (picture_parameters, head_parameters))
    assert pictures | heads == {id(each) for each in model.parameters()}
    assert pictures & heads == {id(each) for each in model.fine.classifier.parameters()}


def test_a_picture_is_encoded_once_and_as_the_model_encodes_it(model: SemanticRay) -> None:
    views, calls = SourceViews.from_frames(PlaneScene().ring(3)), []
    handle = model.encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    cache, half = FeatureCache(model), FeatureCache(model, torch.float16)
    first = cache.encode([7, 8, 9], views, BOUNDS)
    again = cache.encode([9, 7], views[[2, 0]], BOUNDS)
    assert len(calls) == 3 and torch.equal(again.features, first.features[[2, 0]])
    with torch.no_grad():
        own = model.encode(views, bounds=BOUNDS).features
    handle.remove()
    torch.testing.assert_close(first.features, own, atol=1e-5, rtol=1e-4)
    kept = half.encode([0, 1, 2], views, BOUNDS).features
    assert kept.dtype == torch.float32 and torch.equal(kept, first.features.half().float())


def test_a_class_that_weighs_twice_costs_twice_and_the_mean_is_over_labeled_pixels() -> None:
    logits, labels = torch.zeros(4, 3), torch.tensor([0, 1, 1, 255], dtype=torch.uint8)
    weights = torch.tensor([2.0, 1.0, 0.0])
    assert float(summed_cross_entropy(logits, labels, weights)) == pytest.approx(4 * math.log(3), rel=1e-6)
    assert float(semantic_loss(logits, labels, weights)) == pytest.approx(4 / 3 * math.log(3), rel=1e-6)
    assert float(semantic_loss(logits.half(), labels)) == pytest.approx(math.log(3), rel=1e-6), "in single precision"


@pytest.mark.parametrize(("share", "expected"), [(0.0, (0.5, 0.5)), (1.0, (0.9, 0.1))])
def test_weights_of_the_loss_need_not_be_those_of_the_answer(share: float, expected: tuple[float, float]) -> None:
    """Nine pixels of one class, one of another that weighs nine times, a class never seen: the best answer to all."""
    labels = torch.tensor([0] * 9 + [1], dtype=torch.uint8)
    weights = torch.tensor([1.0, 9.0, 0.0])
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=0.2)
    for _ in range(2000):
        optimizer.zero_grad()
        seen = answering_by_frequency(logits.expand(10, 3), weights, share)
        semantic_loss(seen, labels, weights).backward()
        optimizer.step()
    answer = torch.softmax(logits.detach()[:2], 0)
    assert answer.tolist() == pytest.approx(expected, abs=0.01)
    assert logits.isfinite().all()


def test_models_are_chosen_by_labels_where_there_are_any_else_by_color() -> None:
    labeled, unlabeled = Score(0.4, 20.0), Score(math.nan, 21.0)
    assert (labeled.worth(by_labels=True), labeled.worth(by_labels=False)) == (0.4, 20.0)
    assert unlabeled.worth(by_labels=True) == unlabeled.worth(by_labels=False) == 21.0
