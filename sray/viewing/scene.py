"""SharedScene: the map, the keyframes and the running camera as viser draws them, the same for all browsers.

The nodes, so that each browser can hide some of them for itself:

    /map/classes/<name>/points   voxels in the color of their class
    /map/colors/<name>/points    the same voxels in their own colors; sent when the first browser asks for them
    /keyframes/<number>          frustum with its picture
    /path                        through the keyframes, in the order they were taken
    /camera/frustum              the running camera
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from viser.transforms import SO3

from sray.camera import Camera
from sray.label_space import LabelSpace
from sray.mapping.cloud import LabeledCloud
from sray.origin import Origin
from sray.viewing.source import ShownKeyframe, Source

CLASSES, COLORS, KEYFRAMES, PATH, RUNNING = "/map/classes", "/map/colors", "/keyframes", "/path", "/camera"
FRUSTUM_METERS = 0.12
THUMBNAIL = 160
"""Columns of a keyframe's picture in its frustum."""
UNKNOWN_VOXEL = 0.05
"""Meters: size of a point where the map does not say how large its voxels are."""
PICTURES_AT_ONCE = 8
"""Frustums that get their picture in one `update`: many browsers wait for the rest of the scene."""


class SharedScene:
    """Call `update` often; it sends what has changed. One thread."""

    def __init__(self, server: Any, source: Source, wants_colors: Callable[[], bool]) -> None:
        """`server`: viser's. `wants_colors`: whether any browser shows the map's own colors."""
        self._server = server
        self._source = source
        self._wants_colors = wants_colors
        self._revision: int | None = None
        self._has_colors = False
        self._points: dict[int, tuple[Float32[np.ndarray, "points 3"], UInt8[np.ndarray, "points 3"]]] = {}
        self._drawn: dict[tuple[str, int], Any] = {}
        """viser's handle of each class's voxels, by root."""
        self._keyframes: tuple[ShownKeyframe, ...] = ()
        self._frustums: dict[int, tuple[ShownKeyframe, bool]] = {}
        self._running: Camera | None = None
        self.origin: Origin | None = None
        """Of the frame that is drawn in: near the first thing that was shown; None before."""
        self.counts: dict[int, int] = {}
        """Voxels of each class that there is."""
        for name in ("/map", CLASSES, KEYFRAMES, PATH, RUNNING):
            server.scene.add_frame(name, show_axes=False)
        server.scene.add_frame(COLORS, show_axes=False, visible=False)

    @property
    def label_space(self) -> LabelSpace:
        return self._source.label_space

    def update(self) -> bool:
        """Whether the map or the keyframes have changed."""
        return any([self._update_map(), self._update_keyframes(), self._update_running()])

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Meanwhile, for all browsers, voxels of this class are not drawn."""
        label = self.label_space.names.index(name) if name in self.label_space.names else None
        drawn = [handle for (_, each), handle in self._drawn.items() if each == label]
        for handle in drawn:
            handle.visible = False
        try:
            yield
        finally:
            for handle in drawn:
                handle.visible = True

    def _update_map(self) -> bool:
        revision, wants_colors = self._source.map_revision(), self._has_colors or self._wants_colors()
        if revision == self._revision and wants_colors == self._has_colors:
            return False
        cloud = self._source.map()
        self._revision = revision
        if len(cloud):
            cloud = cloud.relative_to(self._here(cloud.origin))
        parts = {label: self._part(cloud, label) for label in np.unique(cloud.labels).tolist()}
        with self._server.atomic():
            for key in [key for key in self._drawn if key[1] not in parts]:
                self._drawn.pop(key).remove()
            for label, (points, rgb) in parts.items():
                old = self._points.get(label)
                is_same = old is not None and np.array_equal(old[0], points)
                if not is_same:
                    self._add(CLASSES, label, points, np.array(self.label_space.colors[label], np.uint8))
                if wants_colors and not (is_same and self._has_colors and old and np.array_equal(old[1], rgb)):
                    self._add(COLORS, label, points, rgb)
        self._points, self._has_colors = parts, wants_colors
        self.counts = {label: len(points) for label, (points, _) in parts.items()}
        return True

    def sample(self, most: int = 2000) -> Float32[np.ndarray, "points 3"]:
        """Some points of the map, evenly over its classes."""
        if not self._points:
            return np.zeros((0, 3), np.float32)
        points = np.concatenate([points for points, _ in self._points.values()])
        return points[:: 1 + len(points) // most]

    def _here(self, origin: Origin) -> Origin:
        """The origin to draw from, which is this one if it is the first."""
        if self.origin is None:
            self.origin = origin
        return self.origin

    def _part(
        self, cloud: LabeledCloud, label: int
    ) -> tuple[Float32[np.ndarray, "points 3"], UInt8[np.ndarray, "points 3"]]:
        chosen = cloud.labels == label
        return cloud.points[chosen], cloud.rgb[chosen]

    def _add(self, root: str, label: int, points: np.ndarray, colors: np.ndarray) -> None:
        self._drawn[root, label] = self._server.scene.add_point_cloud(
            f"{root}/{node_name(self.label_space, label)}/points",
            points,
            colors,
            point_size=self._source.voxel_size or UNKNOWN_VOXEL,
            point_shading="flat",
            precision="float32",
        )

    def _update_keyframes(self) -> bool:
        keyframes = self._source.keyframes()
        is_new = has_more = keyframes is not self._keyframes
        now = {keyframe.number: keyframe for keyframe in keyframes}
        for number in self._frustums.keys() - now.keys():
            self._server.scene.remove_by_name(f"{KEYFRAMES}/{number}")
            del self._frustums[number]
        pictures = PICTURES_AT_ONCE
        for number, keyframe in now.items():
            shown, has_picture = self._frustums.get(number, (None, False))
            is_drawn = shown is keyframe and has_picture
            picture = self._thumbnail(number) if pictures and not is_drawn else None
            if shown is keyframe and picture is None:
                continue
            pictures, has_more = pictures - (picture is not None), True
            camera = keyframe.camera.relative_to(self._here(keyframe.camera.origin))
            add_frustum(self._server.scene, f"{KEYFRAMES}/{number}", camera, (60, 120, 200), picture)
            self._frustums[number] = (keyframe, picture is not None)
        if is_new:
            self._keyframes = keyframes
            self._draw_path()
        return has_more

    def _draw_path(self) -> None:
        taken = sorted(self._keyframes, key=lambda keyframe: keyframe.stamp_ns)
        if len(taken) < 2:
            self._server.scene.remove_by_name(f"{PATH}/line")
            return
        here = self._here(taken[0].camera.origin)
        centers = torch.stack([keyframe.camera.relative_to(here).center for keyframe in taken]).numpy()
        self._server.scene.add_line_segments(
            f"{PATH}/line", np.stack([centers[:-1], centers[1:]], axis=1), (200, 80, 60), thickness=0.01
        )

    def _thumbnail(self, number: int) -> UInt8[np.ndarray, "height width 3"] | None:
        picture = self._source.picture(number)
        if picture is None:
            return None
        height, width = picture.shape[:2]
        size = (THUMBNAIL, max(1, round(height * THUMBNAIL / width)))
        small: np.ndarray = cv2.resize(picture.numpy(), size, interpolation=cv2.INTER_AREA)
        return small

    def _update_running(self) -> bool:
        camera = self._source.running_camera()
        if camera is self._running:
            return False
        self._running = camera
        if camera is None:
            self._server.scene.remove_by_name(f"{RUNNING}/frustum")
        else:
            here = camera.relative_to(self._here(camera.origin))
            add_frustum(self._server.scene, f"{RUNNING}/frustum", here, (240, 130, 20), None)
        return False


def node_name(space: LabelSpace, label: int) -> str:
    """A class in the name of a node: a slash would be another level."""
    return f"{label} {space.names[label]}".replace("/", " ")


def add_frustum(
    scene: Any,
    name: str,
    camera: Camera,
    color: tuple[int, int, int],
    image: UInt8[np.ndarray, "height width 3"] | None,
) -> None:
    """Draw a camera, `FRUSTUM_METERS` long."""
    half_height = camera.height / (2 * float(camera.intrinsics[1, 1]))
    scene.add_camera_frustum(
        name,
        fov=2 * float(np.arctan(half_height)),
        aspect=camera.width / camera.height * float(camera.intrinsics[1, 1] / camera.intrinsics[0, 0]),
        scale=FRUSTUM_METERS,
        thickness=0.004,
        color=color,
        image=image,
        wxyz=wxyz_of(camera),
        position=camera.center.double().numpy(),
        cast_shadow=False,
        receive_shadow=False,
    )


def wxyz_of(camera: Camera) -> np.ndarray:
    """The camera's rotation as a quaternion."""
    wxyz: np.ndarray = SO3.from_matrix(camera.world_from_camera[:3, :3].double().numpy()).wxyz
    return wxyz
