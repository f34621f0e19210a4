"""Visitor: one browser. Its camera asks for pictures; what it hides and shows is its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from viser import ClientHandle, SceneNodeHandle
from viser.transforms import SO3

from sray.camera import Camera
from sray.errors import SrayError
from sray.origin import Origin
from sray.viewing.painter import Painter, Viewpoint
from sray.viewing.pictures import Output, paint
from sray.viewing.pointed import in_words, pointed_at
from sray.viewing.scene import CLASSES, COLORS, KEYFRAMES, PATH, RUNNING, node_name
from sray.viewing.source import Answer, Source

Shown = Literal["map"] | Output
FULL_ROWS = {"small (160 rows)": 160, "medium (240 rows)": 240, "large (480 rows)": 480}
LOOK_AHEAD = 0.3
"""Meters: the camera turns about a point so far in front of it. Nearly in place: farther, it would leave the room."""


class Visitor:
    """State of one browser; the panel changes it. Methods may be called from any thread."""

    def __init__(self, client: ClientHandle, source: Source, origin: Callable[[], Origin]) -> None:
        """`origin`: of the frame that is drawn in."""
        self.client = client
        self.source = source
        self._origin = origin
        self.shown: Shown = "overlay"
        self.map_by: Literal["class", "color"] = "class"
        self.shows_keyframes = True
        self.rows = 240
        """Of a full picture."""
        self.hidden: set[int] = set()
        """Classes."""
        self.complaint = ""
        """Why there is no picture from here."""
        self.pointed = ""
        """What was clicked on, in words."""
        self.ends: tuple[float, float] | None = None
        """What the colors of the last picture mean."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when one of the above has changed by itself."""
        self._answer: Answer | None = None
        self._shadows: dict[str, tuple[SceneNodeHandle, bool]] = {}
        self._lock = threading.RLock()
        """Of what is sent to this browser."""
        self._is_open = True
        self.painter = Painter(self._render, self._show, self._complain, self._pixels)
        client.camera.on_update(lambda _: self.look())
        client.scene.on_click()(lambda event: self._point(event.screen_pos))
        self.arrange()

    def close(self) -> None:
        """The browser has gone; what is being rendered for it is canceled."""
        self._is_open = False
        self.painter.close()

    @property
    def is_open(self) -> bool:
        """Whether the browser is still there."""
        return self._is_open

    def viewpoint(self) -> Viewpoint:
        """Where the browser looks from now."""
        camera = self.client.camera
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = SO3(np.asarray(camera.wxyz, np.float64)).as_matrix(), camera.position
        return Viewpoint(pose, camera.fov, camera.aspect, self._origin())

    def camera(self) -> Camera:
        """Of a full picture from there."""
        return self.viewpoint().camera(self._pixels())

    def look(self) -> None:
        """Paint what the browser's camera sees now."""
        if not self._is_open:
            return
        if self.shown == "map":
            self.painter.rest()
        else:
            self.painter.look(self.viewpoint())

    def go_to(self, camera: Camera, up: np.ndarray) -> None:
        """Put the browser's camera there, upright."""
        camera = camera.relative_to(self._origin())
        center, forward = (part.double().numpy() for part in (camera.center, camera.forward))
        self.stand(center, center + LOOK_AHEAD * forward, up)
        self.client.camera.fov = 2 * float(np.arctan(camera.height / (2 * float(camera.intrinsics[1, 1]))))

    def stand(self, position: np.ndarray, look_at: np.ndarray, up: np.ndarray) -> None:
        """Put the browser's camera at a place, to look at another and to turn about it."""
        with self.client.atomic():
            self.client.camera.up_direction = up
            self.client.camera.position = position
            self.client.camera.look_at = look_at
        self.client.flush()

    def show(self, shown: Shown) -> None:
        """The map, or a kind of picture; the last view is painted anew, not rendered."""
        with self._lock:
            is_new = self.shown == "map" or self._answer is None or bool(self.complaint)
            self.shown, self.complaint = shown, ""
            if shown == "map":
                self.ends = None
                self.client.scene.set_background_image(None)
            elif self._answer is not None:
                self._send(self._answer)
            self.arrange()
        if shown == "map" or is_new:
            self.look()

    def hide(self, label: int, is_hidden: bool) -> None:
        """A class, in the map and in the pictures."""
        with self._lock:
            (self.hidden.add if is_hidden else self.hidden.discard)(label)
            self.arrange()
            if self._answer is not None and self.shown != "map":
                self._send(self._answer)

    @property
    def wants_colors(self) -> bool:
        """Whether it shows the map in its own colors."""
        return self.map_by == "color"

    @property
    def shows_map(self) -> bool:
        """The map stands in where there is no picture."""
        return self.shown == "map" or bool(self.complaint) or self._answer is None

    def arrange(self) -> None:
        """Hide and show the nodes that all browsers share, for this one alone."""
        space = self.source.label_space
        with self._lock:
            self._set(CLASSES, self.shows_map and self.map_by == "class")
            self._set(COLORS, self.shows_map and self.map_by == "color", default=False)
            for root in (KEYFRAMES, PATH, RUNNING):
                self._set(root, self.shows_map and self.shows_keyframes)
            for label in range(space.classes):
                for root in (CLASSES, COLORS):
                    self._set(f"{root}/{node_name(space, label)}", label not in self.hidden)

    def _set(self, name: str, visible: bool, default: bool = True) -> None:
        """A node of the browser's own, of the same name, stands before the shared one."""
        handle, now = self._shadows.get(name, (None, default))
        if visible == now:
            return
        if handle is not None:
            del self._shadows[name]
            handle.remove()
        if visible != default:
            self._shadows[name] = (
                self.client.scene.add_frame(name, show_axes=False, visible=visible), visible
            )  # fmt: skip

    # --- called by the painter

    def _pixels(self) -> int:
        return round(self.rows * self.rows * self.client.camera.aspect)

    def _render(self, camera: Camera, is_preview: bool, canceled: Callable[[], bool]) -> Answer:
        return self.source.render(camera, is_preview=is_preview, canceled=canceled)

    def _show(self, answer: Answer, is_full: bool) -> None:
        with self._lock:
            if self.shown == "map" or not self._is_open:
                return
            was_map = self.shows_map
            self._answer, self.complaint = answer, ""
            self._send(answer)
            if was_map:
                self.arrange()
        self.client.flush()
        if is_full or was_map:
            self.on_change()

    def _send(self, answer: Answer) -> None:
        assert self.shown != "map", "there is a picture to send"
        picture, self.ends = paint(answer.view, self.shown, self.source.label_space, self.hidden)
        # JPEG would mix the colors of classes.
        kind: Literal["png", "jpeg"] = "png" if self.shown == "labels" else "jpeg"
        self.client.scene.set_background_image(picture, format=kind, jpeg_quality=90)

    def _complain(self, error: SrayError) -> None:
        with self._lock:
            self.complaint = str(error)
            self.client.scene.set_background_image(None)
            self.arrange()
        self.on_change()

    def _point(self, screen: tuple[float, float]) -> None:
        answer = self._answer
        if answer is None or self.shown == "map" or self.complaint:
            self.pointed = "Only a picture can be asked: show one of labels, overlay, color and so on."
        else:
            source = self.source
            pointed = pointed_at(answer.view, screen, source.label_space, source.keyframes(), source.depth)
            self.pointed = in_words(pointed, answer.sources)
        self.on_change()


def notify(client: Any, title: str, text: str, *, is_error: bool = False) -> None:
    """A word in the corner of the browser's window, gone by itself unless it is an error."""
    client.add_notification(
        title, text, auto_close_seconds=None if is_error else 8.0, color="red" if is_error else "blue"
    )
