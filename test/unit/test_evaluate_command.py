"""`sray evaluate`: its record is valid JSON of the right labels, options go before the config, and files are kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene

from sray.camera import Camera
from sray.checkpoint import save_checkpoint
from sray.errors import SrayError
from sray.field import RenderedView, SemanticField
from sray.label_space import ROOMS
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence import Sequence
from sray_train.cli import main
from sray_train.cli.evaluate import Evaluate
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.config import DataConfig

REQUIRED = ("strict_miou", "released_miou", "total_accuracy", "average_accuracy", "psnr", "ssim", "lpips", "per_class")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Five pictures of wall, floor and cabinet in stripes, as NYU40 ids 1, 2, 3."""
    return PlaneScene(width=32, height=24).record(tmp_path / "recording", ROOMS, 5)


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path) -> Run:
    def evaluated(*arguments: str) -> dict[str, Any]:
        path = tmp_path / "out.json"
        fixed = [
            "--checkpoint",
            str(checkpoint),
            "--views",
            "2",
            "--quality",
            "fast",
            "--width",
            "32",
            "--threads",
            "1",
        ]
        main(["evaluate", *fixed, "--json", str(path), "--overwrite", *arguments])

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is no JSON")

        record: dict[str, Any] = json.loads(path.read_text(), parse_constant=refuse)
        return record

    return evaluated


def test_the_record_has_its_keys_and_null_for_what_is_not_there(run: Run, recording: Path, checkpoint: Path) -> None:
    record = run("--sequence", str(recording), "--targets", "2")
    assert set(REQUIRED) <= record.keys()
    assert record["pictures"] == 2 and record["size"] == [32, 24] and record["input"] == "RGB"
    assert 0 <= record["strict_miou"] <= 1 and -1 < record["ssim"] < 1
    assert record["depth_abs_rel"] > 0 and record["depth_median_error"] > 0 and 0 <= record["depth_within_1_25"] <= 1
    assert record["per_class"]["wall"] is not None and record["per_class"]["bed"] is None
    assert list(record["per_class"]) == list(ROOMS.names)
    assert record["lpips"] is None or record["lpips_missing"] is None
    assert record["strict_miou_interval"] == [None, None], "two pictures say nothing of others"
    assert record["config"]["evaluation"]["views"] == 2 and record["label_space"] == "rooms"
    assert len(record["checkpoint"]) == 64 and record["checkpoint_file"] == str(checkpoint)
    assert record["scored"] == "recording recording"


def test_depth_is_used_when_asked_for_and_said(run: Run, recording: Path, tmp_path: Path) -> None:
    rgb = run("--sequence", str(recording), "--targets", "1")
    rgbd = run("--sequence", str(recording), "--targets", "1", "--depth")
    assert rgbd["input"] == "RGB-D" and rgbd["depth_abs_rel"] < rgb["depth_abs_rel"]
    config = tmp_path / "rgbd.yaml"
    config.write_text("evaluation: {depth: true, targets: 1}\n")
    assert run("--sequence", str(recording), "--config", str(config))["input"] == "RGB-D"


def test_depth_and_source_views_that_are_not_there_are_named(run: Run, recording: Path, tmp_path: Path) -> None:
    for path in (recording / "depth").iterdir():
        path.unlink()
    with pytest.raises(SystemExit, match="recording has no depth.*Leave out --depth"):
        run("--sequence", str(recording), "--depth")
    config = tmp_path / "rgbd.yaml"
    config.write_text("evaluation: {depth: true, targets: 1}\n")
    with pytest.raises(SystemExit, match=r"recording has no depth.*Leave out evaluation\.depth"):
        run("--sequence", str(recording), "--config", str(config))
    for number in range(5):
        (recording / "pose" / f"{number}.txt").write_text(f"1 0 0 {50 * number}\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    with pytest.raises(SystemExit, match="no frame of recording sees a tenth of what another one sees"):
        run("--sequence", str(recording), "--apart", "0.5", "20")


def test_raw_scannet_ids_score_as_the_nyu40_ids_they_stand_for(run: Run, recording: Path) -> None:
    before = run("--sequence", str(recording), "--label-ids", "nyu40", "--targets", "2")
    raw_of = np.array([0, 1100, 3, 57], np.uint16)  # by NYU40 id
    (recording / "scannetv2-labels.combined.tsv").write_text(
        "id\traw_category\tnyu40id\n1100\tplaster\t1\n3\tcarpet\t2\n57\tcupboard\t3\n"
    )
    for path in (recording / "label-filt").iterdir():
        cv2.imwrite(str(path), raw_of[cv2.imread(str(path), cv2.IMREAD_UNCHANGED)])
    for ids in ("scannet", "auto"):
        after = run("--sequence", str(recording), "--label-ids", ids, "--targets", "2")
        assert after["confusion"] == before["confusion"], ids
    assert np.sum(before["confusion"]["pixels"]) == 2 * 32 * 24


@pytest.mark.parametrize("how", ["no folder", "all zero"])
def test_without_labels_color_is_scored_and_semantics_are_null(run: Run, recording: Path, how: str) -> None:
    for path in (recording / "label-filt").iterdir():
        cv2.imwrite(str(path), np.zeros((24, 32), np.uint8)) if how == "all zero" else path.unlink()
    if how == "no folder":
        (recording / "label-filt").rmdir()
    record = run("--sequence", str(recording), "--targets", "1")
    for name in ("strict_miou", "released_miou", "total_accuracy", "average_accuracy", "commonest_class_miou"):
        assert record[name] is None, name
    assert set(record["per_class"].values()) == {None}
    assert record["psnr"] > 0 and "label" in record["semantics_missing"]


def test_labels_of_another_label_space_are_refused(run: Run, recording: Path, tmp_path: Path) -> None:
    for path in (recording / "label-filt").iterdir():
        cv2.imwrite(str(path), np.full((24, 32), 77, np.uint8))  # no id of NYU40
    with pytest.raises(SystemExit) as stop:
        run("--sequence", str(recording), "--label-ids", "nyu40")
    assert "holds ids 77" in str(stop.value.code)
    config = tmp_path / "scannet.yaml"
    config.write_text("data: {label_space: scannet20}\n")
    with pytest.raises(SystemExit) as stop:
        run("--config", str(config))
    assert "scannet20" in str(stop.value.code) and "rooms" in str(stop.value.code)
    assert not (tmp_path / "out.json").exists()


def test_a_recording_keeps_its_aspect_and_may_be_thinned(recording: Path) -> None:
    (scene,) = chosen_scenes(DataConfig(width=20, height=20, frames=2), ROOMS, sequence=recording)
    assert (scene.cameras.width, scene.cameras.height) == (20, 15)
    assert [frame.name for frame in scene.frames] == ["recording/1", "recording/3"]
    (scene,) = chosen_scenes(DataConfig(frames=0), ROOMS, sequence=recording, bounds=(0.2, 4.0))
    assert len(scene.frames) == 5 and scene.bounds == (0.2, 4.0)


def test_a_recording_here_is_called_by_its_folder(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(recording)
    link = recording.parent / "link"
    link.symlink_to(recording)
    for path, name in ((".", "recording"), ("color/..", "recording"), (str(link), "link")):
        (scene,) = chosen_scenes(DataConfig(frames=0), ROOMS, sequence=Path(path))
        assert (scene.name, scene.frames[1].name) == (name, f"{name}/1")
        assert Sequence.open(path).name == name


def test_the_config_says_what_is_rendered_and_options_go_before_it(checkpoint: Path, tmp_path: Path) -> None:
    from sray.checkpoint import load_checkpoint

    config = tmp_path / "a.yaml"
    config.write_text("data: {test: '9500:9502', width: 80, frames: 12}\nevaluation: {targets: 5, quality: high}\n")
    command = Evaluate(config=config, targets=3, frames=6)
    data, plan = command.settings(load_checkpoint(checkpoint).label_space)
    assert (data.test, data.width, data.height, data.frames) == ("9500:9502", 80, 120, 6)
    assert (plan.targets, plan.views, plan.quality, plan.depth) == (3, 8, "high", False)
    assert Evaluate(sequence=tmp_path).settings(load_checkpoint(checkpoint).label_space)[0].frames == 0, (
        "all of a recording"
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seeds": ("9000", "x")}, "x"),
        ({"seeds": ("9000",), "sequence": Path("a")}, "--sequence"),
        ({"views": 0}, "views is 0"),
        ({"frames": -3}, "frames is -3; expected at least 0"),
        ({"width": 0}, "width is 0; expected at least 17"),
        ({"height": 15}, "height is 15; expected at least 17"),
        ({"threads": -1}, "threads is -1"),
        ({"bounds": (2.0, 1.0)}, "near < far"),
    ],
)
def test_a_wrong_option_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Evaluate(**arguments)


def test_a_record_that_is_there_is_kept(run: Run, checkpoint: Path, recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_text("precious")
    with pytest.raises(SrayError, match="kept.json exists"):
        Evaluate(checkpoint=checkpoint, sequence=recording, json=path).main()
    with pytest.raises(SrayError, match="kept.json exists"):
        Evaluate(checkpoint=checkpoint, sequence=recording, json=tmp_path / "new.json", report=path).main()
    assert path.read_text() == "precious" and not (tmp_path / "new.json").exists()


def test_an_interrupted_evaluation_leaves_the_old_record_and_says_how_far_it_got(
    run: Run, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.json").write_text("of yesterday")
    render, times = SemanticField.render, []

    def interrupted(self: SemanticField, camera: Camera, **how: Any) -> RenderedView:
        if times:
            raise KeyboardInterrupt
        times.append(1)
        return render(self, camera, **how)

    monkeypatch.setattr(SemanticField, "render", interrupted)
    with pytest.raises(SystemExit) as stop:
        run("--sequence", str(recording), "--targets", "3")
    assert stop.value.code == 130
    assert (tmp_path / "out.json").read_text() == "of yesterday"
    assert "stopped after 1 of 3 pictures" in capsys.readouterr().out
