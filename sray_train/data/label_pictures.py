"""The label pictures of a ScanNet scene: a `label-filt` folder, or the zip archive that ScanNet ships."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.errors import FileError
from sray_train.data.recording import read_picture

ARCHIVE = "{scene}_2d-label-filt.zip"


@dataclass(frozen=True)
class LabelPictures:
    """`N.png` of ids by frame number."""

    path: Path
    """The folder or the archive."""
    members: dict[int, str]
    """Frame number -> file name within it."""
    _opened: dict[int, zipfile.ZipFile] = field(default_factory=dict, repr=False, compare=False)
    """Process -> the archive, open: forked workers must not share a file position. Threads may, zipfile locks."""

    @staticmethod
    def beside(scene: str, folders: list[Path]) -> LabelPictures | None:
        """The scene's label pictures in one of the folders, if there are any.

        Raises FileError if the archive cannot be read or holds none.
        """
        for folder in folders:
            if (folder / "label-filt").is_dir():
                return LabelPictures.of(folder / "label-filt")
            if (archive := folder / ARCHIVE.format(scene=scene)).is_file():
                return LabelPictures.of(archive)
        return None

    @staticmethod
    def of(path: Path) -> LabelPictures:
        """Raises FileError if the folder or archive cannot be read or holds no N.png."""
        if path.is_dir():
            names = [child.name for child in path.iterdir()]
        else:
            try:
                with zipfile.ZipFile(path) as archive:
                    names = archive.namelist()
            except (OSError, zipfile.BadZipFile) as error:
                raise FileError(f"{path} cannot be read ({error})", "ScanNet's archive", "Download it again") from error
        parts = [PurePosixPath(name) for name in names]
        members = {int(part.stem): str(part) for part in parts if part.suffix == ".png" and part.stem.isdigit()}
        if not members:
            raise FileError(f"{path} holds no N.png", "label pictures named by frame number", "Get the scene again")
        return LabelPictures(path, members)

    def read(self, number: int) -> NDArray[Any]:
        """Ids (height, width), as stored. Raises FileError, naming it, if it is missing or damaged."""
        name = self.members.get(number, f"{number}.png")
        in_folder = self.path.is_dir()
        ids = read_picture(self.path / name, cv2.IMREAD_UNCHANGED) if in_folder else self._from_archive(name)
        if ids.ndim != 2:
            raise FileError(f"{self.path / name} has shape {ids.shape}", "one channel of ids", "Get the scene again")
        return ids

    def _from_archive(self, name: str) -> NDArray[Any]:
        try:
            if os.getpid() not in self._opened:
                self._opened[os.getpid()] = zipfile.ZipFile(self.path)
            payload = self._opened[os.getpid()].read(name)
        except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise FileError(
                f"{self.path} gives no {name} ({error})", "ScanNet's archive", "Download it again"
            ) from error
        ids: NDArray[Any] | None = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_UNCHANGED)
        if ids is None:
            raise FileError(f"{self.path} holds a damaged {name}", "ScanNet's archive", "Download it again")
        return ids

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}}
