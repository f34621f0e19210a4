"""What a mapper tells, as the viewer's library reads it. No node, no topics."""

from __future__ import annotations

import colorsys

import numpy as np
import torch
from sensor_msgs.msg import CameraInfo, PointCloud2
from sensor_msgs_py import point_cloud2
from vision_msgs.msg import LabelInfo

from sray.camera import Camera
from sray.errors import PictureError
from sray.field import RenderedView
from sray.label_space import LABEL_SPACES, NYU40, VOID, LabelSpace
from sray.mapping.cloud import LabeledCloud
from sray.origin import Origin
from sray_interfaces.action import RenderView
from sray_ros.common.conversions import read_depth, read_image, read_labels
from sray_ros.common.error_codes import error_of
from sray_ros.common.label_infos import names_of
from sray_ros.common.map_origins import origin_of
from sray_ros.common.poses import Matrix

FIELDS = ["x", "y", "z", "rgb", "label", "confidence"]
GOLDEN_ANGLE = 137.508
"""Degrees of hue between classes that no label space knows: neighbors differ as much as can be."""


def cloud_of_message(message: PointCloud2, map_frame: str) -> LabeledCloud:
    """The inverse of `cloud_message`. Raises PictureError for a cloud without these fields or frame."""
    try:
        points = point_cloud2.read_points(message, FIELDS)
        origin = origin_of(map_frame, message.header.frame_id)
    except (AssertionError, ValueError, KeyError) as error:
        raise PictureError(
            f"a cloud in {message.header.frame_id!r} cannot be read as a map ({error})",
            f"the mapper's ~/map, with the fields {', '.join(FIELDS)}",
        ) from error
    packed = np.ascontiguousarray(points["rgb"]).view(np.uint32)
    return LabeledCloud(
        np.stack([points[axis] for axis in "xyz"], axis=-1).astype(np.float32),
        np.stack([(packed >> shift) & 255 for shift in (16, 8, 0)], axis=-1).astype(np.uint8),
        points["label"].astype(np.uint8),
        points["confidence"].astype(np.float32),
        origin,
    )


def space_of_message(info: LabelInfo) -> LabelSpace:
    """The label space of these names. Colors are not told: a known space's, a known class's, or one of its own."""
    entries = sorted(names_of(info).items())
    names = tuple(name for _, name in entries)
    for space in LABEL_SPACES.values():
        if space.names == names:
            return space
    colors = dict(zip(NYU40.names, NYU40.colors, strict=True))
    return LabelSpace(
        "mapper",
        names,
        tuple(colors.get(name) or _hue(index) for index, name in enumerate(names)),
        tuple(range(1, len(names) + 1)),
    )


def view_of_result(result: RenderView.Result, camera: Camera) -> RenderedView:
    """A rendered view of the camera that was asked for, of the size that it was rendered at.

    Raises SrayError: what the mapper refused it with, or PictureError.
    """
    if result.error_code:
        raise error_of(result.error_code, result.error_text)
    size = (int(result.label.width), int(result.label.height))
    view = RenderedView.blank(camera if size == (camera.width, camera.height) else camera.resized(*size))
    labels, depth = read_labels(result.label), read_depth(result.depth)
    view.labels[:] = torch.from_numpy(labels)
    view.depth[:] = torch.from_numpy(depth)
    view.common_color[:] = torch.from_numpy(read_image(result.color)).float() / 255
    view.coverage[:] = torch.from_numpy(read_labels(result.coverage))
    confidence = np.frombuffer(result.confidence.data, np.float32).reshape(labels.shape)
    view.confidence[:] = torch.from_numpy(confidence.copy())
    view.opacity[:] = torch.from_numpy((labels != VOID).astype(np.float32))
    return view


def camera_of(info: CameraInfo, map_from_camera: Matrix, origin: Origin | None = None) -> Camera:
    """A pinhole camera; its pose as float64. `origin`: None takes one near it."""
    intrinsics = torch.tensor(np.array(info.k, np.float64).reshape(3, 3)).float()
    return Camera.at(map_from_camera, intrinsics, int(info.width), int(info.height), origin)


def _hue(index: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_ANGLE / 360 % 1, 0.6, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)
