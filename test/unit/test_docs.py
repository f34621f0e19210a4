"""The generated documents are current, every row of the API is shown by a test, and every test shows a row there is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sray_ros.common.error_codes import ErrorCode

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def write_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_docs", REPOSITORY / "scripts" / "write_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["write_docs"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_documents_are_what_the_code_declares(write_docs: ModuleType) -> None:
    for path, text in write_docs.pages().items():
        assert path.read_text() == text, f"{path} is out of date: python scripts/write_docs.py"


def test_every_row_has_a_test(write_docs: ModuleType) -> None:
    assert write_docs.unshown(write_docs.api_tables(), write_docs.marks()) == []


def test_every_error_code_has_a_fault_that_brings_it_about(write_docs: ModuleType) -> None:

    brought = {mark.keywords["code"] for mark in write_docs.marks() if mark.kind == "fault"}
    assert {code.name for code in ErrorCode} - brought <= {"OK"}


def test_a_mark_for_nothing_is_an_error(write_docs: ModuleType) -> None:
    mark = write_docs.Mark("shows", "test_x.py::test_y", ("~/no_such_topic",), {})
    with pytest.raises(SystemExit, match="~/no_such_topic"):
        write_docs.api_page(write_docs.api_tables(), [mark])


def test_marks_are_read_from_functions_parameters_and_modules(write_docs: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "test_z.py").write_text(
        "import pytest\npytestmark = [pytest.mark.shows('all')]\n\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.fault('f', code='BUSY', says='s', "
        "recovery='r'))])\n@pytest.mark.shows('one', 'two')\ndef test_a(x): ...\n\n"
        "def test_b(): ...\n\ndef other(): ...\n"
    )
    found = write_docs.marks(tmp_path)
    assert [(mark.kind, mark.test.split("::")[1], mark.arguments) for mark in found] == [
        ("shows", "test_a", ("all",)),
        ("fault", "test_a", ("f",)),
        ("shows", "test_a", ("one", "two")),
        ("shows", "test_b", ("all",)),
    ]
    assert found[1].keywords == {"code": "BUSY", "says": "s", "recovery": "r"}
