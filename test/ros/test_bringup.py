"""What the launch file reads before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from sray_ros.bringup.arguments import is_rectified

SECTION = "ros__parameters: {camera.rectified: true}"


@pytest.mark.parametrize(
    ("namespace", "text", "expected"),
    [
        ("", f"semantic_mapper: {{{SECTION}}}", True),
        ("", f"/**: {{{SECTION}}}", True),
        ("", "semantic_mapper: {ros__parameters: {camera: {rectified: true}}}", True),
        ("", f"label_scorer: {{{SECTION}}}", False),
        ("robot1", f"/robot1/semantic_mapper: {{{SECTION}}}", True),
        ("/robot1", f"robot1: {{semantic_mapper: {{{SECTION}}}}}", True),
        ("robot1", f"/**/semantic_mapper: {{{SECTION}}}", True),
        ("robot1", f"/robot2/semantic_mapper: {{{SECTION}}}", False),
        ("robot1", "- no parameters", False),
    ],
)
def test_the_scorer_is_told_whether_the_mappers_pictures_are_rectified(
    tmp_path: Path, namespace: str, text: str, expected: bool
) -> None:
    (tmp_path / "file.yaml").write_text(text)
    assert is_rectified({"namespace": namespace, "params_file": str(tmp_path / "file.yaml")}) is expected
