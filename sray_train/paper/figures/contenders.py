"""Contenders: the systems that the figures compare, and where a study keeps the checkpoint of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sray.checkpoint import Checkpoint
from sray.errors import SrayError
from sray.label_space import LabelSpace
from sray.ray_model import RayModel
from sray_train.learn.systems import load_checkpoint
from sray_train.paper.study.folder import run_folder, scene_checkpoint, trained_checkpoint
from sray_train.paper.study.record import Setting

BEST = "best_frozen.safetensors"
"""Of a training that is not finished, or was not a study's: its best weights so far."""


@dataclass(frozen=True)
class Contender:
    """A variant of the study in one of its settings."""

    title: str
    variant: str
    setting: Setting

    def checkpoint(self, folder: Path, seed: int, scene: str) -> Path:
        """Where a study's run folder has it. `scene`: the scene's name, for what knows one scene."""
        own = run_folder(folder, self.variant, seed)
        if self.setting != "generalization":
            return scene_checkpoint(own, self.setting, scene)
        finished = trained_checkpoint(own)
        return own / BEST if not finished.exists() and (own / BEST).exists() else finished


S_RAY = Contender("S-Ray", "semantic_ray", "generalization")
S_RAY_TUNED = Contender("S-Ray, fine-tuned", "semantic_ray", "finetuned")
NEURAY = Contender("NeuRay + head", "neuray", "generalization")
NEURAY_TUNED = Contender("NeuRay + head, fine-tuned", "neuray", "finetuned")
SEMANTIC_NERF = Contender("Semantic-NeRF", "semantic_nerf", "scratch")
NERF = Contender("NeRF", "nerf", "scratch")


@dataclass(frozen=True)
class Gap:
    """Something that cannot be shown: what, why, and the command that makes it."""

    what: str
    why: str
    command: str


@dataclass(frozen=True)
class StudyFolder:
    """One seed of a study's checkpoints."""

    path: Path
    seed: int
    config: Path
    """The study's YAML, which the command that fills gaps names."""

    def command(self, contender: Contender) -> str:
        """What trains, fine-tunes and scores what is missing of a contender."""
        return f"sray study --config {self.config} --run-folder {self.path} --only {contender.variant}"

    def load(self, contender: Contender, scene: str, frame: str, label_space: LabelSpace) -> Checkpoint[RayModel] | Gap:
        """The contender as it may be shown on a frame of a scene."""
        path = contender.checkpoint(self.path, self.seed, scene)
        what = contender.title if contender.setting == "generalization" else f"{contender.title}, scene {scene}"
        if not path.exists():
            return Gap(what, f"there is no {path}", self.command(contender))
        try:
            checkpoint = load_checkpoint(path)
        except SrayError as error:
            return Gap(what, str(error), f"rm {path} && {self.command(contender)}")
        if checkpoint.label_space.names != label_space.names:
            other = f"{path} tells classes of {checkpoint.label_space.name} apart, the scene's are {label_space.name}"
            return Gap(what, other, self.command(contender))
        if frame in learned_frames(checkpoint):
            why = f"{path} learned from {frame}, which is shown here"
            return Gap(what, why, f"rm {path} && {self.command(contender)}")
        return checkpoint


def learned_frames(checkpoint: Checkpoint[RayModel]) -> set[str]:
    """Names of the frames of its scene that a checkpoint was fine-tuned on, as far as it says."""
    data = checkpoint.lineage.get("data")
    if not isinstance(data, dict):
        return set()
    named = [data.get(part) for part in ("sources", "tuning")]
    return {str(name) for names in named if isinstance(names, list) for name in names}
