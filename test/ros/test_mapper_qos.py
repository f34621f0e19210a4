"""QoS: whatever the inputs are offered with is heard; what goes out is offered as declared."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rig.mapper import MapperProcess, seconds_of, time_of
from rig.views import SETTINGS as EXACT
from rig.views import as_started, keyframes, stamps
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from sray.frames import Frame
from sray_ros.common.conversions import image_message
from sray_ros.common.topics import OF_A_CAMERA, Topic
from sray_ros.mapper.api import PUBLISHED, SERVICES, SUBSCRIBED

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {**EXACT, "depth.use": True, "trigger": "request"}
RELIABILITIES = (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
DURABILITIES = (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
NODE = "/semantic_mapper"


@pytest.fixture(autouse=True)
def others_as_started(process: MapperProcess) -> Iterator[None]:
    yield
    assert process.set(**as_started(SETTINGS)) == ""


def offer(process: MapperProcess, qos: QoSProfile) -> None:
    """The camera is replaced by one that offers this."""
    node = process.listener.node
    for name, kind in (("image", Image), ("info", CameraInfo), ("depth", Image), ("compressed", CompressedImage)):
        node.destroy_publisher(getattr(process, f"_{name}"))
        topic = {"info": "camera_info", "compressed": "image/compressed"}.get(name, name)
        setattr(process, f"_{name}", node.create_publisher(kind, topic, qos))


@pytest.mark.shows("image", "camera_info", "depth", "labels", "image/compressed", "qos_overrides.reliability")
@pytest.mark.parametrize("durability", DURABILITIES, ids=lambda policy: policy.name.lower())
@pytest.mark.parametrize("reliability", RELIABILITIES, ids=lambda policy: policy.name.lower())
def test_inputs_are_heard_however_they_are_offered(
    process: MapperProcess, frames: list[Frame], reliability: ReliabilityPolicy, durability: DurabilityPolicy
) -> None:
    qos = QoSProfile(depth=5, reliability=reliability, durability=durability)
    node = process.listener.node
    process.start_over()
    offer(process, qos)  # while the node is active: it is to notice
    labels = node.create_publisher(Image, "labels", qos)
    heard = (process._image, process._info, process._depth, labels)
    assert process.listener.until(lambda: all(publisher.get_subscription_count() == 1 for publisher in heard))
    process.send_in_lockstep(frames[:3])
    assert frames[1].labels is not None
    labels.publish(image_message(Header(stamp=time_of(101.0)), frames[1].labels.numpy(), "mono8"))
    assert process.listener.until(lambda: any(k.has_labels for k in keyframes(process).keyframes))
    held = keyframes(process).keyframes
    assert [k.stamp.sec for k in held] == [100, 101, 102]
    assert [k.has_labels for k in held] == [False, True, False]
    assert [k.has_depth for k in held][1:] == [True, True]
    node.destroy_publisher(labels)
    # The same camera, compressed, there before the node listens.
    assert process.set(image_transport="compressed") == ""
    process.start_over()
    process.send_in_lockstep(frames[:2])
    assert stamps(process) == [100.0, 101.0]


@pytest.mark.fault(
    "the node has no core to run on for a third of a second, while a camera sends at 30 Hz, best effort",
    code="none",
    says="nothing",
    recovery="none needed: what came meanwhile is taken",
)
def test_pictures_that_come_while_the_node_stands_still_are_taken(process: MapperProcess, frames: list[Frame]) -> None:
    process.start_over()
    offer(process, QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    heard = (process._image, process._info)
    assert process.listener.until(lambda: all(publisher.get_subscription_count() == 1 for publisher in heard))
    process.send_in_lockstep(frames[:1])
    seconds = [101.0 + number / 30 for number in range(OF_A_CAMERA - 3)]
    process.process.send_signal(signal.SIGSTOP)
    try:
        for second in seconds:
            process.send(frames[0], second)
            process.listener.until(lambda: False, 1 / 30)
    finally:
        process.process.send_signal(signal.SIGCONT)
    handled = [seconds_of(time_of(second)) for second in seconds]
    assert process.listener.until(lambda: {seconds_of(h.stamp) for h in process.handled} >= set(handled), 20)


def resolved(topic: Topic) -> str:
    return topic.name.replace("~", NODE) if topic.name[0] in "~/" else f"/{topic.name}"


def ours(mapper: MapperProcess, look: Callable[[str], list[Any]], topic: Topic) -> Any:
    """The mapper's one end of a topic, once discovered here."""

    def found() -> list[Any]:
        return [end for end in look(resolved(topic)) if end.node_name in ("semantic_mapper", "_semantic_mapper_tf")]

    assert mapper.listener.until(lambda: len(found()) == 1), (topic.name, found())
    return found()[0]


@pytest.mark.shows(
    "~/label/image", "~/label/camera_info", "~/label/confidence", "~/label/color", "~/label/overlay", "~/color/image",
    "~/depth/image", "~/coverage", "~/points", "~/label/info", "~/legend", "~/map", "~/keyframes", "~/frustums",
    "/diagnostics", "~/handled", "/tf (view)", "/tf_static (clouds)",
)  # fmt: skip
def test_every_output_is_offered_as_declared(mapper: MapperProcess) -> None:
    node = mapper.listener.node
    for topic in PUBLISHED:
        offered = ours(mapper, node.get_publishers_info_by_topic, topic)
        package = topic.type.__module__.split(".")[0]
        assert offered.topic_type == f"{package}/msg/{topic.type.__name__}", topic.name
        assert offered.qos_profile.reliability is topic.qos.reliability is ReliabilityPolicy.RELIABLE, topic.name
        assert offered.qos_profile.durability is topic.qos.durability, topic.name
        assert (topic.qos.durability is DurabilityPolicy.TRANSIENT_LOCAL) is topic.is_latched
        # Fast DDS does not tell the depth of a remote endpoint; where it does, it is the declared one.
        if offered.qos_profile.history is HistoryPolicy.KEEP_LAST and offered.qos_profile.depth:
            assert offered.qos_profile.depth == topic.depth, topic.name


@pytest.mark.shows("image", "camera_info", "depth", "labels", "/tf", "/tf_static", "viewpoint")
def test_every_input_is_asked_for_as_declared_and_services_are_there(mapper: MapperProcess) -> None:
    node = mapper.listener.node
    offer(mapper, QoSProfile(depth=5))
    mapper.start_over()
    for topic in SUBSCRIBED:
        if topic.name == "image/compressed":
            assert node.count_subscribers(topic.name) == 0, "with image_transport: raw"
            continue
        asked = ours(mapper, node.get_subscriptions_info_by_topic, topic)
        assert asked.topic_type.endswith(f"/{topic.type.__name__}")
        assert asked.qos_profile.reliability is ReliabilityPolicy.RELIABLE, topic.name  # auto: as it is offered here
        assert asked.qos_profile.durability is topic.qos.durability, topic.name
    for call in SERVICES:
        package = call.type.__module__.split(".")[0]
        expected = (call.name.replace("~", NODE), [f"{package}/srv/{call.type.__name__}"])
        assert expected in node.get_service_names_and_types_by_node("semantic_mapper", "/")


@pytest.mark.shows("~/label/info")
def test_a_latched_topic_keeps_one_message_for_who_comes_late(mapper: MapperProcess) -> None:
    for threshold in (0.25, 0.5, 0.75):
        assert mapper.set(render__min_confidence=threshold) == ""
        assert stamps(mapper) == []  # the worker has had its turn
    many = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    late = mapper.hear(LabelInfo, f"{NODE}/label/info", many)
    assert mapper.listener.until(lambda: late)
    assert not mapper.listener.until(lambda: len(late) > 1, 0.5)
    assert late[0].threshold == 0.75
