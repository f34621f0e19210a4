"""Files stay short enough to be read at one sitting (CONTRIBUTING.md)."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("sray", "sray_ros", "sray_train", "ros_standins", "scripts", "benchmarks", "launch", "test")


def test_no_python_file_has_more_than_300_lines() -> None:
    files = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(files) > 500
    lengths = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in files}
    assert {path: length for path, length in lengths.items() if length > 300} == {}
