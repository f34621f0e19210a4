"""How threads of torch wait: asleep, also on a processor that others need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAID = "import os, sys, {package}; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


@pytest.mark.parametrize("package", ["sray_ros", "sray_train"])
@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_they_sleep_unless_the_user_says_otherwise(package: str, given: str | None, expected: str) -> None:
    """It must be said before torch is imported."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given is not None:
        environment["OMP_WAIT_POLICY"] = given
    command = [sys.executable, "-c", SAID.format(package=package)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [expected, "False"]
