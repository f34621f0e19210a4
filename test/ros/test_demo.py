"""`scripts/demo.py` as a user runs it, small: its files agree with each other, and nothing it started outlives it."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import yaml
from dataset_fixtures.posed import HEIGHT, WIDTH, K, write_tum
from dataset_fixtures.relief import views
from rig.demos import left_of, run_demo

from sray.checkpoint import save_checkpoint
from sray.label_space import ROOMS
from sray.metrics import ConfusionMatrix
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence import Sequence
from sray.sequence_writer import SequenceWriter
from sray_train.data.rooms import room_frames

pytestmark = [pytest.mark.ros, pytest.mark.slow]
FRAMES = 18


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights: this is about the plumbing, not about the labels."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    save_checkpoint(path, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms") / "room"
    writer = SequenceWriter(folder)
    for number, frame in enumerate(room_frames(9001, width=64, height=48, frames=FRAMES)):
        writer.add(number, frame)
    return folder


@pytest.fixture
def ends_as_before() -> Iterator[None]:
    """A demo in this process leaves SIGTERM as it was."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_run_leaves_a_report_that_its_pictures_confirm_and_no_process(
    room: Path, checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    params = yaml.safe_load((Path(__file__).parents[2] / "config" / "demo.yaml").read_text())
    # What a network says that was never trained contradicts itself: nothing of it would be left.
    params["/**/semantic_mapper"]["ros__parameters"] |= {"map": {"max_looked_through": 1e6}, "cloud": {"max_jump": 1e6}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    given = ("--sequence", room, "--checkpoint", checkpoint, "--params", tmp_path / "params.yaml")
    demo = run_demo("demo.py", *given, "--output", out, "--render-width", 32)
    stdout, stderr = demo.communicate(timeout=280)
    assert demo.returncode == 0, stdout + stderr
    assert not left_of(demo)

    report = json.loads((out / "report.json").read_text())
    assert report["frames_played"] == FRAMES
    assert report["model"]["sha256"] and report["ros"]["rmw"].startswith("rmw_")
    labels = sorted((out / "labels").glob("*.png"))
    assert len(labels) == report["label_images"] >= 10
    assert report["clouds"] == len(labels) and report["keyframes"] >= len(labels)
    matrix, known, size = ConfusionMatrix(ROOMS.classes), 0, 0
    for path in labels:
        label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        truth = cv2.imread(str(out / "truth" / path.name), cv2.IMREAD_UNCHANGED)
        assert label.shape == truth.shape == (24, 32)
        matrix.update(label, truth)
        known, size = known + int((label != 255).sum()), size + label.size
    assert report["strict_miou"] == pytest.approx(matrix.strict().miou)
    assert report["total_accuracy"] == pytest.approx(matrix.strict().total_accuracy)
    assert report["commonest_class_miou"] == pytest.approx(matrix.commonest_class().miou)
    assert report["labelled_fraction"] == pytest.approx(known / size)
    assert 3 < report["psnr_color"] < 60
    assert report["seconds_per_render_median"] > 0
    assert report["depth_abs_rel"] > 0 and 0 <= report["depth_within_1_25"] <= 1
    assert 0 <= report["map_f_score_5cm"] <= 1 and (out / "pictures" / "map_truth.png").is_file()

    header, _, body = (out / "map.ply").read_bytes().partition(b"end_header\n")
    assert f"element vertex {report['map_points']}\n".encode() in header
    assert len(body) == report["map_points"] * 20 > 0
    assert (out / "index.html").is_file() and (out / "bag" / "metadata.yaml").is_file()
    assert str(out / "index.html") in stdout.replace("\n", "")
    assert "RGB-D: its depth is used" in stdout.replace("\n", " ")
    told = yaml.safe_load((out / "logs" / "semantic_mapper.yaml").read_text())
    assert told["/**/semantic_mapper"]["ros__parameters"]["depth"]["use"] is True


def test_depth_is_left_out_when_asked_and_never_used_of_a_generated_room(room: Path, checkpoint: Path) -> None:
    from demo import Demo

    frames = [Sequence.open(room)[0]]
    assert frames[0].depth is not None
    for demo, used in (
        (Demo(sequence=room), True),
        (Demo(sequence=room, depth=False), False),
        (Demo(), False),
    ):
        assert demo._uses_depth(frames) is used
    assert not Demo(sequence=room)._uses_depth([replace(frames[0], depth=None)])


def test_ctrl_c_ends_everything_it_started(room: Path, checkpoint: Path, tmp_path: Path) -> None:
    demo = run_demo("demo.py", "--sequence", room, "--checkpoint", checkpoint, "--output", tmp_path / "demo")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "demo").glob("labels/*.png")):
        assert demo.poll() is None and time.monotonic() < deadline, demo.communicate()
        time.sleep(0.2)
    assert len(left_of(demo)) >= 4, "the launch, the mapper, the recorder and the player"
    demo.send_signal(signal.SIGINT)
    _, stderr = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert "interrupted" in stderr and "Traceback" not in stderr
    assert not left_of(demo)


def test_what_cannot_be_read_is_one_message_and_status_1(
    room: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ends_as_before: None,
) -> None:
    from demo import main

    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(checkpoint.read_bytes()[:-1000])
    for arguments, words in (
        (
            ["--sequence", tmp_path / "empty", "--checkpoint", checkpoint],
            "looks like no dataset known here; expected one of color/",
        ),
        (["--sequence", room, "--checkpoint", broken], str(broken)),
        (["--sequence", room, "--checkpoint", checkpoint, "--params", tmp_path / "none.yaml"], "none.yaml"),
        (["--seed", 12, "--checkpoint", checkpoint], "may have been in training"),
    ):
        monkeypatch.setattr(sys, "argv", ["demo.py", "--output", str(tmp_path / "demo"), *map(str, arguments)])
        assert main() == 1
        said = capsys.readouterr().err
        assert words in said and len(said.strip().splitlines()) == 1, said


def test_a_mapper_that_cannot_start_is_reported_with_its_own_words(
    room: Path, checkpoint: Path, tmp_path: Path
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("/**/semantic_mapper:\n  ros__parameters:\n    views.count: -3\n")
    demo = run_demo(
        "demo.py", "--sequence", room, "--checkpoint", checkpoint, "--output", tmp_path / "demo", "--params", params
    )
    _, stderr = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert "did not start" in stderr and "views.count" in stderr, stderr
    assert not left_of(demo)


@pytest.mark.parametrize(
    ("frames", "views", "is_enough"), [(40, 10, True), (40, 9, False), (4, 2, True), (4, 1, False), (1, 0, False)]
)
def test_a_short_recording_is_held_to_half_of_its_frames(frames: int, views: int, is_enough: bool) -> None:
    from demo_results import complaint_about

    run = SimpleNamespace(views=range(views), labeled_fraction=1.0, scored=False)
    complaint = complaint_about(run, frames, has_labels=False)
    assert complaint is None if is_enough else f"{views} label images came out of {frames} frames" in complaint


def test_recordings_of_other_layouts_are_played_too(tmp_path: Path) -> None:
    from demo import Demo

    room = views(K, WIDTH, HEIGHT)
    folder = write_tum(tmp_path / "desk", room, " ".join(str(each) for each in (K[0, 0], K[1, 1], K[0, 2], K[1, 2])))
    recording, source = Demo(sequence=folder)._recording(SimpleNamespace(label_space=ROOMS))
    assert len(recording) == len(room) and source.startswith(f"desk: {len(recording)} frames")
    assert recording[0].depth is not None and recording[0].labels is None


@pytest.mark.parametrize(
    ("length", "step", "expected"),
    [
        (12, 0.05, range(0, 12, 1)),  # all fit
        (100, 0.05, range(0, 100, 5)),  # every 5th: 0.25 m apart
        (200, 0.08, range(0, 60, 3)),  # every 3rd, 0.24 m apart, as far as 20 frames reach
        (200, 0.0, range(0, 200, 10)),  # a camera that stands still may be thinned at will
    ],
)
def test_frames_are_thinned_but_never_too_far_apart(length: int, step: float, expected: range) -> None:
    from demo import chosen

    assert chosen(step * np.arange(length)[:, None] * np.eye(3)[:1], 20) == expected
