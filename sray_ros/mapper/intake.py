"""Intake: what comes in while the node is active, and what jumps of time and pose do to it. Callbacks only queue."""

from __future__ import annotations

from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from sray.errors import PoseError, SrayError, StaleError
from sray_ros.common.error_codes import with_code
from sray_ros.common.label_infos import names_of
from sray_ros.common.refusals import bug
from sray_ros.common.tf_thread import TfThread
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.inputs import Arrival, CameraInputs
from sray_ros.mapper.jobs import AddImage, AddLabels
from sray_ros.mapper.lanes import IMAGES, RENDERS, VIEWPOINTS
from sray_ros.mapper.pose_jumps import PoseJumps
from sray_ros.mapper.pose_queue import PoseQueue
from sray_ros.mapper.view_requests import ViewRequests

JUMP_CAUSES = "Localization was corrected, the robot was carried, or two nodes publish the same transform"


class Intake:
    """From activation to deactivation. Every image that comes in ends on ~/handled, here or as a job."""

    def __init__(self, context: MapperContext, poses: PoseQueue, requests: ViewRequests) -> None:
        self._context = context
        self._poses = poses
        self._requests = requests
        self._jumps = PoseJumps()
        context.label_names = None  # of a publisher that may have gone; one that is there tells it again
        context.tf.clear()  # of what was heard before a pause: a bag may have started again meanwhile
        self._listener = TfThread(
            context.tf,
            context.node,
            self._on_bug,
            lambda: poses.frames | requests.frames,
            self._on_tf_restart,
            context.logger.warning,
        )
        try:
            self.inputs = CameraInputs(context.node, context.parameters, poses, self)
        except Exception:
            self._listener.close()  # no other object closes it
            raise

    def close(self) -> None:
        """Nothing comes in afterwards."""
        self.inputs.close()
        self._listener.close()

    def poll(self) -> None:
        """Look for poses that have come, and at what the inputs' publishers offer. Call often."""
        self._poses.poll()
        self._requests.poll()
        self.inputs.keep_up()

    def on_clock_jump(self, jump_ns: int, now_ns: int) -> None:
        """The node's clock went back by `jump_ns` to `now_ns`: simulated time of a bag that starts again."""
        if not self.inputs.are_after(jump_ns, now_ns):
            what = f"the clock jumped back by {jump_ns * 1e-9:.3f} s"
            self._poses.tf_began_anew(what)
            self._requests.tf_began_anew(what)
            self._on_jump_back(f"{what}; clearing pending work and TF", now_ns, jump_ns, is_clock=True)

    def on_jump_back(self, what: str, new_ns: int, jump_ns: int) -> None:
        """One camera's stamps say nothing of TF; TF is forgotten if its frames have gone back too."""
        self._on_jump_back(f"{what}; clearing pending work", new_ns, jump_ns, is_clock=False)

    def _on_tf_restart(self, why: str) -> None:
        self._context.logger.warning(f"{why}; clearing TF")
        self._poses.tf_began_anew(why)
        self._requests.tf_began_anew(why)

    def _on_jump_back(self, what: str, new_ns: int, jump_ns: int, *, is_clock: bool) -> None:
        """Old stamps are meaningless now: drop what waits, and TF's past. Keyframes stay: they are poses in the map."""
        self._context.logger.warning(what)
        self._listener.time_went_back(new_ns, jump_ns, is_clock=is_clock)
        self._jumps.forget()
        self._drop_pending(StaleError("time jumped back while the pose was waited for"))
        self.inputs.restart(new_ns, jump_ns)

    def on_arrival(self, arrival: Arrival) -> None:
        self._context.health.posed()
        if self._context.is_paused:
            self._context.handled(arrival.image.header)
            return
        if jump := self._jumps.jump(arrival.stamp_ns, arrival.map_from_camera):
            self._on_pose_jump(jump)
            self.on_refused(arrival.image.header, PoseError(jump, remedy=JUMP_CAUSES))
            return
        self._context.worker.put(AddImage(self._context, arrival))

    def on_labels(self, image: Image) -> None:
        """Also during a pause: they may be of a keyframe from before it."""
        self._context.worker.put(AddLabels(image))

    def on_labels_info(self, info: LabelInfo) -> None:
        self._context.label_names = names_of(info)

    def on_refused(self, header: Header, error: SrayError) -> None:
        if self._context.health.refused(error):
            self._context.logger.warning(with_code(error))
        self._context.handled(header)

    def _on_bug(self, error: Exception) -> None:
        self._context.health.refused(bug(error, self._context.logger))

    def _on_pose_jump(self, what: str) -> None:
        """What waits was posed, or would be, by what TF held before: drop it. Keyframes keep, as after a clock jump."""
        self._context.logger.warning(f"{what}; clearing pending work and TF", throttle_duration_sec=5.0)
        self._context.tf.clear()
        self._drop_pending(StaleError("the camera's pose jumped while this waited"))

    def _drop_pending(self, error: SrayError) -> None:
        self._poses.refuse_all(error)
        self._requests.refuse_all(error)
        # Not labels: they have no pose, and their keyframes stay.
        self._context.worker.drop_waiting(error, IMAGES, RENDERS, VIEWPOINTS)
