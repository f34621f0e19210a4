"""Health: what the node knows about itself, and its diagnostics. A silent node says why it is silent."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.impl.rcutils_logger import RcutilsLogger
from std_msgs.msg import Header

from sray.errors import ErrorCode, SrayError
from sray.mapping.keyframes import Verdict
from sray_ros.mapper.inputs import CameraInputs
from sray_ros.mapper.pacing import Effort
from sray_ros.mapper.pose_queue import PoseQueue

RECENT = 20
"""Views that rates and latencies are taken over."""
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
            # One call site per severity: rclpy refuses a site that changes its mind.
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
    last_posed: float = 0.0
    """When an image last reached the worker with its pose."""
    busy_since: float | None = None
    renders: int = 0
    render_seconds: float = 0.0
    """Of the last render."""
    effort: Effort | None = None
    """Of the last render."""
    render_times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    """When the last ones came out."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Seconds from image or request to view, of the last ones."""
    labelled: int = 0
    """Label images that found their keyframe."""
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    last_verdict: Verdict | None = None
    refusals: dict[ErrorCode, int] = field(default_factory=lambda: dict.fromkeys(ErrorCode, 0))
    """Every code from the start: a dict that grows cannot be read by another thread."""
    last_refusal: SrayError | None = None
    last_refusal_at: float = 0.0
    last_hindrance: tuple[float, SrayError] | None = None
    """When and why an image or a view was refused last: what a service was refused keeps nothing from coming out."""
    last_judged_at: float = 0.0
    """When an image was last looked at."""

    def begin(self) -> None:
        """The node became active."""
        self.active_since = self.last_posed = time.monotonic()

    def end(self) -> None:
        self.active_since = None

    def posed(self) -> None:
        self.last_posed = time.monotonic()

    @property
    def quiet_since(self) -> float:
        """When something came out last, or the node became active."""
        return max(self.last_output, self.active_since or 0.0)

    def judged(self, verdict: Verdict) -> None:
        self.verdicts[verdict] += 1
        self.last_judged_at = time.monotonic()
        self.last_verdict = verdict

    def rendered(self, seconds: float, effort: Effort) -> None:
        self.renders += 1
        self.render_seconds = seconds
        self.effort = effort
        self.last_output = time.monotonic()

    def published(self, latency: float) -> None:
        """A view has gone out, so many seconds after its image came, or after it was asked for."""
        self.latencies.append(latency)
        self.render_times.append(time.monotonic())

    def refused(self, error: SrayError, is_hindrance: bool = True) -> bool:
        """Count a refusal; True if it is worth a log line: another code than the last one, or 5 s later.

        `is_hindrance`: whether it may be why nothing comes out.
        """
        now = time.monotonic()
        # A new one: the one that was raised holds everything that was there when it was, pictures and models.
        error = SrayError(error.code, *error.args)
        if is_hindrance:
            self.last_hindrance = now, error
        last, last_at = self.last_refusal, self.last_refusal_at
        self.refusals[error.code] += 1
        is_news = last is None or last.code is not error.code or now - last_at > SILENCE_SECONDS
        self.last_refusal = error
        # A steady stream of one refusal is logged every 5 s: the clock restarts with the log line.
        self.last_refusal_at = now if is_news else last_at
        return is_news

    def silence(self, inputs: CameraInputs | None, poses: PoseQueue, trigger: str, is_paused: bool) -> Silence | None:
        """Why nothing has come out for 5 s; None if something has, or the node is not active."""
        if self.active_since is None or inputs is None:
            return None
        now = time.monotonic()
        if now - self.quiet_since < SILENCE_SECONDS:
            return None
        if is_paused:
            return Silence("paused", False, "paused: call ~/pause with data: false")
        if missing := inputs.why_silent():
            return Silence("input", True, missing)
        # Before the inputs: a player in lockstep sends nothing while a render takes its time.
        if self.busy_since is not None and now - self.busy_since > SILENCE_SECONDS:
            taken = now - self.busy_since
            return Silence("busy", False, f"one render has taken {taken:.0f} s; see render.width and render.quality")
        if stopped := inputs.why_stopped(SILENCE_SECONDS):
            return Silence("stopped", True, stopped)
        if now - self.last_posed > SILENCE_SECONDS:
            return Silence("pose", True, poses.last_gap or "images wait for their poses")
        if self.last_hindrance is not None and self.last_hindrance[0] > max(
            self.last_judged_at, now - 2 * SILENCE_SECONDS
        ):
            return Silence(self.last_hindrance[1].code.name, True, str(self.last_hindrance[1]))
        if trigger == "request":
            return Silence("request", False, "trigger is request, and nothing was requested")
        verdict = self.last_verdict.value if self.last_verdict is not None else "not looked at yet"
        return Silence("still", False, f"images arrive; the last one is {verdict}")

    def array(self, stamp: Time, name: str, silence: Silence | None, facts: dict[str, Any]) -> DiagnosticArray:
        """One entry on the output, one on the work, named after the node."""
        output = DiagnosticStatus(name=f"{name}: output", hardware_id=name, level=DiagnosticStatus.OK)
        output.message = self._doing() if silence is None else silence.text
        if silence is not None:
            output.level = DiagnosticStatus.WARN if silence.is_fault else DiagnosticStatus.OK
        work = DiagnosticStatus(name=f"{name}: work", hardware_id=name, level=DiagnosticStatus.OK, message="ok")
        if self.last_refusal is not None:
            work.message = f"last refusal: {self.last_refusal}"
        values = {
            "renders": self.renders,
            "renders per second": f"{self._rate():.2f}",
            "last render seconds": f"{self.render_seconds:.3f}",
            "last render": _in_words(self.effort) if self.effort is not None else "none",
            "latency seconds (median)": f"{median(self._latencies()):.3f}" if self.latencies else "none",
            "latency seconds (worst of the last)": f"{max(self._latencies()):.3f}" if self.latencies else "none",
            "keyframes labelled": self.labelled,
            **{f"frames {verdict.name.lower()}": count for verdict, count in self.verdicts.items()},
            **{f"refused {code.name}": count for code, count in self.refusals.items() if count},
            **facts,
        }
        work.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return DiagnosticArray(header=Header(stamp=stamp), status=[output, work])

    def _doing(self) -> str:
        if self.active_since is None:
            return "inactive"
        if self.effort is not None and self.effort.is_lowered:
            return f"rendering {_in_words(self.effort)}, to keep render.max_latency"
        return "rendering" if self.renders else "waiting"

    def _rate(self) -> float:
        """Views a second, over the last ones."""
        times = list(self.render_times)  # the worker appends to it
        span = time.monotonic() - times[0] if times else 0.0
        return len(times) / span if span > 0 else 0.0

    def _latencies(self) -> list[float]:
        return list(self.latencies)


def _in_words(effort: Effort) -> str:
    return f"at {effort.quality}, {100 * effort.scale:.0f} % of the size"
