"""Shared by the tests: reproducible hypothesis, and a scene whose every pixel is known exactly."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from sray.camera import Camera
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.sequence_writer import SequenceWriter

# The same examples in every run, and no deadline: a first call that compiles or allocates is slow, not wrong.
settings.register_profile("sray", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("sray")

# A shell's background job ignores SIGINT, and so would all that the tests start and then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]


def look(position: Sequence[float], yaw_degrees: float = 0.0) -> Tensor:
    """world_from_camera of a camera at `position`, looking along world z, then turned to its right."""
    yaw = math.radians(yaw_degrees)
    pose = torch.eye(4)
    pose[:3, :3] = torch.tensor(
        [[math.cos(yaw), 0.0, math.sin(yaw)], [0.0, 1.0, 0.0], [-math.sin(yaw), 0.0, math.cos(yaw)]]
    )
    pose[:3, 3] = torch.tensor(position)
    return pose


@dataclass(frozen=True)
class PlaneScene:
    """A textured wall at world z = 2 m, three classes in vertical stripes half a meter wide."""

    wall_z: float = 2.0
    width: int = 48
    height: int = 36
    classes: int = 3

    def camera(self, position: Sequence[float], yaw_degrees: float = 0.0) -> Camera:
        intrinsics = torch.tensor(
            [[40.0, 0.0, (self.width - 1) / 2], [0.0, 40.0, (self.height - 1) / 2], [0.0, 0.0, 1.0]]
        )
        return Camera(intrinsics, look(position, yaw_degrees), self.width, self.height)

    def frame(self, position: Sequence[float], yaw_degrees: float = 0.0) -> Frame:
        """What the camera sees, by intersecting each pixel's ray with the wall."""
        camera = self.camera(position, yaw_degrees)
        directions = camera.ray_directions(camera.pixel_grid())
        depth = (self.wall_z - camera.center[2]) / directions[:, 2]
        points = camera.center + depth[:, None] * directions
        labels = torch.remainder(torch.floor(points[:, 0] / 0.5), self.classes)
        base = torch.tensor([[0.8, 0.2, 0.2], [0.2, 0.8, 0.2], [0.2, 0.2, 0.8]])[labels.long()]
        ripple = 0.15 * torch.sin(9 * points[:, :1]) * torch.sin(11 * points[:, 1:2])
        shape = (self.height, self.width)
        return Frame(
            ((base + ripple).clamp(0, 1) * 255).round().to(torch.uint8).reshape(*shape, 3),
            camera,
            depth.reshape(shape),
            labels.to(torch.uint8).reshape(shape),
        )

    def record(self, folder: Path, space: LabelSpace, count: int = 10) -> Path:
        """The folder, with `count` frames in ScanNet's layout, taken 10 cm apart on a way along the wall."""
        writer = SequenceWriter(folder, space)
        for index in range(count):
            writer.add(index, self.frame((0.1 * index - 0.5, 0.0, 0.0)))
        return folder

    def ring(self, count: int) -> list[Frame]:
        """Frames from `count` places around the middle, all looking at the wall."""
        return [
            self.frame(
                (
                    0.35 * math.cos(2 * math.pi * i / count),
                    0.25 * math.sin(2 * math.pi * i / count),
                    0.1 * (i % 2),
                ),
                yaw_degrees=4.0 * math.cos(2 * math.pi * i / count + 1),
            )
            for i in range(count)
        ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with nodes get a second try, as `colcon test --retest-until-pass` gives it; the summary counts the reruns.

    About once in a thousand starts a process never answers; whether node or DDS is to blame is not known yet.
    """
    for item in items:
        if item.get_closest_marker("ros"):
            item.add_marker(pytest.mark.flaky(reruns=1))
    items[:] = spread(items)


def spread(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """File by file, slow ones first, and those with nodes evenly among the others.

    Files with nodes wait most of the time, the others compute: workers that take them in turn leave no core idle for
    minutes and do not starve each other's nodes. A slow file that began last would be waited for alone.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    has = {path: {mark.name for item in of_file for mark in item.iter_markers()} for path, of_file in files.items()}
    by_kind = [[path for path in files if ("ros" in has[path]) is with_nodes] for with_nodes in (True, False)]
    place = {
        path: (index + 1) / (len(kind) + 1)
        for kind in by_kind
        for index, path in enumerate(sorted(kind, key=lambda path: "slow" not in has[path]))
    }
    return [item for path in sorted(files, key=place.__getitem__) for item in files[path]]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums over more of them differ in the last digit, and a command that an earlier test ran may have set another."""
    torch.set_num_threads(1)


@pytest.fixture
def plane_scene() -> PlaneScene:
    return PlaneScene()


@pytest.fixture
def posed() -> Callable[..., Tensor]:
    return look


@pytest.fixture(scope="session")
def real_sequence_folder() -> Path:
    folder = Path(os.environ.get("SRAY_REAL_SEQUENCE", REPOSITORY / "../shared/data/hololens_office"))
    if not folder.is_dir():
        pytest.skip(f"no real sequence at {folder}; set SRAY_REAL_SEQUENCE to a folder in ScanNet layout")
    return folder


# --- the node as a process: model, process and mapper, with the SETTINGS of the test's module


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the real network, three classes."""
    from rig.mapper import checkpoint

    return checkpoint(tmp_path_factory.mktemp("model") / "random.safetensors")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the module's mapper keeps its files."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def process(request: pytest.FixtureRequest, model_file: Path, data_dir: Path) -> Iterator[Any]:
    """One mapper process for a module, with its SETTINGS."""
    from rig.listener import listening
    from rig.mapper import MapperProcess

    with listening() as listener:
        yield MapperProcess(listener, **{"model.path": model_file, "data_dir": data_dir}, **request.module.SETTINGS)


@pytest.fixture
def mapper(process: Any) -> Any:
    """Active, and with no keyframes."""
    process.start_over()
    return process


@pytest.fixture
def listener() -> Iterator[Any]:
    """A DDS domain of the test's own."""
    from rig.listener import listening

    with listening() as open_listener:
        yield open_listener


@pytest.fixture
def frames(plane_scene: PlaneScene) -> list[Frame]:
    return plane_scene.ring(5)
