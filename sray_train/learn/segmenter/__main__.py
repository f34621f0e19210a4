"""`python -m sray_train.learn.segmenter`: train the small segmenter on rooms, or go on training it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from tqdm import tqdm

from sray.errors import SrayError
from sray.files import cache_folder
from sray.label_space import ROOMS
from sray_train.data.rooms import parse_seeds
from sray_train.learn.interruption import interruption
from sray_train.learn.segmenter.pictures import RoomPictures
from sray_train.learn.segmenter.training import SegmenterTrainer, SegmenterTraining
from sray_train.machine import use_threads


@dataclass
class Train:
    """Train DeepLabV3+ (MobileNetV2) on generated rooms, from scratch; state is kept, the same command goes on."""

    training: SegmenterTraining = field(default_factory=SegmenterTraining)
    validation: str = "8000:8020"
    """Rooms that say how good it is; every fourth picture."""
    run_folder: Path = field(default_factory=lambda: cache_folder("segmenter"))
    """Where the state of the run is kept."""
    output: Path = Path("results/deeplab_rooms")
    """Where the model goes: a folder for `sray pseudolabel --model`."""
    max_seconds: float = float("inf")
    """Stop after this long; the same command goes on."""
    threads: int = 0
    """Torch threads; 0 takes all cores."""

    def main(self) -> None:
        use_threads(self.threads)
        pictures = self._pictures(self.training.seeds)
        trainer = SegmenterTrainer(self.training, self.run_folder, pictures)
        average: list[float] = []
        with (
            interruption() as interrupted,
            tqdm(total=self.training.steps, initial=trainer.step, unit="step", mininterval=5) as bar,
        ):

            def see(step: int, loss: float) -> None:
                average.append(loss)
                bar.set_postfix(loss=f"{sum(average[-100:]) / len(average[-100:]):.3f}", refresh=False)
                bar.update(step - bar.n)

            done = trainer.run(self.max_seconds, on_step=see, stopped=interrupted)
        scores = trainer.validate(self._pictures(self.validation))
        record = {
            "steps_done": trainer.step,
            "validation": self.validation,
            "validation_strict_miou": scores.miou,
            "validation_total_accuracy": scores.total_accuracy,
            "validation_iou": dict(zip(ROOMS.names, scores.per_class_iou, strict=True)),
        }
        trainer.export(self.output, record)
        print(
            f"{trainer.step} of {self.training.steps} steps in {trainer.seconds:.0f} s, strict mIoU {scores.miou:.3f} "
            f"on rooms {self.validation}; {'see' if done else 'not done: run it again to go on; so far'} {self.output}"
        )

    def _pictures(self, seeds: str) -> RoomPictures:
        size = self.training
        return RoomPictures.of(parse_seeds(seeds), width=size.width, height=size.height, frames=size.frames)


if __name__ == "__main__":
    try:
        tyro.cli(Train).main()
    except (SrayError, ValueError) as error:
        sys.exit(f"error: {error}")
