"""Items made of parts, materials, lights, and the triangle soup a room becomes. Meters, z up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sray.label_space import NYU40
from sray_train.data.rooms.palette import Palette
from sray_train.data.rooms.primitives import Mesh
from sray_train.data.rooms.textures import make_texture

Array = NDArray[np.float32]
Rng = np.random.Generator


def nyu40_id(name: str) -> int:
    """The NYU40 id of a class name. Raises ValueError for any other word."""
    return NYU40.nyu40[NYU40.names.index(name)]


@dataclass(frozen=True)
class Light:
    """A rectangle that shines: along its normal (cosine-weighted), or all around where `normal` is None."""

    center: Array
    half_width: Array
    """Half an edge as a vector."""
    half_height: Array
    normal: Array | None
    radiance: Array
    """RGB."""

    def placed(self, position: tuple[float, float, float], yaw: float) -> Light:
        c, s = np.cos(yaw), np.sin(yaw)
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
        return Light(
            (rotation @ self.center + np.asarray(position, np.float32)).astype(np.float32),
            rotation @ self.half_width,
            rotation @ self.half_height,
            None if self.normal is None else rotation @ self.normal,
            self.radiance,
        )


@dataclass(frozen=True)
class Part:
    """A mesh of one material."""

    mesh: Mesh
    material: int
    stretch: tuple[float, float] | None = None
    """Lay the texture once over this width and height (meters), for pictures and views; None tiles it."""
    label: str | None = None
    """NYU40 class, where it is another than the item's: the pillows of a bed, the sink in a counter."""


@dataclass(frozen=True)
class Surface:
    """A level rectangle that small things can stand on, in its item's frame."""

    height: float
    width: float
    depth: float
    x: float = 0.0
    y: float = 0.0
    headroom: float = 2.0
    """Meters free above it: little in a shelf."""


@dataclass(frozen=True)
class Item:
    """One object in its own frame (see `primitives`); `label` is the name of its NYU40 class."""

    label: str
    parts: tuple[Part, ...]
    lights: tuple[Light, ...] = ()
    surfaces: tuple[Surface, ...] = ()

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest corner of the box around it."""
        points = np.concatenate([part.mesh.vertices.reshape(-1, 3) for part in self.parts])
        return points.min(0), points.max(0)

    def centered(self) -> Item:
        """The same item with its footprint's center at x = y = 0."""
        low, high = self.bounds()
        x, y = (float(v) for v in -(low[:2] + high[:2]) / 2)
        return replace(
            self,
            parts=tuple(replace(part, mesh=part.mesh.moved(x, y, 0)) for part in self.parts),
            lights=tuple(light.placed((x, y, 0), 0) for light in self.lights),
            surfaces=tuple(replace(each, x=each.x + x, y=each.y + y) for each in self.surfaces),
        )

    def turned(self, yaw: float) -> Item:
        """The same item rotated about z, radians. Its surfaces are left out: they are level with its frame."""
        return replace(
            self,
            parts=tuple(replace(part, mesh=part.mesh.turned(yaw)) for part in self.parts),
            lights=tuple(light.placed((0, 0, 0), yaw) for light in self.lights),
            surfaces=(),
        )


class Materials:
    """The room's materials; builders ask for one by role and get its index."""

    def __init__(self, rng: Rng, palette: Palette) -> None:
        self._rng = rng
        self._palette = palette
        self.textures: list[Array] = []
        self.tiles: list[float] = []
        self.gloss: list[float] = []
        self.emission: list[float] = []
        self.mirror: list[float] = []
        self._shared: dict[str, int] = {}

    def shared(self, role: str, **properties: float) -> int:
        """The room's one material of a role: all door frames, or all handles, of a home are alike."""
        if role not in self._shared:
            self._shared[role] = self.add(role, **properties)
        return self._shared[role]

    def add(
        self,
        role: str,
        *,
        tile: float | None = None,
        gloss: float | None = None,
        emission: float = 0.0,
        mirror: float = 0.0,
    ) -> int:
        """A new material: `tile` meters a repeat, `gloss` 0..1, `emission` as a factor of its own color,
        `mirror` the share of light that it reflects as a mirror."""
        self.textures.append(make_texture(role, self._rng, self._palette))
        drawn = float(self._rng.uniform(0.5, 1.6)), float(self._rng.choice([0.0, 0.0, 0.05, 0.2]))
        self.tiles.append(drawn[0] if tile is None else tile)
        self.gloss.append(drawn[1] if gloss is None else gloss)
        self.emission.append(emission)
        self.mirror.append(mirror)
        return len(self.textures) - 1


@dataclass(frozen=True)
class Footprint:
    """Where a standing item is: an oriented rectangle from the floor (or `bottom`) to `top`."""

    label: str
    x: float
    y: float
    width: float
    depth: float
    yaw: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Scene:
    """A finished room as one soup of triangles, and what the camera needs to know to walk in it."""

    vertices: Array
    """(triangles, 3, 3)"""
    uv: Array
    """(triangles, 3, 2), in texture repeats."""
    normals: Array
    """(triangles, 3, 3)"""
    labels: NDArray[np.uint8]
    """(triangles,), NYU40 ids (1 to 40)."""
    instances: NDArray[np.int32]
    """(triangles,)"""
    materials: NDArray[np.int32]
    """(triangles,)"""
    textures: Array
    """(materials, size, size, 3), linear reflectance."""
    gloss: Array
    emission: Array
    mirror: Array
    lights: tuple[Light, ...]
    sun: Light | None
    """Its `normal` is the way to the sun; it shines through windows alone."""
    footprints: tuple[Footprint, ...]
    free: NDArray[np.bool_]
    """(x cells, y cells) of `cell` meters: floor nothing stands on."""
    cell: float
    height: float
    """Floor to ceiling."""
    kind: str
    """Which of `layout.ROOM_KINDS`."""


class SceneBuilder:
    """Collects placed items; `finish` makes the soup."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.materials = Materials(rng, Palette.random(rng))
        self.lights: list[Light] = []
        self.sun: Light | None = None
        self.footprints: list[Footprint] = []
        self._meshes: list[tuple[Mesh, Array, int, int, int]] = []
        self._instances = 0

    def make(self, builder: Callable[[Rng, Materials], Item]) -> Item:
        """An item from a builder function, centered on its footprint."""
        return builder(self.rng, self.materials).centered()

    def add(self, item: Item, position: tuple[float, float, float], yaw: float) -> None:
        self._instances += 1
        for part in item.parts:
            if part.stretch is None:
                offset = self.rng.random(2).astype(np.float32)
                uv = part.mesh.uv / np.float32(self.materials.tiles[part.material]) + offset
            else:
                uv = (part.mesh.uv - part.mesh.uv.reshape(-1, 2).min(0)) / np.asarray(part.stretch, np.float32)
            mesh = part.mesh.turned(yaw).moved(*position)
            label = nyu40_id(part.label or item.label)
            self._meshes.append((mesh, uv.astype(np.float32), label, self._instances, part.material))
        self.lights.extend(light.placed(position, yaw) for light in item.lights)

    def finish(self, free: NDArray[np.bool_], cell: float, height: float, kind: str) -> Scene:
        counts = [len(mesh.vertices) for mesh, *_ in self._meshes]
        _, _, labels, instances, materials = zip(*self._meshes, strict=True)
        return Scene(
            vertices=np.concatenate([mesh.vertices for mesh, *_ in self._meshes]),
            uv=np.concatenate([uv for _, uv, *_ in self._meshes]),
            normals=np.concatenate([mesh.normals for mesh, *_ in self._meshes]),
            labels=np.repeat(np.array(labels, np.uint8), counts),
            instances=np.repeat(np.array(instances, np.int32), counts),
            materials=np.repeat(np.array(materials, np.int32), counts),
            textures=np.stack(self.materials.textures),
            gloss=np.array(self.materials.gloss, np.float32),
            emission=np.array(self.materials.emission, np.float32),
            mirror=np.array(self.materials.mirror, np.float32),
            lights=tuple(self.lights),
            sun=self.sun,
            footprints=tuple(self.footprints),
            free=free,
            cell=cell,
            height=height,
            kind=kind,
        )
