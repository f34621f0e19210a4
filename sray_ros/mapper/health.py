"""MapperHealth: what semantic_mapper knows about itself, and its diagnostics."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sray.mapping.keyframes import Verdict
from sray_ros.common import health
from sray_ros.common.error_codes import code_of, with_code
from sray_ros.common.health import Health, Silence
from sray_ros.mapper.inputs import CameraInputs
from sray_ros.mapper.pacing import Effort
from sray_ros.mapper.pose_queue import PoseQueue


@dataclass
class MapperHealth(Health):
    """As `Health`, and what images and renders tell."""

    last_posed: float = 0.0
    """When an image last reached the worker with its pose."""
    renders: int = 0
    render_seconds: float = 0.0
    """Of the last render."""
    effort: Effort | None = None
    """Of the last render."""
    labeled: int = 0
    """Label images that found their keyframe."""
    verdicts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    last_verdict: Verdict | None = None
    last_judged_at: float = 0.0
    """When an image was last looked at."""

    def begin(self) -> None:
        super().begin()
        self.posed()

    def posed(self) -> None:
        self.last_posed = time.monotonic()

    def judged(self, verdict: Verdict) -> None:
        self.verdicts[verdict] += 1
        self.last_judged_at = time.monotonic()
        self.last_verdict = verdict

    def rendered(self, seconds: float, effort: Effort) -> None:
        self.renders += 1
        self.render_seconds = seconds
        self.effort = effort
        self.last_output = time.monotonic()

    def silence(self, inputs: CameraInputs | None, poses: PoseQueue, trigger: str, is_paused: bool) -> Silence | None:
        """Why nothing has come out for 5 s; None if something has, or the node is not active."""
        if self.active_since is None or inputs is None:
            return None
        now = time.monotonic()
        if now - self.quiet_since < health.SILENCE_SECONDS:
            return None
        if is_paused:
            return Silence("paused", False, "paused: call ~/pause with data: false")
        if missing := inputs.why_silent():
            return Silence("input", True, missing)
        # Before the inputs: a player in lockstep sends nothing while a render takes its time.
        if self.busy_since is not None and now - self.busy_since > health.SILENCE_SECONDS:
            taken = now - self.busy_since
            return Silence("busy", False, f"one render has taken {taken:.0f} s; see render.width and render.quality")
        if stopped := inputs.why_stopped(health.SILENCE_SECONDS):
            return Silence("stopped", True, stopped)
        if now - self.last_posed > health.SILENCE_SECONDS:
            return Silence("pose", True, poses.last_gap or "images wait for their poses")
        if self.last_hindrance is not None and self.last_hindrance[0] > max(
            self.last_judged_at, now - 2 * health.SILENCE_SECONDS
        ):
            return Silence(code_of(self.last_hindrance[1]).name, True, with_code(self.last_hindrance[1]))
        if trigger == "request":
            return Silence("request", False, "trigger is request, and nothing was requested")
        verdict = self.last_verdict.value if self.last_verdict is not None else "not looked at yet"
        return Silence("still", False, f"images arrive; the last one is {verdict}")

    def doing(self) -> str:
        """What the node does while something comes out."""
        if self.active_since is None:
            return "inactive"
        if self.effort is not None and self.effort.is_lowered:
            return f"rendering {_in_words(self.effort)}, to keep render.max_latency"
        return "rendering" if self.renders else "waiting"

    def facts(self) -> dict[str, Any]:
        """For diagnostics."""
        return {
            "renders": self.renders,
            "renders per second": f"{self.rate():.2f}",
            "last render seconds": f"{self.render_seconds:.3f}",
            "last render": _in_words(self.effort) if self.effort is not None else "none",
            "latency seconds (median)": self.latency(),
            "latency seconds (worst of the last)": self.latency(max),
            "keyframes labeled": self.labeled,
            **{f"frames {verdict.name.lower()}": count for verdict, count in self.verdicts.items()},
            **self.refusal_counts(),
        }


def _in_words(effort: Effort) -> str:
    return f"at {effort.quality}, {100 * effort.scale:.0f} % of the size"
