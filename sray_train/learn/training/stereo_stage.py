"""The stage that teaches stereo: the depth of a frame from a few partners, against the depth of the recording.

Real partners differ in exposure, white balance, sharpness and noise, and their poses err a little. So do these.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sray.camera import Camera
from sray.errors import RequestError
from sray.frames import SourceViews
from sray.metrics import mean
from sray.ray_model import RayModel
from sray.sampling import Bounds
from sray.stereo import StereoNetwork, select_partners
from sray.stereo.network import MatchingFeatures, StereoFeatures
from sray.stereo.partners import PARTNERS
from sray.stereo.refinement import OFFSETS, REACH, mean_offset
from sray.stereo.sweep import plane_depths
from sray_train.data.scene import Scene
from sray_train.learn.config import StereoStage

SIZES = ((160, 120), (224, 168), (320, 240))
"""At which frames are read, by chance: keyframes come at any of them."""
NEAR, FAR = (0.3, 0.6), (6.0, 10.0)
"""Between which a sweep's near and far are drawn, meters."""
POSE_NOISE = (0.006, math.radians(0.25))
"""Standard deviation at most: meters and radians."""
VALIDATION_BOUNDS = (0.4, 8.0)
VALIDATION_TARGETS = 3
"""Frames of each validation scene."""


@dataclass(frozen=True)
class StereoSample:
    """A frame (view 0) and its partners, and its true depth at half resolution."""

    views: SourceViews
    bounds: Bounds
    truth: Float[Tensor, "rows columns"]
    """Camera z in meters at pixels 2 i; NaN where unknown."""

    def to(self, device: torch.device) -> StereoSample:
        return replace(self, views=self.views.to(device), truth=self.truth.to(device))


@dataclass(frozen=True)
class StereoBatch:
    samples: tuple[StereoSample, ...]

    def to(self, device: torch.device) -> StereoBatch:
        return StereoBatch(tuple(sample.to(device) for sample in self.samples))


class StereoTraining:
    """The stereo network of a model on the depth of random frames."""

    name = "stereo"

    def __init__(self, config: StereoStage, model: RayModel, scenes: list[Scene]) -> None:
        """Raises RequestError if the model has no stereo network, or no scene has depth."""
        self.config = config
        self._network = stereo_of(model)
        self._scenes = [scene for scene in scenes if scene.has_depth]
        self._model = model
        if not self._scenes:
            raise RequestError("no training scene has depth", "some, or stereo.steps 0")
        if config.refinement_only and self._network.refinement is not None:
            self._network.requires_grad_(False)
            self._network.refinement.requires_grad_(True)

    @property
    def shares(self) -> int:
        return self.config.batch

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        yield {
            "params": [weights for weights in self._network.parameters() if weights.requires_grad],
            "lr": self.config.learning_rate,
            "weight_decay": self.config.weight_decay,
        }

    def draw(self, generators: list[torch.Generator]) -> StereoBatch:
        return StereoBatch(tuple(self._draw(generator) for generator in generators))

    def _draw(self, generator: torch.Generator) -> StereoSample:
        def pick(count: int) -> int:
            return int(torch.randint(0, count, (1,), generator=generator))

        scene = self._scenes[pick(len(self._scenes))]
        index = pick(len(scene.frames))
        # Not always the best: a robot's keyframes are where it went.
        likely = select_partners(scene.cameras[index], scene.cameras, 2 * PARTNERS) or [(index + 1) % len(scene.frames)]
        order = torch.randperm(len(likely), generator=generator)[: 1 + pick(PARTNERS)]
        width, height = SIZES[pick(len(SIZES))]
        frames = [scene.frames[each] for each in (index, *(likely[place] for place in order))]
        views = SourceViews.from_frames([frame.resized(width, height) for frame in frames])
        truth = torch.full((height, width), torch.nan) if views.depth is None else views.depth[0]
        low, high = torch.rand(2, generator=generator).tolist()
        bounds = (NEAR[0] + low * (NEAR[1] - NEAR[0]), FAR[0] + high * (FAR[1] - FAR[0]))
        images = torch.stack([_relit(image, generator) for image in views.images])
        camera = _shaken(views.camera, generator)
        return StereoSample(SourceViews(images, camera), bounds, truth[::2, ::2])

    def forward(self, batch: StereoBatch) -> tuple[Tensor, dict[str, Tensor]]:
        losses, errors = [], []
        for sample in batch.samples:
            loss, error = self._loss(sample)
            losses.append(loss)
            errors.append(error)
        return torch.stack(losses).mean(), {"depth_log_error": torch.stack(errors).mean().detach()}

    def _loss(self, sample: StereoSample) -> tuple[Tensor, Tensor]:
        """Of the sweep, of the refinement, or of both; and the error of the depth in the end."""
        network, pair = self._network, matched(self._model, sample.views)
        likelihood = network(*pair, sample.bounds)
        if network.refinement is None:
            return stereo_loss(likelihood, sample.truth, sample.bounds)
        found = network.read(likelihood.detach(), sample.bounds)
        fine, error = refinement_loss(network.refine(*pair, found), found.depth, sample.truth)
        if self.config.refinement_only:
            return fine, error
        return stereo_loss(likelihood, sample.truth, sample.bounds)[0] + fine, error

    @torch.inference_mode()
    def validate(self, scenes: list[Scene]) -> dict[str, float]:
        """Mean absolute relative depth error, and share within 1.25, of a few frames of each scene with depth.

        Frames without a known pixel, or without partners, do not count; NaN if none is left.
        """
        self._network.eval()
        errors, within = [], []
        for scene in scenes:
            for index in scene.spread(VALIDATION_TARGETS):
                partners = select_partners(scene.cameras[index], scene.cameras, PARTNERS)
                truth = scene.frames[index].depth
                if truth is None or not partners:
                    continue
                truth = truth[::2, ::2]
                known = torch.isfinite(truth) & (truth > 0)
                if not known.any():
                    continue
                views = SourceViews.from_frames([scene.frames[each] for each in (index, *partners)])
                views = views.to(next(self._network.parameters()).device)
                found = self._network.find(*matched(self._model, views), VALIDATION_BOUNDS).depth.cpu()
                ratio = found[known] / truth[known]
                errors.append(float((ratio - 1).abs().mean()))
                within.append(float((torch.maximum(ratio, 1 / ratio) < 1.25).float().mean()))
        self._network.train()
        return {"depth_abs_rel": mean(errors), "depth_within_1_25": mean(within)}

    def rank(self, scores: dict[str, float]) -> float:
        """Higher is better: the relative error, turned around."""
        return -scores["depth_abs_rel"]

    def finish(self) -> None:
        """The network is part of the model: nothing to hand on, but all of it may learn again."""
        self._network.requires_grad_(True)


def stereo_of(model: RayModel) -> StereoNetwork:
    """A model's stereo network. Raises RequestError if it has none."""
    network = model.stereo
    if network is None:
        raise RequestError(
            f"{model.system} has no stereo network to train", remedy="Set model.stereo, or stereo.steps 0"
        )
    return network


def matched(model: RayModel, views: SourceViews) -> tuple[StereoFeatures, MatchingFeatures, Camera, Camera]:
    """What a stereo network is given to find the depth of view 0 with all other views as partners.

    The encoder does not learn.
    """
    with torch.no_grad():
        context = model.picture_features(views.images, views.camera)
    features = model.stereo_features(views.images, views.camera, context)
    partners = list(range(1, views.count))
    return features[0], features.matching[partners], views.camera[0], views.camera[partners]


def stereo_loss(
    likelihood: Float[Tensor, "planes rows columns"],
    truth: Float[Tensor, "rows columns"],
    bounds: Bounds,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross-entropy on the two planes around the true depth, plus the L1 error of the mean log depth; that error alone.

    `truth`: meters, NaN where unknown. 0 where nothing is known within the bounds.
    """
    planes = likelihood.shape[0]
    near, far = bounds
    place = torch.log(truth / near) / math.log(far / near) * (planes - 1)
    known: Bool[Tensor, "rows columns"] = torch.isfinite(place) & (place >= 0) & (place <= planes - 1)
    if not known.any():
        zero = likelihood.sum() * 0
        return zero, zero
    place, likely = place[known], likelihood[:, known]
    entropy = entropy_around(likely, place).mean()
    log_depths = plane_depths(near, far, planes, device=likely.device).log()
    expected = (likely.exp() * log_depths[:, None]).sum(0)
    error = F.l1_loss(expected, truth[known].log())
    return entropy + 4 * error, error


def entropy_around(likely: Float[Tensor, "bins pixels"], place: Float[Tensor, " pixels"]) -> Float[Tensor, " pixels"]:
    """Cross-entropy of log-probabilities on the two bins around a place, which is measured in bins."""
    below = place.floor().long().clamp_max(len(likely) - 2)
    share, columns = place - below, torch.arange(len(below), device=below.device)
    return -((1 - share) * likely[below, columns] + share * likely[below + 1, columns])


def refinement_loss(
    likelihood: Float[Tensor, "offsets rows columns"],
    depth: Float[Tensor, "rows columns"],
    truth: Float[Tensor, "rows columns"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross-entropy on the two offsets around the true depth, where they reach it, plus the L1 error of the mean one.

    And the error of the refined log depth. `depth`: what was found before; `truth`: meters, NaN where unknown.
    """
    missing = (truth / depth).log()
    known = torch.isfinite(missing)
    if not known.any():
        zero = likelihood.sum() * 0
        return zero, zero
    missing, likely = missing[known], likelihood[:, known]
    place = ((missing / REACH + 1) / 2 * (OFFSETS - 1)).clamp(0, OFFSETS - 1)
    entropy, moved = entropy_around(likely, place), mean_offset(likely)
    within = (missing.abs() < REACH).float()
    loss = (entropy * within).mean() + 20 * F.l1_loss(moved, missing.clamp(-REACH, REACH))
    return loss, F.l1_loss(moved, missing).detach()


def _relit(image: Float[Tensor, "3 height width"], generator: torch.Generator) -> Float[Tensor, "3 height width"]:
    """One view in other light, with another exposure, sharpness and noise than its partners."""
    exposure, gamma = torch.exp(0.18 * torch.randn(2, generator=generator)).tolist()
    balance = torch.exp(0.07 * torch.randn(3, 1, 1, generator=generator))
    image = image.clamp(1e-4, 1) ** gamma * exposure * balance
    noise, blur = torch.rand(2, generator=generator).tolist()
    if blur < 0.25:
        image = F.avg_pool2d(image[None], 3, 1, 1, count_include_pad=False)[0]
    lit: Tensor = (image + 0.03 * noise * torch.randn(image.shape, generator=generator)).clamp(0, 1)
    return lit


def _shaken(camera: Camera, generator: torch.Generator) -> Camera:
    """The partners' poses with an error of a strength drawn anew; view 0 stays."""
    strength = float(torch.rand(1, generator=generator)) ** 2
    count = camera.world_from_camera.shape[0]
    noise = strength * torch.randn(count, 6, generator=generator)
    noise[0] = 0
    shift, turn = noise[:, :3] * POSE_NOISE[0], noise[:, 3:] * POSE_NOISE[1]
    error = torch.eye(4).repeat(count, 1, 1)
    zero = torch.zeros(count)
    x, y, z = turn.unbind(-1)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(count, 3, 3)
    error[:, :3, :3] = torch.linalg.matrix_exp(skew)
    error[:, :3, 3] = shift
    return replace(camera, world_from_camera=camera.world_from_camera @ error)
