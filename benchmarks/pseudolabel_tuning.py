"""The paper's Tables 9 and 17: what is learned of a scene from a 2D network's labels and from ground truth, over steps.

    python benchmarks/pseudolabel_tuning.py --model <segmenter> --json benchmarks/results/pseudolabel_tuning.json \
        --plot docs/images/finetune_pseudolabels.png
    python benchmarks/pseudolabel_tuning.py --model <segmenter> --json benchmarks/results/pseudolabel_tuning.json \
        --teachers --semantic-nerf-steps 3000

Each room is learned once from each teacher (pseudolabel_teachers.py) on the same 16 frames, and scored on the ground
truth of 4 others, which reach nothing else. RGB alone. The checkpoint is fine-tuned (variant `shipped`). Semantic-NeRF
(variant `semantic_nerf`), if it gets steps, starts from new weights; its authors train it for 200 000 steps of 1024
rays with 64 + 128 samples, here it gets as many as a core does in minutes, at a higher rate. With --json, each curve is
kept when it is done, and the same command goes on. At step 0 `cost` has what the labels are worth (`labels_...`), and
the 2D network's own labels of the test pictures (`segmenter_...`).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tyro
from measuring import one_thread
from pseudolabel_teachers import HOLD_OUT, QUALITY, TEACHERS, WITH_THRESHOLD, WITHOUT_NETWORK, quality, segmented
from pseudolabel_teachers import teachers_of as teachers_of
from tuning_curves import SCORES, curve_records, curves_of, draw, mean_curve, room, say, tuning_curve

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.finetune_config import FineTuneConfig
from sray.segmentation import Segmenter, load_mapping, load_pretrained
from sray_train.data.catalog import load_scenes
from sray_train.data.config import DataConfig
from sray_train.data.scene import Scene
from sray_train.data.view_split import ViewSplit, split_views
from sray_train.learn.config import TrainConfig, load_config
from sray_train.learn.finetune.from_scratch import new_checkpoint, scratch_config
from sray_train.learn.finetune.relabeled import relabeled
from sray_train.paper.study.record import Record, add_records


@dataclass
class Measure:
    """Learn rooms from pseudo-labels and from ground truth."""

    model: str
    """The 2D network: a folder, or the id of one on the hub."""
    mapping: str = "rooms"
    """What its classes mean."""
    threshold: float = 0.8
    """Probability of a sure label; chosen on validation rooms."""
    checkpoint: Path = Path("test/trained/resunet_rooms.safetensors")
    seeds: str = "9000:9003"
    """Rooms, each learned by itself."""
    teachers: tuple[str, ...] = tuple(TEACHERS)
    """Of the checkpoint; none leaves it out."""
    steps: int = 200
    score_every: int = 50
    semantic_nerf: Path = Path("config/experiments/semantic_nerf_room.yaml")
    """Its network, rays, and how far its rate falls."""
    semantic_nerf_teachers: tuple[str, ...] = ("truth", "all")
    semantic_nerf_steps: int = 0
    """0 leaves it out."""
    semantic_nerf_samples: tuple[int, int] = (24, 24)
    """Coarse and fine: 0.12 s a step of 256 rays on one core; 0.16 s with the experiment's 32 + 32."""
    semantic_nerf_learning_rate: float = 4e-3
    """The experiment's is for many times the steps. After 400 in validation room 8000 strict mIoU is 0.352 with 1e-3,
    0.437 with 2e-3, 0.452 with 4e-3 and 0.486 with 8e-3, which is not trusted with thousands."""
    semantic_nerf_score_every: int = 500
    width: int = 160
    height: int = 120
    json: Path | None = None
    """The file of records."""
    plot: Path | None = None
    """The checkpoint's curves."""

    def __post_init__(self) -> None:
        if strange := {*self.teachers, *self.semantic_nerf_teachers} - set(TEACHERS):
            raise ValueError(f"teachers are {', '.join(sorted(strange))}; expected some of {', '.join(TEACHERS)}")
        if own := {"own", "kept", "guarded"} & set(self.semantic_nerf_teachers):
            raise ValueError(
                f"{', '.join(sorted(own))}: Semantic-NeRF says nothing before; expected truth, all or sure"
            )


@dataclass(frozen=True)
class Course:
    """One curve to be had: who learns, from whom, for how long."""

    variant: str
    teacher: str
    """Of TEACHERS."""
    config: FineTuneConfig
    score_every: int
    source: str
    """The checkpoint's file, or the experiment's."""
    options: dict[str, Any]
    experiment: TrainConfig | None = field(default=None, compare=False)
    """None: the checkpoint is fine-tuned."""

    def recorded(self, path: Path | None, scene: Scene) -> list[Record]:
        """Its curve of a scene, if the file has all of it."""
        size = scene.cameras.width, scene.cameras.height
        found = curves_of(
            path,
            variant=self.variant,
            teacher=TEACHERS[self.teacher],
            data=room(scene),
            options=self.options,
            size=size,
        )
        wanted = {*range(0, self.config.steps + 1, self.score_every), self.config.steps}
        return found if wanted <= {record.steps for record in found} else []

    def learned(self, scene: Scene, split: ViewSplit, checkpoint: Checkpoint, cost: dict[str, float]) -> list[Record]:
        """Its curve of a scene whose labels are the teacher's. `cost` goes with step 0."""
        start = checkpoint
        if self.experiment is not None:
            start = new_checkpoint(self.experiment, scene, split, self.config.seed)
        hold_out = HOLD_OUT.get(self.teacher, 0)
        rows = tuning_curve(start, scene, split, self.config, self.score_every, hold_out)
        curve = curve_records(
            rows,
            scene,
            split,
            system=start.model.system,
            variant=self.variant,
            setting="finetuned" if self.experiment is None else "scratch",
            teacher=TEACHERS[self.teacher],
            seed=self.config.seed,
            config=self.source,
            options=self.options,
        )
        return [replace(record, cost=cost) if record.steps == 0 else record for record in curve]


def main(measure: Measure) -> None:
    one_thread()
    checkpoint = load_checkpoint(measure.checkpoint)
    segmenter = Segmenter(
        load_pretrained(measure.model), load_mapping(measure.mapping, checkpoint.label_space), threshold=0.0
    )
    todo = courses(measure, checkpoint, segmenter)
    records: list[Record] = []
    for scene in load_scenes(DataConfig(width=measure.width, height=measure.height), measure.seeds):
        for curve in learned(scene, todo, checkpoint, segmenter, measure):
            records += curve
    ways = {
        teacher: [each for each in records if (each.variant, each.teacher) == ("shipped", teacher)]
        for teacher in (TEACHERS[name] for name in measure.teachers)
    }
    show(records)
    if measure.plot is not None:
        network = statistics.fmean(each.cost["segmenter_strict_miou"] for each in records if each.steps == 0)
        title = "Test frames, scored on ground truth: mean over rooms, faint each room"
        draw(ways, "steps", measure.plot, title, ("the 2D network on the same pictures", network))


def courses(measure: Measure, checkpoint: Checkpoint, segmenter: Segmenter) -> list[Course]:
    """All that is asked for, of each room."""

    def labels(teacher: str) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if teacher not in WITHOUT_NETWORK:
            options |= {"segmenter": (segmenter.pretrained.sha256 or measure.model)[:12], "mapping": measure.mapping}
        if teacher in WITH_THRESHOLD:
            options["threshold"] = measure.threshold
        return options | ({"hold_out": HOLD_OUT[teacher]} if teacher in HOLD_OUT else {})

    tuning = FineTuneConfig(steps=measure.steps)
    told = {"checkpoint": checkpoint.sha256[:12], "tuning.steps": measure.steps}
    found = [
        Course("shipped", name, tuning, measure.score_every, str(measure.checkpoint), told | labels(name))
        for name in measure.teachers
    ]
    if measure.semantic_nerf_steps:
        experiment = load_config(measure.semantic_nerf)
        coarse, fine = measure.semantic_nerf_samples
        scratch = scratch_config(
            experiment,
            steps=measure.semantic_nerf_steps,
            coarse_samples=coarse,
            fine_samples=fine,
            learning_rate=measure.semantic_nerf_learning_rate,
        )
        told = {
            "tuning.steps": scratch.steps,
            "tuning.rays": scratch.rays,
            "tuning.samples": [coarse, fine],
            "tuning.learning_rate": scratch.learning_rate,
        }
        every, source = measure.semantic_nerf_score_every, str(measure.semantic_nerf)
        found += [
            Course(experiment.system, name, scratch, every, source, told | labels(name), experiment)
            for name in measure.semantic_nerf_teachers
        ]
    return found


def learned(
    scene: Scene, todo: list[Course], checkpoint: Checkpoint, segmenter: Segmenter, measure: Measure
) -> Iterator[list[Record]]:
    """The curve of each course on a room, each when it is had: from the file, or now."""
    left = [course for course in todo if not course.recorded(measure.json, scene)]
    if left:
        split = split_views(scene)
        space = checkpoint.label_space
        teachers = teachers_of(scene, split, checkpoint, segmenter, measure.threshold)
        test = quality(space, scene, {index: segmented(segmenter, scene, index)[0] for index in split.test})
    for course in todo:
        curve = course.recorded(measure.json, scene)
        if not curve:
            labels = teachers[course.teacher]
            cost = {f"labels_{name}": value for name, value in quality(space, scene, labels).items()}
            cost |= {f"segmenter_{name}": value for name, value in test.items()}
            curve = course.learned(relabeled(scene, labels), split, checkpoint, cost)
            if measure.json is not None:
                add_records(measure.json, curve)
        say(curve)
        yield curve


def show(records: list[Record]) -> None:
    """Tables of means over rooms: what labels are worth, and teachers down, steps along."""
    starts = [record for record in records if record.steps == 0]
    for kind in ("segmenter", "labels"):
        for teacher in dict.fromkeys(record.teacher for record in starts) if kind == "labels" else ["2D network"]:
            found = [each.cost for each in starts if kind == "segmenter" or each.teacher == teacher]
            means = {name: statistics.fmean(each[f"{kind}_{name}"] for each in found) for name in QUALITY}
            print(f"{teacher}: " + "  ".join(f"{name} {value:.3f}" for name, value in means.items()))
    for variant, teacher in dict.fromkeys((record.variant, record.teacher) for record in records):
        its = [each for each in records if (each.variant, each.teacher) == (variant, teacher)]
        for row in mean_curve(its):
            scores = "  ".join(f"{score} {row[score]:.3f}" for score in SCORES)
            print(f"{variant}, {teacher}  step {row['steps']:4}  {row['seconds']:5.1f} s  {scores}")


if __name__ == "__main__":
    main(tyro.cli(Measure))
