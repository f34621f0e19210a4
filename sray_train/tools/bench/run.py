"""The whole bench on given scenes: what `sray bench` records."""

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
