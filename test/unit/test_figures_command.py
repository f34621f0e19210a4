"""`sray figures` end to end on a tiny recording: the page, its pictures, its numbers, and the gaps it names."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import PlaneScene

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.field import SemanticField
from sray.label_space import ROOMS
from sray.metrics import ConfusionMatrix
from sray.model import SemanticRay, SemanticRayConfig
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray.sequence_writer import SequenceWriter
from sray_train.cli import main
from sray_train.cli.figures import Figures, shown_queries
from sray_train.data.catalog import load_scenes
from sray_train.data.scene import Scene
from sray_train.data.view_split import split_views
from sray_train.learn.config import load_config
from sray_train.paper.baselines.coordinate_network import CoordinateConfig
from sray_train.paper.baselines.nerf import NeRF
from sray_train.paper.baselines.neuray import NeuRay, NeuRayConfig
from sray_train.paper.figures.contenders import BEST, NERF, NEURAY, S_RAY, S_RAY_TUNED, Gap, StudyFolder
from sray_train.score.evaluate import render_queries

SECTIONS = ("labels", "scene", "features", "attention", "weights", "semantic_nerf", "color")


def saved(path: Path, model: RayModel, lineage: dict[str, Any] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, model, ROOMS, lineage)
    return path


def s_ray(seed: int = 0, **config: Any) -> SemanticRay:
    torch.manual_seed(seed)
    return SemanticRay(SemanticRayConfig(ROOMS.classes, **config))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment on a recording of 20 frames, as few as the paper's split takes."""
    root = tmp_path_factory.mktemp("figures")
    writer = SequenceWriter(root / "wall", ROOMS)
    for index, frame in enumerate(PlaneScene(width=32, height=24).ring(20)):
        writer.add(index, frame)
    data = {"dataset": "folder", "root": str(root), "train": "other", "validation": "other", "test": "wall"}
    path = root / "experiment.yaml"
    path.write_text(yaml.safe_dump({"data": data | {"width": 32, "height": 24, "frames": 0}}))
    return path


@pytest.fixture(scope="module")
def wall(config: Path) -> Scene:
    data = load_config(config).data
    return load_scenes(data, data.test)[0]


def figures(config: Path, folder: Path, checkpoint: Path, *more: str) -> tuple[str, dict[str, Any]]:
    """The page and the record of a run with `folder/run` as run folder."""
    main(
        ["figures", "--config", str(config), "--run-folder", str(folder / "run"), "--checkpoint", str(checkpoint)]
        + ["--quality", "fast", "--threads", "1", "--output", str(folder / "out"), *more]
    )
    return (folder / "out/index.html").read_text(), json.loads((folder / "out/figures.json").read_text())


def section(page: str, name: str) -> str:
    return page[page.index(f'<section id="{name}">') :].partition("</section>")[0]


@pytest.fixture(scope="module")
def partly_trained(config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, Any]]:
    """A run with S-Ray (seed 1) and NeRF alone: its folder, page and record."""
    folder = tmp_path_factory.mktemp("partly")
    saved(S_RAY.checkpoint(folder / "run", 0, "wall"), s_ray(1))
    saved(NERF.checkpoint(folder / "run", 0, "wall"), NeRF(CoordinateConfig(classes=ROOMS.classes, layers=2, width=8)))
    return folder, *figures(config, folder, saved(folder / "model.safetensors", s_ray()))


def test_it_shows_what_there_is_with_its_scores(wall: Scene, partly_trained: tuple[Path, str, dict[str, Any]]) -> None:
    folder, page, record = partly_trained
    query = shown_queries(wall, 1)[0]
    view = next(render_queries(SemanticField(s_ray(1), RenderConfig.preset("fast")), [query])).view
    truth = wall.frames[query.target].labels
    assert truth is not None
    matrix = ConfusionMatrix(ROOMS.classes)
    matrix.update(view.labels, truth)
    title = f"wall, frame {query.target}"
    assert record["scores"][title]["S-Ray"]["strict_miou"] == pytest.approx(matrix.strict().miou)
    assert set(record["scores"][title]) == {"S-Ray", "NeRF"}
    assert f"strict mIoU {100 * matrix.strict().miou:.1f} %" in section(page, "labels")
    assert f"PSNR {record['scores'][title]['NeRF']['psnr']:.1f} dB" in section(page, "color")
    drawn = cv2.imread(str(folder / f"out/pictures/labels_wall_{query.target}_semantic_ray_generalization_0.png"))
    assert drawn is not None and np.array_equal(drawn[..., ::-1], ROOMS.colorize(view.labels.numpy()))
    for name in SECTIONS:
        assert "data:image/png;base64," in section(page, name), name
    assert "visible from the source" in section(page, "attention")
    assert next(one["even"]["what"] for one in record["attention"][title]) == "compositing weight"


def test_it_names_what_is_missing_and_the_command_that_makes_it(
    partly_trained: tuple[Path, str, dict[str, Any]],
) -> None:
    folder, page, _ = partly_trained
    for missing in ("NeuRay + head", "NeuRay + head, fine-tuned, scene wall", "S-Ray, fine-tuned, scene wall"):
        assert f"{missing}: not shown" in section(page, "labels")
    assert "S-Ray: not shown" not in page and "NeRF, scene wall: not shown" not in section(page, "color")
    assert "Semantic-NeRF, scene wall: not shown" in section(page, "semantic_nerf")
    assert f"--run-folder {folder / 'run'} --only semantic_nerf" in section(page, "semantic_nerf")


def test_the_page_is_complete_in_itself_and_is_made_of_the_pngs_beside_it(
    partly_trained: tuple[Path, str, dict[str, Any]],
) -> None:
    folder, page, _ = partly_trained
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    inside = {base64.b64decode(text) for text in re.findall(r'src="data:image/png;base64,([^"]+)"', page)}
    assert inside == {path.read_bytes() for path in (folder / "out/pictures").iterdir()}


def test_with_no_contender_their_sections_say_what_makes_them(config: Path, tmp_path: Path) -> None:
    page, record = figures(config, tmp_path, saved(tmp_path / "m.safetensors", s_ray()))
    for name in set(SECTIONS) - {"features", "attention", "weights"}:
        assert "not shown" in section(page, name) and "<code>sray " in section(page, name), name
    assert list(record["scores"].values()) == [{}]


def test_a_checkpoint_that_is_not_there_is_named(config: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"none\.safetensors"):
        figures(config, tmp_path, tmp_path / "none.safetensors")


def test_a_model_without_radial_attention_still_shows_its_features_and_weights(config: Path, tmp_path: Path) -> None:
    page, record = figures(config, tmp_path, saved(tmp_path / "m.safetensors", s_ray(attention="cross_view")))
    assert "Radial attention: not shown" in section(page, "attention")
    assert "base64" in section(page, "features") and "base64" in section(page, "weights")
    assert record["attention"] == {}


def test_another_system_is_refused_for_the_inner_figures(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = saved(tmp_path / "neuray.safetensors", NeuRay(NeuRayConfig(classes=ROOMS.classes, planes=4)))
    with pytest.raises(SystemExit) as stop:
        figures(config, tmp_path, other)
    assert "neuray" in str(stop.value) and "semantic_ray" in str(stop.value)


def test_a_page_that_is_there_is_kept_unless_told(config: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.html").write_text("mine")
    with pytest.raises(SystemExit, match="--overwrite"):
        figures(config, tmp_path, tmp_path / "none.safetensors")
    assert (tmp_path / "out/index.html").read_text() == "mine"
    page, _ = figures(config, tmp_path, saved(tmp_path / "m.safetensors", s_ray()), "--overwrite")
    assert "Figure 9" in page


# Which pictures, and whose


def test_shown_frames_teach_nobody_and_are_rendered_from_others(wall: Scene) -> None:
    split = split_views(wall)
    shown = shown_queries(wall, 4)
    assert sorted(query.target for query in shown) == sorted(split.test)
    assert all(set(query.sources) == set(split.sources) for query in shown)
    assert shown_queries(wall, 1)[0].target in split.test


def test_a_checkpoint_that_learned_from_the_shown_frame_is_not_shown_on_it(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, 0, Path("study.yaml"))
    path = S_RAY_TUNED.checkpoint(tmp_path, 0, "wall")
    saved(path, s_ray(), {"data": {"sources": ["wall/1"], "tuning": ["wall/2"], "test": ["wall/3"]}})
    for frame in ("wall/1", "wall/2"):
        found = study.load(S_RAY_TUNED, "wall", frame, ROOMS)
        assert isinstance(found, Gap) and f"learned from {frame}" in found.why and str(path) in found.command
    assert not isinstance(study.load(S_RAY_TUNED, "wall", "wall/3", ROOMS), Gap)


def test_a_finished_training_comes_before_its_best_weights_so_far(tmp_path: Path) -> None:
    missing = NEURAY.checkpoint(tmp_path, 0, "")
    assert missing.name == "trained.safetensors"
    saved(missing.with_name(BEST), s_ray())
    assert NEURAY.checkpoint(tmp_path, 0, "").name == BEST
    saved(missing, s_ray())
    assert NEURAY.checkpoint(tmp_path, 0, "") == missing


def test_a_damaged_checkpoint_is_a_gap_that_says_so(tmp_path: Path) -> None:
    path = S_RAY.checkpoint(tmp_path, 0, "wall")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cut short")
    found = StudyFolder(tmp_path, 0, Path("study.yaml")).load(S_RAY, "wall", "wall/3", ROOMS)
    assert isinstance(found, Gap) and "cannot be read" in found.why and f"rm {path}" in found.command


def test_scenes_are_read_as_the_studys_s_ray_or_else_the_checkpoint_learned_them(tmp_path: Path) -> None:
    lineage = {"config": {"data": {"dataset": "rooms", "width": 64, "height": 48, "frames": 21, "unheard_of": 1}}}
    checkpoint = load_checkpoint(saved(tmp_path / "m.safetensors", s_ray(), lineage))
    command = Figures(run_folder=tmp_path)
    data = command.data(checkpoint)
    assert (data.width, data.height, data.frames, data.test) == (64, 48, 21, "9000:9020")
    saved(S_RAY.checkpoint(tmp_path, 0, ""), s_ray(), {"config": {"data": {"width": 80, "height": 60}}})
    data = command.data(checkpoint)
    assert (data.width, data.height, data.frames) == (80, 60, 24)


def test_a_lineage_that_names_no_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lineage = {"config": {"data": {"dataset": "moon"}}}
    path = saved(tmp_path / "m.safetensors", s_ray(), lineage)
    with pytest.raises(SystemExit, match="--config"):
        main(["figures", "--checkpoint", str(path), "--output", str(tmp_path / "out"), "--threads", "1"])
