"""Segmenter: a picture in, labels of our label space and how sure they are out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from torch import Tensor

from sray.errors import ModelError, NoMemoryError, SrayError
from sray.label_space import VOID, LabelSpace
from sray.segmentation.mapping import ClassMapping
from sray.segmentation.pretrained import Pretrained
from sray.segmentation.probabilities import PixelScores, QueryScores, probabilities


@dataclass(frozen=True)
class Segmentation:
    """Labels of one picture."""

    labels: UInt8[np.ndarray, "height width"]
    """Indices of the label space; VOID (255) where unsure."""
    confidence: Float32[np.ndarray, "height width"]
    """Probability of the likeliest class of ours, whether it was sure enough or not."""

    @property
    def coverage(self) -> float:
        """Share of pixels with a label."""
        return float((self.labels != VOID).mean())


class Segmenter:
    """A 2D network, the mapping of its classes, and how sure it must be."""

    def __init__(
        self, pretrained: Pretrained, mapping: ClassMapping, threshold: float = 0.5, device: torch.device | str = "cpu"
    ) -> None:
        """Raises ValueError if the threshold is no probability, ModelError as `ClassMapping.table`."""
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is {threshold}; expected a probability, 0 to 1")
        self.pretrained = pretrained
        self.mapping = mapping
        self.threshold = threshold
        self._device = torch.device(device)
        self._table = mapping.table(pretrained.labels).to(self._device)
        self._model = pretrained.model.to(self._device)

    @property
    def label_space(self) -> LabelSpace:
        return self.mapping.label_space

    @torch.inference_mode()
    def segment(self, image: UInt8[np.ndarray, "height width 3"]) -> Segmentation:
        """Labels of an RGB picture, at its size.

        A pixel is VOID where "says nothing" is likelier than every class of ours, or the likeliest one's probability
        is below the threshold. Raises ModelError if the network answers in another way than it should,
        and NoMemoryError.
        """
        height, width = image.shape[:2]
        try:
            scores = self._scores(image)
            parts = [_decide(band, self.threshold) for band in probabilities(scores, self._table, height, width)]
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise NoMemoryError(
                f"a picture of {width}x{height} is too much for {self.pretrained.name} on {self._device}",
                "one that fits",
                "Take smaller pictures or a smaller model",
            ) from error
        labels, confidence = zip(*parts, strict=True)
        return Segmentation(np.concatenate(labels), np.concatenate(confidence))

    def _scores(self, image: NDArray[np.uint8]) -> PixelScores | QueryScores:
        inputs = self._inputs(image)
        if inputs.ndim != 4 or len(inputs) != 1:
            raise self._strange(f"a picture cut into {tuple(inputs.shape)}")
        try:
            out = self._model(pixel_values=inputs)
        except (TypeError, ValueError) as error:  # OneFormer wants to be told its task
            raise self._strange(f"an error ({error})") from error
        scores: PixelScores | QueryScores
        if (queries := getattr(out, "class_queries_logits", None)) is not None:
            named = queries[0].float().softmax(-1)[:, :-1]
            scores, classes = QueryScores(out.masks_queries_logits[0].float(), named), named.shape[1]
        elif getattr(out, "logits", None) is not None and out.logits.ndim == 4:
            scores, classes = PixelScores(out.logits[0].float()), out.logits.shape[1]
        else:
            raise self._strange(f"an output with {', '.join(out.keys())}")
        if classes != len(self._table):
            raise self._strange(f"{classes} classes")
        return scores

    def _inputs(self, image: NDArray[np.uint8]) -> Tensor:
        """The whole picture as the network takes it: never cropped or padded, or labels would sit beside things."""
        whole = {name: False for name in ("do_center_crop", "do_pad") if getattr(self.pretrained.processor, name, None)}
        made: dict[str, Any] = self.pretrained.processor(images=image, return_tensors="pt", **whole)
        values: Tensor = made["pixel_values"]
        return values.to(self._device)

    def _strange(self, found: str) -> SrayError:
        return ModelError(
            f"{self.pretrained.name} answers with {found}",
            f"scores of the {len(self._table)} classes that its config names, for each pixel or for each query",
            "Take a model for semantic or universal segmentation",
        )


def _decide(band: Tensor, threshold: float) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Labels and confidence of probabilities (targets, height, width), the last of which says nothing."""
    confidence, labels = band[:-1].max(0)
    sure = (confidence >= threshold) & (confidence >= band[-1])  # NaN is neither
    labels = torch.where(sure, labels, VOID).to(torch.uint8)
    return labels.cpu().numpy(), confidence.cpu().numpy()
