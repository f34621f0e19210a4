"""What the nodes rely on of message_filters: which messages come out together, each of them once."""

from __future__ import annotations

from message_filters import ApproximateTimeSynchronizer, SimpleFilter, TimeSynchronizer
from rclpy.time import Time
from sensor_msgs.msg import Image


def image(milliseconds: int) -> Image:
    message = Image()
    message.header.stamp = Time(nanoseconds=milliseconds * 1_000_000).to_msg()
    return message


def milliseconds(message) -> int:
    return Time.from_msg(message.header.stamp).nanoseconds // 1_000_000


class Bench:
    """Inputs to feed by hand, and what came out as tuples of milliseconds."""

    def __init__(self, make, inputs: int = 2) -> None:
        self.inputs = [SimpleFilter() for _ in range(inputs)]
        self.out: list[tuple[int, ...]] = []
        self.synchronizer = make(self.inputs)
        self.synchronizer.registerCallback(lambda *messages: self.out.append(tuple(map(milliseconds, messages))))

    def feed(self, which: int, *stamps: int) -> None:
        for stamp in stamps:
            self.inputs[which].signalMessage(image(stamp))


def exact(queue_size: int = 10, inputs: int = 2) -> Bench:
    return Bench(lambda filters: TimeSynchronizer(filters, queue_size), inputs)


def approximate(queue_size: int = 10, slop: float = 0.02, inputs: int = 2) -> Bench:
    return Bench(lambda filters: ApproximateTimeSynchronizer(filters, queue_size, slop), inputs)


def test_a_filter_hands_its_output_to_everyone_with_their_own_arguments():
    heard = []
    source = SimpleFilter()
    source.registerCallback(lambda message: heard.append(message))
    source.registerCallback(lambda message, extra, more: heard.append((message, extra, more)), "a", 2)
    source.signalMessage("hello")
    assert heard == ["hello", ("hello", "a", 2)]


# --- exact


def test_exact_needs_equal_stamps_in_any_order_of_arrival():
    bench = exact(inputs=3)
    bench.feed(2, 100, 200)
    bench.feed(0, 200, 100)
    assert bench.out == []
    bench.feed(1, 100)
    assert bench.out == [(100, 100, 100)]
    bench.feed(1, 200)
    assert bench.out == [(100, 100, 100), (200, 200, 200)]


def test_exact_leaves_stamps_apart_by_a_nanosecond():
    bench = exact()
    bench.feed(0, 100)
    almost = image(100)
    almost.header.stamp.nanosec += 1
    bench.inputs[1].signalMessage(almost)
    assert bench.out == []


def test_exact_uses_each_message_once():
    bench = exact()
    bench.feed(0, 100)
    bench.feed(1, 100, 100)
    assert bench.out == [(100, 100)]


def test_exact_forgets_the_oldest_stamp_of_a_full_queue():
    bench = exact(queue_size=2)
    bench.feed(0, 100, 200, 300)
    bench.feed(1, 100)
    assert bench.out == []
    bench.feed(1, 200, 300)
    assert bench.out == [(200, 200), (300, 300)]


# --- approximate


def test_approximate_matches_within_the_slop():
    bench = approximate(slop=0.02)
    bench.feed(0, 100)
    bench.feed(1, 119)
    assert bench.out == [(100, 119)]


def test_approximate_matches_nothing_outside_the_slop():
    bench = approximate(slop=0.02)
    bench.feed(0, 100)
    bench.feed(1, 121)
    assert bench.out == []


def test_approximate_takes_the_closest_stored_message():
    bench = approximate(slop=0.1)
    bench.feed(0, 100, 150, 180)
    bench.feed(1, 155)
    assert bench.out == [(150, 155)]


def test_approximate_uses_each_message_once():
    bench = approximate(slop=0.05)
    bench.feed(0, 100)
    bench.feed(1, 101, 102, 103)
    assert bench.out == [(100, 101)]
    bench.feed(0, 104)
    assert bench.out == [(100, 101), (104, 103)]


def test_approximate_wants_all_inputs_within_the_slop_of_each_other():
    bench = approximate(slop=0.02, inputs=3)
    bench.feed(0, 100)
    bench.feed(2, 130)
    bench.feed(1, 115)  # 15 from either, but they are 30 apart
    assert bench.out == []
    bench.feed(0, 125)
    assert bench.out == [(125, 115, 130)]


def test_approximate_keeps_the_order_of_the_inputs():
    bench = approximate(slop=0.02, inputs=3)
    bench.feed(2, 103)
    bench.feed(1, 102)
    bench.feed(0, 101)
    assert bench.out == [(101, 102, 103)]


def test_approximate_forgets_the_oldest_stamp_of_a_full_queue():
    bench = approximate(queue_size=2, slop=0.01)
    bench.feed(0, 100, 200, 300)
    bench.feed(1, 100)
    assert bench.out == []
    bench.feed(1, 201, 301)
    assert bench.out == [(200, 201), (300, 301)]


def test_approximate_ignores_a_message_older_than_its_full_queue():
    bench = approximate(queue_size=2, slop=0.01)
    bench.feed(1, 100)
    bench.feed(0, 200, 300)
    bench.feed(0, 100)  # would match, but the queue has no room for it
    assert bench.out == []
