"""A study's run folder: where the checkpoints of each variant and seed lie."""

from __future__ import annotations

from pathlib import Path

from sray_train.paper.study.record import Setting


def shared_encoder(folder: Path) -> Path:
    """The pre-trained encoder that all variants start from."""
    return folder / "encoder.safetensors"


def run_folder(folder: Path, variant: str, seed: int) -> Path:
    return folder / variant / f"seed{seed}"


def trained_checkpoint(place: Path) -> Path:
    """Of a `run_folder`: the weights after the last step."""
    return place / "trained.safetensors"


def scene_checkpoint(place: Path, setting: Setting, scene: str) -> Path:
    """Of a `run_folder`: what was learned of one scene."""
    return place / setting / f"{scene}.safetensors"
