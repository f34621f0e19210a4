"""Errors: one code for each kind, the same numbers as in ErrorCode.msg, and texts that say all three parts."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sray.errors import FileError, SrayError
from sray_ros.common.error_codes import CODES, ErrorCode, InactiveError, NoPoseError, code_of, error_of, with_code

MESSAGE = Path(__file__).resolve().parents[2] / "sray_interfaces" / "msg" / "ErrorCode.msg"


def kinds(of: type[SrayError] = SrayError) -> Iterator[type[SrayError]]:
    for kind in of.__subclasses__():
        if kind.__module__ in ("sray.errors", "sray_ros.common.error_codes"):
            yield kind
            yield from kinds(kind)


def test_the_message_and_the_table_have_the_same_codes() -> None:
    constants = dict(re.findall(r"^uint8 ([A-Z_]+) *= *(\d+)", MESSAGE.read_text(), re.MULTILINE))
    assert {name: int(number) for name, number in constants.items()} == {code.name: code.value for code in ErrorCode}


def test_every_kind_of_error_has_a_code_and_every_code_an_error() -> None:
    assert set(kinds()) == set(CODES) >= {InactiveError, NoPoseError}
    assert set(CODES.values()) == set(ErrorCode) - {ErrorCode.OK}
    for code in set(CODES.values()):
        error = error_of(code, "as another node said it")
        assert (code_of(error), with_code(error)) == (code, f"{code.name}: as another node said it")
    assert type(error_of(ErrorCode.BAD_FILE, "")) is FileError
    with pytest.raises(ValueError, match="99"):
        error_of(99, "a code of a later version")


@pytest.mark.parametrize(
    ("error", "text", "advice"),
    [
        (FileError("a is b", "c", "Do d"), "a is b; expected c. Do d", "expected c. Do d"),
        (FileError("a is b", "c"), "a is b; expected c", "expected c"),
        (FileError("a is b", remedy="Do d"), "a is b. Do d", "Do d"),
        (FileError("a is b"), "a is b", ""),
    ],
)
def test_a_text_says_what_was_found_and_expected_and_what_to_do(error: SrayError, text: str, advice: str) -> None:
    assert (str(error), error.advice) == (text, advice)
    named = error.of("data.train: ")
    assert (type(named), str(named)) == (FileError, f"data.train: {text}")
    again = pickle.loads(pickle.dumps(error))  # as processes that make rooms hand it on
    assert (type(again), str(again)) == (FileError, text)
