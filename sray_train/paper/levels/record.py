"""The levels of several scenes as a record: scores with intervals, and what every step of the waterfall brings."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from sray_train.paper.levels.measure import LEVELS, Measured, chain
from sray_train.score.view_scores import miou_interval, paired_difference, strict_miou


def levels_record(found: Sequence[Measured]) -> dict[str, Any]:
    """Strict mIoU of every level over all views, and of every step; intervals are over views, drawn with replacement.

    A step's interval is paired: the same views are drawn on both sides. Raises ValueError for no view.
    """
    if not found:
        raise ValueError("no view was measured; expected at least one")
    return {
        "views": len(found),
        "scenes": sorted({one.scene for one in found}),
        "source_distance_m": statistics.median(one.distance for one in found),
        "source_angle_degrees": statistics.median(one.angle for one in found),
        "occluded": statistics.fmean(one.occluded for one in found),
        "levels": {name: {"what": what} | _level(found, name) for name, what in LEVELS.items()},
        "steps": [{"step": step} | _step(found, before, after) for step, before, after in chain()],
    }


def _level(found: Sequence[Measured], name: str) -> dict[str, Any]:
    everywhere = [one.everywhere[name] for one in found]
    return {
        "strict_miou": strict_miou(everywhere),
        "interval": miou_interval(everywhere),
        "strict_miou_away_from_edges": strict_miou([one.inside[name] for one in found]),
        "per_scene": {
            scene: strict_miou([one.everywhere[name] for one in found if one.scene == scene])
            for scene in sorted({one.scene for one in found})
        },
    }


def _step(found: Sequence[Measured], before: str, after: str) -> dict[str, Any]:
    first, second = ([one.everywhere[name] for one in found] for name in (before, after))
    return {"before": before, "after": after} | paired_difference(second, first)
