"""The parameters of semantic_mapper: declared here once; and the configurations of the library that they make."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import get_args

from sray.camera_info import StereoFrame
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper_config import CloudConfig, MapperConfig, ViewsConfig
from sray.mapping.voxel_keys import MOST_NEIGHBORS
from sray.mapping.voxel_map import CONFIRMED, VoxelMapConfig
from sray.render_config import Engine, Precision, RenderConfig
from sray.view_selection import Selection
from sray_ros.common.data_folder import complaint_about_name
from sray_ros.common.parameters import NEVER, ON_ACTIVATE, ON_CONFIGURE, NodeParameters, parameter
from sray_ros.finetune.parameters import FinetuneSettings
from sray_ros.mapper.pacing import COST

QUALITIES = tuple(reversed(COST))


@dataclass(frozen=True)
class CameraSettings:
    rectified: bool = parameter(False, "the image is rectified: use P of camera_info, and no distortion")
    stereo_frame: StereoFrame = parameter(
        "",
        "a stereo pair's second camera, whose P[0,3] is not 0: its frame is its own optical center (own: most "
        "drivers), or the first camera's (first: as camera_info is defined); empty: refused",
        choices=get_args(StereoFrame),
    )


@dataclass(frozen=True)
class QosSettings:
    reliability: str = parameter(
        "auto",
        "reliability asked of the inputs; auto: what their publishers offer",
        choices=("auto", "reliable", "best_effort"),
        applies=ON_ACTIVATE,
    )


@dataclass(frozen=True)
class SyncSettings:
    policy: str = parameter(
        "approximate",
        "how image and camera_info are matched",
        choices=("approximate", "exact"),
        applies=ON_ACTIVATE,
    )
    queue_size: int = parameter(10, "messages kept per input while matching", (1, 1000), applies=ON_CONFIGURE)
    slop: float = parameter(0.02, "seconds that matched stamps may differ", (0.0001, 10.0), applies=ON_ACTIVATE)


@dataclass(frozen=True)
class TfSettings:
    timeout: float = parameter(0.2, "seconds (steady time) to wait for a pose", (0.0, 60.0))


@dataclass(frozen=True)
class KeyframeSettings:
    capacity: int = parameter(KeyframeConfig.capacity, "keyframes held at most", (1, 4096))
    min_translation: float = parameter(
        KeyframeConfig.min_translation,
        "meters from every keyframe after which a frame becomes one; 0: every frame",
        (0.0, 100.0),
    )
    min_rotation: float = parameter(
        KeyframeConfig.min_rotation,
        "degrees from every keyframe after which a frame becomes one; 0: every frame",
        (0.0, 180.0),
    )
    min_sharpness: float = parameter(
        KeyframeConfig.min_sharpness,
        "least Laplacian variance at 320 pixels width; 0: blurred frames become keyframes too",
        (0.0, 100000.0),
    )
    max_age: float = parameter(
        KeyframeConfig.max_age, "seconds after which a keyframe leaves; 0: never", (0.0, 1000000.0)
    )


@dataclass(frozen=True)
class ViewsSettings:
    count: int = parameter(ViewsConfig.count, "source views per render at most", (1, 32))
    min: int = parameter(ViewsConfig.min, "source views that see the target, at least", (1, 32))
    selection: str = parameter(
        ViewsConfig.selection,
        "which keyframes serve: pose_score weighs distance, angle and overlap, nearest distance and angle",
        choices=get_args(Selection),
    )
    include_own: bool = parameter(ViewsConfig.include_own, "let a frame be a source for its own camera")


@dataclass(frozen=True)
class RenderSettings:
    width: int = parameter(0, "columns of a rendered view; 0: the image's, or in proportion", (0, 8192))
    height: int = parameter(0, "rows of a rendered view; 0: the image's, or in proportion", (0, 8192))
    max_rate: float = parameter(0.0, "renders per second by trigger at most; 0: no limit", (0.0, 1000.0))
    max_latency: float = parameter(
        0.0,
        "seconds from image or request to view; quality and size are lowered to keep it, and what has waited so long "
        "before its turn is refused as STALE; 0: no limit",
        (0.0, 3600.0),
    )
    quality: str = parameter("balanced", "rays and samples spent on a view: docs/performance.md", choices=QUALITIES)
    match_exposure: bool = parameter(
        RenderConfig.match_exposure,
        "bring the colors of keyframes to one exposure before they are blended, where their depth is known; views get "
        "that of the keyframes around, points and map that of all",
    )
    min_opacity: float = parameter(
        RenderConfig.min_opacity, "a pixel whose rendered opacity is lower has no label (255)", (0.0, 1.0)
    )
    min_coverage: float = parameter(
        RenderConfig.min_coverage, "a pixel that fewer source views see has no label (255)", (0.0, 32.0)
    )
    min_confidence: float = parameter(
        RenderConfig.min_confidence, "a pixel whose best class is less probable has no label (255)", (0.0, 1.0)
    )


@dataclass(frozen=True)
class CloudSettings:
    stride: int = parameter(CloudConfig.stride, "every how many rows and columns become points", (1, 64))
    min_confidence: float = parameter(
        CloudConfig.min_confidence, "points whose class is less probable are left out", (0.0, 1.0)
    )
    max_jump: float = parameter(
        CloudConfig.max_jump,
        "points where depth differs by more than this share from that of a pixel around are left out: edges",
        (0.0, 1e6),
    )


@dataclass(frozen=True)
class MapSettings:
    voxel_size: float = parameter(
        VoxelMapConfig.voxel_size, "edge of a voxel of the map, meters", (0.001, 10.0), applies=ON_CONFIGURE
    )
    max_voxels: int = parameter(
        VoxelMapConfig.max_voxels, "voxels of the map at most", (1, 50_000_000), applies=ON_CONFIGURE
    )
    min_sightings: int = parameter(
        CONFIRMED.min_sightings,
        "rendered views with a point in a voxel before ~/map shows it; 1: every voxel is shown",
        (1, 1000),
    )
    min_neighbors: int = parameter(
        CONFIRMED.min_neighbors,
        "shown voxels, of the 26 around, without which a voxel is an island and left out of ~/map; 0: islands stay",
        (0, MOST_NEIGHBORS),
    )
    max_looked_through: float = parameter(
        CONFIRMED.max_looked_through,
        "a voxel is left out of ~/map if (views that look through it) / (views with a point in it) is above this",
        (0.0, 1e6),
    )


@dataclass(frozen=True)
class ModelSettings:
    path: str = parameter(
        "",
        "checkpoint (.safetensors), or one that this package brings: indoor, rooms; empty: indoor",
        applies=ON_CONFIGURE,
    )
    device: str = parameter("auto", "auto, cpu, cuda or cuda:<number>", applies=ON_CONFIGURE)
    engine: str = parameter(
        RenderConfig.engine,
        "auto: the kernel compiled for this CPU where there is one, else plain PyTorch",
        choices=get_args(Engine),
    )
    precision: str = parameter(
        RenderConfig.precision, "of plain PyTorch; bfloat16 is worth it on a GPU", choices=get_args(Precision)
    )
    memory_budget: int = parameter(
        KeyframeConfig.memory_budget,
        "MiB of the keyframes' pictures, depth and features held at most; 0: no limit",
        (0, 1_000_000),
    )


@dataclass(frozen=True)
class SessionSettings:
    autosave: str = parameter(
        "",
        "name in data_dir under which keyframes and map are saved before they are lost: on cleanup, shutdown, SIGINT, "
        "SIGTERM (under a namespace, in a folder of its name); empty: they are not saved",
        check=lambda name: "a name inside data_dir, or none" if name and complaint_about_name(name) else None,
    )


@dataclass(frozen=True)
class DepthSettings:
    use: bool = parameter(True, "use the depth topic where something publishes it", applies=ON_ACTIVATE)
    max: float = parameter(10.0, "greater depths, in meters, are ignored; 0: none are", (0.0, 1000.0))
    stereo: bool = parameter(True, "find the depth of keyframes from each other, if the model has a stereo network")


@dataclass(frozen=True)
class MapperSettings:
    """Typed values of all parameters, which never change. Raises ValueError for values that do not go together."""

    map_frame: str = parameter(
        "map",
        "world frame of poses, clouds and the map",
        applies=ON_CONFIGURE,
        check=lambda name: None if name else "the name of a frame",
    )
    image_transport: str = parameter("raw", "how `image` arrives", choices=("raw", "compressed"), applies=ON_ACTIVATE)
    camera: CameraSettings = field(default_factory=CameraSettings)
    qos_overrides: QosSettings = field(default_factory=QosSettings)
    sync: SyncSettings = field(default_factory=SyncSettings)
    tf: TfSettings = field(default_factory=TfSettings)
    depth: DepthSettings = field(default_factory=DepthSettings)
    keyframes: KeyframeSettings = field(default_factory=KeyframeSettings)
    views: ViewsSettings = field(default_factory=ViewsSettings)
    near: float = parameter(0.0, "nearest sample along a ray, meters; 0: from the scene", (0.0, 100.0))
    far: float = parameter(0.0, "farthest sample along a ray, meters; 0: from the scene", (0.0, 1000.0))
    trigger: str = parameter(
        "keyframe",
        "render at each new keyframe, at each image (as render.max_rate allows), or on request",
        choices=("keyframe", "timer", "request"),
    )
    render: RenderSettings = field(default_factory=RenderSettings)
    cloud: CloudSettings = field(default_factory=CloudSettings)
    map: MapSettings = field(default_factory=MapSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    data_dir: str = parameter("~/.ros/sray", "the only folder that services read from and write to", applies=NEVER)
    session: SessionSettings = field(default_factory=SessionSettings)
    fine_tune: FinetuneSettings = field(default_factory=FinetuneSettings)

    def __post_init__(self) -> None:
        self.mapper_config()
        self.render_config()

    def mapper_config(self) -> MapperConfig:
        """Raises ValueError, naming the parameters, for values that do not go together."""
        return MapperConfig(
            KeyframeConfig(**asdict(self.keyframes), memory_budget=self.model.memory_budget),
            ViewsConfig(**asdict(self.views)),
            CloudConfig(**asdict(self.cloud)),
            VoxelMapConfig(**asdict(self.map)),
            near=self.near,
            far=self.far,
            max_depth=self.depth.max,
            stereo=self.depth.stereo,
        )

    def render_config(self, quality: str | None = None) -> RenderConfig:
        """At `render.quality`, or at another quality with everything else as the parameters say."""
        return replace(
            RenderConfig.preset(quality or self.render.quality),
            engine=self.model.engine,  # type: ignore[arg-type]
            precision=self.model.precision,  # type: ignore[arg-type]
            match_exposure=self.render.match_exposure,
            min_opacity=self.render.min_opacity,
            min_coverage=self.render.min_coverage,
            min_confidence=self.render.min_confidence,
        )


MapperParameters = NodeParameters[MapperSettings]
