"""The model card: its tables are those of the record, and a figure that differs from the record is named."""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from sray.checkpoint import save_checkpoint
from sray.label_space import INDOOR, ROOMS, LabelSpace
from sray.model import SemanticRay, SemanticRayConfig

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    monkeypatch.syspath_prepend(str(MODELS.parent / "benchmarks"))
    yield importlib.import_module("model_card"), importlib.import_module("card_tables")


def record(**changes: Any) -> dict[str, Any]:
    scores = {"strict_miou": 0.4, "strict_miou_interval": [0.3, 0.5], "psnr": 29.0, "depth_abs_rel": None}
    return {**scores, "per_class": {"wall": 0.7}, "checkpoint": "abc", "commit": "1", "device": "x", **changes}


def test_the_committed_card_has_the_recorded_figures(modules: tuple[ModuleType, ModuleType]) -> None:
    """Nobody edits a figure by hand."""
    text, card = (MODELS / "README.md").read_text(), json.loads((MODELS / "card.json").read_text())
    assert modules[1].with_tables(text, card) == text
    assert f"| {card['sray_indoor/pictures/indoor']['strict_miou']:.3f} |" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"strict_miou": 0.404, "psnr": 29.04}, []),
        ({"strict_miou": 0.406}, ["strict_miou is 0.4060, recorded 0.4000"]),
        ({"psnr": 28.9}, ["psnr is 28.9"]),
        ({"strict_miou_interval": [0.3, 0.52]}, ["strict_miou_interval.1 is 0.52"]),
        ({"per_class": {"wall": 0.6}}, ["per_class.wall is 0.6"]),
        ({"per_class": {"wall": None}}, ["per_class.wall is none"]),
        ({"depth_abs_rel": 0.1}, ["depth_abs_rel is 0.1"]),
        ({"checkpoint": "def"}, ["recorded of checkpoint abc, measured def"]),
    ],
)
def test_what_differs_is_named(
    modules: tuple[ModuleType, ModuleType], changes: dict[str, Any], said: list[str]
) -> None:
    found = modules[0].compared("one", record(**changes), record())
    assert len(found) == len(said) and all(text in line for text, line in zip(said, found, strict=True))
    assert "nothing is recorded" in modules[0].compared("one", record(), None)[0]


def test_a_table_that_was_not_measured_stays_and_an_unknown_mark_is_refused(
    modules: tuple[ModuleType, ModuleType],
) -> None:
    text = "a\n<!-- measured: rooms -->\nold\n<!-- end -->\nb"
    assert modules[1].with_tables(text, {}) == text
    with pytest.raises(ValueError, match="marks a table 'tools'"):
        modules[1].with_tables(text.replace("rooms", "tools"), {})


def test_one_command_measures_records_and_compares(
    modules: tuple[ModuleType, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recorded, it is reproduced; another record, or another checkpoint, is told by the exit status."""
    module, _ = modules
    models, pictures = tmp_path / "models", tmp_path / "pictures"
    models.mkdir()
    (models / "README.md").write_text("<!-- measured: picture_classes -->\n\n<!-- end -->\n")

    def save(name: str, space: LabelSpace, seed: int) -> None:
        torch.manual_seed(seed)
        save_checkpoint(models / f"{name}.safetensors", SemanticRay(SemanticRayConfig(space.classes)), space)

    save("sray_indoor", INDOOR, 0)
    save("sray_rooms", ROOMS, 0)
    generator = np.random.default_rng(0)
    for folder, size in (("color", (48, 64, 3)), ("label40", (48, 64))):
        (pictures / folder).mkdir(parents=True)
        for number in range(21):
            values = generator.integers(0, 255 if folder == "color" else 38, size).astype(np.uint8)
            cv2.imwrite(str(pictures / folder / f"{number}.png"), values)

    def card(**options: Any) -> int:
        status: int = module.Card(
            pictures=pictures, only="pictures", models=models, output=tmp_path / "out", **options
        ).main()
        return status

    assert card() == 1 and "nothing is recorded" in capsys.readouterr().out
    assert card(write=True) == 0
    written = json.loads((models / "card.json").read_text())
    assert {name.split("/")[1] for name in written} == {"pictures"} and len(written) == 4
    assert all(each["pictures"] == 3 for each in written.values()), "every tenth of 21"
    assert "| wall | 0." in (models / "README.md").read_text()
    assert (tmp_path / "out" / "sray_indoor_pictures_indoor.jpg").is_file()
    assert not (models / "failures.jpg").exists(), "single pictures are not published"
    assert card() == 0 and "as recorded" in capsys.readouterr().out
    other = copy.deepcopy(written)
    other["sray_rooms/pictures/rooms"]["total_accuracy"] += 0.006
    (models / "card.json").write_text(json.dumps(other))
    assert card() == 1 and "sray_rooms/pictures/rooms: total_accuracy is" in capsys.readouterr().out
    save("sray_rooms", ROOMS, 1)
    assert card() == 1 and "recorded of checkpoint" in capsys.readouterr().out
