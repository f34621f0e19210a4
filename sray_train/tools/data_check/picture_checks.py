"""Checks of the pictures: unreadable, dark, overexposed, blank, repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from sray.frames import Frame
from sray_train.tools.data_check.findings import Finding, listed
from sray_train.tools.data_check.sample import Sample


def check_pictures(sample: Sample) -> list[Finding]:
    """What is wrong with the pictures read so far."""
    findings = list(_unreadable(sample))
    for code, what, cause, remedy, bad in _LOOKS:
        positions = [position for position, frame in sample.frames.items() if bad(frame)]
        if positions:
            numbers = [sample.number(position) for position in positions]
            share = len(positions) / len(sample.frames)
            # White in every frame is a background, as synthetic scenes have it.
            backdrop = code == "pictures-overexposed" and share > 0.9
            findings.append(
                Finding(
                    code,
                    "problem" if share > 0.2 and not backdrop else "warning",
                    what,
                    f"{len(positions)} of {len(sample.frames)} sampled frames: {listed(numbers)}",
                    cause,
                    remedy,
                    {"frames": numbers, "share": share},
                )
            )
    return [*findings, *_repeated(sample)]


def _dark(frame: Frame) -> bool:
    return float(np.percentile(frame.image.numpy(), 99)) < 20


def _overexposed(frame: Frame) -> bool:
    return float((frame.image.numpy().min(axis=-1) >= 250).mean()) > 0.5


def _blank(frame: Frame) -> bool:
    gray = frame.image.numpy().mean(axis=-1)
    # Spread within the picture; a plain wall in even light still has a few gray levels of shading.
    return float(np.percentile(gray, 99) - np.percentile(gray, 1)) < 3 and 20 <= gray.mean() < 250


_LOOKS: tuple[tuple[str, str, str, str, Callable[[Frame], bool]], ...] = (
    (
        "pictures-dark",
        "Pictures are black.",
        "The lens was covered, the light off, or 16-bit pictures were cut to 8 bits.",
        "Remove these frames, or export them with their exposure.",
        _dark,
    ),
    (
        "pictures-overexposed",
        "Pictures are overexposed: most of each is white.",
        "The exposure was fixed for a darker place, or the background is transparent and was filled with white.",
        "Remove these frames, or record with automatic exposure.",
        _overexposed,
    ),
    (
        "pictures-blank",
        "Pictures show one color only.",
        "Placeholders of dropped frames, or the export failed.",
        "Remove these frames.",
        _blank,
    ),
)


def _unreadable(sample: Sample) -> Iterator[Finding]:
    if not sample.unreadable:
        return
    numbers = [sample.number(position) for position in sorted(sample.unreadable)]
    tried = len(sample.unreadable) + len(sample.frames)
    reason = sample.unreadable[min(sample.unreadable)]
    yield Finding(
        "frames-unreadable",
        "problem",
        "Frames cannot be read.",
        f"{len(numbers)} of {tried} sampled frames: {listed(numbers)}; the first: {reason}",
        "Files are missing or damaged, or in another format than the layout's.",
        "Copy or export these frames again, or remove them with all their files.",
        {"frames": numbers},
    )


def _repeated(sample: Sample) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    repeated: list[int] = []
    for position, frame in sample.frames.items():
        digest = hashlib.sha256(frame.image.numpy().tobytes()).hexdigest()
        moved = digest in seen and np.abs(sample.poses[position] - sample.poses[seen[digest]]).max() > 1e-6
        if moved:
            repeated.append(position)
        seen.setdefault(digest, position)
    if not repeated:
        return
    numbers = [sample.number(position) for position in repeated]
    share = len(repeated) / len(sample.frames)
    yield Finding(
        "pictures-repeated",
        "problem" if share > 0.1 else "warning",
        "The same picture stands at different poses.",
        f"{len(repeated)} of {len(sample.frames)} sampled frames repeat another to the last bit: {listed(numbers)}",
        "The camera driver or the export wrote a picture again where it had no new one.",
        "Remove the repeated frames.",
        {"frames": numbers, "share": share},
    )
