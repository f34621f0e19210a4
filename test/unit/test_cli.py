"""The `sray` command as a user meets it: help, exit codes, one clear line for what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sray_train.cli import COMMANDS, main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_one_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert f"sray {name}" in out
    assert out.count("\n") <= 52


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["rooms", "--seedz", "3"], "--seedz"),
        (["paint"], "paint"),
        (["evaluate", "--targets", "many"], "many"),
        (["evaluate", "--seeds", "x"], "x"),
        ([], "Expected one of {rooms"),
    ],
)
def test_a_wrong_argument_exits_2_with_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], named: str
) -> None:
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert named in err


@pytest.mark.parametrize("columns", range(40, 80, 3))
def test_what_is_wrong_is_told_whole_wherever_its_lines_break(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _, _, err = run(capsys, "finetune", "--seeds", "9000", "--sequence", "x")
    assert "--seeds and --sequence are given; expected one of them" in err


def test_a_wrong_file_exits_1_and_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "--checkpoint", str(tmp_path / "none.safetensors"), "--json", str(tmp_path / "out.json")])
    assert "none.safetensors does not exist" in str(stop.value.code)
    with pytest.raises(SystemExit) as stop:
        main(["train", "--config", str(tmp_path / "none.yaml"), "--run-folder", str(tmp_path / "run")])
    assert "none.yaml" in str(stop.value.code)
    assert not (tmp_path / "run").exists()


def test_the_list_of_commands_imports_none_of_them() -> None:
    """Importing them takes seconds: most of them need torch."""
    program = (
        "import sys\nfrom sray_train.cli import main\n"
        "try:\n    main(['--help'])\nfinally:\n    sys.stderr.write(str('torch' in sys.modules))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0 and ended.stderr == "False"
    assert "Score a checkpoint" in ended.stdout  # what evaluate's own docstring says


def test_a_reader_that_has_gone_ends_help_quietly() -> None:
    """`sray --help | true`."""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "sray_train.cli", "--help"], stdout=write, stderr=subprocess.PIPE, text=True, timeout=120
    )
    os.close(write)
    assert ended.returncode == 1 and ended.stderr == ""
