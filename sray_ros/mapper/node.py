"""A lifecycle node: a posed camera stream in, semantic labels of any viewpoint out.

Wiring only. Callbacks queue; one worker thread owns the model (`mapping_work`). With trigger `keyframe` an image is
rendered when it becomes a keyframe *and* enough other keyframes see its view: a frame is never its own source, so the
first ones are kept but not rendered.
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import cv_bridge
import message_filters
import rclpy
import sensor_msgs_py
import tf2_ros
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.executors import Executor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future

from sray.checkpoint import load_checkpoint
from sray.crash import ends_in_one_line
from sray.errors import ErrorCode, SrayError
from sray_ros.common.data_folder import DataFolder
from sray_ros.common.executor import LifecycleExecutor
from sray_ros.common.inbox import Inbox
from sray_ros.common.model_choice import device_of, model_path
from sray_ros.common.refusals import bug, inactive
from sray_ros.common.signals import init_until_signalled
from sray_ros.finetune.server import FineTuneServer
from sray_ros.mapper.declarations import HANDLED, VIEWPOINT
from sray_ros.mapper.diagnostics import Reporter
from sray_ros.mapper.health import Health
from sray_ros.mapper.intake import Intake
from sray_ros.mapper.jobs import COMMANDS, LANES, MAP, Command
from sray_ros.mapper.outputs import Publications
from sray_ros.mapper.parameters import MapperParameters
from sray_ros.mapper.pose_queue import PoseQueue
from sray_ros.mapper.render_view import RenderViewServer, refusal
from sray_ros.mapper.services import SESSION, MapperServices
from sray_ros.mapper.view_requests import ViewRequests
from sray_ros.mapper.worker import MappingWork

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
POSE_PERIOD, REPORT_PERIOD = 0.02, 1.0
ANSWER_SECONDS = 1.0
"""How long an ending node takes to tell waiting clients so."""

Transition = Callable[["SemanticMapper", LifecycleState], TransitionCallbackReturn]


def one_at_a_time(transition: Transition) -> Transition:
    """None beside another, and none once the node is ending."""

    @functools.wraps(transition)
    def alone(node: SemanticMapper, state: LifecycleState) -> TransitionCallbackReturn:
        with node._transition:
            return FAILURE if node._is_ending else transition(node, state)

    return alone


class SemanticMapper(LifecycleNode):
    """Order: construction, lifecycle, inputs, worker, services and action, reports."""

    def __init__(self) -> None:
        super().__init__("semantic_mapper")
        self._settings = MapperParameters(self)  # not _parameters: that one is rclpy's own
        self._health = Health()
        self._inbox = Inbox(LANES)
        self._is_paused = False
        self._work: MappingWork | None = None
        self._requests: ViewRequests | None = None
        self._intake: Intake | None = None
        self._undo_configure, self._undo_activate = ExitStack(), ExitStack()
        self._transition = threading.RLock()
        """One transition at a time: a signal may end the node in the midst of one."""
        self._is_ending = False
        self._poses: PoseQueue | None = None
        # The buffer lives as long as the node: the official one brings a service of its own, which cannot be destroyed.
        self._tf = tf2_ros.Buffer(node=self)
        self._broadcaster = tf2_ros.TransformBroadcaster(self)
        self._reporter = Reporter(self, self._health, self._inbox)
        self._handled = self.create_publisher(HANDLED.type, HANDLED.name, HANDLED.qos)
        self._folder = DataFolder(self._settings["data_dir"])
        self._calls = MapperServices(
            self, self._folder, lambda: self._inbox.is_open, self._ask, self._pause, self._health
        )
        self._render_view = RenderViewServer(self, self._on_render_view)
        self._fine_tune = FineTuneServer(
            self, self._settings, self._folder, lambda: self._inbox.is_open, self._ask, self._health
        )
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)  # the node's clock stops with its bag
        self._timers_group = MutuallyExclusiveCallbackGroup()
        self.create_timer(REPORT_PERIOD, self._report, self._timers_group, clock=self._steady)
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(seconds=-1e-3), on_clock_change=False)
        self._jump = self.get_clock().create_jump_callback(threshold, post_callback=self._on_clock_jump)
        self._log_standins(tf2_ros, message_filters, cv_bridge, sensor_msgs_py)

    def close(self, executor: Executor) -> None:
        """Stop everything that was started, from any state, and answer who waits. Call before destroy_node."""
        with self._transition:  # another thread may be in the midst of one
            self._is_ending = True
            self._undo_activate.close()
            self._undo_configure.close()  # saves the session, if asked to
        deadline = time.monotonic() + ANSWER_SECONDS
        servers = (self._render_view, self._fine_tune, self._calls)
        while any(server.answering for server in servers) and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.02)
        for _ in range(10):  # an action's result is sent by tasks that come after the last line of its callback
            executor.spin_once(timeout_sec=0.01)
        for server in servers:
            server.close()

    def spin_once(self, executor: Executor) -> None:
        """Callbacks for a tenth of a second. A bug in one costs its message, not the robot its node."""
        try:
            executor.spin_once(timeout_sec=0.1)
        except Exception as error:
            if not self.context.ok():
                raise
            self._health.refused(bug(error, self.get_logger()))

    # --- lifecycle

    @one_at_a_time
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            with ExitStack() as undo:
                path, device = model_path(self._settings["model.path"]), device_of(self._settings["model.device"])
                checkpoint = load_checkpoint(path)
                map_frame = self._settings["map_frame"]
                publications = Publications(self, checkpoint.label_space, map_frame)
                undo.callback(publications.close)
                self._publications = publications
                self._poses = PoseQueue(
                    self._tf, map_frame, self._settings["sync.queue_size"], lambda: self._settings["tf.timeout"],
                    lambda: SrayError(ErrorCode.NO_POSE, "more images wait for their poses than sync.queue_size"),
                )  # fmt: skip
                work = MappingWork(
                    checkpoint, path, device, self._settings, self._inbox, publications, self._health,
                    self.get_logger(), self._handled.publish,
                )  # fmt: skip
                self._work = work
                self._requests = ViewRequests(
                    self, work, self._inbox, self._tf, self._settings, publications, self._broadcaster, map_frame
                )
                undo.callback(self._forget_work)
                if (result := super().on_configure(state)) == SUCCESS:
                    self._undo_configure = undo.pop_all()
                    terms = f"; {checkpoint.terms}" if checkpoint.terms else ""
                    self.get_logger().info(f"model {checkpoint.id} from {path} on {device}, {work.engine}{terms}")
            return result
        except SrayError as error:
            self._health.refused(error)
            self.get_logger().error(f"cannot configure: {error}")
            return FAILURE  # correct the parameter and configure again
        except Exception as error:
            self.get_logger().error(f"cannot configure: {error!r}")
            return ERROR

    @one_at_a_time
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        requests, poses = self._requests, self._poses
        assert self._work is not None and requests is not None and poses is not None
        try:
            with ExitStack() as undo:
                if (result := super().on_activate(state)) != SUCCESS:
                    return result
                self._publications.label_space(self._settings["render.min_confidence"])
                self._inbox.open()
                # Last: what came while the rest was closing.
                undo.callback(poses.refuse_all, inactive())
                undo.callback(requests.refuse_all, inactive())
                worker = threading.Thread(target=self._run, args=(self._work,), name="mapping")
                worker.start()
                undo.callback(self._stop, worker, self._work)
                intake = Intake(
                    self, self._settings, self._tf, poses, requests, self._inbox, self._work, self._health,
                    self._handled.publish, lambda: self._is_paused,
                )  # fmt: skip
                self._intake = intake
                undo.callback(self._close_intake)
                viewpoint = self.create_subscription(
                    VIEWPOINT.type, VIEWPOINT.name, requests.on_viewpoint, VIEWPOINT.qos
                )
                undo.callback(self.destroy_subscription, viewpoint)
                timer = self.create_timer(POSE_PERIOD, intake.poll, self._timers_group, clock=self._steady)
                undo.callback(self.destroy_timer, timer)
                self._health.begin()
                undo.callback(self._health.end)
                undo.callback(self._fine_tune.stop)
                undo.callback(self._close_inbox, self._work)  # first: from here on, who asks is refused at once
                self._undo_activate = undo.pop_all()
            return result
        except Exception as error:
            self.get_logger().error(f"cannot activate: {error!r}")
            # ERROR lands in unconfigured without on_cleanup.
            self._undo_configure.close()
            return ERROR

    @one_at_a_time
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_activate.close()
        return super().on_deactivate(state)

    @one_at_a_time
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_configure.close()
        gc.collect()  # model and keyframes are held by callbacks in circles: freed now, not rounds of configuring later
        return super().on_cleanup(state)

    @one_at_a_time
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_activate.close()
        self._undo_configure.close()
        return super().on_shutdown(state)

    @one_at_a_time
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._undo_activate.close()
        self._undo_configure.close()
        return super().on_error(state)

    def _close_intake(self) -> None:
        intake, self._intake = self._intake, None
        if intake is not None:
            intake.close()

    def _forget_work(self) -> None:
        work, self._work, self._requests = self._work, None, None
        if work is not None and (name := self._settings["session.autosave"]):
            self._autosave(work, name)

    def _autosave(self, work: MappingWork, name: str) -> None:
        """Once the worker has stopped. What cannot be saved is logged: the node is ending, nobody else would tell."""
        if not len(work.mapper.keyframes):
            return
        try:
            # Mappers that share parameters and folder, each in its namespace, would overwrite each other's.
            path = self._folder.path(f"{self.get_namespace()}/{name}".lstrip("/"), SESSION)
            work.session().save(path)
            self.get_logger().info(f"saved {len(work.mapper.keyframes)} keyframes to {path}")
        except Exception as error:  # whatever it is, the rest of the node is to end in order
            self.get_logger().error(f"the session is not saved: {error}")

    # --- the clock

    def _on_clock_jump(self, jump: TimeJump) -> None:
        if (intake := self._intake) is not None:  # another thread may be deactivating: look once
            intake.on_clock_jump(-jump.delta.nanoseconds, self.get_clock().now().nanoseconds)

    # --- the worker

    def _run(self, work: MappingWork) -> None:
        while (job := self._inbox.take()) is not None:
            work.do(*job)

    def _stop(self, worker: threading.Thread, work: MappingWork) -> None:
        self._close_inbox(work)
        worker.join()

    def _close_inbox(self, work: MappingWork) -> None:
        for lane, item in self._inbox.close():
            work.leave(lane, item)

    # --- services and action

    def _ask(self, do: Callable[[MappingWork], Any], answer: Callable[[Any], None]) -> None:
        """`answer` gets what `do` gives on the worker's thread, or the SrayError that came instead."""
        work = self._work
        if work is None:
            answer(inactive())
            return

        def run() -> None:
            try:
                answer(do(work))
            except SrayError as error:  # no fault of the worker's: told to who asked
                answer(error)

        for dropped in self._inbox.put(COMMANDS, Command(run, answer)):
            work.leave(COMMANDS, dropped)

    def _pause(self, is_paused: bool) -> None:
        self._is_paused = is_paused

    def _on_render_view(self, goal: ServerGoalHandle, future: Future) -> None:
        requests = self._requests
        if requests is None or not self._inbox.is_open:
            future.set_result(refusal(inactive()))
        else:
            requests.on_goal(goal, future)

    # --- reports

    def _report(self) -> None:
        """Once a second: diagnostics, and the map for whoever has come to listen."""
        work, intake = self._work, self._intake
        if work is not None and intake is not None:
            self._inbox.put(MAP, work.mapper)
        inputs = intake.inputs if intake is not None else None
        self._reporter.report(work, inputs, self._poses, self._settings["trigger"], self._is_paused)

    def _log_standins(self, *modules: ModuleType) -> None:
        names = [module.__name__ for module in modules if getattr(module, "STANDIN", False)]
        which = f"stand-ins for {', '.join(names)}" if names else "the official tf2_ros, message_filters, cv_bridge"
        self.get_logger().info(f"running on {which}")


@ends_in_one_line("semantic_mapper")
def main(args: list[str] | None = None) -> int:
    """Spin until SIGINT or SIGTERM; 0 then, 1 if the node cannot start."""
    stop = init_until_signalled(args)
    try:
        node = SemanticMapper()
    except Exception as error:
        print(f"semantic_mapper cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    executor = LifecycleExecutor(num_threads=4)
    executor.add_node(node)
    try:
        while not stop.is_set():
            node.spin_once(executor)
    finally:
        node.close(executor)
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
