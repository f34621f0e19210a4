"""The RViz configuration shows topics that the mapper publishes, in stock displays, with a matching durability."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CONFIG = Path(__file__).parents[2] / "rviz" / "semantic_mapping.rviz"
DISPLAYS = yaml.safe_load(CONFIG.read_text())["Visualization Manager"]["Displays"]
KINDS = {
    "sensor_msgs/Image": "rviz_default_plugins/Image",
    "sensor_msgs/PointCloud2": "rviz_default_plugins/PointCloud2",
    "geometry_msgs/PoseArray": "rviz_default_plugins/PoseArray",
    "visualization_msgs/MarkerArray": "rviz_default_plugins/MarkerArray",
}


def published() -> dict[str, tuple[str, bool]]:
    """Topic -> (message type, latched), from the node's own lists."""
    publications = pytest.importorskip("sray_ros.publications", reason="needs the ROS environment")
    found = {}
    for topics, latched in ((publications.TOPICS, False), (publications.LATCHED, True)):
        for name, kind in topics.items():
            package = kind.__module__.split(".")[0]
            found[f"/semantic_mapper/{name}"] = (f"{package}/{kind.__name__}", latched)
    return found


def test_every_display_of_the_mapper_has_a_topic_of_its_type_and_durability() -> None:
    topics = published()
    shown = {display["Topic"]["Value"]: display for display in DISPLAYS if "Topic" in display}
    shown.pop("/image")
    names = ("label/overlay", "label/color", "legend", "points", "map", "frustums", "keyframes")
    assert set(shown) == {f"/semantic_mapper/{name}" for name in names}
    for topic, display in shown.items():
        kind, latched = topics[topic]
        assert display["Class"] == KINDS[kind], topic
        assert (display["Topic"]["Durability Policy"] == "Transient Local") == latched, topic


def test_the_fixed_frame_is_the_map_and_all_displays_are_stock_ones() -> None:
    assert yaml.safe_load(CONFIG.read_text())["Visualization Manager"]["Global Options"]["Fixed Frame"] == "map"
    assert all(display["Class"].startswith("rviz_default_plugins/") for display in DISPLAYS)
