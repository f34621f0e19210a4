"""What a person at the terminal sees of fine-tuning."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sray.finetune import FineTuneStep
from sray_train.learn.finetune.scene_tuning import TunedScene


class Watch:
    """A bar with the losses and the time left, and a line for each look at the test frames. Enter it around a scene."""

    def __init__(self, console: Console, scene: str, steps: int) -> None:
        self._console = console
        self._scene = scene
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[tail]}"),
        )
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task(scene, total=steps, tail="")

    def __enter__(self) -> Watch:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def see(self, step: FineTuneStep, row: dict[str, Any] | None) -> None:
        """One more step is done; `row`: what the test frames score now, if they were rendered."""
        losses = "  ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
        left = "" if math.isnan(step.seconds_left) else f"{step.seconds_left:.0f} s left"
        self._bar.update(self._task, completed=step.number, tail=f"{losses}  {left}")
        if row is not None:
            held_out = "" if step.held_out is None else f"  held out {step.held_out.strict_miou:.3f}"
            self._console.print(
                f"{self._scene}  step {step.number}/{step.steps}  {step.seconds:.0f} s  strict mIoU "
                f"{row['strict_miou']:.3f}  PSNR {row['psnr']:.1f} dB{held_out}"
            )


def say_tuned(console: Console, tuned: TunedScene, done: int, scenes: int) -> None:
    """What came of one scene."""
    before, after, result = tuned.before.record(), tuned.after.record(), tuned.result
    if tuned.stopped:
        console.print(f"stopped after {result.steps} steps; the best so far is kept, of step {result.best_step}")
    console.print(
        f"scene {done}/{scenes} {tuned.scene.name}: strict mIoU {before['strict_miou']:.3f} -> "
        f"{after['strict_miou']:.3f}, PSNR {before['psnr']:.1f} -> {after['psnr']:.1f} dB, {result.steps} steps in "
        f"{result.seconds:.0f} s"
    )
