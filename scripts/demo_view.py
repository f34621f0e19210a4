"""What the demo leaves to look around in: a still from where no camera was, and the map as a page of its own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.errors import SrayError
from sray.mapping.session import Session
from sray.model import SemanticRay
from sray.viewing.camera_path import interpolated
from sray.viewing.export import write_page
from sray.viewing.local_source import LocalSource
from sray.viewing.pictures import paint
from sray.viewing.viewer import Viewer
from sray_train.cli.view import View
from sray_train.tools.report.demo_run import LookAround

SESSION, SCENE, STILL = "session.safetensors", "scene.html", "pictures/look_around.jpg"
STILL_ROWS = 360
"""Of the still: larger than any view of the run."""


def leave_something_to_look_at(output: Path, checkpoint: Checkpoint[SemanticRay]) -> LookAround | str:
    """Of the session that the mapper saved in `output` when it ended; or, in words, why there is nothing."""
    try:
        source = LocalSource.of_session(checkpoint, Session.load(output / SESSION), "the demo's room", output)
        still = _still(source)
        path = output / STILL
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.ascontiguousarray(still[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90])
        with Viewer(source, port=0) as viewer:
            write_page(viewer, output / SCENE)
    except SrayError as error:
        return str(error)
    return LookAround(STILL, SCENE, f".venv/bin/sray view {output / SESSION}")


def look_around(output: Path, checkpoint: Path, port: int) -> None:
    """Serve the run's session until Ctrl-C, which is how it is meant to end."""
    with suppress(KeyboardInterrupt):
        View(output / SESSION, checkpoint=checkpoint, port=port, output=output / "view").main()


def _still(source: LocalSource) -> np.ndarray:
    """Labels over color, from half-way between two keyframes."""
    keyframes = source.keyframes()
    middle = len(keyframes) // 2
    stops = [keyframe.camera for keyframe in keyframes[max(0, middle - 1) : middle + 1]]
    path = interpolated(Camera.stack(stops), 1)
    camera = path[len(path) // 2]
    width = round(STILL_ROWS * camera.width / camera.height)
    picture, _ = paint(source.render(camera.resized(width, STILL_ROWS)).view, "overlay", source.label_space)
    return picture
