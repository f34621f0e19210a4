"""The recording that is played: what its bag says of its topics, and its player."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext
from launch.actions import ExecuteProcess, LogInfo, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition

from sray.recorded_bag import is_bag, topic_types
from sray_ros.bringup.arguments import (
    INPUTS,
    SEGMENTED,
    Given,
    absolute,
    if_typed,
    is_on,
    ours,
    remapped_inputs,
    shared,
)

CLOCK_RATE = "50"  # Hz, while a bag plays
COMPRESSED = "/compressed"  # what image_transport appends to an image topic's name
DELAY = ("--delay", "2")
"""Seconds: DDS takes a while to bring player and nodes together, and what is played before that is lost."""


def refuse_mistaken(given: Given) -> None:
    """Before anything is started. Raises RuntimeError for a bag and a sequence, or one in the place of the other."""
    bag, sequence = given["bag"], given["sequence"]
    if bag and sequence:
        raise RuntimeError("both bag:= and sequence:= were given; expected at most one of them")
    if bag and (Path(bag).expanduser() / "color").is_dir():
        raise RuntimeError(f"bag:={bag} is the folder of a recording; expected a rosbag2. Give it as sequence:={bag}")
    if sequence and is_bag(Path(sequence).expanduser()):
        raise RuntimeError(f"sequence:={sequence} is a rosbag2; expected a recording. Give it as bag:={sequence}")


def bag_topics(given: Given) -> dict[str, str] | None:
    """Types of the bag's topics, by name. None if it is no bag that can be read: the player reports why."""
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


def with_own_labels(given: Given, recorded: dict[str, str] | None) -> dict[str, str]:
    """The labels of a segmenter have a topic of their own: those of a recording are the truth, for the score."""
    own = {**given, "labels": given["labels"] or SEGMENTED}
    true = {absolute(given, "labels")} if given["sequence"] else recorded or {}
    if absolute(own, own["labels"]) in true:
        raise RuntimeError(
            f"labels:={own['labels']} has the recording's labels; expected another topic for segmenter:="
        )
    return own


def image_transport(given: Given, types: dict[str, str] | None) -> tuple[dict[str, str], list[LogInfo]]:
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


def playback(given: Given, mapper: LifecycleNode) -> list[Any]:
    """The player of a bag or a sequence, if there is one to play; the map stays when it has ended."""
    scored = is_on(given, "score")
    if given["bag"] and not scored:
        options = [
            option for name, option in (("loop", "--loop"), ("start_paused", "--start-paused")) if is_on(given, name)
        ]
        options += ["--rate", given["rate"]] if given["rate"] else []
        command = ["ros2", "bag", "play", str(Path(given["bag"]).expanduser()), "--clock", CLOCK_RATE, *DELAY, *options]
        # What a mapper published while the bag was recorded would mix with what this one does.
        command += ["-x", ".*/semantic_mapper/.*"]
        command += ["--qos-profile-overrides-path", shared("config", "bag_qos.yaml")]
        player = ExecuteProcess(cmd=command, name="bag_player", output="screen")
    elif given["bag"] or given["sequence"]:
        switches = {name: True for name in ("loop", "start_paused") if is_on(given, name)}
        # A score must not depend on the machine's speed: every frame waits until the mapper has handled the last one.
        switches |= {"lockstep": True} if scored else {}
        # For a mapper that loads its model, or that somebody activates by hand. It subscribes after the scorer has.
        patience = {"wait_for_subscribers": 3600.0}
        speed = {"rate": float(given["rate"])} if given["rate"] else {}
        # A bag's topics have their own names; the mapper's are remapped to them.
        inputs = [] if given["bag"] else remapped_inputs(given)
        camera = {"image_topic": given["image"] or INPUTS[0]} if given["bag"] else {}
        played = if_typed(given, bag="bag", sequence="sequence", label_space="label_space", map_frame="map_frame")
        player = Node(
            **ours(given, "sequence_player"),
            parameters=[{**played, **camera, **speed, **switches, **patience}],
            remappings=[*inputs, ("handled", "semantic_mapper/handled")],
        )
    else:
        return []
    if isinstance(player, Node) or not is_on(given, "autostart"):
        return [player, when_it_has_ended(player)]
    # `ros2 bag play` does not wait for subscribers: what it plays while a model loads is lost.
    starts = OnStateTransition(target_lifecycle_node=mapper, goal_state="active", entities=[player], handle_once=True)
    return [RegisterEventHandler(starts), when_it_has_ended(player)]


def when_it_has_ended(player: ExecuteProcess) -> RegisterEventHandler:
    return RegisterEventHandler(OnProcessExit(target_action=player, on_exit=after_playback))


def after_playback(event: ProcessExited, context: LaunchContext) -> LogInfo | Shutdown | None:
    if context.is_shutdown:
        return None
    if event.returncode:
        return Shutdown(reason="the recording could not be played: the player's last message says why")
    return LogInfo(msg="the recording has ended; map and scores stay until Ctrl-C")
