"""Peak memory of one call, measured in a process of its own: `python -m sray_train.tools.bench.memory`.

On the CPU it is the kernel's high-water mark of resident memory during the call, less what was resident before it; on
a GPU torch's count of allocated bytes. The model, the sources and their features are there before and do not count.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from sray.attention import CrossReprojectionAttention
from sray.camera import Camera
from sray.checkpoint import load_checkpoint
from sray.encoder import FEATURE_CHANNELS
from sray.field import RenderConfig
from sray.frames import Frame, SourceViews
from sray.sampling import ROOM_BOUNDS
from sray_train.tools.bench.levels import render_level
from sray_train.tools.bench.reference import ReferenceRenderer
from sray_train.tools.bench.scenes import BenchView

MEGABYTE = 1e6
DENSE_MEGABYTES = 10_200
"""Dense attention on the plain path for the input of Table 7, about: with less free, fewer rays are measured."""
TABLE_7 = {"rays": 1024, "samples": 64, "views": 8}


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
        saved = Path(folder) / "view.pt"
        camera = view.truth.camera
        torch.save(
            {
                "images": view.sources.images.cpu(),
                "depth": view.sources.depth.cpu() if view.sources.depth is not None else None,
                "features": view.features.cpu(),
                "sources": _plain(view.sources.camera),
                "target": _plain(camera.resized(*size)),
            },
            saved,
        )
        request = {
            "render": level,
            "depth": depth,
            "checkpoint": str(checkpoint),
            "view": str(saved),
            "chunk_rays": chunk_rays,
        }
        return _measured_elsewhere(request | {"device": str(device)})


def cra_memory(variant: str, device: torch.device) -> dict[str, Any]:
    """Forward memory of Cross-Reprojection Attention for the input of Table 7.

    `dense` runs on the plain path (scores written out), the others as the model runs them. Where memory is short dense
    is measured on fewer rays and scaled, which `rays_measured` says: rays do not know of each other.
    """
    rays = TABLE_7["rays"]
    while variant == "dense" and rays > 32 and _available_mb(device) < 1.3 * DENSE_MEGABYTES * rays / TABLE_7["rays"]:
        rays //= 2
    measured = _measured_elsewhere({"cra": variant, "rays": rays, "device": str(device)})
    scale = TABLE_7["rays"] / rays
    return {"peak_mb": None if measured is None else measured * scale, "rays_measured": rays}


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


def _measured_elsewhere(request: dict[str, Any]) -> float | None:
    command = [
        sys.executable,
        "-m",
        "sray_train.tools.bench.memory",
        json.dumps(request | {"threads": torch.get_num_threads()}),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        print(f"memory was not measured: {answer.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    value: float | None = json.loads(answer.stdout.splitlines()[-1])
    return value


def _answer(request: dict[str, Any]) -> float | None:
    device = torch.device(request["device"])
    torch.set_num_threads(request["threads"])
    return _answer_cra(request, device) if "cra" in request else _answer_render(request, device)


def _answer_cra(request: dict[str, Any], device: torch.device) -> float | None:
    attention = CrossReprojectionAttention(FEATURE_CHANNELS, request["cra"], residual=True).eval().to(device)
    path = sdpa_kernel(SDPBackend.MATH) if request["cra"] == "dense" else nullcontext()
    with torch.inference_mode(), path:

        def inputs(rays: int) -> tuple[torch.Tensor, ...]:
            shape = (TABLE_7["views"], rays, TABLE_7["samples"])
            coordinates = torch.linspace(0, 1, shape[-1], device=device).expand(rays, -1)
            return (
                torch.randn(*shape, FEATURE_CHANNELS, device=device),
                torch.ones(shape, dtype=torch.bool, device=device),
                coordinates,
            )

        attention(*inputs(2))  # warm up
        full = inputs(request["rays"])
        return peak_mb(lambda: attention(*full), device)


def _answer_render(request: dict[str, Any], device: torch.device) -> float | None:
    model = load_checkpoint(request["checkpoint"]).model.to(device)
    saved = torch.load(request["view"], weights_only=True)
    sources = SourceViews(saved["images"], _camera(saved["sources"]), saved["depth"]).to(device)
    target = _camera(saved["target"])
    blank = Frame(torch.zeros(target.height, target.width, 3, dtype=torch.uint8), target)
    view = BenchView("", blank, sources, saved["features"].to(device), torch.arange(0))
    small = target.resized(32, 24)
    if request["render"] == "reference_form":
        reference = ReferenceRenderer(model, chunk_rays=request["chunk_rays"])
        pixels = target.pixel_grid().to(device)[: 4 * reference.chunk_rays]
        rays = model.rays(target.to(device), pixels, ROOM_BOUNDS)
        reference.render(view.encoded, rays[:16])  # warm up
        return peak_mb(lambda: reference.render(view.encoded, rays), device)
    config, depth = RenderConfig.preset(request["render"]), bool(request["depth"])
    render_level(model, config, view, small, depth=depth)  # warm up
    return peak_mb(lambda: render_level(model, config, view, target, depth=depth), device)


def _plain(camera: Camera) -> dict[str, Any]:
    return {
        "intrinsics": camera.intrinsics.cpu(),
        "world_from_camera": camera.world_from_camera.cpu(),
        "width": camera.width,
        "height": camera.height,
    }


def _camera(plain: dict[str, Any]) -> Camera:
    return Camera(**plain)


def _available_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / MEGABYTE
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / MEGABYTE
    return 0.0


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
    print(json.dumps(_answer(json.loads(sys.argv[1]))))
