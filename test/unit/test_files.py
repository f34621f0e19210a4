"""Writing that fails costs nobody the file that was there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sray.errors import DiskFullError, FileError, SrayError
from sray.files import write_atomically


def test_missing_folders_are_made_and_an_old_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/map.ply"
    for content in (b"old and long", b"new"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert [other.name for other in path.parent.iterdir()] == ["map.ply"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFullError),
        (errno.EDQUOT, DiskFullError),
        (errno.EFBIG, DiskFullError),
        (errno.EIO, FileError),
    ],
)
def test_a_write_that_fails_says_why_and_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, kind: type[SrayError]
) -> None:
    path = tmp_path / "map.ply"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os if step == "fsync" else Path, step, fail)
        with pytest.raises(SrayError, match=os.strerror(number)) as caught:
            write_atomically(path, b"new")
    assert (type(caught.value), str(path) in str(caught.value)) == (kind, True)
    assert [(other.name, other.read_bytes()) for other in tmp_path.iterdir()] == [("map.ply", b"old")]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_that_is_a_file_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(SrayError) as caught:
        write_atomically(tmp_path / "file" / "map.ply", b"new")
    assert isinstance(caught.value, FileError)
    assert (tmp_path / "file").read_bytes() == b"mine"
