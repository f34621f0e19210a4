"""The options that several commands have, in groups that a command inherits: each option's check and help stand once.

Their ValueErrors are shown as wrong arguments. A command may give an option another default, or a help of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sray.encoder import LEAST_SIDE
from sray.errors import FileError, TooFewViewsError
from sray.label_space import LABEL_SPACES, LabelSpace
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.config import DataConfig, LabelIds
from sray_train.data.rooms import parse_seeds
from sray_train.data.scene import Scene
from sray_train.machine import Device

DEFAULT_CHECKPOINT = Path("models/sray_indoor.safetensors")
"""That commands take where none is named: the better of the two that come with the package."""


def at_least(low: int, **options: int | None) -> None:
    """Raises ValueError for an option that is given and less than this."""
    for name, value in options.items():
        if value is not None and value < low:
            raise ValueError(f"{name.replace('_', '-')} is {value}; expected at least {low}")


def given(**options: Any) -> dict[str, Any]:
    """Those of the options that are not None: they replace what a config says."""
    return {name: value for name, value in options.items() if value is not None}


def need_depth(scenes: Sequence[Scene], option: str) -> None:
    """Raises FileError, naming it, for a scene without depth, which `option` asks for."""
    for scene in scenes:
        if not scene.has_depth:
            raise FileError(f"{scene.name} has no depth", f"depth of some frames, for {option}", f"Leave out {option}")


def no_sources(scenes: Sequence[Scene]) -> TooFewViewsError:
    """The error where `--apart` finds no source views for any picture (`views_apart`)."""
    names = ", ".join(scene.name for scene in scenes[:4]) + (", ..." if len(scenes) > 4 else "")
    found = f"no frame of {names} sees a tenth of what another one sees"
    return TooFewViewsError(found, "some that do, as source views for --apart", "Leave out --apart")


class Options:
    """A group of options. A command has several, so each checks its own and then asks the next."""

    def __post_init__(self) -> None:
        """Raises ValueError for options that cannot be."""


@dataclass(kw_only=True)
class ThreadOptions(Options):
    """How much of the processor is used."""

    threads: int = 0
    """Torch threads; 0 takes all cores."""

    def __post_init__(self) -> None:
        at_least(0, threads=self.threads)
        super().__post_init__()


@dataclass(kw_only=True)
class DeviceOptions(Options):
    """Whether the GPU is used; auto: where there is one."""

    device: Device = "auto"

    def __post_init__(self) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is cuda, but there is none; expected cpu or auto")
        super().__post_init__()


@dataclass(kw_only=True)
class RunOptions(DeviceOptions, ThreadOptions):
    """What networks run on."""


@dataclass(kw_only=True)
class CheckpointOptions(Options):
    """Which model."""

    checkpoint: Path = DEFAULT_CHECKPOINT
    """A .safetensors file written by `sray train`."""


@dataclass(kw_only=True)
class RecordOptions(Options):
    """Where what was measured is written to."""

    json: Path
    """Where the record goes."""
    overwrite: bool = False
    """Replace a record that is there."""


@dataclass(kw_only=True)
class SceneOptions(Options):
    """Which scenes, and how they are read."""

    seeds: tuple[str, ...] = ()
    """Rooms: 9000 9001, or 9000:9010. Held-out seeds are 9000 and up."""
    sequence: Path | None = None
    """A recording instead, labeled or not, in any layout that `sray train` reads."""
    label_ids: LabelIds = "auto"
    """What its label pictures hold: NYU40 ids, or raw ScanNet ids."""
    width: int | None = None
    height: int | None = None
    """Without: the config's, or 160x120. Those of --sequence keep their aspect."""
    frames: int | None = None
    """A recording is thinned to so many; 0: all. Without: the config's, or 24 of a room, all of a recording."""
    bounds: tuple[float, float] | None = None
    """Near and far of the scenes, meters; without: their own."""

    def __post_init__(self) -> None:
        if self.seeds and self.sequence:
            raise ValueError("--seeds and --sequence are given; expected one of them")
        if self.seeds:
            parse_seeds(" ".join(self.seeds))  # raises ValueError
        at_least(LEAST_SIDE, width=self.width, height=self.height)
        at_least(0, frames=self.frames)
        if self.bounds is not None and not 0 < self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds are {self.bounds[0]} to {self.bounds[1]} m; expected 0 < near < far")
        super().__post_init__()

    def need_scenes(self) -> None:
        """Raises ValueError unless rooms or a recording are chosen."""
        if not self.seeds and not self.sequence:
            raise ValueError("expected one of --sequence and --seeds")

    def data(self, config: DataConfig, space: LabelSpace | None) -> DataConfig:
        """The config with these options in place, and with this label space if it is given and a known one."""
        return replace(
            config,
            label_ids=config.label_ids if self.label_ids == "auto" else self.label_ids,
            label_space=space.name if space and space.name in LABEL_SPACES else config.label_space,
            **given(width=self.width, height=self.height, frames=self.frames),
        )

    def scenes(self, data: DataConfig, space: LabelSpace) -> list[Scene]:
        """The chosen scenes, or the config's test scenes where none are chosen. Raises as `chosen_scenes` does."""
        return chosen_scenes(data, space, seeds=self.seeds, sequence=self.sequence, bounds=self.bounds)
