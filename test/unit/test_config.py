"""An experiment's file: every value is taken as it stands or refused by its dotted name, none is bent to its type."""

from __future__ import annotations

from pathlib import Path

import pytest

from sray.errors import FileError, SrayError
from sray_train.learn.config import TrainConfig, load_config


def read(folder: Path, text: str) -> TrainConfig:
    (folder / "run.yaml").write_text(text)
    return load_config(folder / "run.yaml")


def test_values_of_their_types_are_taken(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        "frozen: {views: [3, 5], coarse_semantics: false, learning_rate: 1, steps: 0}\n"
        "data: {train: '7', learn_by_heart: true}\nmodel: {attention: none}\nprecision: bf16-mixed\n",
    )
    assert config.frozen.views == (3, 5) and config.frozen.coarse_semantics is False and config.frozen.steps == 0
    assert config.frozen.learning_rate == 1 and type(config.frozen.learning_rate) is float
    assert config.frozen.rays == TrainConfig().frozen.rays, "what is not named stays as it was"
    assert (config.data.train, config.data.learn_by_heart) == ("7", True)
    assert (config.model.attention, config.precision) == ("none", "bf16-mixed")
    assert read(tmp_path, "") == TrainConfig()


def test_an_experiment_like_another_has_what_it_does_not_change(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text("frozen: {rays: 7, steps: 3}\nthreads: 2\n")
    config = read(tmp_path, "like: first.yaml\nsystem: neuray\nfrozen: {steps: 5}\n")
    assert (config.system, config.frozen.rays, config.frozen.steps, config.threads) == ("neuray", 7, 5, 2)
    (tmp_path / "first.yaml").write_text("like: run.yaml\n")
    refused(tmp_path, "like: first.yaml", ["like: first.yaml leads back to run.yaml"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "frozen: {coarse_semantics: 'false'}",
            ["frozen.coarse_semantics: found 'false'; expected a valid boolean", "no q"],
        ),
        ("frozen: {coarse_semantics: 1}", ["frozen.coarse_semantics: found 1; expected a valid boolean"]),
        ("encoder: {steps: 2.7}", ["encoder.steps: found 2.7; expected a valid integer"]),
        ("encoder: {steps: true}", ["encoder.steps: found True; expected a valid integer"]),
        ("encoder: {steps: 1e3}", ["encoder.steps: found '1e3'; expected a valid integer", "such as 1000"]),
        ("encoder: {learning_rate: 1e-3}", ["encoder.learning_rate: found '1e-3'; expected a valid number", "1.0e-3"]),
        ("encoder: {learning_rate: fast}", ["encoder.learning_rate: found 'fast'; expected a valid number"]),
        ("data: {root: null}", ["data.root: found None; expected a valid string"]),
        ("data: {train: [a, b]}", ["data.train: found ['a', 'b']; expected a valid string", "apart by commas"]),
        ("data: {train: 8:20}", ["data.train: found 500; expected a valid string", "quotes"]),
        ("frozen: {views: [4, 8, 9]}", ["frozen.views: found [4, 8, 9]; tuple should have at most 2 items"]),
        ("frozen: {views: [4]}", ["frozen.views.1: found [4]; field required"]),
        ("frozen: {views: 8}", ["frozen.views: found 8; expected a valid array"]),
        ("frozen: {views: [4, 8.5]}", ["frozen.views.1: found 8.5; expected a valid integer"]),
        ("frozen: 3", ["frozen: found 3; expected an object"]),
        ("- frozen", ["found a list; expected sections and fields"]),
        ("joint: {stepz: 3}", ["joint: stepz is not a field of RayStage; expected one of steps,"]),
        ("evaluation: {quality: best}", ["evaluation.quality: found 'best'; expected 'reference', 'high',"]),
        ("model: {attention: [full]}", ["model.attention: found ['full']; expected 'none',"]),
        ("model: {tau: '0.5'}", ["model.tau: found '0.5'; expected a valid number"]),
        ("loss: {color: true}", ["loss.color: found True; expected a valid number"]),
        ("like: missing.yaml", ["[Errno 2]", "missing.yaml"]),
    ],
)
def test_another_type_is_refused_by_its_field(tmp_path: Path, text: str, said: list[str]) -> None:
    refused(tmp_path, text, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("encoder: {steps: -1}", "encoder.steps: found -1; expected a value greater than or equal to 0"),
        ("encoder: {batch: 0}", "encoder.batch: found 0; expected a value greater than 0"),
        ("encoder: {pixels: 0}", "encoder.pixels: "),
        ("encoder: {learning_rate: 0}", "encoder.learning_rate: found 0; expected a value greater than 0"),
        ("encoder: {final_learning_rate: .nan}", "encoder.final_learning_rate: found nan; expected a finite number"),
        ("encoder: {weight_decay: -0.1}", "encoder.weight_decay: "),
        ("frozen: {steps: -5}", "frozen.steps: "),
        ("frozen: {rays: 0}", "frozen.rays: "),
        ("frozen: {targets: 0}", "frozen.targets: "),
        ("frozen: {views: [9, 4]}", "frozen: views is (9, 4); expected fewest and most"),
        ("frozen: {coarse_samples: 1}", "frozen.coarse_samples: found 1; expected a value greater than or equal to 2"),
        ("joint: {learning_rate: .inf}", "joint.learning_rate: found inf; expected a finite number"),
        ("joint: {final_learning_rate: 0.0}", "joint.final_learning_rate: "),
        ("joint: {encoder_learning_rate: -1}", "joint.encoder_learning_rate: "),
        ("loss: {semantic: -1}", "loss: semantic is -1.0; expected a finite weight"),
        ("loss: {depth: .nan}", "loss.depth: found nan; expected a finite number"),
        ("loss: {semantic: 0, color: 0, depth: 0}", "loss has only weights of 0"),
        ("data: {width: 16}", "data.width: found 16; expected a value greater than or equal to 17"),
        ("data: {height: 0}", "data.height: "),
        ("data: {frames: -3}", "data.frames: "),
        ("data: {dataset: scannet}", "data: root is empty; expected the folder of the scannet dataset"),
        ("data: {label_space: roms}", "data: label_space is 'roms'; expected one of rooms"),
        ("model: {tau: 0}", "model: tau is 0.0; expected more than 0"),
        ("evaluation: {targets: 0}", "evaluation.targets: "),
        ("threads: -1", "threads: found -1; expected a value greater than or equal to 0"),
        ("loader_workers: -1", "loader_workers: "),
        ("keep_best: 0", "keep_best: "),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_field(tmp_path: Path, text: str, said: str) -> None:
    refused(tmp_path, text, [said])


def refused(folder: Path, text: str, said: list[str]) -> None:
    with pytest.raises(SrayError) as caught:
        read(folder, text)
    assert isinstance(caught.value, FileError)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'run.yaml'}: {said[0]}"), message
    for part in said:
        assert part in message, message
