"""`sray compare`: S-Ray beside what one would take instead with the same encoder, at keyframes and new viewpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from sray.errors import TooFewViewsError
from sray_train.cli.options import DEFAULT_CHECKPOINT, check_options
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.config import LabelIds
from sray_train.data.rooms import parse_seeds
from sray_train.learn.config import load_config
from sray_train.learn.systems import load_checkpoint
from sray_train.machine import use_threads
from sray_train.paper.baselines.voxel_fusion import VoxelFusionConfig
from sray_train.paper.levels.rivals import Shown, rivals, rivals_record, show
from sray_train.paper.levels.tables import pairs_table, scores_table
from sray_train.paper.study.commit import present_commit
from sray_train.records import refuse_existing, write_record
from sray_train.score.evaluate import spread_queries


@dataclass
class Compare:
    """Score a checkpoint's renders beside its 2D labels fused into voxels, and beside one sample a ray at stereo depth.

    All have the same encoder, classifier, stereo network and source views. Scenes need labels, and depth for RGB-D.
    """

    checkpoint: Path = DEFAULT_CHECKPOINT
    """A .safetensors file written by `sray train`, with a stereo network."""
    config: Path = Path("config/experiments/indoor.yaml")
    """An experiment's YAML: its data section says where scenes are, its evaluation how pictures are rendered."""
    seeds: tuple[str, ...] = ()
    """Rooms instead of its test scenes: 9000 9001, or 9000:9006. Held-out seeds are 9000 and up."""
    sequence: Path | None = None
    """A labelled recording instead."""
    label_ids: LabelIds = "auto"
    """What its label pictures hold: NYU40 ids, or raw ScanNet ids."""
    targets: int = 4
    """New viewpoints of a scene, at most, evenly spread; as many keyframes."""
    views: int = 8
    """Source views a picture."""
    apart: tuple[float, float] | None = None
    """Metres and degrees that source views should be away from the picture, such as 0.5 20; without: the nearest."""
    voxel_size: float = 0.05
    """Edge of a voxel, metres."""
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    """Frames a scene; None, here and above: what the config says."""
    threads: int = 0
    """Torch threads; 0 takes all cores."""
    json: Path = Path("results/compare.json")
    """Where the record goes. An existing file is kept unless --overwrite."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.seeds and self.sequence:
            raise ValueError("--seeds and --sequence are given; expected one of them")
        if self.seeds:
            parse_seeds(" ".join(self.seeds))  # raises ValueError
        VoxelFusionConfig(self.voxel_size)  # raises ValueError
        check_options(self)

    def main(self) -> None:
        refuse_existing(self.json, "--json", overwrite=self.overwrite)
        use_threads(self.threads)
        console = Console(highlight=False, soft_wrap=True)
        checkpoint, config = load_checkpoint(self.checkpoint), load_config(self.config)
        space = checkpoint.label_space
        given = {name: getattr(self, name) for name in ("width", "height", "frames")}
        data = replace(config.data, label_ids=self.label_ids, label_space=space.name)
        data = replace(data, **{name: value for name, value in given.items() if value is not None})
        scenes = chosen_scenes(data, space, seeds=self.seeds, sequence=self.sequence)
        queries = [query for scene in scenes for query in spread_queries(scene, self.targets, self.views, self.apart)]
        if not queries:
            raise TooFewViewsError("no picture has source views as asked for", "some", "Take another --apart, or none")
        contenders = rivals(checkpoint.model, config.evaluation.render_config, self.voxel_size)
        facts = {
            "size": [scenes[0].cameras.width, scenes[0].cameras.height],
            "checkpoint": checkpoint.sha256,
            "checkpoint_file": self.checkpoint,
            "config": self.config,
            "source_views": self.views,
            "apart": self.apart,
            "voxel_size": self.voxel_size,
            "clock": "processor",
            "commit": present_commit(),
        }
        found: list[Shown] = []
        record: dict[str, Any] = {}
        for number, query in enumerate(queries, start=1):
            found += show(contenders, [query], space.classes)
            shown = sorted({one.scene.name for one in queries[:number]})
            record = rivals_record(found) | {"scenes": shown} | facts
            write_record(self.json, record)  # a record of the pictures so far is left if this is interrupted
            console.print(f"{query.scene.name}: {number} of {len(queries)} shown")
        console.print(scores_table(record, even=True), pairs_table(record, even=True), sep="\n\n")
        console.print(f"see {self.json}")
