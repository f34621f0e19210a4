"""Depth that training wears: errors as large as their confidence says, holes, and sometimes nothing."""

from __future__ import annotations

from dataclasses import replace

import torch

from sray.frames import SourceViews
from sray_train.data.worn_depth import HALF_SURE, NO_DEPTH, worn


def drawn(plane_scene, count: int) -> list[SourceViews]:
    views, generator = SourceViews.from_frames(plane_scene.ring(4)), torch.Generator().manual_seed(0)
    return [worn(views, generator) for _ in range(count)]


def test_one_in_four_has_none_and_the_others_have_holes(plane_scene) -> None:
    found = drawn(plane_scene, 200)
    share = sum(views.depth is None for views in found) / len(found)
    assert abs(share - NO_DEPTH) < 0.09, "three standard deviations of 200 draws"
    known = torch.stack([views.depth.isfinite().float().mean() for views in found if views.depth is not None])
    assert 0.6 < known.mean() < 0.95 and known.min() < 0.7 < 0.99 < known.max()
    blind = [bool(views.depth[i].isnan().all()) for views in found if views.depth is not None for i in range(4)]
    assert 0.04 < sum(blind) / len(blind) < 0.16, "single views have none"


def test_errors_are_as_large_as_the_confidence_says(plane_scene) -> None:
    true = SourceViews.from_frames(plane_scene.ring(4)).depth
    errors, stated = [], []
    for views in drawn(plane_scene, 200):
        if views.depth is None:
            continue
        known = views.depth.isfinite()
        errors.append((views.depth / true).log()[known])
        stated.append((HALF_SURE * (1 / views.depth_confidence - 1).clamp_min(0).sqrt())[known])
    error, deviation = torch.cat(errors), torch.cat(stated)
    for low, high in ((0.002, 0.01), (0.01, 0.02), (0.02, 0.04)):
        chosen = (deviation > low) & (deviation < high)
        # Bilinear mixes of a normal grid vary less between its nodes: two thirds of the deviation there.
        assert 0.5 * low < error[chosen].std() < high


def test_views_without_depth_stay_and_true_depth_is_not_touched(plane_scene) -> None:
    views = SourceViews.from_frames(plane_scene.ring(4))
    before = views.depth.clone()
    rgb = replace(views, depth=None)
    assert worn(rgb, torch.Generator().manual_seed(0)) is rgb
    for seed in range(8):
        worn(views, torch.Generator().manual_seed(seed))
    assert torch.equal(views.depth, before)


def test_the_same_generator_wears_alike(plane_scene) -> None:
    for one, other in zip(drawn(plane_scene, 5), drawn(plane_scene, 5), strict=True):
        assert (one.depth is None) == (other.depth is None)
        if one.depth is not None:
            assert torch.equal(one.depth.nan_to_num(), other.depth.nan_to_num())
