"""SegmenterHealth: what the segmenter knows about itself, and its diagnostics."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from sray.errors import SrayError
from sray_ros.common import health
from sray_ros.common.error_codes import code_of, with_code
from sray_ros.common.health import RECENT, Health, Silence
from sray_ros.common.topic_input import TopicInput


@dataclass
class SegmenterHealth(Health):
    """As `Health`, and what pictures tell."""

    labeled: int = 0
    """Pictures."""
    ignored: int = 0
    """Pictures without a subscriber to the labels, or whose label space is not known."""
    coverage: float | None = None
    """Share of the last picture's pixels that have a label."""
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    """That the last pictures took."""

    def done(self, seconds: float, latency: float, coverage: float) -> None:
        """A label image went out: how long it took, how long after its picture came, how much is labeled."""
        self.labeled += 1
        self.coverage = coverage
        self.seconds.append(seconds)
        self.published(latency)
        self.last_output = time.monotonic()

    def silence(
        self, image: TopicInput | None, label_info: str, missing: SrayError | None, is_heard: bool
    ) -> Silence | None:
        """Why nothing has come out for 5 s; None if something has.

        `image`: None while the model loads; `label_info`: the topic that is waited for to name the classes, if any;
        `missing`: why there is no label space.
        """
        now, patience = time.monotonic(), health.SILENCE_SECONDS
        if now - self.quiet_since < patience:
            return None
        if image is None:
            return Silence("loading", False, f"the model has been loading for {now - self.quiet_since:.0f} s")
        if missing is not None:
            return Silence("label space", True, with_code(missing))
        if label_info:
            return Silence(
                "label space", True,
                f"label_space is empty, and {label_info} names no classes: configure the mapper, remap label/info to "
                "its ~/label/info, or set label_space",
            )  # fmt: skip
        if not image.received:
            return Silence("input", True, image.why_silent())
        if self.busy_since is not None and now - self.busy_since > patience:
            return Silence("busy", False, f"one picture has taken {now - self.busy_since:.0f} s: take a smaller model")
        if now - image.last_arrival > patience:
            # No fault: no keyframes come while the robot stands still, and the mapper reports a camera that stopped.
            return Silence("stopped", False, f"no picture has come on {image.topic} since its last")
        if not is_heard:
            return Silence("unheard", False, "nobody listens to the labels, so none are made")
        hindrance = self.last_hindrance
        if hindrance is not None and hindrance[0] > now - 2 * patience:
            return Silence(code_of(hindrance[1]).name, True, with_code(hindrance[1]))
        return Silence("waiting", False, "pictures wait for max_rate")

    def facts(self) -> dict[str, Any]:
        """For diagnostics."""
        seconds = list(self.seconds)  # the worker appends to it
        return {
            "pictures labeled": self.labeled,
            "pictures per second": f"{self.rate():.2f}",
            "seconds per picture (median)": f"{median(seconds):.3f}" if seconds else "none",
            "latency seconds (median)": self.latency(),
            "coverage of the last": "none" if self.coverage is None else f"{self.coverage:.3f}",
            "pictures ignored": self.ignored,
            **self.refusal_counts(),
        }
