"""Triangle primitives: box, rounded box, lathe, cylinder, ball, sheet. Meters, z up, base at z = 0, x and y centered.

Furniture stands with its front towards -y; things on a wall have the wall's surface at y = 0 and the room at -y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Mesh:
    """Triangles; all corners written out, so that every triangle may have its own uv and normals."""

    vertices: Array
    """(triangles, 3, 3), meters."""
    uv: Array
    """(triangles, 3, 2), meters along the surface."""
    normals: Array
    """(triangles, 3, 3), unit, towards the outside."""

    def moved(self, *offset: float) -> Mesh:
        return Mesh(self.vertices + np.asarray(offset, np.float32), self.uv, self.normals)

    def turned(self, angle: float) -> Mesh:
        """Rotated about z, radians, counter-clockwise from above."""
        c, s = np.cos(angle), np.sin(angle)
        return self._rotated(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32))

    def tilted(self, angle: float) -> Mesh:
        """Rotated about x, radians; negative leans the top backwards (towards +y)."""
        c, s = np.cos(angle), np.sin(angle)
        return self._rotated(np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32))

    def scaled(self, x: float, y: float, z: float) -> Mesh:
        """Stretched along the axes: a round bowl becomes an oval one. All factors above 0."""
        factors = np.array([x, y, z], np.float32)
        normals = self.normals / factors
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
        return Mesh(self.vertices * factors, self.uv, normals)

    def _rotated(self, rotation: Array) -> Mesh:
        return Mesh(self.vertices @ rotation.T, self.uv, self.normals @ rotation.T)


def join(meshes: Sequence[Mesh]) -> Mesh:
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
    )


def _flat(vertices: Array, uv: Array) -> Mesh:
    """A mesh whose triangles have their geometric normals."""
    normal = np.cross(vertices[:, 1] - vertices[:, 0], vertices[:, 2] - vertices[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    return Mesh(vertices.astype(np.float32), uv.astype(np.float32), np.repeat(normal[:, None], 3, 1).astype(np.float32))


_FAN = np.array([[0, 1, 2], [0, 2, 3]])
# The unit box's faces as corner signs (counter-clockwise from outside), and the axes its uv run along.
_FACE_CORNERS = np.array(
    [
        [[-1, -1, 0], [1, -1, 0], [1, -1, 1], [-1, -1, 1]],
        [[1, -1, 0], [1, 1, 0], [1, 1, 1], [1, -1, 1]],
        [[1, 1, 0], [-1, 1, 0], [-1, 1, 1], [1, 1, 1]],
        [[-1, 1, 0], [-1, -1, 0], [-1, -1, 1], [-1, 1, 1]],
        [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
        [[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]],
    ],
    np.float32,
)
_FACE_AXES = np.array([[0, 2], [1, 2], [0, 2], [1, 2], [0, 1], [0, 1]])
_CORNER_UV = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)


def quad(corners: ArrayLike, width: float, height: float) -> Mesh:
    """A flat quadrilateral of four corners, counter-clockwise as seen from its outside."""
    points = np.asarray(corners, np.float32)
    return _flat(points[_FAN], (_CORNER_UV * np.array([width, height], np.float32))[_FAN])


def boxes(sizes: ArrayLike, bases: ArrayLike) -> Mesh:
    """Boxes of sizes (count, 3) whose bottom faces are centered on bases (count, 3)."""
    size = np.asarray(sizes, np.float32).reshape(-1, 3)
    base = np.asarray(bases, np.float32).reshape(-1, 3)
    scale = size * np.array([0.5, 0.5, 1], np.float32)
    corners = _FACE_CORNERS[None] * scale[:, None, None] + base[:, None, None]  # count, face, corner, xyz
    uv = _CORNER_UV[None, None] * size[:, _FACE_AXES][:, :, None]
    return _flat(corners[:, :, _FAN].reshape(-1, 3, 3), uv[:, :, _FAN].reshape(-1, 3, 2))


def box(x: float, y: float, z: float, at: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    """One box of size x, y, z with its bottom face centered at `at`."""
    return boxes([x, y, z], at)


def rounded_box(
    x: float, y: float, z: float, radius: float, at: tuple[float, float, float] = (0, 0, 0), cuts: int = 4
) -> Mesh:
    """A cushion: a box with rounded edges and smooth normals, `cuts` squared patches a side."""
    half = np.array([x, y, z]) / 2
    radius = min(radius, *(0.99 * half))
    line = np.linspace(-1, 1, cuts + 1)
    line = np.sign(line) * abs(line) ** 0.6  # more points near the edges, where it bends
    across, along = np.meshgrid(line, line, indexing="ij")
    i, j = (index.ravel() for index in np.meshgrid(range(cuts), range(cuts), indexing="ij"))
    cell = np.stack([np.stack([i, j]), np.stack([i + 1, j]), np.stack([i + 1, j + 1]), np.stack([i, j + 1])])
    vertices, uvs, normals = [], [], []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        for side in (-1, 1):
            point = np.zeros((cuts + 1, cuts + 1, 3))
            point[..., axis] = side * half[axis]
            point[..., first], point[..., second] = across * half[first], along * half[second]
            inner = np.clip(point, radius - half, half - radius)
            normal = point - inner
            normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
            surface = inner + normal * radius
            uv = point[..., [first, second]]
            order = cell if side > 0 else cell[::-1]
            for corner in _FAN:
                rows, columns = order[corner, 0].T, order[corner, 1].T
                vertices.append(surface[rows, columns])
                uvs.append(uv[rows, columns])
                normals.append(normal[rows, columns])
    mesh = Mesh(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(uvs).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
    )
    return mesh.moved(at[0], at[1], at[2] + half[2])


def _strip(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """The four corners (count, 4, ...) of each quadrilateral between two rows of count + 1 points, as in `quad`."""
    return np.stack([low[:-1], low[1:], high[1:], high[:-1]], 1)


def _strip_uv(along: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    """The same corners' uv (count, 4, 2), of a strip of this height; `along` (count + 1,): meters along it."""
    base = np.zeros(len(along))
    return _strip(np.stack([along, base], -1), np.stack([along, base + height], -1))


def lathe(
    profile: Sequence[tuple[float, float]], at: tuple[float, float, float] = (0, 0, 0), segments: int = 14
) -> Mesh:
    """A surface of revolution about z of (radius, height) points, from the bottom outside to the top."""
    points = np.asarray(profile, np.float64)
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    vertices, uvs, normals = [], [], []
    for (r0, z0), (r1, z1) in pairwise(points):
        length = float(np.hypot(r1 - r0, z1 - z0)) + 1e-9
        slope = np.array([(z1 - z0) / length, -(r1 - r0) / length])  # outward normal in the (radius, z) plane
        ring = max(r0, r1, 0.02)
        low = np.concatenate([circle * r0, np.full((segments + 1, 1), z0)], 1)
        high = np.concatenate([circle * r1, np.full((segments + 1, 1), z1)], 1)
        normal = np.concatenate([circle * slope[0], np.full((segments + 1, 1), slope[1])], 1)
        corner, corner_normal = _strip(low, high), _strip(normal, normal)
        corner_uv = _strip_uv(angle * ring, length)
        fans = [_FAN[0]] if r1 < 1e-6 else [_FAN[1]] if r0 < 1e-6 else list(_FAN)  # a cone's tip has no second half
        for fan in fans:
            vertices.append(corner[:, fan])
            uvs.append(corner_uv[:, fan])
            normals.append(corner_normal[:, fan])
    return Mesh(
        (np.concatenate(vertices) + np.asarray(at)).astype(np.float32),
        np.concatenate(uvs).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
    )


def cylinder(radius: float, height: float, at: tuple[float, float, float] = (0, 0, 0), segments: int = 10) -> Mesh:
    return lathe([(0, 0), (radius, 0), (radius, height), (0, height)], at, segments)


def ball(radius: float, at: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 9)
    profile = [(float(max(radius * np.cos(a), 0)), float(radius + radius * np.sin(a))) for a in angle]
    profile[0], profile[-1] = (0.0, profile[0][1]), (0.0, profile[-1][1])
    return lathe(profile, at)


def sheet(
    width: float, height: float, waves: float, depth: float, at: tuple[float, float, float] = (0, 0, 0), cuts: int = 28
) -> Mesh:
    """Hanging cloth with vertical folds `depth` deep, smooth normals, two sides 1 cm apart."""
    x = np.linspace(-width / 2, width / 2, cuts + 1)
    phase = np.linspace(0, waves * 2 * np.pi, cuts + 1)
    y = depth * np.sin(phase)
    slope = depth * np.cos(phase) * waves * 2 * np.pi / width
    normal = np.stack([slope, -np.ones_like(x), np.zeros_like(x)], -1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    run = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    sides = []
    for offset, sign in ((0.0, 1.0), (0.01, -1.0)):
        low = np.stack([x, y + offset, np.zeros_like(x)], -1)
        high = low + np.array([0, 0, height])
        corner, corner_normal, corner_uv = _strip(low, high), _strip(normal, normal) * sign, _strip_uv(run, height)
        sides.append(
            Mesh(
                corner[:, _FAN].reshape(-1, 3, 3).astype(np.float32),
                corner_uv[:, _FAN].reshape(-1, 3, 2).astype(np.float32),
                corner_normal[:, _FAN].reshape(-1, 3, 3).astype(np.float32),
            )
        )
    return join(sides).moved(*at)
