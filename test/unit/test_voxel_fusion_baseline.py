"""Voxel fusion, the comparison system: its math against the twin, a wall it must map, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from conftest import PlaneScene
from recorded_labels import RecordedLabels
from reference import voxel_grid as twin

from sray.camera import Camera
from sray.checkpoint import save_checkpoint
from sray.errors import ModelError, NoViewsError, SrayError
from sray.field import RenderConfig, RenderedView, SemanticField
from sray.frames import Frame, SourceViews
from sray.label_space import ROOMS, VOID, LabelSpace
from sray.metrics import ConfusionMatrix, psnr
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence_writer import SequenceWriter
from sray_train.cli import main
from sray_train.data.scene import Scene
from sray_train.paper.baselines.coordinate_network import CoordinateConfig
from sray_train.paper.baselines.nerf import NeRF
from sray_train.paper.baselines.picture_labels import NetworkLabels
from sray_train.paper.baselines.voxel_fusion import VoxelFusion, VoxelFusionConfig
from sray_train.paper.baselines.voxel_grid import Sighting, VoxelGrid
from sray_train.score.evaluate import Query, evaluate

BOUNDS = (0.5, 4.0)
STRIPES = LabelSpace("stripes", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))


def random_sightings(points: int, spread: float) -> list[Sighting]:
    generator = torch.Generator().manual_seed(0)
    return [
        Sighting(
            spread * torch.randn(points, 3, generator=generator, dtype=torch.float64),
            torch.rand(points, 3, generator=generator, dtype=torch.float64),
            torch.rand(points, 4, generator=generator, dtype=torch.float64).clamp_min(0.01).log(),
        )
        for _ in range(3)
    ]


# --- the grid and its twin


def test_fusion_is_its_twin() -> None:
    sightings = random_sightings(points=40, spread=0.15)
    grid = VoxelGrid.fused(sightings, 0.1)
    expected = twin.fuse(
        [
            list(zip(each.points.tolist(), each.colors.tolist(), each.log_likelihood.exp().tolist(), strict=True))
            for each in sightings
        ],
        0.1,
    )
    assert {tuple(cell) for cell in grid.cells.tolist()} == set(expected) and len(grid.cells) == len(expected)
    assert {1, 2, 3} <= set(grid.sightings.tolist())
    for row, cell in enumerate(grid.cells.tolist()):
        posterior, color, sightings_of_it = expected[tuple(cell)]
        assert grid.posterior[row].tolist() == pytest.approx(posterior, abs=1e-12)
        assert grid.color[row].tolist() == pytest.approx(color, abs=1e-12)
        assert int(grid.sightings[row]) == sightings_of_it


def test_two_doubtful_looks_outvote_one_that_is_surer() -> None:
    """By Bayes: 0.7^2 x 0.2 against 0.3^2 x 0.8. A close view of many points is one look."""

    def sighting(chance: float, points: int) -> Sighting:
        likelihood = torch.tensor([[chance, 1 - chance]]).repeat(points, 1).log()
        return Sighting(torch.full((points, 3), 0.05), torch.zeros(points, 3), likelihood)

    grid = VoxelGrid.fused([sighting(0.7, 1), sighting(0.2, 50), sighting(0.7, 1)], 0.1)
    assert grid.posterior[0].tolist() == pytest.approx([0.098 / 0.17, 0.072 / 0.17], abs=1e-5)


def test_rays_meet_the_voxels_their_twin_meets() -> None:
    grid = VoxelGrid.fused(random_sightings(points=25, spread=0.3), 0.1)
    generator = torch.Generator().manual_seed(1)
    directions = torch.randn(150, 3, generator=generator)
    directions[:6] = torch.cat([torch.eye(3), -torch.eye(3)])  # along the axes: some never cross a border
    inside = ((grid.cells[0] + 0.3) * 0.1).float()
    met = 0
    for origin, bounds in ((torch.tensor([0.02, -0.43, 0.07]), (0.05, 0.8)), (inside, (0.01, 4.0))):
        found = grid.cast(origin, directions, bounds)
        for ray in range(len(directions)):
            direction = directions[ray].double().tolist()
            expected = twin.first_voxel(origin.double().tolist(), direction, grid.cells.tolist(), 0.1, *bounds)
            if expected is None:
                assert int(found.voxel[ray]) == -1 and math.isnan(found.entry[ray])
            else:
                met += 1
                assert int(found.voxel[ray]) == expected[0]
                assert (float(found.entry[ray]), float(found.exit[ray])) == pytest.approx(expected[1:], abs=1e-9)
    assert 50 < met < 290, "some meet one, some none"


def test_what_views_look_through_is_not_there(plane_scene: PlaneScene) -> None:
    """Of two sightings in front of a wall that all views see, and the wall's own: the twin keeps the same."""
    frames = plane_scene.ring(4)
    views = SourceViews.from_frames(frames)
    generator = torch.Generator().manual_seed(0)
    floating = torch.rand(60, 3, generator=generator) * torch.tensor([1.0, 0.8, 2.2]) - torch.tensor([0.5, 0.4, 0.0])
    sightings = [
        Sighting(points, torch.zeros_like(points), torch.zeros(len(points), 2))
        for points in (floating, floating[:30], floating[:15], floating[:8])
    ]
    grid = VoxelGrid.fused(sightings, 0.1)
    kept = grid.occupied(views.camera, views.depth)

    def looking(camera: Camera):
        def project(point: list[float]) -> tuple[float, float, float, bool]:
            seen = camera.project(torch.tensor([point]))
            column, row = seen.pixels[0].tolist()
            return column, row, float(seen.depth[0]), bool(seen.seen[0])

        return project

    each = [(looking(frame.camera), frame.depth.tolist()) for frame in frames]
    expected = twin.occupied(grid.cells.tolist(), each, 0.1, grid.sightings.tolist())
    assert [tuple(cell) for cell in kept.cells.tolist()] == expected
    assert 0 < len(kept.cells) < len(grid.cells)


# --- the system


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return PlaneScene(wall_z=2.05).ring(5)  # in the middle of voxels, whose edges are those of the stripes


def mapped(frames: list[Frame]) -> VoxelFusion:
    return VoxelFusion(RecordedLabels(frames, 3), config=VoxelFusionConfig(voxel_size=0.1))


def test_a_wall_with_depth_has_its_labels_colors_and_depth(frames: list[Frame]) -> None:
    """All but a pixel where stripes meet: an oblique ray touches the voxel beside the surface's own first."""
    scene = Scene("wall", frames, Camera.stack([frame.camera for frame in frames]), bounds=BOUNDS)
    fusion, views = mapped(frames), []
    query = Query(scene, 0, (1, 2, 3, 4))
    evaluation = evaluate(fusion, [query], STRIPES, depth=True, on_picture=lambda one, *_: views.append(one.view))
    assert evaluation.record()["strict_miou"] > 0.8
    view, truth = views[0], frames[0]
    seen = view.labels != VOID
    assert seen.float().mean() > 0.95 and (view.opacity[seen] == 1).all() and (view.coverage[seen] >= 1).all()
    wrong = seen & (view.labels != truth.labels)
    meets = truth.labels[:, 1:] != truth.labels[:, :-1]
    beside = torch.zeros_like(seen)
    beside[:, 1:] |= meets
    beside[:, :-1] |= meets
    assert wrong.float().mean() < 0.07 and not (wrong & ~beside).any()
    assert (view.depth - truth.depth)[seen].abs().max() < 0.05 and view.depth[~seen].isnan().all()
    assert psnr(view.color[seen], (truth.image / 255)[seen]) > 17  # gray would score 10
    assert view.confidence[seen].min() > 1 / 3 and (view.confidence[~seen] == 0).all()


def test_views_outvote_one_that_is_wrong(frames: list[Frame]) -> None:
    """What a map is for. By itself the wrong view would be believed; with one other it is a draw, at the edges."""
    wrong = dataclasses.replace(frames[0], labels=(frames[0].labels + 1) % 3)
    camera, truth = frames[0].camera, frames[0].labels
    shares = []
    for sources in ([wrong], [wrong, *frames[1:]]):
        fusion = mapped(sources)
        fusion.set_sources(SourceViews.from_frames(sources), bounds=BOUNDS)
        matrix = ConfusionMatrix(3)
        matrix.update(fusion.render(camera).labels, truth)
        shares.append(matrix.strict().total_accuracy)
    assert shares[0] < 0.1 < 0.75 < shares[1]


def test_unlabeled_pixels_say_nothing_and_still_are_there(frames: list[Frame]) -> None:
    unlabeled = [dataclasses.replace(frame, labels=None) for frame in frames[1:]]
    void = dataclasses.replace(frames[0], labels=torch.full_like(frames[0].labels, VOID))
    fusion = mapped([void, *unlabeled])
    fusion.set_sources(SourceViews.from_frames([void, *unlabeled]), bounds=BOUNDS)
    view = fusion.render(frames[0].camera)
    seen = view.depth.isfinite()
    assert seen.float().mean() > 0.95
    torch.testing.assert_close(view.confidence[seen], torch.full_like(view.confidence[seen], 1 / 3))


def test_nothing_is_where_no_depth_is_or_no_view_looks(frames: list[Frame]) -> None:
    fusion = mapped(frames)
    views = SourceViews.from_frames(frames)
    fusion.set_sources(views, bounds=BOUNDS)
    away = fusion.render(PlaneScene().camera((0.0, 0.0, 0.0), yaw_degrees=180.0))
    fusion.set_sources(dataclasses.replace(views, depth=torch.full_like(views.depth, torch.nan)), bounds=BOUNDS)
    for view in (away, fusion.render(frames[0].camera)):
        assert (view.labels == VOID).all() and view.depth.isnan().all()
        assert (view.opacity == 0).all() and (view.color == 0).all() and (view.coverage == 0).all()


def test_without_sensor_depth_each_view_is_rendered_from_the_others(
    frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    field = SemanticField(SemanticRay(SemanticRayConfig(3)), RenderConfig.preset("fast"))
    shown: list[tuple[int, tuple[float, float] | None]] = []
    truth = {tuple(frame.camera.center.tolist()): frame for frame in frames}

    def set_sources(views: SourceViews, bounds: tuple[float, float] | None = None) -> None:
        assert views.depth is None
        shown.append((views.count, bounds))

    def render(camera: Camera) -> RenderedView:
        frame = truth[tuple(camera.center.tolist())]
        return dataclasses.replace(RenderedView.blank(camera), depth=frame.depth)

    views = dataclasses.replace(SourceViews.from_frames(frames[1:]), depth=None)
    real = VoxelFusion(RecordedLabels(frames, 3), depth_from=field, config=VoxelFusionConfig(voxel_size=0.2))
    real.set_sources(views, bounds=BOUNDS)
    assert real.render(frames[0].camera).depth.isfinite().any(), "even one that has learned nothing renders some depth"
    monkeypatch.setattr(field, "set_sources", set_sources)
    monkeypatch.setattr(field, "render", render)
    fusion = VoxelFusion(RecordedLabels(frames, 3), depth_from=field, config=VoxelFusionConfig(voxel_size=0.1))
    fusion.set_sources(views, bounds=BOUNDS)
    assert shown == [(3, BOUNDS)] * 4
    sensed = mapped(frames)
    sensed.set_sources(SourceViews.from_frames(frames[1:]), bounds=BOUNDS)
    assert torch.equal(fusion.render(frames[0].camera).labels, sensed.render(frames[0].camera).labels)


def test_a_networks_own_2d_half_labels_the_pictures(frames: list[Frame]) -> None:
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(3))
    views = SourceViews.from_frames(frames[:2])
    found = NetworkLabels(model)(views)
    assert found.shape == (2, 36, 48, 3)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 36, 48))
    with torch.no_grad():  # pixel (12, 8) is the center of cell (3, 2)
        cell = model.encoder(views.images[1:])[0, :, 2, 3]
        expected = torch.softmax(model.fine.classifier(cell), -1)
    torch.testing.assert_close(found[1, 8, 12], expected, atol=1e-5, rtol=1e-4)


def test_sray_evaluate_scores_it_with_sensor_depth_and_with_rendered_depth(tmp_path: Path) -> None:
    writer = SequenceWriter(tmp_path / "wall", ROOMS)
    for index in range(6):
        writer.add(index, PlaneScene().frame((0.1 * index - 0.25, 0.0, 0.0)))
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "m.safetensors", SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    arguments = ["--checkpoint", str(tmp_path / "m.safetensors"), "--sequence", str(tmp_path / "wall")]
    arguments += ["--targets", "1", "--views", "3", "--quality", "fast", "--width", "48", "--bounds", "1", "4"]
    records = []
    for depth in ([], ["--depth"]):
        output = tmp_path / f"{len(depth)}.json"
        main(["evaluate", *arguments, "--threads", "1", "--fuse-voxels", "0.1", *depth, "--json", str(output)])
        records.append(json.loads(output.read_text()))
    rendered, sensed = records
    for record in records:
        assert record["system"] == "voxel_fusion" and record["voxel_size"] == 0.1 and record["pictures"] == 1
    assert (rendered["input"], sensed["input"]) == ("RGB", "RGB-D")
    assert (
        sensed["psnr"] > 20 > rendered["psnr"] and sensed["depth_median_error"] < 0.1 < rendered["depth_median_error"]
    )
    with pytest.raises(SystemExit):
        main(["evaluate", *arguments, "--fuse-voxels", "0", "--json", str(tmp_path / "none.json")])


def test_what_cannot_be_fused_is_refused(frames: list[Frame]) -> None:
    views = SourceViews.from_frames(frames)
    with pytest.raises(SrayError, match="set_sources") as early:
        mapped(frames).render(frames[0].camera)
    assert isinstance(early.value, NoViewsError)
    with pytest.raises(SrayError, match="--depth") as blind:
        mapped(frames).set_sources(dataclasses.replace(views, depth=None), bounds=BOUNDS)
    assert isinstance(blind.value, ModelError)
    with pytest.raises(SrayError, match="nerf has no encoder") as unseeing:
        NetworkLabels(NeRF(CoordinateConfig(classes=3, layers=2, width=8)))
    assert isinstance(unseeing.value, ModelError)
    for wrong in ({"voxel_size": 0.0}, {"voxel_size": math.nan}, {"least_probability": 1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
            VoxelFusionConfig(**wrong)
