"""A map far from map_frame's origin, as in UTM coordinates: pictures as at home, clouds in a frame that TF knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from far_scenes import PLACES, moved
from numpy.lib.recfunctions import structured_to_unstructured
from rig.mapper import RELIABLE, MapperProcess
from rig.views import LATCHED, SETTINGS, pose_of
from sensor_msgs.msg import Image, PointCloud2
from sensor_msgs_py import point_cloud2
from tf2_msgs.msg import TFMessage

from sray.frames import Frame
from sray.mapping.session import Session
from sray.origin import Origin
from sray_interfaces.action import RenderView
from sray_interfaces.srv import SaveMap, SaveSession
from sray_ros.common.error_codes import ErrorCode
from sray_ros.common.map_origins import frame_of, origin_of

pytestmark = pytest.mark.ros
SETTINGS = SETTINGS | {"trigger": "keyframe", "keyframes.min_translation": 0.0}
UTM = PLACES["UTM, 4000 km"]


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def coordinates(message: PointCloud2) -> np.ndarray:
    return structured_to_unstructured(point_cloud2.read_points(message, ["x", "y", "z"]))


@pytest.mark.shows("~/points", "~/map", "/tf_static (clouds)")
@pytest.mark.fault("poses in UTM coordinates, or 88 km from the map's origin, in the node", code="none",
                   says="log: the frame that clouds are published in", recovery="whoever looks the frame up in TF has "
                   "the points in place")  # fmt: skip
@pytest.mark.parametrize("place", [PLACES["88 km"], UTM], ids=["88 km", "UTM"])
def test_a_far_map_looks_as_one_at_home_and_its_clouds_are_in_place(
    mapper: MapperProcess, frames: list[Frame], data_dir: Any, place: tuple[float, float, float]
) -> None:
    labels = mapper.hear(Image, "/semantic_mapper/label/image", RELIABLE)
    points = mapper.hear(PointCloud2, "/semantic_mapper/points", 10)
    maps = mapper.hear(PointCloud2, "/semantic_mapper/map", LATCHED)
    static = mapper.hear(TFMessage, "/tf_static", LATCHED)
    pictures, clouds, answers = {}, {}, {}
    origin = Origin.near(place)
    for name, offset, second in (("home", (0.0, 0.0, 0.0), 100), ("far", place, 200)):
        mapper.start_over()
        scene = [moved(frame, offset) for frame in frames]
        mapper.send_in_lockstep(scene, float(second))
        frame_id = "map" if name == "home" else frame_of("map", origin)

        def heard(messages: list[Any], begin: int = second) -> list[Any]:
            """Of this round: what was published last in the one before may come late."""
            return [message for message in messages if message.header.stamp.sec >= begin]

        def mapped(frame_id: str = frame_id) -> bool:
            return any(message.header.frame_id == frame_id for message in maps)

        assert mapper.listener.until(lambda: len(heard(labels)) >= 3 <= len(heard(points)) and mapped()), mapper.lines
        pictures[name] = [pixels(message) for message in heard(labels)[:3]]
        clouds[name] = heard(points)[0]
        assert {message.header.frame_id for message in heard(points)} == {frame_id}
        goal = RenderView.Goal(want_points=True)
        goal.viewpoint = pose_of(scene[0].camera)
        answers[name] = mapper.answer(mapper.ask(goal)).result
        assert ErrorCode(answers[name].error_code) is ErrorCode.OK
    for there, here in zip(pictures["far"], pictures["home"], strict=True):
        assert (there == here).mean() > 0.995
    assert answers["far"].points.header.frame_id == frame_of("map", origin)

    def told_of() -> list[Any]:
        return [t for message in static for t in message.transforms if t.child_frame_id == frame_of("map", origin)]

    assert mapper.listener.until(lambda: bool(told_of()))
    told = told_of()[0]
    assert told.header.frame_id == "map"
    t = told.transform.translation
    there = coordinates(clouds["far"]).astype(np.float64) + (t.x, t.y, t.z) - place
    here = coordinates(clouds["home"])
    np.testing.assert_allclose(there.mean(axis=0), here.mean(axis=0), atol=5e-3)
    # Saved files say where they are, too.
    assert ErrorCode(mapper.service(SaveMap, "save_map", SaveMap.Request(file="far")).error_code) is ErrorCode.OK
    assert b"comment frame map, meters" in (data_dir / "far.ply").read_bytes()[:100]
    saved = mapper.service(SaveSession, "save_session", SaveSession.Request(file="far"))
    assert ErrorCode(saved.error_code) is ErrorCode.OK
    session = Session.load(data_dir / "far.safetensors")
    assert (session.frame, session.map.origin) == ("map", origin)
    for (_, keyframe), frame in zip(session.keyframes, frames, strict=True):
        np.testing.assert_allclose(keyframe.camera.world_pose, moved(frame, place).camera.world_pose, atol=1e-4)


def test_the_name_of_a_frame_says_where_it_is() -> None:
    for origin in (Origin(), Origin(500_000, 4_000_000, 0), Origin(-3000, 0, 1000)):
        assert origin_of("site", frame_of("site", origin)) == origin
    for strange in ("odom", "site_at_1_2_km", "site_at_a_b_c_km", "site_at_01_2_3_km"):
        with pytest.raises(ValueError, match="site|invalid literal"):
            origin_of("site", strange)
