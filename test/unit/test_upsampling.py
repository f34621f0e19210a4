"""Joint bilateral upsampling: labels and depth follow the color's edges."""

from __future__ import annotations

import torch
from torch import Tensor

from sray.guidance import PixelGrid
from sray.shaded import Shaded
from sray.upsampling import upsample_along_colors

WIDTH, HEIGHT, EDGE = 16, 8, 7  # pixels left of column 7 are red and near, the others blue and far: cells straddle it


def paint(pixels: Tensor) -> Tensor:
    return torch.where(pixels[:, :1] < EDGE, torch.tensor([[0.9, 0.1, 0.1]]), torch.tensor([[0.1, 0.1, 0.9]]))


def scene(near: float, far: float) -> tuple[Shaded, list[Tensor]]:
    pixels, cells = (PixelGrid(WIDTH, HEIGHT, stride).windows(100)[0] for stride in (1, 2))
    left = cells.pixels()[:, 0] < EDGE
    shaded = Shaded(
        probabilities=torch.stack([left.float(), (~left).float()], -1),
        color=0.8 * paint(cells.pixels()),
        depth=torch.where(left, near, far),
        opacity=torch.full((len(left),), 0.8),
        coverage=torch.where(left, 3.0, 5.0),
    )
    asked: list[Tensor] = []

    def tint(places: Tensor, depth: Tensor) -> Tensor:
        asked.append(depth)
        return paint(places)

    return upsample_along_colors(pixels, cells, shaded, tint), asked


def test_labels_and_depth_change_where_the_color_does() -> None:
    full, _ = scene(1.0, 4.0)
    left = torch.arange(WIDTH).repeat(HEIGHT) < EDGE
    assert torch.equal(full.probabilities.argmax(-1) == 0, left)
    torch.testing.assert_close(full.depth, torch.where(left, 1.0, 4.0))
    assert torch.equal(full.coverage.round() == 3, left)
    torch.testing.assert_close(full.opacity, torch.full((WIDTH * HEIGHT,), 0.8))


def test_the_color_is_the_tint_as_opaque_as_the_cells() -> None:
    full, asked = scene(1.0, 4.0)
    pixels = PixelGrid(WIDTH, HEIGHT, 1).windows(100)[0].pixels()
    torch.testing.assert_close(full.color, 0.8 * paint(pixels))
    assert set(asked[0].tolist()) == {1.0, 4.0}, "at an edge in depth, no surface is invented between the two"


def test_on_one_surface_depth_is_interpolated() -> None:
    """A slope of 0.01 m a pixel, known in every second pixel's middle."""
    pixels, cells = (PixelGrid(WIDTH, HEIGHT, stride).windows(100)[0] for stride in (1, 2))
    count = len(cells.pixels())
    ramp = Shaded(
        torch.ones(count, 1),
        torch.ones(count, 3),
        2 + 0.01 * cells.pixels()[:, 0],
        torch.ones(count),
        torch.ones(count),
    )
    full = upsample_along_colors(pixels, cells, ramp, lambda places, depth: torch.ones(len(places), 3))
    inner = full.depth.reshape(HEIGHT, WIDTH)[:, 1:-1]
    torch.testing.assert_close(inner, (2 + 0.01 * torch.arange(1, WIDTH - 1)).expand(HEIGHT, -1))


def test_where_no_color_is_alike_nearness_decides() -> None:
    pixels, cells = (PixelGrid(4, 2, stride).windows(100)[0] for stride in (1, 2))
    shaded = Shaded(torch.eye(2), torch.zeros(2, 3), torch.ones(2), torch.ones(2), torch.ones(2))
    full = upsample_along_colors(pixels, cells, shaded, lambda places, depth: torch.ones(len(places), 3))
    assert full.probabilities.reshape(2, 4, 2)[0].argmax(-1).tolist() == [0, 0, 1, 1]
    assert full.probabilities.isfinite().all()


def test_cells_without_a_finding_lend_neither_depth_nor_color() -> None:
    """Left half seen, right half empty: what is opaque enough to be shown lies on the surface."""
    pixels, cells = (PixelGrid(WIDTH, HEIGHT, stride).windows(100)[0] for stride in (1, 2))
    seen = cells.pixels()[:, 0] < EDGE
    shaded = Shaded(
        torch.where(seen[:, None], torch.tensor([[0.9, 0.1]]), torch.zeros(1, 2)),
        torch.where(seen[:, None], torch.full((1, 3), 0.5), torch.zeros(1, 3)),
        torch.where(seen, 2.0, 0.0),
        seen.float(),
        torch.where(seen, 4.0, 0.0),
    )
    asked: list[Tensor] = []

    def tint(places: Tensor, depth: Tensor) -> Tensor:
        asked.append(depth)
        return torch.full((len(places), 3), 0.5)

    full = upsample_along_colors(pixels, cells, shaded, tint)
    shown = full.opacity > 0
    assert 0.4 < shown.float().mean() < 0.7
    torch.testing.assert_close(full.depth[shown], torch.full((int(shown.sum()),), 2.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(asked[0][shown], full.depth[shown])
    torch.testing.assert_close(full.probabilities[shown][:, 0], torch.full((int(shown.sum()),), 0.9), atol=1e-4, rtol=0)
    torch.testing.assert_close(full.coverage[shown], torch.full((int(shown.sum()),), 4.0), atol=1e-3, rtol=0)
    assert full.depth.isfinite().all() and full.probabilities.isfinite().all()
