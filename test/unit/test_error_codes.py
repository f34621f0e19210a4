"""ErrorCode.msg and sray/errors.py carry the same numbers: a client of either reads both."""

from __future__ import annotations

import re
from pathlib import Path

from sray.errors import ErrorCode

MESSAGE = Path(__file__).resolve().parents[2] / "sray_interfaces" / "msg" / "ErrorCode.msg"


def test_the_message_and_the_library_have_the_same_codes() -> None:
    constants = dict(re.findall(r"^uint8 ([A-Z_]+) *= *(\d+)", MESSAGE.read_text(), re.MULTILINE))
    assert {name: int(number) for name, number in constants.items()} == {code.name: code.value for code in ErrorCode}
