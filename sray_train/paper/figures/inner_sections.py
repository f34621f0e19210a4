"""Figures 6 and 7 as sections of the page: the features, attention and view weights of one SemanticRay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from sray.model import SemanticRay
from sray_train.paper.figures.attention_figure import attention_picture
from sray_train.paper.figures.contenders import Gap
from sray_train.paper.figures.feature_maps import feature_colors
from sray_train.paper.figures.page import Cell, PictureFolder, Row, Section, Table
from sray_train.paper.figures.query_view import EVEN_SAMPLES, FINE_SAMPLES, QueryRays, QueryView
from sray_train.paper.figures.ray_choice import ray_for_attention, rays_for_weights
from sray_train.paper.figures.view_weights import (
    RayWeights,
    WeightsBySight,
    ray_weights,
    weights_by_sight,
    weights_picture,
)
from sray_train.paper.figures.visibility import Agreement, agreements
from sray_train.score.evaluate import Query
from sray_train.tools.report.page import percent

FEATURE_PICTURES = 4
WEIGHTED_RAYS = 2
NOTABLE = 0.1
"""Of a correlation, or of an even share: less is not called a relation."""

FEATURES = (
    "Figure 6, left: features of the encoder",
    "The 32 channels of every picture, at a quarter of its size, as three principal components in red, green and blue: "
    "one color means one answer of the encoder, in all pictures of a row. Look for objects that keep their color "
    "from view to view, and for edges that follow objects and not light.",
)
ATTENTION = (
    "Figure 6, right: radial attention along a query ray",
    "Above, the query ray as source views see it, bright where the other samples of the view look most; the ring is "
    "where the ray's surface is rendered. Middle, the whole attention: a row is a sample that asks, a column one that "
    "is looked at. Below, what each sample receives, against the compositing weights. The paper finds the attention "
    "closely related to visibility: then it rises where the ray meets its surface, and falls where the view's sight "
    "is blocked (tinted). The ray is chosen by geometry alone; the numbers below are of all rays.",
)
WEIGHTS = (
    "Figure 7: how much each source view counts",
    "The m views that have the query ray's surface in their picture get weights between tau/m and 1/(tau m). The "
    "paper's network gives the greater weight to the more important view: then views that have the surface hidden "
    "(orange) are at the lower end. Views are in the order of their weights, the ring is where the surface is: the "
    "recorded one where depth is known, else the rendered one. The rays are chosen by geometry alone; the numbers "
    "below are of all rays.",
)


def inner_sections(
    model: SemanticRay, queries: Sequence[Query], folder: PictureFolder
) -> tuple[list[Section], dict[str, Any]]:
    """Three sections, and their numbers by picture, for a record."""
    views = [QueryView(model, query) for query in queries]
    even = [view.along(view.spread_pixels()) for view in views]
    rendered = [view.along(view.spread_pixels(), rendered=True) for view in views]
    attention, agreement = _attention(model, list(zip(views, even, rendered, strict=True)), folder)
    surfaces = [view.on_surface(view.spread_pixels()) for view in views]
    weights, by_sight = _weights(model, list(zip(views, surfaces, strict=True)), folder)
    features = Section("features", *FEATURES, tuple(_features(view, folder) for view in views))
    return [features, attention, weights], {"attention": agreement, "view_weights": by_sight}


def _features(view: QueryView, folder: PictureFolder) -> Row:
    frames = [view.target, *view.frames[: FEATURE_PICTURES - 1]]
    names = ["target", *(f"source view {number + 1}" for number in range(len(frames) - 1))]
    features = torch.stack([view.target_features, *view.encoded.features[: len(frames) - 1]])
    colors, shown = feature_colors(features)
    place = f"features_{_file(view.query)}"
    cells = [
        Cell(
            name,
            (
                folder.add(f"{place}_{number}_picture", frame.image.numpy(), f"{frame.name}: picture"),
                folder.add(f"{place}_{number}_features", picture, f"{frame.name}: features", crisp=True),
            ),
        )
        for number, (name, frame, picture) in enumerate(zip(names, frames, colors, strict=True))
    ]
    return Row(_title(view.query), f"The colors show {percent(shown, 0)} of the variance.", tuple(cells), len(cells))


def _attention(
    model: SemanticRay, looks: list[tuple[QueryView, QueryRays, QueryRays]], folder: PictureFolder
) -> tuple[Section, dict[str, Any]]:
    if looks[0][1].passed.attention is None:
        why = f"the checkpoint's attention is {model.config.attention!r}; expected full or radial"
        gap = Gap("Radial attention", why, "sray figures --checkpoint models/sray_rooms.safetensors")
        return Section("attention", *ATTENTION, (), (gap,)), {}
    rows: list[Row] = []
    lines: list[tuple[str, ...]] = []
    compared: list[Agreement] = []
    numbers: dict[str, Any] = {}
    for view, even, rendered in looks:
        picture = attention_picture(view, even, ray_for_attention(even))
        title = _title(view.query)
        shown = folder.add(f"attention_{_file(view.query)}", picture, f"{title}: radial attention")
        rows.append(Row(title, "", (Cell("", (shown,)),)))
        found = agreements(even), agreements(rendered)
        numbers[title] = [{"even": asdict(one), "rendered": asdict(two)} for one, two in zip(*found, strict=True)]
        lines += [(title, one.what, *_r(one), *_r(two)) for one, two in zip(*found, strict=True)]
        compared += [one for both in found for one in both]
    head = (
        "picture", "attention against", f"r, {EVEN_SAMPLES} even samples", "another ray's",
        f"r, {FINE_SAMPLES} as rendered", "another ray's",
    )  # fmt: skip
    says = (
        "Correlation r of the attention received along a reprojected ray, mean over rays and views: 1 would be "
        "visibility itself. Against another ray's it is what the place along the ray explains alone: only what r has "
        f"beyond that is about this ray's surface. {attention_verdict(compared)}"
    )
    return Section("attention", *ATTENTION, tuple(rows), (), (Table(head, tuple(lines), says),)), numbers


def _weights(
    model: SemanticRay, looks: list[tuple[QueryView, QueryRays]], folder: PictureFolder
) -> tuple[Section, dict[str, Any]]:
    tau = model.config.tau
    rows: list[Row] = []
    lines: list[tuple[str, ...]] = []
    sights: list[WeightsBySight] = []
    numbers: dict[str, Any] = {}
    for view, rays in looks:
        title = _title(view.query)
        for number, ray in enumerate(rays_for_weights(rays, WEIGHTED_RAYS, apart=view.target.camera.width / 4)):
            found = ray_weights(rays, ray, tau)
            picture = weights_picture(view, rays, ray, found)
            shown = folder.add(f"weights_{_file(view.query)}_{number}", picture, f"{title}, ray {number + 1}: weights")
            rows.append(Row(f"{title}, ray {number + 1}", _spread(found), (Cell("", (shown,)),)))
        sight = weights_by_sight(rays, tau)
        numbers[title] = asdict(sight)
        sights.append(sight)
        lines.append(
            (
                title,
                f"{_number(sight.seeing)} ({sight.views[0]})",
                f"{_number(sight.hidden)} ({sight.views[1]})",
                _number(sight.spread),
                percent(sight.at_bounds),
            )
        )
    head = (
        "picture",
        "m w, view sees the surface (views)",
        "m w, surface hidden (views)",
        "spread of m w",
        "at a bound",
    )
    says = (
        f"Means of weight times m over rays and views: 1 is an even share, the bounds are {tau:g} and {1 / tau:.2f}. A "
        f"network that knows who sees the surface has its left number above its right one. {weights_verdict(sights)}"
    )
    return Section("weights", *WEIGHTS, tuple(rows), (), (Table(head, tuple(lines), says),)), numbers


def attention_verdict(found: Sequence[Agreement]) -> str:
    """Whether attention follows any of what it was compared with, in every picture and beyond another ray's."""
    beyond = {
        what: [min(one.own, one.own - one.other) for one in found if one.what == what]
        for what in dict.fromkeys(one.what for one in found)
    }
    known = [one for one in found if not math.isnan(one.own + one.other)]
    if not known:
        return ""
    follows = [what for what, values in beyond.items() if min(values) >= NOTABLE]
    own, more = [one.own for one in known], [one.own - one.other for one in known]
    says = (
        f"Here r is {_number(min(own))} to {_number(max(own))}, and {_number(min(more))} to {_number(max(more))} "
        "beyond another ray's"
    )
    if follows:
        return f"{says}: this attention does follow the {' and the '.join(follows)}."
    return f"{says}: this attention does not follow visibility."


def weights_verdict(sights: Sequence[WeightsBySight]) -> str:
    """Whether views that see the surface weigh more, in each picture."""
    known = [sight.seeing - sight.hidden for sight in sights if not math.isnan(sight.seeing - sight.hidden)]
    if not known:
        return ""
    says = f"Here the difference is {_number(min(known))} to {_number(max(known))}"
    if min(known) < NOTABLE:
        return f"{says}: these weights hardly depend on who sees the surface."
    return f"{says}: views that see the surface do weigh more."


def _spread(found: RayWeights) -> str:
    shared = [weight for weight, inside in zip(found.weights, found.inside, strict=True) if inside]
    if not shared:
        return "No source view has the surface in its picture."
    low, high = found.bounds
    return f"m = {len(shared)}: weights {min(shared):.3f} to {max(shared):.3f}, within {low:.3f} and {high:.3f}."


def _r(found: Agreement) -> tuple[str, str]:
    return _number(found.own), _number(found.other)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")


def _title(query: Query) -> str:
    return f"{query.scene.name}, frame {query.target}"


def _file(query: Query) -> str:
    return f"{query.scene.name}_{query.target}"
