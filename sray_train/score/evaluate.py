"""Scores of a model on pictures it never saw: each rendered from other frames of its scene, and compared.

    queries = [query for scene in scenes for query in spread_queries(scene, targets=2, views=8)]
    evaluation = evaluate(field, queries, label_space)

`evaluate` takes any (scene, target, sources), so that fine-tuning scores its own split with the same code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sray.camera import Camera
from sray.errors import TooFewViewsError
from sray.field import RenderedView
from sray.frames import Frame, SourceViews
from sray.label_space import LabelSpace
from sray_train.data.scene import Scene
from sray_train.data.source_views import views_apart
from sray_train.data.view_split import ViewSplit
from sray_train.score.image_quality import Lpips
from sray_train.score.scores import Evaluation, PictureScores, Scoreboard


@dataclass(frozen=True)
class Query:
    """A picture to render: frame `target` of a scene, from its frames `sources`, best first."""

    scene: Scene
    target: int
    sources: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError(f"{self.scene.name}: frame {self.target} has no sources; expected at least one")
        if self.target in self.sources:
            raise ValueError(f"{self.scene.name}: frame {self.target} is among its own sources; no score may use it")


class Renderer(Protocol):
    """What can be scored: it is shown source views, and renders. SemanticField, and what is no radiance field."""

    def set_sources(self, views: SourceViews, *, bounds: tuple[float, float] | None = None) -> None: ...
    def render(self, camera: Camera) -> RenderedView: ...


@dataclass(frozen=True)
class Rendering:
    """A query, answered."""

    query: Query
    truth: Frame
    view: RenderedView
    seconds: float
    """Of encoding the sources and rendering."""


def spread_queries(scene: Scene, targets: int, views: int, apart: tuple[float, float] | None = None) -> list[Query]:
    """At most `targets` frames, evenly over the scene, each from the `views` others that see most of what it sees.

    `apart`: meters and degrees; those that are about so far from it instead, and no target that has none of them.
    Raises TooFewViewsError if the scene has fewer than two frames.
    """
    count = len(scene.frames)
    if count < 2:
        raise TooFewViewsError(
            f"{scene.name} has {count} usable frame", "at least 2, one to render and one to render it from"
        )
    chosen = scene.spread(targets)
    if apart is None:
        return [Query(scene, target, tuple(scene.nearest(target, views))) for target in chosen]
    found = ((target, tuple(views_apart(scene, target, views, *apart))) for target in chosen)
    return [Query(scene, target, sources) for target, sources in found if sources]


def split_queries(scene: Scene, split: ViewSplit) -> list[Query]:
    """The split's test frames, each from its sources: best first, and no other frame of the scene."""
    return [Query(scene, test, tuple(scene.nearest(test, len(split.sources), split.sources))) for test in split.test]


def elsewhere_queries(scene: Scene, split: ViewSplit) -> list[Query]:
    """The split's frames elsewhere, each from as many of the scene's nearest others as there are sources."""
    return [Query(scene, one, tuple(scene.nearest(one, len(split.sources)))) for one in split.elsewhere]


def render_queries(field: Renderer, queries: Iterable[Query], *, depth: bool = False) -> Iterator[Rendering]:
    """Render whole pictures, each when it is done. `depth`: the sources' guides the samples (RGB-D); without, RGB."""
    for query in queries:
        truth = query.scene.frames[query.target]
        sources = SourceViews.from_frames([query.scene.frames[index] for index in query.sources])
        began = time.perf_counter()
        field.set_sources(sources if depth else replace(sources, depth=None), bounds=query.scene.bounds)
        view = field.render(truth.camera)
        yield Rendering(query, truth, view, time.perf_counter() - began)


def evaluate(
    field: Renderer,
    queries: Sequence[Query],
    label_space: LabelSpace,
    *,
    depth: bool = False,
    lpips: Lpips | None = None,
    on_picture: Callable[[Rendering, PictureScores, Scoreboard], None] | None = None,
) -> Evaluation:
    """Score every query. A target without labels, or without depth, counts for what it has.

    `on_picture` gets each picture with its scores, and those of all so far. Raises ValueError if there is no query or
    a label is outside the label space.
    """
    if not queries:
        raise ValueError("there is no picture to score; expected at least one query")
    board = Scoreboard(label_space, lpips)
    for rendering in render_queries(field, queries, depth=depth):
        scores = board.add(rendering.query.scene.name, rendering.truth, rendering.view, rendering.seconds)
        if on_picture is not None:
            on_picture(rendering, scores, board)
    return board.evaluation()
