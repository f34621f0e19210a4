"""Fixtures that several files of fault tests share."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = 1 << 30
"""Bytes a reader may ask for beyond what the process has; a real file of these sizes needs a hundredth."""


@pytest.fixture
def memory() -> Iterator[None]:
    """Asking for more than MEMORY fails while the test runs."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
