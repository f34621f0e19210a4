"""`scripts/demo_finetune.py` as a user runs it, small: its report is what its pictures say, and nothing outlives it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from demo_finetune import FineTuneDemo
from rig.demos import left_of, run_demo

from sray.errors import RequestError
from sray.label_space import INDOOR
from sray.metrics import ConfusionMatrix
from sray_train.data.rooms import room_frames

pytestmark = [pytest.mark.ros, pytest.mark.slow]
SEED, WIDTH, HEIGHT, FRAMES, STEPS = 9001, 64, 48, 15, 16


def test_a_room_is_learned_and_the_report_is_what_the_pictures_say(tmp_path: Path) -> None:
    demo = run_demo(
        "demo_finetune.py",
        "--output", tmp_path, "--seed", SEED, "--width", WIDTH, "--height", HEIGHT, "--frames", FRAMES,
        "--steps", STEPS, "--every", 10,
    )  # fmt: skip
    stdout, stderr = demo.communicate(timeout=280)
    assert demo.returncode == 0, stdout + stderr
    assert not left_of(demo)
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report) == {"before", "after", "steps", "seconds", "accepted", "renders_during", "slowdown"}
    assert report["accepted"] is True and report["steps"] == STEPS
    assert report["after"] > report["before"] + 0.1
    assert report["renders_during"] >= 1 and report["slowdown"] > 0
    unseen = list(room_frames(SEED, width=WIDTH, height=HEIGHT, frames=FRAMES, label_space=INDOOR))[2::5]
    for when in ("before", "after"):
        matrix = ConfusionMatrix(INDOOR.classes)
        for index, frame in enumerate(unseen):
            labels = cv2.imread(str(tmp_path / "received" / when / f"label_{index}.png"), cv2.IMREAD_UNCHANGED)
            matrix.update(labels, frame.labels)
        assert report[when] == pytest.approx(matrix.strict().miou)
    page = (tmp_path / "index.html").read_text()
    assert f"{report['before']:.3f}" in page and "received/curve.png" in page
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 8 * len(unseen)
    assert len(list((tmp_path / "data" / "fine_tuned").glob("*.safetensors"))) == 1


def test_a_room_that_was_in_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="seed 5 may have been in training"):
        FineTuneDemo(output=tmp_path, seed=5).main()
