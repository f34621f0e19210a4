"""Sessions: a mapper that was restored is the mapper that was saved, now and later, or nothing has changed."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from sray.camera import Camera
from sray.errors import CanceledError, DiskFullError, FileError, ModelError, NoMemoryError, SrayError
from sray.field import SemanticField
from sray.frames import Frame
from sray.label_space import ROOMS, VOID, LabelSpace
from sray.mapping.cloud import LabeledCloud
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper import Mapper
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.mapping.voxel_map import VoxelMapConfig
from sray.model import SemanticRay, SemanticRayConfig
from sray.render_config import RenderConfig

SPACE = LabelSpace("three", ("wall", "floor", "bed"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 4))
CONFIG = MapperConfig(KeyframeConfig(capacity=6, min_sharpness=0.0), map=VoxelMapConfig(0.05, 400))


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(SPACE.classes))


@pytest.fixture
def make_mapper(model: SemanticRay) -> Callable[..., Mapper]:
    render = RenderConfig(coarse_samples=8, fine_samples=8, min_opacity=0.0)
    return lambda config=CONFIG: Mapper(SemanticField(model, render), SPACE.classes, config)


@pytest.fixture
def frames(plane_scene: Any) -> list[Frame]:
    """RGB-D, color alone, and depth with holes, in turn; stamped, none labeled."""
    frames = [replace(frame, labels=None) for frame in plane_scene.ring(11)]
    for index, frame in enumerate(frames):
        depth = None if index % 3 == 1 else frame.depth.clone()
        if index % 3 == 2:
            depth[:9] = torch.nan
        frames[index] = replace(frame, depth=depth, stamp_ns=10**18 + index, name=f"image {index}")
    return frames


def drive(mapper: Mapper, frames: list[Frame]) -> list[Any]:
    """As a node does: add, render the frame's own view, fuse it."""
    views = []
    for frame in frames:
        mapper.add(frame)
        if len(mapper.keyframes) > 2:
            views.append(mapper.render(frame.camera, stamp_ns=frame.stamp_ns, scale=0.5).view)
            mapper.fuse(views[-1], mapper.cloud_of(views[-1]))
    return views


@pytest.fixture
def mapper(make_mapper: Callable[..., Mapper], frames: list[Frame], plane_scene: Any) -> Mapper:
    """Full, so that keyframes and voxels have left; two keyframes are labeled."""
    mapper = make_mapper()
    drive(mapper, frames[:8])
    labels = plane_scene.frame((0, 0, 0)).labels.clone()
    labels[0, :5] = VOID
    for index in (1, 4):
        mapper.supervise(mapper.keyframes[index].stamp_ns, labels)
    assert mapper.keyframes[0].number > 0 or mapper.keyframes[5].number - mapper.keyframes[0].number > 5
    assert len(mapper.map) == 400
    return mapper


@pytest.fixture
def saved(mapper: Mapper, tmp_path: Path) -> Path:
    path = tmp_path / "deep/er/kitchen.safetensors"
    size = Session.of(mapper, "three-0123", SPACE).save(path)
    assert size == path.stat().st_size
    assert [other.name for other in path.parent.iterdir()] == [path.name]
    return path


def same(a: LabeledCloud, b: LabeledCloud) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("points", "rgb", "labels", "confidence"))


def assert_same_views(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        for name in ("labels", "confidence", "depth", "color", "opacity", "coverage"):
            assert getattr(a, name).numpy().tobytes() == getattr(b, name).numpy().tobytes(), name


@pytest.mark.shows("~/save_session", "~/load_session")
def test_a_restored_mapper_renders_the_same_bytes_and_goes_on_as_the_saved_one(
    mapper: Mapper, saved: Path, make_mapper: Callable[..., Mapper], frames: list[Frame], plane_scene: Any
) -> None:
    session = Session.load(saved)
    assert (session.model_id, session.label_space) == ("three-0123", SPACE)
    restored = make_mapper()
    session.restore(restored, SPACE)
    for old, new in zip(mapper.keyframes, restored.keyframes, strict=True):
        assert (new.number, new.stamp_ns, new.frame.name) == (old.number, old.stamp_ns, old.frame.name)
        assert torch.equal(new.frame.image, old.frame.image)
        assert torch.equal(new.features, old.features)
        for a, b in ((new.frame.depth, old.frame.depth), (new.frame.labels, old.frame.labels)):
            assert (a is None) == (b is None)
            assert a is None or a.numpy().tobytes() == b.numpy().tobytes()
    assert restored.keyframes.bytes == mapper.keyframes.bytes
    assert same(restored.map.to_cloud(), mapper.map.to_cloud())
    views = [plane_scene.camera((x, 0.05, -0.1), yaw) for x, yaw in ((-0.1, 3), (0.2, -8))]
    assert_same_views(
        [restored.render(v, scale=0.5).view for v in views], [mapper.render(v, scale=0.5).view for v in views]
    )
    later = [replace(frame, stamp_ns=frame.stamp_ns + 100) for frame in frames[3:]]
    assert_same_views(drive(restored, later), drive(mapper, later))
    assert [k.number for k in restored.keyframes] == [k.number for k in mapper.keyframes]
    assert same(restored.map.to_cloud(), mapper.map.to_cloud())


def test_saving_again_gives_the_same_keyframes_and_map(
    saved: Path, make_mapper: Callable[..., Mapper], tmp_path: Path
) -> None:
    restored = make_mapper()
    Session.load(saved).restore(restored, SPACE)
    Session.of(restored, "three-0123", SPACE).save(tmp_path / "again.safetensors")
    with safe_open(saved, "numpy") as first, safe_open(tmp_path / "again.safetensors", "numpy") as second:
        assert first.keys() == second.keys()
        for name in first.keys():  # noqa: SIM118 (not a dict)
            assert first.get_tensor(name).tobytes() == second.get_tensor(name).tobytes(), name


def test_a_session_is_of_one_moment_whatever_happens_until_it_is_saved(
    mapper: Mapper, make_mapper: Callable[..., Mapper], frames: list[Frame], tmp_path: Path
) -> None:
    cloud, numbers = mapper.map.to_cloud(), [keyframe.number for keyframe in mapper.keyframes]
    session = Session.of(mapper, "m", SPACE)
    drive(mapper, frames[8:])
    mapper.supervise(mapper.keyframes[0].stamp_ns, torch.zeros(36, 48, dtype=torch.uint8))
    session.save(tmp_path / "s.safetensors")
    restored = make_mapper()
    Session.load(tmp_path / "s.safetensors").restore(restored, SPACE)
    assert [keyframe.number for keyframe in restored.keyframes] == numbers
    assert same(restored.map.to_cloud(), cloud)


def test_an_empty_session_empties_a_mapper_and_its_numbers_go_on(
    make_mapper: Callable[..., Mapper], mapper: Mapper, frames: list[Frame], tmp_path: Path
) -> None:
    fresh = make_mapper()
    fresh.add(frames[0])
    fresh.clear()
    Session.of(fresh, "m", SPACE).save(tmp_path / "empty.safetensors")
    keyframes, voxels = mapper.keyframes.revision, mapper.map.revision
    Session.load(tmp_path / "empty.safetensors").restore(mapper, SPACE)
    assert (len(mapper.keyframes), len(mapper.map)) == (0, 0)
    assert mapper.keyframes.revision > keyframes, "who looks at revisions sees that it changed"
    assert mapper.map.revision > voxels
    assert mapper.add(frames[1]).keyframe.number == 1


def test_a_smaller_buffer_and_map_take_what_they_hold(saved: Path, make_mapper: Callable[..., Mapper]) -> None:
    small = make_mapper(MapperConfig(KeyframeConfig(capacity=3), map=VoxelMapConfig(0.05, 100)))
    Session.load(saved).restore(small, SPACE)
    assert (len(small.keyframes), len(small.map)) == (3, 100)
    small.render(small.keyframes[1].camera)


@pytest.mark.fault(
    "a session of another label space is loaded",
    code="MODEL_MISMATCH",
    says="the service's answer",
    recovery="what was mapped stays; load a model of the session's label space",
)
def test_a_session_that_does_not_fit_is_refused_with_both_values_and_changes_nothing(
    saved: Path, make_mapper: Callable[..., Mapper], frames: list[Frame]
) -> None:
    session = Session.load(saved)
    coarse = make_mapper(MapperConfig(CONFIG.keyframes, map=VoxelMapConfig(0.1, 400)))
    coarse.add(frames[0])
    for space, expected, words in (
        (ROOMS, ModelError, ("three", "rooms")),
        (SPACE, FileError, ("0.05 m", "0.1 m")),
    ):
        with pytest.raises(SrayError) as caught:
            session.restore(coarse, space)
        assert type(caught.value) is expected
        assert all(word in str(caught.value) for word in words)
        assert [keyframe.frame for keyframe in coarse.keyframes] == [frames[0]]


@pytest.mark.shows("error OUT_OF_MEMORY")
def test_memory_that_runs_out_while_restoring_changes_nothing(
    saved: Path, mapper: Mapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, cloud, count = list(mapper.keyframes), mapper.map.to_cloud(), iter(range(9))
    encode = SemanticField.encode

    def failing(field: SemanticField, *given: Any) -> torch.Tensor:
        return torch.empty(2**46) if next(count) == 3 else encode(field, *given)

    monkeypatch.setattr(SemanticField, "encode", failing)
    with pytest.raises(SrayError) as caught:
        Session.load(saved).restore(mapper, SPACE)
    assert isinstance(caught.value, NoMemoryError)
    assert all(now is then for now, then in zip(mapper.keyframes, before, strict=True))
    assert same(mapper.map.to_cloud(), cloud)


def test_restoring_stops_between_two_keyframes_when_canceled_and_changes_nothing(saved: Path, mapper: Mapper) -> None:
    before, cloud, asked = list(mapper.keyframes), mapper.map.to_cloud(), iter(range(9))
    with pytest.raises(SrayError) as caught:
        Session.load(saved).restore(mapper, SPACE, lambda: next(asked) == 3)
    assert isinstance(caught.value, CanceledError)
    assert next(asked) == 4
    assert all(now is then for now, then in zip(mapper.keyframes, before, strict=True))
    assert same(mapper.map.to_cloud(), cloud)
    Session.load(saved).restore(mapper, SPACE, lambda: False)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As on a full disk, to the process that writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.fault(
    "disk full while a session is saved",
    code="DISK_FULL",
    says="the service's answer",
    recovery="the older file is kept whole; free space and save again",
)
@pytest.mark.shows("error DISK_FULL")
def test_a_full_disk_is_named_and_the_older_session_is_kept(mapper: Mapper, saved: Path) -> None:
    before = saved.read_bytes()
    session = Session.of(mapper, "newer", SPACE)
    with largest_file(len(before) // 2), pytest.raises(SrayError, match=r"kitchen\.safetensors") as caught:
        session.save(saved)
    assert isinstance(caught.value, DiskFullError)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    session.save(saved)
    assert Session.load(saved).model_id == "newer"


def test_a_label_space_that_is_not_the_mappers_is_not_saved(mapper: Mapper) -> None:
    with pytest.raises(ValueError, match="rooms has 16 classes, the map 3"):
        Session.of(mapper, "m", ROOMS)


def test_whatever_was_mapped_can_be_loaded_again(make_mapper: Callable[..., Mapper], tmp_path: Path) -> None:
    """A region of interest beside the picture's middle, a camera of another aspect, a folder with strange spaces."""
    mapper = make_mapper()
    for place, (width, height, middle) in enumerate([(64, 48, -0.5), (64, 48, -0.5), (48, 64, 31.5)]):
        pose = torch.eye(4)
        pose[0, 3] = float(place)
        intrinsics = torch.tensor([[60.0, 0, width / 2], [0, 60.0, middle], [0, 0, 1]])
        image = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)
        frame = Frame(image, Camera(intrinsics, pose, width, height), stamp_ns=place, name=f"my\u200brooms/{place}")
        assert mapper.add(frame).keyframe is not None
    Session.of(mapper, "three\u00a0", SPACE, "map").save(tmp_path / "s.safetensors")
    restored = make_mapper()
    Session.load(tmp_path / "s.safetensors").restore(restored, SPACE)
    for now, then in zip(restored.keyframes, mapper.keyframes, strict=True):
        assert torch.equal(now.camera.intrinsics, then.camera.intrinsics)
        assert torch.equal(now.frame.image, then.frame.image)
    assert [keyframe.frame.name for keyframe in restored.keyframes] == ["my?rooms/0", "my?rooms/1", "my?rooms/2"]


def test_a_session_of_before_free_space_was_carved_is_read(mapper: Mapper, tmp_path: Path) -> None:
    """It has no counts of views that looked through its voxels: none did."""
    camera = mapper.keyframes[0].camera
    assert mapper.map.carve(camera, torch.full((camera.height, camera.width), 50.0)) > 0
    saved, older = tmp_path / "saved.safetensors", tmp_path / "older.safetensors"
    Session.of(mapper, "three-0123", SPACE).save(saved)
    with safe_open(saved, framework="np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys() if name != "map.looked_through"}  # noqa: SIM118
        save_file(arrays, older, file.metadata())
    read = Session.load(older).map
    assert len(read.keys) == len(mapper.map) and not read.looked_through.any()
    assert np.array_equal(Session.load(saved).map.looked_through, mapper.map.state().looked_through)
