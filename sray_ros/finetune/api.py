"""What fine-tuning offers on the mapper's graph: its action, services and topics, and the texts of docs/ros_api.md."""

from __future__ import annotations

from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from sray_interfaces.action import FineTune
from sray_interfaces.msg import FineTuneStatus
from sray_interfaces.srv import FineTune as FineTuneOnce
from sray_ros.common.topics import Call, Topic

STATUS = Topic(
    "~/fine_tune/status", FineTuneStatus, "where fine-tuning stands, step by step, and how it ended", is_latched=True
)
CURVE = Topic("~/fine_tune/curve", Image, "rgb8: losses and held-out scores over the steps", is_latched=True)
PUBLISHED = (STATUS, CURVE)

FINE_TUNE = Call("~/fine_tune", FineTune, "adapt the model to what the keyframes show; feedback and canceling")
ONCE = Call("~/fine_tune_once", FineTuneOnce, "~/fine_tune for a plain call: answers before it trains, with a job id")
CANCEL = Call("~/fine_tune_cancel", Trigger, "stop fine-tuning, however it was started; nothing changes")
SERVICES = (ONCE, CANCEL)
