"""Fine-tuning beside a viewer without ROS: the same job as the node's, on a thread of this process."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from sray.checkpoint import Checkpoint
from sray.errors import BusyError, RequestError, SrayError
from sray.finetune import FineTuneStep
from sray.held_out import Score
from sray.mapping.adaptation import Adaptation, AdaptationConfig, shrunk
from sray.mapping.session import Session
from sray.model import SemanticRay
from sray.viewing.source import Tuning, TuningLog


@dataclass(frozen=True)
class Tuned:
    """Weights, and what they are called."""

    model: SemanticRay
    sha256: str


class LocalTuning:
    """One job at a time. The better model takes over; the one before it is kept, and can be taken again."""

    def __init__(
        self,
        checkpoint: Checkpoint[SemanticRay],
        session: Callable[[], Session],
        bounds: Callable[[], tuple[float, float]],
        take: Callable[[Tuned], None],
    ) -> None:
        """`take`: render with these weights from now on."""
        self._checkpoint = checkpoint
        self._session = session
        self._bounds = bounds
        self._take = take
        self._before: Tuned | None = None
        self._after: Tuned | None = None
        self._present: Tuned = Tuned(checkpoint.model, checkpoint.sha256)
        self._log = TuningLog()
        self._told = Tuning()
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._jobs = 0

    @property
    def state(self) -> Tuning:
        return replace(
            self._told,
            losses=tuple(self._log.losses),
            scores=tuple(self._log.scores),
            score_name=self._log.score_name,
            can_go_back=self._before is not None and self._present is not self._before,
            can_go_on=self._after is not None and self._present is not self._after,
        )

    def start(self, steps: int, time_limit: float) -> None:
        """Raises BusyError, RequestError."""
        if self._thread is not None and self._thread.is_alive():
            raise BusyError("the model is being fine-tuned", "one job at a time", "Stop it first")
        try:
            config = AdaptationConfig(steps, time_limit)
        except ValueError as error:
            raise RequestError(str(error)) from error
        self._is_stopped.clear()
        self._log = TuningLog()
        self._told = Tuning("running", "taking the keyframes")
        self._thread = threading.Thread(target=self._run, args=(config,), name="tuning", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nothing changes then. Returns at once; the state says when it has ended."""
        self._is_stopped.set()

    def use(self, which: Literal["before", "tuned"]) -> None:
        """Raises RequestError if there is no such model."""
        wanted = self._before if which == "before" else self._after
        if wanted is None:
            raise RequestError("there is only one model", "a fine-tuned one", "Fine-tune first")
        self._take(wanted)
        self._present = wanted

    def _run(self, config: AdaptationConfig) -> None:
        try:
            self._told = self._learn(config)
        except SrayError as error:
            self._told = Tuning("failed", str(error))
        except Exception as error:  # told where it was asked for; the viewer goes on
            self._told = Tuning("failed", f"a bug in fine-tuning ({error!r}); please report it")

    def _learn(self, config: AdaptationConfig) -> Tuning:
        session, bounds = self._session(), self._bounds()
        parent = replace(self._checkpoint, model=self._present.model, sha256=self._present.sha256)
        adaptation = Adaptation(parent, shrunk(session, config.width), config, bounds=bounds)
        for step in adaptation.tuner.run():
            if self._is_stopped.is_set():
                return Tuning("canceled", "stopped: nothing has changed")
            self._note(step)
        outcome = adaptation.outcome()
        if not outcome.is_better:
            return Tuning(
                "rejected", f"no better on the held-out keyframes ({self._gain(outcome.gain)}): nothing has changed"
            )
        self._jobs += 1
        tuned = Tuned(outcome.result.model, f"tuned{self._jobs}-{self._present.sha256}")
        before = self._present
        self._take(tuned)
        self._before, self._after, self._present = before, tuned, tuned
        return Tuning(
            "accepted", f"better on the held-out keyframes ({self._gain(outcome.gain)}): it renders from now on"
        )

    def _gain(self, gain: float) -> str:
        return f"{100 * gain:+.1f} points mIoU" if self._log.score_name == "strict mIoU" else f"{gain:+.2f} dB"

    def _note(self, step: FineTuneStep) -> None:
        score = step.held_out or Score(math.nan, math.nan)
        self._log.add(step.number, step.losses, score.strict_miou, score.psnr)
        left = f", {step.seconds_left:.0f} s left" if step.seconds_left == step.seconds_left else ""
        self._told = Tuning("running", f"step {step.number} of {step.steps}{left}")
