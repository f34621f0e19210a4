"""Procedural rooms: made and kept alike, with pictures, depth and labels that training relies on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from sray.camera import Camera, image_grid
from sray.frames import Frame
from sray.label_space import INDOOR, NYU40, ROOMS, VOID
from sray.metrics import ConfusionMatrix
from sray.sequence import Sequence
from sray_train.data.rooms import generate
from sray_train.data.rooms.generate import make_rooms, room_folder, room_frames, room_path
from sray_train.data.rooms.layout import furnish
from sray_train.data.rooms.lighting import light_scene
from sray_train.data.rooms.primitives import quad
from sray_train.data.rooms.renderer import RoomRenderer
from sray_train.data.rooms.scene import Light, Scene, nyu40_id
from sray_train.data.rooms.seeds import parse_seeds
from sray_train.data.rooms.sensor import exposures, shutter_cameras

SEEDS = (9100, 9101, 9102, 9103)

SMALL = {"width": 64, "height": 48, "frames": 8}


@cache
def scene(seed: int) -> Scene:
    return furnish(seed)


@cache
def frames(seed: int) -> tuple[Frame, ...]:
    return tuple(room_frames(seed, **SMALL))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of the first two rooms, to be read."""
    return make_rooms(SEEDS[:2], **SMALL, cache=tmp_path_factory.mktemp("rooms"), workers=1)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def square_of(label: str, y: float, gray: float, emission: float = 0.0, mirror: float = 0.0) -> Scene:
    """A wide upright square that faces -y where its label is on the far side, as one scene of one material."""
    side = 3.5
    mesh = quad([[-side, y, -side], [side, y, -side], [side, y, side], [-side, y, side]], 1, 1)
    if label in ("sofa", "floor"):
        mesh = mesh.turned(np.pi).moved(0, 2 * y, 0)
    count = len(mesh.vertices)
    return Scene(
        vertices=mesh.vertices, uv=mesh.uv, normals=mesh.normals,
        labels=np.full(count, nyu40_id(label), np.uint8), instances=np.ones(count, np.int32),
        materials=np.zeros(count, np.int32), textures=np.full((1, 8, 8, 3), gray, np.float32),
        gloss=np.zeros(1, np.float32), emission=np.array([emission], np.float32),
        mirror=np.array([mirror], np.float32), lights=(), sun=None, footprints=(),
        free=np.ones((1, 1), bool), cell=0.05, height=3.0, kind="living",
    )  # fmt: skip


def joined(first: Scene, second: Scene, sun: Light | None = None) -> Scene:
    """Two scenes of one material each as one."""
    names = ("vertices", "uv", "normals", "labels", "instances", "textures", "gloss", "emission", "mirror")
    parts = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}
    materials = np.concatenate([first.materials, second.materials + 1])
    return replace(first, **parts, materials=materials, sun=sun)


def test_a_seed_gives_the_same_bytes_again_and_another_seed_other_ones(made: list[Path], tmp_path: Path) -> None:
    first, other = map(digest, made)
    assert digest(room_folder(SEEDS[0], **SMALL, cache=tmp_path)) == first
    assert set(first) == set(other)
    pictures = [name for name in first if name.startswith("color/")]
    assert len(pictures) == SMALL["frames"]
    assert all(first[name] != other[name] for name in pictures)


def test_a_cached_room_is_not_made_again_and_workers_make_the_same_rooms(made: list[Path], tmp_path: Path) -> None:
    cache, stamps = made[0].parents[1], [path.stat().st_mtime_ns for path in made]
    progress: list[tuple[int, int]] = []
    again = make_rooms(SEEDS[:2], **SMALL, cache=cache, workers=1, on_progress=lambda *both: progress.append(both))
    assert again == made and [path.stat().st_mtime_ns for path in again] == stamps
    assert progress == [(1, 2), (2, 2)]
    beside = make_rooms(SEEDS[:2], **SMALL, cache=tmp_path, workers=2)
    assert [digest(path) for path in beside] == [digest(path) for path in made]


def test_an_interrupted_room_leaves_nothing_and_is_made_the_next_time(tmp_path, monkeypatch):
    def stops_half_way(seed: int, **size: int):
        yield from list(frames(seed))[:3]
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "room_frames", stops_half_way)
    with pytest.raises(KeyboardInterrupt):
        room_folder(SEEDS[0], **SMALL, cache=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list(room_path(SEEDS[0], **SMALL, cache=tmp_path).parent.iterdir()) == []
    monkeypatch.undo()
    assert len(Sequence.open(room_folder(SEEDS[0], **SMALL, cache=tmp_path))) == SMALL["frames"]


def test_a_room_reads_back_with_its_labels_depth_and_poses(made: list[Path]) -> None:
    sequence = Sequence.open(made[0])
    for position, frame in enumerate(frames(SEEDS[0])):
        read = sequence[position]
        assert torch.equal(read.labels, frame.labels)
        assert (read.depth - frame.depth).abs().max() <= 0.0006  # millimeters on disk
        assert torch.allclose(read.camera.world_from_camera, frame.camera.world_from_camera, atol=1e-6)
        assert torch.allclose(read.camera.intrinsics, frame.camera.intrinsics, atol=1e-4)


def test_every_pixel_has_a_class_and_a_depth_and_rooms_hold_most_classes():
    seen: set[int] = set()
    for seed in SEEDS:
        for frame in frames(seed):
            assert frame.labels.max() < ROOMS.classes and not (frame.labels == VOID).any()
            assert torch.isfinite(frame.depth).all() and frame.depth.min() > 0.05 and frame.depth.max() < 12
            seen.update(frame.labels.unique().tolist())
    assert len(seen) >= 13


def test_labels_on_disk_are_nyu40_ids_that_each_label_space_reads(made: list[Path]) -> None:
    everything, indoor = Sequence.open(made[0], NYU40), Sequence.open(made[0], INDOOR)
    for position, frame in enumerate(indoor):
        ids = NYU40.to_nyu40(everything[position].labels.numpy())
        assert (frame.labels.numpy() == INDOOR.from_nyu40(ids)).all()
        assert set(np.unique(ids)) <= set(np.unique(scene(SEEDS[0]).labels)) and ids.min() > 0


def test_focal_lengths_and_camera_heights_vary_between_rooms_and_not_within_one():
    views, heights = [], []
    for seed in SEEDS:
        focal = {float(frame.camera.intrinsics[0, 0]) for frame in frames(seed)}
        assert len(focal) == 1
        views.append(2 * np.degrees(np.arctan(SMALL["width"] / 2 / focal.pop())))
        heights.append(float(frames(seed)[0].camera.center[2]))
    assert all(49.9 < view < 95.1 for view in views) and np.ptp(views) > 5
    assert np.ptp(heights) > 0.1


def test_a_mirror_shows_the_room_and_is_a_flat_surface_to_depth():
    """A bare room: what stands before the mirror is seen in it, twice as far away as its depth says."""
    mirror = square_of("mirror", y=0.0, gray=0.5, mirror=1.0)
    behind = square_of("sofa", y=-4.0, gray=0.9, emission=1.0)
    lit = light_scene(joined(mirror, behind))
    intrinsics = torch.tensor([[20.0, 0, 9.5], [0, 20.0, 9.5], [0, 0, 1]])
    pose = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, -2], [0, -1, 0, 0], [0, 0, 0, 1]])
    frame, light = RoomRenderer(lit).render(Camera(intrinsics, pose, 20, 20))
    assert (frame.labels == nyu40_id("mirror")).all() and torch.allclose(frame.depth, torch.tensor(2.0), atol=1e-4)
    assert light.min() > 0.85


def test_the_sun_comes_in_through_windows_alone():
    pane = square_of("window", y=0.0, gray=0.5, emission=1.0)
    wall = square_of("wall", y=0.0, gray=0.5)
    floor = square_of("floor", y=-1.0, gray=0.5)  # upright, facing the opening
    zero = np.zeros(3, np.float32)
    sun = Light(zero, zero, zero, np.array([0, 1, 0], np.float32), np.ones(3, np.float32))
    through, blocked = (light_scene(joined(each, floor, sun=sun)) for each in (pane, wall))
    lit, dark = (each.irradiance[each.labels == nyu40_id("floor")].mean() for each in (through, blocked))
    assert lit > dark + 0.5


def test_exposure_follows_the_light_and_a_shaken_camera_smears():
    meter = [np.full(10, level, np.float32) for level in (1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0, 4.0)]
    gains = np.array([[each.gain for each in exposures(meter, np.random.default_rng(seed))] for seed in range(20)])
    assert np.median(gains[:, -1] / gains[:, 0]) < 0.85
    camera = frames(SEEDS[0])[2].camera
    moments = [shutter_cameras(camera, camera, 4, np.random.default_rng(seed)) for seed in range(30)]
    blurred = [each for each in moments if each]
    assert 0 < len(blurred) < len(moments)
    for each in blurred:
        middle = torch.stack([moment.forward for moment in each]).mean(0)
        assert torch.allclose(middle, camera.forward, atol=1e-3)  # the exposure's middle is the pose that is written


@pytest.mark.parametrize("seed", SEEDS)
def test_depth_labels_and_poses_of_two_frames_agree(seed):
    """Points of one frame, moved into another, meet the same class wherever they meet the same surface."""
    first, second = frames(seed)[2], frames(seed)[3]
    points = first.camera.center + first.depth.reshape(-1, 1) * first.camera.ray_directions(first.camera.pixel_grid())
    landed = second.camera.project(points)
    column, row = landed.pixels[landed.seen].round().long().unbind(-1)
    # Points land between pixels. Inverse depth is linear on a plane, so it may be interpolated where it is not bent.
    inverse = 1 / second.depth[None, None]
    laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    flat = torch.nn.functional.conv2d(inverse, laplacian, padding=1).abs()[0, 0] < 0.002
    grid = image_grid(landed.pixels[landed.seen], second.camera.width, second.camera.height)
    there = torch.nn.functional.grid_sample(inverse, grid[None, None], padding_mode="border", align_corners=False)
    usable = torch.nn.functional.max_pool2d((~flat)[None, None].float(), 3, 1, 1)[0, 0][row, column] == 0
    error = (there[0, 0, 0] * landed.depth[landed.seen] - 1).abs()[usable]
    agree = first.labels.reshape(-1)[landed.seen][usable] == second.labels[row, column][usable]
    assert landed.seen.float().mean() > 0.4, "the frames hardly overlap"
    assert usable.float().mean() > 0.15  # most of a small picture is near some edge
    assert error.median() < 1e-4, "depth and poses disagree"
    assert agree[error < 1e-3].float().mean() > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_depth_is_metric_and_floors_are_at_height_zero(seed):
    for frame in frames(seed):
        points = frame.camera.center + frame.depth.reshape(-1, 1) * frame.camera.ray_directions(
            frame.camera.pixel_grid()
        )
        height = points[:, 2].reshape(frame.labels.shape)
        floor = height[frame.labels == ROOMS.names.index("floor")]
        assert floor.numel() == 0 or (floor.min() > -0.002 and floor.max() < 0.012)  # a mat is 1 cm
        assert height.min() > -0.002 and height.max() < scene(seed).height + 0.002


def test_color_does_not_give_the_class_away():
    """A classifier that knows only a pixel's color (commonest class of each of 8x8x8 colors) fails on other rooms."""
    counts = np.zeros((8 * 8 * 8, ROOMS.classes), np.int64)

    def colors(frame: Frame) -> np.ndarray:
        bins = frame.image.numpy().astype(np.int64) // 32
        return (bins[..., 0] * 64 + bins[..., 1] * 8 + bins[..., 2]).ravel()

    for seed in SEEDS:
        for frame in frames(seed):
            np.add.at(counts, (colors(frame), frame.labels.numpy().ravel()), 1)
    known, unknown = ConfusionMatrix(ROOMS.classes), ConfusionMatrix(ROOMS.classes)
    guess = counts.argmax(1).astype(np.uint8)
    for frame in frames(SEEDS[0]):
        known.update(guess[colors(frame)], frame.labels.numpy().ravel())
    for frame in frames(9200):
        unknown.update(guess[colors(frame)], frame.labels.numpy().ravel())
    assert known.strict().miou > unknown.strict().miou, "it learned nothing, so it proves nothing"
    assert unknown.strict().miou < 0.2


def test_pictures_are_neither_black_nor_burnt_out():
    for seed in SEEDS:
        brightness = torch.stack([frame.image.float().mean() for frame in frames(seed)])
        assert 50 < brightness.mean() < 215
        contrast = torch.stack([frame.image.float().std() for frame in frames(seed)])
        assert contrast.mean() > 15


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]),
        ("0:3", [0, 1, 2]),
        ("8000:8002", [8000, 8001]),
        ("9000 9004,9001", [9000, 9004, 9001]),
        ("1 0:3", [1, 0, 2]),
    ],
)
def test_seeds_are_read(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3:3", "5:2", "-1", "-2:4", "1:2:3"])
def test_wrong_seeds_are_refused_by_name(text):
    with pytest.raises(ValueError, match="seeds") as refused:
        parse_seeds(text)
    assert repr(text) in str(refused.value)
