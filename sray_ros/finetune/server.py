"""~/fine_tune, ~/fine_tune_once and ~/fine_tune_cancel, and the topics that tell how it goes. One job at a time."""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from std_msgs.msg import Header

from sray.errors import BusyError, RequestError, SrayError
from sray.mapping.adaptation import AdaptationConfig
from sray_interfaces.action import FineTune
from sray_interfaces.msg import FineTuneStatus
from sray_ros.common.actions import action_server, settle
from sray_ros.common.awaiting import awaited
from sray_ros.common.conversions import image_message
from sray_ros.common.error_codes import ErrorCode, InactiveError, code_of, with_code
from sray_ros.common.refusals import bug, inactive
from sray_ros.common.topics import CALLS
from sray_ros.finetune import api
from sray_ros.finetune.curve import FinetuneCurve
from sray_ros.finetune.host import Host
from sray_ros.finetune.job import FinetuneJob, Request, unknown_score

RESULT_SECONDS = 3600
"""How long a result is kept for a client that has not fetched it: it is small, and who asked may be away."""
CURVE_PERIOD = 1.0
"""Seconds between two pictures of the curve."""
ENDED = (FineTuneStatus.ACCEPTED, FineTuneStatus.REJECTED, FineTuneStatus.CANCELED, FineTuneStatus.FAILED)


class FinetuneServer:
    """Created once, with the node; answers in every lifecycle state."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._node = node = host.node
        self._job: FinetuneJob | None = None
        self._lock = threading.Lock()
        """Guards `_job`: two calls may come at once."""
        self._curve = FinetuneCurve()
        self._last_curve = 0.0
        self.answering = 0
        """Goals and calls that have no answer yet."""
        status, curve = api.STATUS, api.CURVE
        self._status_publisher = node.create_publisher(status.type, status.name, status.qos)
        self._curve_publisher = node.create_publisher(curve.type, curve.name, curve.qos)
        group = ReentrantCallbackGroup()
        for call, callback in ((api.ONCE, self._once), (api.CANCEL, self._cancel)):
            node.create_service(call.type, call.name, callback, qos_profile=CALLS, callback_group=group)
        self._server = action_server(node, api.FINE_TUNE, self._execute, group, RESULT_SECONDS)

    @property
    def is_running(self) -> bool:
        job = self._job
        return job is not None and not job.done.done()

    def stop(self) -> None:
        """End what is running soon: the node is not active any more. Any thread."""
        if (job := self._job) is not None:
            job.stop(inactive())

    def close(self) -> None:
        """Wait for the job to end, which `stop` has told to. Call before the node is destroyed."""
        self.stop()
        if (job := self._job) is not None:
            job.join(1.0)
        self._server.destroy()

    async def _execute(self, goal: ServerGoalHandle) -> FineTune.Result:
        self.answering += 1
        try:
            result = await self._answer(goal)
            settle(goal, result.error_code)
        finally:
            self.answering -= 1
        return result

    async def _answer(self, goal: ServerGoalHandle) -> FineTune.Result:
        def feedback(status: FineTuneStatus) -> None:
            goal.publish_feedback(FineTune.Feedback(status=status))

        try:
            job = self._start(goal.request, lambda: bool(goal.is_cancel_requested), feedback)
        except SrayError as error:
            unknown = {"before": unknown_score(), "after": unknown_score()}
            return FineTune.Result(error_code=int(code_of(error)), error_text=str(error), **unknown)
        result = await awaited(self._node, job.done)
        return result

    async def _once(self, request: Any, response: Any) -> Any:
        self.answering += 1
        try:
            job = self._start(request, lambda: False, lambda status: None)
            if (error := await awaited(self._node, job.begun)) is not None:
                raise error
            response.job_id = job.status.job_id
        except SrayError as error:
            response.error_code, response.error_text = int(code_of(error)), str(error)
        finally:
            self.answering -= 1
        return response

    async def _cancel(self, request: Any, response: Any) -> Any:
        job = self._job
        if job is None or job.done.done():
            response.success, response.message = False, "nothing is being fine-tuned"
            return response
        self.answering += 1
        try:
            job.cancel()
            result = await awaited(self._node, job.done)
        finally:
            self.answering -= 1
        response.success = result.error_code == ErrorCode.CANCELED
        response.message = result.error_text or result.text
        return response

    def _start(
        self, asked: Any, canceled: Callable[[], bool], feedback: Callable[[FineTuneStatus], None]
    ) -> FinetuneJob:
        """Raises InactiveError, BusyError, RequestError."""
        try:
            request = self._read(asked, canceled)
            with self._lock:
                if self.is_running:
                    raise BusyError(
                        "a model is being fine-tuned already",
                        "one at a time",
                        "Wait until ~/fine_tune/status says that it has ended, or call ~/fine_tune_cancel",
                    )
                self._curve = FinetuneCurve()
                self._job = FinetuneJob(request, self._host, self._publisher(feedback))
                self._job.start()
                return self._job
        except SrayError as error:
            if self._host.health.refused(error, is_hindrance=False):
                self._host.logger.warning(with_code(error))
            raise

    def _read(self, asked: Any, canceled: Callable[[], bool]) -> Request:
        if not self._host.is_active:
            raise inactive()
        settings = self._host.finetune_settings
        if not settings.enabled:
            raise InactiveError(
                "fine-tuning is switched off", remedy="Set the parameter fine_tune.enabled, then ask again"
            )
        try:
            config = AdaptationConfig(
                asked.steps,
                asked.time_limit,
                round(asked.min_gain, 6),  # 0.01 has become 0.00999999978 on the way
                round(asked.min_psnr_gain, 6),
                asked.mode,
                asked.supervision,
                asked.keep_own,
                asked.seed,
                settings.width,
            )
        except ValueError as error:
            raise RequestError(str(error)) from error
        threads = settings.threads or max(1, (os.cpu_count() or 1) // 2)
        limit = settings.memory_limit
        return Request(config, frozenset(asked.keyframe_ids), threads, limit, canceled)

    def _publisher(self, feedback: Callable[[FineTuneStatus], None]) -> Callable[[FineTuneStatus], None]:
        def publish(status: FineTuneStatus) -> None:
            try:
                status.stamp = self._node.get_clock().now().to_msg()
                self._status_publisher.publish(status)
                feedback(copy.deepcopy(status))
                self._curve.add(status)
                if status.state in ENDED or time.monotonic() - self._last_curve >= CURVE_PERIOD:
                    self._last_curve = time.monotonic()
                    self._curve_publisher.publish(image_message(Header(stamp=status.stamp), self._curve.draw(), "rgb8"))
            except Exception as error:  # a status that cannot be published is no reason to end the job
                if self._node.context.ok():
                    bug(error, self._host.logger)

        return publish
