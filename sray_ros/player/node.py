"""Plays a recorded sequence, or a rosbag2 where `ros2 bag` does not exist, as a camera with poses and a `/clock`.

In lockstep it waits for each picture to be handled before the next one, so that a slow machine works on the same
frames as a fast one. It ends by itself with the recording. Which topics go out: `api.py` lists those of a sequence,
`bag_recording.py` finds those of a bag.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import rclpy
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterValueException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from sray.crash import ends_in_one_line
from sray.errors import FileError, InternalError, RequestError, SrayError, StaleError
from sray.label_space import LABEL_SPACES, LARGEST_NYU40
from sray.sequence import LATEST_STAMP_NS, Sequence, label_folder, stamp_of
from sray_ros.common.conversions import nanoseconds, time_message
from sray_ros.common.signals import init_until_signaled
from sray_ros.player import api
from sray_ros.player.bag_recording import BagRecording
from sray_ros.player.parameters import PlayerParameters, PlayerSettings
from sray_ros.player.recording import FolderRecording, Recording, Step

UNANSWERED_IN_A_ROW = 3
"""After so many pictures that nobody reported handled, lockstep gives up."""


class SequencePlayer(Node):
    """Order: parameters, the playing thread, its waits, publishing."""

    def __init__(self) -> None:
        super().__init__("sequence_player")
        self._settings = PlayerParameters(self, PlayerSettings).now
        self._recording = self._open()
        self.get_logger().info(self._recording.summary)
        self._outputs = {
            topic.name: self.create_publisher(topic.type, topic.resolved(self), topic.qos)
            for topic in self._recording.topics
        }
        self._ticks = self.create_publisher(api.CLOCK.type, api.CLOCK.name, api.CLOCK.qos)
        self._paused = self._settings.start_paused
        self.create_service(api.PAUSE.type, api.PAUSE.name, self._on_pause)
        self._news = threading.Condition()
        self._handled: set[int] = set()
        if self._settings.lockstep:
            handled = api.HANDLED
            self._handled_topic = self.create_subscription(handled.type, handled.name, self._on_handled, handled.qos)
        self._stop = threading.Event()
        self._anchor_steady = 0.0
        self._anchor_ns = 0
        self._unanswered = 0
        self.played = 0
        """Pictures published so far."""
        self.failure: SrayError | None = None
        """Why playing ended early; None while it runs and after a good end."""
        self._thread = threading.Thread(target=self._run, name="playing")

    def _open(self) -> Recording:
        settings = self._settings
        sequence, bag, space = settings.sequence, settings.bag, settings.label_space
        if bool(sequence) == bool(bag):
            raise RequestError("neither `sequence` nor `bag`, or both", "one of these two parameters")
        if bag:
            image = settings.image_topic
            return BagRecording.open(Path(bag).expanduser(), self.resolve_topic_name(image) if image else "")
        if space not in LABEL_SPACES:
            raise RequestError(f"label_space {space!r} is not known", f"one of {', '.join(LABEL_SPACES)}")
        opened = Sequence.open(Path(sequence).expanduser(), LABEL_SPACES[space])
        if stamp_of(opened.indices[-1]) >= LATEST_STAMP_NS:
            raise FileError(
                f"{opened.folder} has frame {opened.indices[-1]}, at 30 Hz beyond the year 2038, where ROS's time ends",
                "frames numbered from 0",
                "If the numbers are time stamps, number the files anew",
            )
        if opened.has_labels and (largest := opened.largest_label_id()) > LARGEST_NYU40:
            raise FileError(
                f"{label_folder(opened.folder)} holds id {largest}",
                "NYU40 ids, 0 to 40",
                "If these are ScanNet's own ids, make a bag of the scene: sray bag reads ScanNet's table of ids",
            )
        return FolderRecording(opened, settings.map_frame, settings.body_frame, settings.camera_frame)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End playing now and wait for the thread; harmless when it has ended."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    @property
    def playing(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            self._await_subscribers()
            while not self._stop.is_set():
                self._play_once()
                if not self._settings.loop:
                    break
                self.get_logger().info("the recording is over; starting again")
            for publisher in () if self._stop.is_set() else self._outputs.values():
                publisher.wait_for_all_acked(Duration(seconds=5))
        except SrayError as error:
            self.failure = error
        except Exception as error:
            # Reported, or it would look like a slow mapper; not after a shutdown from outside.
            if self.context.ok():
                self.failure = InternalError(f"playing stopped: {error!r}")
        finally:
            self.get_logger().info(f"played {self.played} pictures in {time.monotonic() - begun:.1f} s")

    def _play_once(self) -> None:
        self._anchor_steady = 0.0
        self._handled.clear()
        waiting_for: int | None = None
        for step in self._recording.steps(self._settings.start_offset):
            if step.image_stamp_ns is not None and waiting_for is not None:
                self._await_handled(waiting_for)
            self._pass_time_until(step.time_ns)
            if self._stop.is_set():
                return
            self._send(step)
            if step.image_stamp_ns is not None:
                self.played += 1
                waiting_for = step.image_stamp_ns if self._settings.lockstep else None
        if waiting_for is not None:
            self._await_handled(waiting_for)

    def _pass_time_until(self, time_ns: int) -> None:
        """Let recorded time run, at `rate` and with the clock ticking, up to a moment; it stands still when paused."""
        if not self._anchor_steady:
            self._anchor_steady, self._anchor_ns = time.monotonic(), time_ns
        period = 1 / self._settings.clock_rate
        while not self._stop.is_set():
            if self._paused:
                self._hold(period)
                continue
            now_ns = self._anchor_ns + int((time.monotonic() - self._anchor_steady) * self._settings.rate * 1e9)
            if now_ns >= time_ns:
                break
            self._tick(now_ns)
            self._stop.wait(min(period, (time_ns - now_ns) / 1e9 / self._settings.rate))

    def _hold(self, seconds: float) -> None:
        begun = time.monotonic()
        self._stop.wait(seconds)
        self._anchor_steady += time.monotonic() - begun

    def _await_subscribers(self) -> None:
        missing = self._missing()
        bound = self._settings.wait_for_subscribers
        deadline, next_word = time.monotonic() + bound, time.monotonic() + 2
        while missing and bound and not self._stop.is_set():
            if time.monotonic() > deadline:
                text = f"waited {bound:g} s for {', '.join(missing)}"
                if self._settings.lockstep:
                    raise StaleError(text, remedy="Lockstep needs an active mapper, start it first")
                self.get_logger().warning(f"{text}; playing all the same")
                break
            if time.monotonic() > next_word:
                self.get_logger().info(f"waiting for {', '.join(missing)}")
                next_word += 5
            self._stop.wait(0.05)
            missing = self._missing()
        # A subscriber may not have found the publisher yet; what is sent before that is lost.
        self._stop.wait(0.5)

    def _missing(self) -> list[str]:
        missing = [
            f"a subscriber of {self._outputs[name].topic_name}"
            for name in self._recording.awaited
            if not self._outputs[name].get_subscription_count()
        ]
        if self._settings.lockstep and not self.count_publishers(self._handled_topic.topic_name):
            missing.append(f"a publisher of {self._handled_topic.topic_name}")
        return missing

    def _await_handled(self, stamp_ns: int) -> None:
        begun = time.monotonic()
        bound = self._settings.lockstep_timeout
        with self._news:
            answered = self._news.wait_for(lambda: self._stop.is_set() or stamp_ns in self._handled, bound)
            self._handled = {stamp for stamp in self._handled if stamp > stamp_ns}
        self._anchor_steady += time.monotonic() - begun
        if answered:
            self._unanswered = 0
            return
        self._unanswered += 1
        text = f"the picture at {stamp_ns / 1e9:.3f} s was not reported handled within {bound:g} s"
        if self._unanswered >= UNANSWERED_IN_A_ROW:
            raise StaleError(f"{text}, {UNANSWERED_IN_A_ROW} in a row", remedy="Is the mapper still running?")
        self.get_logger().warning(f"{text}; going on")

    def _send(self, step: Step) -> None:
        self._tick(step.time_ns)
        for name, message in step.messages:
            self._outputs[name].publish(message)

    def _tick(self, time_ns: int) -> None:
        self._ticks.publish(Clock(clock=time_message(time_ns)))

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._paused = bool(request.data)
        response.success, response.message = True, "paused" if self._paused else "playing"
        return response

    def _on_handled(self, header: Header) -> None:
        with self._news:
            self._handled.add(nanoseconds(header.stamp))
            self._news.notify_all()


@ends_in_one_line("sequence_player")
def main(args: list[str] | None = None) -> int:
    """Exit status: 0 at the end of the recording or when interrupted, 1 with one message if it could not be played."""
    stop = init_until_signaled(args)
    player: SequencePlayer | None = None
    failure: Exception | None = None
    try:
        player = SequencePlayer()
        with SingleThreadedExecutor() as executor:  # shut down before the context: its destructor would complain
            executor.add_node(player)
            player.start()
            while player.playing and not stop.is_set():
                executor.spin_once(timeout_sec=0.05)
    except (SrayError, InvalidParameterValueException) as error:
        failure = error
    finally:
        if player is not None:
            player.stop()
            failure = failure or player.failure
            player.destroy_node()
        rclpy.try_shutdown()
    if failure is not None:
        print(f"sequence_player: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
