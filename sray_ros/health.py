"""Health: what the node knows about itself, and its diagnostics. A silent node says why it is silent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from sray.errors import ErrorCode, SrayError
from sray.mapping.keyframes import Verdict
from sray_ros.camera_inputs import CameraInputs
from sray_ros.pose_queue import PoseQueue

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
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    last_verdict: Verdict | None = None
    refusals: dict[ErrorCode, int] = field(default_factory=lambda: dict.fromkeys(ErrorCode, 0))
    """Every code from the start: a dict that grows cannot be read by another thread."""
    last_refusal: SrayError | None = None
    last_refusal_at: float = 0.0

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
        self.last_verdict = verdict

    def rendered(self, seconds: float) -> None:
        self.renders += 1
        self.render_seconds = seconds
        self.last_output = time.monotonic()

    def refused(self, error: SrayError) -> bool:
        """Count a refusal; True if it is worth a log line: another code than the last one, or 5 s later."""
        now = time.monotonic()
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
        stopped = now - inputs.image.last_arrival
        if stopped > SILENCE_SECONDS:
            return Silence("stopped", True, f"{inputs.image.topic} stopped {stopped:.0f} s ago")
        if now - self.last_posed > SILENCE_SECONDS:
            return Silence("pose", True, poses.last_gap or "images wait for their poses")
        if self.last_refusal is not None and now - self.last_refusal_at < 2 * SILENCE_SECONDS:
            return Silence(self.last_refusal.code.name, True, str(self.last_refusal))
        if trigger == "request":
            return Silence("request", False, "trigger is request, and nothing was requested")
        verdict = self.last_verdict.value if self.last_verdict is not None else "not looked at yet"
        return Silence("still", False, f"images arrive; the last one is {verdict}")

    def array(self, stamp: Time, name: str, silence: Silence | None, facts: dict[str, Any]) -> DiagnosticArray:
        """One entry on the output, one on the work, named after the node."""
        output = DiagnosticStatus(name=f"{name}: output", hardware_id=name, level=DiagnosticStatus.OK)
        output.message = "inactive" if self.active_since is None else "rendering" if self.renders else "waiting"
        if silence is not None:
            output.level = DiagnosticStatus.WARN if silence.is_fault else DiagnosticStatus.OK
            output.message = silence.text
        work = DiagnosticStatus(name=f"{name}: work", hardware_id=name, level=DiagnosticStatus.OK, message="ok")
        if self.last_refusal is not None:
            work.message = f"last refusal: {self.last_refusal}"
        values = {
            "renders": self.renders,
            "last render seconds": f"{self.render_seconds:.3f}",
            **{f"frames {verdict.name.lower()}": count for verdict, count in self.verdicts.items()},
            **{f"refused {code.name}": count for code, count in self.refusals.items() if count},
            **facts,
        }
        work.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return DiagnosticArray(header=Header(stamp=stamp), status=[output, work])
