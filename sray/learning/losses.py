"""What training minimizes. Eq. 14-16, and depth supervision where the training data has depth."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.label_space import VOID
from sray.ray_output import RayOutput
from sray.sampling import DepthRange


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts."""

    semantic: float = 1.0
    """lambda_1 of eq. 16."""
    color: float = 1.0
    """lambda_2 of eq. 16."""
    depth: float = 0.1
    """Depth supervision; 0 to train from color and labels alone, as the paper does."""

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"{name} is {weight}; expected a finite weight, 0 or more")


@dataclass(frozen=True)
class RayTargets:
    """The truth along rays."""

    color: Float[Tensor, "rays 3"]
    """0..1."""
    labels: UInt8[Tensor, "rays"]
    """Class indices; VOID rays teach no semantics."""
    depth: Float[Tensor, "rays"] | None = None
    """Camera z in meters; NaN rays teach no depth."""

    def to(self, device: torch.device | str) -> RayTargets:
        depth = None if self.depth is None else self.depth.to(device)
        return RayTargets(self.color.to(device), self.labels.to(device), depth)


def total_loss(
    outputs: tuple[RayOutput, ...],
    targets: RayTargets,
    weights: LossWeights,
    depth_range: DepthRange,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Eq. 16 summed over the coarse and the fine pass (eq. 15), and each term by itself (unweighted).

    A pass without logits has no semantic term.
    """
    logits = [output.logits for output in outputs if output.logits is not None]
    terms = {
        "semantic": torch.stack([semantic_loss(each, targets.labels) for each in logits]).sum(),
        "color": torch.stack([F.mse_loss(output.color, targets.color) for output in outputs]).sum(),
    }
    if targets.depth is not None:
        terms["depth"] = torch.stack([depth_loss(output, targets.depth, depth_range) for output in outputs]).sum()
    total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
    return total, terms


def semantic_loss(
    logits: Float[Tensor, "rays classes"],
    labels: UInt8[Tensor, "rays"],
    class_weights: Float[Tensor, " classes"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy over labeled rays, or pixels (eq. 14); 0 if none is labeled."""
    return summed_cross_entropy(logits, labels, class_weights) / (labels != VOID).sum().clamp_min(1)


def summed_cross_entropy(
    logits: Float[Tensor, "rays classes"],
    labels: UInt8[Tensor, "rays"],
    class_weights: Float[Tensor, " classes"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy summed over labeled rays, or pixels; VOID ones add nothing. In single precision."""
    return F.cross_entropy(logits.float(), labels.long(), class_weights, ignore_index=VOID, reduction="sum")


def depth_loss(output: RayOutput, depth: Float[Tensor, "rays"], depth_range: DepthRange) -> Float[Tensor, ""]:
    """How far the compositing weights lie from the true surface, plus what is left of the light behind it.

    In units of the normalized coordinate x 10, so that neither term drowns the other; a negative log likelihood of the
    weights within a fortieth of the ray pulls in a pass that has not found the surface yet.
    """
    known = depth.isfinite() & (depth > depth_range.near) & (depth < depth_range.far)
    truth = depth_range.coordinate_of(torch.where(known, depth, depth_range.near)).unsqueeze(-1)
    distance = (output.coordinates - truth).abs()
    spread = 10 * (output.weights * distance).sum(-1)
    leftover = 1 - output.opacity
    near_surface = (output.weights * (distance < 1 / 40)).sum(-1)
    missed = -torch.log(near_surface + 1e-3) / 10
    return ((spread + leftover + missed) * known).sum() / known.sum().clamp_min(1)
