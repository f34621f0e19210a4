"""PointCloud2 messages to NumPy arrays and back, without a loop over the points."""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

SCALAR_TYPES: dict[int, np.dtype] = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """The structured type of one point: names, types and byte offsets of the fields, `point_step` bytes in all.

    Fields of several numbers (count > 1) are not part of the stand-in.
    """
    fields = list(fields)
    assert all(field.count == 1 for field in fields), "a field with a count other than 1"
    layout: dict[str, object] = {
        "names": [field.name for field in fields],
        "formats": [SCALAR_TYPES[field.datatype].str for field in fields],
        "offsets": [field.offset for field in fields],
    }
    if point_step is not None:
        layout["itemsize"] = point_step
    dtype: np.dtype = np.dtype(layout)  # type: ignore[call-overload]
    return dtype


def create_cloud(header: Header, fields: Sequence[PointField], points: NDArray) -> PointCloud2:
    """A cloud of `points`, a structured array (points,) of the type of `fields`. It counts as not dense: NaN may be."""
    dtype = dtype_from_fields(fields)
    assert points.dtype == dtype, f"the points are {points.dtype}, the fields {dtype}"
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(points).view(np.uint8).data if points.size else b"")
    cloud = PointCloud2(
        header=header,
        height=1,
        width=len(points),
        is_dense=False,
        is_bigendian=sys.byteorder != "little",
        fields=list(fields),
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * len(points),
    )
    cloud.data = data  # by the property, which takes an array of bytes as it is; the constructor copies it slowly
    return cloud


def read_points(cloud: PointCloud2, field_names: Sequence[str] | None = None) -> NDArray:
    """The points as a structured array, one entry a point, which may share the memory of the message.

    `field_names`: only these, in this order.
    """
    assert isinstance(cloud, PointCloud2), f"{type(cloud).__name__} is not a sensor_msgs.msg.PointCloud2"
    dtype = dtype_from_fields(cloud.fields, point_step=cloud.point_step)
    stored = dtype.newbyteorder(">" if cloud.is_bigendian else "<")
    points: NDArray = np.ndarray((cloud.width * cloud.height,), stored, buffer=cloud.data)
    if stored != dtype:
        points = points.astype(dtype)
    if field_names is None:
        return points
    missing = [name for name in field_names if name not in (dtype.names or ())]
    assert not missing, f"the cloud has no fields {missing}, only {dtype.names}"
    return points[list(field_names)]
