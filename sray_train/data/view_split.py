"""A scene's frames as fine-tuning uses them: sources to render from, frames to tune on, frames only to score on.

The paper's protocol (supplement, implementation details): of 20 nearby views 8 are sources, 8 are for fine-tuning, and
4 are for testing. A test frame reaches neither training nor fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from sray.errors import TooFewViewsError
from sray.view_selection import evenly_spread
from sray_train.data.scene import Scene

PAPER_COUNTS = (8, 8, 4)


@dataclass(frozen=True)
class ViewSplit:
    """Numbers of a scene's frames, each list ascending; no frame is in two of them."""

    sources: tuple[int, ...]
    tuning: tuple[int, ...]
    test: tuple[int, ...]
    remembered: tuple[int, ...] = ()
    """Of them no label is looked at: the model's old answers on them hold what the taught ones do not show."""
    elsewhere: tuple[int, ...] = ()
    """Frames away from all others, which are only scored: is what was known there forgotten?"""

    @property
    def scored(self) -> tuple[int, ...]:
        """All frames whose labels only score: those to test on, and those elsewhere."""
        return self.test + self.elsewhere


def spread_views(scene: Scene, counts: tuple[int, int, int] = PAPER_COUNTS) -> ViewSplit:
    """Sources and tuning frames in turn, evenly over the whole scene; test frames where these are farthest.

    Neighboring frames show a part of a room, and a model that learns them forgets the rest (docs/finetuning.md).
    Raises as `split_views`.
    """
    _check_counts(scene, counts)
    have, taught = len(scene.frames), counts[0] + counts[1]
    teaching = evenly_spread(taught, have)
    left = sorted(set(range(have)) - set(teaching))
    return ViewSplit(
        tuple(_every(teaching, counts[0], counts[1], 0)),
        tuple(_every(teaching, counts[0], counts[1], 1)),
        tuple(sorted(_farthest(scene, left, teaching, counts[2]))),
    )


def with_others(scene: Scene, split: ViewSplit, remembered: int, elsewhere: int) -> ViewSplit:
    """The split, with so many of the scene's other frames, at most: away from the taught ones, and spread.

    They take turns, those that are scored first, so that what is scored is not among what is remembered.
    """
    used = {*split.sources, *split.tuning, *split.test}
    left = [frame for frame in range(len(scene.frames)) if frame not in used]
    scored = _farthest(scene, left, sorted(used), min(elsewhere, (len(left) + 1) // 2))
    kept = [frame for frame in left if frame not in scored]
    spread = [kept[position] for position in evenly_spread(remembered, len(kept))] if kept else []
    return replace(split, remembered=tuple(sorted(set(spread))), elsewhere=tuple(sorted(scored)))


def split_views(scene: Scene, counts: tuple[int, int, int] = PAPER_COUNTS, center: int | None = None) -> ViewSplit:
    """Split the frames nearest to frame `center` (None: the middle one) into so many sources, tuning and test frames.

    The three kinds take turns along the recording, so that a test frame has sources on both sides. The same scene is
    always split alike. Raises TooFewViewsError if the scene has fewer frames than that or none of number
    `center`, and ValueError if a count is below 1.
    """
    _check_counts(scene, counts)
    have, wanted = len(scene.frames), sum(counts)
    center = have // 2 if center is None else center
    if not 0 <= center < have:
        raise TooFewViewsError(
            f"{scene.name} has no frame {center}",
            f"0 to {have - 1}, its usable frames in order",
            "Take one of those as the center",
        )
    nearby = sorted([center, *scene.nearest(center, wanted - 1)])
    # Each kind wants its frames evenly spaced; whoever wants a place furthest to the front gets it.
    turns = sorted(((turn + 0.5) / count, kind) for kind, count in enumerate(counts) for turn in range(count))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for frame, (_, kind) in zip(nearby, turns, strict=True):
        parts[kind].append(frame)
    return ViewSplit(tuple(parts[0]), tuple(parts[1]), tuple(parts[2]))


def _check_counts(scene: Scene, counts: tuple[int, int, int]) -> None:
    if min(counts) < 1:
        raise ValueError(f"a split of {'/'.join(map(str, counts))} frames; expected at least 1 of each kind")
    have, wanted = len(scene.frames), sum(counts)
    if have < wanted:
        raise TooFewViewsError(
            f"{scene.name} has {have} usable frames",
            f"at least {wanted}: {counts[0]} sources, {counts[1]} to tune on, {counts[2]} to score on",
            "Record more, or ask for a smaller split",
        )


def _every(frames: list[int], sources: int, tuning: int, kind: int) -> list[int]:
    """The frames that are sources (kind 0), or tuning frames (1), the two kinds taking turns as their numbers allow."""
    turns = sorted(((turn + 0.5) / count, one) for one, count in enumerate((sources, tuning)) for turn in range(count))
    return [frame for frame, (_, one) in zip(frames, turns, strict=True) if one == kind]


def _farthest(scene: Scene, among: list[int], others: list[int], count: int) -> list[int]:
    """So many frames of `among`: in turn the one whose camera is farthest from `others` and those chosen so far."""
    centers = scene.cameras.center
    chosen: list[int] = []
    for _ in range(min(count, len(among))):
        left = [frame for frame in among if frame not in chosen]
        away = torch.cdist(centers[left], centers[[*others, *chosen]]).min(1).values
        chosen.append(left[int(away.argmax())])
    return chosen
