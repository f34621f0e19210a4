"""A study's run folder: where the checkpoints of each variant and seed lie."""

from __future__ import annotations

from pathlib import Path

from sray_train.paper.study.plan import Study
from sray_train.paper.study.record import Setting


def trained_encoder(folder: Path) -> Path:
    """The encoder that the study itself has trained."""
    return folder / "encoder.safetensors"


def shared_encoder(study: Study, folder: Path) -> Path | None:
    """The pre-trained encoder that all variants start from; None: each begins with its own."""
    return study.encoder_file or (trained_encoder(folder) if study.encoder.encoder.steps else None)


def run_folder(folder: Path, variant: str, seed: int) -> Path:
    return folder / variant / f"seed{seed}"


def trained_checkpoint(place: Path) -> Path:
    """Of a `run_folder`: the weights after the last step."""
    return place / "trained.safetensors"


def scene_checkpoint(place: Path, setting: Setting, scene: str) -> Path:
    """Of a `run_folder`: what was learned of one scene."""
    return place / setting / f"{scene}.safetensors"
