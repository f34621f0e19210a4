"""FrameReader: an arrival's messages as a frame of the library, rectified; label images likewise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from sensor_msgs.msg import CameraInfo, Image
from torch import Tensor

from sray.camera import Camera
from sray.encoder import LEAST_SIDE
from sray.errors import ErrorCode, SrayError
from sray.frames import Frame, nearest_exact
from sray_ros.common.conversions import read_depth, read_image, read_labels
from sray_ros.common.poses import Matrix
from sray_ros.common.rectification import Calibration, Rectifier, check_size, read_camera_info
from sray_ros.mapper.inputs import Arrival
from sray_ros.mapper.parameters import MapperParameters

LARGEST_REQUEST = 8192
"""Columns or rows of a view that somebody asks for: a slip of the keyboard must not occupy the worker for a day."""


class FrameReader:
    """Belongs to the worker."""

    def __init__(self, parameters: MapperParameters, report: Callable[[SrayError], None]) -> None:
        """`report` is told of depth that could not be used: the frame goes on without."""
        self._parameters = parameters
        self._report = report
        self._rectifier = Rectifier()
        self._calibration: Calibration | None = None
        self._odd_frames: tuple[str, str] | None = None

    def frame(self, arrival: Arrival) -> Frame:
        """Raises SrayError: BAD_CAMERA_INFO, BAD_ENCODING."""
        calibration = read_camera_info(arrival.info, self._parameters["camera.rectified"])
        picture = read_image(arrival.image)
        check_size(calibration, picture)
        if max(calibration.width, calibration.height) < LEAST_SIDE:
            raise SrayError(
                ErrorCode.BAD_CAMERA_INFO,
                f"the image is {calibration.width}x{calibration.height}; expected a side of {LEAST_SIDE} pixels or "
                "more: the encoder halves it four times",
            )
        self._calibration = calibration
        return Frame(
            torch.from_numpy(self._rectifier.picture(calibration, picture)),
            _camera(calibration, arrival.map_from_camera),
            self._depth(arrival, calibration),
            stamp_ns=arrival.stamp_ns,
            name=f"image at {arrival.stamp_ns * 1e-9:.3f} s",
        )

    def labels(self, image: Image) -> UInt8[Tensor, "height width"]:
        """Class indices, 255 unlabelled, rectified as the camera's images are. Raises SrayError BAD_ENCODING."""
        labels, calibration = read_labels(image), self._calibration
        if calibration is None:
            return torch.from_numpy(labels)
        labels = nearest_exact(labels, calibration.width, calibration.height)
        return torch.from_numpy(self._rectifier.labels(calibration, labels))

    def _depth(self, arrival: Arrival, calibration: Calibration) -> Float[Tensor, "height width"] | None:
        """Depth guides sampling and is never required: one that cannot be used is reported, and done without."""
        if arrival.depth is None:
            return None
        frames = arrival.depth.header.frame_id, arrival.image.header.frame_id
        if frames[0] != frames[1] and frames != self._odd_frames:
            self._odd_frames = frames  # told once: some drivers have two names for one frame
            self._report(
                SrayError(
                    ErrorCode.BAD_CAMERA_INFO,
                    f"depth is in frame {frames[0]!r}, the image in {frames[1]!r}; expected depth registered to the "
                    "colour camera. It is used all the same: take the registered topic, or set depth.use to false",
                )
            )
        try:
            metres = read_depth(arrival.depth)
        except SrayError as error:
            self._report(error)
            return None
        # Depth comes in the colour camera's frame, at its own size or another of the same shape.
        metres = nearest_exact(metres, calibration.width, calibration.height)
        return torch.from_numpy(self._rectifier.depth(calibration, metres))


def camera_of_request(info: CameraInfo, map_from_camera: Matrix) -> Camera:
    """The pinhole part of a requested camera: a rendered view has no lens. Raises SrayError BAD_CAMERA_INFO."""
    pinhole = CameraInfo(header=info.header, width=info.width, height=info.height)
    pinhole.k = info.k
    if max(info.width, info.height) > LARGEST_REQUEST:
        raise SrayError(
            ErrorCode.BAD_CAMERA_INFO,
            f"camera_info of the request has size {info.width}x{info.height}; expected at most {LARGEST_REQUEST} "
            "columns and rows",
        )
    return _camera(read_camera_info(pinhole, is_rectified=False), map_from_camera)


def _camera(calibration: Calibration, map_from_camera: Matrix) -> Camera:
    intrinsics = torch.from_numpy(np.asarray(calibration.intrinsics)).float()
    return Camera.at(map_from_camera, intrinsics, calibration.width, calibration.height)
