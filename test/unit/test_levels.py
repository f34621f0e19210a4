"""Where labels are lost, level by level, and S-Ray beside its rivals: on a wall whose truth is known."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import PlaneScene
from recorded_labels import RecordedLabels

from sray.camera import Camera
from sray.checkpoint import save_checkpoint
from sray.errors import FileError, ModelError, NoViewsError, SrayError
from sray.field import SemanticField
from sray.frames import Frame, SourceViews
from sray.guidance import PixelGrid, nearest_depth
from sray.label_space import ROOMS, VOID
from sray.model import SemanticRay, SemanticRayConfig
from sray.render_config import RenderConfig
from sray.visibility import Surfaces
from sray_train.cli import main
from sray_train.data.scene import Scene
from sray_train.paper.baselines.one_shot import OneShot, filled
from sray_train.paper.baselines.picture_labels import NetworkLabels
from sray_train.paper.baselines.surface import sightings
from sray_train.paper.levels.measure import LEVELS, LevelReader, at_edges, chain, levels_record
from sray_train.paper.levels.rivals import OwnPicture, Shown, rivals_record
from sray_train.paper.levels.tables import page_blocks
from sray_train.score.evaluate import Query
from sray_train.score.view_scores import ViewScore

BOUNDS = (1.0, 4.0)


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return PlaneScene().ring(5)


@pytest.fixture(scope="module")
def scene(frames: list[Frame]) -> Scene:
    return Scene("wall", frames, Camera.stack([frame.camera for frame in frames]), bounds=BOUNDS)


def model_of(classes: int, *, stereo: bool) -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(classes, stereo=stereo, visibility="full" if stereo else "none")).eval()


# --- what views say of a surface


def test_true_labels_meet_at_true_depth_and_nowhere_else(frames: list[Frame]) -> None:
    target, views = frames[0], SourceViews.from_frames(frames[1:])
    votes = torch.stack([torch.nn.functional.one_hot(frame.labels.long(), 3).float() for frame in frames[1:]])
    away = ~at_edges(target.labels).flatten()
    right = {}
    for name, depth in (("true", target.depth), ("half", target.depth / 2)):
        found = sightings(target.camera, depth, views, None)
        seen = (found.seen_by > 0) & away
        right[name] = float((found.mean(votes).argmax(-1) == target.labels.flatten())[seen].float().mean())
    assert right["true"] == 1 and right["half"] < 0.9


def test_a_view_that_something_hides_the_surface_from_has_no_say(frames: list[Frame]) -> None:
    views = SourceViews.from_frames(frames[1:4])
    blocked = views.depth.clone()
    blocked[0] = 1.0  # something stands a meter before the wall
    found = sightings(frames[0].camera, frames[0].depth, views, Surfaces.of(dataclasses.replace(views, depth=blocked)))
    everyone = sightings(frames[0].camera, frames[0].depth, views, None)
    others = (everyone.share[1:] > 0).any(0)
    assert (found.share[0, others] == 0).all() and (everyone.share[0, others] > 0).any()
    assert everyone.hidden == 0 and found.hidden == int((everyone.share[0] > 0).sum())
    alone = (everyone.share[0] > 0) & ~others
    assert torch.equal(found.share[0, alone], everyone.share[0, alone]), "the best guess where nobody else looks"
    sums = found.share.sum(0)
    torch.testing.assert_close(sums[sums > 0], torch.ones_like(sums[sums > 0]))


def test_no_depth_is_no_surface(frames: list[Frame]) -> None:
    views = SourceViews.from_frames(frames[1:])
    depth = frames[0].depth.clone()
    depth[3] = torch.nan
    depth[4] = 0
    found = sightings(frames[0].camera, depth, views, None)
    assert (found.seen_by.reshape(36, 48)[3:5] == 0).all() and (found.seen_by.reshape(36, 48)[10, :40] > 0).all()


# --- levels


def test_edges_reach_two_pixels_to_either_side() -> None:
    labels = torch.zeros(5, 9, dtype=torch.uint8)
    labels[:, 4:] = 1
    assert at_edges(labels).float().mean(0).tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("stereo", [False, True])
def test_each_level_is_what_it_says(scene: Scene, stereo: bool) -> None:
    model, config = model_of(3, stereo=stereo), RenderConfig.preset("fast")
    query = Query(scene, 0, (1, 2, 3, 4))
    found = LevelReader(model, config).measure(query)
    assert set(found.everywhere) == set(found.inside) == set(LEVELS)
    truth = scene.frames[0]
    field = SemanticField(model, config)
    sources = SourceViews.from_frames([scene.frames[index] for index in query.sources])
    field.set_sources(dataclasses.replace(sources, depth=None), bounds=BOUNDS)
    own = NetworkLabels(model)(SourceViews.from_frames([truth]))[0].argmax(-1)
    for name, labels in (("rendered", field.render(truth.camera).labels), ("picture", own)):
        counts = np.zeros((3, 4), np.int64)
        for true, said in zip(truth.labels.flatten().tolist(), labels.flatten().tolist(), strict=True):
            counts[true, 3 if said == VOID else said] += 1
        np.testing.assert_array_equal(found.everywhere[name].counts, counts, err_msg=name)
    perfect = found.inside["true_visible"].counts
    assert perfect[:, :3].sum() > 0 and perfect[:, :3].trace() == perfect[:, :3].sum(), "away from edges they agree"
    assert found.occluded == 0 and 0.2 < found.distance < 0.8 and 0 < found.angle < 10
    if not stereo:
        np.testing.assert_array_equal(found.everywhere["rendered"].counts, found.everywhere["density"].counts)


def test_steps_add_up_and_their_intervals_are_paired(scene: Scene) -> None:
    reader = LevelReader(model_of(3, stereo=False), RenderConfig.preset("fast"))
    record = levels_record([reader.measure(Query(scene, one, tuple({0, 1, 2, 3, 4} - {one}))) for one in range(5)])
    levels, steps = record["levels"], record["steps"]
    assert [(step["before"], step["after"]) for step in steps] == [(before, after) for _, before, after in chain()]
    total = sum(step["difference"] for step in steps)
    assert total == pytest.approx(levels["true_visible"]["strict_miou"] - levels["density"]["strict_miou"])
    assert steps[0]["difference"] == 0 and steps[0]["interval"] == (0, 0), "without stereo both are one render"
    assert levels["rendered"]["interval"][0] < levels["rendered"]["interval"][1]
    assert record["views"] == 5 and record["scenes"] == ["wall"]
    with pytest.raises(ValueError, match="no view was measured"):
        levels_record([])


def test_levels_need_truth(scene: Scene, frames: list[Frame]) -> None:
    blind = [dataclasses.replace(frame, depth=None) for frame in frames]
    with pytest.raises(FileError, match="of wall has no depth; expected labels and depth"):
        LevelReader(model_of(3, stereo=False), RenderConfig.preset("fast")).measure(
            Query(dataclasses.replace(scene, frames=blind), 0, (1, 2))
        )


# --- one shot, and the others


def test_one_shot_of_true_labels_and_depth_is_the_wall(frames: list[Frame]) -> None:
    shot = OneShot(RecordedLabels(frames, 3))
    shot.set_sources(SourceViews.from_frames(frames[1:]), bounds=BOUNDS)
    view, truth = shot.render(frames[0].camera), frames[0]
    seen = view.labels != VOID
    away = seen & ~at_edges(truth.labels)
    assert seen.float().mean() > 0.9 and torch.equal(view.labels[away], truth.labels[away])
    assert (view.depth - truth.depth)[seen].abs().max() < 0.05 and view.depth[~seen].isnan().all()
    assert (view.color[seen] - (truth.image / 255)[seen]).abs().mean() < 0.05
    assert (view.confidence[seen] > 1 / 3).all() and (view.coverage[seen] > 0).all()


def test_one_shot_refuses_what_it_cannot_do(frames: list[Frame]) -> None:
    shot = OneShot(RecordedLabels(frames, 3))
    with pytest.raises(SrayError, match="set_sources") as early:
        shot.render(frames[0].camera)
    assert isinstance(early.value, NoViewsError)
    with pytest.raises(SrayError, match="no stereo network") as blind:
        shot.set_sources(dataclasses.replace(SourceViews.from_frames(frames), depth=None))
    assert isinstance(blind.value, ModelError)


def test_holes_take_the_nearest_depth(frames: list[Frame]) -> None:
    depth = torch.tensor([[1.0, torch.nan, torch.nan, torch.nan, 2.0]])
    assert filled(depth)[0, [0, 1, 3, 4]].tolist() == [1, 1, 2, 2]
    assert filled(torch.full((2, 2), torch.nan)).isnan().all()
    views = SourceViews.from_frames(frames[1:2])
    warped = nearest_depth(views, frames[0].camera, PixelGrid(48, 36, 1))
    assert warped.isnan().any() and not filled(warped).isnan().any()


def test_a_keyframes_own_picture_is_labeled_and_no_other_place(frames: list[Frame]) -> None:
    own = OwnPicture(NetworkLabels(model_of(3, stereo=False)))
    views = SourceViews.from_frames(frames[1:])
    own.set_sources(views)
    expected = NetworkLabels(model_of(3, stereo=False))(views)[2].argmax(-1)
    assert torch.equal(own.render(frames[3].camera).labels.long(), expected)
    with pytest.raises(SrayError, match="no source view stands where the camera is"):
        own.render(frames[0].camera)


def test_rivals_are_compared_picture_by_picture() -> None:
    """Both swing from picture to picture, one is always a little better: only a paired interval is above 0."""
    found = []
    for number in range(12):
        for name, right in (("S-Ray, RGB", 40 + 5 * number), ("one shot, RGB", 37 + 5 * number)):
            counts = np.array([[right, 100 - right, 0], [100 - right, right, 0]])
            found.append(Shown(name, "new viewpoint", ViewScore(counts, 20.0), 0.0, 1.0))
    record = rivals_record(found)
    (pair,) = record["pairs"]
    assert (pair["first"], pair["second"], pair["where"]) == ("S-Ray, RGB", "one shot, RGB", "new viewpoint")
    assert 0 < pair["interval"][0] <= pair["difference"] <= pair["interval"][1]
    first, second = (row["interval"] for row in record["scores"])
    assert first[0] < second[1], "apart they overlap"


# --- the commands


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("levels")
    PlaneScene().record(folder / "wall", ROOMS, 6)
    save_checkpoint(folder / "stereo.safetensors", model_of(ROOMS.classes, stereo=True), ROOMS)
    save_checkpoint(folder / "plain.safetensors", model_of(ROOMS.classes, stereo=False), ROOMS)
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"data": {"width": 48, "height": 36, "frames": 0}, "evaluation": {"quality": "fast"}})
    )
    common = ["--config", str(folder / "config.yaml"), "--sequence", str(folder / "wall"), "--targets", "2"]
    return [*common, "--views", "3", "--threads", "1", "--checkpoint", str(folder / "stereo.safetensors")]


def test_sray_levels_leaves_a_record_and_a_picture(recorded: list[str], tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    main(["levels", *recorded, "--title", "the wall", "--json", str(first)])
    record = json.loads(first.read_text())
    assert record["title"] == "the wall" and record["views"] == 2 and set(record["levels"]) == set(LEVELS)
    assert page_blocks(tmp_path, "images").keys() == {"levels"}
    assert "| S-Ray |" in page_blocks(tmp_path, "images")["levels"]
    picture = tmp_path / "levels.png"
    more = ["--title", "again", "--apart", "0.2", "20", "--beside", str(first), "--picture", str(picture)]
    main(["levels", *recorded, *more, "--json", str(second)])
    assert json.loads(second.read_text())["source_distance_m"] >= record["source_distance_m"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match=r"first\.json exists"):
        main(["levels", *recorded, "--json", str(first)])


def test_sray_compare_scores_all_and_refuses_a_checkpoint_without_stereo(recorded: list[str], tmp_path: Path) -> None:
    main(["compare", *recorded, "--voxel-size", "0.1", "--json", str(tmp_path / "c.json")])
    record = json.loads((tmp_path / "c.json").read_text())
    shown = {(row["rival"], row["where"]): row for row in record["scores"]}
    assert len(shown) == 13 and all(row["pictures"] == 2 for row in shown.values())
    assert shown["2D labels of the picture", "keyframe"]["psnr"] is None, "the picture itself: infinite"
    sensed = shown["voxels, sensor depth", "new viewpoint"]
    assert sensed["psnr"] > 18 and math.isfinite(sensed["seconds"])
    (tmp_path / "c.json").rename(tmp_path / "rivals.json")
    assert "| voxels, sensor depth | new viewpoint |" in page_blocks(tmp_path, "images")["rivals"]
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(SrayError, match=r"other\.json is no record"):
        page_blocks(tmp_path, "images")
    plain = [word.replace("stereo.safetensors", "plain.safetensors") for word in recorded]
    with pytest.raises(SystemExit, match="has no stereo network"):
        main(["compare", *plain, "--json", str(tmp_path / "none.json")])


def test_a_recording_without_depth_or_labels_is_named_or_compared_from_rgb(recorded: list[str], tmp_path: Path) -> None:
    wall = Path(recorded[recorded.index("--sequence") + 1])
    copied = shutil.copytree(wall, tmp_path / "wall")
    own = [str(copied) if word == str(wall) else word for word in recorded]
    shutil.rmtree(copied / "depth")
    with pytest.raises(SystemExit, match="wall has no depth; expected labels and depth of every frame"):
        main(["levels", *own, "--json", str(tmp_path / "levels.json")])
    main(["compare", *own, "--targets", "1", "--json", str(tmp_path / "rgb.json")])
    assert {row["rival"] for row in json.loads((tmp_path / "rgb.json").read_text())["scores"]} == {
        *("S-Ray, RGB", "one shot, RGB", "voxels, stereo depth", "2D labels of the picture")
    }
    shutil.rmtree(copied / "label-filt")
    with pytest.raises(SystemExit, match=r"frame wall/\d has no labels"):
        main(["compare", *own, "--json", str(tmp_path / "none.json")])
