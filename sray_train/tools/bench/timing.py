"""Seconds of a call, and the machine's matrix-product rate, measured beside what is compared with it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")

MATRIX_SIZE = 2048


def timed(call: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    """Seconds of one call, and its result. Waits for a GPU before and after."""
    _wait(device)
    began = time.perf_counter()
    result = call()
    _wait(device)
    return time.perf_counter() - began, result


def matmul_rate(device: torch.device, size: int = MATRIX_SIZE, repetitions: int = 5) -> float:
    """FLOP/s of float32 products of square matrices, 2 n^3 each: the median of a few."""
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.rand(size, size, generator=generator, device=device) for _ in range(2))
    seconds = [timed(lambda: left @ right, device)[0] for _ in range(repetitions)]
    return 2 * size**3 / statistics.median(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
