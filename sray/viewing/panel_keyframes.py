"""The tab of keyframes: go to one, and compare its picture with what is rendered there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from viser import ClientHandle

from sray.errors import NoViewsError, StaleError
from sray.frames import nearest_exact
from sray.viewing.panel import reported
from sray.viewing.pictures import RGB, compared, paint
from sray.viewing.source import ShownKeyframe
from sray.viewing.visitor import Visitor

if TYPE_CHECKING:
    from sray.viewing.viewer import Viewer

WIDEST = 320
"""Columns of the compared pictures."""
BLANK = np.full((3, 4, 3), 255, np.uint8)


class KeyframesTab:
    """One keyframe at a time."""

    def __init__(self, client: ClientHandle, visitor: Visitor, viewer: Viewer) -> None:
        self._visitor = visitor
        self._viewer = viewer
        self._client = client
        self._keyframes: tuple[ShownKeyframe, ...] = ()
        self._both: tuple[RGB, RGB] | None = None
        """Of the keyframe and of the rendering."""
        gui = client.gui
        self._place: Any = gui.add_slider("Keyframe", 1, 2, 1, 1, disabled=True, hint="In the order they were taken")
        self._facts = gui.add_markdown("There are no keyframes yet.")
        go = gui.add_button("Go there")
        go.on_click(reported(client, "Go to a keyframe", self._go))
        compare = gui.add_button("Compare picture and rendering")
        compare.on_click(reported(client, "Compare", self._compare))
        self._image = gui.add_image(BLANK, visible=False)
        self._share = gui.add_slider("Picture | rendering", 0.0, 1.0, 0.01, 0.5, visible=False)
        self._told = gui.add_markdown("", visible=False)
        self._place.on_update(lambda _: self._tell())
        self._share.on_update(lambda _: self._draw())

    def refresh(self) -> None:
        keyframes = self._visitor.source.keyframes()
        if keyframes is self._keyframes:
            return
        self._keyframes = keyframes
        if len(keyframes) > 1:
            self._place.max = len(keyframes)
            if self._place.value > len(keyframes):
                self._place.value = len(keyframes)
        self._place.disabled = len(keyframes) < 2
        self._tell()

    def _chosen(self) -> ShownKeyframe:
        keyframes = self._visitor.source.keyframes()
        if not keyframes:
            raise NoViewsError("there are no keyframes yet", "images with poses first")
        return keyframes[min(len(keyframes), int(self._place.value)) - 1]

    def _tell(self) -> None:
        if not self._keyframes:
            self._facts.content = "There are no keyframes yet."
            return
        keyframe = self._chosen()
        parts = [f"number {keyframe.number}", f"{keyframe.camera.width}x{keyframe.camera.height}"]
        parts += ["with depth"] * keyframe.has_depth + ["with labels"] * keyframe.has_labels
        self._facts.content = ", ".join(parts)

    def _go(self) -> None:
        self._visitor.go_to(self._chosen().camera, self._viewer.up)
        if self._visitor.shown != "map":
            self._visitor.look()

    def _compare(self) -> str | None:
        keyframe = self._chosen()
        picture = self._visitor.source.picture(keyframe.number)
        if picture is None:
            raise StaleError(f"the picture of keyframe {keyframe.number} has not come yet", "it soon", "Try again")
        camera = keyframe.camera
        if camera.width > WIDEST:
            camera = camera.resized(WIDEST, max(1, round(camera.height * WIDEST / camera.width)))
        answer = self._visitor.source.render(
            camera, is_preview=False, canceled=lambda: not self._visitor.is_open, own=keyframe
        )
        shown = "color" if self._visitor.shown == "map" else self._visitor.shown
        rendering, _ = paint(answer.view, shown, self._visitor.source.label_space, self._visitor.hidden)
        width, height = answer.view.camera.width, answer.view.camera.height
        self._both = (nearest_exact(picture.numpy(), width, height), rendering)
        if (own := keyframe.number) in answer.sources:
            words = f"Keyframe {own} was itself among the sources of its rendering."
        else:
            words = f"Rendered from keyframes {', '.join(map(str, answer.sources))}, without {own} itself."
        self._told.content = f"Left the picture of keyframe {own}, right its {shown} as rendered. {words}"
        for part in (self._image, self._share, self._told):
            part.visible = True
        self._draw()
        return None

    def _draw(self, _: Any = None) -> None:
        if self._both is not None:
            self._image.image = compared(*self._both, float(self._share.value))
