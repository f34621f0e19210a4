"""One line per message, on the screen."""

from __future__ import annotations

import sys


def log(level: str, name: str, text: str) -> None:
    print(f"[{level}] [{name}]: {text}", file=sys.stderr if level == "ERROR" else sys.stdout, flush=True)
