"""What the nodes rely on of sensor_msgs_py.point_cloud2: where each byte of a cloud is, and what comes back."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

HEADER = Header(frame_id="map")
F32, U32, U8 = PointField.FLOAT32, PointField.UINT32, PointField.UINT8


def field(name: str, offset: int, datatype: int) -> PointField:
    return PointField(name=name, offset=offset, datatype=datatype, count=1)


XYZ = [field("x", 0, F32), field("y", 4, F32), field("z", 8, F32)]
SEMANTIC = [*XYZ, field("rgb", 12, F32), field("label", 16, U32), field("confidence", 20, F32)]


def semantic_points() -> np.ndarray:
    points = np.zeros(2, point_cloud2.dtype_from_fields(SEMANTIC))
    points["x"], points["y"], points["z"] = [1.0, 4.0], [2.0, 5.0], [3.0, 6.0]
    points["rgb"] = np.array([0x00FF8000, 0x000000FF], np.uint32).view(np.float32)
    points["label"], points["confidence"] = [7, 255], [0.5, 0.25]
    return points


def test_the_type_of_a_point_follows_the_fields():
    dtype = point_cloud2.dtype_from_fields(SEMANTIC)
    assert dtype.names == ("x", "y", "z", "rgb", "label", "confidence")
    assert [dtype.fields[name][1] for name in dtype.names] == [0, 4, 8, 12, 16, 20]
    assert dtype["label"] == np.uint32 and dtype["x"] == np.float32
    assert dtype.itemsize == 24


def test_the_type_of_a_point_may_have_gaps_and_a_tail():
    dtype = point_cloud2.dtype_from_fields([field("x", 0, F32), field("ring", 6, U8)], point_step=16)
    assert dtype.itemsize == 16 and dtype.fields["ring"][1] == 6


def test_a_cloud_of_a_structured_array_has_the_bytes_in_place():
    cloud = point_cloud2.create_cloud(HEADER, SEMANTIC, semantic_points())
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 2, 24, 48)
    assert cloud.header.frame_id == "map" and not cloud.is_bigendian
    assert [item.name for item in cloud.fields] == ["x", "y", "z", "rgb", "label", "confidence"]
    second = struct.unpack_from("<fffIIf", bytes(cloud.data), 24)  # rgb read as the integer that it packs
    assert second == (4.0, 5.0, 6.0, 0x000000FF, 255, 0.25)


def test_a_structured_cloud_comes_back():
    points = semantic_points()
    found = point_cloud2.read_points(point_cloud2.create_cloud(HEADER, SEMANTIC, points))
    assert found.dtype == points.dtype and found.tobytes() == points.tobytes()
    assert found["rgb"].view(np.uint32).tolist() == [0x00FF8000, 0x000000FF]


def test_an_array_of_another_type_than_the_fields_is_refused():
    with pytest.raises(AssertionError):
        point_cloud2.create_cloud(HEADER, SEMANTIC, np.zeros(2, point_cloud2.dtype_from_fields(XYZ)))


def test_a_subset_of_the_fields_can_be_read():
    cloud = point_cloud2.create_cloud(HEADER, SEMANTIC, semantic_points())
    found = point_cloud2.read_points(cloud, field_names=["label", "x"])
    assert found.dtype.names == ("label", "x")
    assert found["label"].tolist() == [7, 255] and found["x"].tolist() == [1.0, 4.0]
    with pytest.raises(AssertionError):
        point_cloud2.read_points(cloud, field_names=["intensity"])


def test_big_endian_clouds_are_read_as_what_they_are():
    cloud = PointCloud2(
        header=HEADER, height=1, width=2, fields=XYZ, is_bigendian=True, point_step=12, row_step=24,
        data=struct.pack(">6f", 1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
    )  # fmt: skip
    found = point_cloud2.read_points(cloud)
    assert [found[name][1] + 0 for name in "xyz"] == [4.0, 5.0, 6.0]


def test_an_empty_cloud_is_a_cloud():
    cloud = point_cloud2.create_cloud(HEADER, XYZ, np.zeros(0, point_cloud2.dtype_from_fields(XYZ)))
    assert (cloud.width, cloud.row_step, len(cloud.data)) == (0, 0, 0)
    assert len(point_cloud2.read_points(cloud)) == 0


def test_a_cloud_survives_the_wire(ros):
    points = semantic_points()
    heard = []
    ros.node("receiver").create_subscription(PointCloud2, "cloud", heard.append, 1)
    publisher = ros.node("sender").create_publisher(PointCloud2, "cloud", 1)
    cloud = point_cloud2.create_cloud(HEADER, SEMANTIC, points)
    ros.spin_until(lambda: len(heard) > 0, then=lambda: publisher.publish(cloud))
    assert point_cloud2.read_points(heard[0]).tobytes() == points.tobytes()
