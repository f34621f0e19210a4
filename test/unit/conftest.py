"""Fixtures that several files of unit tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sray.kernel import build


@pytest.fixture
def fresh_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and no memory of what was compiled before."""
    monkeypatch.setenv("SRAY_CACHE", str(tmp_path / "cache"))
    build.forget()
    yield tmp_path
    build.forget()


@pytest.fixture(scope="session")
def sound_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag with which nothing is wrong: color, depth, labels and poses of four pictures."""
    # Here, as most unit tests need nothing of bags.
    from bag_fixtures import make_frames

    from sray.label_space import ROOMS
    from sray_train.tools.bags import write_bag

    folder = tmp_path_factory.mktemp("bags") / "sound"
    write_bag(make_frames(), folder, label_space=ROOMS)
    return folder
