"""Scores of renderings against their twins, and which pictures are rendered from which, never from themselves."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from reference import scores as twin
from reference import ssim as ssim_twin

from sray.camera import Camera
from sray.errors import SrayError, TooFewViewsError
from sray.field import RenderedView, SemanticField
from sray.frames import Frame
from sray.label_space import VOID, LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray.render_config import RenderConfig
from sray_train.data.scene import Scene
from sray_train.records import with_nulls, write_record
from sray_train.score.evaluate import Query, evaluate, render_queries, spread_queries
from sray_train.score.scores import Scoreboard

SPACE = LabelSpace("stripes", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))


def make_scene(count: int = 5, name: str = "wall", plane: PlaneScene | None = None) -> Scene:
    plane = plane or PlaneScene(width=32, height=24)
    frames = tuple(
        replace(plane.frame((0.15 * index - 0.4, 0.0, 0.0)), name=f"{name}/{index}") for index in range(count)
    )
    return Scene(name, frames, Camera.stack([frame.camera for frame in frames]))


@pytest.fixture(scope="module")
def field() -> SemanticField:
    torch.manual_seed(1)
    return SemanticField(SemanticRay(SemanticRayConfig(3)), RenderConfig.preset("fast"))


# Which pictures, from which
def test_sources_can_be_wanted_away_from_the_picture() -> None:
    """Frames are 15 cm apart and all look the same way: the angle is the same for all."""
    scene = make_scene(7)
    queries = spread_queries(scene, 7, 2, apart=(0.45, 20.0))
    away = {query.target: sorted(abs(source - query.target) for source in query.sources) for query in queries}
    assert away[3] == [3, 3] and away[0] == [2, 3], "of 2 and 4 frames away the one that sees more"
    assert all(query.target not in query.sources for query in queries)
    assert spread_queries(scene, 7, 2)[3].sources != queries[3].sources
    turned = PlaneScene(width=32, height=24)
    frames = [turned.frame((0.0, 0.0, 0.0)), turned.frame((0.1, 0.0, 0.0), yaw_degrees=180.0)]
    back = Scene("back", tuple(frames), Camera.stack([frame.camera for frame in frames]))
    assert spread_queries(back, 2, 2, apart=(0.1, 20.0)) == [], "a view that sees nothing of it is no source"


def test_targets_are_spread_and_no_more_than_there_are_frames() -> None:
    scene = make_scene(10)
    assert [query.target for query in spread_queries(scene, 2, 3)] == [2, 7]
    assert [query.target for query in spread_queries(make_scene(3), 9, 2)] == [0, 1, 2]
    with pytest.raises(SrayError) as caught:
        spread_queries(make_scene(1), 1, 3)
    assert isinstance(caught.value, TooFewViewsError)


def test_sources_are_the_nearest_others() -> None:
    (query,) = spread_queries(make_scene(7), 1, 4)
    assert query.target == 3
    assert set(query.sources) == {1, 2, 4, 5}


def test_a_picture_is_never_rendered_from_itself(field: SemanticField, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_scene()
    given: list[Camera] = []
    show = field.set_sources
    monkeypatch.setattr(field, "set_sources", lambda views, **how: (given.append(views.camera), show(views, **how)))
    queries = spread_queries(scene, 5, 3)
    evaluate(field, queries, SPACE)
    assert len(given) == 5
    for query, cameras in zip(queries, given, strict=True):
        assert len(cameras.center) == 3
        assert (cameras.center - scene.cameras[query.target].center).norm(dim=-1).min() > 0.1
    with pytest.raises(ValueError, match="among its own sources"):
        Query(scene, 2, (1, 2))
    with pytest.raises(ValueError, match="no sources"):
        Query(scene, 2, ())


def test_the_scenes_own_bounds_are_rendered(field: SemanticField, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    show = field.set_sources
    monkeypatch.setattr(field, "set_sources", lambda views, bounds: (given.append(bounds), show(views, bounds=bounds)))
    list(render_queries(field, spread_queries(replace(make_scene(), bounds=(1.0, 3.0)), 1, 2)))
    assert given == [(1.0, 3.0)]


# The scores
def view_of(frame: Frame, **changes: Any) -> RenderedView:
    """A perfect rendering of a frame, but for what is changed."""
    assert frame.labels is not None and frame.depth is not None
    blank = RenderedView.blank(frame.camera)
    color = frame.image.float() / 255
    perfect = replace(blank, labels=frame.labels, common_color=color, depth=frame.depth, depth_with_void=frame.depth)
    return replace(perfect, **changes)


def test_a_perfect_picture_scores_one_and_knows_no_decibels() -> None:
    frame = PlaneScene().frame((0.0, 0.0, 0.0))
    board = Scoreboard(SPACE)
    board.add("wall", frame, view_of(frame), 0.5)
    record = board.evaluation().record()
    for name in ("strict_miou", "released_miou", "total_accuracy", "average_accuracy", "ssim"):
        assert record[name] == pytest.approx(1), name
    assert record["depth_abs_rel"] == record["depth_median_error_not_void"] == 0 and record["depth_within_1_05"] == 1
    assert record["map_f_score_5cm"] == 1 and record["map_accuracy"] < 0.02
    assert record["void"] == 0 and record["seconds_per_render"] == 0.5
    assert with_nulls(record)["psnr"] is None, "no error at all: no finite number of decibels"


def test_scores_of_pictures_by_hand() -> None:
    """Void, half a meter too far, a tenth too bright: each shows where it should, and only there."""
    frame = PlaneScene().frame((0.0, 0.0, 0.0))
    assert frame.labels is not None and frame.depth is not None
    board = Scoreboard(SPACE)
    labels = frame.labels.clone()
    labels[:9] = VOID  # a quarter of the rows; every stripe loses as much
    depth = frame.depth + 0.5
    void = depth.masked_fill(labels == VOID, math.nan)
    depth[:9] = frame.depth[:9]  # right where it is void, of which a robot hears nothing
    scores = board.add("wall", frame, view_of(frame, labels=labels, depth=void, depth_with_void=depth), 0.0)
    assert scores.pixels_right == pytest.approx(3 / 4)
    assert scores.strict_miou == pytest.approx(3 / 4)
    assert scores.released_miou == pytest.approx(1), "void is dropped there"
    assert scores.depth_not_void.median_error == pytest.approx(0.5, abs=1e-5)
    far = frame.depth[9:]
    assert scores.depth_not_void.abs_rel == pytest.approx(float((0.5 / far).mean()), abs=1e-5)
    assert scores.depth.abs_rel == pytest.approx(0.75 * float((0.5 / far).mean()), abs=1e-5)
    assert scores.depth.within_1_05 == pytest.approx(1 / 4) and scores.depth_not_void.within_1_05 == 0
    assert scores.void == pytest.approx(1 / 4)
    dark = replace(frame, image=torch.full_like(frame.image, 51))
    brighter = board.add("wall", dark, view_of(dark, common_color=dark.image.float() / 255 + 0.1), 0.0)
    assert brighter.psnr == pytest.approx(20, abs=1e-4)
    total = board.evaluation().record()
    assert total["total_accuracy"] == pytest.approx(7 / 8) and total["void"] == pytest.approx(1 / 8)


def test_an_evaluation_is_what_its_twins_say(field: SemanticField) -> None:
    """Two scenes, rendered again and scored pixel by pixel in the plain implementations."""
    scenes = [make_scene(name="one"), make_scene(4, "two", PlaneScene(wall_z=1.5, width=32, height=24))]
    queries = [query for scene in scenes for query in spread_queries(scene, 2, 2)]
    evaluation = evaluate(field, queries, SPACE)
    record = evaluation.record()
    images: dict[str, list[list[tuple[int, int]]]] = {"one": [], "two": []}
    similarity = []
    for rendering in render_queries(field, queries):
        truth, view = rendering.truth, rendering.view
        assert truth.labels is not None
        pairs = list(zip(view.labels.flatten().tolist(), truth.labels.flatten().tolist(), strict=True))
        images[rendering.query.scene.name].append(pairs)
        similarity.append(ssim_twin.ssim(view.color.tolist(), (truth.image.float() / 255).tolist()))
    together = images["one"] + images["two"]
    assert record["strict_miou"] == pytest.approx(twin.strict_miou(together, 3))
    by_scene = [twin.released_miou(images[name], 3) for name in ("one", "two")]
    assert record["released_miou"] == pytest.approx(sum(by_scene) / 2)
    assert (record["total_accuracy"], record["average_accuracy"]) == pytest.approx(twin.accuracies(together, 3))
    assert record["ssim"] == pytest.approx(sum(similarity) / 4, abs=2e-4)
    assert [scene["scene"] for scene in record["per_scene"]] == ["one", "two"]
    assert record["per_scene"][1]["strict_miou"] == pytest.approx(twin.strict_miou(images["two"], 3))
    assert np.sum(record["confusion"]["pixels"]) == 4 * 32 * 24
    assert sum(record["per_class_share"].values()) == pytest.approx(1)


def test_the_interval_is_over_scenes_or_else_over_pictures() -> None:
    frame = PlaneScene().frame((0.0, 0.0, 0.0))
    assert frame.labels is not None
    wrong = view_of(frame, labels=(frame.labels + 1) % 3)
    board = Scoreboard(SPACE)
    for picture in range(4):
        board.add("few", frame, wrong if picture == 3 else view_of(frame), 0.0)
    assert all(math.isnan(end) for end in board.evaluation().interval), "four pictures of one scene"
    for scene in ("few", "two", "three", "four"):
        board.add(scene, frame, view_of(frame), 0.0)
    evaluation = board.evaluation()
    assert evaluation.interval_over == "pictures" and evaluation.record()["strict_miou_interval_over"] == "pictures"
    low, high = evaluation.interval
    assert low < board.strict_miou < high == pytest.approx(1)
    board.add("five", frame, view_of(frame), 0.0)
    assert board.evaluation().interval_over == "scenes"
    low, high = board.evaluation().interval
    assert low < board.strict_miou < high == pytest.approx(1)


# Records
def test_numbers_that_json_does_not_know_are_null(tmp_path: Path) -> None:
    assert with_nulls({"a": [math.nan, (1.0, math.inf)], "b": {"c": -math.inf, "d": 0}, "e": Path("x")}) == {
        "a": [None, [1.0, None]],
        "b": {"c": None, "d": 0},
        "e": "x",
    }
    write_record(tmp_path / "new" / "record.json", {"a": math.nan})
    assert (tmp_path / "new" / "record.json").read_text() == '{\n  "a": null\n}\n'
