"""What `make setup` makes of pip's configuration, and of steps that run together."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, with its folders in a place of the test."""
    spec = importlib.util.spec_from_file_location("setup_venv", ROOT / "scripts" / "setup_venv.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "setup_venv", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STAMPS", tmp_path / "stamps")
    monkeypatch.setattr(module, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(module, "PYTHON", Path(sys.executable))
    return module


def test_uv_uses_what_pip_is_configured_with(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_FIND_LINKS", "SSL_CERT_FILE", "UV_INDEX_STRATEGY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CONSTRAINT", "mine.txt")
    monkeypatch.setenv("PIP_INDEX_URL", "file:///mirror/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    monkeypatch.setenv("PIP_CONSTRAINT", "pips.txt")
    monkeypatch.setenv("PIP_CERT", "/company.pem")
    found = setup.uv_settings(setup.pip_settings())
    assert found["UV_DEFAULT_INDEX"] == "file:///mirror/simple"
    assert found["UV_FIND_LINKS"] == "/wheels,/more"
    assert found["SSL_CERT_FILE"] == "/company.pem"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert "UV_CONSTRAINT" not in found  # what the user set for uv stays


def test_steps_of_a_stage_run_at_the_same_time_and_once(setup: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    meeting = threading.Barrier(2, timeout=30)
    steps = [setup.Step(name, [], lambda _log: meeting.wait() and None) for name in ("first", "second")]
    setup.run_stage(steps)  # one after the other, the barrier would break
    setup.run_stage(steps)
    said = capsys.readouterr().out
    assert said.count("first ...") == said.count("second ...") == 1
    assert "first: up to date" in said and "together: first, second" in said


def test_a_step_that_fails_lets_the_others_finish_and_is_run_again(setup: ModuleType) -> None:
    done: list[str] = []

    def fail(_log: Path) -> None:
        done.append("bad")
        raise setup.SetupError("no compiler")

    steps = [setup.Step("bad", [], fail), setup.Step("good", [], lambda _log: done.append("good"))]
    for _ in range(2):
        with pytest.raises(setup.SetupError, match="no compiler"):
            setup.run_stage(steps)
    assert sorted(done) == ["bad", "bad", "good"]


def test_what_a_failed_command_wrote_is_shown(setup: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(setup.SetupError, match=r"code 3(.|\n)*the reason(.|\n)*All of it: .*some\.log"):
        setup.call(tmp_path / "some.log", sys.executable, "-c", "print('the reason'); raise SystemExit(3)")
