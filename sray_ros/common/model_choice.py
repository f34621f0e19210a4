"""The checkpoint and the device that the parameters model.path and model.device name."""

from __future__ import annotations

from pathlib import Path

import torch
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from sray.errors import ModelError

SHIPPED = {"indoor": "sray_indoor.safetensors", "rooms": "sray_rooms.safetensors"}
"""Name -> file of the checkpoints that this package brings (models/README.md)."""
DEFAULT = "indoor"


def model_path(given: str) -> Path:
    """A checkpoint by its path, or by the name of one that this package brings; empty: `indoor`."""
    name = SHIPPED.get(given or DEFAULT)
    if name is None:
        return Path(given).expanduser()
    try:
        return Path(get_package_share_directory("sray_ros")) / "models" / name
    except PackageNotFoundError:  # run from a checkout
        return Path(__file__).parents[2] / "models" / name


def device_of(name: str, parameter: str = "model.device") -> torch.device:
    """auto: the GPU if there is one. Raises ModelError, naming the parameter, for a device that torch cannot use."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except Exception as error:
        raise ModelError(
            f"{parameter} is {name!r}, which torch cannot use here ({error})", "auto, cpu or cuda"
        ) from error
    return torch.device(name)


def memory_in_use(device: torch.device) -> int:
    """Bytes: of the GPU by this process's tensors; on the CPU, of the process."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return resident_pages * 4096
