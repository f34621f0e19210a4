"""The parameters of the segmenter."""

from __future__ import annotations

from dataclasses import dataclass, field

from sray.label_space import LABEL_SPACES
from sray_ros.common.parameters import NEVER, NodeParameters, parameter


@dataclass(frozen=True)
class QosSettings:
    reliability: str = parameter(
        "auto",
        "reliability asked of `image`; auto: what its publisher offers",
        choices=("auto", "reliable", "best_effort"),
        applies=NEVER,
    )


@dataclass(frozen=True)
class SegmenterSettings:
    """A snapshot of all parameters; a change of one makes a new one. Raises ValueError if no model is named."""

    model: str = parameter("", "folder or hub id of a segmentation model of transformers; required", applies=NEVER)
    mapping: str = parameter(
        "ade20k",
        "what its classes mean: ade20k, coco, voc, nyu40, indoor, rooms, or a YAML file",
        applies=NEVER,
        check=lambda name: None if name else "the name of a mapping, or a YAML file",
    )
    label_space: str = parameter(
        "", "into which classes; empty: those that label/info names", choices=("", *LABEL_SPACES), applies=NEVER
    )
    threshold: float = parameter(0.5, "a pixel whose class is less probable has no label (255)", (0.0, 1.0))
    queue_size: int = parameter(
        1, "pictures that wait for their turn, the oldest goes; 1: the newest wins", (1, 1000), applies=NEVER
    )
    max_rate: float = parameter(0.0, "pictures a second (steady time) at most; 0: no limit", (0.0, 1000.0))
    device: str = parameter("auto", "auto, cpu, cuda or cuda:<number>", applies=NEVER)
    threads: int = parameter(
        0, "of the CPU, so that the mapper has some left; 0: as torch decides", (0, 1024), applies=NEVER
    )
    image_transport: str = parameter("raw", "how `image` arrives", choices=("raw", "compressed"), applies=NEVER)
    qos_overrides: QosSettings = field(default_factory=QosSettings)

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError(
                "model is ''; expected the folder, or the id on a hub, of a segmentation model of transformers. "
                "Name one: -p model:=<folder or id>, in the launch file segmenter:=<folder or id>"
            )


SegmenterParameters = NodeParameters[SegmenterSettings]
