"""Checks of the camera's path: skipped and frozen poses, jumps, extent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sray_train.tools.data_check.findings import Finding, Severity, listed
from sray_train.tools.data_check.sample import Sample

Array = NDArray[np.float64]

FEWEST_FRAMES = 9
"""One target and its 8 source views."""
FEWEST_TO_FINETUNE = 20
"""8 sources, 8 frames to fine-tune on, 4 to test on."""
RUNS = 12
"""Stretches of equal poses whose pictures are looked at, the longest."""
LONGEST = 100.0
"""Meters across: more is no room. In millimeters and centimeters every room is."""


def check_trajectory(sample: Sample, metric: bool) -> tuple[list[Finding], dict[str, float]]:
    """What is wrong with the path, and its figures. `metric`: depth has shown already whether poses are in meters."""
    count = len(sample)
    centers = sample.poses[:, :3, 3]
    extent = float(np.linalg.norm(np.ptp(centers, axis=0)))
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    usual = float(np.median(steps)) if count > 1 else 0.0
    figures = {"frames": float(count), "extent_m": extent, "median_step_m": usual}
    findings = [*_skipped(sample), *_few(count)]
    if count > 1:
        findings += _frozen(sample)
        findings += _jumps(sample, steps)
    if not metric and extent > LONGEST:
        findings.append(
            Finding(
                "poses-unit",
                "problem",
                "The path is too long for meters.",
                f"it is {extent:.0f} across, {usual:.3g} from frame to frame (median)",
                "The translations are in millimeters or centimeters, or frames were lost.",
                "Divide the translations of all poses by 1000 (millimeters) or 100 (centimeters).",
                {"extent": extent},
            )
        )
    return findings, figures


def jumps(sample: Sample) -> list[int]:
    """Positions of frames that are much farther from the frame before than frames of this recording are."""
    centers = sample.poses[:, :3, 3]
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    if len(steps) < 4:
        return []
    # Numbers that are missing in between are time in which the camera moved on.
    numbers = np.array([sample.number(position) for position in range(len(sample))])
    gaps = np.maximum(1, np.diff(numbers) / max(1, np.median(np.diff(numbers))))
    usual = np.median(steps)
    # Against the far end of the usual steps too: a camera that starts and stops is not one that jumps.
    limit = np.maximum(10 * usual, 3 * np.percentile(steps, 90))
    return [int(position) + 1 for position in np.flatnonzero(steps > limit * gaps) if usual > 0]


def _skipped(sample: Sample) -> Iterator[Finding]:
    skipped = sample.recording.skipped
    total = sum(len(numbers) for numbers in skipped.values())
    if not total:
        return
    share = total / (total + len(sample))
    reasons = "; ".join(f"{len(numbers)} frames: {reason} ({listed(numbers)})" for reason, numbers in skipped.items())
    yield Finding(
        "frames-skipped",
        "problem" if share > 0.5 else "warning",
        "Frames are left out for their poses.",
        f"{total} of {total + len(sample)} ({100 * share:.0f} %): {reasons}",
        "Tracking was lost there (ScanNet writes -inf), or pose files were not copied.",
        "Nothing, if they are few: they are skipped. Else export the poses again.",
        {"skipped": total, "share": share, **{reason: list(numbers) for reason, numbers in skipped.items()}},
    )


def _few(count: int) -> Iterator[Finding]:
    if count >= FEWEST_TO_FINETUNE:
        return
    severity: Severity = "problem" if count < FEWEST_FRAMES else "warning"
    yield Finding(
        "frames-few",
        severity,
        "There are few frames.",
        f"{count} usable frames; {FEWEST_FRAMES} make a target with 8 source views, {FEWEST_TO_FINETUNE} can be "
        "split for fine-tuning",
        "The recording is short, thinned too far, or most frames were skipped.",
        "Export more frames: about 9 cm and 4 degrees apart is plenty.",
        {"frames": count},
    )


def _frozen(sample: Sample) -> Iterator[Finding]:
    poses = sample.poses
    same = np.flatnonzero((np.abs(np.diff(poses, axis=0)) < 1e-9).all(axis=(1, 2)))
    # Stretches of equal poses, by their first and last frame: within a long one even slow motion shows.
    runs = [
        (int(run[0]), int(run[-1]) + 1) for run in np.split(same, np.flatnonzero(np.diff(same) > 1) + 1) if len(run)
    ]
    if not runs:
        return
    looked_at = sorted(runs, key=lambda run: run[0] - run[1])[:RUNS]
    moving = [run for run in looked_at if _pictures_differ(sample, *run)]
    if len(runs) > RUNS and len(moving) > RUNS / 4:
        moving = runs  # too many to look at all of them
    moved = sorted(position for first, last in moving for position in range(first + 1, last + 1))
    if not moved:
        return
    share = len(moved) / (len(poses) - 1)
    numbers = [sample.number(position) for position in moved]
    yield Finding(
        "poses-frozen",
        "problem" if share > 0.1 else "warning",
        "Poses stand still while the pictures go on.",
        f"{len(moved)} of {len(poses)} frames have exactly the pose of the frame before: {listed(numbers)}",
        "The tracker froze or is slower than the camera, or poses were written twice.",
        "Interpolate the poses at the stamps of the pictures, or remove these frames.",
        {"frames": numbers, "share": share},
    )


def _pictures_differ(sample: Sample, one: int, other: int) -> bool:
    first, second = sample.frame(one), sample.frame(other)
    if first is None or second is None or first.image.shape != second.image.shape:
        return False
    # Noise of a resting camera is a few gray levels a pixel and evens out over blocks; motion does not.
    difference = np.abs(_blocks(first.image.numpy()) - _blocks(second.image.numpy()))
    return float(difference.mean()) > 1.5


def _blocks(image: NDArray[np.uint8]) -> Array:
    height, width = image.shape[0] // 8 * 8, image.shape[1] // 8 * 8
    gray = image[:height, :width].mean(axis=-1)
    return np.asarray(gray.reshape(height // 8, 8, width // 8, 8).mean(axis=(1, 3)), np.float64)


def _jumps(sample: Sample, steps: Array) -> Iterator[Finding]:
    found = jumps(sample)
    if not found:
        return
    numbers = [sample.number(position) for position in found]
    longest = float(max(steps[position - 1] for position in found))
    share = len(found) / len(steps)
    yield Finding(
        "trajectory-jumps",
        "problem" if share > 0.05 else "warning",
        "The camera jumps.",
        f"before frames {listed(numbers)}; the longest by {longest:.3g} m, usually {np.median(steps):.3g} m",
        "The tracker lost its way and found it again elsewhere, or several recordings share a folder.",
        "Remove the frames with wrong poses, or split the recording there.",
        {"frames": numbers, "longest_m": longest, "usual_step_m": float(np.median(steps))},
    )
