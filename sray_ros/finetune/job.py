"""FinetuneJob: one job from the snapshot of the keyframes to the swapped model, on a thread of its own.

snapshot (worker) -> files -> fine-tuning process -> better weights -> checkpoint in data_dir -> look and swap (worker)

The last is one command of the worker's: the held-out keyframes are rendered by the node itself with the old and the new
model, and unless they look no worse the old one stays. Between two renders there is one model or the other.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sray.checkpoint import load_checkpoint
from sray.errors import CanceledError, InternalError, SrayError, StaleError
from sray.files import failure
from sray.held_out import Score
from sray.mapping.adaptation import AdaptationConfig
from sray_interfaces.action import FineTune
from sray_interfaces.msg import FineTuneScore, FineTuneStatus
from sray_ros.common.error_codes import code_of, with_code
from sray_ros.common.refusals import explained
from sray_ros.finetune.child import TUNED
from sray_ros.finetune.host import Host, Scene
from sray_ros.finetune.process import GLANCE, FinetuneProcess, Handover
from sray_ros.finetune.trial import ModelTrial, snapshot

T = TypeVar("T")
MODELS = "fine_tuned"
"""Folder in data_dir of the accepted models."""
JOBS = ".fine_tune"
"""Folder in data_dir of what jobs hand over to their process."""


@dataclass(frozen=True)
class Request:
    """A job as it was asked for."""

    config: AdaptationConfig
    keyframe_ids: frozenset[int]
    """Empty: all."""
    threads: int
    memory_limit: int
    canceled: Callable[[], bool]


class FinetuneJob:
    """One job. `begun` is set once the snapshot is taken, `done` to its result; neither ever raises."""

    def __init__(self, request: Request, host: Host, publish: Callable[[FineTuneStatus], None]) -> None:
        self._request = request
        self._host = host
        self._publish = publish
        self._stop_for: SrayError | None = None
        self._learns_labels = True
        self._best: float | None = None
        """What the best look so far is worth."""
        self._since, self._renders = time.monotonic(), host.renders
        unknown = unknown_score()
        self.status = FineTuneStatus(
            job_id=f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}",
            state=FineTuneStatus.STARTING,
            steps=request.config.steps,
            before=unknown,
            now=unknown,
            best=unknown,
            seconds_left=math.nan,
        )
        self.result = FineTune.Result(before=unknown, after=unknown)
        self.begun: Future[SrayError | None] = Future()
        self.done: Future[FineTune.Result] = Future()
        self._thread = threading.Thread(target=self._run, name="fine_tuning", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """End it soon. Any thread."""
        self.stop(canceled())

    def stop(self, error: SrayError) -> None:
        """End the job soon; the client gets the reason. From any thread."""
        self._stop_for = error

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        status, result = self.status, self.result
        try:
            status.text = result.text = self._learn_and_swap()
            status.state = FineTuneStatus.ACCEPTED if result.accepted else FineTuneStatus.REJECTED
            self._host.logger.info(f"fine-tuning {status.job_id}: {status.text}")
        except Exception as failure:
            error = explained(failure, self._host.logger)
            status.error_code = result.error_code = int(code_of(error))
            result.error_text = status.text = str(error)
            if isinstance(error, CanceledError):
                status.state = FineTuneStatus.CANCELED
                self._host.logger.info(f"fine-tuning {status.job_id} was canceled")
            else:
                status.state = FineTuneStatus.FAILED
                self._host.health.refused(error, is_hindrance=False)
                self._host.logger.warning(f"fine-tuning {status.job_id}: {with_code(error)}")
            if not self.begun.done():  # refused: no client has its id, and no status is published
                self.begun.set_result(error.afresh())
                self._publish = lambda status: None
        status.seconds_left = 0.0
        result.job_id, result.seconds, result.steps = status.job_id, self._seconds(), status.step
        result.renders = self._host.renders - self._renders
        try:
            self._tell()
        finally:  # even after an error: the client waits for it, and the next job
            self.done.set_result(result)

    def _learn_and_swap(self) -> str:
        """How it ended, in words. Raises SrayError if it did not come to an end; nothing has changed then."""
        job, parent_file = self._on_scene(self._snapshot)
        parent = job.checkpoint
        self.result.model_id = self.result.parent_id = parent.id
        self.result.parent_file = parent_file
        self.begun.set_result(None)
        self._tell()
        # With the process id in its name: the next job can tell a folder in use from what a killed process left.
        handover = self._host.folder.path(f"{JOBS}/{self.status.job_id}.{os.getpid()}", "")
        _clear_away(handover.parent)
        try:
            _make(handover)
            job.write(handover)
            self._check()
            self._keep_outcome(outcome := self._learn(handover))
            if not outcome["is_better"]:
                config = self._request.config
                least = f"min_gain {config.min_gain:g}" if self._learns_labels else f"{config.min_psnr_gain:g} dB"
                return f"not better by {least}: {self._gain()}; the model stays as it was"
            self.status.state = FineTuneStatus.SWAPPING
            self._tell()
            tuned = load_checkpoint(handover / TUNED)
            name = f"{MODELS}/{self.status.job_id}"
            path = self._host.folder.path(name, ".safetensors")
            _make(path.parent)
            _move(handover / TUNED, path)
        finally:
            shutil.rmtree(handover, ignore_errors=True)
        try:
            trial = ModelTrial(job, tuned, name, self.result.held_out, self._learns_labels, self._is_stopped)
            complaint = self._on_scene(trial.run, is_final=True)
        except SrayError as error:
            if isinstance(error, StaleError):
                self.result.model_id = self._on_scene(lambda scene: scene.checkpoint.id, is_final=True)
                raise StaleError(f"{error}; the new model is kept as {name}") from error
            path.unlink(missing_ok=True)
            raise
        if complaint:
            path.unlink(missing_ok=True)
            return complaint
        self.result.accepted, self.result.model_id, self.result.file = True, tuned.id, name
        return f"{self._gain()}; {tuned.id} renders from now on"

    def _snapshot(self, scene: Scene) -> tuple[Handover, str]:
        request = self._request
        session, bounds = snapshot(scene, request.keyframe_ids, request.config)
        device = str(scene.device)
        job = Handover(request.config, session, scene.checkpoint, bounds, device, request.threads, request.memory_limit)
        return job, scene.model_file

    def _learn(self, handover: Path) -> dict[str, Any]:
        """What the process says of its outcome, once it has ended."""
        self.status.state, outcome = FineTuneStatus.RUNNING, None
        with FinetuneProcess(handover) as process:
            self._host.logger.info(f"fine-tuning {self.status.job_id} in process {process.pid}")
            for message in process.messages(self._check):
                if begun := message.get("begun"):
                    self._learns_labels = begun["learns_labels"]
                    self.result.taught_by, self.result.held_out = begun["taught_by"], begun["held_out"]
                if step := message.get("step"):
                    self._follow(step)
                outcome = message.get("outcome", outcome)
        if outcome is None:
            raise InternalError("the fine-tuning process ended without a word", remedy="See the log")
        return dict(outcome)

    def _follow(self, step: dict[str, Any]) -> None:
        status = self.status
        status.step, status.kind = step["number"], step["kind"]
        status.loss_names = list(step["losses"])
        status.losses = [math.nan if value is None else value for value in step["losses"].values()]
        status.seconds_left = math.nan if step["seconds_left"] is None else step["seconds_left"]
        if step["held_out"]:
            score = Score.from_record(step["held_out"])
            status.now = _message(score)
            if step["number"] == 0:
                status.before = status.now
            if self._best is None or score.worth(by_labels=self._learns_labels) > self._best:
                self._best = score.worth(by_labels=self._learns_labels)
                status.best = status.now
        self._tell()

    def _keep_outcome(self, outcome: dict[str, Any]) -> None:
        result = self.result
        result.before, result.after = (_message(Score.from_record(outcome[when])) for when in ("before", "after"))
        result.best_step = outcome["best_step"]

    def _gain(self) -> str:
        before, after, steps = self.result.before, self.result.after, self.status.step
        if self._learns_labels:
            scores = f"{before.strict_miou:.3f} -> {after.strict_miou:.3f}"
            return f"strict mIoU {scores} on held-out keyframes' labels, in {steps} steps"
        return f"PSNR {before.psnr:.2f} -> {after.psnr:.2f} dB on held-out keyframes, in {steps} steps, without labels"

    def _on_scene(self, do: Callable[[Scene], T], *, is_final: bool = False) -> T:
        """The result of `do`, called by the worker. `is_final`: wait for it even if the job is canceled meanwhile.

        Raises SrayError: what `do` raises, InactiveError.
        """
        answer = self._host.submit(do)
        while True:
            if not is_final:
                self._check()
            if wait([answer], timeout=GLANCE).done:
                break
        return answer.result()

    def _check(self) -> None:
        """Raises SrayError if it is to stop."""
        if self._stop_for is not None:
            raise self._stop_for.afresh()
        if self._request.canceled():
            raise canceled()

    def _is_stopped(self) -> bool:
        return self._stop_for is not None or self._request.canceled()

    def _tell(self) -> None:
        self.status.seconds = self._seconds()
        self._publish(self.status)

    def _seconds(self) -> float:
        return time.monotonic() - self._since


def unknown_score() -> FineTuneScore:
    return _message(Score.from_record(None))


def canceled() -> SrayError:
    return CanceledError("canceled; the model stays as it was")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failure(f"cannot make {folder}", error, "a data_dir that can be written to, with room") from error


def _move(file: Path, to: Path) -> None:
    try:
        file.replace(to)
    except OSError as error:
        raise failure(f"cannot write {to}", error, "a folder that can be written to") from error


def _clear_away(jobs: Path) -> None:
    """Delete what the jobs of killed processes have left."""
    for left in jobs.glob("*.*"):
        process = left.name.rpartition(".")[2]
        if process.isdigit() and not Path(f"/proc/{process}").exists():
            shutil.rmtree(left, ignore_errors=True)


def _message(score: Score) -> FineTuneScore:
    return FineTuneScore(strict_miou=score.strict_miou, psnr=score.psnr)
