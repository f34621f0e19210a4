"""What a mapper can be told: which views serve, what becomes points, how far it sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.voxel_map import CONFIRMED, VoxelMapConfig
from sray.view_selection import Selection


@dataclass(frozen=True)
class ViewsConfig:
    """Which keyframes serve as sources."""

    count: int = 8
    """Source views per render at most."""
    min: int = 2
    """With fewer sources that see the target, TooFewViewsError."""
    selection: Selection = "pose_score"
    """What makes a source better: `pose_score` weighs distance, angle and overlap; `nearest` distance and angle alone,
    among those that overlap enough."""
    include_own: bool = False
    """Whether a frame's own keyframe may be a source for its own camera. Never in a reported score."""

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.count:
            raise ValueError(f"views.min is {self.min} and views.count {self.count}; expected 1 <= min <= count")
        if self.selection not in get_args(Selection):
            known = ", ".join(get_args(Selection))
            raise ValueError(f"views.selection is {self.selection!r}; expected one of {known}")


@dataclass(frozen=True)
class CloudConfig:
    """What of a rendered view becomes points."""

    stride: int = 2
    """Every how many rows and columns."""
    min_confidence: float = 0.0
    """Least probability of the class."""
    max_jump: float = 0.2
    """Largest difference of depth among a pixel and the eight around it, as a share: pixels at an edge mix both sides.
    A floor that is seen along its surface goes too: h meters below a camera of f pixels, from about f h / 11 on."""

    def __post_init__(self) -> None:
        if not self.max_jump >= 0:
            raise ValueError(f"cloud.max_jump is {self.max_jump}; expected 0 or more")


@dataclass(frozen=True)
class MapperConfig:
    """Everything a mapper can be told."""

    keyframes: KeyframeConfig = field(default_factory=KeyframeConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    cloud: CloudConfig = field(default_factory=CloudConfig)
    map: VoxelMapConfig = CONFIRMED
    near: float = 0.0
    """Nearest sample along a ray, meters; 0: from the scene."""
    far: float = 0.0
    """Farthest sample, meters; 0: from the scene."""
    max_depth: float = 0.0
    """Depth readings beyond this, meters, are not believed; 0: all are."""
    stereo: bool = True
    """Find the depth of keyframes where no sensor measured it, from their neighbors, if the model can."""

    def __post_init__(self) -> None:
        if self.near > 0 and self.far > 0 and self.near >= self.far:
            raise ValueError(f"near is {self.near} and far {self.far}; expected near < far, or 0 for either")
