"""Options of the commands that measure a checkpoint on pictures of rooms or of a recording: `levels` and `compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sray_train.cli.options import CheckpointOptions, RecordOptions, SceneOptions, ThreadOptions, at_least
from sray_train.paper.study.commit import present_commit


@dataclass(kw_only=True)
class PicturesOptions(RecordOptions, ThreadOptions, SceneOptions, CheckpointOptions):
    """What is measured, on which pictures, and where the record goes."""

    config: Path = Path("config/experiments/indoor.yaml")
    """An experiment's YAML: its data section says where scenes are, its evaluation how pictures are rendered."""
    targets: int = 4
    """Pictures of a scene, at most, evenly spread."""
    views: int = 8
    """Source views a picture."""
    apart: tuple[float, float] | None = None
    """Meters and degrees that source views should be away from the picture, such as 0.5 20; without: the nearest."""

    def __post_init__(self) -> None:
        at_least(1, targets=self.targets, views=self.views)
        super().__post_init__()

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
