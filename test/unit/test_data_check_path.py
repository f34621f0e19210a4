"""`sray data check` of a camera's path: jumps, frozen poses, few or skipped frames, millimeters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from sray.camera import Camera
from sray.frames import Frame
from sray_train.tools.data_check.sample import Sample
from sray_train.tools.data_check.trajectory import check_trajectory


@dataclass
class FakeRecording:
    """A recording in memory."""

    frames: list[Frame]
    name: str = "fake"
    skipped: dict[str, list[int]] = field(default_factory=dict)

    @property
    def cameras(self) -> Camera:
        return Camera.stack([frame.camera for frame in self.frames])

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, position: int) -> Frame:
        return self.frames[position]


def walk(plane_scene, count: int = 30) -> list[Frame]:
    return [plane_scene.frame((0.02 * number, 0.01 * (number % 3), 0.0)) for number in range(count)]


def path_findings(frames: list[Frame], **details) -> dict[str, str]:
    findings, _ = check_trajectory(Sample(FakeRecording(frames, **details)), metric=True)
    return {finding.code: finding.severity for finding in findings}


def moved(frame: Frame, meters: float) -> Frame:
    pose = frame.camera.world_from_camera.clone()
    pose[0, 3] += meters
    return replace(frame, camera=replace(frame.camera, world_from_camera=pose))


def test_a_steady_walk_is_fine(plane_scene) -> None:
    assert path_findings(walk(plane_scene)) == {}


def test_a_jump_is_named_before_the_frame_it_leads_to(plane_scene) -> None:
    frames = walk(plane_scene)
    findings, _ = check_trajectory(Sample(FakeRecording([*frames[:17], moved(frames[17], 3.0), *frames[18:]])), True)
    (finding,) = findings
    assert finding.code == "trajectory-jumps"
    assert finding.figures["frames"] == [17, 18]
    assert finding.figures["longest_m"] == pytest.approx(3, rel=0.02)


def test_frozen_poses_are_named_only_if_the_pictures_go_on(plane_scene) -> None:
    frames = walk(plane_scene)
    frozen = [replace(frame, camera=frames[10].camera) if 10 < i < 20 else frame for i, frame in enumerate(frames)]
    assert path_findings(frozen) == {"poses-frozen": "problem"}
    resting = [frames[10] if 10 < i < 20 else frame for i, frame in enumerate(frames)]
    assert path_findings(resting) == {}


@pytest.mark.parametrize(("count", "severity"), [(8, "problem"), (9, "warning"), (19, "warning")])
def test_few_frames_are_named(plane_scene, count: int, severity: str) -> None:
    assert path_findings(walk(plane_scene, count)) == {"frames-few": severity}


@pytest.mark.parametrize(("lost", "severity"), [(5, "warning"), (31, "problem")])
def test_skipped_frames_are_counted(plane_scene, lost: int, severity: str) -> None:
    skipped = {"pose is not finite": list(range(lost))}
    assert path_findings(walk(plane_scene), skipped=skipped) == {"frames-skipped": severity}


def test_a_path_in_millimeters_is_named_without_depth(plane_scene) -> None:
    frames = [moved(frame, 19.98 * i) for i, frame in enumerate(walk(plane_scene))]
    findings, _ = check_trajectory(Sample(FakeRecording(frames)), metric=False)
    assert [finding.code for finding in findings] == ["poses-unit"]
