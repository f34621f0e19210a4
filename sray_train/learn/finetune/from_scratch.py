"""From new weights on one scene: the paper's `scratch` (Tables 3, 4, 9 and 17), with the split that fine-tuning has.

    experiment = load_config(path)
    start = new_checkpoint(experiment, scene, split)
    tuned = tune_scene(start, scene, split, TuningPlan(scratch_config(experiment)))

An experiment file says the system, its network, the loss, and of stage `frozen` the steps, rays, views, samples and
learning rates. Its data and its other stages are left aside, as is what it would start from (`start_from`,
`encoder_from`): all weights are new.

An encoder that knows nothing has to learn too: of the steps PICTURE_SHARE are on single pictures, as many as in the
default fine-tuning, and on rays it learns as fast as the rest, not as slowly as one that was trained before. A system
that knows its scene by heart gets its place from the cameras, unless it learns a generated room and the file says it.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.finetune_config import FineTuneConfig
from sray.label_space import LABEL_SPACES
from sray.ray_model import RayModel
from sray_train.data.scene import Scene
from sray_train.data.view_split import ViewSplit
from sray_train.learn.config import TrainConfig
from sray_train.paper.baselines.coordinate_network import CoordinateOptions

PICTURE_SHARE = 0.3
"""Of all steps, those on single pictures, where there is an encoder to learn from them."""


def scratch_config(config: TrainConfig, **changes: Any) -> FineTuneConfig:
    """An experiment as a FineTuneConfig. `changes`: its fields that are not as the experiment has them."""
    stage = config.frozen
    loss = changes.pop("loss", config.loss)
    if not config.system_class.knows_classes:
        loss = replace(loss, semantic=0.0)
    steps = changes.pop("steps", stage.steps)
    rate = changes.pop("learning_rate", stage.learning_rate)
    tuning = FineTuneConfig(
        steps=steps,
        picture_steps=round(PICTURE_SHARE * steps) if config.system_class.feature_channels else 0,
        rays=stage.rays * stage.targets,
        views=stage.views[1],
        coarse_samples=stage.coarse_samples,
        fine_samples=stage.fine_samples,
        learning_rate=rate,
        encoder_learning_rate=rate,
        first_layers=True,
        final_rate=stage.final_learning_rate / stage.learning_rate,
        loss=loss,
        divide_by_opacity=False,
    )
    return replace(tuning, **changes)


def new_checkpoint(
    config: TrainConfig, scene: Scene, split: ViewSplit, seed: int = 0, *, recorded: bool = False
) -> Checkpoint[RayModel]:
    """The experiment's network with new weights. The same seed gives the same ones; no random state is touched.

    `recorded`: the scene is a recording, and the center and extent of the experiment, which are of rooms, are not its.
    """
    space = LABEL_SPACES[config.data.label_space]
    section: Any = config.model
    if isinstance(section, CoordinateOptions):
        if recorded:
            section = replace(section, centre=CoordinateOptions.centre, extent=CoordinateOptions.extent)
        section = placed(section, scene.cameras[[*split.sources, *split.tuning]], scene.bounds)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = config.system_class.from_options(section, space.classes).eval()
    lineage = {"scratch": {"system": config.system, "model": asdict(section), "seed": seed}}
    return Checkpoint(model, space, lineage, sha256="")


def placed(options: CoordinateOptions, cameras: Camera, bounds: tuple[float, float]) -> CoordinateOptions:
    """The options with the center and extent of what cameras can see, but for what they already say of it."""
    low, high = seen_box(cameras, bounds)
    if options.centre == CoordinateOptions.centre:
        options = replace(options, centre=tuple(((low + high) / 2).tolist()))
    if options.extent == CoordinateOptions.extent:
        center = low.new_tensor(options.centre)
        options = replace(options, extent=float(torch.maximum(high - center, center - low).max()))
    return options


def seen_box(cameras: Camera, bounds: tuple[float, float]) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Lowest and highest world coordinates, meters, of what lies between `bounds` before any of the cameras."""
    right, bottom = cameras.width - 1.0, cameras.height - 1.0
    corners = torch.tensor([[0.0, 0.0], [right, 0.0], [0.0, bottom], [right, bottom]])
    points = [
        camera.center + depth * camera.ray_directions(corners)
        for camera in (cameras[index] for index in range(len(cameras.world_from_camera)))
        for depth in bounds
    ]
    box = torch.cat(points)
    return box.amin(0), box.amax(0)
