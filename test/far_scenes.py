"""For tests: one scene at several places of the world. Wherever it lies, it must look the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sray.camera import Camera
from sray.frames import Frame

PLACES = {
    "here": (0.0, 0.0, 0.0),
    "88 km": (88_031.37, -412.6, 3.25),
    "UTM, 4000 km": (500_123.41, 4_000_456.78, 431.9),
}
"""Meters. The last one is what a map in UTM coordinates has: eastings of 500 km, northings of thousands."""


def moved(frame: Frame, place: tuple[float, float, float]) -> Frame:
    """The same picture, taken by a camera that stands so much elsewhere."""
    camera, pose = frame.camera, frame.camera.world_pose
    pose[:3, 3] += place
    return replace(frame, camera=Camera.at(pose, camera.intrinsics, camera.width, camera.height))


def distance(first: Camera, second: Camera) -> float:
    """Meters between two cameras."""
    return float(np.linalg.norm(first.world_pose[:3, 3] - second.world_pose[:3, 3]))
