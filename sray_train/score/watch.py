"""An evaluation at the terminal: its progress, the scores so far, and the result."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from sray_train.score.evaluate import Query, Rendering
from sray_train.score.scores import Evaluation, PictureScores, Scoreboard


class Watch:
    """A bar with the time left, and a line for each finished scene. Enter `progress` around the evaluation."""

    def __init__(self, console: Console, queries: Sequence[Query]) -> None:
        self._console = console
        self._waiting = Counter(query.scene.name for query in queries)
        self._scenes = len(self._waiting)
        self._pictures = len(queries)
        self._board: Scoreboard | None = None
        self.progress = _bar(console)
        self._task = self.progress.add_task("render and score", total=len(queries))

    def see(self, rendering: Rendering, board: Scoreboard) -> None:
        """One more picture is scored."""
        self._board = board
        name = rendering.query.scene.name
        self._waiting[name] -= 1
        self.progress.update(self._task, advance=1, description=f"strict mIoU {_number(board.strict_miou)} so far")
        if not self._waiting[name]:
            done = self._scenes - sum(1 for left in self._waiting.values() if left)
            self._console.print(
                f"scene {done}/{self._scenes} {name}: strict mIoU {_number(board.strict_miou)}, "
                f"PSNR {_number(board.psnr, 1)} dB so far, {rendering.seconds:.1f} s a picture",
                highlight=False,
                soft_wrap=True,
            )

    def say_so_far(self) -> None:
        """Interrupted: the numbers so far, which no file will hold."""
        board = self._board
        if board is not None:
            self._console.print(
                f"stopped after {board.pictures} of {self._pictures} pictures: strict mIoU "
                f"{_number(board.strict_miou)}, PSNR {_number(board.psnr, 1)} dB of these. Nothing was written",
                highlight=False,
                soft_wrap=True,
            )


class PictureWatch:
    """The bar alone, for single pictures. Enter it around the evaluation."""

    def __init__(self, console: Console, pictures: int) -> None:
        self._progress = _bar(console)
        self._task = self._progress.add_task("label and score", total=pictures)
        self._pictures = pictures

    def see(self, scores: PictureScores, board: Scoreboard) -> None:
        """One more picture is scored."""
        every = max(1, self._pictures // 50)  # the mean over classes takes longer than a bar's step is worth
        described = board.pictures % every == 0
        said = f"strict mIoU {_number(board.strict_miou)} so far" if described else None
        self._progress.update(self._task, advance=1, description=said)

    def __enter__(self) -> PictureWatch:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _bar(console: Console) -> Progress:
    return Progress(
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
