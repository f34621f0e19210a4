"""What a training run tells: losses and scores in log.jsonl, TensorBoard, curves.png, and on the terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from sray.files import write_atomically
from sray_train.learn.training.curves import draw_curves

FIRST_STEPS = 20
"""Every loss of the first steps is written: two runs of one seed can be told apart or not."""
EVERY = 50
DRAW_EVERY = 60.0
"""Seconds between two drawings of curves.png, which cost half a second each; the last one is made at the end."""


class Logbook:
    """The records of one run folder. A run that goes on after a crash forgets what came after its saved state."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "log.jsonl"
        self._curves = folder / "curves.png"
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(folder / "tensorboard"))
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._drawn_at, self._is_behind = time.monotonic(), False

    def begin(self, stage: str, step: int, total: int) -> None:
        """Show a bar for a stage that stands at `step`."""
        self._bar.start()
        self._task = self._bar.add_task(stage, completed=step, total=total)

    def rewind(self, order: list[str], stage: int, step: int) -> None:
        """Drop records beyond `step` of the stage with that number: they will be made again."""
        if not self._file.exists():
            return
        kept = []
        for record in read_records(self._file):
            number = order.index(record["stage"])
            if number < stage or (number == stage and record["step"] <= step):
                kept.append(json.dumps(record))
        write_atomically(self._file, "".join(f"{line}\n" for line in kept).encode())

    def losses(
        self, stage: str, step: int, total: int, loss: float, averages: dict[str, float], seconds_left: float
    ) -> None:
        """A step's loss, and its terms averaged over the steps before."""
        if self._task is not None:
            self._bar.update(self._task, completed=step)
        if step > FIRST_STEPS and step % EVERY and step != total:
            return
        self._append({"stage": stage, "step": step, "loss": loss, **averages})
        for name, value in averages.items():
            self._writer.add_scalar(f"{stage}/{name}", value, step)
        if step % EVERY == 0 or step == total:
            terms = "  ".join(f"{name} {value:.3f}" for name, value in averages.items())
            self._console.print(f"{stage}  step {step}/{total}  {terms}  {_clock(seconds_left)} left")

    def scores(self, stage: str, step: int, scores: dict[str, float], best: bool) -> None:
        """Scores on the validation scenes."""
        self._append({"stage": stage, "step": step, "validation": scores})
        for name, value in scores.items():
            self._writer.add_scalar(f"{stage}/validation/{name}", value, step)
        self._writer.flush()
        text = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
        self._console.print(f"{stage}  validation  {text}{'  best so far' if best else ''}")
        self._is_behind = True
        if time.monotonic() - self._drawn_at > DRAW_EVERY:
            self._draw()

    def close(self) -> None:
        if self._is_behind:
            self._draw()
        self._bar.stop()
        self._writer.close()

    def _draw(self) -> None:
        draw_curves(read_records(self._file), self._curves)
        self._drawn_at, self._is_behind = time.monotonic(), False

    def _append(self, record: dict[str, Any]) -> None:
        with self._file.open("a") as file:
            file.write(json.dumps(record) + "\n")


def read_records(log: Path) -> list[dict[str, Any]]:
    """The records of a log.jsonl; a last line that was cut short does not count."""
    lines = log.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("}\n")]


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
