"""The mapper under another model: views are the new one's, and a change that fails changes nothing."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from mapper_fixtures import (
    CLASSES,
    SMALL,
    CountingField,
    camera_at,
    filled,
    frame_at,
    kind_of,
    make_mapper,
    random_model,
)

from sray.camera import Camera
from sray.errors import (
    CanceledError,
    ModelError,
    NoMemoryError,
)
from sray.field import RenderConfig, SemanticField
from sray.frames import SourceViews
from sray.mapping.mapper import Mapper
from sray.model import SemanticRay, SemanticRayConfig


def test_after_a_change_of_model_views_are_the_new_models() -> None:
    torch.manual_seed(1)
    other = SemanticRay(SemanticRayConfig(CLASSES))
    mapper, fresh = filled(make_mapper(), 1.0, 1.2), Mapper(SemanticField(other, SMALL), CLASSES)
    mapper.map.integrate(mapper.cloud_of(mapper.render(camera_at(1.1)).view))
    voxels, revision = mapper.map.to_cloud(), mapper.keyframes.revision
    mapper.change_model(SemanticField(other, SMALL))
    expected = filled(fresh, 1.0, 1.2).render(camera_at(1.1)).view
    found = mapper.render(camera_at(1.1)).view
    assert torch.equal(found.labels, expected.labels)
    assert torch.equal(found.confidence, expected.confidence)
    np.testing.assert_array_equal(mapper.map.to_cloud().points, voxels.points)
    assert (mapper.keyframes.revision, mapper.keyframes.bytes) == (revision + 1, fresh.keyframes.bytes)
    mapper.add(frame_at(1.4))
    assert torch.equal(mapper.keyframes[2].features, filled(fresh, 1.4).keyframes[2].features)


def test_a_change_of_model_that_fails_halfway_changes_nothing() -> None:
    class FailingField(CountingField):
        def encode(self, image: torch.Tensor, camera: Camera, like: torch.Tensor | None = None) -> torch.Tensor:
            if self.encoded == 1:
                return torch.empty(2**46, dtype=torch.uint8)  # 64 TiB
            return super().encode(image, camera, like)

    mapper = filled(make_mapper(), 1.0, 1.2)
    before, revision = list(mapper.keyframes), mapper.keyframes.revision
    expected = mapper.render(camera_at(1.1)).view
    another = SemanticRay(SemanticRayConfig(CLASSES))
    assert kind_of(lambda: mapper.change_model(FailingField(another))) is NoMemoryError
    more = SemanticField(SemanticRay(SemanticRayConfig(CLASSES + 1)))
    assert kind_of(lambda: mapper.change_model(more)) is ModelError
    same_size, asked = SemanticField(SemanticRay(SemanticRayConfig(CLASSES))), iter([False, True])
    assert kind_of(lambda: mapper.change_model(same_size, lambda: next(asked))) is CanceledError
    assert all(now is then for now, then in zip(mapper.keyframes, before, strict=True))
    assert mapper.keyframes.revision == revision
    assert torch.equal(mapper.render(camera_at(1.1)).view.confidence, expected.confidence)


def test_a_model_with_the_same_encoder_takes_the_features_over() -> None:
    tuned = deepcopy(random_model())
    torch.nn.init.constant_(tuned.fine.classifier.bias, 3.0)
    mapper, field = filled(make_mapper(), 1.0, 1.2), CountingField(tuned)
    before, label = [keyframe.features for keyframe in mapper.keyframes], mapper.render(camera_at(1.1)).view.confidence
    mapper.change_model(field)
    assert field.encoded == 0
    assert all(keyframe.features is features for keyframe, features in zip(mapper.keyframes, before, strict=True))
    assert not torch.equal(mapper.render(camera_at(1.1)).view.confidence, label)


def test_another_field_of_the_model_renders_one_view_and_the_configured_one_goes_on() -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    usual = mapper.render(camera_at(1.1)).view
    coarse = SemanticField(random_model(), RenderConfig(coarse_samples=2, fine_samples=2, min_opacity=0.0))
    alone = SemanticField(random_model(), coarse.config)
    alone.set_sources(SourceViews.from_frames([k.frame for k in mapper.render(camera_at(1.1)).sources]))
    found = mapper.render(camera_at(1.1), field=coarse).view
    torch.testing.assert_close(found.color, alone.render(camera_at(1.1)).color, atol=1e-5, rtol=0)
    assert not torch.equal(found.color, usual.color)
    assert torch.equal(mapper.render(camera_at(1.1)).view.color, usual.color)
