"""The soak, as a test: `pytest -m soak`, for SRAY_SOAK_MINUTES (an hour unless set)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MINUTES = float(os.environ.get("SRAY_SOAK_MINUTES", "60"))
ENOUGH = 30.0
"""Minutes from which on a verdict is expected; less only shows that nothing breaks."""


@pytest.mark.ros
@pytest.mark.soak
@pytest.mark.timeout(60 * MINUTES + 600)
def test_memory_stays_flat_while_a_recording_loops(tmp_path: Path) -> None:
    record = tmp_path / "soak.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--minutes", str(MINUTES), "--folder", tmp_path, "--json", record],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(record.read_text())
    assert result["loops"] >= 1 and result["renders"] >= 20
    assert result["last"]["keyframes"] == 24, "as many as keyframes.capacity allows"
    assert result["grew"] == [] and result["longest_pause_s"] <= 60
    assert result["verdict"] == "flat" if MINUTES >= ENOUGH else result["verdict"] != "grows"
