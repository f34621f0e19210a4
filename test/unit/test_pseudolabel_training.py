"""Pseudo-labeled recordings teach beside labeled data, each label as much as the model that made it was sure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene

from sray.errors import FileError, ModelError, RequestError
from sray.label_space import ROOMS, VOID
from sray.learning.losses import LossWeights
from sray.model import SemanticRay, SemanticRayConfig
from sray.segmentation.segmenter import Segmentation
from sray.sequence import Sequence
from sray_train.data.config import DataConfig
from sray_train.learn.config import EncoderStage, RayStage, TrainConfig
from sray_train.learn.pseudolabels.folder import PseudoLabelFolder
from sray_train.learn.pseudolabels.teaching import PseudoLabeledFrame, drawn, load_pseudolabeled
from sray_train.learn.training.encoder_stage import EncoderTraining
from sray_train.learn.training.ray_stage import RayTraining
from sray_train.learn.training.run import make_trainer

SURE = 0.75
BED, CHAIR = ROOMS.names.index("bed"), ROOMS.names.index("chair")
RAYS = RayStage(steps=2, train_encoder=False, rays=400, views=(2, 3), coarse_samples=8, fine_samples=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataConfig:
    """A labeled wall, and the same wall labeled by a model: a bed on its left, a chair on its right, 0.75 sure."""
    root = tmp_path_factory.mktemp("data")
    for name in ("wall", "other"):
        PlaneScene().record(root / name, ROOMS, 5)
    folder = PseudoLabelFolder(root / "labeled", Sequence.open(root / "other", ROOMS))
    folder.path.mkdir()
    for part in ("color", "pose", "intrinsic"):
        (folder.path / part).symlink_to(root / "other" / part)
    labels = np.full((36, 48), BED, np.uint8)
    labels[:, 24:] = CHAIR
    for number in folder.recording.indices:
        folder.write(number, Segmentation(labels, np.full((36, 48), SURE, np.float32)), ROOMS)
    folder.record_file.write_text(json.dumps({"label_space": "rooms", "sequence": str((root / "other").resolve())}))
    return DataConfig(
        "folder",
        str(root),
        train="wall",
        validation="wall",
        test="nowhere",
        width=48,
        height=36,
        frames=0,
        pseudolabelled=str(folder.path),
    )


def model() -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(ROOMS.classes))


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def test_a_label_is_kept_as_often_as_its_maker_was_sure(data: DataConfig) -> None:
    """And it is the right pixel's, at the recorded size and at a smaller one."""
    for width, height in ((48, 36), (24, 18)):
        (scene,) = load_pseudolabeled(replace(data, width=width, height=height), ROOMS)
        frame = scene.frames[2]
        assert isinstance(frame, PseudoLabeledFrame) and frame.labels.shape == (height, width)
        found = torch.stack([drawn(frame, one).labels for one in generators(60)])
        assert set(found.unique().tolist()) == {BED, CHAIR, VOID}
        assert (found[..., : width // 2] != CHAIR).all() and (found[..., width // 2 :] != BED).all()
        assert float((found != VOID).float().mean()) == pytest.approx(SURE, abs=0.01)
    sure = replace(frame, confidence=torch.full_like(frame.confidence, 255))
    assert torch.equal(drawn(sure, generators(1)[0]).labels, frame.labels)
    true = PlaneScene().frame((0.0, 0.0, 0.0))
    assert drawn(true, generators(1)[0]) is true


def test_the_encoder_learns_from_them_beside_the_scenes(data: DataConfig) -> None:
    """A share of the pictures is theirs; alone they teach alone."""
    config = EncoderStage(batch=1, pixels=500, width=48, height=36, pseudolabel_share=0.4, smallest_crop=1.0)
    (other,) = load_pseudolabeled(data, ROOMS)
    truth = PlaneScene().ring(4)
    wall = replace(other, frames=truth)
    stage = EncoderTraining(config, model(), [wall], pseudolabeled=[other])
    labels = stage.draw(generators(300)).labels
    from_other = (labels == BED).any(1) | (labels == CHAIR).any(1)
    assert float(from_other.float().mean()) == pytest.approx(0.4, abs=0.08)
    assert float((labels[from_other] != VOID).float().mean()) == pytest.approx(SURE, abs=0.02)
    assert (labels[~from_other] <= 2).all(), "true labels are never left out"
    alone = EncoderTraining(config, model(), [], pseudolabeled=[other])
    assert set(alone.draw(generators(20)).labels.unique().tolist()) == {BED, CHAIR, VOID}


def test_rays_learn_from_them_beside_the_scenes(data: DataConfig) -> None:
    (other,) = load_pseudolabeled(data, ROOMS)
    wall = replace(other, frames=PlaneScene().ring(5))
    stage = RayTraining("frozen", replace(RAYS, pseudolabel_share=0.3), LossWeights(), model(), [wall], [other])
    targets = stage.draw(generators(200)).targets
    from_other = [target for target in targets if target.source_names[0][0] == 1]
    assert len(from_other) / len(targets) == pytest.approx(0.3, abs=0.1)
    labels = torch.cat([target.truth.labels for target in from_other])
    assert set(labels.unique().tolist()) == {BED, CHAIR, VOID}
    assert float((labels != VOID).float().mean()) == pytest.approx(SURE, abs=0.02)
    for target in from_other[:3]:  # the sources are its own, as they were taken
        assert torch.isfinite(stage.forward(stage.draw(generators(1)))[0]) and target.sources.depth is None


def test_a_run_takes_them_from_its_config(data: DataConfig, tmp_path: Path) -> None:
    """Encoder and rays, from the config alone; and it goes on when it is stopped."""
    config = TrainConfig(
        data=data, encoder=EncoderStage(steps=2, batch=2, pixels=64, width=48, height=36), frozen=RAYS, threads=1
    )
    config = replace(config, joint=replace(config.joint, steps=0))
    make_trainer(config, tmp_path / "run").run()
    assert list((tmp_path / "run").glob("best_frozen*.safetensors"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "pseudolabels.json").unlink(), "a folder that `sray pseudolabel` made"),
        (lambda folder: (folder / "confidence" / "0.png").unlink(), "the confidence of each label"),
        (lambda folder: cv2.imwrite(str(folder / "confidence" / "0.png"), np.zeros((36, 48, 3))), "8 bits of one"),
        (
            lambda folder: (folder / "pseudolabels.json").write_text('{"label_space": "indoor", "sequence": "/x"}'),
            "--label-space rooms",
        ),
    ],
)
def test_a_folder_that_cannot_teach_is_refused(data: DataConfig, tmp_path: Path, spoil, said: str) -> None:  # type: ignore[no-untyped-def]
    copied = tmp_path / "copy"
    source = Path(data.pseudolabelled)
    copied.mkdir()
    for part in source.rglob("*"):
        if part.is_file():
            target = copied / part.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(part.read_bytes())
    for part in ("color", "pose", "intrinsic"):
        if not (copied / part).exists():
            (copied / part).symlink_to((source / part).resolve())
    spoil(copied)
    with pytest.raises((FileError, ModelError), match=said):
        (scene,) = load_pseudolabeled(replace(data, pseudolabelled=str(copied)), ROOMS)
        _ = scene.frames[0]


def test_a_place_that_is_scored_may_not_teach(data: DataConfig) -> None:
    with pytest.raises(
        RequestError, match=r"labeled was made of .*the place of other/, which data\.test \(wall, other/\) scores"
    ):
        load_pseudolabeled(replace(data, test="wall, other/"), ROOMS)
