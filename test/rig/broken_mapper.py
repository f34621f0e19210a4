"""For tests: semantic_mapper with parts that break on demand. `python -m rig.broken_mapper`, with test/ on the path.

SRAY_TEST_SILENCE=<seconds>  says sooner why it is silent
SRAY_TEST_BREAK=<file>       while the file says "<part>: <way>", that part of the node breaks in that way
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import torch

from sray.field import SemanticField
from sray_ros.common import health
from sray_ros.mapper import node as semantic_mapper
from sray_ros.mapper.intake import Intake
from sray_ros.mapper.scene import Scene

PARTS = {
    "encode": (SemanticField, "encode"),
    "render": (SemanticField, "render"),
    "intake": (Intake, "__init__"),
    "clear": (Scene, "clear"),
    "scene": (Scene, "__init__"),
}
WAYS: dict[str, Callable[[], Any]] = {
    # More than any machine has: the allocators themselves say so, in their own words.
    "torch's memory": lambda: torch.empty(1 << 60, dtype=torch.uint8),
    "python's memory": lambda: bytearray(1 << 62),
    "bug": lambda: {}["a key that nobody set"],
    "slow": lambda: time.sleep(1.0),
    "stuck": lambda: time.sleep(60.0),
}


def breakable(part: str, whole: Callable[..., Any]) -> Callable[..., Any]:
    file = Path(os.environ.get("SRAY_TEST_BREAK", "/nowhere"))

    @wraps(whole)
    def method(*arguments: Any, **named: Any) -> Any:
        broken, _, way = file.read_text().partition(": ") if file.exists() else ("", "", "")
        if broken == part:
            WAYS[way]()
        return whole(*arguments, **named)

    return method


def main() -> int:
    health.SILENCE_SECONDS = float(os.environ.get("SRAY_TEST_SILENCE", health.SILENCE_SECONDS))
    for part, (owner, method) in PARTS.items():
        setattr(owner, method, breakable(part, getattr(owner, method)))
    return semantic_mapper.main()


if __name__ == "__main__":
    sys.exit(main())
