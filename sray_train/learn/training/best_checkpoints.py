"""The best checkpoints of a stage, by their validation score."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from sray.checkpoint import save_checkpoint
from sray.label_space import LabelSpace
from sray.ray_model import RayModel


class BestCheckpoints:
    """Keeps `best_<stage>.safetensors`, and the `keep` best as `kept/<stage>_step<step>_score<score>.safetensors`."""

    def __init__(self, folder: Path, stage: str, keep: int) -> None:
        self._best = folder / f"best_{stage}.safetensors"
        self._folder = folder / "kept"
        self._stage = stage
        self._keep = keep

    def offer(
        self, step: int, score: float, model: RayModel, label_space: LabelSpace, lineage: dict[str, Any], best: bool
    ) -> None:
        """Keep the model if it is among the best (`best`: the very best). A worse one goes once this is written.

        `score`: higher is better. NaN is none, and such a model is not kept.
        """
        if best:
            save_checkpoint(self._best, model, label_space, lineage)
        kept = self.kept()
        if math.isnan(score) or (len(kept) >= self._keep and score <= kept[-1][0]):
            return
        name = f"{self._stage}_step{step:06d}_score{score:.4f}.safetensors"
        save_checkpoint(self._folder / name, model, label_space, lineage)
        for _, path in self.kept()[self._keep :]:
            path.unlink()

    def kept(self) -> list[tuple[float, Path]]:
        """Scores and files, best first; of equal ones the earlier step first."""
        pattern = re.compile(rf"{re.escape(self._stage)}_step(\d+)_score(-?[\d.]+)\.safetensors")
        found = [(pattern.fullmatch(path.name), path) for path in self._folder.glob(f"{self._stage}_*.safetensors")]
        scored = [(float(match[2]), int(match[1]), path) for match, path in found if match]
        return [(score, path) for score, _, path in sorted(scored, key=lambda each: (-each[0], each[1]))]
