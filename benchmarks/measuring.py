"""What the benchmarks share: timing things in turn, saying on what, and keeping it as a table and a record."""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch

from sray_train.machine import device_name
from sray_train.paper.study.commit import present_commit

REPOSITORY = Path(__file__).resolve().parents[1]
CLOCK = "thread CPU time on one thread: what others do on the machine does not count as waiting, nor does the disk"


def milliseconds(action: Callable[[], object]) -> float:
    """CPU time of the calling thread. Steps run on one thread, so this is what they cost, whoever else is there."""
    started = time.thread_time()
    action()
    return 1e3 * (time.thread_time() - started)


def three_times(action: Callable[[], object]) -> list[float]:
    """Milliseconds in turn. The first finds the processor's caches full of what ran before it."""
    return [milliseconds(action) for _ in range(3)]


def summary(times: list[float]) -> dict[str, Any]:
    """Median, and the middle half as spread."""
    low, _, high = statistics.quantiles(times, n=4)
    return {"median_ms": round(statistics.median(times), 4), "spread_ms": [round(low, 4), round(high, 4)]}


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Of waiting times."""
    return {
        "count": len(seconds),
        "median_s": round(statistics.median(seconds), 3),
        "p95_s": round(float(numpy.percentile(seconds, 95)), 3),
    }


def ratio(slow: list[float], fast: list[float]) -> dict[str, Any]:
    """How many times as long the slow one took, round by round: median, and the middle half as spread."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {"ratio": round(statistics.median(ratios), 2), "spread": [round(low, 2), round(high, 2)]}


def one_thread() -> None:
    torch.set_num_threads(1)


def facts(question: str, rounds: int) -> dict[str, Any]:
    """Everything needed to repeat the measurement, or to doubt it."""
    return {
        "question": question,
        "command": command(),
        "commit": present_commit(),
        "device": device_name(torch.device("cpu")),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "clock": CLOCK,
        "rounds": rounds,
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def command() -> str:
    """What was typed."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def write(path: Path | None, record: Mapping[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"record: {path}")
