"""RenderConfig: how much work a render does. The quality levels, as docs/performance.md measures them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from jaxtyping import Bool, Float
from torch import Tensor

Engine = Literal["auto", "plain", "torch_compile"]
Precision = Literal["float32", "bfloat16"]


_LEAST = {
    "coarse_samples": 2,
    "fine_samples": 2,
    "wide_samples": 2,
    "measured_samples": 2,
    "whole_ray_samples": 0,
    "coarse_stride": 1,
}


@dataclass(frozen=True)
class RenderConfig:
    """How much work a render does, and which pixels it calls void."""

    coarse_samples: int = 64
    """Samples a ray, evenly over the bounds, that look for the surface."""
    fine_samples: int = 64
    """Samples a ray around what was found."""
    wide_samples: int = 64
    """The same where the surface may be in several places: at edges, and where the views disagree."""
    measured_samples: int = 64
    """The same where depth of the sources, of a sensor or of stereo, says that the surface is in one place."""
    whole_ray_samples: int = 0
    """Samples more of every shaded ray, evenly over the bounds, for a model that was trained with them."""
    coarse_stride: int = 1
    """Pixels between the rays that look for the surface; those between take the mix of their neighbors' findings."""
    label_stride: int = 1
    """Pixels between the rays that are shaded; labels and depth between are upsampled along edges of the color."""
    min_opacity: float = 0.3
    """A pixel that stops less of the light than this is void."""
    min_coverage: float = 0.5
    """A pixel that fewer source views see (averaged along its ray) is void."""
    min_confidence: float = 0.0
    """A pixel whose class is less probable is void."""
    match_exposure: bool = True
    """Bring the colors of the source views to one exposure before they are blended, where depth is known; what is
    rendered gets that of the views around it."""
    tile: int = 128
    """Edge, in pixels, of what is rendered at once, between two looks at whether to go on: half of it where plain
    PyTorch renders on a CPU, four times as much on a GPU. Does not change the result."""
    chunk_rays: int = 256
    """Rays at once in plain PyTorch on a CPU; a GPU takes as many as it can. Does not change the result."""
    engine: Engine = "auto"
    """What runs the network along rays. `auto`: the kernel compiled for this CPU where there is one, else `plain`
    PyTorch. `torch_compile`: plain PyTorch through torch.compile, which takes minutes at first. Differ by rounding."""
    precision: Precision = "float32"
    """Of plain PyTorch's matrix products; `bfloat16` is worth it on a GPU. The kernel works in float32."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {least}")
        for name, known in (("engine", Engine), ("precision", Precision)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(get_args(known))}")
        if self.label_stride not in (1, 2):
            raise ValueError(f"label_stride is {self.label_stride}; expected 1 or 2")
        if self.tile < self.label_stride or self.chunk_rays < 1:
            raise ValueError(f"tile is {self.tile} and chunk_rays {self.chunk_rays}; expected more")

    def void(
        self,
        opacity: Float[Tensor, "*shape"],
        coverage: Float[Tensor, "*shape"],
        confidence: Float[Tensor, "*shape"],
    ) -> Bool[Tensor, "*shape"]:
        """Where too little is known to say anything."""
        return (opacity < self.min_opacity) | (coverage < self.min_coverage) | (confidence < self.min_confidence)

    @staticmethod
    def preset(name: str) -> RenderConfig:
        """`reference` (the paper's 64 + 64 samples), `high`, `balanced` or `fast`. Raises ValueError otherwise."""
        if name not in _PRESETS:
            raise ValueError(f"render quality is {name!r}; expected one of {', '.join(_PRESETS)}")
        return _PRESETS[name]


_PRESETS = {
    "reference": RenderConfig(tile=64),
    "high": RenderConfig(coarse_samples=48, fine_samples=16, wide_samples=32, measured_samples=8, coarse_stride=2),
    "balanced": RenderConfig(coarse_samples=32, fine_samples=8, wide_samples=16, measured_samples=3, coarse_stride=4),
    "fast": RenderConfig(
        coarse_samples=32, fine_samples=8, wide_samples=12, measured_samples=3, coarse_stride=4, label_stride=2
    ),
}
