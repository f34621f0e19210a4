"""The mean of several encoders: what is averaged, what stays, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from average_checkpoints import Average

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.errors import FileError, ModelError, RequestError
from sray.label_space import ROOMS, SCANNET20, LabelSpace
from sray.model import SemanticRay, SemanticRayConfig


@pytest.fixture
def saved(tmp_path: Path) -> list[Path]:
    """Three networks of different weights."""
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for number, path in enumerate(paths):
        torch.manual_seed(number)
        save_checkpoint(
            path, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS, {"run": number, "terms": f"terms {number % 2}"}
        )
    return paths


def test_encoders_and_classifiers_are_averaged_and_the_rest_is_the_first_ones(
    saved: list[Path], tmp_path: Path
) -> None:
    Average(tuple(saved), tmp_path / "mean.safetensors").main()
    found, given = load_checkpoint(tmp_path / "mean.safetensors"), [load_checkpoint(path) for path in saved]
    weights = [each.model.state_dict() for each in given]
    for name, tensor in found.model.state_dict().items():
        if name.startswith("encoder.") or ".classifier." in name:
            torch.testing.assert_close(tensor, torch.stack([each[name] for each in weights]).mean(0))
        else:
            assert torch.equal(tensor, weights[0][name]), name
    assert found.lineage["run"] == 0 and found.lineage["mean_of"] == [each.sha256 for each in given]
    assert found.terms == "terms 0; terms 1"


@pytest.mark.parametrize(("config", "space"), [("efficientnet_lite0", ROOMS), ("resunet", SCANNET20)])
def test_a_checkpoint_of_another_network_is_refused(
    saved: list[Path], tmp_path: Path, config: str, space: LabelSpace
) -> None:
    other = SemanticRay(SemanticRayConfig(space.classes, encoder=config))  # type: ignore[arg-type]
    save_checkpoint(tmp_path / "other.safetensors", other, space)
    with pytest.raises(ModelError, match="other.safetensors has another encoder or label space"):
        Average((saved[0], tmp_path / "other.safetensors"), tmp_path / "mean.safetensors").main()
    assert not (tmp_path / "mean.safetensors").exists()


def test_no_file_is_replaced_unless_told_and_one_alone_has_no_mean(saved: list[Path]) -> None:
    with pytest.raises(RequestError, match="expected two or more"):
        Average(tuple(saved[:1]), saved[2]).main()
    with pytest.raises(FileError, match="2.safetensors exists"):
        Average(tuple(saved[:2]), saved[2]).main()
    Average(tuple(saved[:2]), saved[2], overwrite=True).main()
