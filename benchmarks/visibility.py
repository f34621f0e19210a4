"""What it costs to ask who sees what: the compiled kernel with `visibility` and without, over the same samples.

    python benchmarks/visibility.py --json benchmarks/timings/visibility.json

Random weights and pictures, 8 views of 160x120 with depth; rays look at 32 samples and shade 8, as `balanced` does. The
encoder is left out: it has nothing to do with it. Times are of the chain along rays alone.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from measuring import facts, milliseconds, one_thread, ratio, summary, write

from sray.camera import Camera
from sray.context import EncodedViews
from sray.kernel import NativeRays
from sray.model import SemanticRay, SemanticRayConfig
from sray.sampling import ROOM_BOUNDS, uniform_samples
from sray.visibility import Surfaces, Visibility

WIDTH, HEIGHT = 160, 120
VIEWS = 8


@dataclass
class Measure:
    """Time the kernel with and without visibility in turn, one thread."""

    json: Path | None = None
    """Where the record goes."""
    rounds: int = 21
    rays: int = 2048
    seed: int = 0


def main(measure: Measure) -> None:
    one_thread()
    record = facts(f"shade {measure.rays} rays from {VIEWS} views", measure.rounds) | {"seed": measure.seed}
    torch.manual_seed(measure.seed)
    cameras = standing_apart(torch.Generator().manual_seed(measure.seed))
    plain = SemanticRay(SemanticRayConfig(16)).eval()
    models: dict[Visibility, SemanticRay] = {
        "none": plain,
        "mask": plain.extended("mask"),
        "full": plain.extended("full"),
    }
    views = EncodedViews(
        torch.rand(VIEWS, 3, HEIGHT, WIDTH),
        cameras,
        torch.randn(VIEWS, 32, HEIGHT // 4, WIDTH // 4),
        surfaces=Surfaces(1 + 4 * torch.rand(VIEWS, HEIGHT, WIDTH), torch.rand(VIEWS, HEIGHT, WIDTH)),
    )
    kernels = {visibility: NativeRays(model, views) for visibility, model in models.items()}
    pixels = torch.rand(measure.rays, 2) * torch.tensor([WIDTH - 1.0, HEIGHT - 1.0])
    rays = plain.rays(cameras[0], pixels, ROOM_BOUNDS)
    rows = []
    print(f"{'pass':>6}  {'visibility':>10}  {'ms':>8}  {'ratio':>6}")
    for name, samples in (("look", 32), ("shade", 8)):
        coordinates = uniform_samples(len(rays), samples, device=pixels.device)
        times: dict[str, list[float]] = {visibility: [] for visibility in models}
        for turn in range(measure.rounds + 1):
            for visibility, kernel in kernels.items():
                spent = milliseconds(partial(kernel.look if name == "look" else kernel.shade, rays, coordinates))
                if turn:  # the first warms up
                    times[visibility].append(spent)
        for visibility, spent in times.items():
            row = {"pass": name, "samples": samples, "visibility": visibility, **summary(spent)}
            rows.append(row | ratio(spent, times["none"]))
            print(f"{name:>6}  {visibility:>10}  {statistics.median(spent):8.1f}  {rows[-1]['ratio']:6.2f}")
    write(measure.json, record | {"rows": rows})


def standing_apart(generator: torch.Generator) -> Camera:
    """Views 20 cm apart or so, that look the same way."""
    poses = torch.eye(4).repeat(VIEWS, 1, 1)
    poses[:, :3, 3] = 0.2 * torch.randn(VIEWS, 3, generator=generator)
    intrinsics = torch.tensor([[128.0, 0, 79.5], [0, 128, 59.5], [0, 0, 1]]).expand(VIEWS, 3, 3)
    return Camera(intrinsics, poses, WIDTH, HEIGHT)


if __name__ == "__main__":
    main(tyro.cli(Measure))
