"""Semantic-aware Weight Network: how much each source view counts, within the tau bound. Table 14, eq. 11-12, 17."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sray.context import DIRECTION_CHANNELS, SIGHT_CHANNELS, ContextSpace


class SemanticWeightNetwork(nn.Module):
    """Scores every view at every sample and bounds the scores' deviation from the mean by tau.

    With `sight`, it also reads how well each view sees the sample.
    """

    def __init__(self, channels: int, tau: float, *, sight: bool = False) -> None:
        super().__init__()
        self.tau = tau
        inputs = channels + DIRECTION_CHANNELS + 1 + (SIGHT_CHANNELS if sight else 0)  # the 37th is the validity
        self.mlp = nn.Sequential(nn.Linear(inputs, 16), nn.ELU(), nn.Linear(16, 8), nn.ELU(), nn.Linear(8, 1))

    def forward(self, context: ContextSpace) -> Float[Tensor, "views rays samples"]:
        """Weights that sum to 1 over the valid views of a sample; all zero where no view is valid."""
        valid = context.valid
        inputs = [context.tokens, context.directions, valid.unsqueeze(-1).to(context.tokens)]
        if context.sight is not None:
            inputs.append(context.sight)
        scores = torch.sigmoid(self.mlp(torch.cat(inputs, dim=-1)).squeeze(-1)) * valid
        # Sigmoids of valid views are above 0, so only samples that no view sees have a sum of 0.
        weights = scores / scores.sum(0, keepdim=True).clamp_min(1e-12)
        return project_to_tau_bound(weights.movedim(0, -1), valid.movedim(0, -1), self.tau).movedim(-1, 0)


def project_to_tau_bound(
    weights: Float[Tensor, "*shape views"], valid: Bool[Tensor, "*shape views"], tau: float
) -> Float[Tensor, "*shape views"]:
    """Euclidean projection onto {tau/m <= w <= 1/(tau m), sum w = 1} over the m valid views (eq. 12, 17).

    The projection is clip(w - theta, low, high) for the one theta that makes the sum 1. Its gradient on the F entries
    strictly between the bounds is I - 11'/F, and zero elsewhere. One valid view gets 1; none: all zero.
    Raises ValueError unless 0 < tau <= 1.
    """
    if not 0 < tau <= 1:
        raise ValueError(f"tau is {tau}; expected more than 0, at most 1 (1 is the mean; the paper: 0.7)")
    count = valid.sum(-1, keepdim=True).clamp_min(1).to(weights)
    low, high = tau / count, 1 / (tau * count)
    with torch.no_grad():
        theta = _threshold(weights, valid, low, high)
        at_low = valid & (weights - theta <= low)
        at_high = valid & ~at_low & (weights - theta >= high)  # at tau = 1 the bounds are one
        free = valid & ~at_low & ~at_high
    fixed = torch.where(at_low, low, 0) + torch.where(at_high, high, 0)
    # Theta once more, from the free entries alone: exact in value, and it carries the gradient.
    free_sum = (weights * free).sum(-1, keepdim=True)
    shift = (free_sum + fixed.sum(-1, keepdim=True) - 1) / free.sum(-1, keepdim=True).clamp_min(1)
    return torch.where(free, weights - shift, fixed)


def _threshold(weights: Tensor, valid: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The theta at which sum clip(w - theta, low, high) = 1.

    The sum falls piecewise linearly in theta: its slope changes by -1 where an entry leaves the upper bound
    (theta = w - high) and by +1 where it meets the lower one (theta = w - low).
    """
    # Invalid entries get a breakpoint pair at one place: they change no slope.
    anchor = torch.where(valid, weights, 0)
    leaves = torch.where(valid, anchor - high, 0)
    meets = torch.where(valid, anchor - low, 0)
    breakpoints, order = torch.cat([leaves, meets], dim=-1).sort(dim=-1)
    steps = torch.cat([-valid.to(weights), valid.to(weights)], dim=-1).gather(-1, order)
    slopes = steps.cumsum(-1)
    falls = torch.zeros_like(breakpoints)
    falls[..., 1:] = (slopes[..., :-1] * breakpoints.diff(dim=-1)).cumsum(-1)
    sums = (valid * high).sum(-1, keepdim=True) + falls
    # The last breakpoint at which the sum is still at least 1 begins the segment that crosses it.
    index = ((sums >= 1 - 1e-6).sum(-1, keepdim=True) - 1).clamp(0, breakpoints.shape[-1] - 1)
    slope = slopes.gather(-1, index)
    excess = (sums.gather(-1, index) - 1).clamp_min(0)
    return breakpoints.gather(-1, index) + torch.where(slope < -0.5, excess / -slope.clamp_max(-0.5), 0)
