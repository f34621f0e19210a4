"""The paper's Tables 9 and 17: no fine-tuning, fine-tuning on a 2D network's labels, and on ground truth, over steps.

    python benchmarks/pseudolabel_tuning.py --model <segmenter> --json benchmarks/results/pseudolabel_tuning.json \
        --plot docs/images/finetune_pseudolabels.png

Each room is tuned once with each teacher on the same 16 frames, and scored on the ground truth of 4 others, which reach
nothing else. RGB alone. With --json, what is done is kept after each, and the same command goes on.

    all     the network's labels, every pixel
    sure    those that are as probable as --threshold; nothing teaches the rest (`sray pseudolabel`)
    kept    the same, and the rest teach what the model said of them before (`sray finetune --keep-own`)
    guarded as kept, but 2 frames judge instead of teaching: the best weights by them are scored (`--hold-out 2`)
    own     what the model said of them before, without the network
    truth   ground truth
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from jaxtyping import UInt8
from measuring import facts, one_thread
from torch import Tensor
from tuning_curves import CLOCK, SCORES, draw, mean_curve, tuning_curve

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.field import SemanticField
from sray.finetune_config import FineTuneConfig
from sray.label_space import VOID, LabelSpace
from sray.own_labels import own_labels
from sray.segmentation import Segmenter, load_mapping, load_pretrained
from sray_train.config import DataConfig
from sray_train.datasets.catalog import load_scenes
from sray_train.datasets.scene import Scene
from sray_train.datasets.view_split import ViewSplit, split_views
from sray_train.pseudolabels.labelling import Labelled
from sray_train.records import with_nulls, write_record
from sray_train.tuning.relabelled import relabelled

Labels = dict[int, UInt8[Tensor, "height width"]]
TEACHERS = {
    "truth": "ground truth",
    "kept": "pseudo-labels where sure, own elsewhere",
    "guarded": "the same, held-out frames choose the weights",
    "own": "own labels alone",
    "sure": "pseudo-labels where sure",
    "all": "pseudo-labels",
}
HOLD_OUT = {"guarded": 2}
QUALITY = ("coverage", "strict_miou", "total_accuracy", "accuracy_where_labelled")


@dataclass
class Measure:
    """Tune rooms on pseudo-labels and on ground truth."""

    model: str
    """The 2D network: a folder, or the id of one on the hub."""
    mapping: str = "rooms"
    """What its classes mean."""
    threshold: float = 0.8
    """Probability of a sure label; chosen on validation rooms."""
    checkpoint: Path = Path("models/sray_rooms.safetensors")
    seeds: str = "9000:9003"
    """Rooms, each tuned on by itself."""
    teachers: tuple[str, ...] = tuple(TEACHERS)
    steps: int = 200
    score_every: int = 50
    width: int = 160
    height: int = 120
    json: Path | None = None
    """Where the record goes. One with other settings is replaced."""
    plot: Path | None = None

    def __post_init__(self) -> None:
        if strange := set(self.teachers) - set(TEACHERS):
            raise ValueError(f"teachers are {', '.join(sorted(strange))}; expected some of {', '.join(TEACHERS)}")


def main(measure: Measure) -> None:
    one_thread()
    checkpoint = load_checkpoint(measure.checkpoint)
    segmenter = Segmenter(
        load_pretrained(measure.model), load_mapping(measure.mapping, checkpoint.label_space), threshold=0.0
    )
    record = facts("what are pseudo-labels worth beside ground truth?", 1) | {"clock": CLOCK, "input": "RGB"}
    settings = with_nulls(
        {
            "checkpoint": checkpoint.sha256,
            "segmenter": segmenter.pretrained.sha256,
            "mapping": measure.mapping,
            "threshold": measure.threshold,
            "steps": measure.steps,
            "score_every": measure.score_every,
            "size": [measure.width, measure.height],
        }
    )
    record["command"] = record["command"].replace(str(Path.home()), "~")
    rooms = begun(measure.json, settings)
    record |= {"settings": settings, "teachers": TEACHERS, "rooms": rooms}
    for scene in load_scenes(DataConfig(width=measure.width, height=measure.height), measure.seeds):
        room = rooms.setdefault(scene.name, {})
        for teacher, result in taught(scene, checkpoint, segmenter, measure, room):
            room[teacher] = result
            if measure.json is not None:
                write_record(measure.json, record)
            if "curve" in result:
                first, last = result["curve"][0], result["curve"][-1]
                print(
                    f"{scene.name}  {teacher:7}  {last['seconds']:5.1f} s  strict mIoU {first['strict_miou']:.3f} -> "
                    f"{last['strict_miou']:.3f}  PSNR {first['psnr']:.1f} -> {last['psnr']:.1f} dB",
                    flush=True,
                )
    chosen = {scene: room for scene, room in rooms.items() if all(teacher in room for teacher in measure.teachers)}
    ways = {TEACHERS[name]: {scene: room[name]["curve"] for scene, room in chosen.items()} for name in measure.teachers}
    record["mean"] = {name: mean_curve(list(ways[TEACHERS[name]].values())) for name in measure.teachers}
    record["load_after"] = round(os.getloadavg()[0], 2)
    show(record, chosen)
    if measure.json is not None:
        write_record(measure.json, record)
        print(f"record: {measure.json}")
    if measure.plot is not None:
        network = statistics.fmean(room["segmenter"]["strict_miou"] for room in chosen.values())
        title = "Test frames, scored on ground truth: mean over rooms, faint each room"
        draw(ways, "step", measure.plot, title, ("the 2D network on the same pictures", network))


def begun(path: Path | None, settings: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run with the same settings found, room by room."""
    if path is None or not path.is_file():
        return {}
    before = json.loads(path.read_text())
    rooms: dict[str, Any] = before["rooms"] if before.get("settings") == settings else {}
    return rooms


def taught(
    scene: Scene, checkpoint: Checkpoint, segmenter: Segmenter, measure: Measure, done: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The 2D network's own scores on the test frames, then what each teacher came to, but for what is done."""
    if all(name in done for name in ("segmenter", *measure.teachers)):
        return
    split = split_views(scene)
    yield (
        "segmenter",
        quality(checkpoint.label_space, scene, {index: segmented(segmenter, scene, index)[0] for index in split.test}),
    )
    teachers = teachers_of(scene, split, checkpoint, segmenter, measure.threshold)
    for name in measure.teachers:
        if name not in done:
            taught_by = relabelled(scene, teachers[name])
            config, hold_out = FineTuneConfig(steps=measure.steps), HOLD_OUT.get(name, 0)
            curve = tuning_curve(checkpoint, taught_by, split, config, measure.score_every, hold_out)
            yield name, {"labels": quality(checkpoint.label_space, scene, teachers[name]), "curve": curve}


def teachers_of(
    scene: Scene, split: ViewSplit, checkpoint: Checkpoint, segmenter: Segmenter, threshold: float
) -> dict[str, Labels]:
    """Labels of the frames that teach, by teacher. Test frames are not looked at."""
    teaching = (*split.sources, *split.tuning)
    numbers = sorted(teaching)
    found = own_labels(
        SemanticField(checkpoint.model), [scene.frames[number] for number in numbers], range(len(numbers)), scene.bounds
    )
    own = {number: found[position] for position, number in enumerate(numbers)}
    teachers: dict[str, Labels] = {name: {} for name in TEACHERS}
    for index in teaching:
        labels, confidence = segmented(segmenter, scene, index)
        sure = torch.where(confidence >= threshold, labels, VOID)
        truth = scene.frames[index].labels
        assert truth is not None, "rooms are labelled"
        found = {"all": labels, "sure": sure, "own": own[index], "truth": truth}
        found["kept"] = found["guarded"] = torch.where(sure == VOID, own[index], sure)
        for name, its in found.items():
            teachers[name][index] = its
    return teachers


def segmented(segmenter: Segmenter, scene: Scene, index: int) -> tuple[UInt8[Tensor, "height width"], Tensor]:
    """What the 2D network says of one picture, and its confidence."""
    answer = segmenter.segment(scene.frames[index].image.numpy())
    return torch.from_numpy(answer.labels), torch.from_numpy(answer.confidence)


def quality(space: LabelSpace, scene: Scene, labels: Labels) -> dict[str, float]:
    """How good labels are, by ground truth."""
    made = Labelled(len(labels), space.names)
    for index, its in labels.items():
        truth = scene.frames[index].labels
        made.add(its.numpy(), None if truth is None else truth.numpy())
    return {name: round(made.record()[name], 4) for name in QUALITY}


def show(record: dict[str, Any], rooms: dict[str, Any]) -> None:
    """A table: teachers down, steps along."""
    for kind in ("segmenter", *record["mean"]):
        found = [room[kind] if kind == "segmenter" else room[kind]["labels"] for room in rooms.values()]
        means = {name: statistics.fmean(each[name] for each in found) for name in QUALITY}
        where = "on test pictures" if kind == "segmenter" else "labels that teach"
        print(f"{kind:9}  {where}: " + "  ".join(f"{name} {value:.3f}" for name, value in means.items()))
    for name, curve in record["mean"].items():
        for row in curve:
            scores = "  ".join(f"{score} {row[score]:.3f}" for score in SCORES)
            print(f"{name:9}  step {row['step']:4}  {row['seconds']:5.1f} s  {scores}")


if __name__ == "__main__":
    main(tyro.cli(Measure))
