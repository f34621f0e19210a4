"""Videos: RGB pictures into an MP4 file that appears whole or not at all; a rendered path as such a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from sray.camera import Camera
from sray.errors import CanceledError, FileError, SrayError
from sray.viewing.camera_path import RATE
from sray.viewing.pictures import Output, paint
from sray.viewing.source import Source

LEAST_WIDTH = 480
"""Columns of a path's video: smaller pictures are enlarged by a whole number."""


class VideoFile:
    """An MP4 (MPEG-4) of pictures of one size; odd sizes get a row or column more, as the codec takes even ones.

    A context manager. Left by an exception, or without a picture, it leaves no file, and an older one as it was.
    """

    def __init__(self, path: Path, rate: int | float) -> None:
        """`rate`: pictures a second."""
        self._path = path
        self._rate = rate
        self._partial = path.with_name(f".{path.stem}.partial.mp4")  # OpenCV goes by the ending
        self._writer: Any = None

    def __enter__(self) -> VideoFile:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, picture: UInt8[np.ndarray, "height width 3"]) -> None:
        """Raises FileError if the file cannot be written."""
        height, width = picture.shape[:2]
        frame = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._writer is None:
            size = (frame.shape[1], frame.shape[0])
            self._writer = cv2.VideoWriter(str(self._partial), cv2.VideoWriter.fourcc(*"mp4v"), self._rate, size)
            if not self._writer.isOpened():
                raise FileError(
                    f"{self._path} cannot be written as MP4 of {size[0]}x{size[1]}",
                    "a writable folder, and an OpenCV with FFmpeg (opencv-python-headless has it)",
                )
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
            if kind is None:
                self._partial.replace(self._path)
        self._partial.unlink(missing_ok=True)


def path_video(
    source: Source,
    cameras: Sequence[Camera],
    output: Output,
    hidden: Collection[int] = (),
    *,
    on_progress: Callable[[float], None] = lambda share: None,
    canceled: Callable[[], bool] = lambda: False,
) -> bytes:
    """The source's views along a path as an MP4 file. A camera that has no view gets the one before it.

    Raises CanceledError, and what the first camera's view was refused with if none has one.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "path.mp4"
        last: np.ndarray | None = None
        refused: SrayError | None = None
        with VideoFile(path, RATE) as video:
            for number, camera in enumerate(cameras, 1):
                try:
                    view = source.render(camera, is_preview=False, canceled=canceled).view
                    picture, _ = paint(view, output, source.label_space, hidden)
                    times = max(1, -(-LEAST_WIDTH // camera.width))
                    size = (times * camera.width, times * camera.height)
                    last = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
                except SrayError as error:
                    if isinstance(error, CanceledError):
                        raise
                    refused = refused or error
                if last is not None:
                    video.write(last.astype(np.uint8))
                on_progress(number / len(cameras))
        if last is None and refused is not None:
            raise refused
        return path.read_bytes()
