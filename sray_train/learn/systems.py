"""All systems that can be trained, scored and fine-tuned here: SemanticRay and those the paper compares it with."""

from __future__ import annotations

from pathlib import Path

from sray import checkpoint
from sray.model import SemanticRay
from sray.ray_model import RayModel
from sray_train.paper.baselines.ibrnet import IBRNet
from sray_train.paper.baselines.mvsnerf import MVSNeRF
from sray_train.paper.baselines.nerf import NeRF
from sray_train.paper.baselines.neuray import NeuRay
from sray_train.paper.baselines.semantic_nerf import SemanticNeRF

SYSTEMS: dict[str, type[RayModel]] = {
    each.system: each for each in (SemanticRay, NeuRay, IBRNet, MVSNeRF, NeRF, SemanticNeRF)
}
"""By the names that experiment files and checkpoints have for them. What a system is capable of stands on its class."""


def load_checkpoint(path: Path | str) -> checkpoint.Checkpoint[RayModel]:
    """A checkpoint of any of the systems; raises as `sray.checkpoint.load_checkpoint` does."""
    return checkpoint.load_checkpoint(path, tuple(SYSTEMS.values()))
