"""Labels that reach the mapper after their picture: which keyframe gets them, and which labels are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from mapper_fixtures import CLASSES, camera_at, filled, frame_at, kind_of, make_mapper

from sray.errors import (
    PictureError,
    SrayError,
)
from sray.label_space import VOID


def test_labels_that_come_late_go_to_the_keyframe_of_their_stamp() -> None:
    mapper = filled(make_mapper(), 1.0, 1.2, 1.4)
    before, size, revision = list(mapper.keyframes), mapper.keyframes.bytes, mapper.keyframes.revision
    labels = (torch.arange(30 * 40) % CLASSES).to(torch.uint8).reshape(30, 40)
    labels[3, 4] = VOID
    labeled = mapper.supervise(round(1.21e9), labels, slop_ns=round(0.02e9))
    assert labeled is mapper.keyframes[1]
    assert torch.equal(labeled.frame.labels, labels)
    assert (before[1].frame.labels, labeled.number, labeled.features is before[1].features) == (None, 1, True)
    assert [mapper.keyframes[0], mapper.keyframes[2]] == [before[0], before[2]]
    assert (mapper.keyframes.bytes, mapper.keyframes.revision) == (size + 30 * 40, revision + 1)
    mapper.supervise(round(1.2e9), torch.zeros(30, 40, dtype=torch.uint8))
    assert int(mapper.keyframes[1].frame.labels.sum()) == 0, "the last ones hold"
    assert mapper.keyframes.bytes == size + 30 * 40
    assert mapper.render(camera_at(1.1)).view.labels.shape == (30, 40)


def test_labels_of_a_neighboring_picture_hold_until_nearer_ones_come() -> None:
    mapper, slop = filled(make_mapper(), 1.0, 1.2), round(0.02e9)

    def give(offset: float, value: int) -> int | None:
        labels = torch.full((30, 40), value, dtype=torch.uint8)
        mapper.supervise(round((1.2 + offset) * 1e9), labels, slop)
        return int(mapper.keyframes[1].frame.labels[0, 0])

    assert give(0.017, 1) == 1
    assert give(-0.017, 2) == 2, "as near, and later"
    assert give(0.0, 3) == 3
    assert give(0.017, 4) == 3, "its own stay"
    assert give(0.0, 0) == 0, "until its own come again"
    assert mapper.keyframes[0].frame.labels is None


def test_labels_of_no_keyframe_are_of_no_use() -> None:
    labels = torch.zeros(30, 40, dtype=torch.uint8)
    mapper = make_mapper()
    assert mapper.supervise(0, labels, slop_ns=10**9) is None
    filled(mapper, 1.0, 1.2)
    revision = mapper.keyframes.revision
    assert mapper.supervise(round(1.2e9) + 11, labels, slop_ns=10) is None
    assert mapper.supervise(round(1.1e9), labels) is None
    assert mapper.keyframes.revision == revision
    assert all(keyframe.frame.labels is None for keyframe in mapper.keyframes)


def test_of_keyframes_of_one_stamp_the_newest_gets_the_labels() -> None:
    """A bag in a loop shows its stamps again."""
    mapper = filled(make_mapper(), 1.0)
    mapper.add(replace(frame_at(1.4), stamp_ns=10**9))
    labeled = mapper.supervise(10**9, torch.zeros(30, 40, dtype=torch.uint8))
    assert labeled is mapper.keyframes[1]


def test_labels_of_another_size_are_sampled_at_pixel_centers() -> None:
    mapper = filled(make_mapper(), 1.0)
    large = torch.zeros(90, 120, dtype=torch.uint8)
    large[1::3, 1::3] = 4  # the center of each block of 3 x 3
    labeled = mapper.supervise(10**9, large)
    assert (labeled.frame.labels == 4).all()
    assert labeled.frame.labels.shape == (30, 40)


@pytest.mark.fault(
    "label images hold ids that are no class of the model",
    code="BAD_ENCODING",
    says="the log and the last refusal",
    recovery="publish class indices of the model's label space; the keyframe keeps the labels it had",
)
def test_labels_that_are_no_class_are_refused_by_value_and_the_old_ones_stay() -> None:
    mapper = filled(make_mapper(), 1.0)
    good = torch.full((30, 40), CLASSES - 1, dtype=torch.uint8)
    mapper.supervise(10**9, good)
    bad = good.clone()
    bad[2, 3] = CLASSES
    with pytest.raises(SrayError, match=f"hold {CLASSES}; expected indices of {CLASSES} classes") as caught:
        mapper.supervise(10**9, bad)
    assert isinstance(caught.value, PictureError)
    assert kind_of(lambda: mapper.supervise(2 * 10**9, bad)) is PictureError, "before their picture has come, too"
    assert kind_of(lambda: mapper.supervise(10**9, torch.zeros(0, 4, dtype=torch.uint8))) is PictureError
    assert torch.equal(mapper.keyframes[0].frame.labels, good)
