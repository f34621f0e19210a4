"""Health: what a node knows about its outputs and its refusals, and why it is silent."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.impl.rcutils_logger import RcutilsLogger
from std_msgs.msg import Header

from sray.errors import SrayError
from sray_ros.common.error_codes import ErrorCode, code_of, with_code

RECENT = 20
"""Outputs that rates and latencies are taken over."""
SILENCE_SECONDS = 5.0
"""Steady time without output after which the node says why."""


@dataclass(frozen=True)
class Silence:
    """Why nothing comes out."""

    kind: str
    """One log line per kind and silence."""
    is_fault: bool
    """False if nothing should come out: nothing new was seen, or nothing was asked."""
    text: str


class SilenceLog:
    """One log line for each kind of silence, as it begins."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._said: str | None = None

    def tell(self, silence: Silence | None, quiet_since: float) -> None:
        """`quiet_since`: when something came out last, steady seconds."""
        if silence is not None and self._said != silence.kind:
            text = f"nothing has come out for {time.monotonic() - quiet_since:.0f} s: {silence.text}"
            # One call site per severity: rclpy refuses a call site whose severity changes.
            if silence.is_fault:
                self._logger.warning(text)
            else:
                self._logger.info(text)
        self._said = silence.kind if silence is not None else None


@dataclass
class Health:
    """Counters and last events. Times are steady seconds; written by the worker and the callbacks, read by a timer."""

    active_since: float | None = None
    last_output: float = 0.0
    busy_since: float | None = None
    """Since when the worker has been at its present output; None: it is at none."""
    output_times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    """When the last ones came out."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Seconds from input or request to output, of the last ones."""
    refusals: dict[ErrorCode, int] = field(default_factory=lambda: dict.fromkeys(ErrorCode, 0))
    """Has every code from the start: a dict that grows cannot be read by another thread."""
    last_refusal: SrayError | None = None
    last_refusal_at: float = -math.inf
    """When one was worth a log line last."""
    last_hindrance: tuple[float, SrayError] | None = None
    """When and why an input or an output was refused last. Refused services are not among them: they keep nothing from
    coming out."""

    def begin(self) -> None:
        """The node became active: its next refusal is worth a log line, whatever was refused before."""
        self.active_since = time.monotonic()
        self.last_refusal_at = -math.inf

    def end(self) -> None:
        self.active_since = None

    @property
    def quiet_since(self) -> float:
        """When something came out last, or the node became active."""
        return max(self.last_output, self.active_since or 0.0)

    def published(self, latency: float) -> None:
        """An output has gone out, so many seconds after its input came, or after it was asked for."""
        self.latencies.append(latency)
        self.output_times.append(time.monotonic())

    def refused(self, error: SrayError, is_hindrance: bool = True) -> bool:
        """Count a refusal; True if it is worth a log line: the first one, another code than the last, or 5 s later.

        `is_hindrance`: whether it may be why nothing comes out.
        """
        now = time.monotonic()
        error = error.afresh()
        if is_hindrance:
            self.last_hindrance = now, error
        last, last_at = self.last_refusal, self.last_refusal_at
        self.refusals[code_of(error)] += 1
        is_news = last is None or type(last) is not type(error) or now - last_at > SILENCE_SECONDS
        self.last_refusal = error
        # A steady stream of one refusal is logged every 5 s: the clock restarts with the log line.
        self.last_refusal_at = now if is_news else last_at
        return is_news

    def rate(self) -> float:
        """Outputs a second, over the last ones."""
        times = list(self.output_times)  # the worker appends to it
        span = time.monotonic() - times[0] if times else 0.0
        return len(times) / span if span > 0 else 0.0

    def latency(self, of: Any = median) -> str:
        """Of the last outputs: the median, or another function of them, in words."""
        latencies = list(self.latencies)  # the worker appends to it
        return f"{of(latencies):.3f}" if latencies else "none"

    def refusal_counts(self) -> dict[str, int]:
        """By code, for diagnostics; codes that did not occur are left out."""
        return {f"refused {code.name}": count for code, count in self.refusals.items() if count}

    def array(
        self, stamp: Time, name: str, silence: Silence | None, doing: str, facts: dict[str, Any]
    ) -> DiagnosticArray:
        """One entry on the output (`doing`, or why it is silent), one on the work (`facts`), named after the node."""
        output = DiagnosticStatus(name=f"{name}: output", hardware_id=name, level=DiagnosticStatus.OK)
        output.message = doing if silence is None else silence.text
        if silence is not None and silence.is_fault:
            output.level = DiagnosticStatus.WARN
        work = DiagnosticStatus(name=f"{name}: work", hardware_id=name, level=DiagnosticStatus.OK, message="ok")
        if self.last_refusal is not None:
            work.message = f"last refusal: {with_code(self.last_refusal)}"
        work.values = [KeyValue(key=key, value=str(value)) for key, value in facts.items()]
        return DiagnosticArray(header=Header(stamp=stamp), status=[output, work])
