"""The pictures that a checkpoint labels worst: picture, truth and prediction side by side, with a legend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import UInt8
from matplotlib.patches import Patch
from torch import Tensor

from sray.frames import Frame
from sray.label_space import VOID, LabelSpace

SHOWN = 4
"""Pictures."""

Scored = TypeVar("Scored")


@dataclass
class Failures:
    """Keeps the worst that it has seen."""

    space: LabelSpace
    rows: list[tuple[float, Frame, UInt8[Tensor, "height width"]]] = field(default_factory=list)
    """Share of pixels right, picture with its true labels, predicted labels; worst first."""

    @staticmethod
    def worst(scored: Iterable[Scored], key: Callable[[Scored], float]) -> list[Scored]:
        return sorted(scored, key=key)[:SHOWN]

    def see(self, truth: Frame, labels: UInt8[Tensor, "height width"], right: float) -> None:
        """`right`: share of the labeled pixels whose label is right."""
        self.rows = self.worst([*self.rows, (right, truth, labels)], key=lambda row: row[0])

    def draw(self, path: Path) -> None:
        """Write a JPEG; nothing where nothing was seen."""
        if not self.rows:
            return
        figure, axes = plt.subplots(
            len(self.rows), 3, figsize=(7.2, 1.9 * len(self.rows) + 0.9), squeeze=False, layout="constrained"
        )
        present: set[int] = set()
        for row, (right, frame, labels) in zip(axes, self.rows, strict=True):
            assert frame.labels is not None
            truth, said = frame.labels.numpy(), labels.numpy()
            present |= {*np.unique(truth), *np.unique(said)}
            for panel, picture in zip(
                row, (frame.image.numpy(), self.space.colorize(truth), self.space.colorize(said)), strict=True
            ):
                panel.imshow(picture, interpolation="nearest")
                panel.set(xticks=[], yticks=[])
            row[0].set_ylabel(f"{frame.name}\n{100 * right:.0f} % right", fontsize=7)
        for panel, title in zip(axes[0], ("picture", "truth", "prediction"), strict=True):
            panel.set_title(title, fontsize=9)
        handles = [
            Patch(color=[channel / 255 for channel in self.space.colors[label]], label=self.space.names[label])
            for label in sorted(present - {VOID})
        ]
        if VOID in present:
            handles.append(Patch(color="black", label="void"))
        figure.legend(handles=handles, loc="outside lower center", ncols=7, fontsize=7, frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whole colors: a palette, or halved color resolution, would mix classes up.
        figure.savefig(path, dpi=100, pil_kwargs={"quality": 85, "subsampling": 0})
        plt.close(figure)
