"""What a name from the network may reach: only what is inside the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sray.errors import FileError, SrayError
from sray_ros.common.data_folder import DataFolder

pytestmark = pytest.mark.shows("data_dir")


def test_a_plain_name_is_a_file_in_the_folder_with_its_suffix(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.path("kitchen", ".ply") == tmp_path / "kitchen.ply"
    assert folder.path("kitchen.ply", ".ply") == tmp_path / "kitchen.ply"
    assert folder.path("monday/kitchen.v2", ".ply") == tmp_path / "monday" / "kitchen.v2.ply"
    assert DataFolder("~/x").path("a", ".ply") == Path.home() / "x" / "a.ply"


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../out", "a/../../out", "a/..", "folder/", "nul\0byte", "//x"])
def test_what_leads_out_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(SrayError, match="expected a name inside data_dir") as caught:
        DataFolder(tmp_path).path(name, ".ply")
    assert isinstance(caught.value, FileError)


def test_a_link_may_lead_about_in_the_folder_but_not_out(tmp_path: Path) -> None:
    inside, outside = tmp_path / "data", tmp_path / "other"
    (inside / "real").mkdir(parents=True)
    outside.mkdir()
    (inside / "alias").symlink_to(inside / "real")
    (inside / "away").symlink_to(outside)
    (inside / "file.ply").symlink_to(outside / "file.ply")
    folder = DataFolder(inside)
    assert folder.path("alias/map", ".ply").parent.resolve() == inside / "real"
    for name in ("away/map", "file"):
        with pytest.raises(FileError):
            folder.path(name, ".ply")


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    assert DataFolder(tmp_path / "data").path("map", ".ply").resolve() == tmp_path / "disk" / "map.ply"


@given(st.text(max_size=40))
def test_whatever_the_name_the_file_is_inside_or_refused(name: str) -> None:
    root = Path("/nowhere/data")
    try:
        path = DataFolder(root).path(name, ".ply")
    except SrayError as error:
        assert isinstance(error, FileError)
    else:
        assert path.resolve().is_relative_to(root)
        assert path.suffix == ".ply"
