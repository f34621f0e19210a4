"""The semantic mapper, and around it what was asked for: a recording, a 2D segmenter, a score, RViz.

`ros2 launch sray_ros semantic_mapping.launch.py --show-args` is the manual. Only what the user typed is forwarded:
a parameter's default is written once, in the node.
"""

from __future__ import annotations

import os

from launch import LaunchContext, LaunchDescription
from launch.actions import EmitEvent, LogInfo, OpaqueFunction, RegisterEventHandler, SetEnvironmentVariable, Shutdown
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from sray_ros.bringup.arguments import (
    ARGUMENTS,
    Given,
    clock,
    if_typed,
    is_on,
    is_rectified,
    ours,
    remapped_inputs,
    shared,
)
from sray_ros.bringup.recorded import bag_topics, image_transport, playback, refuse_mistaken, with_own_labels

PROFILES = "FASTDDS_DEFAULT_PROFILES_FILE"


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=everything)])


def everything(context: LaunchContext) -> list:
    """What runs, once the arguments are known."""
    given = {name: context.launch_configurations[name] for name in (argument.name for argument in ARGUMENTS)}
    refuse_mistaken(given)
    recorded = bag_topics(given)
    transport, words = image_transport(given, recorded)
    taught, played = (
        (with_own_labels(given, recorded), {**given, "labels": ""}) if given["segmenter"] else (given, given)
    )
    mapper = semantic_mapper(taught, transport)
    return [
        *words,
        *shared_memory(),
        *(activate_once_configured(mapper, given) if given["autostart"] == "true" else []),
        mapper,
        *(segmenter(taught) if given["segmenter"] else []),
        *([label_scorer(played)] if given["score"] == "true" else []),
        *playback(played, mapper),
        *(viewer(given) if given["viewer"] == "true" else []),
        *([rviz(given)] if given["rviz"] == "true" else []),
    ]


def semantic_mapper(given: Given, transport: dict[str, str]) -> LifecycleNode:
    return LifecycleNode(
        **ours(given, "semantic_mapper"),
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
        on_exit=nothing_goes_on_without_it,
    )


def nothing_goes_on_without_it(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """What ends because everything ends must not end it again: launch_ros fails at a second Shutdown."""
    return None if context.is_shutdown else Shutdown(reason="semantic_mapper has ended")


def segmenter(given: Given) -> list:
    """Of the mapper's keyframes, to the mapper's labels, in the mapper's classes. Without it, the mapping goes on."""
    node = Node(
        **ours(given, "segmenter"),
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
    )
    words = "the segmenter has ended: its last message says why. Mapping goes on without its labels"
    return [node, goes_on_without(node, words)]


def activate_once_configured(mapper: LifecycleNode, given: Given) -> list:
    """Reacts to changes of state, so that loading a model may take as long as it takes."""
    words = "semantic_mapper is not configured: its last error says why"
    is_awaited = given["sequence"] or is_on(given, "score")  # what is to be played would be waited for in vain
    refused = Shutdown(reason=words) if is_awaited else LogInfo(msg=words)

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
        on_configured("unconfigured", refused),
        RegisterEventHandler(OnProcessStart(target_action=mapper, on_start=[change(Transition.TRANSITION_CONFIGURE)])),
    ]


def label_scorer(given: Given) -> Node:
    own = [(name, f"semantic_mapper/{name}") for name in ("label/image", "label/info")]
    return Node(
        **ours(given, "label_scorer"),
        parameters=[{"camera.rectified": is_rectified(given)}, given["params_file"], clock(given)],
        remappings=[*own, *remapped_inputs(given, "labels", "camera_info")],
    )


def viewer(given: Given) -> list:
    """Looks at the mapper from outside: without it, the mapping goes on."""
    node = Node(
        **ours(given, "viewer"),
        parameters=[
            {
                **if_typed(given, viewer_host="host"),
                **({"port": int(given["viewer_port"])} if given["viewer_port"] else {}),
                **clock(given),
            }
        ],
    )
    return [node, goes_on_without(node, "the viewer has ended: its last message says why. Mapping goes on without it")]


def goes_on_without(node: Node, words: str) -> RegisterEventHandler:
    """Say so when a node ends that the mapping does not need."""

    def when_it_ends(event: ProcessExited, context: LaunchContext) -> LogInfo | None:
        return None if context.is_shutdown else LogInfo(msg=words)

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=when_it_ends))


def rviz(given: Given) -> Node:
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
