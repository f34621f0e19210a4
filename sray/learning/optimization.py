"""One step of learning: the learning rates, the gradients, their clipping, and the steps that are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sray.backbone import LiteUNet
from sray.ray_model import RayModel

CLIP_NORM = 10.0
"""Largest norm of the gradients of all parameters together; larger ones are scaled down to it."""


@dataclass(frozen=True)
class Schedule:
    """How learning rates run: up over a linear warm-up, and down exponentially, as the paper's."""

    steps: int
    """Steps in all."""
    final_share: float
    """What is left of a rate after the last step."""
    warm_up: int
    """Steps over which rates rise at first."""

    def rate(self, base: float, done: int, delay: int = 0) -> float:
        """The learning rate of the step after `done` steps, of a group whose rate is `base`.

        `delay`: steps over which the group does not learn, before its warm-up.
        """
        decay: float = self.final_share ** (done / self.steps)
        return base * decay * min(1.0, max(0.0, (done + 1 - delay) / max(1, self.warm_up)))


class Optimization:
    """AdamW on groups of parameters, each with its own learning rate (`lr`), all with one schedule."""

    def __init__(self, groups: Iterable[dict[str, Any]], schedule: Schedule) -> None:
        """`groups`: as torch.optim takes them; without `weight_decay` a group has none. `delay`: as `Schedule.rate`."""
        self.optimizer = torch.optim.AdamW(list(groups), weight_decay=0.0)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self._schedule = schedule

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Of all groups."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def step(self, loss: Tensor, done: int, backward: Callable[[Tensor], Any] = Tensor.backward) -> bool:
        """Change the weights by the gradients of `loss`; `done`: steps done before.

        False if the gradients are not finite: the weights stay as they are, which such a step would end.
        """
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = self._schedule.rate(rate, done, group.get("delay", 0))
        self.optimizer.zero_grad(set_to_none=True)
        backward(loss)
        finite = bool(nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM).isfinite())
        if finite:
            self.optimizer.step()
        return finite


def hold_first_layers(encoder: nn.Module) -> None:
    """Leave the first layers of a pre-trained backbone as ImageNet taught them; other encoders have none.

    They are right as they are, and are at the highest resolution: their gradient is a quarter of a step's time.
    """
    for parameter in encoder.first_layers if isinstance(encoder, LiteUNet) else []:
        parameter.requires_grad_(False)


def encoder_parameters(model: RayModel) -> list[nn.Parameter]:
    """What learns of the encoder: all but what is held."""
    return [parameter for parameter in model.encoder.parameters() if parameter.requires_grad]


def picture_parameters(model: RayModel) -> list[nn.Parameter]:
    """What single pictures teach: the encoder, and the classifier of its features."""
    return [*encoder_parameters(model), *model.picture_classifier.parameters()]


def head_parameters(model: RayModel, *, classifiers: bool = True) -> list[nn.Parameter]:
    """What rays alone teach: all but the encoder, and the stereo network, which has a stage of its own.

    `classifiers=False` leaves out what reads classes from features.
    """
    own = ("encoder.", "stereo.") if classifiers else ("encoder.", "stereo.", "coarse.classifier.", "fine.classifier.")
    return [parameter for name, parameter in model.named_parameters() if not name.startswith(own)]
