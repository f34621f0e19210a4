"""What the segmenter knows about itself, and its diagnostics. As the mapper, it says why it is silent."""

from __future__ import annotations

import time
from collections import deque
from statistics import median
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from sray.errors import SrayError
from sray_ros.common.topic_input import TopicInput
from sray_ros.mapper import health
from sray_ros.mapper.health import RECENT, Health, Silence


class SegmenterHealth:
    """Counters and last events; written by the worker and the callbacks, read by a timer. Times are steady seconds."""

    def __init__(self) -> None:
        self.events = Health()
        """Since when it runs, what came out when, what was refused: as the mapper's."""
        self.labelled = 0
        """Pictures."""
        self.ignored = 0
        """Pictures that nobody waited for, or whose label space is not known."""
        self.coverage: float | None = None
        """Share of the last picture's pixels that have a label."""
        self.busy_since: float | None = None
        self._seconds: deque[float] = deque(maxlen=RECENT)
        self.events.begin()

    def done(self, seconds: float, latency: float, coverage: float) -> None:
        """A label image went out: how long it took, how long after its picture came, how much is labelled."""
        self.labelled += 1
        self.coverage = coverage
        self._seconds.append(seconds)
        self.events.published(latency)
        self.events.last_output = time.monotonic()

    def silence(
        self, image: TopicInput | None, label_info: str, missing: SrayError | None, is_heard: bool
    ) -> Silence | None:
        """Why nothing has come out for 5 s; None if something has.

        `image`: None while the model loads; `label_info`: the topic that is waited for to name the classes, if any;
        `missing`: why there is no label space.
        """
        now, patience = time.monotonic(), health.SILENCE_SECONDS
        if now - self.events.quiet_since < patience:
            return None
        if image is None:
            return Silence("loading", False, f"the model has been loading for {now - self.events.quiet_since:.0f} s")
        if missing is not None:
            return Silence("label space", True, str(missing))
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
            # No fault: of keyframes none come while the robot stands, and a camera that stops is the mapper's to tell.
            return Silence("stopped", False, f"no picture has come on {image.topic} since its last")
        if not is_heard:
            return Silence("unheard", False, "nobody listens to the labels, so none are made")
        hindrance = self.events.last_hindrance
        if hindrance is not None and hindrance[0] > now - 2 * patience:
            return Silence(hindrance[1].code.name, True, str(hindrance[1]))
        return Silence("waiting", False, "pictures wait for max_rate")

    def array(self, stamp: Time, name: str, silence: Silence | None, facts: dict[str, Any]) -> DiagnosticArray:
        """One entry on the output, one on the work, named after the node."""
        output = DiagnosticStatus(name=f"{name}: output", hardware_id=name, level=DiagnosticStatus.OK)
        output.message = "labelling" if self.labelled else "waiting"
        if silence is not None:
            output.message = silence.text
            output.level = DiagnosticStatus.WARN if silence.is_fault else DiagnosticStatus.OK
        work = DiagnosticStatus(name=f"{name}: work", hardware_id=name, level=DiagnosticStatus.OK, message="ok")
        events = self.events
        if events.last_refusal is not None:
            work.message = f"last refusal: {events.last_refusal}"
        seconds, latencies = list(self._seconds), list(events.latencies)  # the worker appends to them
        values = {
            "pictures labelled": self.labelled,
            "pictures per second": f"{self._rate():.2f}",
            "seconds per picture (median)": f"{median(seconds):.3f}" if seconds else "none",
            "latency seconds (median)": f"{median(latencies):.3f}" if latencies else "none",
            "coverage of the last": "none" if self.coverage is None else f"{self.coverage:.3f}",
            "pictures ignored": self.ignored,
            **{f"refused {code.name}": count for code, count in events.refusals.items() if count},
            **facts,
        }
        work.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return DiagnosticArray(header=Header(stamp=stamp), status=[output, work])

    def _rate(self) -> float:
        """Label images a second, over the last ones."""
        times = list(self.events.render_times)
        span = time.monotonic() - times[0] if times else 0.0
        return len(times) / span if span > 0 else 0.0
