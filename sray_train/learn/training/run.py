"""A training run from its config alone: scenes, a new network, the weights it starts from, and the trainer's stages."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from sray.backbone import LiteUNet
from sray.checkpoint import Checkpoint
from sray.errors import ModelError, RequestError, TooFewViewsError
from sray.frames import Frame
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.model import SemanticRay
from sray.ray_model import RayModel
from sray_train.data.catalog import load_scenes, refuse_leaks
from sray_train.data.labeled_pictures import KEPT_OUT, LabeledPictures
from sray_train.data.scene import FrameCache, RecordedFrames, Scene
from sray_train.learn.backbone_weights import load_pretrained
from sray_train.learn.config import TrainConfig
from sray_train.learn.pseudolabels.teaching import load_pseudolabeled
from sray_train.learn.systems import load_checkpoint
from sray_train.learn.training.allocator import keep_freed_memory
from sray_train.learn.training.processes import make_fabric
from sray_train.learn.training.stereo_stage import stereo_of
from sray_train.learn.training.trainer import Trainer


def make_trainer(
    config: TrainConfig, folder: Path, *, max_seconds: float = math.inf, fabric: Fabric | None = None
) -> Trainer:
    """A trainer of this config, where the folder's last run of it stopped. Without `fabric`: one process, on the CPU.

    Sets torch's seed and threads. Raises SrayError for scenes, checkpoints or a folder that do not fit the config.
    """
    refuse_leaks(config.data)
    keep_freed_memory()
    fabric = fabric or make_fabric(config.precision, accelerator="cpu", devices=1)
    torch.manual_seed(config.seed)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", fabric.world_size))
    torch.set_num_threads(config.threads or max(1, (os.cpu_count() or 1) // here))
    space = LABEL_SPACES[config.data.label_space]
    # Before rooms are made, which takes the longest: a wrong path is an error at once.
    pictures = load_pictures(config, space) if config.data.pictures else ((), ())
    pseudolabeled = load_pseudolabeled(config.data, space)
    check_views(pseudolabeled)
    with fabric.rank_zero_first():  # rooms are made by one process, found by the others
        train = load_scenes(config.data, config.data.train)
        validation = load_scenes(config.data, config.data.validation)
        train_rays = load_scenes(config.data, config.data.train_rays) if config.data.train_rays else None
    check_scenes(config, train, [*validation, *(train_rays or ())])
    model = config.new_model(space.classes)
    parents: dict[str, Checkpoint[RayModel]] = {}
    if config.start_from:
        parents["start_from"] = start_from(Path(config.start_from), model, space)
    given = parents["start_from"].model if parents else None
    if config.encoder_from:
        parents["encoder_from"] = encoder_from(Path(config.encoder_from), model, space)
    elif isinstance(model.encoder, LiteUNet) and (given is None or not same_encoder(model, given)):
        load_pretrained(model.encoder.backbone, model.config.encoder)
    if config.stereo_from:
        parents["stereo_from"] = stereo_from(Path(config.stereo_from), model)
    hinting = given.to(fabric.device) if given is not None and config.encoder.hints else None
    trainer = Trainer(
        config,
        model,
        space,
        train,
        validation,
        folder,
        max_seconds,
        fabric,
        pictures,
        train_rays,
        pseudolabeled,
        hinting,
        parents,
    )
    if trainer.resume():
        fabric.print(f"going on after {trainer.progress.seconds / 60:.0f} minutes of training", flush=True)
    return trainer


def load_pictures(config: TrainConfig, space: LabelSpace) -> tuple[Sequence[Frame], Sequence[Frame]]:
    """The single labeled pictures that teach, and every tenth, which does not. Read when asked for, and kept."""
    found = LabeledPictures.open(
        Path(config.data.pictures).expanduser(), space, config.data.picture_ids, config.data.picture_fx_over_width
    )
    cache = FrameCache()
    kept = [position for position in range(len(found)) if position % KEPT_OUT == 0]
    taught = [position for position in range(len(found)) if position % KEPT_OUT]
    return RecordedFrames(found, taught, None, cache), RecordedFrames(found, kept, None, cache)


def check_scenes(config: TrainConfig, train: list[Scene], validation: list[Scene]) -> None:
    """What would end a run in the middle. Raises SrayError, naming the scene.

    TooFewViewsError: a scene without a source beside the target. RequestError: pictures that the encoder's stage cannot
    stack.
    """
    check_views([*train, *validation])
    sizes = {(scene.cameras.width, scene.cameras.height): scene.name for scene in train}
    if config.encoder.steps and len(sizes) > 1:
        shown = ", ".join(f"{name} {width}x{height}" for (width, height), name in list(sizes.items())[:4])
        raise RequestError(
            f"scenes of several aspects are at several sizes ({shown})",
            "one, as the encoder's pictures are stacked",
            "Take scenes of one aspect for data.train, or leave the stage out (encoder.steps: 0)",
        )


def check_views(scenes: Sequence[Scene]) -> None:
    """Raises TooFewViewsError, naming the scene, for one without a source beside the target."""
    for scene in scenes:
        if len(scene.frames) < 2:
            raise TooFewViewsError(
                f"{scene.name} has {len(scene.frames)} usable frames",
                "at least 2: a picture and one to render it from",
                "Leave it out of data, or set data.frames higher",
            )


def start_from(path: Path, model: RayModel, space: LabelSpace) -> Checkpoint[RayModel]:
    """Give a new model a checkpoint's weights, and return the checkpoint.

    Its classifiers stay new if the checkpoint has another label space, its encoder if the checkpoint has another one.
    The model may read more of who sees what than the checkpoint's (`model.visibility`): it starts by ignoring that. Its
    stereo may refine depth where the checkpoint's does not (`model.refined_stereo`): the refinement is new.
    Raises ModelError if the networks differ otherwise.
    """
    checkpoint = load_checkpoint(path)
    given = checkpoint.model
    if isinstance(model, SemanticRay) and isinstance(given, SemanticRay) and not given.reads_depth:
        given = given.extended(model.config.visibility)
    weights = given.state_dict()
    if checkpoint.label_space.names != space.names:
        weights = {name: tensor for name, tensor in weights.items() if ".classifier." not in name}
    if not same_encoder(model, given):
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("encoder.")}
    own = model.state_dict()
    for name, tensor in weights.items():
        if name not in own or own[name].shape != tensor.shape:
            raise ModelError(
                f"start_from: {path} has another network (first difference: {name})",
                "the one of `system` and `model` in this config",
                "Set them as the checkpoint has them, or take its encoder alone (encoder_from)",
            )
    model.load_state_dict(weights, strict=False)
    return checkpoint


def same_encoder(model: RayModel, other: RayModel) -> bool:
    """Whether the encoders of two models have the same layers."""
    return _shapes(model.encoder) == _shapes(other.encoder)


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def stereo_from(path: Path, model: RayModel) -> Checkpoint[RayModel]:
    """Give a new model the stereo network of a checkpoint, and return the checkpoint.

    Raises SrayError if either has none, or they differ.
    """
    checkpoint = load_checkpoint(path)
    own, given = stereo_of(model), stereo_of(checkpoint.model)
    if _shapes(own) != _shapes(given):
        refines = given.refinement is not None
        found = "which refines depth" if refines else "which does not refine depth"
        remedy = f"Set model.refined_stereo to {str(refines).lower()}"
        raise ModelError(f"stereo_from: {path} has another stereo network, {found}", "the same layers", remedy)
    own.load_state_dict(given.state_dict())
    return checkpoint


def encoder_from(path: Path, model: RayModel, space: LabelSpace) -> Checkpoint[RayModel]:
    """Give a new model the encoder of a checkpoint of any system, and its picture classifier for the same label space.

    Returns the checkpoint.

    Raises ModelError if the model has another kind of encoder.
    """
    checkpoint = load_checkpoint(path)
    if not same_encoder(model, checkpoint.model):
        raise ModelError(
            f"encoder_from: {path} has another encoder than {model.system}",
            "the same layers",
            "Take the checkpoint of a system that has them, or set encoder_from to nothing",
        )
    model.encoder.load_state_dict(checkpoint.model.encoder.state_dict())
    if checkpoint.label_space.names == space.names:
        learned = checkpoint.model.picture_classifier.state_dict()
        for head in (model.coarse, model.fine):
            head.classifier.load_state_dict(learned)
    return checkpoint
