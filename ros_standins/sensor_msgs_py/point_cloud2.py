"""PointCloud2 messages to NumPy arrays and back, without a loop over the points."""

from __future__ import annotations

import array
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
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

    A field with count > 1 becomes name_0, name_1 ...; a field without a name unnamed_field_<its place>.
    """
    names: list[str] = []
    formats: list[str] = []
    offsets: list[int] = []
    for place, field in enumerate(fields):
        scalar = SCALAR_TYPES[field.datatype]
        name = field.name or f"unnamed_field_{place}"
        assert field.count > 0, f"field '{name}' has count 0"
        for part in range(field.count):
            names.append(name if field.count == 1 else f"{name}_{part}")
            formats.append(scalar.str)
            offsets.append(field.offset + part * scalar.itemsize)
    assert len(set(names)) == len(names), f"two fields of one name among {names}"
    layout: dict[str, object] = {"names": names, "formats": formats, "offsets": offsets}
    if point_step is not None:
        layout["itemsize"] = point_step
    dtype: np.dtype = np.dtype(layout)  # type: ignore[call-overload]
    return dtype


def create_cloud(
    header: Header, fields: Sequence[PointField], points: Iterable, point_step: int | None = None
) -> PointCloud2:
    """A cloud of `points`: a structured array of the type of `fields`; a plain (points, fields) array if all fields
    have one type; or an iterable of tuples (slow). It counts as not dense: it may hold NaN.
    """
    dtype = dtype_from_fields(fields, point_step)
    if not isinstance(points, np.ndarray):
        points = np.array([tuple(point) for point in points], dtype)
    elif points.dtype.names is None:
        assert len({field.datatype for field in fields}) == 1, (
            "fields of several types need a structured array, see dtype_from_fields"
        )
        points = unstructured_to_structured(points, dtype)
    else:
        assert points.dtype == dtype, f"the points are {points.dtype}, the fields {dtype}"
    assert points.ndim <= 2, f"points in {points.ndim} dimensions; expected a list or a grid of them"

    data = array.array("B")
    data.frombytes(np.ascontiguousarray(points).reshape(-1).view(np.uint8).data if points.size else b"")
    cloud = PointCloud2(
        header=header,
        height=points.shape[1] if points.ndim == 2 else 1,
        width=points.shape[0],
        is_dense=False,
        is_bigendian=sys.byteorder != "little",
        fields=list(fields),
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * points.shape[0],
    )
    cloud.data = data  # by the property, which takes an array of bytes as it is; the constructor copies it slowly
    return cloud


def create_cloud_xyz32(header: Header, points: Iterable) -> PointCloud2:
    """A cloud of x, y, z as float32: 12 bytes a point."""
    fields = [
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate("xyz")
    ]
    return create_cloud(header, fields, points)


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> NDArray:
    """The points as a structured array, one entry a point, which may share the memory of the message.

    `field_names`: only these, in this order. `skip_nans`: without the points that have a NaN in one of them.
    `uvs`: only the points of these places. `reshape_organized_cloud`: two dimensions if it has more than one row.
    """
    assert isinstance(cloud, PointCloud2), f"{type(cloud).__name__} is not a sensor_msgs.msg.PointCloud2"
    dtype = dtype_from_fields(cloud.fields, point_step=cloud.point_step)
    stored = dtype.newbyteorder(">" if cloud.is_bigendian else "<")
    points: NDArray = np.ndarray((cloud.width * cloud.height,), stored, buffer=cloud.data)
    if stored != dtype:
        points = points.astype(dtype)
    if field_names is not None:
        missing = [name for name in field_names if name not in (dtype.names or ())]
        assert not missing, f"the cloud has no fields {missing}, only {dtype.names}"
        points = points[list(field_names)]
    if skip_nans and not cloud.is_dense:
        complete = np.ones(len(points), bool)
        for name in points.dtype.names or ():
            complete &= ~np.isnan(points[name])
        points = points[complete]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> NDArray:
    """As read_points, for fields of one type: a plain array with one column a field."""
    types = {field.datatype for field in cloud.fields if field_names is None or field.name in field_names}
    assert len(types) <= 1, "the fields have several types; use read_points"
    return structured_to_unstructured(read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud))
