"""Figure 6, right: a query ray in its source views, its radial attention, and what is rendered along it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib import colormaps, rc_context
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from sray_train.paper.figures import plots
from sray_train.paper.figures.query_view import QueryRays, QueryView
from sray_train.paper.figures.ray_choice import longest_views
from sray_train.paper.figures.visibility import attention_received, profile_about_surface
from sray_train.tools.report.pictures import Picture, drawn

PALETTE = "magma"
HIDDEN = "#f3d9b8"
MOST = 5.0
"""Times an even share that the curves are drawn to."""
DEPTH_TICKS = (0.5, 1, 2, 4, 8)


def attention_picture(view: QueryView, rays: QueryRays, ray: int) -> Picture:
    """Of one of the rays, which must be at even samples. Raises ValueError if the model has no radial attention."""
    shown = longest_views(rays, ray)
    received = attention_received(rays.passed)[:, ray]
    relative = (received * rays.passed.valid[:, ray].sum(-1, keepdim=True)).numpy()
    with rc_context(plots.STYLE):
        figure = Figure(figsize=(plots.WIDTH, 7.4), dpi=110, layout="constrained")
        grid = figure.subplots(3, 1 + len(shown), height_ratios=(1, 1.25, 0.9))
        plots.show_picture(grid[0, 0], view.target.image.numpy(), "query pixel in the target")
        plots.mark(grid[0, 0], rays.pixels[ray])
        top = float(np.percentile(relative[shown], 98))
        for axes, source in zip(grid[:, 1:].T, shown, strict=True):
            _draw_reprojection(axes[0], view, rays, ray, source, relative[source] / max(top, 1e-6))
            _draw_map(axes[1], rays, ray, source)
            _draw_curves(axes[2], rays, ray, source, relative[source], top)
        grid[1, 1].set_ylabel("asking sample: depth, m")
        grid[2, 1].set_ylabel("times an even share")
        _draw_profile(grid[1, 0], rays)
        _explain(grid[2, 0])
        return drawn(figure)


def _draw_reprojection(axes: Any, view: QueryView, rays: QueryRays, ray: int, source: int, relative: Any) -> None:
    frame = view.frames[source]
    plots.show_picture(axes, frame.image.numpy(), f"source view {source + 1}")
    limits = axes.get_xlim(), axes.get_ylim()
    inside = rays.projection.seen[source, ray].numpy()
    places = rays.projection.pixels[source, ray].numpy()
    pairs = np.stack([places[:-1], places[1:]], 1)[inside[:-1] & inside[1:]]
    colors = colormaps[PALETTE](np.clip(relative[:-1][inside[:-1] & inside[1:]], 0, 1))
    axes.add_collection(LineCollection(pairs, colors="white", linewidths=6, capstyle="round"))
    axes.add_collection(LineCollection(pairs, colors=colors, linewidths=4))
    surface = int(rays.surface[ray])
    if inside[surface]:
        plots.mark(axes, places[surface], size=9)
    axes.set(xlim=limits[0], ylim=limits[1])


def _draw_map(axes: Any, rays: QueryRays, ray: int, source: int) -> None:
    """Attention, mean over heads: a row is a query sample, a column a key sample."""
    assert rays.passed.attention is not None
    weights = rays.passed.attention[source, ray].mean(0).numpy()
    inside = rays.passed.valid[source, ray].numpy()
    known = inside[:, None] & inside[None]
    palette = colormaps[PALETTE].with_extremes(bad=plots.ABSENT)
    top = np.percentile(weights[known], 99) if known.any() else 1
    scale = PowerNorm(0.6, vmin=0, vmax=max(float(top), 1e-6))  # one bright column must not hide all others
    axes.imshow(np.where(known, weights, np.nan), cmap=palette, norm=scale, aspect="auto", interpolation="none")
    surface = float(rays.surface[ray])
    axes.axvline(surface, color=plots.MARK, lw=1)
    axes.axhline(surface, color=plots.MARK, lw=1)
    _depth_ticks(axes.xaxis, rays, ray)
    _depth_ticks(axes.yaxis, rays, ray)


def _draw_curves(axes: Any, rays: QueryRays, ray: int, source: int, relative: Any, top: float) -> None:
    passed, samples = rays.passed, np.arange(rays.passed.depths.shape[1])
    inside = passed.valid[source, ray].numpy()
    height = min(1.25 * max(top, 1.5), MOST)
    if rays.visible is not None:
        hidden = inside & ~rays.visible[source, ray].numpy()
        axes.fill_between(samples, 0, height, where=hidden, step="mid", color=HIDDEN, lw=0)
    axes.fill_between(samples, 0, height, where=~inside, step="mid", color=plots.ABSENT, lw=0)
    weights = passed.output.weights[ray].numpy()
    scaled = weights / max(float(weights.max()), 1e-6) * 0.8 * height
    axes.fill_between(samples, scaled, step="mid", color=plots.MARK, alpha=0.35)
    axes.axhline(1, color=plots.SOFT, lw=0.8, ls=":")
    axes.plot(samples, np.where(inside, relative, np.nan), color=plots.ACCENT, lw=1.8)
    axes.set(xlim=(-0.5, len(samples) - 0.5), ylim=(0, height))
    _depth_ticks(axes.xaxis, rays, ray)
    axes.set_xlabel("sample looked at: depth, m")


def _draw_profile(axes: Any, rays: QueryRays) -> None:
    places, heads = profile_about_surface(rays)
    for number, values in enumerate(heads):
        axes.plot(places, values, lw=1, color=plots.ACCENT, alpha=0.35, label="each head" if number == 0 else None)
    axes.plot(places, heads.mean(0), lw=2.2, color=plots.ACCENT, label="mean")
    axes.axhline(1, color=plots.SOFT, lw=0.8, ls=":")
    axes.axvline(0, color=plots.MARK, lw=1)
    axes.set(ylim=(0, max(2.0, 1.05 * float(torch.nan_to_num(heads).max()))))
    axes.set_xlabel("samples behind the surface")
    axes.set_ylabel("times an even share")
    axes.set_title(f"all {len(rays.pixels)} rays, all views", loc="left")
    axes.legend(frameon=False, loc="upper left")


def _explain(axes: Any) -> None:
    """The legend of all panels."""
    axes.axis("off")
    known = (
        {"color": plots.ACCENT, "lw": 2, "label": "attention received"},
        {"color": plots.MARK, "lw": 7, "alpha": 0.35, "label": "compositing weight (scaled)"},
        {"color": plots.MARK, "lw": 1.2, "label": "rendered surface"},
        {"color": HIDDEN, "lw": 7, "label": "hidden from the source view"},
        {"color": plots.ABSENT, "lw": 7, "label": "outside its picture"},
    )
    for line in known:
        axes.plot([], [], **line)
    axes.legend(frameon=False, loc="center left", borderaxespad=0)


def _depth_ticks(axis: Any, rays: QueryRays, ray: int) -> None:
    depths = rays.passed.depths[ray].numpy()
    ticks = [depth for depth in DEPTH_TICKS if depths[0] * 0.95 <= depth <= depths[-1] * 1.05]
    axis.set_ticks(np.interp(ticks, depths, np.arange(len(depths))), [f"{depth:g}" for depth in ticks])
