"""The reference renderer: the paper's form in plain PyTorch float32. Competent, untuned, and honest about its rate.

Both heads in full on 64 + 64 samples, source features encoded once. Only what the form leaves open is chosen well: how
many rays go at once, and how a softmax over eight views is laid out.
"""

from __future__ import annotations

import copy
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sray.attention import CrossReprojectionAttention, MaskedAttention
from sray.camera import Camera
from sray.context import EncodedViews
from sray.model import RayOutput, RaySamples, SemanticRay
from sray.sampling import ROOM_BOUNDS

SAMPLES = RaySamples(64, 64)
CHUNKS = (32, 64, 128, 256)
"""Rays at once that are tried on a CPU; a GPU wants more."""
GPU_CHUNKS = (1024, 2048, 4096)


class ShortAttention(MaskedAttention):
    """The same attention for sequences of a few tokens, written out.

    PyTorch's fused kernel and its softmax over the last axis both take a call or a vector per row, which eight views
    do not fill. Here the scores are transposed, so that the softmax runs over the queries in whole vectors.
    """

    def forward(
        self, tokens: Float[Tensor, "*batch tokens channels"], valid: Bool[Tensor, "*batch tokens"]
    ) -> Float[Tensor, "*batch tokens channels"]:
        batch, (length, channels) = math.prod(tokens.shape[:-2]), tokens.shape[-2:]
        width = channels // self.heads
        query, key, value = (
            self.project(tokens.contiguous())
            .reshape(batch, length, 3, self.heads, width)
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )
        any_key = valid.any(-1, keepdim=True)
        scores = key @ (query * width**-0.5).transpose(-1, -2)  # [key, query]
        absent = ~(valid | ~any_key).reshape(batch, 1, length, 1)
        weights = torch.softmax(scores.masked_fill_(absent, -torch.inf), dim=-2)
        attended = weights.transpose(-1, -2) @ value
        mixed: Tensor = self.output(attended.transpose(1, 2).reshape(tokens.shape))
        return mixed * any_key.unsqueeze(-1)


class ReferenceRenderer:
    """Renders rays of a target camera by `SemanticRay.forward`, a chunk at a time."""

    def __init__(self, model: SemanticRay, samples: RaySamples = SAMPLES, chunk_rays: int = 128) -> None:
        self.model = copy.deepcopy(model).eval().float()
        self.samples = samples
        self.chunk_rays = chunk_rays
        for head in (self.model.coarse, self.model.fine):
            _write_out_short_attention(head.attention)

    @torch.inference_mode()
    def render(
        self,
        views: EncodedViews,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        bounds: tuple[float, float] = ROOM_BOUNDS,
    ) -> RayOutput:
        """The fine result of the target's rays through `pixels`; the coarse one is computed and dropped."""
        parts = [
            self.model(views, target, chunk, bounds, self.samples)[1] for chunk in torch.split(pixels, self.chunk_rays)
        ]
        return RayOutput(**{name: torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def _write_out_short_attention(attention: CrossReprojectionAttention) -> None:
    for name, fused in list(attention.steps.items()):
        if name == "cross_view" and isinstance(fused, MaskedAttention):
            written = ShortAttention(fused.project.in_features, fused.heads, bias=fused.project.bias is not None)
            written.load_state_dict(fused.state_dict())
            attention.steps[name] = written.to(fused.project.weight.device).eval()
