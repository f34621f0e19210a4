"""How long the choice of 8 source views takes among 10 to 10 000 keyframes, beside a scan of all of them.

    python benchmarks/view_selection.py --json benchmarks/timings/view_selection.json

The keyframes stand in a flat of 10 by 10 meters and look anywhere; the targets are views between them. Both ways must
choose the same views, or nothing is reported. A choice is made three times: `cold` is the first, with the processor's
caches full of what the scan before left there; the others are medians of three.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from measuring import facts, one_thread, ratio, summary, three_times, write
from torch import Tensor

from sray.camera import Camera
from sray.mapping.sources import MIN_OVERLAP
from sray.view_selection import pose_scores, select_views

COUNT = 8


@dataclass
class Measure:
    """Time view selection and a full scan in turn, one thread."""

    json: Path | None = None
    """Where the record goes."""
    rounds: int = 41
    """Targets, each chosen for by both."""
    seed: int = 0


def main(measure: Measure) -> None:
    one_thread()
    record = facts(f"choose {COUNT} source views among so many keyframes", measure.rounds) | {"seed": measure.seed}
    rows = []
    print(f"{'keyframes':>9}  {'search ms':>9}  {'cold ms':>7}  {'full scan ms':>12}  {'ratio':>6}")
    for keyframes in (10, 100, 1000, 10_000):
        generator = torch.Generator().manual_seed(measure.seed)
        cameras, targets = flat(keyframes, generator), flat(measure.rounds, generator)
        cold, search, scan = [], [], []
        for index in range(measure.rounds):
            target = targets[index]
            if choose(target, cameras) != scan_all(target, cameras):  # also warms up
                raise SystemExit(f"error: the search and the full scan differ for target {index} of {keyframes}")
            times = three_times(partial(choose, target, cameras))
            cold.append(times[0])
            search.append(sorted(times)[1])
            scan.append(sorted(three_times(partial(scan_all, target, cameras)))[1])
        rows.append(
            {"keyframes": keyframes, "fast": {"name": "search", **summary(search), "cold": summary(cold)}}
            | {"slow": {"name": "full scan", **summary(scan)}, **ratio(scan, search)}
        )
        fast, slow = rows[-1]["fast"]["median_ms"], rows[-1]["slow"]["median_ms"]
        print(
            f"{keyframes:>9}  {fast:>9.3f}  {statistics.median(cold):>7.3f}  {slow:>12.3f}  {rows[-1]['ratio']:>6.1f}"
        )
    write(measure.json, record | {"rows": rows})


def choose(target: Camera, cameras: Camera) -> list[int]:
    return select_views(target, cameras, COUNT, min_overlap=MIN_OVERLAP)


def scan_all(target: Camera, cameras: Camera) -> list[int]:
    """The scores of all, sorted: what select_views did before it searched."""
    scores = pose_scores(target, cameras)
    order = torch.argsort(scores.cost, stable=True)
    return [int(index) for index in order[scores.overlap[order] >= MIN_OVERLAP][:COUNT]]


def flat(count: int, generator: torch.Generator) -> Camera:
    """Level cameras at 1.2 to 1.6 meters, anywhere on 10 by 10 meters, looking anywhere."""
    yaw = 2 * torch.pi * torch.rand(count, generator=generator)
    place = torch.rand(count, 3, generator=generator) * torch.tensor([10.0, 0.4, 10.0]) + torch.tensor([0.0, 1.2, 0.0])
    intrinsics = torch.tensor([[525.0, 0, 319.5], [0, 525.0, 239.5], [0, 0, 1]])
    return Camera(intrinsics.expand(count, 3, 3).contiguous(), level_poses(yaw, place), 640, 480)


def level_poses(yaw: Tensor, place: Tensor) -> Tensor:
    poses = torch.eye(4).repeat(len(yaw), 1, 1)
    poses[:, 0, 0] = poses[:, 2, 2] = yaw.cos()
    poses[:, 0, 2], poses[:, 2, 0] = yaw.sin(), -yaw.sin()
    poses[:, :3, 3] = place
    return poses


if __name__ == "__main__":
    main(tyro.cli(Measure))
