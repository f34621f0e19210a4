"""The line that plays a bag to the node."""

from __future__ import annotations

import shlex
from pathlib import Path

from sray_train.tools.bags.names import BagLayout


def launch_line(
    bag: Path, image: str, camera_info: str, depth: str | None, labels: str | None, map_frame: str | None
) -> str:
    """`ros2 launch ...` with the remappings that differ from the node's own names; with labels it scores.

    `image`: without /compressed, which the launch file finds out by itself.
    """
    own = BagLayout()
    given = {"image": image, "camera_info": camera_info, "depth": depth, "labels": labels, "map_frame": map_frame}
    arguments = [f"bag:={bag}"]
    arguments += [f"{name}:={value}" for name, value in given.items() if value and value != getattr(own, name)]
    arguments += ["score:=true"] if labels else []
    return " ".join(["ros2 launch sray_ros semantic_mapping.launch.py", *map(shlex.quote, arguments)])
