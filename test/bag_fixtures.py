"""For tests of bags: small pictures that a moving camera takes, and bags rewritten message by message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from scipy.spatial.transform import Rotation

from sray.camera import Camera
from sray.frames import Frame
from sray_train.tools.bags.check import BagCheck
from sray_train.tools.bags.names import typestore

Message = tuple[str, str, int, Any, list[Any]]
"""Topic, type, time of recording (ns), message (or bytes), QoS."""
Change = Callable[[Message], Message | None]
"""What a message becomes, which may itself be changed; None: left out."""


def make_frame(stamp_ns: int, seed: int = 0, **changes: Any) -> Frame:
    random = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(rng=random).as_matrix()
    pose[:3, 3] = random.uniform(-3, 3, 3)
    intrinsics = torch.tensor([[30.0, 0, 15.5], [0, 31.0, 11.5], [0, 0, 1]])
    parts: dict[str, Any] = {
        "image": torch.from_numpy(random.integers(0, 256, (24, 32, 3), np.uint8)),
        "camera": Camera(intrinsics, torch.from_numpy(pose).float(), 32, 24),
        "depth": torch.from_numpy(random.uniform(0.5, 4, (24, 32)).astype(np.float32)),
        "labels": torch.from_numpy(random.integers(0, 16, (24, 32), np.uint8)),
        "stamp_ns": stamp_ns,
    }
    parts["depth"][0, 0] = float("nan")
    return Frame(**(parts | changes))


def make_frames(count: int = 4, period_ns: int = 100_000_000) -> list[Frame]:
    return [make_frame(10**9 + number * period_ns, number) for number in range(count)]


def read_messages(folder: Path) -> Iterator[Message]:
    with Reader(folder) as reader:
        for connection, time_ns, raw in reader.messages():
            message = typestore().deserialize_cdr(raw, connection.msgtype)
            yield connection.topic, connection.msgtype, time_ns, message, connection.ext.offered_qos_profiles


def rewrite(
    source: Path | list[Message],
    target: Path,
    change: Change,
    storage: Literal["mcap", "sqlite3"] = "mcap",
) -> Path:
    """A bag of the messages that `change` gives back. A message may be given as bytes."""
    connections: dict[str, Any] = {}
    with Writer(target, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        for message in read_messages(source) if isinstance(source, Path) else source:
            changed = change(message)
            if changed is None:
                continue
            topic, kind, time_ns, content, qos = changed
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore(), offered_qos_profiles=qos)
            raw = content if isinstance(content, bytes) else typestore().serialize_cdr(content, kind)
            writer.write(connections[topic], time_ns, raw)
    return target


def without(*topics: str) -> Change:
    return lambda message: None if message[0] in topics else message


def problems(result: BagCheck) -> list[str]:
    return [f"{row.subject}: {row.text}" for row in result.rows if row.verdict == "problem"]
