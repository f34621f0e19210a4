"""The reference renderer: the paper's form in plain PyTorch float32, which the quality levels are compared with.

Both heads in full on 64 + 64 samples, source features encoded once. Two things are tuned, which the paper's form leaves
open: how many rays are rendered at once, and how a softmax over eight views is computed.
"""

from __future__ import annotations

import copy
import math
from concurrent.futures import ThreadPoolExecutor

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sray.attention import CrossReprojectionAttention, MaskedAttention
from sray.context import EncodedViews
from sray.model import SemanticRay
from sray.ray_output import RayOutput
from sray.rays import RayBundle, SampleCounts

SAMPLES = SampleCounts(64, 64)
CHUNKS = (24, 32, 48)
"""Rays at once that are tried on a CPU; a GPU wants more."""
GPU_CHUNKS = (1024, 2048, 4096)


class ShortAttention(MaskedAttention):
    """The same attention for sequences of a few tokens, written out head by head.

    PyTorch's fused kernel spends a call on every row of scores, and its softmax over the last axis a vector: eight
    views fill neither. Here the scores are transposed, so that the softmax runs over the queries in whole vectors.
    """

    def forward(
        self, tokens: Float[Tensor, "*shape channels"], valid: Bool[Tensor, "*shape"], along: int = -1
    ) -> Float[Tensor, "*shape channels"]:
        axis = along if along >= 0 else along - 1
        tokens, valid = tokens.movedim(axis, -2), valid.movedim(along, -1)
        batch, (length, channels) = math.prod(tokens.shape[:-2]), tokens.shape[-2:]
        any_key = valid.any(-1, keepdim=True)
        absent = ~(valid | ~any_key).reshape(batch, length, 1)
        bias = torch.zeros_like(absent, dtype=tokens.dtype).masked_fill_(absent, -torch.inf)
        # A matrix product of a permuted tensor is several times as slow as the copy that avoids it.
        projected = [part.reshape(batch, length, channels) for part in self.projected(tokens.contiguous())]
        heads = [torch.split(part, channels // self.heads, dim=-1) for part in projected]
        attended = []
        for query, key, value in zip(*heads, strict=True):
            scores = torch.baddbmm(bias, key, query.transpose(1, 2), alpha=query.shape[-1] ** -0.5)  # [key, query]
            attended.append(torch.softmax(scores, dim=1).transpose(1, 2) @ value)
        mixed = self.mixed(torch.cat(attended, dim=-1).reshape(tokens.shape))
        # Rows that have no key are zero; there are none where all is seen.
        mixed = mixed if any_key.all() else mixed * any_key.unsqueeze(-1)
        return mixed.movedim(-2, axis)


class ReferenceRenderer:
    """Renders rays of a target camera by `SemanticRay.forward`, a chunk at a time."""

    def __init__(self, model: SemanticRay, samples: SampleCounts = SAMPLES, chunk_rays: int = 128) -> None:
        self.model = copy.deepcopy(model).eval().float()
        self.samples = samples
        self.chunk_rays = chunk_rays
        for head in (self.model.coarse, self.model.fine):
            _write_out_short_attention(head.attention)

    def render(self, views: EncodedViews, rays: RayBundle) -> RayOutput:
        """The fine result along the rays; the coarse one is computed and dropped."""
        threads = torch.get_num_threads()
        chunks = list(rays.split(self.chunk_rays))
        if rays.pixels.is_cuda or threads == 1:
            parts = [self._chunk(views, chunk) for chunk in chunks]
        else:
            # One chunk a thread: no operation waits for the slower half of itself.
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                torch.set_num_threads(1)
                try:
                    parts = list(pool.map(lambda chunk: self._chunk(views, chunk), chunks))
                finally:
                    torch.set_num_threads(threads)
        return RayOutput(**{name: torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])})

    def flops(self, views: EncodedViews, rays: RayBundle) -> int:
        """Multiplications and additions of one ray's matrix products, the mean over the rays, as torch counts them.

        Gathering, norms, activations and compositing are left out, as is usual: a share of the matrix-product rate
        computed from these is a lower bound of the arithmetic done.
        """
        # Torch does not see into the fused attention of the CPU.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            self._chunk(views, rays)
        return int(counter.get_total_flops() // len(rays))

    @torch.inference_mode()  # of each thread
    def _chunk(self, views: EncodedViews, rays: RayBundle) -> RayOutput:
        result: RayOutput = self.model(views, rays, self.samples)[1]
        return result


def _write_out_short_attention(attention: CrossReprojectionAttention) -> None:
    for name, fused in list(attention.steps.items()):
        if name == "cross_view" and isinstance(fused, MaskedAttention):
            written = ShortAttention(fused.project.in_features, fused.heads, bias=fused.project.bias is not None)
            written.load_state_dict(fused.state_dict())
            attention.steps[name] = written.to(fused.project.weight.device).eval()
