"""Whatever ends a command: one line that says what to do, exit status 1, and a log file if it is a bug."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sray.crash import ends_in_one_line, one_line
from sray.errors import FileError
from sray_train.cli import main
from sray_train.cli.session import SessionCommand


def stopped(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that `sray` ends with."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert "Traceback" not in capsys.readouterr().err
    said = str(stop.value.code)  # what Python prints before it exits with status 1
    assert said.count("\n") == 0 and said.startswith("error: ")
    return said


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.fault(
    "a bug ends a command", code="none", says="one line: the exception, and the log file with the traceback",
    recovery="exit status 1; report it with the file",
)  # fmt: skip
def test_a_bug_is_one_line_and_a_log_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(SessionCommand, "main", raising(IndexError("index 7 is out of bounds\nfor axis 0")))
    said = stopped(capsys, "session", "x.safetensors")
    assert "a bug (IndexError: index 7 is out of bounds for axis 0); please report it with " in said
    log = Path(said.rpartition(" ")[2])
    assert log.parent == tmp_path / "sray" and "Traceback" in log.read_text() and "torch" in log.read_text()


def test_where_no_log_can_be_written_the_traceback_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "HOME", "TMPDIR"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/dev/null")
    assert "IndexError: gone" in one_line("sray", IndexError("gone"))


@pytest.mark.fault(
    "the home is read-only", code="none", says="one line: the path, and which variables name another place",
    recovery="exit status 1; set HOME, SRAY_CACHE or ROS_LOG_DIR",
)  # fmt: skip
def test_a_read_only_home_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")  # nothing can be made below a file, by nobody
    monkeypatch.delenv("SRAY_CACHE", raising=False)
    said = stopped(capsys, "rooms", "--seeds", "9000")
    assert "/dev/null/.cache/sray" in said and "SRAY_CACHE" in said


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/somewhere/x"), "/somewhere/x cannot be used (Permission"),
        (OSError(errno.EROFS, "Read-only file system", "/somewhere/x"), "/somewhere/x cannot be used (Read-only"),
        (OSError(errno.ENOSPC, "No space left on device", "/somewhere/x"), "/somewhere/x cannot be used (No space"),
        (MemoryError("no room"), "there was not enough memory (no room)"),
        (FileError("as it is"), "as it is"),
    ],
)
def test_what_the_machine_is_to_blame_for_is_no_bug(error: Exception, says: str) -> None:
    said = one_line("sray", error)
    assert said.startswith(says) and "bug" not in said


def test_a_nodes_main_ends_with_status_1_and_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert ends_in_one_line("label_scorer")(lambda: 0)() == 0

    @ends_in_one_line("label_scorer")
    def fail() -> int:
        raise FileError("no such thing")

    assert fail() == 1
    assert capsys.readouterr().err == "label_scorer: no such thing\n"


@pytest.mark.ros
@pytest.mark.fault(
    "the home is read-only, and a node is started", code="none", says="one line: where ROS wants to write its log",
    recovery="exit status 1; set ROS_LOG_DIR or HOME",
)  # fmt: skip
@pytest.mark.parametrize("node", ["mapper", "player", "scorer", "segmenter", "viewer"])
def test_a_node_that_cannot_write_its_log_says_so(node: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ROS_LOG_DIR"} | {"HOME": "/dev/null"}
    ended = subprocess.run(
        [sys.executable, "-m", f"sray_ros.{node}.node"], env=environment, capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert re.search(r"^\w+: ROS cannot begin its log .* Set ROS_LOG_DIR", ended.stderr, re.M), ended.stderr


def test_a_reader_that_has_gone_ends_it_quietly(tmp_path: Path) -> None:
    """`sray ... | head`."""
    program = "import sys\nfrom sray.crash import ends_in_one_line\n"
    program += "@ends_in_one_line('sray')\ndef main():\n    [print('x' * 999) for _ in range(9999)]\n    return 0\n"
    child = subprocess.Popen(
        [sys.executable, "-c", program + "sys.exit(main())"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(240) == 1 and child.stderr.read() == ""
    child.stderr.close()
