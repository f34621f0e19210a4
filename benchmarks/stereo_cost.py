"""What stereo costs a keyframe: a walk through a generated room is mapped, and each part is timed.

    python benchmarks/stereo_cost.py --json benchmarks/timings/stereo_cost.json

Two runs of the same frames, in turn: as the mapper does it, and with the sweep in plain PyTorch and single precision.
Processor time of all threads together, and the wall clock, which means something on a quiet machine alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import tyro
from measuring import facts, write

from sray import half_precision
from sray.checkpoint import load_checkpoint
from sray.field import SemanticField
from sray.frames import Frame
from sray.kernel import sweep as compiled
from sray.mapping.keyframe_depth import StereoKeeper
from sray.mapping.keyframes import KeyframeBuffer, KeyframeConfig
from sray.model import SemanticRay
from sray.sequence import Sequence
from sray.stereo import StereoNetwork
from sray_train.data.rooms import FIRST_HELD_OUT_SEED, room_folder

PARTS = {
    "features": (StereoNetwork, "features"),
    "sweep and network": (StereoNetwork, "forward"),
    "refinement": (StereoNetwork, "refine"),
    "depth read": (StereoNetwork, "read"),
    "agreement": (StereoKeeper, "_agree"),
    "which one is swept again": (StereoKeeper, "_most_bettered"),
    "keyframe": (StereoKeeper, "entered"),
}
"""The last one is all of it."""


@dataclass
class Measure:
    """Time stereo per keyframe."""

    checkpoint: Path = Path("models/sray_indoor.safetensors")
    frames: int = 24
    width: int = 320
    height: int = 240
    threads: tuple[int, ...] = (1,)
    """More than one only on a machine that has nothing else to do: threads that wait for each other burn time."""
    json: Path | None = None
    """The file of the record."""


def main(measure: Measure) -> None:
    model = load_checkpoint(measure.checkpoint).model
    assert model.stereo is not None, f"{measure.checkpoint} has no stereo network"
    room = Sequence.open(
        room_folder(FIRST_HELD_OUT_SEED, width=measure.width, height=measure.height, frames=measure.frames)
    )
    frames = [replace(frame, depth=None) for frame in room]
    record = facts("What does stereo cost a keyframe?", len(frames))
    record["clock"] = "processor time of all threads, and wall clock; mean over the keyframes"
    for threads in measure.threads:
        torch.set_num_threads(threads)
        for name, context in (("as mapped", nullcontext), ("plain, float32", plain)):
            with context():
                found = costs(model, frames)
            record[f"{name}, threads {threads}"] = found
            for part, cost in found.items():
                times = f"{cost['cpu_ms']:6.1f} ms of processor, {cost['wall_ms']:6.1f} ms"
                print(f"{name:15} threads {threads}  {part:18} {times}")
    write(measure.json, record)


def costs(model: SemanticRay, frames: list[Frame]) -> dict[str, Any]:
    """Milliseconds for each keyframe, by part."""
    field = SemanticField(model)
    keeper, buffer = StereoKeeper(field), KeyframeBuffer(KeyframeConfig())
    spent: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS}
    with timed(spent):
        for frame in frames:
            buffer.add(frame, field.encode(frame.image, frame.camera))  # whatever stereo needs: not timed
            keeper.entered(buffer)
    count = len(spent["keyframe"])
    found = {
        part: {
            "calls_per_keyframe": round(len(times) / count, 2),
            "cpu_ms": round(1e3 * sum(cpu for cpu, _ in times) / count, 1),
            "wall_ms": round(1e3 * sum(wall for _, wall in times) / count, 1),
        }
        for part, times in spent.items()
    }
    found["keyframe"]["median_cpu_ms"] = round(1e3 * statistics.median(cpu for cpu, _ in spent["keyframe"]), 1)
    return found


@contextmanager
def timed(spent: dict[str, list[tuple[float, float]]]) -> Iterator[None]:
    """Every call of the parts is timed."""

    def timing(part: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            cpu, wall = time.process_time(), time.perf_counter()
            result = action(*arguments)
            spent[part].append((time.process_time() - cpu, time.perf_counter() - wall))
            return result

        return wrapped

    patches = [patch.object(owner, name, timing(part, getattr(owner, name))) for part, (owner, name) in PARTS.items()]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


@contextmanager
def plain() -> Iterator[None]:
    with (
        patch.object(compiled, "serves", lambda *_: False),
        patch.object(half_precision, "has_bfloat16", lambda: False),
    ):
        yield


if __name__ == "__main__":
    main(tyro.cli(Measure))
