"""`sray levels`: where each point of mIoU is lost between a picture's own 2D labels and perfect ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from sray.checkpoint import Checkpoint
from sray.errors import TooFewViewsError
from sray.files import write_atomically
from sray.finetune_config import FineTuneConfig
from sray.ray_model import RayModel
from sray_train.cli.options import DEFAULT_CHECKPOINT, check_options
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.config import LabelIds
from sray_train.data.rooms import parse_seeds
from sray_train.data.scene import Scene
from sray_train.data.view_split import spread_views
from sray_train.learn.config import load_config
from sray_train.learn.finetune.scene_tuning import TuningPlan, make_tuner
from sray_train.learn.systems import load_checkpoint
from sray_train.machine import use_threads
from sray_train.paper.levels.measure import LevelReader, Measured
from sray_train.paper.levels.record import levels_record
from sray_train.paper.levels.tables import levels_table, read_record, steps_table
from sray_train.paper.study.commit import present_commit
from sray_train.records import refuse_existing, write_record
from sray_train.score.evaluate import Query, split_queries, spread_queries


@dataclass
class Levels:
    """Measure a checkpoint's labels with one part after another replaced by the truth: stereo, attention, depth,
    visibility, 2D labels. Scenes need labels and depth."""

    checkpoint: Path = DEFAULT_CHECKPOINT
    """A .safetensors file written by `sray train`."""
    config: Path = Path("config/experiments/indoor.yaml")
    """An experiment's YAML: its data section says where scenes are, its evaluation how pictures are rendered."""
    seeds: tuple[str, ...] = ()
    """Rooms instead of its test scenes: 9000 9001, or 9000:9006. Held-out seeds are 9000 and up."""
    sequence: Path | None = None
    """A labelled recording with depth instead."""
    label_ids: LabelIds = "auto"
    """What its label pictures hold: NYU40 ids, or raw ScanNet ids."""
    targets: int = 4
    """Pictures of a scene, at most, evenly spread."""
    views: int = 8
    """Source views a picture."""
    apart: tuple[float, float] | None = None
    """Metres and degrees that source views should be away from the picture, such as 0.5 20; without: the nearest."""
    tune_steps: int = 0
    """Fine-tune on each scene first, so many steps on 16 frames of it, and measure on 4 others. 0: as it is."""
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    """Frames a scene; None, here and above: what the config says."""
    threads: int = 0
    """Torch threads; 0 takes all cores."""
    title: str = "unseen rooms"
    """Of the record, and of its panel in the picture."""
    json: Path = Path("results/levels.json")
    """Where the record goes. An existing file is kept unless --overwrite."""
    beside: tuple[Path, ...] = ()
    """Records of this command that the picture shows too, before this one."""
    picture: Path | None = None
    """Where the picture goes, a waterfall for each record; none is drawn without."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.seeds and self.sequence:
            raise ValueError("--seeds and --sequence are given; expected one of them")
        if self.seeds:
            parse_seeds(" ".join(self.seeds))  # raises ValueError
        if self.tune_steps < 0:
            raise ValueError(f"tune-steps is {self.tune_steps}; expected at least 0")
        check_options(self)

    def main(self) -> None:
        for path, option in ((self.json, "--json"), (self.picture, "--picture")):
            if path is not None:
                refuse_existing(path, option, overwrite=self.overwrite)
        beside = {record["title"]: record for record in map(read_record, self.beside)}
        use_threads(self.threads)
        console = Console(highlight=False, soft_wrap=True)
        checkpoint = load_checkpoint(self.checkpoint)
        facts = {
            "checkpoint": checkpoint.sha256,
            "checkpoint_file": self.checkpoint,
            "config": self.config,
            "source_views": self.views,
            "apart": self.apart,
            "tune_steps": self.tune_steps,
            "commit": present_commit(),
        }
        found: list[Measured] = []
        record: dict[str, Any] = {}
        for one in self.measured(checkpoint):
            found.append(one)
            record = {"title": self.title} | levels_record(found) | facts
            write_record(self.json, record)  # a record of the pictures so far is left if this is interrupted
            console.print(f"{one.frame}: {len(found)} measured")
        if not found:
            raise TooFewViewsError("no picture has source views as asked for", "some", "Take another --apart, or none")
        console.print(levels_table(record, even=True), steps_table(record, even=True), sep="\n\n")
        if self.picture is not None:
            from sray_train.paper.levels.picture import waterfall  # matplotlib takes a second to load

            write_atomically(self.picture, waterfall(beside | {self.title: record}))
        console.print(f"see {self.json}{f' and {self.picture}' if self.picture else ''}")

    def measured(self, checkpoint: Checkpoint[RayModel]) -> Iterator[Measured]:
        """Every target, when it is done."""
        config = load_config(self.config)
        given = {name: getattr(self, name) for name in ("width", "height", "frames")}
        data = replace(config.data, label_ids=self.label_ids, label_space=checkpoint.label_space.name)
        data = replace(data, **{name: value for name, value in given.items() if value is not None})
        scenes = chosen_scenes(data, checkpoint.label_space, seeds=self.seeds, sequence=self.sequence)
        plan = config.evaluation
        for scene in scenes:
            model, queries = checkpoint.model, spread_queries(scene, self.targets, self.views, self.apart)
            if self.tune_steps:
                model, queries = self.tuned(checkpoint.model, scene)
            reader = LevelReader(model, plan.render_config)
            for query in queries:
                yield reader.measure(query)

    def tuned(self, model: RayModel, scene: Scene) -> tuple[RayModel, list[Query]]:
        """The model after the scene's own steps, and the frames that taught it nothing."""
        split = spread_views(scene)
        tuner = make_tuner(model, scene, split, TuningPlan(FineTuneConfig(steps=self.tune_steps)))
        for _ in tuner.run():
            pass
        return tuner.result().model, split_queries(scene, split)
