"""The figures of models/README.md: measured again, beside those that are recorded in models/card.json.

    python benchmarks/model_card.py --pictures <folder>            # exit status 1 where a figure differs
    python benchmarks/model_card.py --pictures <folder> --write    # record what was measured, and write the tables

The folder holds the 795 training pictures of NYU Depth v2 (colour/N.jpg, label40/N.png), of which every tenth is
scored; without it what they say is left out. Rooms are generated when they are not there yet. About ten minutes of one
thread; interrupted, the same command goes on.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from card_failures import Failures
from card_tables import with_tables
from measuring import facts, one_thread

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.field import SemanticField
from sray.frames import SourceViews
from sray.label_space import LABEL_SPACES
from sray.segmentation.between_spaces import likeliest, projection, same_classes
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.labeled_pictures import LabeledPictures
from sray_train.learn.config import load_config
from sray_train.paper.baselines.picture_labels import NetworkLabels
from sray_train.records import with_nulls, write_record
from sray_train.score.evaluate import evaluate, spread_queries
from sray_train.score.pictures import evaluate_pictures
from sray_train.score.scores import Evaluation

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "config/experiments/indoor.yaml"
TARGETS = 2
"""Pictures a room."""
TOLERANCE = 0.005
"""Of scores in 0..1 and of relative errors."""
DECIBELS = 0.05
"""Tolerance of what is in dB."""
KEPT = (
    *("strict_miou", "strict_miou_interval", "released_miou", "total_accuracy", "average_accuracy"),
    *("commonest_class_miou", "psnr", "psnr_matched", "ssim", "depth_abs_rel", "depth_within_1_25", "map_f_score_5cm"),
    *("pictures", "per_class"),
)
"""Of an evaluation's record."""


@dataclass(frozen=True)
class Measurement:
    """One evaluation of the card."""

    checkpoint: str
    what: str
    """`pictures`, or what the rooms are rendered from: `rgb`, `rgbd`."""
    space: str

    @property
    def name(self) -> str:
        return f"{self.checkpoint}/{self.what}/{self.space}"


MEASUREMENTS = (
    *(Measurement("sray_indoor", "pictures", space) for space in ("indoor", "scannet20", "rooms")),
    Measurement("sray_rooms", "pictures", "rooms"),
    *(Measurement("sray_indoor", what, "indoor") for what in ("rgb", "rgbd")),
    *(Measurement(name, what, "rooms") for name in ("sray_indoor", "sray_rooms") for what in ("rgb", "rgbd")),
)
SHOWN = Measurement("sray_indoor", "rgb", "indoor")
"""Whose worst pictures the card shows. Those of NYU Depth v2 are not ours to be published."""


@dataclass
class Card:
    """Measure the figures of the model card, and compare them with the recorded ones."""

    pictures: Path | None = None
    """NYU Depth v2's training pictures; none: what is measured on them is left out."""
    only: str = ""
    """Measure what has this in its name alone, such as `pictures` or `sray_rooms/rgb/`."""
    write: bool = False
    """Record what was measured, instead of comparing it: models/card.json, the tables of models/README.md, and
    models/failures.jpg."""
    models: Path = ROOT / "models"
    """Folder of checkpoints, card and records."""
    output: Path = ROOT / "out/model_card"
    """Where measured.json goes, and the worst pictures of each measurement. What it has of the same checkpoint and
    commit is not measured again."""

    def main(self) -> int:
        """The exit status: 0 if all that was measured is as recorded."""
        one_thread()
        recorded = read(self.models / "card.json")
        measured = self.measured()
        if self.write:
            write_record(self.models / "card.json", {**recorded, **measured})
            card = self.models / "README.md"
            card.write_text(with_tables(card.read_text(), {**recorded, **measured}))
            if SHOWN.name in measured:
                shutil.copyfile(self.drawn(SHOWN), self.models / "failures.jpg")
            print(f"written: {self.models / 'card.json'}, and the tables of {card}")
            return 0
        complaints = [text for name, found in measured.items() for text in compared(name, found, recorded.get(name))]
        print("\n".join(complaints) or f"all {len(measured)} measurements are as recorded")
        return 1 if complaints else 0

    def drawn(self, measurement: Measurement) -> Path:
        """Where the worst pictures of a measurement go."""
        return self.output / f"{measurement.name.replace('/', '_')}.jpg"

    def measured(self) -> dict[str, Any]:
        """Every measurement by its name, done now or before."""
        path = self.output / "measured.json"
        before, done = read(path), {}
        commit = facts("the model card", 1)["commit"]
        for measurement in MEASUREMENTS:
            if self.only not in measurement.name:
                continue
            if measurement.what == "pictures" and self.pictures is None:
                print(f"{measurement.name}: left out, as --pictures is not given")
                continue
            checkpoint = load_checkpoint(self.models / f"{measurement.checkpoint}.safetensors")
            known = before.get(measurement.name)
            if known is None or (known["checkpoint"], known["commit"]) != (checkpoint.sha256[:12], commit):
                known = self.measure(measurement, checkpoint)
                before[measurement.name] = known
                write_record(path, before)
            done[measurement.name] = known
            print(f"{measurement.name}: {summary(known)}", flush=True)
        return done

    def measure(self, measurement: Measurement, checkpoint: Checkpoint) -> dict[str, Any]:
        """The record of one evaluation. Its worst pictures are drawn, those of rooms where the card shows them."""
        space = LABEL_SPACES[measurement.space]
        table = None if same_classes(checkpoint.label_space, space) else projection(checkpoint.label_space, space)
        failures = Failures(space)
        if measurement.what == "pictures":
            assert self.pictures is not None
            kept = LabeledPictures.open(self.pictures.expanduser(), space, "nyu40").kept_out()
            network = NetworkLabels(checkpoint.model, table)
            evaluation = evaluate_pictures(kept, network, space)
            shown = {f"{kept.folder.name}/{number}": place for place, number in enumerate(kept.numbers)}
            for picture in failures.worst(evaluation.total.pictures, key=lambda scores: scores.pixels_right):
                frame = kept[shown[picture.name]]
                labels = likeliest(network(SourceViews.from_frames([frame]))[0])
                failures.see(frame, labels, picture.pixels_right)
        else:
            config = load_config(RECIPE)
            scenes = chosen_scenes(replace(config.data, label_space=space.name), space)
            queries = [query for scene in scenes for query in spread_queries(scene, TARGETS, config.evaluation.views)]
            field = SemanticField(checkpoint.model, config.evaluation.render_config, table)
            evaluation = evaluate(
                field,
                queries,
                space,
                depth=measurement.what == "rgbd",
                on_picture=lambda seen, scores, _: failures.see(seen.truth, seen.view.labels, scores.pixels_right),
            )
        failures.draw(self.drawn(measurement))
        return record_of(evaluation, checkpoint)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def record_of(evaluation: Evaluation, checkpoint: Checkpoint) -> dict[str, Any]:
    """What the card keeps of an evaluation, and how it came about."""
    record = with_nulls({name: value for name, value in evaluation.record().items() if name in KEPT})
    told = facts("the model card", 1)
    return record | {"checkpoint": checkpoint.sha256[:12], "commit": told["commit"], "device": told["device"]}


def summary(record: dict[str, Any]) -> str:
    shown = ("strict_miou", "psnr", "psnr_matched", "depth_abs_rel", "map_f_score_5cm")
    return ", ".join(f"{name} {record[name]:.3f}" for name in shown if record.get(name) is not None)


def compared(name: str, found: dict[str, Any], recorded: dict[str, Any] | None) -> list[str]:
    """A line for each figure that is not the recorded one, within tolerance."""
    if recorded is None:
        return [f"{name}: nothing is recorded; --write records it"]
    if found["checkpoint"] != recorded["checkpoint"]:
        return [f"{name}: recorded of checkpoint {recorded['checkpoint']}, measured {found['checkpoint']}; --write"]
    lines = []
    here, there = dict(figures(found)), dict(figures(recorded))
    for key in sorted(here.keys() | there.keys()):
        one, other = here.get(key), there.get(key)
        print(f"  {name} {key}: measured {shown(one)}, recorded {shown(other)}")
        tolerance = DECIBELS if key.startswith("psnr") else TOLERANCE
        if (one is None) != (other is None) or (one is not None and abs(one - other) > tolerance):
            lines.append(f"{name}: {key} is {shown(one)}, recorded {shown(other)}; expected within {tolerance}")
    return lines


def shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def figures(record: dict[str, Any], above: str = "") -> Iterator[tuple[str, float | None]]:
    """Every figure of a record by its name."""
    for name in sorted(record.keys() - {"checkpoint", "commit", "device"}):
        value = record[name]
        if isinstance(value, dict):
            yield from figures(value, f"{above}{name}.")
        elif isinstance(value, list):
            yield from ((f"{above}{name}.{place}", each) for place, each in enumerate(value))
        else:
            yield f"{above}{name}", value


if __name__ == "__main__":
    sys.exit(tyro.cli(Card).main())
