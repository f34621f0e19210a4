"""A lifecycle node: a posed camera stream in, semantic labels of any viewpoint out.

Wiring only. Callbacks queue; one worker thread owns the model. With trigger `keyframe` an image is rendered when it
becomes a keyframe *and* enough other keyframes see its view: a frame is never its own source, so the first ones are
kept but not rendered.
"""

from __future__ import annotations

import gc
import sys
import time
from concurrent.futures import Future
from contextlib import ExitStack
from types import ModuleType

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
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from sray.checkpoint import load_checkpoint
from sray.crash import ends_in_one_line
from sray.errors import SrayError
from sray_interfaces.action import RenderView
from sray_ros.common.error_codes import NoPoseError, with_code
from sray_ros.common.executor import LifecycleExecutor
from sray_ros.common.lifecycle import OrderlyNode, one_at_a_time
from sray_ros.common.model_choice import device_of, model_path
from sray_ros.common.refusals import bug, inactive
from sray_ros.common.signals import end_at_once, init_until_signaled
from sray_ros.finetune.server import FinetuneServer
from sray_ros.mapper.api import VIEWPOINT
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.diagnostics import Reporter
from sray_ros.mapper.intake import Intake
from sray_ros.mapper.jobs import PublishMap, Work
from sray_ros.mapper.outputs import Publications
from sray_ros.mapper.pose_queue import PoseQueue
from sray_ros.mapper.render_view import RenderViewServer, refusal
from sray_ros.mapper.scene import ModelChoice, Scene
from sray_ros.mapper.services import SESSION, MapperServices
from sray_ros.mapper.view_requests import ViewRequests

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
POSE_PERIOD, REPORT_PERIOD = 0.02, 1.0
ANSWER_SECONDS = 1.0
"""How long an ending node takes to tell waiting clients so."""


class SemanticMapper(OrderlyNode):
    """Order: construction, lifecycle, requests, reports."""

    def __init__(self) -> None:
        super().__init__("semantic_mapper")
        self._shared = MapperContext(self)  # not _context: that name is rclpy's own
        self._work: Work | None = None
        self._requests: ViewRequests | None = None
        self._poses: PoseQueue | None = None
        self._intake: Intake | None = None
        self._undo_configure, self._undo_activate = ExitStack(), ExitStack()
        self._broadcaster = tf2_ros.TransformBroadcaster(self)
        self._reporter = Reporter(self._shared)
        self._calls = MapperServices(self._shared)
        self._render_view = RenderViewServer(self, self._on_render_view)
        self._finetune = FinetuneServer(self._shared)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)  # the node's clock stops with its bag
        self._timers_group = MutuallyExclusiveCallbackGroup()
        self.create_timer(REPORT_PERIOD, self._report, self._timers_group, clock=self._steady)
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(seconds=-1e-3), on_clock_change=False)
        self._jump = self.get_clock().create_jump_callback(threshold, post_callback=self._on_clock_jump)
        self._log_standins(tf2_ros, message_filters, cv_bridge, sensor_msgs_py)

    def close(self, executor: Executor) -> bool:
        """Stop everything that was started, from any state, and answer who waits. Call before destroy_node.

        False if a model is still being loaded: nothing is lost if the process ends, and nothing else may be done.
        """
        if not self.end_transitions():
            return False
        self._undo_activate.close()
        self._undo_configure.close()  # saves the session, if asked to
        deadline = time.monotonic() + ANSWER_SECONDS
        servers = (self._render_view, self._finetune, self._calls)
        while any(server.answering for server in servers) and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.02)
        for _ in range(10):  # an action's result is sent by tasks that come after the last line of its callback
            executor.spin_once(timeout_sec=0.01)
        for server in servers:
            server.close()
        return True

    def spin_once(self, executor: Executor) -> None:
        """Run callbacks for a tenth of a second. A bug in a callback is reported, and the node goes on."""
        try:
            executor.spin_once(timeout_sec=0.1)
        except Exception as error:
            if not self.context.ok():
                raise
            self._shared.health.refused(bug(error, self.get_logger()))

    # --- lifecycle

    @one_at_a_time
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        settings = self._shared.settings
        self.is_loading = True
        try:
            with ExitStack() as undo:
                path, device = model_path(settings.model.path), device_of(settings.model.device)
                checkpoint = load_checkpoint(path)
                publications = Publications(self, checkpoint.label_space, settings.map_frame)
                undo.callback(publications.close)
                work = Work(self._shared, ModelChoice(checkpoint, path, device), publications)
                self._publications = publications
                self._poses = PoseQueue(
                    self._shared.tf, settings.map_frame, settings.sync.queue_size,
                    lambda: self._shared.settings.tf.timeout,
                    lambda: NoPoseError("more images wait for their poses than sync.queue_size"),
                )  # fmt: skip
                self._work = work
                self._requests = ViewRequests(self._shared, work.scene, publications, self._broadcaster)
                undo.callback(self._forget_work)
                if (result := super().on_configure(state)) == SUCCESS:
                    self._undo_configure = undo.pop_all()
                    terms = f"; {checkpoint.terms}" if checkpoint.terms else ""
                    engine = work.scene.engine
                    self.get_logger().info(f"model {checkpoint.id} from {path} on {device}, {engine}{terms}")
            return result
        except SrayError as error:
            self._shared.health.refused(error)
            self.get_logger().error(f"cannot configure: {with_code(error)}")
            return FAILURE  # correct the parameter and configure again
        except Exception as error:
            self.get_logger().error(f"cannot configure: {error!r}")
            return ERROR
        finally:
            self.is_loading = False

    @one_at_a_time
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        work, requests, poses, worker = self._work, self._requests, self._poses, self._shared.worker
        assert work is not None and requests is not None and poses is not None
        try:
            with ExitStack() as undo:
                if (result := super().on_activate(state)) != SUCCESS:
                    return result
                self._publications.label_space(self._shared.settings.render.min_confidence)
                # Undone last: it refuses what came while the rest was closing.
                undo.callback(poses.refuse_all, inactive())
                undo.callback(requests.refuse_all, inactive())
                worker.start(work)
                undo.callback(worker.stop)
                intake = self._intake = Intake(self._shared, poses, requests)
                undo.callback(self._close_intake)
                viewpoint = self.create_subscription(
                    VIEWPOINT.type, VIEWPOINT.name, requests.on_viewpoint, VIEWPOINT.qos
                )
                undo.callback(self.destroy_subscription, viewpoint)
                timer = self.create_timer(POSE_PERIOD, intake.poll, self._timers_group, clock=self._steady)
                undo.callback(self.destroy_timer, timer)
                self._shared.health.begin()
                undo.callback(self._shared.health.end)
                undo.callback(self._finetune.stop)
                undo.callback(worker.close)  # undone first: from here on, who asks is refused at once
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
        gc.collect()  # frees model and keyframes now: reference circles hold them
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
        if work is not None and (name := self._shared.settings.session.autosave):
            self._autosave(work.scene, name)

    def _autosave(self, scene: Scene, name: str) -> None:
        """Once the worker has stopped. An error is logged, because the node is ending and nobody else would tell."""
        keyframes = len(scene.mapper.keyframes)
        if not keyframes:
            return
        try:
            # In a folder of the namespace: mappers that share parameters and data_dir would overwrite one file.
            path = self._shared.folder.path(f"{self.get_namespace()}/{name}".lstrip("/"), SESSION)
            scene.session().save(path)
            self.get_logger().info(f"saved {keyframes} keyframes to {path}")
        except SrayError as error:
            self.get_logger().error(f"the session is not saved: {with_code(error)}")
        except Exception as error:  # whatever it is, the rest of the node is to end in order
            self.get_logger().error(f"the session is not saved: {error!r}")

    # --- the clock

    def _on_clock_jump(self, jump: TimeJump) -> None:
        if (intake := self._intake) is not None:  # another thread may be deactivating: look once
            intake.on_clock_jump(-jump.delta.nanoseconds, self.get_clock().now().nanoseconds)

    # --- requests

    def _on_render_view(self, goal: ServerGoalHandle, future: Future[RenderView.Result]) -> None:
        requests = self._requests
        if requests is None or not self._shared.is_active:
            future.set_result(refusal(inactive()))
        else:
            requests.on_goal(goal, future)

    # --- reports

    def _report(self) -> None:
        """Once a second: diagnostics, and the map for whoever has come to listen."""
        work, intake = self._work, self._intake
        if work is not None and intake is not None:
            self._shared.worker.put(PublishMap())
        inputs = intake.inputs if intake is not None else None
        self._reporter.report(work.scene if work is not None else None, inputs, self._poses)

    def _log_standins(self, *modules: ModuleType) -> None:
        names = [module.__name__ for module in modules if getattr(module, "STANDIN", False)]
        which = f"stand-ins for {', '.join(names)}" if names else "the official tf2_ros, message_filters, cv_bridge"
        self.get_logger().info(f"running on {which}")


@ends_in_one_line("semantic_mapper")
def main(args: list[str] | None = None) -> int:
    """Spin until SIGINT or SIGTERM; 0 then, 1 if the node cannot start."""
    stop = init_until_signaled(args)
    try:
        node = SemanticMapper()
    except Exception as error:
        print(f"semantic_mapper cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    executor = LifecycleExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set():
            node.spin_once(executor)
    finally:
        if not node.close(executor):
            end_at_once()
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
