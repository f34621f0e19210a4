"""How alike two pictures are to an eye: SSIM, and LPIPS where its weights are at hand. PSNR is in `sray.metrics`.

Apart from it, since torchmetrics takes longer to load than a robot needs to start, and no node scores pictures.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

SSIM_WINDOW = 11
"""Pixels; the window is a Gaussian of 1.5 pixels, as the measure was published."""


def ssim(image: Float[Tensor, "height width 3"], truth: Float[Tensor, "height width 3"]) -> float:
    """Structural similarity of colors in 0..1: 1 for equal pictures; NaN if a side is shorter than the window.

    The mean over channels and over pixels whose window lies within the picture. Twin: test/reference/ssim.py.
    """
    if min(image.shape[:2]) < SSIM_WINDOW:
        return math.nan
    # Here: loading it, with all that it looks for, takes longer than most commands run.
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, similarity = structural_similarity_index_measure(
        _batch(image), _batch(truth), sigma=1.5, data_range=1.0, return_full_image=True
    )
    # The library mirrors the picture at its border and counts those windows too; as published, they are left out.
    margin = SSIM_WINDOW // 2
    return float(similarity[..., margin:-margin, margin:-margin].mean())


class Lpips:
    """Learned perceptual distance, AlexNet's: 0 for equal pictures. Build it with `find_lpips`."""

    def __init__(self) -> None:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        self._distance = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)

    @torch.inference_mode()
    def __call__(self, image: Float[Tensor, "height width 3"], truth: Float[Tensor, "height width 3"]) -> float:
        """Of colors in 0..1."""
        return float(self._distance(_batch(image), _batch(truth)))


def find_lpips(*, download: bool = False) -> tuple[Lpips | None, str]:
    """The distance, or None and the reason why it cannot be had. Fetches its weights only if `download` allows it."""
    if importlib.util.find_spec("torchvision") is None:
        return None, "torchvision, which holds its backbone, is not installed"
    backbones = importlib.import_module("torchvision.models")
    weights = Path(torch.hub.get_dir()) / "checkpoints" / Path(backbones.AlexNet_Weights.DEFAULT.url).name
    if not weights.is_file() and not download:
        return None, f"its backbone's weights ({weights.name}) are not on this machine; --lpips fetches them"
    try:
        return Lpips(), ""
    except (OSError, RuntimeError) as error:  # no network, a file cut short
        return None, f"its backbone's weights cannot be loaded ({error})"


def _batch(image: Tensor) -> Tensor:
    # In float64 this convolution takes 4 GB and 20 s for a picture of 960x720.
    return image.float().clamp(0, 1).permute(2, 0, 1).unsqueeze(0)
