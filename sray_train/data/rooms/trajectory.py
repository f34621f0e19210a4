"""How a person would walk through a room with a camera, and where they would look. Meters, z up.

A gaze that only sweeps sees mostly wall. Many smooth gazes are drawn, scored on a coarse panorama of what each would
see, and the one that sees many classes, many objects and few walls up close is kept.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sray.camera import Camera
from sray_train.data.rooms.layout import CLEARANCE
from sray_train.data.rooms.lighting import LitScene
from sray_train.data.rooms.scene import nyu40_id

Array = NDArray[np.float64]
Rng = np.random.Generator

STEP = 0.09
"""Meters between frames."""
TURN = np.radians(4)
"""Typical turn between frames."""
NARROWEST, WIDEST = 50.0, 95.0
"""Horizontal field of view, degrees: from a depth camera's to a wide robot's."""
_CLASSES = 41  # NYU40 ids and 0
_SOUGHT = np.zeros(_CLASSES)
"""What a gaze is drawn to, by NYU40 id, beyond the variety of classes: what a room is there for."""
for _name in (
    "bed",
    "sofa",
    "table",
    "chair",
    "counter",
    "desk",
    "bookshelf",
    "toilet",
    "bathtub",
    "sink",
    "television",
):
    _SOUGHT[nyu40_id(_name)] = 1.0
_YAWS, _PITCHES = 48, 15  # the panorama's grid
_LOWEST, _HIGHEST = np.radians(-62), np.radians(40)


def plan_cameras(lit: LitScene, frames: int, width: int, height: int, rng: Rng) -> Camera:
    """A batch of `frames` cameras along a walk: hand-held, or low and level as on a robot's mast."""
    view = np.radians(rng.uniform(NARROWEST, WIDEST) if rng.random() < 0.6 else rng.uniform(54, 66))
    focal = width / 2 / np.tan(view / 2)
    on_robot = rng.random() < 0.3
    intrinsics = torch.tensor(
        [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]], dtype=torch.float32
    )
    eyes = _walk(lit.scene.free, lit.scene.cell, frames, rng)
    sway = 2 * np.pi * (np.arange(frames) / 40 * rng.uniform(0.5, 2) + rng.random())
    if on_robot:
        level, bob = rng.uniform(0.35, 1.2), 0.004
    else:
        level = rng.uniform(1.25, 1.75) if rng.random() < 0.75 else rng.uniform(0.9, 1.25)
        bob = rng.uniform(0.02, 0.15)
    eye_height = np.minimum(level + bob * np.sin(sway), lit.scene.height - 0.35)
    positions = np.concatenate([eyes, eye_height[:, None]], 1)
    pitches = (-0.2, 0.12, 0.03) if on_robot else (-0.5, 0.05, 0.22)
    yaw, pitch = _gaze(lit, positions, width / focal, height / focal, pitches, rng)
    roll = np.cumsum(rng.normal(0, 0.002 if on_robot else 0.012, frames))
    roll -= roll.mean()
    poses = np.stack([_pose(*each) for each in zip(positions, yaw, pitch, roll, strict=True)])
    return Camera(intrinsics.expand(frames, 3, 3).clone(), torch.from_numpy(poses).float(), width, height)


def _walk(free: NDArray[np.bool_], cell: float, frames: int, rng: Rng) -> Array:
    """Places (frames, 2) about STEP apart that keep clear of things: the widest-ranging of a few random walks."""
    distance = cv2.distanceTransform(np.pad(free, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1] * cell
    count, regions = cv2.connectedComponents((distance > CLEARANCE).astype(np.uint8))
    largest = 1 + int(np.argmax([(regions == k).sum() for k in range(1, count)]))
    walkable = regions == largest
    starts = np.argwhere(walkable)

    def clear(point: Array) -> bool:
        x, y = (point / cell).astype(int)
        return bool(0 <= x < walkable.shape[0] and 0 <= y < walkable.shape[1] and walkable[x, y])

    best, best_range = np.zeros((frames, 2)), -1.0
    for _ in range(6):
        point = (starts[rng.integers(len(starts))] + 0.5) * cell
        heading, bend = rng.uniform(0, 2 * np.pi), 0.0
        path = [point]
        for _ in range(frames - 1):
            bend = 0.8 * bend + rng.normal(0, 0.12)
            step = STEP * rng.uniform(0.75, 1.25)
            # Turn as little as needed to stay clear, looking a few steps ahead if that is possible.
            turns = sorted(np.linspace(-np.pi, np.pi, 37), key=lambda turn: abs(turn - bend))
            ahead = [(turn, heading + turn) for turn in turns]
            for reach in (4 * step, step):
                headings = [h for _, h in ahead if clear(point + reach * _unit(h)) and clear(point + step * _unit(h))]
                if headings:
                    heading = headings[0]
                    point = point + step * _unit(heading)
                    break
            path.append(point)
        line = np.array(path)
        covered = float(np.ptp(line, axis=0).sum())
        if covered > best_range:
            best, best_range = line, covered
    return best


def _unit(angle: float) -> Array:
    return np.array([np.cos(angle), np.sin(angle)])


def _direction(yaw: Array, pitch: Array) -> Array:
    return np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1)


def _gaze(
    lit: LitScene, positions: Array, wide: float, tall: float, pitches: tuple[float, float, float], rng: Rng
) -> tuple[Array, Array]:
    """Yaw and pitch (frames,) of the best of many random smooth gazes; `wide`, `tall` are image size over focal.

    `pitches`: lowest and highest mean pitch, and how far it may swing about its mean, radians.
    """
    frames = len(positions)
    posts = np.unique(np.linspace(0, frames - 1, max(2, (frames + 3) // 4)).round().astype(int))
    labels, objects, near = _panoramas(lit, positions[posts])
    half_yaw = max(1, round(np.arctan(wide / 2) / (2 * np.pi) * _YAWS))
    half_pitch = max(1, round(np.arctan(tall / 2) / (_HIGHEST - _LOWEST) * _PITCHES))
    time = np.arange(frames)
    best, best_score = (np.zeros(frames), np.zeros(frames)), -np.inf
    for _ in range(160):
        drift = rng.normal(0, 0.8) * TURN
        swing = rng.uniform(0.1, 0.5)
        period = rng.uniform(18, 40)
        yaw = rng.uniform(0, 2 * np.pi) + drift * time + swing * np.sin(2 * np.pi * (time / period + rng.random()))
        yaw += 0.04 * np.sin(2 * np.pi * (time / 9 + rng.random()))
        pitch = rng.uniform(*pitches[:2]) + rng.uniform(0.1, 1) * pitches[2] * np.sin(
            2 * np.pi * (time / rng.uniform(16, 40) + rng.random())
        )
        score = 0.0
        counts = np.zeros(_CLASSES)
        seen: set[int] = set()
        for row, post in enumerate(posts):
            column = round(yaw[post] / (2 * np.pi) * _YAWS)
            columns = np.arange(column - half_yaw, column + half_yaw + 1) % _YAWS
            level = round((pitch[post] - _LOWEST) / (_HIGHEST - _LOWEST) * (_PITCHES - 1))
            window = (row, slice(max(level - half_pitch, 0), level + half_pitch + 1), columns)
            found = np.bincount(labels[window].ravel(), minlength=_CLASSES)
            share = found[found > 0] / found.sum()
            distance = near[window]
            score -= float((share * np.log(share)).sum()) + 1.2 * float(np.median(distance) < 1.0)
            score -= float(np.quantile(distance, 0.1) < 0.55)
            counts += found
            seen.update(objects[window].ravel().tolist())
        share = counts[counts > 0] / counts.sum()
        score = score / len(posts) + 1.5 * min(float((counts * _SOUGHT).sum() / counts.sum()), 0.4)
        score += 0.03 * len(seen) + rng.normal(0, 0.15) - float((share * np.log(share)).sum())
        if score > best_score:
            best, best_score = (yaw, pitch), score
    return best


def _panoramas(lit: LitScene, positions: Array) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.float32]]:
    """Labels, objects and distances all around each position: (positions, pitches, yaws)."""
    pitch, yaw = np.meshgrid(
        np.linspace(_LOWEST, _HIGHEST, _PITCHES), np.arange(_YAWS) / _YAWS * 2 * np.pi, indexing="ij"
    )
    directions = _direction(yaw, pitch).reshape(-1, 3)
    origins = np.repeat(positions, len(directions), 0).astype(np.float32)
    hits = lit.caster.cast(origins, np.tile(directions, (len(positions), 1)).astype(np.float32))
    shape = (len(positions), _PITCHES, _YAWS)
    return (
        lit.labels[hits.triangle].reshape(shape),
        lit.instances[hits.triangle].reshape(shape),
        hits.distance.reshape(shape),
    )


def _pose(position: Array, yaw: float, pitch: float, roll: float) -> Array:
    """world_from_camera (4, 4) with OpenCV axes."""
    forward = _direction(np.asarray(yaw), np.asarray(pitch))
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = c * right + s * down, c * down - s * right, forward, position
    return pose
