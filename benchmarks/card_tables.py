"""The tables of models/README.md, written from models/card.json between their marks; the words around them stay."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain
from typing import Any

Scores = dict[str, Any]
CLASSES_A_ROW = 5


class Unmeasured(Exception):
    """A figure that the card's record does not have."""


def with_tables(text: str, card: dict[str, Scores]) -> str:
    """The README with every marked table written anew; one that lacks a measurement stays as it is.

    Raises ValueError for a mark that names no table.
    """

    def written(match: re.Match[str]) -> str:
        name = match[1]
        if name not in TABLES:
            raise ValueError(f"models/README.md marks a table {name!r}; expected one of {', '.join(TABLES)}")
        try:
            return f"<!-- measured: {name} -->\n{TABLES[name](card)}\n<!-- end -->"
        except Unmeasured as error:
            print(f"table {name} stays as it is: {error}")
            return match[0]

    return re.sub(r"<!-- measured: (\w+) -->\n.*?\n<!-- end -->", written, text, flags=re.DOTALL)


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def figure(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def interval(scores: Scores) -> str:
    low, high = scores["strict_miou_interval"]
    return "" if low is None else f"{figure(low)}-{figure(high)}"


def of(card: dict[str, Scores], name: str) -> Scores:
    """Raises Unmeasured."""
    if name not in card:
        raise Unmeasured(f"models/card.json has no {name}")
    return card[name]


def both(card: dict[str, Scores]) -> str:
    """Both checkpoints in the classes of `rooms`."""
    rows = []
    for what, title in (
        ("pictures", "real pictures, labels of single pictures, strict mIoU"),
        ("rgb", "held-out rooms, RGB: strict mIoU / PSNR / depth error"),
        ("rgbd", "held-out rooms, RGB-D: the same"),
    ):
        cells = [title]
        for checkpoint in ("sray_indoor", "sray_rooms"):
            scores = of(card, f"{checkpoint}/{what}/rooms")
            cell = f"{figure(scores['strict_miou'])} ({interval(scores)})"
            if what != "pictures":
                cell += f" / {figure(scores['psnr'], 1)} dB / {figure(scores['depth_abs_rel'])}"
            cells.append(cell)
        rows.append(cells)
    rows[0][0] = f"{of(card, 'sray_indoor/pictures/rooms')['pictures']} {rows[0][0]}"
    return table(["", "`sray_indoor`", "`sray_rooms`"], rows)


def pictures(card: dict[str, Scores]) -> str:
    """Real pictures in three label spaces."""
    head = ["classes", "strict mIoU", "95 % interval over pictures", "released-code mIoU"]
    head += ["total / average accuracy", "commonest class"]
    rows = []
    for space, title in (("indoor", "`indoor`, 26"), ("scannet20", "`scannet20`"), ("rooms", "`rooms`, 16")):
        scores = of(card, f"sray_indoor/pictures/{space}")
        accuracy = f"{figure(scores['total_accuracy'])} / {figure(scores['average_accuracy'])}"
        rows.append(
            [title, figure(scores["strict_miou"]), interval(scores), figure(scores["released_miou"]), accuracy]
            + [figure(scores["commonest_class_miou"])]
        )
    return table(head, rows)


def per_class(name: str, before: str = "") -> Callable[[dict[str, Scores]], str]:
    """A table of IoU by class, best first."""

    def written(card: dict[str, Scores]) -> str:
        known = [(iou, each) for each, iou in of(card, name)["per_class"].items() if iou is not None]
        cells = [[each, figure(iou, 2)] for iou, each in sorted(known, key=lambda pair: (-pair[0], pair[1]))]
        cells += [["", ""]] * (-len(cells) % CLASSES_A_ROW)
        rows = [list(chain(*cells[at : at + CLASSES_A_ROW])) for at in range(0, len(cells), CLASSES_A_ROW)]
        return before + table(["class", "IoU"] * CLASSES_A_ROW, rows)

    return written


def rooms(card: dict[str, Scores]) -> str:
    """Rendered views of held-out rooms."""
    head = ["input", "strict mIoU, 26 classes", "95 % interval over rooms", "PSNR", "at one exposure", "SSIM"]
    head += ["relative depth error", "within 1.25", "map F-score, 5 cm"]
    rows = []
    for what, title in (("rgb", "RGB"), ("rgbd", "RGB-D")):
        scores = of(card, f"sray_indoor/{what}/indoor")
        rows.append(
            [title, figure(scores["strict_miou"]), interval(scores)]
            + [f"{figure(scores['psnr'], 1)} dB", f"{figure(scores['psnr_matched'], 1)} dB", figure(scores["ssim"])]
            + [figure(scores[name]) for name in ("depth_abs_rel", "depth_within_1_25", "map_f_score_5cm")]
        )
    return table(head, rows)


def failures(card: dict[str, Scores]) -> str:
    """The picture of the worst, and its words."""
    of(card, "sray_indoor/rgb/indoor")
    return (
        "Those of these pictures, RGB, with the fewest pixels right:\n\n"
        "![Picture, truth and prediction of the worst pictures](failures.jpg)"
    )


TABLES: dict[str, Callable[[dict[str, Scores]], str]] = {
    "both": both,
    "pictures": pictures,
    "picture_classes": per_class("sray_indoor/pictures/indoor"),
    "rooms": rooms,
    "room_classes": per_class("sray_indoor/rgb/indoor", "By class, RGB:\n\n"),
    "failures": failures,
}
