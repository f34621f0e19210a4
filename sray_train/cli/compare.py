"""`sray compare`: S-Ray beside what one would take instead with the same encoder, at keyframes and new viewpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from sray_train.cli.options import no_sources
from sray_train.cli.pictures_options import PicturesOptions
from sray_train.learn.config import load_config
from sray_train.learn.systems import load_checkpoint
from sray_train.machine import use_threads
from sray_train.paper.baselines.voxel_fusion import VoxelFusionConfig
from sray_train.paper.levels.rivals import Shown, rivals, rivals_record, show, sources_have_depth
from sray_train.paper.levels.tables import pairs_table, scores_table
from sray_train.records import refuse_existing, write_record
from sray_train.score.evaluate import spread_queries


@dataclass
class Compare(PicturesOptions):
    """Score a checkpoint's renders beside its 2D labels fused into voxels, and beside one sample a ray at stereo depth.

    All have the same encoder, classifier, stereo network and source views. Scenes need labels, and depth for RGB-D.
    """

    targets: int = 4
    """New viewpoints of a scene, at most, evenly spread; as many keyframes."""
    voxel_size: float = 0.05
    """Edge of a voxel, meters."""
    json: Path = Path("results/compare.json")

    def __post_init__(self) -> None:
        VoxelFusionConfig(self.voxel_size)  # raises ValueError
        super().__post_init__()

    def main(self) -> None:
        refuse_existing(self.json, "--json", overwrite=self.overwrite)
        use_threads(self.threads)
        console = Console(highlight=False, soft_wrap=True)
        checkpoint, config = load_checkpoint(self.checkpoint), load_config(self.config)
        space = checkpoint.label_space
        scenes = self.scenes(self.data(config.data, space), space)
        queries = [query for scene in scenes for query in spread_queries(scene, self.targets, self.views, self.apart)]
        if not queries:
            raise no_sources(scenes)
        contenders = rivals(checkpoint.model, config.evaluation.render_config, self.voxel_size)
        if not all(map(sources_have_depth, queries)):
            contenders = [each for each in contenders if not each.depth]
            console.print("note: source views have no depth; what needs it is left out")
        facts = self.facts(checkpoint.sha256) | {
            "size": [scenes[0].cameras.width, scenes[0].cameras.height],
            "voxel_size": self.voxel_size,
            "clock": "processor",
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
