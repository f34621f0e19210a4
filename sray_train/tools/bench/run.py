"""The whole bench on given scenes: what `sray bench` records, and the record as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sray.checkpoint import Checkpoint
from sray.field import SemanticField
from sray_train.data.scene import Scene
from sray_train.machine import device_name
from sray_train.tools.bench.levels import LEVELS, compare
from sray_train.tools.bench.memory import render_memory
from sray_train.tools.bench.scaling import Scaling
from sray_train.tools.bench.scenes import BenchView, bench_views

IMAGE = (320, 240)


@dataclass(frozen=True)
class BenchPlan:
    """How much is measured."""

    targets: int
    """Of every scene."""
    views: int
    """Source views of a target."""
    pixels: int
    """Scored pixels of a target."""
    source_size: tuple[int, int]
    levels: tuple[str, ...] = LEVELS
    memory: bool = True
    scaling: bool = True


def run_bench(
    checkpoint: Checkpoint,
    path: Path,
    scenes: list[Scene],
    plan: BenchPlan,
    device: torch.device,
    on_progress: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Measure everything the plan asks for. `path`: the checkpoint's file, for the processes that measure memory."""
    model = checkpoint.model.to(device)
    views = bench_views(
        SemanticField(model),
        scenes,
        targets=plan.targets,
        views=plan.views,
        pixels=plan.pixels,
        source_size=plan.source_size,
    )
    comparison = compare(model, views, checkpoint.label_space.classes, levels=plan.levels, on_progress=on_progress)
    reference, levels = comparison.record()
    record: dict[str, Any] = {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "checkpoint": checkpoint.sha256,
        "pictures": len(views),
        "pixels": sum(view.pixels.shape[0] for view in views),
        "views": plan.views,
        "source_size": list(plan.source_size),
        "target_size": [views[0].truth.camera.width, views[0].truth.camera.height],
        "reference": reference,
        "levels": levels,
    }
    if plan.memory:
        _add_memory(record, path, views[0], device, on_progress)
    if plan.scaling:
        target = len(scenes[0].frames) // 2
        scaling = Scaling(model, path, scenes[0], target, plan.views, plan.source_size, on_progress=on_progress)
        record["scaling"] = scaling.record()
    return record


def _add_memory(
    record: dict[str, Any], path: Path, view: BenchView, device: torch.device, on_progress: Callable[[str], None]
) -> None:
    for name, level in record["levels"].items():
        quality = name.removesuffix("_depth")
        level["peak_mb"] = render_memory(path, view, quality, device, depth=quality != name, size=IMAGE)
        on_progress(f"memory of {name}: {_megabytes(level['peak_mb'])}")
    chunk = record["reference"]["chunk_rays"]
    reference = render_memory(path, view, "reference_form", device, size=IMAGE, chunk_rays=chunk)
    record["reference"]["peak_mb"] = reference
    on_progress(f"memory of the reference: {_megabytes(reference)}")


def _megabytes(value: float | None) -> str:
    return "not measured (Linux or CUDA only)" if value is None else f"{value:.0f} MB"


def table(record: dict[str, Any]) -> str:
    """One line a renderer: seconds per 320x240 image, rays/s, peak memory, ratio, strict mIoU, PSNR, depth."""
    reference = record["reference"]
    lines = [
        f"{'':16}{'seconds':>9}{'rays/s':>10}{'peak MB':>9}{'ratio':>8}{'strict mIoU':>13}{'95 %':>15}{'PSNR dB':>9}"
        f"{'depth err':>11}{'in 1.25':>9}",
        _line("reference", reference | {"ratio": 1.0}),
        *(_line(name, level) for name, level in record["levels"].items()),
        "",
        f"seconds: a 320x240 image from {record['views']} source views of "
        f"{record['source_size'][0]}x{record['source_size'][1]}, their features and stereo depth found before; on "
        f"{record['device']}, {record['threads']} threads",
        f"reference: {reference['flops_per_ray'] / 1e6:.1f} MFLOP a ray, {reference['matmul_share']:.3f} of "
        f"the {reference['matmul_gflops_per_second']:.0f} GFLOP/s that 2048x2048 products reach here",
        f"reference PSNR, colors divided by opacity as the levels' are: {reference['psnr_undarkened']:.2f} dB",
        f"scores: {record['pixels']} pixels of {record['pictures']} held-out views; *_depth: RGB-D sources, ratio to "
        "the RGB reference; depth err: mean of error over true depth, void pixels too; in 1.25: share within it",
    ]
    return "\n".join(lines)


def _line(name: str, entry: dict[str, Any]) -> str:
    low, high = entry["miou_interval"]
    return (
        f"{name:16}{entry['seconds']:9.2f}{entry['rays_per_second']:10.0f}{_number(entry.get('peak_mb'), '.0f'):>9}"
        f"{entry['ratio']:8.1f}{entry['strict_miou']:13.3f}{f'{low:.3f}-{high:.3f}':>15}{entry['psnr']:9.2f}"
        f"{entry['depth_abs_rel']:11.3f}{entry['depth_within_1_25']:9.3f}"
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
