"""`sray levels`: where each point of mIoU is lost between a picture's own 2D labels and perfect ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from sray.checkpoint import Checkpoint
from sray.files import write_atomically
from sray.finetune_config import FineTuneConfig
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray_train.cli.options import at_least, no_sources
from sray_train.cli.pictures_options import PicturesOptions
from sray_train.data.scene import Scene
from sray_train.data.view_split import spread_views
from sray_train.learn.config import load_config
from sray_train.learn.finetune.scene_tuning import TuningPlan, make_tuner
from sray_train.learn.systems import load_checkpoint
from sray_train.machine import use_threads
from sray_train.paper.levels.measure import LevelReader, Measured, levels_record
from sray_train.paper.levels.tables import levels_table, read_record, steps_table
from sray_train.records import refuse_existing, write_record
from sray_train.score.evaluate import Query, split_queries, spread_queries

OF_UNTUNED = ("targets", "views", "apart")
"""Options that --tune-steps has no use for: its split says which frames are measured, and from which others."""


@dataclass
class Levels(PicturesOptions):
    """Measure a checkpoint's labels with one part after another replaced by the truth: stereo, attention, depth,
    visibility, 2D labels. Scenes need labels and depth."""

    tune_steps: int = 0
    """Fine-tune on each scene first, so many steps on 16 frames of it, and measure on 4 others from 8 of them. 0: as
    it is. Not with --targets, --views or --apart."""
    title: str = "unseen rooms"
    """Of the record, and of its panel in the picture."""
    json: Path = Path("results/levels.json")
    beside: tuple[Path, ...] = ()
    """Records of this command that the picture shows too, before this one."""
    picture: Path | None = None
    """Where the picture goes, a waterfall for each record; none is drawn without."""

    def __post_init__(self) -> None:
        at_least(0, tune_steps=self.tune_steps)
        changed = [f"--{name}" for name in OF_UNTUNED if getattr(self, name) != getattr(Levels, name)]
        if self.tune_steps and changed:
            raise ValueError(
                f"{', '.join(changed)} given with --tune-steps; expected --tune-steps without: a tuned model is "
                "measured on the 4 frames that taught it nothing, from the 8 sources"
            )
        super().__post_init__()

    def main(self) -> None:
        for path, option in ((self.json, "--json"), (self.picture, "--picture")):
            if path is not None:
                refuse_existing(path, option, overwrite=self.overwrite)
        beside = {record["title"]: record for record in map(read_record, self.beside)}
        use_threads(self.threads)
        console = Console(highlight=False, soft_wrap=True)
        checkpoint = load_checkpoint(self.checkpoint)
        facts = self.facts(checkpoint.sha256) | {"tune_steps": self.tune_steps}
        found: list[Measured] = []
        record: dict[str, Any] = {}
        config = load_config(self.config)
        scenes = self.scenes(self.data(config.data, checkpoint.label_space), checkpoint.label_space)
        for one in self.measured(checkpoint, scenes, config.evaluation.render_config):
            found.append(one)
            record = {"title": self.title} | levels_record(found) | facts
            write_record(self.json, record)  # a record of the pictures so far is left if this is interrupted
            console.print(f"{one.frame}: {len(found)} measured")
        if not found:
            raise no_sources(scenes)
        console.print(levels_table(record, even=True), steps_table(record, even=True), sep="\n\n")
        if self.picture is not None:
            from sray_train.paper.levels.picture import waterfall  # matplotlib takes a second to load

            write_atomically(self.picture, waterfall(beside | {self.title: record}))
        console.print(f"see {self.json}{f' and {self.picture}' if self.picture else ''}")

    def measured(self, checkpoint: Checkpoint[RayModel], scenes: list[Scene], how: RenderConfig) -> Iterator[Measured]:
        """Every target, when it is done."""
        for scene in scenes:
            model, queries = checkpoint.model, spread_queries(scene, self.targets, self.views, self.apart)
            if self.tune_steps:
                model, queries = self.tuned(checkpoint.model, scene)
            reader = LevelReader(model, how)
            for query in queries:
                yield reader.measure(query)

    def tuned(self, model: RayModel, scene: Scene) -> tuple[RayModel, list[Query]]:
        """The model after the scene's own steps, and the frames that taught it nothing."""
        split = spread_views(scene)
        tuner = make_tuner(model, scene, split, TuningPlan(FineTuneConfig(steps=self.tune_steps)))
        for _ in tuner.run():
            pass
        return tuner.result().model, split_queries(scene, split)
