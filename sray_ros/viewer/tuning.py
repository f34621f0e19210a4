"""MapperTuning: the mapper's fine-tuning as a viewer begins, watches and undoes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from rclpy.node import Node
from std_srvs.srv import Trigger

from sray.errors import BusyError, RequestError
from sray.viewing.source import Tuning, TuningLog, TuningState
from sray_interfaces.action import FineTune
from sray_interfaces.msg import FineTuneStatus
from sray_interfaces.srv import LoadModel
from sray_ros.viewer import api
from sray_ros.viewer.asking import Mapper

STATES: dict[int, TuningState] = {
    FineTuneStatus.STARTING: "running",
    FineTuneStatus.RUNNING: "running",
    FineTuneStatus.SWAPPING: "running",
    FineTuneStatus.ACCEPTED: "accepted",
    FineTuneStatus.REJECTED: "rejected",
    FineTuneStatus.CANCELED: "canceled",
    FineTuneStatus.FAILED: "failed",
}


class MapperTuning:
    """The status topic reports every job; the file of its model is known only for jobs that this viewer began."""

    def __init__(self, node: Node, mapper: Mapper) -> None:
        self._mapper = mapper
        self._job = ""
        self._log = TuningLog()
        self._told = Tuning()
        self._files: tuple[str, str] | None = None
        """Of the model before and of the tuned one, as load_model knows them."""
        self._is_tuned = False
        topic = api.STATUS
        name = topic.name.replace("~", mapper.name, 1)
        node.create_subscription(topic.type, name, self._on_status, topic.qos)

    @property
    def state(self) -> Tuning:
        return replace(
            self._told,
            losses=tuple(self._log.losses),
            scores=tuple(self._log.scores),
            score_name=self._log.score_name,
            can_go_back=self._files is not None and self._is_tuned,
            can_go_on=self._files is not None and not self._is_tuned,
        )

    def start(self, steps: int, time_limit: float) -> None:
        """Raises BusyError, StaleError. Other refusals of the mapper appear in the state."""
        if self._told.state == "running":
            raise BusyError("the model is being fine-tuned", "one job at a time", "Stop it first")
        sent = self._mapper.fine_tune(FineTune.Goal(steps=steps, time_limit=time_limit))
        self._told = Tuning("running", "asking the mapper")
        sent.add_done_callback(lambda done: done.result().get_result_async().add_done_callback(self._on_result))

    def stop(self) -> None:
        """Raises StaleError."""
        answer = self._mapper.call("fine_tune_cancel", Trigger.Request())
        if not answer.success:  # a mapper that started again knows nothing of the job
            self.ended(answer.message)

    def ended(self, why: str) -> None:
        """A job that ran does no more, and no status will say so: the mapper is gone, or another one."""
        if self._told.state == "running":
            self._told = Tuning("failed", why)

    def use(self, which: Literal["before", "tuned"]) -> None:
        """Raises RequestError if there is no such model, and what the mapper refuses it with."""
        if self._files is None:
            raise RequestError("no model was fine-tuned from here", "one", "Fine-tune first")
        before, tuned = self._files
        self._mapper.call("load_model", LoadModel.Request(file=before if which == "before" else tuned))
        self._is_tuned = which == "tuned"

    def _on_status(self, status: FineTuneStatus) -> None:
        if status.job_id != self._job:
            self._job, self._log = status.job_id, TuningLog()
        losses = {name: float(loss) for name, loss in zip(status.loss_names, status.losses, strict=False)}
        self._log.add(status.step, losses, status.now.strict_miou, status.now.psnr)
        left = status.seconds_left
        text = status.text or f"step {status.step} of {status.steps}" + (f", {left:.0f} s left" if left == left else "")
        self._told = Tuning(STATES.get(status.state, "failed"), text)

    def _on_result(self, done: Any) -> None:
        result = done.result().result
        if result.error_code and self._told.state == "running":
            self._told = Tuning("failed", result.error_text)
        if result.accepted:
            self._files, self._is_tuned = (result.parent_file, result.file), True
