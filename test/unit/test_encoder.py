"""The encoder's grid: cell i is centered at pixel 4 i, on even and odd sizes, through both up-samplings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sray.encoder import ResUNet, double


def straight_encoder() -> ResUNet:
    """The encoder without neighborhoods: norms off, and of every kernel only the center tap, all positive.

    What is left of it is where each layer takes its samples, and an affine function of gray.
    """
    torch.manual_seed(0)
    encoder = ResUNet().double().eval()
    for name, module in list(encoder.named_modules()):
        if isinstance(module, nn.InstanceNorm2d):
            parent = encoder.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], nn.Identity())
        elif isinstance(module, nn.Conv2d):
            size = module.kernel_size[0]
            taps = torch.zeros_like(module.weight)
            taps[:, :, size // 2, size // 2] = (
                torch.rand(taps.shape[:2], dtype=torch.float64) + 0.5
            ) / module.in_channels
            module.weight.data = taps
            nn.init.zeros_(module.bias)
    return encoder


@pytest.mark.parametrize(("width", "height"), [(64, 48), (160, 120), (90, 60), (33, 47), (16, 17)])
@pytest.mark.parametrize("axis", ["columns", "rows"])
def test_cell_i_is_centered_at_pixel_4i(width: int, height: int, axis: str) -> None:
    """A ramp of gray comes out as a ramp: cell i holds what a picture all of pixel 4 i's gray would give.

    Up-sampling that takes the maps for resized pictures would shift the deep paths by a fraction of a cell.
    """
    encoder = straight_encoder()
    size = width if axis == "columns" else height
    # From 0.5 upwards, so that no ReLU cuts: the encoder maps 0..1 to -1..1.
    gray = 0.5 + 0.5 * torch.arange(size, dtype=torch.float64) / size
    image = gray.expand(height, width) if axis == "columns" else gray[:, None].expand(height, width)
    with torch.no_grad():
        features = encoder(image.expand(1, 3, height, width))[0]
        black, white = (
            encoder(torch.full((1, 3, 32, 32), level, dtype=torch.float64))[0, :, 0, 0] for level in (0.5, 1.0)
        )
    expected = black + (2 * gray[::4, None] - 1) * (white - black)  # cells x channels
    assert features.shape == (32, -(-height // 4), -(-width // 4))
    ramp = features[:, 0] if axis == "columns" else features[:, :, 0]
    # Beyond the deepest grid's last cell, at pixel 16 floor((size - 1) / 16), there is nothing to interpolate with.
    inner = 4 * ((size - 1) // 16) + 1
    torch.testing.assert_close(ramp.T[:inner], expected[:inner], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("pixel", [(16, 32), (32, 16), (48, 48)])
def test_an_impulse_at_pixel_4i_peaks_at_cell_i(pixel: tuple[int, int]) -> None:
    column, row = pixel
    image = torch.full((1, 3, 65, 81), 0.5, dtype=torch.float64)
    image[:, :, row, column] = 1
    with torch.no_grad():
        response = straight_encoder()(image)[0].sum(0)
    peak = divmod(int(response.argmax()), response.shape[1])
    assert peak == (row // 4, column // 4)
    # And falls off alike to both sides, as far as bilinear weights of the deepest grid reach.
    for step in range(1, 5):
        assert response[peak[0], peak[1] - step].item() == pytest.approx(response[peak[0], peak[1] + step].item())
        assert response[peak[0] - step, peak[1]].item() == pytest.approx(response[peak[0] + step, peak[1]].item())


@pytest.mark.parametrize("axis", [2, 3])
def test_a_mirrored_picture_gives_mirrored_features(axis: int) -> None:
    """On 16 k + 1 pixels every grid is symmetric, so with mirrored kernels nothing but a shift breaks the symmetry.

    This one runs the network as it is: norms, neighborhoods and all.
    """
    torch.manual_seed(1)
    encoder = ResUNet().double()
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = (module.weight.data + module.weight.data.flip(2)) / 2
            module.weight.data = (module.weight.data + module.weight.data.flip(3)) / 2
    image = torch.rand(1, 3, 49, 65, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(image.flip(axis)), encoder(image).flip(axis), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("width", [1, 2, 3, 6])
@pytest.mark.parametrize("height", [1, 2, 5])
def test_double_reads_the_coarse_map_at_j_half(width: int, height: int) -> None:
    coarse = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for rows in {2 * height, 2 * height - 1}:
        for columns in {2 * width, 2 * width - 1}:
            found = double(coarse, torch.zeros(2, 1, rows, columns))
            assert found.shape == (2, 3, rows, columns)
            for row in range(rows):
                for column in range(columns):
                    tops, lefts = {row // 2, min((row + 1) // 2, height - 1)}, {column // 2, (column + 1) // 2}
                    lefts = {min(left, width - 1) for left in lefts}
                    corners = [coarse[:, :, top, left] for top in tops for left in lefts]
                    torch.testing.assert_close(
                        found[:, :, row, column], sum(corners) / len(corners), atol=1e-15, rtol=1e-14
                    )


@pytest.mark.parametrize("rows", [3, 4])
def test_double_has_its_own_gradients_and_refuses_other_sizes(rows: int) -> None:
    coarse = torch.rand(1, 1, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda map_: double(map_, torch.zeros(1, 1, rows, 5)), coarse)
    for size in (rows, 4), (rows, 7), (5, 6):
        with pytest.raises(ValueError, match="cells cannot be doubled"):
            double(coarse, torch.zeros(1, 1, *size))


@pytest.mark.parametrize(("width", "height"), [(160, 120), (360, 240), (161, 121), (35, 50)])
def test_sizes_that_do_not_divide_by_16_run(width: int, height: int) -> None:
    with torch.no_grad():
        features = ResUNet()(torch.rand(1, 3, height, width))
    assert features.shape == (1, 32, -(-height // 4), -(-width // 4))
    assert features.isfinite().all()


def test_a_views_features_do_not_depend_on_the_others() -> None:
    """Features are kept per keyframe: instance norm, not batch norm, and no difference between train and eval."""
    torch.manual_seed(0)
    encoder, images = ResUNet(), torch.rand(3, 3, 40, 56)
    with torch.no_grad():
        together = encoder(images)
        encoder.eval()
        # Convolutions over one and over three pictures may add in another order: single precision, 20 layers.
        torch.testing.assert_close(encoder(images[1:2])[0], together[1], atol=1e-4, rtol=1e-4)


def test_the_layers_of_table_12_have_its_sizes() -> None:
    """Weights with biases, layer by layer: inputs x outputs x taps + outputs; 1x1 shortcuts where the shape changes."""

    def convolution(inputs: int, outputs: int, size: int) -> int:
        return inputs * outputs * size**2 + outputs

    def block(inputs: int, outputs: int) -> int:
        body = convolution(inputs, outputs, 3) + convolution(outputs, outputs, 3)
        return body + (convolution(inputs, outputs, 1) if inputs != outputs else 0)

    table_12 = [
        convolution(3, 16, 7),  # L1
        block(16, 32),  # L2
        block(32, 64),  # L3
        block(64, 64),  # L4
        block(64, 128),  # L5
        *[block(128, 128)] * 5,  # L6-L10
        convolution(128, 64, 3),  # L11
        convolution(128, 64, 3),  # L14, after L13's concatenation
        convolution(64, 32, 3),  # L15
        convolution(64, 32, 3),  # L18, after L17's concatenation
        convolution(32, 32, 1),  # L19
    ]
    found = sum(
        parameter.numel()
        for module in ResUNet().modules()
        if isinstance(module, nn.Conv2d)
        for parameter in module.parameters()
    )
    assert found == sum(table_12) == 2_039_360
