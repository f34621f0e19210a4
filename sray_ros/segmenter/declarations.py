"""What the segmenter offers: its topics and its parameters, and their documentation (docs/ros_api.md)."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo

from sray.label_space import LABEL_SPACES
from sray_ros.common.parameters import NEVER, NodeParameter, Value
from sray_ros.mapper.declarations import COMPRESSED, IMAGE, Topic

LABEL_INFO = Topic(
    "label/info", LabelInfo, "the mapper's ~/label/info: which classes to label with; label_space is held against it",
    is_latched=True,
)  # fmt: skip
SUBSCRIBED = (IMAGE, COMPRESSED, LABEL_INFO)

LABELS = Topic("labels", Image, "mono8 class indices, 255 unsure, with the picture's stamp, frame and size", 5)
LABELS_INFO = Topic(
    "labels/info", LabelInfo, "names and ids, 255 included; goes with labels when that is remapped", is_latched=True
)
DIAGNOSTICS = Topic(
    "/diagnostics", DiagnosticArray, "once a second: why nothing comes out, rate, seconds a picture, coverage", 10
)
PUBLISHED = (LABELS, LABELS_INFO, DIAGNOSTICS)

PARAMETERS = (
    NodeParameter("model", "", "folder or hub id of a segmentation model of transformers; required", applies=NEVER),
    NodeParameter(
        "mapping", "ade20k", "what its classes mean: ade20k, coco, voc, nyu40, rooms, or a YAML file", applies=NEVER,
        check=lambda name: None if name else "the name of a mapping, or a YAML file",
    ),
    NodeParameter(
        "label_space", "", "into which classes; empty: those that label/info names", choices=("", *LABEL_SPACES),
        applies=NEVER,
    ),
    NodeParameter("threshold", 0.5, "a pixel whose class is less probable is unsure", (0.0, 1.0)),
    NodeParameter(
        "queue_size", 1, "pictures that wait for their turn, the oldest goes; 1: the newest wins", (1, 1000),
        applies=NEVER,
    ),
    NodeParameter("max_rate", 0.0, "pictures a second (steady time) at most; 0: no limit", (0.0, 1000.0)),
    NodeParameter("device", "auto", "auto, cpu, cuda or cuda:<number>", applies=NEVER),
    NodeParameter(
        "threads", 0, "of the CPU, so that the mapper has some left; 0: as torch decides", (0, 1024), applies=NEVER
    ),
    NodeParameter("image_transport", "raw", "how `image` arrives", choices=("raw", "compressed"), applies=NEVER),
    NodeParameter(
        "qos_overrides.reliability", "auto", "reliability asked of `image`; auto: what its publisher offers",
        choices=("auto", "reliable", "best_effort"), applies=NEVER,
    ),
)  # fmt: skip


def complaint_about(values: Mapping[str, Value]) -> str | None:
    """What is wrong with the values of all parameters; None if nothing is."""
    if values["model"]:
        return None
    return (
        "model is ''; expected the folder, or the id on a hub, of a segmentation model of transformers. "
        "Name one: -p model:=<folder or id>, in the launch file segmenter:=<folder or id>"
    )
