"""`sray finetune`: a checkpoint, or new weights, learn a scene in few steps; scores before, after and along the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from sray.checkpoint import Checkpoint, save_checkpoint
from sray.errors import FileError, RequestError
from sray.finetune_config import FineTuneConfig
from sray.label_space import LABEL_SPACES, LabelSpace
from sray_train.cli.options import (
    DEFAULT_CHECKPOINT,
    RecordOptions,
    RunOptions,
    SceneOptions,
    at_least,
    given,
    need_depth,
)
from sray_train.data.config import DataConfig, LabelIds
from sray_train.data.rooms import parse_seeds
from sray_train.data.scene import Scene
from sray_train.data.view_split import PAPER_COUNTS, ViewSplit, split_views, spread_views, with_others
from sray_train.learn.config import TrainConfig, load_config
from sray_train.learn.finetune.curve import draw_tuning_curve
from sray_train.learn.finetune.from_scratch import new_checkpoint, scratch_config
from sray_train.learn.finetune.scene_tuning import (
    TunedScene,
    TuningPlan,
    tune_scene,
    tuned_lineage,
    tuning_record,
)
from sray_train.learn.finetune.truth import Truth, whose_labels
from sray_train.learn.finetune.watch import Watch, say_tuned
from sray_train.learn.interruption import interruption
from sray_train.learn.systems import load_checkpoint
from sray_train.learn.training.allocator import keep_freed_memory
from sray_train.machine import chosen_device, use_threads
from sray_train.records import refuse_existing, with_nulls, write_record

RECORDING_FRAMES = 100
"""A longer recording is thinned to so many: neighbors at 30 Hz are one picture, and tuning on them proves nothing."""


@dataclass
class Finetune(RecordOptions, RunOptions, SceneOptions):
    """Adapt a checkpoint to a scene in few steps: 8 sources, 8 frames to tune on, 4 to score on before and after."""

    checkpoint: Path | None = None
    """What `sray train` wrote, not changed here; without: models/sray_indoor.safetensors."""
    scratch: Path | None = None
    """New weights for each scene instead, as an experiment's YAML says."""
    truth: Path | None = None
    """The same recording with labels to score on, where those of --sequence only teach."""
    truth_label_ids: LabelIds = "auto"
    """What the label pictures of --truth hold."""
    steps: int | None = None
    """Without: 200, and with --scratch the experiment's `frozen.steps`."""
    learning_rate: float | None = None
    """Of all but the encoder, on rays. Without: what suits the mode, or the experiment's."""
    mode: Literal["full", "heads"] = "full"
    """`full`: the encoder learns too. `heads`: it stays as it is."""
    color_only: bool = False
    """The pictures alone teach: no label is used but to score."""
    keep_own: bool = False
    """Pixels without a label are held to what the checkpoint said of them before."""
    depth: bool = False
    """RGB-D: depth teaches, and guides the rendering of the test frames."""
    teach_depth: bool = False
    """Depth teaches, and the test frames are rendered from RGB."""
    split: tuple[int, int, int] = PAPER_COUNTS
    """Source, tuning and test frames."""
    nearby: bool = False
    """Choose the frames nearest to one, as the paper does, not spread over the scene."""
    center: int | None = None
    """The frame they are nearest to, implies --nearby; without: the middle one."""
    remember: int = 8
    """Other frames that hold classes no label shows to the checkpoint's answers."""
    elsewhere: int = 8
    """Frames away from all those, scored before and after: what of the scene is forgotten."""
    hold_out: int = 0
    """Tuning frames that choose the best weights instead; 0: the last weights are taken."""
    seed: int = 0
    max_seconds: float = float("inf")
    """Stop fine-tuning a scene after this long."""
    score_every: int = 50
    """Steps between two renderings of the test frames, for the curve; 0: none."""
    frames: int | None = None
    """To choose from; without: 24 of a room, 100 of a recording. 0: all of a recording."""
    json: Path = Path("results/finetune.json")
    output: Path | None = None
    """Where the tuned checkpoint of a single scene goes."""
    curve: Path | None = None
    """Where the picture of the scores over steps goes; without: beside the record."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_scenes()
        if self.truth and not self.sequence:
            raise ValueError("--truth is the ground truth of a --sequence; rooms (--seeds) have their own")
        if self.seeds and self.output and len(parse_seeds(" ".join(self.seeds))) > 1:
            raise ValueError("--output takes the model of one scene, but --seeds names several; expected one seed")
        if min(self.split) < 1 or not 0 <= self.hold_out <= self.split[1]:
            raise ValueError(
                f"split is {self.split}, {self.hold_out} held out; expected at least 1 frame of each kind, and no more "
                "held out than there are tuning frames"
            )
        at_least(0, score_every=self.score_every, remember=self.remember, elsewhere=self.elsewhere)
        if self.scratch is not None:
            self._check_scratch()
        self.plan()  # raises ValueError

    def _check_scratch(self) -> None:
        if self.checkpoint is not None:
            raise ValueError("--scratch starts from new weights, --checkpoint from trained ones; expected one of them")
        if self.mode == "heads":
            raise ValueError(
                "--mode heads leaves the encoder as it is, which knows nothing from --scratch; expected full"
            )
        if self.keep_own:
            raise ValueError("--keep-own keeps what a checkpoint says, and with --scratch there is none; leave it out")

    def plan(self, experiment: TrainConfig | None = None) -> TuningPlan:
        """What these options ask for, of each scene; `experiment`: what they leave open, from new weights."""
        asked = given(steps=self.steps, learning_rate=self.learning_rate)
        asked |= {"mode": self.mode, "seed": self.seed, "max_seconds": self.max_seconds}
        config = FineTuneConfig(**asked) if experiment is None else scratch_config(experiment, **asked)
        plan = TuningPlan(
            config,
            hold_out=self.hold_out,
            keep_own=self.keep_own,
            depth=self.depth,
            teach_depth=self.teach_depth,
            score_every=self.score_every,
        )
        return plan.without_labels() if self.color_only else plan

    def main(self) -> None:
        picture = self.curve or self.json.with_suffix(".png")
        for path, option in ((self.json, "--json"), (self.output, "--output"), (picture, "--curve")):
            if path is not None:
                refuse_existing(path, option, overwrite=self.overwrite)
        keep_freed_memory()
        use_threads(self.threads)
        space, plan, start_of = self.start()
        data = self.data(DataConfig(frames=RECORDING_FRAMES) if self.sequence else DataConfig(), space)
        scenes = self.scenes(data, space)
        if len(scenes) > 1 and self.output is not None:
            names = ", ".join(scene.name for scene in scenes)
            remedy = "Name one of its folders as --sequence, or leave out --output"
            raise RequestError(f"--output takes the model of one scene, but {self.sequence} has {names}", "one", remedy)
        if self.depth or self.teach_depth:
            need_depth(scenes, "--depth" if self.depth else "--teach-depth")
        splits = [self.frames_of(scene) for scene in scenes]  # all, before time is spent on one
        if self.truth is not None:
            truth = Truth(self.truth, space, self.truth_label_ids)
            scenes = [truth.of_scored_frames(scene, split) for scene, split in zip(scenes, splits, strict=True)]
        console = Console(highlight=False, soft_wrap=True)
        if (made_by := self.labels()["score"]["made_by"]) is not None:
            console.print(f"note: scores are on labels that {made_by} made; --truth scores on ground truth")
        device = chosen_device(self.device)
        starts: list[Checkpoint] = []
        tuned: list[TunedScene] = []
        with interruption() as interrupted:
            for scene, split in zip(scenes, splits, strict=True):
                starts.append(start_of(scene, split))
                starts[-1].model.to(device)
                with Watch(console, scene.name, plan.config.steps) as watch:
                    tuned.append(tune_scene(starts[-1], scene, split, plan, on_step=watch.see, canceled=interrupted))
                say_tuned(console, tuned[-1], len(tuned), len(scenes))
                if interrupted():
                    break
        self.keep(starts[0], plan, tuned, picture)
        print(f"see {self.json}, {picture}{f' and {self.output}' if self.output else ''}")

    def frames_of(self, scene: Scene) -> ViewSplit:
        """Which frames teach, which are scored, and which are remembered."""
        around = self.nearby or self.center is not None
        split = split_views(scene, self.split, self.center) if around else spread_views(scene, self.split)
        return with_others(scene, split, 0 if self.scratch else self.remember, self.elsewhere)

    def start(self) -> tuple[LabelSpace, TuningPlan, Callable[[Scene, ViewSplit], Checkpoint]]:
        """The classes, what is asked for, and what a scene starts from: the checkpoint, or its own new weights."""
        if self.scratch is None:
            trained = load_checkpoint(self.checkpoint or DEFAULT_CHECKPOINT)
            plan = self.plan()
            plan = plan if trained.model.knows_classes else plan.without_labels()
            return trained.label_space, plan, lambda *_: trained
        experiment = load_config(self.scratch)
        try:
            plan = self.plan(experiment)
        except ValueError as error:
            raise FileError(f"{self.scratch}: from new weights {error}") from error
        new = partial(new_checkpoint, experiment, seed=self.seed, recorded=self.sequence is not None)
        return LABEL_SPACES[experiment.data.label_space], plan, new

    def labels(self) -> dict[str, dict[str, str | None]]:
        """Whose labels teach, and whose the test frames are scored on."""
        if self.sequence is None:
            rooms: dict[str, str | None] = {"path": "the rooms' own", "made_by": None}
            return {"teach": rooms, "score": rooms}
        return {"teach": whose_labels(self.sequence), "score": whose_labels(self.truth or self.sequence)}

    def keep(self, start: Checkpoint, plan: TuningPlan, tuned: list[TunedScene], picture: Path) -> None:
        """Write the record, the curve and the checkpoint."""
        record = tuning_record(tuned, start, plan, "scratch" if self.scratch else "finetuned") | {
            "threads": torch.get_num_threads(),
            "checkpoint_file": None if self.scratch else self.checkpoint or DEFAULT_CHECKPOINT,
            "experiment": self.scratch,
            "labels": self.labels(),
        }
        write_record(self.json, record)
        draw_tuning_curve({scene.scene.name: scene.curve for scene in tuned}, picture)
        if self.output is not None:
            lineage = with_nulls(tuned_lineage(tuned[0], start, plan) | {"labels": self.labels()})
            save_checkpoint(self.output, tuned[0].result.model, start.label_space, lineage)
