"""What a process holds, from /proc (Linux)."""

from __future__ import annotations

import os
import re
from pathlib import Path


def footprint(pid: int) -> dict[str, float | int]:
    """Memory in MB (10^6 bytes), threads, open files, and shared memory segments that the process has mapped.

    `pss_mb` counts a page that n processes share as 1/n of one; `anonymous_mb` is the part of it that no file backs.
    """
    process = Path("/proc") / str(pid)
    rollup = (process / "smaps_rollup").read_text()
    maps = (process / "maps").read_text()
    return {
        "pss_mb": _megabytes(rollup, "Pss"),
        "anonymous_mb": _megabytes(rollup, "Pss_Anon"),
        "rss_mb": _megabytes(rollup, "Rss"),
        "threads": len(list((process / "task").iterdir())),
        "open_files": len(list((process / "fd").iterdir())),
        "segments": len(set(re.findall(r"(/dev/shm/\S+)", maps))),
    }


def cpu_seconds(process: int) -> float:
    """Of all its threads since it began."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _megabytes(rollup: str, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found, f"smaps_rollup has no {name}"
    return round(int(found.group(1)) * 1024 / 1e6, 3)
