"""The recipe of a checkpoint for real rooms, followed with one's own data: docs/training.md from start to score."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from sray.checkpoint import load_checkpoint
from sray_train.cli import main
from sray_train.learn.training import run
from sray_train.learn.training.logbook import read_records

REPOSITORY = Path(__file__).resolve().parents[2]
EXPERIMENTS = REPOSITORY / "config/experiments"
PICTURES = 20
LABELS = np.array([1, 2, 33], np.uint8)
"""NYU40: wall, floor, toilet."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few pictures of wall, floor and toilet in thirds, red, green and blue."""
    folder = tmp_path_factory.mktemp("own") / "pictures"
    generator = np.random.default_rng(0)
    for kind in ("color", "label40"):
        (folder / kind).mkdir(parents=True)
    for number in range(PICTURES):
        column = np.clip((np.arange(128) + 2 * number) * 3 // 128, 0, 2)
        image = generator.integers(0, 60, (96, 128, 3)).astype(np.uint8)
        image[:, np.arange(128), 2 - column] = 200
        cv2.imwrite(str(folder / "color" / f"{number}.jpg"), image)
        cv2.imwrite(str(folder / "label40" / f"{number}.png"), np.broadcast_to(LABELS[column], (96, 128)))
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The shipped recipes beside each other, and one's own: fewer rooms and steps, smaller pictures."""
    folder = tmp_path_factory.mktemp("config")
    for path in EXPERIMENTS.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    small = {
        "data": {
            **{"train": "0:1", "train_rays": "1:2", "validation": "8000:8001", "test": "9000:9001"},
            **{"width": 64, "height": 48, "frames": 4, "pictures": str(pictures)},
        },
        "encoder": {"steps": 12, "batch": 4, "width": 64, "height": 48, "pixels": 200, "backbone_delay": 2},
        "stereo": {"steps": 2, "batch": 1},
        "frozen": {"steps": 2, "rays": 16},
        "validate_every": 6,
    }
    (folder / "own.yaml").write_text(yaml.safe_dump({"like": "indoor.yaml", **small}))
    for data in ("rooms", "pictures"):
        changed = {**small, "stereo": {"steps": 0}, "frozen": {"steps": 0}}
        (folder / f"own_{data}.yaml").write_text(yaml.safe_dump({"like": f"data_{data}.yaml", **changed}))
    return folder


def test_from_pictures_and_rooms_to_a_checkpoint_and_its_scores(own: Path, pictures: Path, tmp_path: Path) -> None:
    """Encoder, stereo and rays by one command, twice the same one; then 2D scores and rendered ones."""
    folder = tmp_path / "run"
    command = ["train", "--config", str(own / "own.yaml"), "--run-folder", str(folder)]
    main([*command, "--max-hours", "1e-6"])
    assert not list(folder.glob("best_frozen*")), "stopped after a step"
    main(command)
    records = read_records(folder / "log.jsonl")
    assert {record["stage"] for record in records} == {"encoder", "stereo", "frozen"}
    scored = [record for record in records if "scenes_miou" in record.get("validation", {})]
    assert [record["step"] for record in scored] == [6, 12], "pictures and rooms, both scored"
    checkpoint = folder / "best_frozen.safetensors"
    found = load_checkpoint(checkpoint)
    assert found.label_space.name == "indoor" and found.model.stereo is not None
    options = ["--checkpoint", str(checkpoint), "--threads", "1"]
    main(
        ["evaluate", *options, "--pictures", str(pictures), "--label-ids", "nyu40", "--json", str(tmp_path / "2d.json")]
    )
    two_d = json.loads((tmp_path / "2d.json").read_text())
    assert two_d["pictures"] == PICTURES and 0 <= two_d["strict_miou"] <= 1
    rendered = ["--config", str(own / "own.yaml"), "--targets", "1", "--quality", "fast"]
    main(["evaluate", *options, *rendered, "--json", str(tmp_path / "rendered.json")])
    scores = json.loads((tmp_path / "rendered.json").read_text())
    assert scores["pictures"] == 1 and scores["psnr"] > 5 and scores["label_space"] == "indoor"


def test_the_curve_over_data_is_drawn_from_the_runs(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rooms only and pictures only, scored on the same pictures and rooms: pictures teach what is in them."""
    monkeypatch.setattr(sys, "path", [str(REPOSITORY / "benchmarks"), *sys.path])
    data_curve = importlib.import_module("data_curve")
    for data in ("rooms", "pictures"):
        main(["train", "--config", str(own / f"own_{data}.yaml"), "--run-folder", str(tmp_path / data)])
    runs = (tmp_path / "rooms", tmp_path / "pictures")
    data_curve.Curve(runs, tmp_path / "curve.png").main()
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    rooms, taught = (data_curve.validations(run) for run in runs)
    assert rooms.keys() == taught.keys() == {6, 12}
    with pytest.raises(ValueError, match="has no scores"):
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty" / "log.jsonl").write_text("")
        data_curve.validations(tmp_path / "empty")


def test_a_wrong_folder_of_pictures_is_told_before_any_room_is_made(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "load_scenes", lambda *_: pytest.fail("rooms were made first"))
    config = yaml.safe_load((own / "own.yaml").read_text())
    config["data"]["pictures"] = str(tmp_path / "nowhere")
    (own / "wrong.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as stop:
        main(["train", "--config", str(own / "wrong.yaml"), "--run-folder", str(tmp_path / "run")])
    assert "nowhere" in str(stop.value.code) and "color" in str(stop.value.code)
