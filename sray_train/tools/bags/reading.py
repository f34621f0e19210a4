"""Reads any rosbag2 (folder, .mcap, .db3). Damage raises SrayError, which names the bag."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from sray.errors import FileError, SrayError
from sray.recorded_bag import is_bag, open_bag
from sray_train.data.layouts import layout_of
from sray_train.tools.bags.names import typestore


@dataclass(frozen=True)
class BagTopic:
    """A topic as the bag describes it."""

    name: str
    message_type: str
    messages: int
    is_durable: bool
    """Some publisher offered transient local durability."""
    connections: tuple[Connection, ...]


class BagReader:
    """An open bag; a context manager. What libraries raise about damaged files is anything, hence the wide excepts."""

    def __init__(self, path: Path) -> None:
        """Raises FileError, naming the bag, if it cannot be opened."""
        self.path = path
        try:
            self._reader = open_bag(path)
        except Exception as error:
            raise FileError(f"{path} cannot be opened ({in_words(error)})", *_expected(path)) from error
        try:
            self.topics = _topics_of(self._reader)
        except Exception as error:
            self.close()
            raise FileError(
                f"{path} says nonsense about its topics ({in_words(error)})",
                "names and types",
                f"Write metadata.yaml anew: ros2 bag reindex {path}",
            ) from error

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with suppress(Exception):
            self._reader.close()

    def messages(self, names: list[str]) -> Iterator[tuple[str, int, bytes]]:
        """Topic, time of recording (ns) and serialized message, in the order they are played.

        Raises FileError where the bag is damaged; what comes after that place cannot be read.
        """
        connections = [connection for name in names for connection in self.topics[name].connections]
        if not connections:
            return
        read = 0
        try:
            for connection, time_ns, raw in self._reader.messages(connections=connections):
                if not (isinstance(raw, bytes | memoryview) and isinstance(time_ns, int)):
                    raise TypeError(f"message {read} on {connection.topic} is no bytes with a time")
                read += 1
                yield connection.topic, time_ns, bytes(raw)
        except Exception as error:
            raise FileError(
                f"{self.path} is damaged after {read} messages ({in_words(error)})",
                "whole chunks and messages",
                "Copy it again, or save what can be read: mcap recover, sqlite3 .recover",
            ) from error

    def first(self, name: str) -> Any | None:
        """The first message of a topic, read; None if there is none or it is damaged."""
        with suppress(SrayError):
            for _, _, raw in self.messages([name]):
                return self.decode(name, raw)
        return None

    def decode(self, name: str, raw: bytes) -> Any:
        """Raises FileError for bytes that are no message of the topic's type."""
        message_type = self.topics[name].message_type
        try:
            return typestore().deserialize_cdr(raw, message_type)
        except Exception as error:
            raise FileError(
                f"a message on {name} is no {message_type} ({in_words(error)})", remedy="It is left out"
            ) from error


def in_words(error: BaseException) -> str:
    """What an exception says, on one line of bounded length."""
    words = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _topics_of(reader: Reader) -> dict[str, BagTopic]:
    found: dict[str, list[Connection]] = {}
    for connection in reader.connections:
        if not (isinstance(connection.topic, str) and isinstance(connection.msgtype, str)):
            raise TypeError(f"topic {connection.topic!r} of type {connection.msgtype!r}")
        found.setdefault(connection.topic, []).append(connection)
    return {
        name: BagTopic(
            name,
            connections[0].msgtype,
            sum(max(0, int(connection.msgcount)) for connection in connections),
            any(
                profile.durability.name == "TRANSIENT_LOCAL"
                for connection in connections
                for profile in connection.ext.offered_qos_profiles
            ),
            tuple(connections),
        )
        for name, connections in found.items()
    }


def _expected(path: Path) -> tuple[str, str]:
    """And the remedy."""
    if path.is_dir() and not is_bag(path):
        with suppress(FileError):
            return f"a rosbag2, and this has the layout of a recording ({layout_of(path)})", (
                f"Look at it with `sray data check {path}`, or make a bag of it: `sray bag {path} --output BAG`"
            )
    if path.is_dir() and not (path / "metadata.yaml").exists():
        remedy = f"If it was being recorded when the robot went off: ros2 bag reindex {path}"
        return "a rosbag2 folder with metadata.yaml", remedy
    return "a whole rosbag2", (
        "A recording cut short: ros2 bag reindex for metadata.yaml, mcap recover for .mcap, sqlite3 .recover for .db3; "
        "else copy it again"
    )
