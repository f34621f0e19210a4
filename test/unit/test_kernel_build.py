"""Compiling the kernel: what is kept, what is made anew, and what is said where it cannot be."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from sray.frames import SourceViews
from sray.kernel import NoKernel, build
from sray.model import SemanticRay, SemanticRayConfig

needs_kernel = pytest.mark.skipif(
    isinstance(build.library(), NoKernel), reason=f"no compiled kernel: {build.library()}"
)


def quick(flags: tuple[str, ...]) -> tuple[str, ...]:
    """To compile fast what need not run fast."""
    return tuple("-O0" if flag == "-O3" else flag for flag in flags)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SRAY_KERNEL", "0", "SRAY_KERNEL=0"),
        ("PATH", "/nowhere", "there is no C++ compiler; install g++"),
        ("CXX", "/nowhere/g++", "No such file"),
        ("SRAY_CACHE", "/proc/nowhere", "SRAY_CACHE may name another folder"),
        ("CXX", "echo 'no such target' >&2; exit 1", "no such target"),
        ("CXX", "echo rubbish > \"$(echo $* | sed 's/.*-o \\([^ ]*\\).*/\\1/')\"", "cannot be made or loaded"),
    ],
)
def test_without_a_kernel_the_reason_is_said_once_and_rendering_goes_on(
    fresh_build: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    plane_scene,
    variable: str,
    value: str,
    said: str,
) -> None:
    from sray.field import RenderConfig, SemanticField

    monkeypatch.delenv("CXX", raising=False)
    if "exit" in value or "sed" in value:
        value = script(fresh_build / "compiler", value)
    monkeypatch.setenv(variable, value)
    with caplog.at_level(logging.WARNING):
        field = SemanticField(SemanticRay(SemanticRayConfig(5)), RenderConfig(8, 4, 4))
        for _ in range(2):
            field.set_sources(SourceViews.from_frames(plane_scene.ring(2)))
            assert field.render(plane_scene.camera((0, 0, 0)).resized(12, 9)).opacity.max() > 0
    assert len(caplog.records) == 1
    assert said in caplog.text


def test_without_a_home_folder_there_is_a_reason_too(fresh_build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("SRAY_CACHE")
    monkeypatch.setattr(Path, "home", nobody)
    assert "SRAY_CACHE may name another folder" in str(build.library())


@needs_kernel
def test_a_damaged_cache_is_made_anew(fresh_build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "env g++")  # a command of two words
    monkeypatch.setattr(build, "FLAGS", quick(build.FLAGS))
    kept = build.cache_folder("kernel") / f"rays-{build._identity(['env', 'g++'])}.so"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"cut sh")
    assert not isinstance(build.library(), NoKernel)
    assert kept.stat().st_size > 10_000


@needs_kernel
def test_a_compiled_kernel_is_kept_and_another_processor_gets_its_own(
    fresh_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fresh_build / "calls"
    compiler = script(fresh_build / "compiler", f'echo call >> {log}; exec g++ "$@"')
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setattr(build, "FLAGS", quick(build.FLAGS))
    for features, calls in (("one", 1), ("one", 1), ("another", 2)):
        monkeypatch.setattr(build, "_processor_features", lambda features=features: features)
        build.forget()
        assert not isinstance(build.library(), NoKernel)
        assert len(log.read_text().splitlines()) == calls
    kept = list(build.cache_folder("kernel").iterdir())
    assert len(kept) == 2 and all(file.suffix == ".so" for file in kept), "no partial files stay"
