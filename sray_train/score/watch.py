"""An evaluation at the terminal: its progress, the scores so far, and the result."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from sray_train.score.scores import Evaluation, PictureScores, Scoreboard


class Watch:
    """A bar with the time left, and a line for each finished one of several scenes. Enter it around the evaluation.

    Interrupted, it says the numbers so far, which no file will hold.
    """

    def __init__(self, console: Console, scenes: Sequence[str], doing: str = "render and score") -> None:
        """`scenes`: of each picture the scene it is of."""
        self._console = console
        self._waiting = Counter(scenes)
        self._pictures = len(scenes)
        self._board: Scoreboard | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("pictures"),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(doing, total=len(scenes))

    def see(self, scores: PictureScores, board: Scoreboard) -> None:
        """One more picture is scored."""
        self._board = board
        self._waiting[scores.scene] -= 1
        every = max(1, self._pictures // 50)  # the mean over classes takes longer than a bar's step is worth
        said = f"strict mIoU {_number(board.strict_miou)} so far" if board.pictures % every == 0 else None
        self._progress.update(self._task, advance=1, description=said)
        scenes = len(self._waiting)
        if scenes > 1 and not self._waiting[scores.scene]:
            done = scenes - sum(1 for left in self._waiting.values() if left)
            self._say(
                f"scene {done}/{scenes} {scores.scene}: {self._so_far()} so far, {scores.seconds:.1f} s a picture"
            )

    def _so_far(self) -> str:
        assert self._board is not None
        return f"strict mIoU {_number(self._board.strict_miou)}, PSNR {_number(self._board.psnr, 1)} dB"

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def __enter__(self) -> Watch:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._progress.stop()
        if kind is KeyboardInterrupt and self._board is not None:
            pictures = f"{self._board.pictures} of {self._pictures} pictures"
            self._say(f"stopped after {pictures}: {self._so_far()} of these. Nothing was written")


def say_result(console: Console, evaluation: Evaluation, record: dict[str, Any]) -> None:
    """The headline and the classes, as a table."""
    if evaluation.labeled:
        table = Table("class", "IoU", "of pixels", box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        share = record["per_class_share"]
        for name, iou in sorted(record["per_class"].items(), key=lambda item: -share[item[0]]):
            if share[name]:
                table.add_row(name, _number(iou), f"{100 * share[name]:.1f} %")
        console.print(table, highlight=False)
    else:
        console.print(f"no semantic score: {record['semantics_missing']}", highlight=False)
    parts = []
    if evaluation.labeled:
        low, high = record["strict_miou_interval"]
        parts += [
            f"strict mIoU {_number(record['strict_miou'])} (95 % of other {record['strict_miou_interval_over']}: "
            f"{_number(low)} to {_number(high)}; commonest class {_number(record['commonest_class_miou'])})",
            f"released-code mIoU {_number(record['released_miou'])}",
            f"pixels right {_number(record['total_accuracy'])}",
        ]
    if not math.isnan(record["psnr"]):
        parts += [f"PSNR {_number(record['psnr'], 1)} dB ({_number(record['psnr_matched'], 1)} at one exposure)"]
        parts += [f"SSIM {_number(record['ssim'])}"]
    if not record["lpips_missing"]:
        parts.append(f"LPIPS {_number(record['lpips'])}")
    if not math.isnan(record["depth_abs_rel"]):
        parts.append(
            f"depth: relative error {_number(record['depth_abs_rel'])}, within 1.25 "
            f"{_number(record['depth_within_1_25'])}, median {_number(record['depth_median_error'])} m"
        )
        parts.append(f"map F-score at 5 cm {_number(record['map_f_score_5cm'])}")
    console.print(
        f"{record['input']}, {record['pictures']} pictures: {', '.join(parts)}", highlight=False, soft_wrap=True
    )


def _number(value: float, digits: int = 3) -> str:
    return "unknown" if math.isnan(value) else f"{value:.{digits}f}"
