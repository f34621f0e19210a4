"""The parameters of semantic_mapper: one list to declare, check, refuse by name and document them from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from rclpy.node import Node

from sray.mapping.adaptation import AdaptationConfig
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper import CloudConfig, MapperConfig, Selection, ViewsConfig
from sray.mapping.voxel_map import VoxelMapConfig
from sray.render_config import Engine, Precision, RenderConfig
from sray_ros.common.data_folder import complaint_about_name
from sray_ros.common.parameters import NEVER, ON_ACTIVATE, ON_CONFIGURE, NodeParameter, NodeParameters, Value
from sray_ros.mapper.pacing import COST

QUALITIES = tuple(reversed(COST))

_KEYFRAMES, _VIEWS, _CLOUD, _MAP = KeyframeConfig(), ViewsConfig(), CloudConfig(), VoxelMapConfig()
_RENDER, _ADAPTATION = RenderConfig(), AdaptationConfig()

PARAMETERS = (
    NodeParameter(
        "map_frame", "map", "world frame of poses, clouds and the map", applies=ON_CONFIGURE,
        check=lambda name: None if name else "the name of a frame",
    ),
    NodeParameter(
        "image_transport", "raw", "how `image` arrives", choices=("raw", "compressed"), applies=ON_ACTIVATE
    ),
    NodeParameter(
        "camera.rectified", False, "the image is rectified: use P of camera_info, and no distortion"
    ),
    NodeParameter(
        "camera.stereo_frame", "",
        "a stereo pair's second camera, whose P[0,3] is not 0: its frame is its own optical centre (own: most "
        "drivers), or the first camera's (first: as camera_info is defined); empty: refused",
        choices=("", "own", "first"),
    ),
    NodeParameter(
        "qos_overrides.reliability", "auto", "reliability asked of the inputs; auto: what their publishers offer",
        choices=("auto", "reliable", "best_effort"), applies=ON_ACTIVATE,
    ),
    NodeParameter(
        "sync.policy", "approximate", "how image and camera_info are matched", choices=("approximate", "exact"),
        applies=ON_ACTIVATE,
    ),
    NodeParameter("sync.queue_size", 10, "messages kept per input while matching", (1, 1000), applies=ON_CONFIGURE),
    NodeParameter("sync.slop", 0.02, "seconds that matched stamps may differ", (0.0001, 10.0), applies=ON_ACTIVATE),
    NodeParameter("tf.timeout", 0.2, "seconds (steady time) to wait for a pose", (0.0, 60.0)),
    NodeParameter("keyframes.capacity", _KEYFRAMES.capacity, "keyframes held at most", (1, 4096)),
    NodeParameter(
        "keyframes.min_translation", _KEYFRAMES.min_translation,
        "metres from every keyframe after which a frame becomes one; 0: every frame", (0.0, 100.0),
    ),
    NodeParameter(
        "keyframes.min_rotation", _KEYFRAMES.min_rotation,
        "degrees from every keyframe after which a frame becomes one; 0: every frame", (0.0, 180.0),
    ),
    NodeParameter(
        "keyframes.min_sharpness", _KEYFRAMES.min_sharpness,
        "least Laplacian variance at 320 pixels width; 0: blur is no reason to refuse", (0.0, 100000.0),
    ),
    NodeParameter(
        "keyframes.max_age", _KEYFRAMES.max_age, "seconds after which a keyframe leaves; 0: never", (0.0, 1000000.0)
    ),
    NodeParameter("views.count", _VIEWS.count, "source views per render at most", (1, 32)),
    NodeParameter("views.min", _VIEWS.min, "source views that see the target, at least", (1, 32)),
    NodeParameter(
        "views.selection", _VIEWS.selection,
        "which keyframes serve: pose_score weighs distance, angle and overlap, nearest distance and angle",
        choices=get_args(Selection),
    ),
    NodeParameter("views.include_own", _VIEWS.include_own, "let a frame be a source for its own camera"),
    NodeParameter("near", 0.0, "nearest sample along a ray, metres; 0: from the scene", (0.0, 100.0)),
    NodeParameter("far", 0.0, "farthest sample along a ray, metres; 0: from the scene", (0.0, 1000.0)),
    NodeParameter("render.width", 0, "columns of a rendered view; 0: the image's, or in proportion", (0, 8192)),
    NodeParameter("render.height", 0, "rows of a rendered view; 0: the image's, or in proportion", (0, 8192)),
    NodeParameter("render.max_rate", 0.0, "renders per second by trigger at most; 0: no limit", (0.0, 1000.0)),
    NodeParameter(
        "render.max_latency", 0.0,
        "seconds from image or request to view; quality and size are lowered to keep it, and what has waited so long "
        "before its turn is refused as STALE; 0: no limit", (0.0, 3600.0),
    ),
    NodeParameter(
        "render.quality", "balanced", "rays and samples spent on a view: docs/performance.md",
        choices=QUALITIES,
    ),
    NodeParameter("render.min_opacity", _RENDER.min_opacity, "a pixel with less is void", (0.0, 1.0)),
    NodeParameter(
        "render.min_coverage", _RENDER.min_coverage, "a pixel that fewer source views see is void", (0.0, 32.0)
    ),
    NodeParameter("render.min_confidence", _RENDER.min_confidence, "a pixel with less is void", (0.0, 1.0)),
    NodeParameter(
        "trigger", "keyframe", "render at each new keyframe, at each image (as render.max_rate allows), or on request",
        choices=("keyframe", "timer", "request"),
    ),
    NodeParameter("cloud.stride", _CLOUD.stride, "every how many rows and columns become points", (1, 64)),
    NodeParameter("cloud.min_confidence", _CLOUD.min_confidence, "points with less are left out", (0.0, 1.0)),
    NodeParameter(
        "map.voxel_size", _MAP.voxel_size, "edge of a voxel of the map, metres", (0.001, 10.0), applies=ON_CONFIGURE
    ),
    NodeParameter(
        "map.max_voxels", _MAP.max_voxels, "voxels of the map at most", (1, 50_000_000), applies=ON_CONFIGURE
    ),
    NodeParameter(
        "model.path", "", "checkpoint (.safetensors), or one that this package brings: indoor, rooms; empty: indoor",
        applies=ON_CONFIGURE,
    ),
    NodeParameter("model.device", "auto", "auto, cpu, cuda or cuda:<number>", applies=ON_CONFIGURE),
    NodeParameter(
        "model.engine", _RENDER.engine, "auto: the kernel compiled for this CPU where there is one, else plain PyTorch",
        choices=get_args(Engine),
    ),
    NodeParameter(
        "model.precision", _RENDER.precision, "of plain PyTorch; bfloat16 is worth it on a GPU",
        choices=get_args(Precision),
    ),
    NodeParameter(
        "model.memory_budget", _KEYFRAMES.memory_budget,
        "MiB of the keyframes' pictures, depth and features held at most; 0: no limit", (0, 1_000_000),
    ),
    NodeParameter(
        "data_dir", "~/.ros/sray", "the only folder that services read from and write to", applies=NEVER
    ),
    NodeParameter(
        "session.autosave", "",
        "name in data_dir under which keyframes and map are saved before they are lost: on cleanup, shutdown, SIGINT, "
        "SIGTERM (under a namespace, in a folder of its name); empty: they are not",
        check=lambda name: "a name inside data_dir, or none" if name and complaint_about_name(name) else None,
    ),
    NodeParameter("fine_tune.enabled", True, "whether ~/fine_tune and ~/fine_tune_once do anything"),
    NodeParameter(
        "fine_tune.width", _ADAPTATION.width,
        "columns at which larger keyframes are learned from; 0: as they are. Time and memory grow with its square",
        (0, 8192),
    ),
    NodeParameter(
        "fine_tune.threads", 0, "threads of the fine_tuner process; 0: half as many as there are processors", (0, 1024)
    ),
    NodeParameter(
        "fine_tune.memory_limit", 0,
        "MiB that the fine_tuner process may take; 0: no limit, and the kernel ends it before others", (0, 10_000_000),
    ),
    NodeParameter("depth.use", True, "use the depth topic where something publishes it", applies=ON_ACTIVATE),
    NodeParameter("depth.max", 10.0, "readings beyond, in metres, are not believed; 0: all are", (0.0, 1000.0)),
)  # fmt: skip


class MapperParameters(NodeParameters):
    """The mapper's parameters, as values and as the configurations made of them."""

    def __init__(self, node: Node) -> None:
        """Declares all of PARAMETERS. Raises as NodeParameters."""
        super().__init__(node, PARAMETERS, complaint_about)

    def mapper_config(self) -> MapperConfig:
        return mapper_config(self._values)

    def render_config(self) -> RenderConfig:
        """Of `render.quality`."""
        return render_config(self._values)

    def render_configs(self) -> dict[str, RenderConfig]:
        """Of each quality, with everything else as the parameters say."""
        return {quality: render_config({**self._values, "render.quality": quality}) for quality in QUALITIES}


def complaint_about(values: Mapping[str, Value]) -> str | None:
    """What is wrong with values that are each in range but do not go together; None if nothing is."""
    try:
        mapper_config(values)
        render_config(values)
    except ValueError as error:
        return str(error)
    return None


def mapper_config(values: Mapping[str, Any]) -> MapperConfig:
    """Raises ValueError, naming the parameters, for values that do not go together."""
    return MapperConfig(
        KeyframeConfig(**_group(values, "keyframes"), memory_budget=values["model.memory_budget"]),
        ViewsConfig(**_group(values, "views")),
        CloudConfig(**_group(values, "cloud")),
        VoxelMapConfig(**_group(values, "map")),
        near=values["near"],
        far=values["far"],
        max_depth=values["depth.max"],
    )


def render_config(values: Mapping[str, Any]) -> RenderConfig:
    return replace(
        RenderConfig.preset(values["render.quality"]),
        engine=values["model.engine"],
        precision=values["model.precision"],
        min_opacity=values["render.min_opacity"],
        min_coverage=values["render.min_coverage"],
        min_confidence=values["render.min_confidence"],
    )


def _group(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.split(".", 1)[1]: value for name, value in values.items() if name.startswith(prefix + ".")}
