"""Which models a 2D segmenter takes: what is refused by name, and what is never run or fetched."""

from __future__ import annotations

import fnmatch
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from segmenter_fixtures import save_model, transformers

from sray.errors import FileError, ModelError, NotInstalledError, SrayError
from sray.segmentation import load_pretrained


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder, to be spoiled."""
    return save_model("deeplab", tmp_path / "model")


def refused(folder: Path | str) -> SrayError:
    with pytest.raises(SrayError) as error:
        load_pretrained(folder)
    return error.value


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.fault(
    "a 2D segmenter whose weights are pickled",
    code="none",
    says="sray pseudolabel",
    recovery="take its safetensors",
)
def test_pickled_weights_are_refused_and_never_run(model: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Trap(mark)}))
    load_pretrained(model)  # beside safetensors, it is not looked at
    (model / "model.safetensors").unlink()
    error = refused(model)
    assert isinstance(error, FileError) and "pickled weights only (pytorch_model.bin)" in str(error)
    assert not mark.exists()
    pickle.loads((model / "pytorch_model.bin").read_bytes())
    assert mark.exists()  # the trap works


def test_a_model_that_lacks_something_is_refused_by_name(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    name = "segmentation_head.classifier.convolution.weight"
    save_file(
        {key: value for key, value in weights.items() if key != name}, model / "model.safetensors", {"format": "pt"}
    )
    error = refused(model)
    assert isinstance(error, ModelError) and f"lacks 1 weights of SemanticSegmentation, first {name}" in str(error)
    save_file({**weights, name: weights[name] * torch.nan}, model / "model.safetensors", {"format": "pt"})
    assert "NaN or infinity in segmentation_head.classifier" in str(refused(model))
    save_file({**weights, name: weights[name][:2]}, model / "model.safetensors", {"format": "pt"})
    assert "cannot be loaded" in str(refused(model))
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    error = refused(model)
    assert isinstance(error, FileError) and str(model) in str(error)
    (model / "preprocessor_config.json").unlink()
    assert "has no preprocessor_config.json" in str(refused(model))
    (model / "model.safetensors").unlink()
    (model / "preprocessor_config.json").write_text("{}")
    assert "holds no weights" in str(refused(model))


def test_a_model_that_labels_no_pixels_is_refused(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    error = refused(model)
    assert isinstance(error, ModelError) and "is a bert, which labels no pixels" in str(error)
    (model / "config.json").write_text(json.dumps({**config, "model_type": "from the future"}))
    assert "config.json cannot be used" in str(refused(model))


def test_a_classifier_has_no_segmentation_head(model: Path) -> None:
    transformers.MobileNetV2ForImageClassification(
        transformers.MobileNetV2Config(depth_multiplier=0.25)
    ).save_pretrained(model)
    error = refused(model)
    assert isinstance(error, ModelError) and "segmentation_head" in str(error) and "random" in str(error)


def test_of_a_hub_model_nothing_but_data_is_fetched(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    for name in ("pytorch_model.bin", "modeling_mine.py", "optimizer.pt", "README.md"):
        (model / name).touch()

    def fetch(name: str, allow_patterns: list[str]) -> str:
        if name != "someone/model":
            raise OSError("no such model\nand much more")
        for file in model.iterdir():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, tmp_path / file.name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert load_pretrained("someone/model").name == "someone/model"
    files = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert files == {"config.json", "preprocessor_config.json", "model.safetensors"}
    error = refused("someone/else")
    assert isinstance(error, FileError) and "someone/else is no folder" in str(error)
    assert "(no such model)" in str(error)


@pytest.mark.fault(
    "the extra `segmenter` is not installed", code="none", says="sray pseudolabel", recovery="pip install it"
)
def test_without_the_extra_it_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    error = refused(model)
    assert isinstance(error, NotInstalledError) and "pip install 'sray_ros[segmenter]'" in str(error)
    monkeypatch.undo()
    load_pretrained(model)


def test_nothing_but_a_segmenter_imports_transformers() -> None:
    code = "import sys, sray.segmentation; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
