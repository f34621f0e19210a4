"""Looking around: the newest camera wins, a camera at rest gets a full picture, and nobody waits for an old one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from waiting import until

from sray.camera import Camera
from sray.errors import CanceledError, InternalError, SrayError, TooFewViewsError
from sray.field import RenderedView
from sray.viewing.painter import LEAST_PREVIEW, PREVIEW_SECONDS, REST, Painter, Viewpoint
from sray.viewing.source import Answer


def viewpoint(x: float = 0.0) -> Viewpoint:
    pose = np.eye(4)
    pose[0, 3] = x
    return Viewpoint(pose, fov=1.0, aspect=4 / 3)


class Canvas:
    """What a painter is given; renders take as long as they are told to, or until they are canceled."""

    def __init__(self, full_seconds: float = 0.0, pixels: int = 300) -> None:
        self.full_seconds = full_seconds
        self.shown: list[tuple[float, bool]] = []
        """Where from, and whether it is a full one."""
        self.sizes: list[tuple[int, int]] = []
        self.canceled: list[float] = []
        self.complaints: list[type[SrayError]] = []
        self.refuses: type[Exception] | None = None
        self.painter = Painter(
            self.render, self.show, lambda error: self.complaints.append(type(error)), lambda: pixels
        )

    def render(self, camera: Camera, is_preview: bool, canceled: Callable[[], bool]) -> Answer:
        x = float(camera.world_from_camera[0, 3])
        self.sizes.append((camera.width, camera.height))
        if self.refuses is not None:
            raise self.refuses("no")
        ends = time.monotonic() + (0.0 if is_preview else self.full_seconds)
        while time.monotonic() < ends:
            if canceled():
                self.canceled.append(x)
                raise CanceledError("canceled")
            time.sleep(0.005)
        return Answer(RenderedView.blank(camera), ())

    def show(self, answer: Answer, is_full: bool) -> None:
        self.shown.append((float(answer.view.camera.world_from_camera[0, 3]), is_full))


@pytest.fixture
def canvas() -> Iterator[Callable[..., Canvas]]:
    made: list[Canvas] = []

    def make(**how: Any) -> Canvas:
        made.append(Canvas(**how))
        return made[-1]

    yield make
    for each in made:
        each.painter.close()


def test_a_camera_that_rests_gets_a_small_picture_and_then_a_full_one(canvas: Callable[..., Canvas]) -> None:
    here = canvas()
    here.painter.look(viewpoint(1.0))
    assert until(lambda: len(here.shown) == 2)
    assert here.shown == [(1.0, False), (1.0, True)]
    time.sleep(2 * REST)
    assert len(here.shown) == 2, "a camera that rests is painted once"
    assert len(here.painter.latency.preview) == len(here.painter.latency.full) == 1
    assert here.painter.latency.full[0] >= REST


def test_a_full_picture_is_given_up_for_a_newer_camera(canvas: Callable[..., Canvas]) -> None:
    here = canvas(full_seconds=30.0)
    here.painter.look(viewpoint(1.0))
    assert until(lambda: len(here.sizes) == 2), "the full picture has begun"
    asked = time.monotonic()
    here.full_seconds = 0.0
    here.painter.look(viewpoint(2.0))
    assert until(lambda: (2.0, True) in here.shown)
    assert time.monotonic() - asked < 10, "it did not wait for the old picture"
    assert here.canceled == [1.0]
    assert here.painter.canceled == 1
    assert (1.0, True) not in here.shown


def test_cameras_that_were_passed_are_never_rendered(canvas: Callable[..., Canvas]) -> None:
    """Of a hundred that come while one is being rendered, the last one alone is."""
    here = canvas(full_seconds=0.3)
    here.painter.look(viewpoint(1.0))
    assert until(lambda: len(here.sizes) == 2)
    for step in range(100):
        here.painter.look(viewpoint(2.0 + step))
    assert until(lambda: (101.0, True) in here.shown)
    assert {x for x, _ in here.shown} <= {1.0, 2.0, 101.0} | {2.0 + step for step in range(100)}
    assert len(here.sizes) < 20


def test_without_a_picture_the_browser_is_told_why_and_asked_again_when_it_moves(canvas: Callable[..., Canvas]) -> None:
    here = canvas()
    here.refuses = TooFewViewsError
    here.painter.look(viewpoint(1.0))
    assert until(lambda: here.complaints)
    time.sleep(2 * REST)
    assert here.complaints == [TooFewViewsError], "it is not asked over and over"
    here.refuses = RuntimeError
    here.painter.look(viewpoint(1.5))
    assert until(lambda: here.complaints == [TooFewViewsError, InternalError]), "what nobody foresaw is told too"
    here.refuses = None
    here.painter.look(viewpoint(2.0))
    assert until(lambda: (2.0, True) in here.shown)


def test_closing_cancels_what_is_being_rendered_and_ends_the_thread(canvas: Callable[..., Canvas]) -> None:
    here = canvas(full_seconds=30.0)
    here.painter.look(viewpoint(1.0))
    assert until(lambda: len(here.sizes) == 2)
    here.painter.close()
    assert not here.painter._thread.is_alive()
    assert here.canceled == [1.0]
    assert here.shown == [(1.0, False)], "who has gone is shown nothing"


def test_small_pictures_become_as_large_as_comes_in_time(canvas: Callable[..., Canvas]) -> None:
    here = canvas(pixels=100_000)
    for step in range(8):
        count = len(here.shown)
        here.painter.look(viewpoint(step))
        assert until(lambda count=count: len(here.shown) >= count + 1)
    small = [size for size in here.sizes if size[0] * size[1] < 90_000]
    assert small[-1][0] > small[0][0], "rendering took no time: they grew"
    here.painter._preview_pixels = 10_000
    here.painter._learn(10_000, 4 * PREVIEW_SECONDS)
    assert here.painter._preview_pixels < 8_000, "it took four times too long: they shrink"
    for _ in range(20):
        here.painter._learn(here.painter._preview_pixels, 10.0)
    assert here.painter._preview_pixels == LEAST_PREVIEW


def test_a_viewpoint_is_the_browsers_camera() -> None:
    camera = viewpoint(0.5).camera(pixels=4800)
    assert (camera.width, camera.height) == (80, 60)
    assert float(camera.intrinsics[1, 1]) == pytest.approx(30 / np.tan(0.5))
    assert camera.intrinsics[0, 2] == 39.5 and camera.intrinsics[1, 2] == 29.5
    corner = camera.ray_directions(torch.tensor([[39.5, -0.5]]))[0]
    assert float(torch.atan2(-corner[1], corner[2])) == pytest.approx(0.5), "half the field of view above the middle"
