"""Two processes that share a study: a job is claimed by one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sray_train.paper.study.locks import claimed

CLAIM = """
import sys, pathlib
from sray_train.paper.study.locks import claimed

with claimed(pathlib.Path(sys.argv[1])) as free:
    print(free)
"""


def test_a_claim_holds_against_other_processes_and_ends(tmp_path: Path) -> None:
    def other() -> str:
        command = [sys.executable, "-c", CLAIM, str(tmp_path / "lock")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with claimed(tmp_path / "lock") as free:
        assert free
        assert other() == "False"
    assert other() == "True"
