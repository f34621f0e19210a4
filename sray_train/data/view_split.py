"""A scene's frames as fine-tuning uses them: sources to render from, frames to tune on, frames only to score on.

The paper's protocol (supplement, implementation details): of 20 nearby views 8 are sources, 8 are for fine-tuning, and
4 are for testing. A test frame reaches neither training nor fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass

from sray.errors import ErrorCode, SrayError
from sray_train.data.scene import Scene

PAPER_COUNTS = (8, 8, 4)


@dataclass(frozen=True)
class ViewSplit:
    """Numbers of a scene's frames, each list ascending; no frame is in two of them."""

    sources: tuple[int, ...]
    tuning: tuple[int, ...]
    test: tuple[int, ...]


def split_views(scene: Scene, counts: tuple[int, int, int] = PAPER_COUNTS, centre: int | None = None) -> ViewSplit:
    """Split the frames nearest to frame `centre` (None: the middle one) into so many sources, tuning and test frames.

    The three kinds take turns along the recording, so that a test frame has sources on both sides. The same scene is
    always split alike. Raises SrayError(TOO_FEW_VIEWS) if the scene has fewer frames than that or none of number
    `centre`, and ValueError if a count is below 1.
    """
    if min(counts) < 1:
        raise ValueError(f"a split of {'/'.join(map(str, counts))} frames; expected at least 1 of each kind")
    have, wanted = len(scene.frames), sum(counts)
    if have < wanted:
        raise SrayError(
            ErrorCode.TOO_FEW_VIEWS,
            f"{scene.name} has {have} usable frames; expected at least {wanted}: {counts[0]} sources, {counts[1]} to "
            f"tune on, {counts[2]} to score on. Record more, or ask for a smaller split",
        )
    centre = have // 2 if centre is None else centre
    if not 0 <= centre < have:
        raise SrayError(
            ErrorCode.TOO_FEW_VIEWS,
            f"{scene.name} has no frame {centre}; expected 0 to {have - 1}, its usable frames in order. "
            "Take one of those as the centre",
        )
    nearby = sorted([centre, *scene.nearest(centre, wanted - 1)])
    # Each kind wants its frames evenly spaced; whoever wants a place furthest to the front gets it.
    turns = sorted(((turn + 0.5) / count, kind) for kind, count in enumerate(counts) for turn in range(count))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for frame, (_, kind) in zip(nearby, turns, strict=True):
        parts[kind].append(frame)
    return ViewSplit(tuple(parts[0]), tuple(parts[1]), tuple(parts[2]))
