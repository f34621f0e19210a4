"""Pictures as another camera might have taken them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.label_space import VOID

ASPECT = 0.15
"""By which a crop's aspect may differ, as lens and pose change what is seen."""


def augment(
    image: UInt8[Tensor, "height width 3"],
    labels: UInt8[Tensor, "height width"],
    size: tuple[int, int],
    generator: torch.Generator,
    smallest_crop: float = 0.6,
) -> tuple[Float[Tensor, "3 new_height new_width"], UInt8[Tensor, "new_height new_width"]]:
    """Mirrored, cropped and resized to `size` (width, height), in other light, more or less sharp. Colors: 0..1.

    `smallest_crop`: share of the picture's width that is left at least; a third is three times the focal length.
    """
    random = torch.rand(10, generator=generator)
    if random[0] < 0.5:
        image, labels = image.flip(1), labels.flip(1)
    top, left, rows, columns = _crop(labels.shape, size, smallest_crop, random[1:5])
    picture = image[top : top + rows, left : left + columns].permute(2, 0, 1).unsqueeze(0).float() / 255
    picture = _resized(picture, size, blur=float(random[5]))
    cropped = labels[top : top + rows, left : left + columns]
    truth = F.interpolate(cropped[None, None].float(), (size[1], size[0]), mode="nearest-exact")[0, 0].to(torch.uint8)
    return _relit(picture[0], random[6:], generator), truth


def pasted(
    image: Float[Tensor, "3 height width"],
    labels: UInt8[Tensor, "height width"],
    other: Float[Tensor, "3 height width"],
    other_labels: UInt8[Tensor, "height width"],
    generator: torch.Generator,
) -> tuple[Float[Tensor, "3 height width"], UInt8[Tensor, "height width"]]:
    """A picture and its labels, covered where `other` shows a random half of its classes."""
    shown = torch.bincount(other_labels.flatten(), minlength=VOID + 1)[:VOID].nonzero()[:, 0].to(torch.uint8)
    half = torch.randperm(len(shown), generator=generator)[: (len(shown) + 1) // 2]
    covered = torch.isin(other_labels, shown[half])
    return torch.where(covered, other, image), torch.where(covered, other_labels, labels)


def _crop(shape: torch.Size, size: tuple[int, int], smallest: float, random: Tensor) -> tuple[int, int, int, int]:
    """Top, left, rows, columns: of a random width, even in log, and about the aspect of `size`."""
    height, width = shape
    columns = width * smallest ** float(random[0])
    rows = columns * size[1] / size[0] * (1 + ASPECT * float(2 * random[1] - 1))
    shrink = min(1.0, height / rows)
    rows, columns = max(2, round(rows * shrink)), max(2, round(columns * shrink))
    return int(random[2] * (height - rows + 1)), int(random[3] * (width - columns + 1)), rows, columns


def _resized(picture: Tensor, size: tuple[int, int], blur: float) -> Tensor:
    """At the new size; a third of them through a smaller one, as a picture of a small sensor that is enlarged."""
    width, height = size
    if blur < 0.33:
        share = 0.4 + 1.8 * blur
        picture = F.interpolate(
            picture, (round(height * share), round(width * share)), mode="bilinear", align_corners=False, antialias=True
        )
    return F.interpolate(picture, (height, width), mode="bilinear", align_corners=False, antialias=True)


def _relit(picture: Tensor, random: Tensor, generator: torch.Generator) -> Tensor:
    """Other exposure, contrast, gamma, white balance and saturation; noise."""
    gains = torch.exp(0.12 * torch.randn(3, 1, 1, generator=generator)) * (0.65 + 0.75 * float(random[0]))
    gamma = float(torch.exp(0.7 * (random[1] - 0.5)))
    picture = picture.clamp(1e-4, 1) ** gamma * gains
    gray = picture.mean(0, keepdim=True)
    picture = gray + (picture - gray) * (0.4 + 1.0 * float(random[2]))
    picture = picture + 0.04 * float(random[3]) ** 2 * torch.randn(picture.shape, generator=generator)
    return picture.clamp(0, 1)
