"""Peak memory of one call, measured in a process of its own: `python -m sray_train.tools.bench.memory`.

On the CPU it is the kernel's high-water mark of resident memory during the call, less what was resident before it; on
a GPU torch's count of allocated bytes. The model, the sources and their features are there before and do not count.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sray.checkpoint import load_checkpoint
from sray.field import RenderConfig
from sray.frames import Frame
from sray.sampling import ROOM_BOUNDS
from sray_train.tools.bench.levels import render_level
from sray_train.tools.bench.reference import ReferenceRenderer
from sray_train.tools.bench.scenes import BenchView

MEGABYTE = 1e6


def render_memory(
    checkpoint: Path,
    view: BenchView,
    level: str,
    device: torch.device,
    *,
    depth: bool = False,
    size: tuple[int, int],
    chunk_rays: int = 0,
) -> float | None:
    """Megabytes (1e6) that rendering one image of (width, height) takes; None where it cannot be measured.

    `level`: a quality level, or `reference_form` for some chunks of `chunk_rays` of the reference renderer.
    """
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.pt"
        torch.save(
            {
                "render": level,
                "depth": depth,
                "checkpoint": checkpoint,
                "sources": view.source_views(depth=depth).to("cpu"),
                "features": view.features.cpu(),
                "target": view.truth.camera.resized(*size),
                "chunk_rays": chunk_rays,
                "device": device,
                "threads": torch.get_num_threads(),
            },
            request,
        )
        command = [sys.executable, "-m", "sray_train.tools.bench.memory", str(request)]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        print(f"memory was not measured: {answer.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    value: float | None = json.loads(answer.stdout.splitlines()[-1])
    return value


def peak_mb(call: Callable[[], object], device: torch.device) -> float | None:
    """Megabytes above what was there before, while `call` runs; None on a CPU that is not Linux's."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return float(torch.cuda.max_memory_allocated(device) - before) / MEGABYTE
    if not sys.platform.startswith("linux"):
        return None
    _return_free_memory()
    before = _status_kb("VmRSS")
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from here
    except OSError:
        return None
    call()
    return max(0, _status_kb("VmHWM") - before) * 1024 / MEGABYTE


def _answer(request: dict[str, Any]) -> float | None:
    """Megabytes of the render that `render_memory` asked for."""
    device, target = request["device"], request["target"]
    torch.set_num_threads(request["threads"])
    model = load_checkpoint(request["checkpoint"]).model.to(device)
    blank = Frame(torch.zeros(target.height, target.width, 3, dtype=torch.uint8), target)
    sources, features = request["sources"].to(device), request["features"].to(device)
    view = BenchView("", blank, sources, sources, features, torch.arange(0))
    small = target.resized(32, 24)
    if request["render"] == "reference_form":
        reference = ReferenceRenderer(model, chunk_rays=request["chunk_rays"])
        pixels = target.pixel_grid().to(device)[: 4 * reference.chunk_rays]
        rays = model.rays(target.to(device), pixels, ROOM_BOUNDS)
        encoded = model.encode(sources, features)
        reference.render(encoded, rays[:16])  # warm up
        return peak_mb(lambda: reference.render(encoded, rays), device)
    config, depth = RenderConfig.preset(request["render"]), request["depth"]
    render_level(model, config, view, small, depth=depth)  # warm up
    return peak_mb(lambda: render_level(model, config, view, target, depth=depth), device)


def _status_kb(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def _return_free_memory() -> None:
    """Freed memory that the allocator kept would be used again unseen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
    if trim is not None:
        trim(0)


if __name__ == "__main__":
    print(json.dumps(_answer(torch.load(sys.argv[1], weights_only=False))))
