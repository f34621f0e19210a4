"""Frames and source views: resizing, batching."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sray.camera import Camera
from sray.frames import Frame, SourceViews


def numbered(width: int, height: int) -> Frame:
    """Every pixel carries its own place: red is the column, green the row, depth and labels alike."""
    columns = torch.arange(width).expand(height, width)
    rows = torch.arange(height)[:, None].expand(height, width)
    image = torch.stack([columns, rows, torch.zeros_like(columns)], dim=-1).to(torch.uint8)
    camera = Camera(torch.tensor([[50.0, 0, width / 2], [0, 50, height / 2], [0, 0, 1]]), torch.eye(4), width, height)
    return Frame(image, camera, 1 + columns.float(), (columns % 200).to(torch.uint8), 7, "numbered")


@pytest.mark.parametrize(("width", "height"), [(20, 12), (13, 7), (40, 24), (90, 50)])
def test_labels_and_depth_are_resized_nearest_exact(width: int, height: int) -> None:
    """Pixel u of the result takes the pixel nearest to (u + 0.5) / s - 0.5 (either, if two are): no shift."""
    frame = numbered(40, 24).resized(width, height)
    assert frame.labels is not None
    assert frame.depth is not None
    places = (torch.arange(width) + 0.5) * 40 / width - 0.5
    assert (frame.labels[0] - places).abs().max() <= 0.5 + 1e-5
    assert torch.equal(frame.depth[0] - 1, frame.labels[0].float())
    assert frame.image.shape == (height, width, 3)
    assert (frame.camera.width, frame.camera.height) == (width, height)
    assert (frame.stamp_ns, frame.name) == (7, "numbered")


def test_shrinking_averages_colors() -> None:
    """Half the size: each pixel is the mean of four, and stays where its camera says it is."""
    frame = numbered(40, 24).resized(20, 12)
    # Columns 0, 1 -> 0.5, rounded to 0 or 1; the same for every pair.
    red = frame.image[0, :, 0].float()
    assert (red - (torch.arange(20) * 2 + 0.5)).abs().max() <= 0.5


def test_resizing_keeps_nan_depth_and_void() -> None:
    frame = numbered(40, 24)
    assert frame.depth is not None
    assert frame.labels is not None
    frame.depth[:, :20] = torch.nan
    frame.labels[:, :20] = 255
    small = frame.resized(20, 12)
    assert small.depth is not None
    assert small.labels is not None
    assert small.depth[:, :10].isnan().all()
    assert small.depth[:, 10:].isfinite().all()
    assert (small.labels[:, :10] == 255).all()


def test_the_same_size_is_the_same_frame() -> None:
    frame = numbered(8, 6)
    assert frame.resized(8, 6) is frame


def test_source_views_batch_frames() -> None:
    views = SourceViews.from_frames([numbered(8, 6), numbered(8, 6), numbered(8, 6)])
    assert views.count == 3
    assert views.images.shape == (3, 3, 6, 8)
    assert views.images[1, 0, 2, 5].item() == pytest.approx(5 / 255)
    assert views.images[1, 1, 2, 5].item() == pytest.approx(2 / 255)
    assert views.depth is not None
    assert views[[2, 0]].count == 2


def test_a_view_without_depth_knows_none_and_the_others_keep_theirs() -> None:
    with_depth = numbered(8, 6)
    without = Frame(with_depth.image, with_depth.camera)
    mixed = SourceViews.from_frames([with_depth, without])
    assert mixed.depth is not None
    assert torch.equal(mixed.depth[0], with_depth.depth)
    assert mixed.depth[1].isnan().all()
    assert SourceViews.from_frames([without, without]).depth is None


def test_source_views_refuse_nothing_and_mixed_sizes() -> None:
    with pytest.raises(ValueError, match="no frames"):
        SourceViews.from_frames([])
    with pytest.raises(ValueError, match="exactly one size"):
        SourceViews.from_frames([numbered(8, 6), numbered(10, 6)])


def test_confidence_goes_where_depth_goes(plane_scene) -> None:
    views = SourceViews.from_frames(plane_scene.ring(3))
    assert views.depth_confidence is None and views.trusted_depth is views.depth, "sensors are believed"
    confidence = torch.rand(views.depth.shape, generator=torch.Generator().manual_seed(0))
    confidence[0, 0, 0] = torch.nan
    some = replace(views, depth_confidence=confidence)[[2, 0]].to("cpu")
    assert torch.equal(some.depth_confidence.nan_to_num(), confidence[[2, 0]].nan_to_num())
    trusted = confidence[[2, 0]] >= 0.5
    assert torch.equal(some.trusted_depth[trusted], views.depth[[2, 0]][trusted])
    assert some.trusted_depth[~trusted].isnan().all() and not trusted[1, 0, 0]
