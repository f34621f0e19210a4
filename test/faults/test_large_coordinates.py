"""Scenes far from the world's origin: in UTM coordinates, or after a long drive. They render as those at home do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from bag_fixtures import read_messages
from conftest import PlaneScene
from far_scenes import PLACES, distance, moved
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from sray.camera import Camera
from sray.errors import FileError, SrayError
from sray.field import SemanticField
from sray.frames import Frame
from sray.label_space import ROOMS, LabelSpace
from sray.mapping.cloud import write_ply
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper import Mapper, Rendering
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.mapping.session_export import export_sequence
from sray.mapping.voxel_map import VoxelMapConfig
from sray.model import SemanticRay, SemanticRayConfig
from sray.origin import Origin
from sray.render_config import RenderConfig
from sray.sequence import Sequence
from sray.sequence_writer import SequenceWriter
from sray_train.tools.bags import write_bag

SPACE = LabelSpace("three", ("wall", "floor", "bed"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 4))
MILLIMETER = 1e-3
far = pytest.mark.parametrize("place", [place for name, place in PLACES.items() if name != "here"],
                              ids=[name for name in PLACES if name != "here"])  # fmt: skip


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(SPACE.classes))


def mapper_of(model: SemanticRay, frames: list[Frame]) -> Mapper:
    """Holds the frames as keyframes, each with the view of the others in the map."""
    render = RenderConfig(coarse_samples=8, fine_samples=8, min_opacity=0.0)
    config = MapperConfig(KeyframeConfig(min_sharpness=0.0), map=VoxelMapConfig(0.05, 100_000))
    mapper = Mapper(SemanticField(model, render), SPACE.classes, config)
    for frame in frames:
        mapper.add(frame)
    return mapper


def rendered(model: SemanticRay, frames: list[Frame]) -> Rendering:
    """The first frame's view, from the others."""
    stamped = [replace(frame, stamp_ns=10**9 + index) for index, frame in enumerate(frames)]
    return mapper_of(model, stamped).render(stamped[0].camera, stamp_ns=stamped[0].stamp_ns)


def assert_same_view(found: Rendering, expected: Rendering) -> None:
    view, home = found.view, expected.view
    # Single pixels at edges may take other samples: poses differ in the last bit of their float32.
    assert ((view.color - home.color).abs() > 2e-3).float().mean() < 0.005
    torch.testing.assert_close(view.depth, home.depth, atol=5e-3, rtol=0, equal_nan=True)
    assert (view.labels == home.labels).float().mean() > 0.995


@pytest.mark.fault(
    "poses in UTM coordinates, or 88 km from the map's origin, in the library",
    code="none", says="nothing: it is not a fault", recovery="coordinates are kept relative to an origin nearby",
)  # fmt: skip
@far
def test_a_view_is_the_same_wherever_the_scene_lies(
    model: SemanticRay, frames: list[Frame], place: tuple[float, float, float]
) -> None:
    at_home = rendered(model, frames)
    there = rendered(model, [moved(frame, place) for frame in frames])
    assert_same_view(there, at_home)
    assert there.view.camera.origin == Origin.near(place) != at_home.view.camera.origin
    assert distance(there.view.camera, moved(frames[0], place).camera) < MILLIMETER


@far
def test_what_was_seen_is_mapped_and_saved_where_it_is(
    model: SemanticRay, frames: list[Frame], place: tuple[float, float, float], tmp_path: Path
) -> None:
    maps = {}
    for name, scene in (("home", frames), ("far", [moved(frame, place) for frame in frames])):
        mapper = mapper_of(model, scene)
        for frame in scene:
            mapper.map.integrate(mapper.cloud_of(mapper.render(frame.camera, stamp_ns=-1).view))
        maps[name] = mapper.map.to_cloud()
        write_ply(tmp_path / f"{name}.ply", maps[name], SPACE, "map")
    # The voxels' grid lies otherwise over the scene: each point has one of the other map within a voxel's diagonal.
    home, there = (cKDTree(points) for points in (maps["home"].world_points, maps["far"].world_points - place))
    for one, other in ((home, there), (there, home)):
        nearest, _ = one.query(other.data)
        assert np.quantile(nearest, 0.99) < 0.05 * math.sqrt(3) and len(one.data) > 1000
    assert b"comment frame map, meters" in (tmp_path / "far.ply").read_bytes()[:200]
    ply = trimesh.load(tmp_path / "far.ply")
    np.testing.assert_allclose(np.asarray(ply.vertices), maps["far"].world_points, atol=1e-6)


@pytest.mark.fault(
    "a session of a place far from the map's origin", code="none", says="nothing: it is not a fault",
    recovery="poses are saved in float64, the map relative to its origin, which the file names",
)  # fmt: skip
@far
def test_a_saved_session_renders_the_same_view(
    model: SemanticRay, frames: list[Frame], place: tuple[float, float, float], tmp_path: Path
) -> None:
    scene = [replace(moved(frame, place), stamp_ns=10**9 + index) for index, frame in enumerate(frames)]
    mapper = mapper_of(model, scene)
    first = mapper.render(scene[0].camera, stamp_ns=scene[0].stamp_ns)
    mapper.map.integrate(mapper.cloud_of(first.view))
    Session.of(mapper, "model", SPACE, "utm").save(tmp_path / "far.safetensors")
    loaded = Session.load(tmp_path / "far.safetensors")
    assert (loaded.frame, loaded.map.origin) == ("utm", Origin.near(place))
    again = mapper_of(model, [])
    loaded.restore(again, SPACE)
    assert torch.equal(again.render(scene[0].camera, stamp_ns=scene[0].stamp_ns).view.labels, first.view.labels)
    assert np.array_equal(again.map.to_cloud().world_points, mapper.map.to_cloud().world_points)
    export_sequence(loaded, tmp_path / "export")
    exported = Sequence.open(tmp_path / "export", SPACE)
    assert max(distance(exported[i].camera, frame.camera) for i, frame in enumerate(scene)) < MILLIMETER


@pytest.mark.fault("a recorded folder whose poses are UTM coordinates", code="none", says="nothing: it is not a fault",
                   recovery="poses are read in float64, relative to an origin nearby")  # fmt: skip
@far
def test_a_recorded_folder_renders_the_same_view(
    model: SemanticRay, frames: list[Frame], place: tuple[float, float, float], tmp_path: Path
) -> None:
    views = {}
    for name, offset in (("home", (0.0, 0.0, 0.0)), ("far", place)):
        writer = SequenceWriter(tmp_path / name, SPACE)
        for index, frame in enumerate(frames):
            writer.add(index, moved(frame, offset))
        recorded = Sequence.open(tmp_path / name, SPACE)
        views[name] = rendered(model, [recorded[index] for index in range(len(recorded))])
    assert_same_view(views["far"], views["home"])


@pytest.mark.fault(
    "a bag is written of a recording whose poses are UTM coordinates", code="none", says="nothing: it is not a fault",
    recovery="its transforms are float64 from file to bag",
)  # fmt: skip
@far
def test_a_bag_holds_the_poses_to_the_millimeter(
    frames: list[Frame], place: tuple[float, float, float], tmp_path: Path
) -> None:
    scene = [replace(moved(frame, place), stamp_ns=10**9 + index * 10**8) for index, frame in enumerate(frames)]
    write_bag(scene, tmp_path / "bag")
    written = [message for topic, _, _, message, _ in read_messages(tmp_path / "bag") if topic == "/tf"]
    assert len(written) == len(scene)
    for message, frame in zip(written, scene, strict=True):
        t = message.transforms[0].transform.translation
        assert np.linalg.norm(np.array([t.x, t.y, t.z]) - frame.camera.world_pose[:3, 3]) < 1e-6


def test_keyframes_of_two_places_are_told_apart_and_rendered(model: SemanticRay, frames: list[Frame]) -> None:
    """A robot that gets its first fix of a satellite is suddenly in UTM: the first place's poses stay exact."""
    place = PLACES["UTM, 4000 km"]
    there = [replace(moved(frame, place), stamp_ns=2 * 10**9 + index) for index, frame in enumerate(frames)]
    here = [replace(frame, stamp_ns=10**9 + index) for index, frame in enumerate(frames)]
    mapper = mapper_of(model, [*here, *there])
    assert len(mapper.keyframes) == len(here) + len(there)
    for scene in (here, there):
        alone = mapper_of(model, scene).render(scene[0].camera, stamp_ns=scene[0].stamp_ns)
        together = mapper.render(scene[0].camera, stamp_ns=scene[0].stamp_ns)
        assert {frame.number % len(here) for frame in together.sources} == {f.number for f in alone.sources}
        assert_same_view(together, alone)


def test_depth_of_keyframes_around_gives_the_same_bounds(model: SemanticRay, frames: list[Frame]) -> None:
    place = (1_499.9, 0.0, 0.0)  # between two origins: cameras of one scene may have either
    scene = [moved(frame, place) for frame in frames]
    assert len({frame.camera.origin for frame in scene}) == 2
    home, there = mapper_of(model, frames), mapper_of(model, scene)
    assert there.bounds(scene[1].camera) == pytest.approx(home.bounds(frames[1].camera), rel=1e-3)


def test_stereo_finds_the_same_depth_on_both_sides_of_two_origins(frames: list[Frame]) -> None:
    """Older keyframes are swept again with newer ones as partners; both may have origins of their own."""
    torch.manual_seed(0)
    stereo = SemanticRay(SemanticRayConfig(SPACE.classes, stereo=True)).eval()
    scene = [moved(frame, (1_499.9, 0.0, 0.0)) for frame in frames]
    assert len({frame.camera.origin for frame in scene}) == 2
    home, there = mapper_of(stereo, frames), mapper_of(stereo, scene)
    swept = 0
    for one, other in zip(home.keyframes, there.keyframes, strict=True):
        assert (one.stereo is None) == (other.stereo is None)
        if one.stereo is not None and other.stereo is not None:
            # Single pixels may take another plane: poses differ in the last bit of their float32.
            ratio = other.stereo.swept.depth.float() / one.stereo.swept.depth.float()
            assert ((ratio - 1).abs() > 0.01).float().mean() < 0.03
            assert other.stereo.cost == pytest.approx(one.stereo.cost, abs=1e-3)
            swept += 1
    assert swept >= 3


def test_an_origin_is_a_round_place_nearby() -> None:
    assert Origin.near((499.9, -499.9, 0.0)) == Origin() == Origin.near((0.0, -0.0, 0.0))
    assert Origin.near(PLACES["UTM, 4000 km"]) == Origin(500_000, 4_000_000, 0)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", (0.1, 0.2, 0.3)).as_matrix()
    pose[:3, 3] = PLACES["UTM, 4000 km"]
    camera = Camera.at(pose, torch.eye(3), 4, 3)
    np.testing.assert_allclose(camera.world_pose, pose, atol=5e-5)
    np.testing.assert_allclose(camera.relative_to(Origin(499_000, 4_000_000, 0)).world_pose, pose, atol=1e-4)


def test_a_session_with_an_impossible_origin_is_refused(
    model: SemanticRay, frames: list[Frame], tmp_path: Path
) -> None:
    session = Session.of(mapper_of(model, frames), "model", SPACE)
    broken = replace(session, map=replace(session.map, origin=Origin(1.5, float("nan"), 0)))
    broken.save(tmp_path / "broken.safetensors")
    with pytest.raises(SrayError, match="for the map's origin") as caught:
        Session.load(tmp_path / "broken.safetensors")
    assert isinstance(caught.value, FileError)


def test_a_scene_of_training_is_taken_relative_to_its_origin(plane_scene: PlaneScene, tmp_path: Path) -> None:
    from sray_train.data.catalog import load_scenes
    from sray_train.data.config import DataConfig

    writer = SequenceWriter(tmp_path / "far", ROOMS)
    for index in range(4):
        writer.add(index, moved(plane_scene.frame((0.1 * index, 0.0, 0.0)), PLACES["88 km"]))
    data = DataConfig("folder", str(tmp_path), width=40, height=30, frames=0)
    (scene,) = load_scenes(data, "far")
    steps = scene.cameras.center.diff(dim=0).norm(dim=-1)
    torch.testing.assert_close(steps, torch.full((3,), 0.1), atol=1e-4, rtol=0)
