"""Training state on disk: weights, optimizer moments and counters as one safetensors file. Never a pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from sray.errors import FileError, ModelError
from sray.files import write_atomically


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
    """Write everything a run needs to go on. `progress`: JSON. Killed at any moment, one whole file remains."""
    tensors = {f"model.{name}": tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    write_atomically(path, save(tensors, {"progress": json.dumps(progress)}))


def load_state(
    path: Path, model: nn.Module, check: Callable[[dict[str, Any]], None]
) -> tuple[dict[str, Any], dict[int, dict[str, torch.Tensor]]]:
    """Restore the model in place; returns the progress and the optimizer's moments for `restore_optimizer`.

    `check` gets the progress before the model is touched, and raises where it is that of another run: which setting
    differs says more than that the network does. Raises FileError if the file cannot be read, ModelError if it is
    another network's.
    """
    weights: dict[str, torch.Tensor] = {}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            progress: dict[str, Any] = json.loads(file.metadata()["progress"])
            for key in file.keys():  # noqa: SIM118 (not a dict)
                kind, _, name = key.partition(".")
                if kind == "model":
                    weights[name] = file.get_tensor(key)
                else:
                    index, _, moment = name.partition(".")
                    moments.setdefault(int(index), {})[moment] = file.get_tensor(key)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"{path} cannot be resumed from ({error})", remedy="Remove it to start again") from error
    check(progress)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"{path} was written by a run with another network", remedy="Give this run another --run-folder"
        ) from error
    return progress, moments


def restore_optimizer(optimizer: torch.optim.Optimizer, moments: dict[int, dict[str, torch.Tensor]]) -> None:
    """Put the moments of `load_state` into a freshly made optimizer of the same parameters."""
    state = optimizer.state_dict()
    state["state"] = moments
    optimizer.load_state_dict(state)
