"""`ros2 bag play BAG`: publishes a recorded bag again, as it was, and optionally a clock.

Messages go out as the bytes that were recorded. SPACE pauses and resumes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import rclpy
import yaml
from builtin_interfaces.msg import Time
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosgraph_msgs.msg import Clock

DEFAULT_CLOCK_RATE = 40.0
LONGEST_SLEEP = 0.05
"""Seconds: how late a key press or a signal may be noticed."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = commands.add_parser("bag", help="play a rosbag2").add_subparsers(metavar="verb", required=True)
    parser = verbs.add_parser("play", help="publish what a bag has recorded", description=__doc__)
    parser.add_argument("bag", type=Path, help="folder of a rosbag2 (sqlite3 or MCAP)")
    parser.add_argument("-r", "--rate", type=float, default=1.0, help="how many times faster than recorded")
    parser.add_argument("-l", "--loop", action="store_true", help="start again at the end")
    parser.add_argument("-p", "--start-paused", action="store_true", help="begin paused; SPACE resumes")
    parser.add_argument("-x", "--exclude-regex", default="", help="topics to leave out: all of the name must match")
    parser.add_argument("--start-offset", type=float, default=0.0, help="seconds to leave out at the beginning")
    parser.add_argument("-d", "--delay", type=float, default=0.5, help="seconds to wait before playing")
    parser.add_argument(
        "--clock", type=float, nargs="?", const=DEFAULT_CLOCK_RATE, default=0.0, help="publish /clock at this rate, Hz"
    )
    parser.add_argument(
        "--qos-profile-overrides-path", type=Path, help="YAML: QoS by topic, instead of the recorded one (durability)"
    )
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    if arguments.rate <= 0:
        print(f"--rate is {arguments.rate:g}; expected more than 0", file=sys.stderr)
        return 2
    rclpy.init()
    try:
        with AnyReader([arguments.bag]) as reader, keyboard():
            believe_metadata(reader)
            Player(reader, arguments).play()
    except (AnyReaderError, OSError) as error:
        print(f"cannot play {arguments.bag}: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


def believe_metadata(reader: AnyReader) -> None:
    """The library leaves out topics whose QoS is another in metadata.yaml than in the data; ros2 bag does not."""
    for each in reader.readers:
        for storage in getattr(getattr(each, "storage", None), "storages", ()):
            for index, own in enumerate(storage.connections):
                said = [c.ext for c in each.connections if (c.topic, c.msgtype) == (own.topic, own.msgtype)]
                if said and own.ext not in said:
                    storage.connections[index] = own._replace(ext=said[0])


class Player(Node):
    def __init__(self, reader: AnyReader, arguments: argparse.Namespace) -> None:
        super().__init__("rosbag2_player")
        self._reader = reader
        self._rate, self._loop, self._offset = arguments.rate, arguments.loop, arguments.start_offset
        self._paused, self._delay = arguments.start_paused, arguments.delay
        self._latched = latched_by(arguments.qos_profile_overrides_path)
        self._outputs: dict[int, Publisher] = {}
        for connection in reader.connections:
            if re.fullmatch(arguments.exclude_regex, connection.topic):
                continue
            try:
                kind = message_type(connection.msgtype)
            except (ImportError, AttributeError):
                self.get_logger().warning(f"{connection.topic} is left out: {connection.msgtype} is not installed")
                continue
            latched = is_latched(connection) or connection.topic in self._latched
            self._outputs[connection.id] = self.create_publisher(
                kind, connection.topic, recorded_qos(connection, latched=latched)
            )
        self._clock_period = 1.0 / arguments.clock if arguments.clock > 0 else None
        self._clock = self.create_publisher(Clock, "/clock", 10) if self._clock_period else None
        self._next_tick = 0.0

    def play(self) -> None:
        """Until the end of the bag, or of rclpy."""
        while rclpy.ok():
            # The first time for discovery too: what is sent before it is lost to subscribers that are already there.
            time.sleep(self._delay)
            self._play_once()
            if not self._loop:
                break
        for publisher in self._outputs.values():
            publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=5))

    def _play_once(self) -> None:
        start = self._reader.start_time + int(self._offset * 1e9)
        recorded, steady = start, time.monotonic()
        wanted = [connection for connection in self._reader.connections if connection.id in self._outputs]
        for connection, stamp, raw in self._reader.messages(connections=wanted):
            if stamp < start and not (is_latched(connection) or connection.topic in self._latched):
                continue
            while rclpy.ok():
                now = time.monotonic()
                if not self._paused:
                    recorded += int((now - steady) * self._rate * 1e9)
                steady = now
                self._tick(min(recorded, max(stamp, start)), now)
                if recorded >= stamp and not self._paused:
                    break
                wait = (stamp - recorded) / 1e9 / self._rate
                self._sleep(LONGEST_SLEEP if self._paused else min(LONGEST_SLEEP, wait, self._clock_period or 1.0))
            if not rclpy.ok():
                return
            self._outputs[connection.id].publish(bytes(raw))

    def _tick(self, recorded: int, now: float) -> None:
        """The clock ticks while paused too, standing still: nodes then know the time."""
        if self._clock is not None and now >= self._next_tick:
            seconds, nanoseconds = divmod(recorded, 1_000_000_000)
            self._clock.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))
            self._next_tick = now + self._clock_period

    def _sleep(self, seconds: float) -> None:
        if not sys.stdin or not sys.stdin.isatty():
            time.sleep(seconds)
        elif select.select([sys.stdin], [], [], seconds)[0] and sys.stdin.read(1) == " ":
            self._paused = not self._paused
            self.get_logger().info("Paused" if self._paused else "Resumed")


def message_type(name: str) -> type:
    """The class of `package/msg/Name`. Raises ImportError or AttributeError if it is not installed."""
    package, kind, message = name.split("/")
    return getattr(importlib.import_module(f"{package}.{kind}"), message)


def is_latched(connection: Connection) -> bool:
    return any(qos.durability.name == "TRANSIENT_LOCAL" for qos in connection.ext.offered_qos_profiles)


def latched_by(overrides: Path | None) -> set[str]:
    """Topics that a file of overrides makes transient local; the rest of it has no effect here."""
    profiles = yaml.safe_load(overrides.read_text()) if overrides is not None else {}
    return {topic for topic, profile in profiles.items() if profile.get("durability") == "transient_local"}


def recorded_qos(connection: Connection, *, latched: bool) -> QoSProfile:
    """Best effort only if all recorded publishers were; latched if any was, deep enough for all its messages."""
    offered = connection.ext.offered_qos_profiles
    reliable = not offered or any(qos.reliability.name != "BEST_EFFORT" for qos in offered)
    return QoSProfile(
        depth=max(10, connection.msgcount) if latched else 10,
        reliability=QoSReliabilityPolicy.RELIABLE if reliable else QoSReliabilityPolicy.BEST_EFFORT,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
    )


@contextlib.contextmanager
def keyboard() -> Iterator[None]:
    """Single key presses without echo, where there is a keyboard."""
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
