"""Records of levels as one picture: a waterfall each, from S-Ray to perfect labels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from sray_train.paper.figures.plots import ACCENT, INK, SOFT, STYLE, WARM, WIDTH

GAIN, LOSS = "#3f8f5f", "#b4443c"
NAMES = {
    "stereo depth": "stereo depth\ninstead of density",
    "plain mean for attention, weights and compositing": "plain mean instead of\nattention and weights",
    "true depth for its own": "true depth\ninstead of its own",
    "only views that see it": "only views\nthat see it",
    "true labels for 2D ones": "true labels\nin the views",
}
"""Steps as the picture has them."""
LEGEND = (
    "dashed line: 2D labels of the target's own picture; dotted line: true labels of the views at S-Ray's own depth; "
    "dash: what a step comes to without pixels within 2 of a label's edge"
)


def waterfall(records: Mapping[str, dict[str, Any]]) -> bytes:
    """A PNG. `records`: what `levels_record` gave, by the title of its panel."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots(1, len(records), sharey=True, squeeze=False)
        for place, (title, record) in zip(axes[0], records.items(), strict=True):
            _panel(place, title, record)
        axes[0][0].set_ylabel("strict mIoU, %")
        file = io.BytesIO()
        figure.supxlabel(LEGEND, fontsize=8, color=SOFT)
        figure.savefig(file, dpi=90, metadata={"Software": None})
    return file.getvalue()


def _panel(axes: Any, title: str, record: dict[str, Any]) -> None:
    levels, steps = record["levels"], record["steps"]
    names = ["S-Ray,\ndensity alone", *(NAMES[step["step"]] for step in steps), "edges, and what\nno view sees"]
    start = 100 * levels[steps[0]["before"]]["strict_miou"]
    axes.bar(0, start, color=ACCENT, width=0.7)
    axes.annotate(f"{start:.1f}", (0, start), ha="center", va="bottom")
    at = start
    gains = [*(100 * step["difference"] for step in steps)]
    for number, gain in enumerate([*gains, 100 - start - sum(gains)], start=1):
        color = SOFT if number > len(steps) else GAIN if gain >= 0 else LOSS
        axes.bar(number, gain, bottom=at, color=color, width=0.7)
        top = max(at, at + gain)
        if number <= len(steps):
            inner = 100 * levels[steps[number - 1]["after"]]["strict_miou_away_from_edges"]
            axes.plot(number, inner, "_", color=INK, markersize=14)
            top = max(top, inner)
        axes.annotate(f"{gain:+.1f}", (number, top + 1), ha="center", va="bottom")
        at += gain
    axes.axhline(100 * levels["picture"]["strict_miou"], color=WARM, linestyle="--", linewidth=1)
    axes.axhline(100 * levels["true_rendered"]["strict_miou"], color=SOFT, linestyle=":", linewidth=1)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
    axes.set_ylim(0, 108)
    axes.set_title(f"{title}: {record['views']} views of {len(record['scenes'])} scenes")
