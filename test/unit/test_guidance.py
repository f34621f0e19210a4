"""Guided sampling: grids, their mixes, and depth as another camera sees it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sray.field import SemanticField
from sray.frames import SourceViews
from sray.guidance import PixelGrid, Window, distribution_around, nearest_depth, spread
from sray.model import SemanticRay, SemanticRayConfig
from sray.sampling import DepthRange


def whole(grid: PixelGrid) -> Window:
    return Window(grid, 0, grid.rows, 0, grid.columns)


@pytest.mark.parametrize(("stride", "first", "second"), [(1, 0.0, 1.0), (2, 0.5, 2.5), (4, 1.5, 5.5)])
def test_cells_are_centered_on_their_pixels(stride: int, first: float, second: float) -> None:
    pixels = PixelGrid(20, 12, stride).windows(100)[0].pixels()
    columns = -(-20 // stride)
    assert pixels[0].tolist() == [first, first]
    assert pixels[1].tolist() == [second, first], "row by row"
    assert pixels[columns].tolist() == [first, second]


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 3, 4]), st.sampled_from([1, 2]), st.integers(2, 50)
)
def test_windows_cover_every_cell_once_and_mixing_needs_no_more_than_around(
    width: int, height: int, coarse: int, fine: int, edge: int
) -> None:
    """The mix over a window, from the cells `around` it, is the mix over the whole picture from all cells."""
    grid, guides = PixelGrid(width, height, fine), PixelGrid(width, height, coarse)
    generator = torch.Generator().manual_seed(width * 41 + height)
    values = torch.rand(guides.rows, guides.columns, 2, generator=generator)
    everything = Window(grid, 0, grid.rows, 0, grid.columns).mix(
        Window(guides, 0, guides.rows, 0, guides.columns), values
    )
    visits = torch.zeros(grid.rows, grid.columns)
    for window in grid.windows(edge):
        visits[window.top : window.bottom, window.left : window.right] += 1
        around = window.around(guides)
        part = window.mix(around, values[around.top : around.bottom, around.left : around.right])
        expected = everything[window.top : window.bottom, window.left : window.right]
        torch.testing.assert_close(part, expected, atol=1e-6, rtol=0)
    assert (visits == 1).all()


def test_the_mix_is_bilinear_and_constant_beyond_the_outer_centers() -> None:
    """Known by hand: cells of stride 4 are centered at 1.5, 5.5, 9.5; pixel 3.5 would lie halfway."""
    guides, grid = PixelGrid(12, 4, 4), PixelGrid(12, 4, 1)
    values = torch.tensor([0.0, 4.0, 16.0]).reshape(1, 3, 1)
    mixed = grid.windows(100)[0].mix(guides.windows(100)[0], values)[0, :, 0]
    expected = [0, 0, 0.5, 1.5, 2.5, 3.5, 5.5, 8.5, 11.5, 14.5, 16, 16]
    torch.testing.assert_close(mixed, torch.tensor(expected))


def test_an_edge_in_depth_gives_two_peaks() -> None:
    guides, grid = PixelGrid(8, 1, 4), PixelGrid(8, 1, 1)
    near_and_far = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]]).reshape(1, 2, 4)
    between = grid.windows(100)[0].mix(guides.windows(100)[0], near_and_far)[0, 3]
    torch.testing.assert_close(between, torch.tensor([0.625, 0, 0, 0.375]))
    assert spread(between[None]) > 0.3, "and is wide"


def test_spread_is_the_standard_deviation() -> None:
    torch.testing.assert_close(spread(torch.ones(1, 1000)), torch.tensor([1 / math.sqrt(12)]), atol=1e-4, rtol=0)
    assert spread(torch.tensor([[0.0, 5.0, 0.0]])) == 0
    assert spread(torch.zeros(1, 3)) == 0, "nothing has no spread"


def test_depth_of_a_wall_seen_from_elsewhere_is_the_walls(plane_scene) -> None:
    """The wall is at world z = 2 m: a camera that turned sees each pixel at the depth that its ray says."""
    sources = SourceViews.from_frames(plane_scene.ring(6))
    truth = plane_scene.frame((0.1, 0.05, -0.3), yaw_degrees=5)
    grid = PixelGrid(plane_scene.width, plane_scene.height, 2)
    depth = nearest_depth(sources, truth.camera, grid)
    assert truth.depth is not None
    expected = truth.depth[:36, :48].reshape(18, 2, 24, 2).mean((1, 3))
    inner = (slice(2, -2), slice(2, -2))
    assert depth[inner].isfinite().float().mean() > 0.95
    known = depth[inner].isfinite()
    # Within a cell the wall's depth varies by its slope.
    torch.testing.assert_close(depth[inner][known], expected[inner][known], atol=0.02, rtol=0)


def test_what_is_in_front_hides_what_is_behind(plane_scene) -> None:
    frame = plane_scene.frame((0, 0, 0))
    board = frame.depth.clone()
    board[:, 24:] = 1.0
    sources = SourceViews.from_frames([frame, replace(frame, depth=board)])
    depth = nearest_depth(sources, frame.camera, PixelGrid(48, 36, 1))
    torch.testing.assert_close(depth[:, 24:], torch.ones(36, 24))
    torch.testing.assert_close(depth[:, :24], torch.full((36, 24), 2.0))


def test_what_sources_say_of_one_surface_is_averaged_by_confidence(plane_scene) -> None:
    """By hand: 2.0 and 2.1 m mean one surface, 3.0 m one behind it. Where only 3.0 m is known, that is the surface."""
    frame = plane_scene.frame((0, 0, 0))
    depth = torch.tensor([2.0, 2.1, 3.0])[:, None, None].repeat(1, 36, 48)
    depth[:2, :, 40:] = torch.nan
    confidence = torch.tensor([0.9, 0.6, 1.0])[:, None, None].expand(3, 36, 48)
    views = replace(SourceViews.from_frames([frame] * 3), depth=depth, depth_confidence=confidence)
    found = nearest_depth(views, frame.camera, PixelGrid(48, 36, 1))
    expected = math.exp((0.9 * math.log(2.0) + 0.6 * math.log(2.1)) / 1.5)
    torch.testing.assert_close(found[:, :40], torch.full((36, 40), expected))
    torch.testing.assert_close(found[:, 41:], torch.full((36, 7), 3.0))


def test_a_closer_camera_does_not_look_through_the_gaps(plane_scene) -> None:
    """At half the distance a surface's pixels lie two apart; another source sees the wall behind, through the gaps."""
    frame = plane_scene.frame((0, 0, 0))
    board = replace(frame, depth=torch.full((36, 48), 1.5))
    closer = plane_scene.camera((0, 0, 0.75))
    depth = nearest_depth(SourceViews.from_frames([frame, board]), closer, PixelGrid(48, 36, 1))
    inner = depth[4:-4, 4:-4]
    assert inner.isfinite().all()
    assert (inner < 0.8).float().mean() > 0.97, "the board is 0.75 m away, the wall 1.25 m"


def test_the_cells_that_a_mix_needs_are_those_it_changes_with() -> None:
    grid, guides = PixelGrid(23, 17, 1), PixelGrid(23, 17, 4)
    window = grid.windows(10)[4]
    around = window.around(guides)
    wanted = torch.zeros(window.shape, dtype=torch.bool)
    wanted[2, 3] = wanted[6, 9] = True
    needed = around.touched(window, wanted)
    for index in range(around.count):
        bump = torch.zeros(around.count)
        bump[index] = 1
        changes = window.mix(around, bump.reshape(*around.shape, 1))[..., 0][wanted].abs().sum() > 0
        assert bool(needed.flatten()[index]) == bool(changes)


def test_unknown_depth_stays_unknown_but_for_gaps(plane_scene) -> None:
    frame = plane_scene.frame((0, 0, 0))
    holes = frame.depth.clone()
    holes[10, 10] = torch.nan  # a gap between measured pixels
    holes[:, 30:] = 0.0  # no reading, as sensors say it
    depth = nearest_depth(SourceViews.from_frames([replace(frame, depth=holes)]), frame.camera, PixelGrid(48, 36, 1))
    assert depth[10, 10] == pytest.approx(2.0)
    assert depth[:, 31:].isnan().all()


def test_a_doubtful_reading_is_no_surface(plane_scene) -> None:
    """A board that one source may or may not have seen 1 m before the wall."""
    frame = plane_scene.frame((0, 0, 0))
    depth, confidence = torch.full((2, 36, 48), 2.0), torch.ones(2, 36, 48)
    depth[1, :, 24:], confidence[1, :, 24:] = 1.0, 0.3
    confidence[1, :, :10], depth[1, :, :10] = torch.nan, 0.9
    views = replace(SourceViews.from_frames([frame, frame]), depth=depth, depth_confidence=confidence)
    grid = PixelGrid(48, 36, 1)
    torch.testing.assert_close(nearest_depth(views, frame.camera, grid), torch.full((36, 48), 2.0))
    surer = replace(views, depth_confidence=confidence.clamp_min(0.6))
    torch.testing.assert_close(nearest_depth(surer, frame.camera, grid)[:, 24:], torch.ones(36, 24))


def test_without_depth_it_is_a_callers_mistake(plane_scene) -> None:
    sources = replace(SourceViews.from_frames(plane_scene.ring(2)), depth=None)
    with pytest.raises(ValueError, match="no depth"):
        nearest_depth(sources, plane_scene.camera((0, 0, 0)), PixelGrid(48, 36, 2))


@given(st.floats(0.3, 10.0), st.integers(4, 64), st.sampled_from(["log", "inverse"]))
def test_a_peak_lies_around_its_depth(depth: float, bins: int, spacing) -> None:
    between = DepthRange(0.5, 8.0, spacing)
    peak, known = distribution_around(torch.tensor([depth, torch.nan]), bins, between)
    inside = between.near <= depth <= between.far
    assert known.tolist() == [inside, False]
    assert (peak[1] == 0).all()
    if not inside:
        assert (peak[0] == 0).all()
        return
    assert float(peak[0].sum()) == pytest.approx(1.0, abs=1e-5)
    place = float(between.coordinate_of(torch.tensor(depth))) * bins
    touched = torch.nonzero(peak[0]).squeeze(-1)
    assert (touched + 0.5 - place).abs().max() < 2 + 1e-4, "rounding may touch the next bin"
    assert spread(peak[:1]) < 1.0 / bins


def test_a_measured_surface_is_not_brought_forward_by_a_density_that_ends_rays_at_once(plane_scene) -> None:
    """Light ends at the first sample that is asked: that one must lie close to the measured depth."""
    model = SemanticRay(SemanticRayConfig(3)).eval()
    with torch.no_grad():
        model.fine.geometry.density_mlp[2].bias.fill_(1e4)
    field = SemanticField(model)
    field.set_sources(SourceViews.from_frames(plane_scene.ring(3)))
    truth = plane_scene.frame((0.05, 0.0, 0.0))
    view = field.render(truth.camera)
    seen = view.depth.isfinite()
    assert seen.float().mean() > 0.9
    torch.testing.assert_close(view.depth[seen], truth.depth[seen], rtol=0.01, atol=0)
