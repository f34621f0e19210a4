"""Files that the node cannot write or read: told in the service's answer; the older file and the old state stay."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rig.mapper import MapperProcess
from safetensors.numpy import save_file
from small_disk import mounted

from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.mapping.session import Session
from sray.mapping.session_reader import FORMAT
from sray_interfaces.srv import LoadModel, LoadSession, SaveMap, SaveSession
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {
    "keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast", "cloud.stride": 1,
    "near": 0.5, "far": 4.0, "map.min_sightings": 1, "map.min_neighbors": 0, "map.max_looked_through": 1e6,
}  # fmt: skip
SERVICES = {"save_session": SaveSession, "load_session": LoadSession, "load_model": LoadModel, "save_map": SaveMap}


def call(mapper: MapperProcess, name: str, file: str) -> tuple[ErrorCode, str]:
    answer = mapper.service(SERVICES[name], name, SERVICES[name].Request(file=file))
    return ErrorCode(answer.error_code), answer.error_text


@pytest.mark.fault("the disk is full while a session or the map is saved", code="DISK_FULL",
                   says="the service's answer: the file, and how much room it takes; diagnostics",
                   recovery="free some space and save again; the older file is kept")  # fmt: skip
@pytest.mark.parametrize(("service", "suffix"), [("save_session", "safetensors"), ("save_map", "ply")])
def test_a_full_disk_keeps_the_older_file_and_once_there_is_room_it_is_replaced(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path, service: str, suffix: str
) -> None:
    mapper.send_in_lockstep(frames)
    with mounted(data_dir / f"small_{suffix}", "size=20k") as small:
        older = small / f"kitchen.{suffix}"
        save_file({}, older, {FORMAT: "an older session"})
        content = older.read_bytes()
        code, text = call(mapper, service, f"small_{suffix}/kitchen")
        assert code is ErrorCode.DISK_FULL, text
        assert f"kitchen.{suffix} (No space left on device)" in text
        assert "Free some space" in text
        assert mapper.said("DISK_FULL: cannot write")
        assert [path.name for path in small.iterdir()] == [f"kitchen.{suffix}"], "nothing half written stays"
        assert older.read_bytes() == content
        subprocess.run(["mount", "-o", "remount,size=10m", str(small)], check=True)
        assert call(mapper, service, f"small_{suffix}/kitchen") == (ErrorCode.OK, "")
        assert (small / f"kitchen.{suffix}").stat().st_size > 20_000
    assert mapper.renders(frames[:3], 110.0)


@pytest.mark.fault("data_dir cannot be written to", code="BAD_FILE", says="the service's answer: the file, and why",
                   recovery="make it writable and save again")  # fmt: skip
def test_a_folder_that_cannot_be_written_to_is_named(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    mapper.send_in_lockstep(frames[:3])
    with mounted(data_dir / "read_only", "size=10m,ro") as folder:
        for service in ("save_session", "save_map"):
            code, text = call(mapper, service, "read_only/kitchen")
            assert code is ErrorCode.BAD_FILE
            assert "kitchen" in text
            assert "(Read-only file system)" in text
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        assert call(mapper, "save_session", "read_only/kitchen") == (ErrorCode.OK, "")
        assert len(Session.load(folder / "kitchen.safetensors").keyframes) == 3
    (data_dir / "no_folder").write_text("a file")
    code, text = call(mapper, "save_session", "no_folder/kitchen")
    assert code is ErrorCode.BAD_FILE
    assert "no_folder/kitchen.safetensors" in text
    assert (data_dir / "no_folder").read_text() == "a file"


@pytest.mark.fault("a file name that leads out of data_dir", code="BAD_FILE",
                   says="the service's answer: the name, and what was expected",
                   recovery="a name inside data_dir")  # fmt: skip
@pytest.mark.shows("data_dir")
@pytest.mark.parametrize("service", list(SERVICES))
def test_names_that_lead_out_of_the_folder_are_refused(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path, tmp_path: Path, service: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = data_dir / f"link_{service}"
    link.symlink_to(outside)
    mapper.send_in_lockstep(frames)
    before = sorted(data_dir.parent.rglob("*"))
    for name in ("../out", str(outside / "out"), f"{link.name}/out", "a/../../out", "", "folder/", "x" * 5000):
        code, text = call(mapper, service, name)
        if service == "load_model" and not name:
            assert code is ErrorCode.OK  # the configured one
            continue
        assert code is ErrorCode.BAD_FILE, (name, text)
        assert "expected a name inside data_dir" in text, text
    assert sorted(data_dir.parent.rglob("*")) == before
    assert list(outside.iterdir()) == []
    assert mapper.renders(frames[:3], 110.0)


@pytest.mark.fault("a session of another label space", code="MODEL_MISMATCH",
                   says="the service's answer: both label spaces",
                   recovery="load a model of that label space; what is there stays")  # fmt: skip
@pytest.mark.fault("a session file cut short", code="BAD_FILE", says="the service's answer: the file",
                   recovery="another file; what is there stays")  # fmt: skip
def test_a_session_that_does_not_fit_changes_nothing(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    mapper.send_in_lockstep(frames)
    assert call(mapper, "save_session", "mine") == (ErrorCode.OK, "")
    mine = Session.load(data_dir / "mine.safetensors")
    fruit = LabelSpace("fruit", ("apple", "pear", "plum"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 3))
    replace(mine, label_space=fruit).save(data_dir / "fruit.safetensors")
    (data_dir / "cut.safetensors").write_bytes((data_dir / "mine.safetensors").read_bytes()[:-100])
    before = mapper.keyframes()
    for name, expected, words in (
        ("fruit", ErrorCode.MODEL_MISMATCH, "fruit (3 classes: apple, pear, plum"),
        ("cut", ErrorCode.BAD_FILE, "cut.safetensors"),
        ("nowhere", ErrorCode.BAD_FILE, "nowhere.safetensors"),
    ):
        code, text = call(mapper, "load_session", name)
        assert code is expected
        assert words in text
        assert mapper.said(f"{expected.name}: ")
        assert mapper.keyframes() == before
    assert call(mapper, "load_session", "mine") == (ErrorCode.OK, "")
    assert mapper.renders(frames[:3], 110.0)


@pytest.mark.fault("the session cannot be saved as the node is cleaned up", code="BAD_FILE", says="log",
                   recovery="the node goes on to its next state")  # fmt: skip
@pytest.mark.shows("session.autosave")
def test_an_autosave_that_fails_is_logged_and_holds_nothing_up(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    (data_dir / "occupied").write_text("a file")
    assert mapper.set(session__autosave="occupied/last") == ""
    try:
        mapper.send_in_lockstep(frames[:3])
        del mapper.rosout[:]
        mapper.start_over()
        assert mapper.logged("the session is not saved: BAD_FILE: cannot write"), mapper.lines
        assert (data_dir / "occupied").is_file()
    finally:
        assert mapper.set(session__autosave="") == ""
    assert mapper.renders(frames[:3], 110.0)
