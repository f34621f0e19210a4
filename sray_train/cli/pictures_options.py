"""Options of the commands that measure a checkpoint on pictures of rooms or of a recording: `levels` and `compare`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sray.errors import TooFewViewsError
from sray.label_space import LabelSpace
from sray_train.cli.options import DEFAULT_CHECKPOINT, check_options, given_options
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.config import LabelIds
from sray_train.data.rooms import parse_seeds
from sray_train.data.scene import Scene
from sray_train.learn.config import TrainConfig
from sray_train.paper.study.commit import present_commit


@dataclass
class PicturesOptions:
    """What is measured, on which pictures, and where the record goes."""

    checkpoint: Path = DEFAULT_CHECKPOINT
    """A .safetensors file written by `sray train`."""
    config: Path = Path("config/experiments/indoor.yaml")
    """An experiment's YAML: its data section says where scenes are, its evaluation how pictures are rendered."""
    seeds: tuple[str, ...] = ()
    """Rooms instead of its test scenes: 9000 9001, or 9000:9006. Held-out seeds are 9000 and up."""
    sequence: Path | None = None
    """A labeled recording instead."""
    label_ids: LabelIds = "auto"
    """What its label pictures hold: NYU40 ids, or raw ScanNet ids."""
    targets: int = 4
    """Pictures of a scene, at most, evenly spread."""
    views: int = 8
    """Source views a picture."""
    apart: tuple[float, float] | None = None
    """Meters and degrees that source views should be away from the picture, such as 0.5 20; without: the nearest."""
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    """Frames a scene; None, here and above: what the config says."""
    threads: int = 0
    """Torch threads; 0 takes all cores."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.seeds and self.sequence:
            raise ValueError("--seeds and --sequence are given; expected one of them")
        if self.seeds:
            parse_seeds(" ".join(self.seeds))  # raises ValueError
        check_options(self)

    def scenes(self, config: TrainConfig, space: LabelSpace) -> list[Scene]:
        """The scenes that are measured, with the config's data section and this command's own options."""
        data = replace(config.data, label_ids=self.label_ids, label_space=space.name)
        data = replace(data, **given_options(self, "width", "height", "frames"))
        return chosen_scenes(data, space, seeds=self.seeds, sequence=self.sequence)

    @staticmethod
    def no_sources() -> TooFewViewsError:
        """The error where no picture of any scene can be measured."""
        return TooFewViewsError("no picture has source views as asked for", "some", "Take another --apart, or none")

    def facts(self, sha256: str) -> dict[str, Any]:
        """What a record says of how it was measured. `sha256`: of the checkpoint."""
        return {
            "checkpoint": sha256,
            "checkpoint_file": self.checkpoint,
            "config": self.config,
            "source_views": self.views,
            "apart": self.apart,
            "commit": present_commit(),
        }
