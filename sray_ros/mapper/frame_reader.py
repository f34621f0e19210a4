"""FrameReader: makes frames of the library from messages: decoded, checked and undistorted; label images too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image
from torch import Tensor

from sray.calibration import Calibration, said_by, same_aspect
from sray.camera import Camera
from sray.camera_info import optical_center, read_camera_info
from sray.encoder import LEAST_SIDE
from sray.errors import CalibrationError, PictureError, SrayError
from sray.frames import Frame, nearest_exact
from sray.pictures import BitDepth
from sray.recorded_bag import tf_name
from sray.rectification import Rectifier
from sray_ros.common.conversions import Picture, read_depth, read_image, read_labels
from sray_ros.common.poses import Matrix
from sray_ros.mapper.inputs import Arrival
from sray_ros.mapper.parameters import MapperParameters

LARGEST_REQUEST = 8192
"""Columns or rows of a requested view at most: a mistyped size must not occupy the worker for a day."""

SAME_PLACE, SAME_DIRECTION = 0.001, 0.1
"""Meters and degrees within which two frames are one camera: some drivers have two names for it."""


class FrameReader:
    """Belongs to the worker."""

    def __init__(
        self, parameters: MapperParameters, report: Callable[[SrayError], None], tell: Callable[[str], None]
    ) -> None:
        """`report` gets the error of depth that is not used; `tell` gets log lines about inputs that were adapted."""
        self._parameters = parameters
        self._report = report
        self._tell = tell
        self._rectifier = Rectifier()
        self._bit_depth = BitDepth()
        self._calibration: Calibration | None = None
        self._told: str = ""

    def frame(self, arrival: Arrival) -> Frame:
        """Raises CalibrationError, PictureError."""
        full = self._full(arrival)
        picture = self._picture(arrival, full)
        with said_by("camera_info"):
            calibration = full.of_pictures(picture.shape[1], picture.shape[0])
            center = optical_center(arrival.info, self._parameters.now.camera.stereo_frame)
        if calibration is not full:
            self._tell_once(
                f"camera_info is of {full.width}x{full.height} pixels, the image has {calibration.width}x"
                f"{calibration.height}, the same shape; expected the same size. K is scaled to the image: if the image "
                "was cropped, take the camera_info that belongs to it"
            )
        if max(calibration.width, calibration.height) < LEAST_SIDE:
            raise CalibrationError(
                f"the image is {calibration.width}x{calibration.height}",
                f"a side of {LEAST_SIDE} pixels or more: the encoder halves it four times",
            )
        self._calibration = calibration
        return Frame(
            torch.from_numpy(self._rectifier.picture(calibration, picture)),
            calibration.camera(arrival.map_from_camera @ center),
            self._depth(arrival, calibration),
            stamp_ns=arrival.stamp_ns,
            name=f"image at {arrival.stamp_ns * 1e-9:.3f} s",
        )

    def picture(self, arrival: Arrival) -> Picture:
        """RGB as it came, not rectified. Raises SrayError as `frame`."""
        return self._picture(arrival, self._full(arrival))

    def labels(self, image: Image) -> UInt8[Tensor, "height width"]:
        """Class indices, 255 unlabeled, rectified as the camera's images are.

        Raises PictureError, also if they have not the shape of the camera's images.
        """
        labels, calibration = read_labels(image), self._calibration
        if calibration is None:
            return torch.from_numpy(labels)
        self._check_shape(labels, calibration, "a label image")
        labels = nearest_exact(labels, calibration.width, calibration.height)
        return torch.from_numpy(self._rectifier.labels(calibration, labels))

    def _full(self, arrival: Arrival) -> Calibration:
        return read_camera_info(arrival.info, is_rectified=self._parameters.now.camera.rectified)

    def _picture(self, arrival: Arrival, calibration: Calibration) -> Picture:
        return read_image(arrival.image, fits=calibration.fits, bit_depth=self._bit_depth)

    def _depth(self, arrival: Arrival, calibration: Calibration) -> Float[Tensor, "height width"] | None:
        """Depth is optional: if it cannot be used, that is reported, and the frame has none."""
        if arrival.depth is None:
            return None
        try:
            _check_frame(arrival, arrival.depth)
            meters = read_depth(arrival.depth)
            self._check_shape(meters, calibration, "a depth image")
        except SrayError as error:
            self._report(error)
            return None
        meters = nearest_exact(meters, calibration.width, calibration.height)
        return torch.from_numpy(self._rectifier.depth(calibration, meters))

    def _check_shape(self, picture: NDArray[Any], calibration: Calibration, what: str) -> None:
        height, width = picture.shape
        if not same_aspect((width, height), (calibration.width, calibration.height)):
            raise PictureError(
                f"{what} is {width}x{height}, the camera's image {calibration.width}x{calibration.height}",
                "one of the same pixels, at this size or another of its shape",
                "Take the topic that is registered to the color camera",
            )

    def _tell_once(self, words: str) -> None:
        if words != self._told:
            self._told = words
            self._tell(words)


def _check_frame(arrival: Arrival, depth: Image) -> None:
    """Raises CalibrationError if depth is in a frame that is not where the color camera is."""
    frames = tf_name(depth.header.frame_id), tf_name(arrival.image.header.frame_id)
    if frames[0] == frames[1] or not frames[0]:  # a driver that names no frame does not say that it is another one
        return
    apart = "and TF does not say that they are one place"
    if arrival.camera_from_depth is not None:
        distance = float(np.linalg.norm(arrival.camera_from_depth[:3, 3]))
        cosine = (np.trace(arrival.camera_from_depth[:3, :3]) - 1) / 2
        angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        if distance < SAME_PLACE and angle < SAME_DIRECTION:
            return
        apart = f"{distance:.3f} m and {angle:.1f} degrees away"
    raise CalibrationError(
        f"depth is in frame {frames[0]!r}, the image in {frames[1]!r}, {apart}",
        "depth registered to the color camera, so it is not used",
        "Take the registered topic, or set depth.use to false",
    )


def camera_of_request(info: CameraInfo, map_from_camera: Matrix, *, is_rectified: bool) -> Camera:
    """The pinhole part of a requested camera: a rendered view has no lens. Raises CalibrationError.

    `is_rectified`: as of the node's own pictures, so that one camera_info means one camera: P, not K.
    """
    pinhole = CameraInfo(header=info.header, width=info.width, height=info.height, k=info.k, p=info.p)
    if max(info.width, info.height) > LARGEST_REQUEST:
        raise CalibrationError(
            f"camera_info of the request has size {info.width}x{info.height}",
            f"at most {LARGEST_REQUEST} columns and rows",
        )
    has_p = bool(info.p[0] > 0)  # a client may fill in K alone
    return read_camera_info(pinhole, is_rectified=is_rectified and has_p).camera(map_from_camera)
