"""ViewRequests: views that somebody asks for, by the viewpoint topic or by the ~/render_view action.

Both bring their pose into the map by TF, wait for the worker, and are rendered for a camera that TF does not know.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

import tf2_ros
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.action.server import ServerGoalHandle
from std_msgs.msg import Header

from sray.errors import RequestError, SrayError, StaleError
from sray.mapping.mapper import Rendering
from sray_interfaces.action import RenderView
from sray_ros.common.conversions import nanoseconds
from sray_ros.common.error_codes import with_code
from sray_ros.common.poses import Matrix, matrix_of_pose, transform_of_matrix
from sray_ros.common.refusals import displaced, inactive
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.jobs import RenderRequest
from sray_ros.mapper.lanes import REQUESTS, VIEWPOINTS
from sray_ros.mapper.outputs import Publications
from sray_ros.mapper.pacing import Effort
from sray_ros.mapper.pose_queue import PoseQueue, Waiting
from sray_ros.mapper.render_view import preview_of, progress_of, refusal, result_of
from sray_ros.mapper.scene import Scene
from sray_ros.mapper.views import ViewRequest


class ViewRequests:
    """Of one configured node. Callbacks only queue."""

    def __init__(
        self,
        context: MapperContext,
        scene: Scene,
        publications: Publications,
        broadcaster: tf2_ros.TransformBroadcaster,
    ) -> None:
        self._context = context
        self._scene = scene
        # Queues of their own, so that they do not crowd out the images that wait. The newest viewpoint wins here too.
        self._viewpoints, self._goals = (
            PoseQueue(context.tf, scene.map_frame, lane.capacity, lambda: context.settings.tf.timeout, displaced)
            for lane in (VIEWPOINTS, REQUESTS)
        )
        self._publications = publications
        self._broadcaster = broadcaster
        # With the namespace, because all nodes share one TF.
        self._view_frame = f"{context.node.get_fully_qualified_name()[1:]}_view_optical_frame"

    @property
    def frames(self) -> set[str]:
        """Those whose poses were asked for of late."""
        return self._viewpoints.frames | self._goals.frames

    def tf_began_anew(self, why: str) -> None:
        """As `PoseQueue.tf_began_anew`."""
        self._viewpoints.tf_began_anew(why)
        self._goals.tf_began_anew(why)

    def poll(self) -> None:
        """Look for poses that have come. Call often."""
        self._viewpoints.poll()
        self._goals.poll()

    def refuse_all(self, error: SrayError) -> None:
        """Those that wait for poses."""
        self._viewpoints.refuse_all(error)
        self._goals.refuse_all(error)

    def on_viewpoint(self, viewpoint: PoseStamped) -> None:
        """The newest wins: one that still waits for the worker is dropped."""
        header = self._header(viewpoint)

        def refuse(error: SrayError) -> None:
            if not isinstance(error, StaleError):  # STALE: a newer viewpoint came
                self._context.logger.warning(f"no view of the viewpoint: {with_code(error)}", throttle_duration_sec=5.0)

        def deliver(map_from_view: Matrix) -> None:
            request = ViewRequest(map_from_view, header, lambda r, effort: self._publish(header, r), refuse)
            self._context.worker.put(RenderRequest(request, VIEWPOINTS))

        self._with_pose(self._viewpoints, viewpoint, deliver, refuse)

    def on_goal(self, goal: ServerGoalHandle, future: Future[RenderView.Result]) -> None:
        """Sets the future's result: the rendered view, or why there is none."""
        asked = goal.request
        scale = asked.scale or 1.0
        since = time.monotonic()
        header = self._header(asked.viewpoint)

        def refuse(error: SrayError) -> None:
            if not future.done():
                future.set_result(refusal(error))

        def answer(rendering: Rendering, effort: Effort) -> None:
            self._tell_tf(header, rendering)
            future.set_result(result_of(asked, rendering, effort, self._scene, header, self._publications))

        def deliver(map_from_view: Matrix) -> None:
            request = ViewRequest(
                map_from_view,
                header,
                answer,
                refuse,
                info=asked.camera_info if asked.camera_info.width else None,
                scale=scale,
                own_ns=nanoseconds(asked.viewpoint.header.stamp) or None,
                since=since,
                canceled=lambda: bool(goal.is_cancel_requested),
                on_progress=progress_of(goal),
                on_preview=lambda rendering: goal.publish_feedback(preview_of(rendering, self._scene, header)),
            )
            self._context.worker.put(RenderRequest(request, REQUESTS))

        if not 0 < scale <= 1:
            error = RequestError(f"scale is {scale:g}", "more than 0, at most 1")
            self._context.report(error)
            refuse(error)
        else:
            self._with_pose(self._goals, asked.viewpoint, deliver, refuse)

    def _with_pose(
        self,
        queue: PoseQueue,
        pose: PoseStamped,
        deliver: Callable[[Matrix], None],
        refuse: Callable[[SrayError], None],
    ) -> None:
        """Hand map_from_view on to `deliver` as soon as TF knows the frame that the pose is given in."""

        def refuse_and_report(error: SrayError) -> None:  # it does not reach the worker, which would report it
            self._context.report(error)
            refuse(error)

        try:
            frame_from_view = matrix_of_pose(pose.pose)
        except SrayError as error:
            refuse_and_report(error)
            return
        header = pose.header
        if header.frame_id == self._scene.map_frame:
            deliver(frame_from_view)
            return
        queue.put(
            Waiting(
                header.frame_id,
                header.stamp,
                lambda m: deliver(m @ frame_from_view),
                refuse_and_report,
                may_be_latest=True,
            )
        )
        if not self._context.is_active:  # deactivated meanwhile: the queue is not polled any more
            queue.refuse_all(inactive())

    def _header(self, pose: PoseStamped) -> Header:
        is_stamped = pose.header.stamp.sec or pose.header.stamp.nanosec
        stamp = pose.header.stamp if is_stamped else self._context.node.get_clock().now().to_msg()
        return Header(stamp=stamp, frame_id=self._view_frame)

    def _publish(self, header: Header, rendering: Rendering) -> None:
        self._tell_tf(header, rendering)
        self._publications.view(header, rendering.view, lambda: self._scene.mapper.cloud_of(rendering.view))

    def _tell_tf(self, header: Header, rendering: Rendering) -> None:
        # A virtual camera has no frame in TF until its pose is published.
        transform = TransformStamped(child_frame_id=header.frame_id)
        transform.header = Header(stamp=header.stamp, frame_id=self._scene.map_frame)
        transform.transform = transform_of_matrix(rendering.view.camera.world_pose)
        self._broadcaster.sendTransform(transform)
