"""The nodes' commands, from their first line to their last: a signal ends them with 0 at any moment."""

from __future__ import annotations

import importlib
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rig.listener import Listener

pytestmark = pytest.mark.ros
NODES = ("semantic_mapper", "sequence_player", "label_scorer", "segmenter", "viewer")
ROOT = Path(__file__).parents[2]


def start(listener: Listener, name: str) -> subprocess.Popen[str]:
    """A node as its command starts it."""
    code = f"import sys; from sray_ros.start import {name}; sys.exit({name}())"
    return listener.run(sys.executable, "-c", code, "--ros-args", stderr=subprocess.STDOUT)


def test_every_node_has_its_command_there() -> None:
    scripts = dict(re.findall(r'"(\w+) = sray_ros\.(\S+)"', (ROOT / "setup.py").read_text()))
    assert scripts == {name: f"start:{name}" for name in NODES}
    module = importlib.import_module("sray_ros.start")
    assert all(callable(getattr(module, name)) for name in NODES)


@pytest.mark.fault(
    "Ctrl-C, or SIGTERM, while a node is still being imported",
    code="none",
    says="nothing: exit status 0",
    recovery="none needed: nothing was begun",
)
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", NODES)
def test_a_signal_while_it_imports_ends_it_at_once(listener: Listener, name: str, sign: signal.Signals) -> None:
    process = start(listener, name)
    deadline = time.monotonic() + 60
    while "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text():  # torch is being loaded
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(sign)
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "")


@pytest.mark.fault(
    "further signals while a node ends, as a launch sends when it takes long",
    code="none",
    says="nothing: exit status 0",
    recovery="by itself: it ends in order",
)
@pytest.mark.parametrize("name", ["semantic_mapper", "label_scorer"])
def test_a_hail_of_signals_ends_it_in_order(listener: Listener, name: str) -> None:
    others = set(Path("/dev/shm").iterdir())
    process = start(listener, name)
    assert listener.until(lambda: name in listener.node.get_node_names()), "it does not start"
    mapped = re.findall(r"(/dev/shm/fast(?:dds|rtps)_[0-9a-f]{16})\b", Path(f"/proc/{process.pid}/maps").read_text())
    segments = set(map(Path, mapped)) - others
    assert segments
    process.send_signal(signal.SIGINT)
    while process.poll() is None:  # to the end of Python's own end
        process.send_signal(signal.SIGTERM)
        time.sleep(0.005)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert ("no label image was scored" in output) == (name == "label_scorer")
    assert not [segment for segment in segments if segment.exists()]
