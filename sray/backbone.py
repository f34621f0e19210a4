"""LiteUNet: an encoder on an ImageNet backbone (EfficientNet-Lite). Pictures in, quarter-resolution features out.

The backbone has no batch statistics: they are folded into its convolutions when its weights are read
(`sray_train/learn/backbone_weights.py`), so that a picture's features depend on nothing but the picture. Every layer
works on a grid whose cell i is centered at pixel stride * i, as in `ResUNet`.

Source: Tan and Le, EfficientNet, ICML 2019 (the Lite variants: no squeeze-and-excitation, ReLU6, fixed stem and head).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sray.encoder import FEATURE_CHANNELS, ResUNet, double
from sray.half_precision import half_precision

BackboneName = Literal["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
EncoderName = Literal["resunet", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
"""`resunet`: the paper's (Table 12)."""


class Stage(NamedTuple):
    """A run of blocks of one output width (EfficientNet, Table 1)."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    blocks: int


_STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
_SCALING: dict[BackboneName, tuple[float, float]] = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
"""Factors on channels and on blocks."""
_STEM = 32
FIRST_STAGES = 2
"""That belong to `LiteUNet.first_layers`."""


def stages(name: BackboneName) -> list[Stage]:
    """The scaled stages. The first and the last keep one depth in the Lite variants."""
    width, depth = _SCALING[name]
    last = len(_STAGES) - 1
    return [
        stage._replace(
            channels=_rounded(stage.channels * width),
            blocks=stage.blocks if index in (0, last) else -int(-(stage.blocks * depth) // 1),
        )
        for index, stage in enumerate(_STAGES)
    ]


def _rounded(channels: float) -> int:
    """The multiple of 8 nearest to a scaled width, not more than a tenth below it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class InvertedBlock(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, project; added to the input where shapes allow."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner = inputs * stage.expansion
        self.expand = nn.Conv2d(inputs, inner, 1) if stage.expansion > 1 else None
        self.filter = nn.Conv2d(inner, inner, stage.kernel, stride, stage.kernel // 2, groups=inner)
        self.project = nn.Conv2d(inner, stage.channels, 1)
        self.residual = stride == 1 and inputs == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        if inner.requires_grad:
            # CPUs have no good gradient of filters of single channels in bfloat16: in single precision it takes a third
            # of the time.
            with torch.autocast(inner.device.type, enabled=False):
                filtered = self.filter(inner.to(self.filter.weight.dtype))
        else:
            filtered = self.filter(inner)
        out: Tensor = self.project(F.relu6(filtered))
        return x + out if self.residual else out


class EfficientNetLite(nn.Module):
    """The backbone without its classification head."""

    def __init__(self, name: BackboneName) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM, 3, 2, 1)
        self.stages = nn.ModuleList()
        inputs = _STEM
        for stage in stages(name):
            blocks = []
            for number in range(stage.blocks):
                blocks.append(InvertedBlock(inputs, stage, stage.stride if number == 0 else 1))
                inputs = stage.channels
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, images: Float[Tensor, "views 3 height width"]) -> list[Tensor]:
        """Feature maps at strides 4, 8, 16 and 32 of RGB pictures in 0..1."""
        x = F.relu6(self.stem(2 * images - 1))
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in (1, 2, 4, 6):  # the last stage of each stride
                maps.append(x)
        return maps


class LiteUNet(nn.Module):
    """EfficientNet-Lite with a light decoder to the 32 channels at quarter resolution that rays read."""

    def __init__(self, name: BackboneName) -> None:
        if name not in get_args(BackboneName):
            raise ValueError(f"backbone is {name!r}; expected one of {', '.join(get_args(BackboneName))}")
        super().__init__()
        self.backbone = EfficientNetLite(name)
        scaled = stages(name)
        quarter, eighth, sixteenth, deepest = (scaled[index].channels for index in (1, 2, 4, 6))
        self.top = nn.Conv2d(deepest, 128, 1)
        self.scene = nn.Linear(deepest, 128)
        """What the whole picture says (a kitchen, say) is added to every cell."""
        self.merge_sixteenth = Merge(128, sixteenth, 128)
        self.merge_eighth = Merge(128, eighth, 96)
        self.merge_quarter = Merge(96, quarter, 64)
        self.out = nn.Conv2d(64, FEATURE_CHANNELS, 1)

    @property
    def first_layers(self) -> list[nn.Parameter]:
        """The stem and the first stages: edges and textures, which ImageNet taught."""
        return [*self.backbone.stem.parameters(), *self.backbone.stages[:FIRST_STAGES].parameters()]

    def forward(self, images: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views channels rows columns"]:
        """Features of RGB pictures in 0..1; rows and columns are ceil(size / 4).

        Where nothing learns, in half precision on a CPU that is made for it: 0.6 of the time.
        """
        if torch.is_grad_enabled():
            return self._features(images)
        with half_precision(images.device):
            return self._features(images).to(images.dtype)

    def _features(self, images: Tensor) -> Tensor:
        quarter, eighth, sixteenth, deepest = self.backbone(images.contiguous(memory_format=torch.channels_last))
        x = F.relu(self.top(deepest) + self.scene(deepest.mean((2, 3)))[..., None, None])
        x = self.merge_sixteenth(x, sixteenth)
        x = self.merge_eighth(x, eighth)
        features: Tensor = self.out(self.merge_quarter(x, quarter))
        return features.contiguous()


class Merge(nn.Module):
    """A coarse map brought to the next finer grid, joined with the backbone's map there, and mixed."""

    def __init__(self, coarse: int, lateral: int, outputs: int) -> None:
        super().__init__()
        self.carry = nn.Conv2d(coarse, outputs, 1)
        self.lateral = nn.Conv2d(lateral, outputs, 1)
        self.norm = nn.GroupNorm(8, outputs)
        self.mix = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        joined = double(self.carry(coarse), fine) + self.lateral(fine)
        joined = F.relu(self.norm(joined))
        return joined + F.relu(self.mix(joined))


def new_encoder(name: EncoderName) -> nn.Module:
    """An encoder with new weights: pictures in, (views, FEATURE_CHANNELS, rows, columns) at quarter resolution out."""
    return ResUNet() if name == "resunet" else LiteUNet(name)
