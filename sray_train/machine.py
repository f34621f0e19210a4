"""The machine that a command runs on: its device, its threads, and what records call it."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

import torch

Device = Literal["auto", "cpu", "cuda"]


def chosen_device(wanted: Device) -> torch.device:
    """The device that an option asks for; `auto` is the GPU, where there is one."""
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def use_threads(count: int) -> None:
    """So many threads for torch; 0: one a core."""
    torch.set_num_threads(count or os.cpu_count() or 1)


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
