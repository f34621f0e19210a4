"""Pictures as another camera might have taken them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor


def augment(
    image: UInt8[Tensor, "height width 3"], labels: UInt8[Tensor, "height width"], generator: torch.Generator
) -> tuple[Float[Tensor, "3 height width"], UInt8[Tensor, "height width"]]:
    """Mirrored, cropped to 0.6-1 of each side and resized, in other light, with noise. Colours come back in 0..1."""
    height, width = labels.shape
    random = torch.rand(7, generator=generator)
    picture = image.permute(2, 0, 1).float() / 255
    if random[0] < 0.5:
        picture, labels = picture.flip(-1), labels.flip(-1)
    scale = float(1 - 0.4 * random[1])
    rows, columns = round(height * scale), round(width * scale)
    top, left = int(random[2] * (height - rows + 1)), int(random[3] * (width - columns + 1))
    picture = picture[:, top : top + rows, left : left + columns].unsqueeze(0)
    picture = F.interpolate(picture, (height, width), mode="bilinear", align_corners=False)[0]
    cropped = labels[top : top + rows, left : left + columns]
    labels = F.interpolate(cropped[None, None].float(), (height, width), mode="nearest-exact")[0, 0].to(torch.uint8)
    gains = 1 + 0.12 * torch.randn(3, 1, 1, generator=generator)
    gamma = float(torch.exp(0.5 * (random[4] - 0.5)))
    picture = (picture.clamp(1e-4, 1) ** gamma * gains * (0.75 + 0.5 * random[5])).clamp(0, 1)
    noise = 0.02 * random[6] * torch.randn(picture.shape, generator=generator)
    return (picture + noise).clamp(0, 1), labels
