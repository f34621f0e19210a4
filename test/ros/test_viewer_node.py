"""The viewer node as a process: it serves a page, ends in order, and says what to do where it cannot start."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest
from rig.launches import launching, parameters
from rig.listener import Listener
from viewer_fixtures import needs_viser

pytestmark = pytest.mark.ros


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@needs_viser
@pytest.mark.shows("viewer mapper", "viewer host", "viewer port")
def test_the_node_serves_a_page_and_ends_in_order(listener: Listener, free_port: int) -> None:
    """Without a mapper too: it may start later."""
    viewer = listener.start("sray_ros.viewer.node", port=free_port, mapper="robot/mapper")

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{free_port}", timeout=5) as answer:
                return str(answer.read(200_000).decode())
        except OSError:
            return ""

    assert listener.until(lambda: page() or viewer.poll() is not None, 150)
    assert "<title>" in page()

    def listeners() -> list[str]:
        return [info.node_name for info in listener.node.get_subscriptions_info_by_topic("/robot/mapper/map")]

    assert listener.until(lambda: listeners() == ["viewer"]), listeners()
    output = listener.end(viewer, signal.SIGINT)
    assert f"http://localhost:{free_port}" in output
    assert page() == ""


@needs_viser
@pytest.mark.fault(
    "the viewer's port is taken by another program",
    code="none",
    says="is taken by another program",
    recovery="the viewer ends with exit status 1; mapping goes on; viewer_port:= gives another",
)
def test_a_port_that_is_taken_ends_the_node_with_the_remedy(listener: Listener) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, output = listener.finish(listener.start("sray_ros.viewer.node", port=port), 150)
    assert status == 1
    assert f"port {port} of 127.0.0.1 is taken by another program" in output and "give another port" in output
    assert "Traceback" not in output


@pytest.mark.fault(
    "viser is not installed where a viewer is started",
    code="none",
    says="is not installed",
    recovery="the viewer ends with exit status 1, naming pip install 'sray_ros[viewer]'",
)
def test_without_viser_the_node_says_what_to_install(listener: Listener, tmp_path: Path) -> None:
    (tmp_path / "viser.py").write_text("raise ModuleNotFoundError('no viser', name='viser')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        status, output = listener.finish(listener.start("sray_ros.viewer.node", port=0), 150)
    assert status == 1
    assert "pip install 'sray_ros[viewer]'" in output and "Traceback" not in output


@needs_viser
@pytest.mark.slow
@pytest.mark.shows("launch viewer", "launch viewer_port", "launch viewer_host")
def test_the_launch_file_starts_it_and_mapping_goes_on_when_it_ends(
    listener: Listener, tmp_path: Path, model_file: Path, free_port: int
) -> None:
    log = tmp_path / "launch.log"
    with launching(listener, log) as start:
        start(
            namespace="robot", model=model_file, viewer="true", viewer_port=free_port, viewer_host="127.0.0.1",
            use_sim_time="false",
        )  # fmt: skip
        assert listener.until(lambda: "look around in /robot/semantic_mapper" in log.read_text(), 120), log.read_text()
        assert f"http://localhost:{free_port}" in log.read_text()
        assert parameters(listener, "/robot/viewer", "host", "port") == ["127.0.0.1", free_port]
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", free_port)) == 0
        (pid,) = re.findall(r"\[viewer-\d+\]: process started with pid \[(\d+)\]", log.read_text())
        os.kill(int(pid), signal.SIGINT)
        assert listener.until(lambda: "Mapping goes on without it" in log.read_text(), 60), log.read_text()
        assert parameters(listener, "/robot/semantic_mapper", "map_frame") == ["map"]
