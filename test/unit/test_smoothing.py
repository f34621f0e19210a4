"""Features smoothed within surfaces: against loops in plain Python, and where the model does it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from conftest import PlaneScene

from sray.model import SemanticRay, SemanticRayConfig, SemanticRayOptions
from sray.smoothing import smoothed

TOLERANCE = 0.1


def by_hand(features: torch.Tensor, image: torch.Tensor, row: int, column: int) -> list[float]:
    """One cell of one picture: the weighted mean of the 5 x 5 cells that are two apart around it."""
    channels, rows, columns = features.shape

    def color(i: int, j: int) -> list[float]:
        """The mean of the 5 x 5 pixels around pixel (4 i, 4 j) that the picture has."""
        inside = [
            image[:, y, x].tolist()
            for y in range(4 * i - 2, 4 * i + 3)
            for x in range(4 * j - 2, 4 * j + 3)
            if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]
        ]
        return [sum(values) / len(inside) for values in zip(*inside, strict=True)]

    here, total, mean = color(row, column), 0.0, [0.0] * channels
    for down in range(-2, 3):
        for right in range(-2, 3):
            i, j = row + 2 * down, column + 2 * right
            if 0 <= i < rows and 0 <= j < columns:
                unlike = sum((a - b) ** 2 for a, b in zip(color(i, j), here, strict=True))
                weight = math.exp(-unlike / (2 * TOLERANCE**2) - (down**2 + right**2) / (2 * 1.4**2))
                total += weight
                mean = [value + weight * float(features[k, i, j]) for k, value in enumerate(mean)]
    return [value / total for value in mean]


def test_it_is_the_mean_of_cells_of_like_color() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 7, 9, generator=generator)
    images = 0.4 + 0.2 * torch.rand(2, 3, 27, 35, generator=generator)
    images[:, :, :, 18:] += 0.15
    found = smoothed(features, images, TOLERANCE)
    for view in range(2):
        for row, column in ((0, 0), (6, 8), (3, 4), (2, 7), (5, 1)):
            expected = by_hand(features[view], images[view], row, column)
            assert found[view, :, row, column].tolist() == pytest.approx(expected, abs=1e-5)


def test_an_edge_of_the_color_stays_an_edge() -> None:
    image = torch.zeros(1, 3, 48, 64)
    image[..., 32:] = 0.8
    features = torch.zeros(1, 1, 12, 16)
    features[..., 8:] = 1.0
    features[0, 0, 5, 3] = 1.0  # a mistake within a surface
    found = smoothed(features, image, 0.05)
    assert float(found[0, 0, 5, 3]) < 0.3, "outvoted"
    assert float(found[0, 0, :, :7].max()) < 0.3 and float(found[0, 0, :, 9:].min()) > 0.999
    torch.testing.assert_close(smoothed(torch.full((1, 4, 12, 16), 0.7), image, 0.05), torch.full((1, 4, 12, 16), 0.7))


def test_the_model_smooths_whatever_reads_its_features() -> None:
    """By the picture as the encoder reads it; without, features are the encoder's own, as in the paper."""
    torch.manual_seed(0)
    plain = SemanticRay(SemanticRayConfig(3, reading_focal=60.0)).eval()
    smooth = SemanticRay(replace(plain.config, smoothing=0.05)).eval()
    smooth.load_state_dict(plain.state_dict())
    frame = PlaneScene().frame((0.0, 0.0, 0.0))
    image = frame.image.permute(2, 0, 1)[None].float() / 255
    width, height = plain.reading_size(frame.camera)
    read = torch.nn.functional.interpolate(image, (height, width), mode="bilinear", antialias=True)
    with torch.no_grad():
        own, found = plain.picture_features(image, frame.camera), smooth.picture_features(image, frame.camera)
        torch.testing.assert_close(found, smoothed(own, read, 0.05))
        assert not torch.allclose(found, own)
        assert torch.equal(own, plain.encoder(read))
    found = smooth.picture_features(image, frame.camera)
    found.square().sum().backward()
    assert all(weight.grad is not None for weight in smooth.encoder.parameters())
    assert SemanticRayConfig.paper(3).smoothing == 0 == SemanticRayConfig(3).smoothing
    assert SemanticRayOptions(smoothing=0.05).config(3).smoothing == 0.05
    with pytest.raises(ValueError, match="smoothing is -1"):
        SemanticRayConfig(3, smoothing=-1.0)
