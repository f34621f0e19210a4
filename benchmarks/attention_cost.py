"""The paper's Tables 6 and 7: arithmetic and memory of Cross-Reprojection Attention and of its ablations, forward.

    python benchmarks/attention_cost.py --json benchmarks/results/attention_cost.json

Input 1024 rays x 64 samples x 8 views x 32 channels, counted by torch itself: `torch.utils.flop_counter` the products,
2 FLOP a multiply-add, and the profiler's allocations the peak of memory above what was there before. Twice: with the
scores written out, as the paper's figures must have been, and with torch's fused attention, as the model runs. Rays do
not know of each other: a part of them is measured, and scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
import tyro
from measuring import command, one_thread
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from sray.attention import AttentionVariant, CrossReprojectionAttention
from sray.encoder import FEATURE_CHANNELS
from sray_train.machine import device_name
from sray_train.paper.study.commit import present_commit
from sray_train.paper.study.record import METRICS, Record, add_records

RAYS, SAMPLES, VIEWS = 1024, 64, 8
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


@dataclass
class Measure:
    """Count FLOP and bytes."""

    rays: int = 128
    """Measured; the figures are scaled to 1024."""
    json: Path | None = None
    """The file of records."""


def main(measure: Measure) -> None:
    one_thread()
    records = []
    for variant in get_args(AttentionVariant):
        gflop, plain = cost(variant, [SDPBackend.MATH], measure.rays)
        _, fused = cost(variant, FUSED, measure.rays)
        print(f"{variant:10}  {gflop:6.2f} GFLOP  {plain:6.0f} MB, fused {fused:5.0f} MB")
        records.append(
            Record(
                system="semantic_ray",
                setting="generalization",
                seed=0,
                seconds=0.0,
                views=VIEWS,
                data=f"{RAYS} rays x {SAMPLES} samples x {VIEWS} views x {FEATURE_CHANNELS} channels",
                metrics=dict.fromkeys(METRICS),
                commit=present_commit(),
                config="benchmarks/attention_cost.py",
                variant="semantic_ray" if variant == "full" else f"attention_{variant}",
                options={"model.attention": variant},
                cost={"gflop": round(gflop, 3), "peak_mb": round(plain, 1), "fused_peak_mb": round(fused, 1)},
                device=f"{device_name(torch.device('cpu'))}, 1 thread",
                command=command(),
            )
        )
    if measure.json is not None:
        add_records(measure.json, records)
        print(f"records: {measure.json}")


def cost(variant: AttentionVariant, kernels: list[SDPBackend], rays: int) -> tuple[float, float]:
    """GFLOP and peak megabytes (1e6) of 1024 rays."""
    attention = CrossReprojectionAttention(FEATURE_CHANNELS, variant, residual=True).eval()
    shape = (VIEWS, rays, SAMPLES)
    inputs = (
        torch.randn(*shape, FEATURE_CHANNELS),
        torch.ones(shape, dtype=torch.bool),
        torch.linspace(0, 1, SAMPLES).expand(rays, -1),
    )
    with torch.inference_mode(), sdpa_kernel(kernels):
        with FlopCounterMode(display=False) as counter:
            attention(*inputs)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            attention(*inputs)
    changes = sorted(
        (event.start_ns(), event.nbytes())
        for event in profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
        if event.name() == "[memory]"
    )
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    scale = RAYS / rays
    return counter.get_total_flops() * scale / 1e9, peak * scale / 1e6


if __name__ == "__main__":
    main(tyro.cli(Measure))
