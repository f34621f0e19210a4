"""FineTuneConfig: how a model is adapted to one scene. The defaults are the quickest of docs/finetuning.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from sray.learning.losses import LossWeights
from sray.rays import SampleCounts

Mode = Literal["full", "heads"]


@dataclass(frozen=True)
class FineTuneConfig:
    """How long, on what, and how fast."""

    mode: Mode = "full"
    """`full`: the encoder learns too. `heads`: it stays as it is, and every frame is encoded once."""
    steps: int = 200
    picture_steps: int = 60
    """Of these the first so many are on the labels of single pictures: the encoder and the classifier alone, in a
    sixth of the time of a step on rays. None in mode `heads`, without `teach_pictures`, where no labels teach, nor
    without an encoder."""
    teach_pictures: bool = True
    """Whether single pictures teach too: in the first `picture_steps`, and the sources of every step on rays. False:
    rays alone teach, as in the paper."""
    pictures: int = 4
    """Pictures of such a step."""
    pixels: int = 1024
    """Labeled pixels of each picture."""
    rays: int = 256
    """Rays of every other step, all of one target."""
    views: int = 8
    """Source views of a target, the nearest; fewer where there are not so many."""
    coarse_samples: int = 24
    fine_samples: int = 8
    learning_rate: float | None = None
    """Of all but the encoder, on rays. None: 3e-4 in mode `full`, where more costs a tenth of a dB; else 1e-3."""
    encoder_learning_rate: float = 3e-4
    """Of the encoder, on rays, in mode `full`."""
    picture_learning_rate: float = 2e-3
    first_layers: bool = False
    """Whether the first layers of a pre-trained backbone learn too. They need not, but where weights are new."""
    final_rate: float = 0.05
    """Learning rates fall to this share of themselves, exponentially, over the picture steps and over the others."""
    warm_up: int = 10
    """Steps over which they rise at first, each time."""
    balance: float = 0.3
    """Classes count by their frequency to minus this: 0 all pixels alike, 1 all classes alike."""
    loss: LossWeights = field(default_factory=LossWeights)
    """Weights of labels, color and depth; what a frame does not have teaches nothing. `LossWeights(semantic=0)`: the
    pictures alone, without a label."""
    divide_by_opacity: bool = True
    """Colors are compared as renders show them, divided by the opacity. A trained model lets a little light through,
    and would move its surfaces to make up for it. False: as they are composited, which is what teaches a new one to
    stop the light."""
    validate_every: int = 50
    """Steps between two looks at the held-out frames; the last step is always looked at."""
    max_seconds: float = math.inf
    """Stop after this long, though steps are left."""
    seed: int = 0

    def __post_init__(self) -> None:
        SampleCounts(self.coarse_samples, self.fine_samples)  # raises ValueError for too few
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode is {self.mode!r}; expected one of {', '.join(get_args(Mode))}")
        for name in ("steps", "pictures", "pixels", "rays", "views", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in (
            "heads_learning_rate",
            "encoder_learning_rate",
            "picture_learning_rate",
            "final_rate",
            "max_seconds",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected more than 0")
        for name in ("picture_steps", "warm_up", "balance"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 0")
        if not (self.loss.semantic > 0 or self.loss.color > 0 or self.loss.depth > 0):
            raise ValueError("every loss weighs 0; expected labels, color or depth to teach")

    @property
    def heads_learning_rate(self) -> float:
        """`learning_rate`, or what suits the mode."""
        return self.learning_rate if self.learning_rate is not None else 3e-4 if self.mode == "full" else 1e-3
