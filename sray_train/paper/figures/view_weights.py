"""Figure 7: how much each source view counts for a query ray, and whether views that see its surface count more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from sray_train.paper.figures import plots
from sray_train.paper.figures.query_view import QueryRays, QueryView
from sray_train.tools.report.pictures import Picture, drawn

COLUMNS = 5


@dataclass(frozen=True)
class RayWeights:
    """A ray's view weights at its surface."""

    weights: tuple[float, ...]
    """Of each source view; 0 where the view does not have the surface in its picture."""
    inside: tuple[bool, ...]
    visible: tuple[bool | None, ...]
    """Nothing stands between view and surface, by the view's recorded depth; None: unknown."""
    bounds: tuple[float, float]
    """tau/m and 1/(tau m), of the m views that have it in their picture."""


@dataclass(frozen=True)
class WeightsBySight:
    """Weights times the views that share them (1: an even share), means over rays and views."""

    seeing: float
    hidden: float
    views: tuple[int, int]
    """How many views, over all rays, see their ray's surface, and have something before it."""
    spread: float
    """Standard deviation of them all: 0 would be the plain mean."""
    at_bounds: float
    """Share that stands at a bound of tau."""


def ray_weights(rays: QueryRays, ray: int, tau: float) -> RayWeights:
    """Of one of the rays."""
    weights, inside = (rays.at_surface(values)[:, ray] for values in (rays.passed.view_weights, rays.passed.valid))
    count = max(1, int(inside.sum()))
    visible: list[bool | None] = [None] * len(inside)
    if rays.visible is not None:
        visible = rays.at_surface(rays.visible)[:, ray].tolist()
    return RayWeights(tuple(weights.tolist()), tuple(inside.tolist()), tuple(visible), (tau / count, 1 / (tau * count)))


def weights_by_sight(rays: QueryRays, tau: float) -> WeightsBySight:
    """Of all rays that find a surface."""
    inside = rays.at_surface(rays.passed.valid) & rays.found
    relative = rays.at_surface(rays.passed.view_weights) * inside.sum(0)
    seeing = hidden = inside & False
    if rays.visible is not None:
        visible = rays.at_surface(rays.visible)
        seeing, hidden = inside & visible, inside & ~visible
    shared = inside & (inside.sum(0) > 1)
    bound = (relative < tau + 1e-4) | (relative > 1 / tau - 1e-4)
    return WeightsBySight(
        float(relative[seeing].mean()),
        float(relative[hidden].mean()),
        (int(seeing.sum()), int(hidden.sum())),
        float(relative[shared].std()) if int(shared.sum()) > 1 else math.nan,
        float(bound[shared].float().mean()),
    )


def weights_picture(view: QueryView, rays: QueryRays, ray: int, found: RayWeights) -> Picture:
    """The target with its query pixel, the weights within their bounds, and the source views, heaviest first."""
    order = sorted(range(len(found.weights)), key=lambda source: -found.weights[source])
    rows = math.ceil((2 + len(order)) / COLUMNS)
    with rc_context(plots.STYLE):
        figure = Figure(figsize=(plots.WIDTH, 2.3 * rows), dpi=110, layout="constrained")
        places = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
        plots.show_picture(places[0], view.target.image.numpy(), "query pixel in the target")
        plots.mark(places[0], rays.pixels[ray])
        _draw_bars(places[1], order, found)
        for axes, source in zip(places[2:], order, strict=False):
            plots.show_picture(axes, view.frames[source].image.numpy(), _says(source, found))
            if found.inside[source]:
                plots.mark(axes, rays.projection.pixels[source, ray, rays.surface[ray]], size=9)
        for axes in places[2 + len(order) :]:
            axes.axis("off")
        return drawn(figure)


def _says(source: int, found: RayWeights) -> str:
    if not found.inside[source]:
        return f"view {source + 1}: not in its picture"
    sight = {True: ", sees it", False: ", hidden", None: ""}[found.visible[source]]
    return f"view {source + 1}: w = {found.weights[source]:.3f}{sight}"


def _draw_bars(axes: Any, order: list[int], found: RayWeights) -> None:
    low, high = found.bounds
    colors = [plots.WARM if found.visible[source] is False else plots.ACCENT for source in order]
    places = range(len(order))
    axes.bar(places, [found.weights[source] for source in order], color=colors, width=0.7)
    for height, name in ((low, "τ/m"), ((low * high) ** 0.5, "1/m"), (high, "1/(τm)")):
        axes.axhline(height, color=plots.SOFT, lw=0.8, ls=":", zorder=0)
        axes.text(len(order) - 0.4, height, f" {name}", va="bottom", ha="left", color=plots.SOFT)
    axes.set_xticks(places, [str(source + 1) for source in order])
    axes.set(ylim=(0, 1.25 * high), xlim=(-0.6, 1.3 * len(order)), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_title("w by view (orange: hidden)", loc="left")
