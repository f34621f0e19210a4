"""For tests: the demos as a user starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ros_processes import MARK, marked

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run_demo(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPTS / script), *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def left_of(demo: subprocess.Popen[str]) -> list[int]:
    """Living processes that this demo run has marked as its own."""
    return marked(f"{MARK}={demo.pid}-")
