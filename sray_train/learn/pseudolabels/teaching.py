"""Pseudo-labeled recordings as teachers of a training run: each label counts as much as its maker was sure of it.

Weighing is by chance: whenever a pixel is drawn, its label is kept with its confidence for a probability. The mean over
draws is that of a weighted loss, and losses know nothing of confidence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from sray.errors import FileError, ModelError
from sray.frames import Frame, at_size_of_image, nearest_exact
from sray.label_space import VOID, LabelSpace
from sray.sequence import Sequence
from sray_train.data.catalog import refuse_scored
from sray_train.data.config import DataConfig
from sray_train.data.recording import read_picture
from sray_train.data.scannet import open_folder
from sray_train.data.scene import FrameCache, RecordedFrames, Scene, evenly_spread, fitting_size
from sray_train.learn.pseudolabels.folder import RECORD, confidence_file


@dataclass(frozen=True)
class PseudoLabeledFrame(Frame):
    """A frame whose labels a model made."""

    confidence: UInt8[Tensor, "height width"] | None = None
    """How sure the model was of each label: 0 to 255."""

    def resized(self, width: int, height: int) -> Frame:
        smaller = super().resized(width, height)
        if smaller is self:
            return self
        assert isinstance(smaller, PseudoLabeledFrame) and self.confidence is not None
        return replace(smaller, confidence=torch.from_numpy(nearest_exact(self.confidence.numpy(), width, height)))


def drawn(frame: Frame, generator: torch.Generator) -> Frame:
    """The frame, each pseudo-label kept with its confidence for a probability and void otherwise; true labels stay."""
    if not isinstance(frame, PseudoLabeledFrame) or frame.labels is None or frame.confidence is None:
        return frame
    chance = torch.rand(frame.labels.shape, generator=generator)
    return replace(frame, labels=frame.labels.masked_fill(255 * chance >= frame.confidence, VOID))


@dataclass(frozen=True)
class _Confident:
    """A folder of pseudo-labels; indexing reads a frame."""

    sequence: Sequence

    def __getitem__(self, position: int) -> Frame:
        frame, number = self.sequence[position], self.sequence.indices[position]
        if frame.labels is None:
            return frame
        path = confidence_file(self.sequence.folder, number)
        if not path.is_file():
            raise FileError(f"{path} does not exist", "the confidence of each label", "Label the recording anew")
        stored = read_picture(path, cv2.IMREAD_UNCHANGED)
        if stored.dtype != np.uint8 or stored.ndim != 2:
            raise FileError(f"{path} holds {stored.dtype} of shape {stored.shape}", "8 bits of one channel")
        size = frame.camera.width, frame.camera.height
        confidence = torch.from_numpy(at_size_of_image(stored, *size, "confidence", path))
        return PseudoLabeledFrame(**vars(frame), confidence=confidence)


def load_pseudolabeled(data: DataConfig, space: LabelSpace) -> list[Scene]:
    """The scenes of `data.pseudolabelled`, at the config's width and their own aspect.

    Raises, naming the folder, FileError if it is none that `sray pseudolabel` made, ModelError if it was labeled in
    another label space, RequestError if it shows a place that `data.test` scores (`refuse_scored`).
    """
    cache = FrameCache()
    return [
        _scene(Path(name).expanduser(), data, space, cache)
        for name in filter(None, (part.strip() for part in data.pseudolabelled.split(",")))
    ]


def _scene(folder: Path, data: DataConfig, space: LabelSpace, cache: FrameCache) -> Scene:
    try:
        record = json.loads((folder / RECORD).read_text())
        labeled_in, recorded = str(record["label_space"]), Path(record["sequence"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{folder} has no {RECORD} that can be read ({error})"
        raise FileError(found, "a folder that `sray pseudolabel` made") from error
    if labeled_in != space.name:
        raise ModelError(
            f"{folder} has labels of label space {labeled_in}",
            f"{space.name}, as data.label_space",
            f"Label it with sray pseudolabel --label-space {space.name}, and another --output",
        )
    refuse_scored(data, folder, recorded)
    sequence = open_folder(folder, space, "nyu40")
    size = fitting_size(sequence, data.width, data.height)
    positions = evenly_spread(min(data.frames or len(sequence), len(sequence)), len(sequence))
    frames = RecordedFrames(_Confident(sequence), positions, size, cache)
    return replace(Scene.of(sequence, size, data.frames, cache), frames=frames)
