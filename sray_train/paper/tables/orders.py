"""Do the paper's orders hold? Differences of strict mIoU on the same scenes, seed by seed, and how sure they are."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from sray_train.paper.study.record import Record
from sray_train.paper.tables.choosing import Filter, choose
from sray_train.paper.tables.declaration import Order, Side
from sray_train.paper.tables.markdown import as_table

REPLICATES = 4000
LEAST_PAIRS = 3
RULE = (
    "Differences are of strict mIoU in points of a hundred, of the same scene and seed on both sides, averaged: a mean "
    "over scenes, where tables of scenes never seen pool all pixels. Seeds share one pre-trained encoder. "
    "The 95 % interval is a bootstrap that draws seeds and scenes anew, both with replacement; of three scenes or "
    "seeds it is hardly more than the range of what was seen, and of *one seed* it does not know how another "
    "training would have come out. A pair *holds* if its "
    "interval lies above 0, *does not hold* if it lies below, and is *within noise* otherwise; fewer than "
    f"{LEAST_PAIRS} scenes and seeds together are too few to say. A claim holds if all its pairs do, and does not if "
    "one of them does not."
)

Key = tuple[int, str]
"""Seed and scene."""


@dataclass(frozen=True)
class Difference:
    """The better side less the worse, as the paper has it."""

    better: str
    worse: str
    pairs: dict[Key, float]
    """Fractions."""

    @property
    def mean(self) -> float:
        return statistics.fmean(self.pairs.values())

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % of the mean; None for too few pairs."""
        return interval(self.pairs) if len(self.pairs) >= LEAST_PAIRS else None

    @property
    def note(self) -> str:
        """What a verdict has to be read with."""
        return ", one seed" if self.interval is not None and len({seed for seed, _ in self.pairs}) == 1 else ""

    @property
    def verdict(self) -> str:
        if not self.pairs:
            return "not measured"
        if (found := self.interval) is None:
            return "too few to say"
        if not any(self.pairs.values()):
            return "no difference"
        return "holds" if found[0] > 0 else "does not hold" if found[1] < 0 else "within noise"


def differences(order: Order, records: Sequence[Record], dataset: str) -> list[Difference]:
    """Of every pair of the order, what was measured on both sides."""
    return [_difference(better, worse, records, {"data": dataset}) for better, worse in order.pairs]


def _difference(better: Side, worse: Side, records: Sequence[Record], where: Filter) -> Difference:
    first = scene_scores(choose(records, where, better.records))
    second = scene_scores(choose(records, where, worse.records))
    shared = sorted(first.keys() & second.keys())
    return Difference(better.name, worse.name, {key: first[key] - second[key] for key in shared})


def scene_scores(records: Sequence[Record]) -> dict[Key, float]:
    """Strict mIoU of every seed and scene; a record without `per_scene` counts as one scene."""
    found: dict[Key, list[float]] = defaultdict(list)
    for record in records:
        for scene, metrics in record.per_scene.items() or [(record.data, record.metrics)]:
            if (score := metrics.get("strict_miou")) is not None:
                found[record.seed, scene].append(score)
    return {key: statistics.fmean(scores) for key, scores in found.items()}


def interval(pairs: dict[Key, float]) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of the mean over replicates of seeds and of scenes; the same at every call."""
    seeds, scenes = (sorted({key[part] for key in pairs}, key=str) for part in (0, 1))
    values = np.full((len(seeds), len(scenes)), np.nan)
    for (seed, scene), difference in pairs.items():
        values[seeds.index(seed), scenes.index(scene)] = difference
    chance = np.random.default_rng(0)
    rows = chance.integers(0, len(seeds), (REPLICATES, len(seeds)))
    columns = chance.integers(0, len(scenes), (REPLICATES, len(scenes)))
    drawn = values[rows[:, :, None], columns[:, None, :]].reshape(REPLICATES, -1)
    drawn = drawn[np.isfinite(drawn).any(1)]  # a replicate may have met only pairs that were not measured
    low, high = np.percentile(np.nanmean(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


def verdict(found: Sequence[Difference]) -> str:
    """Of the whole claim."""
    verdicts = [each.verdict for each in found]
    if "does not hold" in verdicts or len(set(verdicts)) == 1:
        return "does not hold" if "does not hold" in verdicts else verdicts[0]
    for weaker in ("within noise", "no difference", "too few to say"):
        if weaker in verdicts:
            return weaker
    return "holds as far as measured"


def summary(orders: Sequence[Order], records: Sequence[Record], dataset: str, *, even: bool = False) -> str:
    """One row a pair, the claim and its verdict before its first."""
    head = ["claim", "", "better, as claimed", "worse", "difference", "95 %", "seeds x scenes", "pair"]
    rows = list(chain.from_iterable(_rows(order, differences(order, records, dataset)) for order in orders))
    return as_table(head, rows, even=even)


def _rows(order: Order, found: Sequence[Difference]) -> Iterator[list[str]]:
    claim, whole = order.claim, f"**{verdict(found)}**{max(each.note for each in found)}"
    for each in found:
        yield [claim, whole, each.better, each.worse, *_figures(each), each.verdict + each.note]
        claim = whole = ""


def _figures(difference: Difference) -> tuple[str, str, str]:
    if not difference.pairs:
        return "", "", ""
    seeds, scenes = (len({key[part] for key in difference.pairs}) for part in (0, 1))
    found = difference.interval
    span = "" if found is None else f"{100 * found[0]:+.1f} to {100 * found[1]:+.1f}"
    return f"{100 * difference.mean:+.1f}", span, f"{seeds} x {scenes}"
