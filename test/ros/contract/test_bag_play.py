"""What `bag:=` relies on in `ros2 bag play`: the official one, or the stand-in."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig.listener import Listener
from ros_processes import ros2_command
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String

pytestmark = pytest.mark.ros

BEGIN_NS = 1_000_000_000_000
STEP_NS = 100_000_000
WORDS = [f"word {number}" for number in range(20)]
DISCOVERY = "4"
"""Seconds in which two processes find each other, on a busy machine too."""
FOREVER = QosTime(9223372036, 854775807)


def qos(durability: QosDurability, reliability: QosReliability) -> list[Qos]:
    return [
        Qos(
            QosHistory.KEEP_LAST, 10, reliability, durability, FOREVER, FOREVER, QosLiveliness.AUTOMATIC, FOREVER, False
        )
    ]


@pytest.fixture(params=list(StoragePlugin), ids=lambda plugin: plugin.name.lower())
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    store = get_typestore(Stores.ROS2_KILTED)
    name = "std_msgs/msg/String"
    folder = tmp_path / "bag"
    with Writer(folder, version=9, storage_plugin=request.param) as writer:
        reliable = qos(QosDurability.VOLATILE, QosReliability.RELIABLE)
        words = writer.add_connection("/words", name, typestore=store, offered_qos_profiles=reliable)
        latched = qos(QosDurability.TRANSIENT_LOCAL, QosReliability.RELIABLE)
        facts = writer.add_connection("/facts", name, typestore=store, offered_qos_profiles=latched)
        for text in ("first fact", "second fact"):
            writer.write(facts, BEGIN_NS, store.serialize_cdr(store.types[name](text), name))
        for number, text in enumerate(WORDS):
            writer.write(words, BEGIN_NS + number * STEP_NS, store.serialize_cdr(store.types[name](text), name))
    return folder


def play(listener: Listener, bag: Path, *options: str) -> subprocess.Popen[str]:
    return listener.run(ros2_command(), "bag", "play", str(bag), *options, stdin=subprocess.DEVNULL)


def test_everything_comes_out_in_order_with_a_clock_and_latched_messages_reach_latecomers(
    listener: Listener, bag: Path
) -> None:
    words = listener.hear(String, "/words")
    clock = listener.hear(Clock, "/clock", 1000)
    process = play(listener, bag, "--clock", "100", "--rate", "2.0", "--delay", DISCOVERY)
    assert listener.until(lambda: len(words) > 5)
    begun = time.monotonic()
    facts = listener.hear(String, "/facts", QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    code, output = listener.finish(process)
    assert code == 0, output
    assert [word.data for word in words] == WORDS
    assert [fact.data for fact in facts] == ["first fact", "second fact"]
    # 14 more words, a tenth of a second apart, at twice the speed: not sooner.
    assert time.monotonic() - begun > 0.5
    times = [tick.clock.sec * 1_000_000_000 + tick.clock.nanosec for tick in clock]
    assert times == sorted(times)
    assert times[0] >= BEGIN_NS
    assert times[-1] >= BEGIN_NS + (len(WORDS) - 2) * STEP_NS


def test_topics_are_left_out_by_their_names(listener: Listener, bag: Path) -> None:
    words, facts = listener.hear(String, "/words"), listener.hear(String, "/facts")
    options = ("--start-offset", "1.5", "--delay", DISCOVERY, "-x", ".*/fac.*")
    code, output = listener.finish(play(listener, bag, *options))
    assert code == 0, output
    assert words and not facts


def test_an_offset_leaves_out_the_beginning(listener: Listener, bag: Path) -> None:
    words = listener.hear(String, "/words")
    code, output = listener.finish(play(listener, bag, "--start-offset", "1.45", "--rate", "4", "--delay", DISCOVERY))
    assert code == 0, output
    assert [word.data for word in words] == WORDS[15:]


def test_a_loop_starts_again_and_an_interrupt_ends_it(listener: Listener, bag: Path) -> None:
    words = listener.hear(String, "/words")
    process = play(listener, bag, "--loop", "--rate", "10")
    assert listener.until(lambda: len(words) > 2 * len(WORDS))
    texts = [word.data for word in words]
    begin = texts.index(WORDS[0])
    assert texts[begin : begin + len(WORDS) + 1] == [*WORDS, WORDS[0]]
    process.send_signal(signal.SIGINT)
    code, output = listener.finish(process, 20)
    assert code == 0, output


def test_a_paused_start_publishes_nothing(listener: Listener, bag: Path) -> None:
    words = listener.hear(String, "/words")
    process = play(listener, bag, "--start-paused", "--rate", "100")
    assert listener.until(lambda: listener.node.count_publishers("/words"))
    assert not listener.until(lambda: words, seconds=1.5)
    process.send_signal(signal.SIGINT)
    assert listener.finish(process, 20)[0] == 0


def test_a_missing_bag_is_named(listener: Listener, tmp_path: Path) -> None:
    code, output = listener.finish(play(listener, tmp_path / "nowhere"))
    assert code not in (0, None)
    assert "nowhere" in output
