"""An experiment's file: every value is taken as it stands or refused by its dotted name, none is bent to its type."""

from __future__ import annotations

from pathlib import Path

import pytest

from sray.errors import ErrorCode, SrayError
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frozen: {coarse_semantics: 'false'}", ["frozen.coarse_semantics: found 'false' (text)", "without quotes"]),
        ("frozen: {coarse_semantics: 1}", ["frozen.coarse_semantics: found 1 (a whole number)", "true or false"]),
        ("encoder: {steps: 2.7}", ["encoder.steps: found 2.7 (a number); expected a whole number"]),
        ("encoder: {steps: true}", ["encoder.steps: found True (a truth value); expected a whole number"]),
        ("encoder: {steps: 1e3}", ["encoder.steps: found '1e3' (text)", "such as 1000"]),
        ("encoder: {learning_rate: 1e-3}", ["encoder.learning_rate: found '1e-3' (text)", "such as 1.0e-3"]),
        ("encoder: {learning_rate: fast}", ["encoder.learning_rate: found 'fast' (text); expected a number"]),
        ("data: {root: null}", ["data.root: found null (nothing); expected text"]),
        ("data: {train: [a, b]}", ["data.train: found ['a', 'b'] (a list); expected text", "'a, b'"]),
        ("data: {train: 8:20}", ["data.train: found 500 (a whole number); expected text", "quotes"]),
        ("frozen: {views: [4, 8, 9]}", ["frozen.views: found [4, 8, 9] (a list); expected 2 values"]),
        ("frozen: {views: [4]}", ["frozen.views: found [4] (a list); expected 2 values"]),
        ("frozen: {views: 8}", ["frozen.views: found 8 (a whole number); expected 2 values"]),
        ("frozen: {views: [4, 8.5]}", ["frozen.views: found 8.5 (a number); expected a whole number"]),
        ("frozen: 3", ["frozen: found 3 (a whole number); expected the fields of RayStage"]),
        ("- frozen", ["TrainConfig: found ['frozen'] (a list); expected the fields of TrainConfig"]),
        ("joint: {stepz: 3}", ["joint: stepz is not a field of RayStage; expected one of steps,"]),
        ("evaluation: {quality: best}", ["evaluation.quality: found 'best' (text); expected one of reference, high"]),
        ("model: {attention: [full]}", ["model.attention: found ['full'] (a list); expected one of none,"]),
    ],
)
def test_another_type_is_refused_by_its_field(tmp_path: Path, text: str, said: list[str]) -> None:
    refused(tmp_path, text, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("encoder: {steps: -1}", "encoder.steps: steps is -1; expected at least 0"),
        ("encoder: {batch: 0}", "encoder.batch: batch is 0; expected at least 1"),
        ("encoder: {pixels: 0}", "encoder.pixels: "),
        ("encoder: {learning_rate: 0}", "encoder.learning_rate: learning_rate is 0.0; expected more than 0"),
        ("encoder: {final_learning_rate: .nan}", "encoder.final_learning_rate: "),
        ("encoder: {weight_decay: -0.1}", "encoder.weight_decay: "),
        ("frozen: {steps: -5}", "frozen.steps: "),
        ("frozen: {rays: 0}", "frozen.rays: "),
        ("frozen: {targets: 0}", "frozen.targets: "),
        ("frozen: {views: [9, 4]}", "frozen.views: views is (9, 4); expected fewest and most"),
        ("frozen: {coarse_samples: 1}", "frozen: 1 coarse and"),
        ("joint: {learning_rate: .inf}", "joint.learning_rate: "),
        ("joint: {final_learning_rate: 0.0}", "joint.final_learning_rate: "),
        ("joint: {encoder_learning_rate: -1}", "joint.encoder_learning_rate: "),
        ("loss: {semantic: -1}", "loss.semantic: semantic is -1.0; expected a finite weight"),
        ("loss: {depth: .nan}", "loss.depth: "),
        ("loss: {semantic: 0, color: 0, depth: 0}", "loss: loss has only weights of 0"),
        ("data: {width: 15}", "data.width: width is 15; expected at least 16"),
        ("data: {height: 0}", "data.height: "),
        ("data: {frames: -3}", "data.frames: "),
        ("data: {dataset: scannet}", "data.root: root is empty; expected the folder of the scannet dataset"),
        ("data: {label_space: roms}", "data.label_space: label_space is 'roms'; expected one of rooms"),
        ("model: {tau: 0}", "model.tau: tau is 0.0; expected more than 0"),
        ("evaluation: {targets: 0}", "evaluation.targets: "),
        ("threads: -1", "threads: threads is -1; expected at least 0"),
        ("loader_workers: -1", "loader_workers: "),
        ("keep_best: 0", "keep_best: "),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_field(tmp_path: Path, text: str, said: str) -> None:
    refused(tmp_path, text, [said])


def refused(folder: Path, text: str, said: list[str]) -> None:
    with pytest.raises(SrayError) as caught:
        read(folder, text)
    assert caught.value.code == ErrorCode.BAD_FILE
    message = caught.value.args[0]
    assert message.startswith(f"{folder / 'run.yaml'}: {said[0]}"), message
    for part in said:
        assert part in message, message
