"""The mean of the encoders of several checkpoints of one network, in a new one.

    .venv/bin/python scripts/average_checkpoints.py first.safetensors second.safetensors --output mean.safetensors

The mean of encoders that were trained on from one checkpoint is often better than each of them, and a picture takes no
longer. The rest of the network is the first one's.

Source: Wortsman et al., "Model soups", ICML 2022.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from sray.checkpoint import inherited_terms, save_checkpoint
from sray.errors import ModelError, RequestError, SrayError
from sray_train.learn.systems import load_checkpoint
from sray_train.learn.training.run import same_encoder
from sray_train.records import refuse_existing


@dataclass
class Average:
    """Average encoders and classifiers of checkpoints, all equally."""

    checkpoints: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Two or more, of one network and one label space; the first one gives the rest."""
    output: Path
    """The new checkpoint."""
    overwrite: bool = False
    """Whether it may replace a file."""

    def main(self) -> None:
        if len(self.checkpoints) < 2:
            raise RequestError(f"{len(self.checkpoints)} checkpoints are given", "two or more")
        refuse_existing(self.output, "--output", overwrite=self.overwrite)
        first, *others = [load_checkpoint(path) for path in self.checkpoints]
        for path, other in zip(self.checkpoints[1:], others, strict=True):
            if not same_encoder(first.model, other.model) or first.label_space.names != other.label_space.names:
                raise ModelError(
                    f"{path} has another encoder or label space than {self.checkpoints[0]}",
                    "checkpoints of one network",
                    "Leave it out",
                )
        weights, *more = [checkpoint.model.state_dict() for checkpoint in (first, *others)]
        for name in (name for name in weights if name.startswith("encoder.") or ".classifier." in name):
            weights[name] = sum((each[name] for each in more), weights[name]) / (1 + len(more))
        first.model.load_state_dict(weights)
        parents = [first, *others]
        lineage = first.lineage | {"mean_of": [each.sha256 for each in parents]}
        lineage |= inherited_terms(*(each.terms for each in parents))
        digest = save_checkpoint(self.output, first.model, first.label_space, lineage)
        print(f"the mean of {1 + len(others)} encoders: {self.output} ({digest[:8]})")


if __name__ == "__main__":
    try:
        tyro.cli(Average).main()
    except SrayError as error:
        sys.exit(f"error: {error}")
