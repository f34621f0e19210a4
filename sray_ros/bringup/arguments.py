"""The arguments of the launch file, and what of them every node is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from launch.actions import DeclareLaunchArgument
from launch.substitutions import PathJoinSubstitution
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

PACKAGE = "sray_ros"
INPUTS = ("image", "camera_info", "depth", "labels")
SEGMENTED = "segmenter/labels"

Given = dict[str, str]
"""Value of each argument; "" where nothing was typed and there is no default."""


def shared(*path: str) -> PathJoinSubstitution:
    return PathJoinSubstitution([FindPackageShare(PACKAGE), *path])


def argument(name: str, text: str, default: object = "") -> DeclareLaunchArgument:
    return DeclareLaunchArgument(name, default_value=default, description=text)


def switch(name: str, text: str, default: str = "false") -> DeclareLaunchArgument:
    return DeclareLaunchArgument(name, default_value=default, description=text, choices=["true", "false"])


ARGUMENTS = [
    argument("namespace", "Namespace of all nodes; empty: none"),
    argument("params_file", "Parameters of semantic_mapper (YAML)", shared("config", "semantic_mapper.yaml")),
    argument("image", "Topic of the color images; empty: image"),
    argument("camera_info", "Topic of the calibration; empty: camera_info"),
    argument("depth", "Topic of depth images, optional; empty: depth"),
    argument("labels", f"Topic of label images to learn from; empty: labels, with segmenter:= {SEGMENTED}"),
    argument("map_frame", "Fixed frame of the camera poses in TF; empty: as in params_file"),
    argument("model", "Checkpoint (.safetensors), or one that comes along: indoor, rooms; empty: as in params_file"),
    argument("device", "cpu, cuda or cuda:N, of mapper and segmenter; empty: as in params_file"),
    DeclareLaunchArgument(
        "fine_tune",
        default_value="auto",
        description="Offer fine-tuning: the ~/fine_tune action and services. auto: as in params_file",
        choices=["auto", "true", "false"],
    ),
    argument("segmenter", "Segmentation model of transformers that labels the images: folder or hub id; empty: none"),
    argument("segmenter_mapping", "What its classes mean: ade20k, coco, ..., or a YAML file; empty: ade20k"),
    argument("segmenter_threshold", "Least probability of a label, 0 to 1; empty: 0.5"),
    argument("bag", "A rosbag2 folder to play, its pictures raw or compressed; sets use_sim_time"),
    argument("sequence", "A recorded sequence in ScanNet layout to play; sets use_sim_time"),
    argument("label_space", "Label space of the sequence's labels, which must be the model's; empty: indoor"),
    argument("rate", "How many times faster than recorded to play; empty: 1.0"),
    switch("loop", "Play again at the end"),
    switch(
        "start_paused",
        "Start the recording paused; services rosbag2_player/resume, or for sequence or score sequence_player/pause",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="auto",
        description="Time from /clock. auto: with bag or sequence, else as in params_file",
        choices=["auto", "true", "false"],
    ),
    switch("autostart", "Configure the mapper, and activate it once it is configured", "true"),
    switch("rviz", "Show the result in RViz"),
    argument("rviz_config", "Configuration of RViz", shared("rviz", "semantic_mapping.rviz")),
    switch("viewer", "Serve a page to look around in a browser: map, keyframes, the view from anywhere"),
    argument("viewer_port", "Port of that page; empty: 8080"),
    argument("viewer_host", "Who may look: empty: 127.0.0.1, this machine alone; 0.0.0.0: the network, no password"),
    switch("score", "Compare the labels of rendered pictures with the labels topic: mIoU live, a table at the end"),
    argument("log_level", "debug, info, warn or error for this package's nodes; empty: info"),
]


def ours(given: Given, executable: str) -> dict[str, Any]:
    """What a node of this package is started with, whichever it is."""
    return {
        "package": PACKAGE,
        "executable": executable,
        "name": executable,
        "namespace": given["namespace"],
        "ros_arguments": ["--log-level", given["log_level"]] if given["log_level"] else [],
        "output": "screen",
    }


def if_typed(given: Given, **parameters: str) -> dict[str, ParameterValue]:
    """Node parameters by launch argument: those whose argument was given. Text stays text, 42 included."""
    return {
        parameter: ParameterValue(given[name], value_type=str) for name, parameter in parameters.items() if given[name]
    }


def clock(given: Given) -> dict[str, bool]:
    if given["use_sim_time"] == "auto":
        return {"use_sim_time": True} if given["bag"] or given["sequence"] else {}
    return {"use_sim_time": is_on(given, "use_sim_time")}


def remapped_inputs(given: Given, *names: str) -> list[tuple[str, str]]:
    return [(name, given[name]) for name in names or INPUTS if given[name]]


def is_on(given: Given, name: str) -> bool:
    return given[name] == "true"


def absolute(given: Given, name: str) -> str:
    return (
        name if name.startswith("/") else "/" + "/".join(part for part in (given["namespace"].strip("/"), name) if part)
    )


def is_rectified(given: Given) -> bool:
    """camera.rectified as params_file sets it for the mapper: its pictures' truth is rectified, or not, as they are."""
    try:
        nodes = yaml.safe_load(Path(given["params_file"]).expanduser().read_text()) or {}
        nodes |= {f"{space}/{name}": node for space, inner in nodes.items() for name, node in inner.items()}
        names = {absolute(given, "semantic_mapper"), "/**", "/**/semantic_mapper"}
        parameters = [node["ros__parameters"] for name, node in nodes.items() if "/" + name.lstrip("/") in names]
        return any(each.get("camera.rectified", each.get("camera", {}).get("rectified")) is True for each in parameters)
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return False  # the mapper says what is wrong with the file
