"""For tests of the mapper in this process: a small model with random weights, cameras in a row, their pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

from sray.camera import Camera
from sray.errors import SrayError
from sray.field import RenderConfig, SemanticField
from sray.frames import Frame
from sray.mapping.keyframes import Verdict
from sray.mapping.mapper import Mapper
from sray.mapping.mapper_config import MapperConfig
from sray.model import SemanticRay, SemanticRayConfig

CLASSES = 5
SMALL = RenderConfig(coarse_samples=8, fine_samples=8, min_opacity=0.0)
K = torch.tensor([[30.0, 0, 19.5], [0, 30.0, 14.5], [0, 0, 1]])


class CountingField(SemanticField):
    """The field itself; it also counts what it is asked to encode."""

    encoded = 0

    def encode(self, image: torch.Tensor, camera: Camera, like: torch.Tensor | None = None) -> torch.Tensor:
        self.encoded += 1
        return super().encode(image, camera, like)


@cache
def random_model() -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(CLASSES))


def make_mapper(field: SemanticField | None = None, **config: Any) -> Mapper:
    """An empty one, of the random model where no other is given."""
    return Mapper(field or SemanticField(random_model(), SMALL), CLASSES, MapperConfig(**config))


def camera_at(x: float, degrees: float = 0.0) -> Camera:
    angle = math.radians(degrees)
    pose = torch.eye(4)
    pose[0, 0] = pose[2, 2] = math.cos(angle)
    pose[0, 2], pose[2, 0] = math.sin(angle), -math.sin(angle)
    pose[0, 3] = x
    return Camera(K, pose, 40, 30)


def frame_at(x: float, depth: float | None = None, size: tuple[int, int] = (40, 30)) -> Frame:
    generator = torch.Generator().manual_seed(round(1000 * x))
    image = torch.randint(0, 256, (30, 40, 3), generator=generator, dtype=torch.uint8)
    meters = None if depth is None else torch.full((30, 40), depth)
    return Frame(image, camera_at(x), meters, stamp_ns=round(1e9 * x)).resized(*size)


def kind_of(action: Callable[[], object]) -> type[SrayError]:
    with pytest.raises(SrayError) as caught:
        action()
    return type(caught.value)


def filled(mapper: Mapper, *xs: float, depth: float | None = None) -> Mapper:
    for x in xs:
        assert mapper.add(frame_at(x, depth)).verdict is Verdict.ENTERS
    return mapper
