"""A picture of many rooms at once: a few frames of each, color above labels."""

from __future__ import annotations

from collections.abc import Sequence as Paths
from pathlib import Path

import cv2
import numpy as np

from sray.errors import FileError
from sray.label_space import NYU40
from sray.sequence import Sequence

COLUMNS = 4


def write_contact_sheet(folders: Paths[Path], path: Path) -> None:
    """A PNG with a row of color and a row of labels for each folder."""
    rows = []
    for folder in folders:
        sequence = Sequence.open(folder, NYU40)
        chosen = [sequence[int(k)] for k in np.linspace(0, len(sequence) - 1, COLUMNS)]
        rows.append(np.concatenate([frame.image.numpy() for frame in chosen], 1))
        labels = [NYU40.colorize(frame.labels.numpy()) for frame in chosen if frame.labels is not None]
        rows.append(np.concatenate(labels, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)):
        raise FileError(f"{path} could not be written", "a .png path in a writable folder")
