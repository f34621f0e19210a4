"""SegmentingWork: loads the network and labels pictures, on the segmenter's worker thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from sensor_msgs.msg import CompressedImage, Image

from sray.errors import ModelError, SrayError
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.mapping.refusals import memory_errors
from sray.pictures import BitDepth
from sray.segmentation import ClassMapping, Pretrained, Segmentation, Segmenter, load_mapping, load_pretrained
from sray_ros.common.conversions import read_image
from sray_ros.common.model_choice import device_of
from sray_ros.segmenter.parameters import SegmenterParameters

Made = TypeVar("Made")

SHOWN = 4
"""Classes in a message, at most."""


class SegmentingWork:
    """A network in every label space that its mapping knows; which one is used, the mapper may say later."""

    def __init__(self, parameters: SegmenterParameters) -> None:
        self._parameters = parameters
        self._named: tuple[str, ...] | None = None
        """The mapper's classes; None: it has not said."""
        self._segmenters: dict[str, Segmenter | SrayError] = {}
        """By label space; or why there is none."""
        self.device = torch.device("cpu")
        self._bit_depth = BitDepth()
        self.sha256 = ""
        """Of the model, once it is loaded."""

    def load(self) -> None:
        """Raises SrayError, naming the parameter and its value, if model, mapping or device cannot be had."""
        if threads := self._parameters.now.threads:
            torch.set_num_threads(threads)
        wanted = self._parameters.now.label_space
        self.device = device_of(self._parameters.now.device, "device")
        spaces = [LABEL_SPACES[wanted]] if wanted else list(LABEL_SPACES.values())
        with _naming("mapping", self._parameters.now.mapping):  # before a model is fetched
            mappings = [_or_error(self._mapping, space) for space in spaces]
            _need_one(mappings)
        with _naming("model", self._parameters.now.model), memory_errors("load it", "a smaller one, or another device"):
            pretrained = load_pretrained(self._parameters.now.model)
            segmenters = [_or_error(self._segment_into, mapping, pretrained) for mapping in mappings]
            self.sha256 = pretrained.sha256
        with _naming("mapping", self._parameters.now.mapping):
            _need_one(segmenters)
        self._segmenters = {space.name: each for space, each in zip(spaces, segmenters, strict=True)}

    def hear(self, names: tuple[str, ...]) -> None:
        """The mapper's classes in their order. Any thread."""
        self._named = names

    @property
    def segmenter(self) -> Segmenter | None:
        """Into the label space that is asked for; None while the mapper has not said which that is.

        Raises ModelError if there can be none.
        """
        if (space := self._space()) is None:
            return None
        if isinstance(segmenter := self._segmenters[space.name], SrayError):
            raise segmenter.afresh()
        return segmenter

    def label(self, message: Image | CompressedImage) -> Segmentation:
        """Raises PictureError, NoMemoryError, ModelError."""
        segmenter = self.segmenter
        if segmenter is None:
            raise ModelError("no label space is known", remedy="Set label_space")
        segmenter.threshold = self._parameters.now.threshold
        picture = read_image(message, bit_depth=self._bit_depth)
        height, width = picture.shape[:2]
        with memory_errors(f"label a picture of {width}x{height}", "smaller pictures or a smaller model"):
            return segmenter.segment(picture)

    def _mapping(self, space: LabelSpace) -> ClassMapping:
        return load_mapping(Path(self._parameters.now.mapping).expanduser(), space)

    def _segment_into(self, mapping: ClassMapping | SrayError, pretrained: Pretrained) -> Segmenter:
        if isinstance(mapping, SrayError):
            raise mapping
        return Segmenter(pretrained, mapping, self._parameters.now.threshold, self.device)

    def _space(self) -> LabelSpace | None:
        """Raises ModelError for one that is unknown, or other than `label_space`."""
        wanted, named = self._parameters.now.label_space, self._named
        if named is None:
            return LABEL_SPACES[wanted] if wanted else None
        shown = ", ".join(named[:SHOWN]) + ", ..." * (len(named) > SHOWN)
        space = next((space for space in LABEL_SPACES.values() if space.names == named), None)
        if space is None:
            raise ModelError(
                f"the mapper's label/info names {len(named)} classes ({shown})",
                f"those of one of {', '.join(LABEL_SPACES)}",
                "Load a model of such a label space into the mapper",
            )
        if wanted not in ("", space.name):
            raise ModelError(
                f"label_space is {wanted!r}, and the mapper's label/info names the classes of {space.name} ({shown}), "
                "so that labels would mean something else there",
                "one label space",
                "Leave label_space empty",
            )
        return space


def _or_error(make: Callable[..., Made], *arguments: Any) -> Made | SrayError:
    try:
        return make(*arguments)
    except SrayError as error:
        return error.afresh()


def _need_one(made: Sequence[Any]) -> None:
    """Raises the first SrayError if there is nothing else."""
    if all(isinstance(each, SrayError) for each in made):
        raise made[0]


@contextmanager
def _naming(parameter: str, value: str) -> Iterator[None]:
    """Errors begin with the parameter they are about."""
    try:
        yield
    except SrayError as error:
        raise error.of(f"{parameter} is {value!r}: ") from error
