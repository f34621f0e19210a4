"""The nodes' commands, from their first line to their last: a signal ends them with 0 at any moment."""

from __future__ import annotations

import importlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rig.listener import Listener

pytestmark = pytest.mark.ros
NODES = ("semantic_mapper", "sequence_player", "label_scorer", "segmenter", "viewer")
ROOT = Path(__file__).parents[2]
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a node as its command does."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(listener.domain))
    started: list[subprocess.Popen[str]] = []

    def command(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; from sray_ros.start import {name}; sys.exit({name}())", "--ros-args"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            # a shell's background job ignores SIGINT, and so would everything started from it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )  # fmt: skip
        started.append(process)
        return process

    yield command
    for process in started:  # what a test that failed left
        process.kill()
        process.wait()


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
def test_a_signal_while_it_imports_ends_it_at_once(start: Start, name: str, sign: signal.Signals) -> None:
    process = start(name)
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
def test_a_hail_of_signals_ends_it_in_order(start: Start, listener: Listener, name: str) -> None:
    others = set(Path("/dev/shm").iterdir())
    process = start(name)
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
