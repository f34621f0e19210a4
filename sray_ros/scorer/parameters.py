"""The parameters of label_scorer. All are fixed when the node starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from sray_ros.common.parameters import NEVER, NodeParameters, parameter


@dataclass(frozen=True)
class CameraSettings:
    rectified: bool = parameter(
        False, "the truth is of rectified pictures: camera_info's D and R are not used", applies=NEVER
    )


@dataclass(frozen=True)
class ScorerSettings:
    """Typed values of all parameters, which never change."""

    label_space: str = parameter("indoor", "names of the classes until `label/info` tells them", applies=NEVER)
    output: str = parameter("", "JSON file for the scores; the pictures go to <name>_images beside it", applies=NEVER)
    queue_size: int = parameter(
        300, "labels, and truths, kept while their counterpart is missing", (1, 100_000), applies=NEVER
    )
    log_period: float = parameter(
        5.0, "seconds (steady time) between log lines with the mIoU so far", (0.1, 3600.0), applies=NEVER
    )
    camera: CameraSettings = field(default_factory=CameraSettings)
    end_after: float = parameter(
        0.0, "end after so many seconds without a new label; 0: never", (0.0, 86400.0), applies=NEVER
    )


ScorerParameters = NodeParameters[ScorerSettings]
