"""`sray data check` on real pictures with real poses."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
from data_check_fixtures import FURTHER_FAULTS, MAIN_FAULTS, broken, check, problems

REAL_FAULTS = {name: fault for name, fault in (MAIN_FAULTS | FURTHER_FAULTS).items() if not fault[1].startswith("lab")}


@pytest.fixture(scope="module")
def real_copy(real_sequence_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first sixty frames, so that a check takes a few seconds."""
    folder = tmp_path_factory.mktemp("real") / "real"
    numbers = sorted(int(path.stem) for path in (real_sequence_folder / "color").glob("*.jpg"))[:60]
    shutil.copytree(real_sequence_folder / "intrinsic", folder / "intrinsic", copy_function=shutil.copyfile)
    for kind, ending in (("color", "jpg"), ("depth", "png"), ("pose", "txt")):
        (folder / kind).mkdir()
        for number in numbers:
            name = f"{number}.{ending}"
            shutil.copyfile(real_sequence_folder / kind / name, folder / kind / name)
    return folder


@pytest.mark.slow
def test_the_real_recording_is_fine(real_sequence_folder: Path) -> None:
    result = check(real_sequence_folder)
    assert result.findings == []
    assert result.readings["as-stored"] < 1
    assert math.isclose(result.figures["depth_factor"], 1, rel_tol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["camera_from_world", "K of 324x243", "5000 a meter", "OpenGL", "poses in mm"])
def test_faults_of_a_real_recording_are_named(real_copy: Path, tmp_path: Path, name: str) -> None:
    fault, code = REAL_FAULTS[name]
    assert problems(check(broken(real_copy, tmp_path / "real", fault))) == [code]
