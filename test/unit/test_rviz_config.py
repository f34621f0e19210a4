"""The RViz configuration shows topics that the mapper publishes, in stock displays, with a matching durability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MANAGER = yaml.safe_load((ROOT / "rviz" / "semantic_mapping.rviz").read_text())["Visualization Manager"]
DISPLAYS: list[dict[str, Any]] = MANAGER["Displays"]
KINDS = {
    "sensor_msgs/Image": "rviz_default_plugins/Image",
    "sensor_msgs/PointCloud2": "rviz_default_plugins/PointCloud2",
    "geometry_msgs/PoseArray": "rviz_default_plugins/PoseArray",
    "visualization_msgs/MarkerArray": "rviz_default_plugins/MarkerArray",
}
SHOWN = {"label/overlay", "label/color", "legend", "fine_tune/curve", "points", "map", "frustums", "keyframes"}


def published() -> dict[str, tuple[str, bool]]:
    """Topic -> (message type, latched), from the node's own list."""
    api = pytest.importorskip("sray_ros.mapper.api", reason="needs the ROS environment")
    return {
        topic.name.replace("~", "semantic_mapper"): (
            f"{topic.type.__module__.split('.')[0]}/{topic.type.__name__}",
            topic.is_latched,
        )
        for topic in api.PUBLISHED
    }


def test_every_display_of_the_mapper_has_a_topic_of_its_type_and_a_qos_that_matches() -> None:
    topics = published()
    shown = [display for display in DISPLAYS if "Topic" in display and display["Class"] in KINDS.values()]
    assert {display["Topic"]["Value"] for display in shown} == {f"semantic_mapper/{name}" for name in SHOWN}
    for display in shown:
        topic = display["Topic"]
        kind, latched = topics[topic["Value"]]
        assert display["Class"] == KINDS[kind], topic
        assert (topic["Durability Policy"] == "Transient Local") == latched, topic
        assert topic["Reliability Policy"] == "Reliable", topic


def test_the_camera_shows_the_picture_with_the_points_over_it() -> None:
    """As the mapper hears it: best effort takes what either kind of publisher sends."""
    (camera,) = (display for display in DISPLAYS if display["Class"] == "rviz_default_plugins/Camera")
    assert camera["Topic"]["Value"] == "image" and camera["Topic"]["Reliability Policy"] == "Best Effort"
    names = {display["Name"] for display in DISPLAYS} - {camera["Name"]}
    assert set(camera["Visibility"]) - {"Value"} == names, "one that is not named would be drawn over the picture"
    assert [name for name in names if camera["Visibility"][name]] == ["Points of the last view"]


def test_clouds_have_their_own_colors_and_one_map_is_drawn_at_a_time() -> None:
    clouds = [display for display in DISPLAYS if display["Class"].endswith("/PointCloud2")]
    assert {display["Color Transformer"] for display in clouds if display["Enabled"]} == {"RGB8"}
    enabled = [display["Topic"]["Value"] for display in clouds if display["Enabled"]]
    assert sorted(enabled) == ["semantic_mapper/map", "semantic_mapper/points"]
    by_class = [display for display in clouds if display["Color Transformer"] == "Intensity"]
    assert [display["Channel Name"] for display in by_class] == ["label"]


def test_the_fixed_frame_is_the_map_and_all_displays_are_stock_ones() -> None:
    assert MANAGER["Global Options"]["Fixed Frame"] == "map"
    assert all(display["Class"].startswith("rviz_default_plugins/") for display in DISPLAYS)
    assert [display["Name"] for display in DISPLAYS if not display["Enabled"]] == ["Fine-tuning", "Map by class", "TF"]


def test_a_namespace_given_to_rviz_reaches_every_topic() -> None:
    """RViz is a node like others: relative names follow its namespace and its remappings, absolute ones do not."""
    assert not [d["Topic"]["Value"] for d in DISPLAYS if "Topic" in d and d["Topic"]["Value"].startswith("/")]
