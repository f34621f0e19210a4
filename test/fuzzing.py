"""For tests with damaged files: bytes damaged at random but seeded, and readers that may only raise a SrayError.

SRAY_FUZZ=20 runs twenty times as many cases, other ones.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from sray.errors import FileError, ModelError, SrayError

TIMES = int(os.environ.get("SRAY_FUZZ", "1"))

EXPECTED = {FileError, ModelError}

Read = Callable[[Path], object]


def damaged(content: bytes, random: np.random.Generator, early: int) -> bytes:
    """Flipped, set, cut, inserted, repeated or swapped bytes; half of the time among the first `early`."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        end = max(1, min(early, len(data)) if random.random() < 0.5 else len(data))
        at, length = int(random.integers(0, end)), int(random.integers(1, 40))
        kind = random.integers(0, 6)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << random.integers(0, 8)
        elif kind == 1:
            data[at : at + length] = bytes([random.choice([0, 0x7F, 0x80, 0xFF])]) * length
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = random.bytes(length)
        elif kind == 4:
            data[at:at] = data[at : at + length]
        else:
            del data[at : at + length]
    return bytes(data)


def only_sray_errors(read: Read, path: Path, cases: Iterator[tuple[str, bytes]]) -> dict[str, int]:
    """Read each; returns how many were read, and how many refused."""
    outcomes = {"read": 0, "refused": 0}
    for name, content in cases:
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numbers that overflow are the file's
                read(path)
            outcomes["read"] += 1
        except SrayError as error:
            assert type(error) in EXPECTED, f"{name}: {error}"
            str(error).encode()  # it is sent over ROS and printed
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{name}: {error!r} instead of a SrayError") from error
    return outcomes


def damages(content: bytes, count: int, early: int) -> Iterator[tuple[str, bytes]]:
    for seed in range(count * TIMES):
        yield f"damaged, seed {seed}", damaged(content, np.random.default_rng(seed), early)
