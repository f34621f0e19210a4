"""Strict mIoU and PSNR against seconds of fine-tuning: the whole model, and all but the encoder, in one run.

    python benchmarks/finetune_modes.py --json benchmarks/results/finetune_modes.json --plot docs/images/finetune.png

Mode `full` trains the encoder too; `heads` leaves it as it is and encodes every frame once. Each room is tuned in both,
one after the other, on the labels and colors of 16 frames; 4 others are rendered and scored along the way. RGB alone.
Records: variants `shipped` (mode full) and `shipped_heads`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from measuring import one_thread
from tuning_curves import curve_records, curves_of, draw, say, tuning_curve

from sray.checkpoint import load_checkpoint
from sray.finetune_config import FineTuneConfig, Mode
from sray_train.data.catalog import load_scenes
from sray_train.data.config import DataConfig
from sray_train.data.view_split import split_views
from sray_train.paper.study.record import Record, add_records

VARIANTS: dict[Mode, str] = {"full": "shipped", "heads": "shipped_heads"}


@dataclass
class Measure:
    """Tune the same rooms in both modes."""

    checkpoint: Path = Path("test/trained/resunet_rooms.safetensors")
    seeds: str = "9000:9003"
    """Rooms, each tuned on by itself."""
    steps: int = 200
    score_every: int = 20
    width: int = 160
    height: int = 120
    json: Path | None = None
    """The file of records."""
    plot: Path | None = None
    redraw: bool = False
    """Measure nothing: draw what the file has."""

    def __post_init__(self) -> None:
        if self.redraw and not (self.json and self.plot):
            raise ValueError("--redraw draws the records of --json as --plot; expected both")


def main(measure: Measure) -> None:
    records = curves_of(measure.json) if measure.redraw else tuned(measure)
    if measure.plot is not None:
        ways = {mode: [record for record in records if record.variant == name] for mode, name in VARIANTS.items()}
        draw(
            ways, "seconds", measure.plot, "Test frames, which fine-tuning never saw: mean over rooms, faint each room"
        )


def tuned(measure: Measure) -> list[Record]:
    """All curves, each kept when it is done."""
    one_thread()
    checkpoint = load_checkpoint(measure.checkpoint)
    records = []
    for scene in load_scenes(DataConfig(width=measure.width, height=measure.height), measure.seeds):
        split = split_views(scene)
        for mode, variant in VARIANTS.items():
            config = FineTuneConfig(mode=mode, steps=measure.steps)
            rows = tuning_curve(checkpoint, scene, split, config, measure.score_every)
            options = {"checkpoint": checkpoint.sha256[:12], "tuning.mode": mode, "tuning.steps": measure.steps}
            curve = curve_records(
                rows,
                scene,
                split,
                system=checkpoint.model.system,
                variant=variant,
                setting="finetuned",
                seed=config.seed,
                config=str(measure.checkpoint),
                options=options,
            )
            if measure.json is not None:
                add_records(measure.json, curve)
            say(curve)
            records += curve
    return records


if __name__ == "__main__":
    main(tyro.cli(Measure))
