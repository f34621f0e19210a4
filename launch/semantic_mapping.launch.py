"""The semantic mapper, and around it what was asked for: a recording, a 2D segmenter, a score, RViz.

`ros2 launch sray_ros semantic_mapping.launch.py --show-args` is the manual. Only what the user typed is forwarded:
a parameter's default is written once, in the node.
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from sray.recorded_bag import topic_types

PACKAGE = "sray_ros"
CLOCK_RATE = "50"  # Hz, while a bag plays
COMPRESSED = "/compressed"  # what image_transport appends to an image topic's name
INPUTS = ("image", "camera_info", "depth", "labels")
DELAY = ("--delay", "2")
"""Seconds: DDS takes a while to bring player and nodes together, and what is played before that is lost."""
MAPPERS_NAMES = ("semantic_mapper", "/semantic_mapper", "/**", "/**/semantic_mapper")
"""Sections of a parameter file that are the mapper's."""
SEGMENTED = "segmenter/labels"
PROFILES = "FASTDDS_DEFAULT_PROFILES_FILE"


def shared(*path: str) -> PathJoinSubstitution:
    return PathJoinSubstitution([FindPackageShare(PACKAGE), *path])


def argument(name: str, text: str, default: object = "") -> DeclareLaunchArgument:
    return DeclareLaunchArgument(name, default_value=default, description=text)


def switch(name: str, text: str, default: str = "false") -> DeclareLaunchArgument:
    return DeclareLaunchArgument(name, default_value=default, description=text, choices=["true", "false"])


ARGUMENTS = [
    argument("namespace", "Namespace of all nodes; empty: none"),
    argument("params_file", "Parameters of semantic_mapper (YAML)", shared("config", "semantic_mapper.yaml")),
    argument("image", "Topic of the colour images; empty: image"),
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
    switch("score", "Compare labels with the labels topic, frame by frame: mIoU live, a table at the end"),
    argument("log_level", "debug, info, warn or error for this package's nodes; empty: info"),
]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=everything)])


def everything(context: LaunchContext) -> list:
    """What runs, once the arguments are known."""
    given = {name: context.launch_configurations[name] for name in (argument.name for argument in ARGUMENTS)}
    if given["bag"] and given["sequence"]:
        raise RuntimeError("both bag:= and sequence:= were given; expected at most one of them")
    recorded = bag_topics(given)
    transport, words = image_transport(given, recorded)
    taught, played = (
        (with_own_labels(given, recorded), {**given, "labels": ""}) if given["segmenter"] else (given, given)
    )
    mapper = semantic_mapper(taught, transport)
    return [
        *words,
        *shared_memory(),
        *(activate_once_configured(mapper) if given["autostart"] == "true" else []),
        mapper,
        *(segmenter(taught) if given["segmenter"] else []),
        *([label_scorer(played)] if given["score"] == "true" else []),
        *playback(played, mapper),
        *(viewer(given) if given["viewer"] == "true" else []),
        *([rviz(given)] if given["rviz"] == "true" else []),
    ]


def semantic_mapper(given: dict[str, str], transport: dict[str, str]) -> LifecycleNode:
    return LifecycleNode(
        package=PACKAGE,
        executable="semantic_mapper",
        name="semantic_mapper",
        namespace=given["namespace"],
        parameters=[
            given["params_file"],
            {
                **if_typed(given, map_frame="map_frame", model="model.path", device="model.device"),
                **({"fine_tune.enabled": is_on(given, "fine_tune")} if given["fine_tune"] != "auto" else {}),
                **transport,
                **clock(given),
            },
        ],
        remappings=remapped_inputs(given),
        ros_arguments=log_level(given),
        output="screen",
        on_exit=nothing_goes_on_without_it,
    )


def nothing_goes_on_without_it(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """What ends because everything ends must not end it again: launch_ros fails at a second Shutdown."""
    return None if context.is_shutdown else Shutdown(reason="semantic_mapper has ended")


def segmenter(given: dict[str, str]) -> list:
    """Of the mapper's keyframes, to the mapper's labels, in the mapper's classes. Without it, the mapping goes on."""
    node = Node(
        package=PACKAGE,
        executable="segmenter",
        name="segmenter",
        namespace=given["namespace"],
        parameters=[
            {"queue_size": 64},  # keyframes; params_file may say otherwise
            given["params_file"],
            {
                **if_typed(given, segmenter="model", segmenter_mapping="mapping", device="device"),
                **({"threshold": float(given["segmenter_threshold"])} if given["segmenter_threshold"] else {}),
                **clock(given),
            },
        ],
        remappings=[
            ("image", "semantic_mapper/keyframe/image"),
            ("label/info", "semantic_mapper/label/info"),
            *remapped_inputs(given, "labels"),
        ],
        ros_arguments=log_level(given),
        output="screen",
    )
    words = "the segmenter has ended: its last message says why. Mapping goes on without its labels"
    return [node, goes_on_without(node, words)]


def bag_topics(given: dict[str, str]) -> dict[str, str] | None:
    """Types of the bag's topics, by name. None if it is no bag that can be read: whoever plays it says so."""
    bag = Path(given["bag"]).expanduser()
    if given["bag"] and bag.is_file():  # a lone .mcap or .db3 has no metadata.yaml beside it, or needs none
        try:
            return topic_types(bag)
        except Exception:
            return None
    try:
        raw = yaml.safe_load((bag / "metadata.yaml").read_text()) if given["bag"] else {}
        topics = [each["topic_metadata"] for each in raw["rosbag2_bagfile_information"]["topics_with_message_count"]]
        return {str(topic["name"]): str(topic["type"]) for topic in topics}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        return None


def with_own_labels(given: dict[str, str], recorded: dict[str, str] | None) -> dict[str, str]:
    """The labels of a segmenter have a topic of their own: those of a recording are the truth, for the score."""
    own = {**given, "labels": given["labels"] or SEGMENTED}
    true = {absolute(given, "labels")} if given["sequence"] else recorded or {}
    if absolute(own, own["labels"]) in true:
        raise RuntimeError(
            f"labels:={own['labels']} has the recording's labels; expected another topic for segmenter:="
        )
    return own


def image_transport(given: dict[str, str], types: dict[str, str] | None) -> tuple[dict[str, str], list[LogInfo]]:
    """As the bag has its pictures, and what is to be said of it: names are read, no messages."""
    if types is None:
        return {}, []
    topic = absolute(given, given["image"] or INPUTS[0])
    if topic in types:
        return {}, []
    if topic + COMPRESSED in types:
        return {"image_transport": "compressed"}, [LogInfo(msg=f"the bag has its pictures on {topic}{COMPRESSED}")]
    pictures = sorted(name.removesuffix(COMPRESSED) for name, kind in types.items() if kind.endswith("Image"))
    found = ", ".join(pictures) or "no pictures at all"
    return {}, [LogInfo(msg=f"the bag has neither {topic} nor {topic}{COMPRESSED}, but {found}; name one: image:=")]


def absolute(given: dict[str, str], name: str) -> str:
    return (
        name if name.startswith("/") else "/" + "/".join(part for part in (given["namespace"].strip("/"), name) if part)
    )


def activate_once_configured(mapper: LifecycleNode) -> list:
    """Reacts to changes of state, so that loading a model may take as long as it takes."""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(mapper), transition_id=transition))

    def on_configured(goal: str, reaction: object) -> RegisterEventHandler:
        return RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=mapper, start_state="configuring", goal_state=goal, entities=[reaction]
            )
        )

    return [
        on_configured("inactive", change(Transition.TRANSITION_ACTIVATE)),
        on_configured("unconfigured", LogInfo(msg="semantic_mapper is not configured: its last error says why")),
        RegisterEventHandler(OnProcessStart(target_action=mapper, on_start=[change(Transition.TRANSITION_CONFIGURE)])),
    ]


def label_scorer(given: dict[str, str]) -> Node:
    own = [(name, f"semantic_mapper/{name}") for name in ("label/image", "label/info")]
    return Node(
        package=PACKAGE,
        executable="label_scorer",
        name="label_scorer",
        namespace=given["namespace"],
        parameters=[{"camera.rectified": is_rectified(given)}, given["params_file"], clock(given)],
        remappings=[*own, *remapped_inputs(given, "labels", "camera_info")],
        ros_arguments=log_level(given),
        output="screen",
    )


def is_rectified(given: dict[str, str]) -> bool:
    """camera.rectified as params_file sets it for the mapper: its pictures' truth is rectified, or not, as they are."""
    try:
        nodes = yaml.safe_load(Path(given["params_file"]).expanduser().read_text()) or {}
        parameters = [node["ros__parameters"] for name, node in nodes.items() if name in MAPPERS_NAMES]
        return any(each.get("camera.rectified", each.get("camera", {}).get("rectified")) is True for each in parameters)
    except (OSError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return False  # the mapper says what is wrong with the file


def playback(given: dict[str, str], mapper: LifecycleNode) -> list:
    """The player of a bag or a sequence, if there is one to play; the map stays when it has ended."""
    scored = is_on(given, "score")
    if given["bag"] and not scored:
        options = [
            option for name, option in (("loop", "--loop"), ("start_paused", "--start-paused")) if is_on(given, name)
        ]
        options += ["--rate", given["rate"]] if given["rate"] else []
        command = ["ros2", "bag", "play", str(Path(given["bag"]).expanduser()), "--clock", CLOCK_RATE, *DELAY, *options]
        command += ["--qos-profile-overrides-path", shared("config", "bag_qos.yaml")]
        player = ExecuteProcess(cmd=command, name="bag_player", output="screen")
        if is_on(given, "autostart"):
            # `ros2 bag play` waits for nobody: what it plays while a model loads is lost.
            starts = OnStateTransition(
                target_lifecycle_node=mapper, goal_state="active", entities=[player], handle_once=True
            )
            return [RegisterEventHandler(starts), when_it_has_ended(player)]
    elif given["bag"] or given["sequence"]:
        switches = {name: True for name in ("loop", "start_paused") if is_on(given, name)}
        # A score must not depend on the machine's speed: every frame waits until the mapper has handled the last one.
        switches |= {"lockstep": True} if scored else {}
        speed = {"rate": float(given["rate"])} if given["rate"] else {}
        # A bag's topics have their own names; the mapper's are remapped to them.
        inputs = [] if given["bag"] else remapped_inputs(given)
        camera = {"image_topic": given["image"] or INPUTS[0]} if given["bag"] else {}
        played = if_typed(given, bag="bag", sequence="sequence", map_frame="map_frame")
        player = Node(
            package=PACKAGE,
            executable="sequence_player",
            name="sequence_player",
            namespace=given["namespace"],
            parameters=[{**played, **camera, **speed, **switches}],
            remappings=[*inputs, ("handled", "semantic_mapper/handled")],
            ros_arguments=log_level(given),
            output="screen",
        )
    else:
        return []
    return [player, when_it_has_ended(player)]


def when_it_has_ended(player: ExecuteProcess) -> RegisterEventHandler:
    return RegisterEventHandler(OnProcessExit(target_action=player, on_exit=after_playback))


def after_playback(event: ProcessExited, context: LaunchContext) -> LogInfo | Shutdown | None:
    if context.is_shutdown:
        return None
    if event.returncode:
        return Shutdown(reason="the recording could not be played: the player's last message says why")
    return LogInfo(msg="the recording has ended; map and scores stay until Ctrl-C")


def viewer(given: dict[str, str]) -> list:
    """Looks at the mapper from outside: without it, the mapping goes on."""
    node = Node(
        package=PACKAGE,
        executable="viewer",
        name="viewer",
        namespace=given["namespace"],
        parameters=[
            {
                **if_typed(given, viewer_host="host"),
                **({"port": int(given["viewer_port"])} if given["viewer_port"] else {}),
                **clock(given),
            }
        ],
        ros_arguments=log_level(given),
        output="screen",
    )
    return [node, goes_on_without(node, "the viewer has ended: its last message says why. Mapping goes on without it")]


def goes_on_without(node: Node, words: str) -> RegisterEventHandler:
    """Say so when a node ends that the mapping does not need."""

    def when_it_ends(event: ProcessExited, context: LaunchContext) -> LogInfo | None:
        return None if context.is_shutdown else LogInfo(msg=words)

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=when_it_ends))


def rviz(given: dict[str, str]) -> Node:
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        namespace=given["namespace"],
        arguments=["-d", given["rviz_config"]],
        parameters=[clock(given)],
        remappings=remapped_inputs(given, "image", "camera_info"),  # its Camera display shows the camera's picture
        output="screen",
    )


def shared_memory() -> list[SetEnvironmentVariable]:
    """Room for images in Fast DDS, unless the user has a profile. Other middleware ignores it."""
    if PROFILES in os.environ or "FASTRTPS_DEFAULT_PROFILES_FILE" in os.environ:
        return []
    return [SetEnvironmentVariable(PROFILES, shared("config", "fastdds_shared_memory.xml"))]


def if_typed(given: dict[str, str], **parameters: str) -> dict[str, ParameterValue]:
    """Node parameters by launch argument: those whose argument was given. Text stays text, 42 included."""
    return {
        parameter: ParameterValue(given[name], value_type=str) for name, parameter in parameters.items() if given[name]
    }


def clock(given: dict[str, str]) -> dict[str, bool]:
    if given["use_sim_time"] == "auto":
        return {"use_sim_time": True} if given["bag"] or given["sequence"] else {}
    return {"use_sim_time": is_on(given, "use_sim_time")}


def remapped_inputs(given: dict[str, str], *names: str) -> list[tuple[str, str]]:
    return [(name, given[name]) for name in names or INPUTS if given[name]]


def log_level(given: dict[str, str]) -> list[str]:
    return ["--log-level", given["log_level"]] if given["log_level"] else []


def is_on(given: dict[str, str], name: str) -> bool:
    return given[name] == "true"
