"""The pictures of a rendered path on disk, one number each; a folder that is half done is completed, not begun again.

color/000000.png         RGB
labels/000000.png        class indices, 8 bits, 255 void
label_colors/000000.png  the same as colors
depth/000000.png         millimeters, 16 bits, 0 void
exposure/000000.json     what the colors are over those of the one exposure that all pictures share
render.json              what was rendered from what, and every camera
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveFloat, TypeAdapter

from sray.camera import Camera
from sray.errors import FileError
from sray.field import RenderedView
from sray.files import write_atomically
from sray.label_space import LabelSpace
from sray_train.records import with_nulls, write_record

KINDS = ("color", "labels", "label_colors", "depth")
EXPOSURES = "exposure"
"""Folder of what `RenderedView.exposure` of each picture was: without it their colors could not be fused."""
SETTINGS = "render.json"
FARTHEST = 65.535
"""Meters that 16 bits of millimeters can hold; what is farther is stored as this."""


@dataclass(frozen=True)
class RenderFolder:
    """Open one with `prepare`."""

    path: Path
    label_space: LabelSpace

    @staticmethod
    def prepare(path: Path, label_space: LabelSpace, settings: dict[str, Any], *, overwrite: bool) -> RenderFolder:
        """A new folder, or one that was begun with the same settings. `overwrite`: pictures of others are removed.

        Raises FileError if the folder holds pictures of other settings and `overwrite` is not set, or
        something that was never rendered.
        """
        settings = with_nulls(settings)
        known = path / SETTINGS
        if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not known.is_file())):
            raise FileError(
                f"{path} holds something that `sray render` did not write",
                "a new or empty folder",
                "Give another --output",
            )
        if known.is_file():
            differing = _differences(_read_settings(known), settings)
            if differing and not overwrite:
                raise FileError(
                    f"{path} holds pictures of other settings ({'; '.join(differing)})",
                    "the same, to go on",
                    "Pass --overwrite or another --output",
                )
            if overwrite:
                known.unlink()  # last to be written, first to go: what is left is never taken for these settings
        if overwrite:
            for kind in (*KINDS, EXPOSURES):
                shutil.rmtree(path / kind, ignore_errors=True)
        write_record(known, settings)
        return RenderFolder(path, label_space)

    def has(self, number: int) -> bool:
        """Whether all pictures of a number are there. Each appears whole or not at all."""
        return self._exposure(number).is_file() and all(self.file(kind, number).is_file() for kind in KINDS)

    def file(self, kind: str, number: int) -> Path:
        return self.path / kind / f"{number:06d}.png"

    def write(self, number: int, view: RenderedView) -> None:
        """Raises FileError."""
        labels = view.labels.numpy()
        millimeters = (view.depth.numpy().clip(0, FARTHEST) * 1000).round()
        self._write("color", number, _bgr((view.color * 255).round().to(torch.uint8).numpy()))
        self._write("labels", number, labels)
        self._write("label_colors", number, _bgr(self.label_space.colorize(labels)))
        self._write("depth", number, np.nan_to_num(millimeters, nan=0).astype(np.uint16))
        write_atomically(self._exposure(number), json.dumps(view.exposure.tolist()).encode())

    def read(self, number: int, camera: Camera) -> RenderedView:
        """A written view, to the accuracy of its files; confidence is not kept, and is 1 where there is a label.

        Raises FileError if a picture is damaged or of another size than the camera.
        """
        color = self.picture("color", number)
        labels = self.picture("labels", number)
        millimeters = self.picture("depth", number)
        for part in (color, labels, millimeters):
            if part.shape[:2] != (camera.height, camera.width):
                raise FileError(
                    f"{self.file('color', number)} and its like are {part.shape[1]}x{part.shape[0]}",
                    f"{camera.width}x{camera.height}",
                    "Remove them, and they are rendered again",
                )
        view = replace(RenderedView.blank(camera), exposure=torch.tensor(self._read_exposure(number)))
        view.common_color[:] = torch.from_numpy(color).float() / 255 / view.exposure
        view.labels[:] = torch.from_numpy(labels)
        view.depth[:] = torch.from_numpy(np.where(millimeters > 0, millimeters.astype(np.float32) / 1000, np.nan))
        view.confidence[:] = (view.labels != 255).float()
        return view

    def picture(self, kind: str, number: int) -> NDArray[Any]:
        """RGB, indices, or millimeters, as stored. Raises FileError if it cannot be read."""
        path = self.file(kind, number)
        stored: NDArray[Any] | None = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        if stored is None:
            raise FileError(
                f"{path} cannot be decoded", "a picture that `sray render` wrote", "Remove it, and it is rendered again"
            )
        return np.ascontiguousarray(stored[..., ::-1]) if stored.ndim == 3 else stored

    def _exposure(self, number: int) -> Path:
        return self.path / EXPOSURES / f"{number:06d}.json"

    def _read_exposure(self, number: int) -> tuple[float, float, float]:
        path = self._exposure(number)
        try:
            return TypeAdapter(tuple[PositiveFloat, PositiveFloat, PositiveFloat]).validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise FileError(
                f"{path} cannot be read ({error})", "what `sray render` wrote", "Remove it, and it is rendered again"
            ) from error

    def _write(self, kind: str, number: int, picture: NDArray[Any]) -> None:
        done, encoded = cv2.imencode(".png", picture)
        assert done, f"OpenCV cannot encode a picture of shape {picture.shape} as PNG"
        write_atomically(self.file(kind, number), encoded.tobytes())


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read ({error})", "what `sray render` wrote", "Remove its folder") from error
    if not isinstance(settings, dict):
        raise FileError(f"{path} holds no settings", "what `sray render` wrote")
    return settings


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One phrase for each setting that differs."""
    return [
        f"{name} {before.get(name)}, now {now.get(name)}" if not isinstance(now.get(name), list) else f"other {name}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture[..., ::-1])
