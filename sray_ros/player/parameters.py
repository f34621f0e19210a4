"""The parameters of sequence_player. All are fixed when the node starts."""

from __future__ import annotations

from dataclasses import dataclass

from sray_ros.common.parameters import NEVER, NodeParameters, parameter


@dataclass(frozen=True)
class PlayerSettings:
    """Typed values of all parameters, which never change."""

    sequence: str = parameter("", "folder in ScanNet layout to play", applies=NEVER)
    bag: str = parameter("", "rosbag2 folder to play instead of a sequence", applies=NEVER)
    image_topic: str = parameter(
        "", "the camera's topic in the bag, without /compressed; empty: the first in color", applies=NEVER
    )
    label_space: str = parameter(
        "indoor", "label space of the published labels: that of the model which is to learn from them, or is scored",
        applies=NEVER,
    )  # fmt: skip
    map_frame: str = parameter("map", "the frame the sequence's poses are in", applies=NEVER)
    body_frame: str = parameter("camera_link", "the camera's body frame, child of map_frame", applies=NEVER)
    camera_frame: str = parameter(
        "camera_optical_frame", "the camera's optical frame, child of body_frame", applies=NEVER
    )
    rate: float = parameter(1.0, "how many times faster than recorded", (0.001, 1000.0), applies=NEVER)
    loop: bool = parameter(False, "start again at the end (the clock jumps back)", applies=NEVER)
    start_offset: float = parameter(
        0.0, "seconds of the recording to leave out at its start", (0.0, 1e9), applies=NEVER
    )
    start_paused: bool = parameter(False, "wait for ~/pause with data: false before the first frame", applies=NEVER)
    lockstep: bool = parameter(
        False, "wait for `handled` to name a picture's stamp before playing the next picture", applies=NEVER
    )
    lockstep_timeout: float = parameter(
        120.0, "seconds to wait for one picture to be handled", (0.1, 3600.0), applies=NEVER
    )
    wait_for_subscribers: float = parameter(
        30.0, "seconds to wait for subscribers before starting; 0: do not wait", (0.0, 3600.0), applies=NEVER
    )
    clock_rate: float = parameter(
        50.0, "how often the clock is published while time passes, Hz", (1.0, 1000.0), applies=NEVER
    )


PlayerParameters = NodeParameters[PlayerSettings]
