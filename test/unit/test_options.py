"""The options that several commands have: what they make of a config, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sray.label_space import INDOOR, ROOMS
from sray_train.cli.evaluate import Evaluate
from sray_train.cli.finetune import Finetune
from sray_train.cli.levels import Levels
from sray_train.cli.options import SceneOptions, at_least
from sray_train.cli.render import Render
from sray_train.cli.view import View
from sray_train.data.config import DataConfig


def test_options_that_are_given_replace_what_the_config_says() -> None:
    config = DataConfig(dataset="folder", root="r", label_space="indoor", label_ids="scannet", width=320, frames=7)
    assert SceneOptions().data(config, None) == config
    asked = SceneOptions(width=64, frames=0, label_ids="nyu40").data(config, ROOMS)
    assert asked == replace(config, width=64, frames=0, label_ids="nyu40", label_space="rooms")


def test_a_label_space_without_a_name_here_leaves_the_configs() -> None:
    config = DataConfig(label_space="indoor")
    assert SceneOptions().data(config, replace(INDOOR, name="a house of my own")) == config


def test_rooms_have_the_bounds_that_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRAY_CACHE", str(tmp_path))
    small = DataConfig(width=32, height=24, frames=2)
    (own,) = SceneOptions(seeds=("9000",)).scenes(small, ROOMS)
    (asked,) = SceneOptions(seeds=("9000",), bounds=(0.25, 9.0)).scenes(small, ROOMS)
    assert asked.bounds == (0.25, 9.0) != own.bounds


@pytest.mark.parametrize("command", [Evaluate, Render, Finetune, Levels])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sequence": Path("a")}, "--seeds and --sequence"),
        ({"width": 16}, "width is 16; expected at least 17"),
        ({"frames": -1}, "frames is -1"),
        ({"bounds": (3.0, 2.0)}, "near < far"),
        ({"threads": -1}, "threads is -1"),
    ],
)
def test_every_command_refuses_the_same(command: Any, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        command(seeds=("9000",), **options)


@pytest.mark.parametrize("options", [{"targets": 9}, {"views": 3}, {"apart": (0.5, 20.0)}])
def test_a_tuned_scene_is_measured_on_its_split_alone(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"--{name} given with --tune-steps; expected --tune-steps without"):
        Levels(tune_steps=60, **options)
    Levels(**options)
    Levels(tune_steps=60, targets=4, views=8)


def test_an_option_is_named_as_it_is_typed() -> None:
    at_least(0, score_every=None, tune_steps=0)
    with pytest.raises(ValueError, match="score-every is -1; expected at least 0"):
        at_least(0, score_every=-1)


def test_a_recordings_pictures_may_be_looked_at_as_they_are() -> None:
    assert View(Path("a"), width=0).width == 0
    with pytest.raises(ValueError, match="width is -1"):
        View(Path("a"), width=-1)
