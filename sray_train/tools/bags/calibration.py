"""Checks of camera_info: the calibration as the node reads it, by the same code."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sray.calibration import Calibration
from sray.camera_info import baseline, read_camera_info
from sray_train.tools.bags.rows import Row, listed, note, ok, problem
from sray_train.tools.bags.stamped import StampedTopic, count


class CameraInfoTopic(StampedTopic):
    def __init__(self, subject: str, name: str) -> None:
        super().__init__(subject, name)
        self.distortion: Counter[str] = Counter()
        """Model and D of the infos whose pictures have to be undistorted."""
        self.baselines: Counter[str] = Counter()
        """Meters to the first camera, of infos of a stereo pair's second one."""
        self._last: Calibration | None = None

    def _look(self, message: Any) -> None:
        self._last = calibration = read_camera_info(message)
        count(self.sizes, (calibration.width, calibration.height))
        if not calibration.is_pinhole:
            values = ", ".join(f"{value:.3g}" for value in message.d)
            turned = ", turned by R" if calibration.is_turned else ""
            count(self.distortion, f"{message.distortion_model or 'plumb_bob'} ({values}){turned}")
        if apart := float(np.hypot(*baseline(message))):
            count(self.baselines, f"{apart:.3f}")

    def rows(self, image_sizes: list[tuple[int, int]]) -> list[Row]:
        """`image_sizes`: those that the image can have, decoded; the first is the one that is stored."""
        if self._last is None:
            return []
        focal = f"K[0] = {self._last.intrinsics[0, 0]:.1f} px"
        rows = [ok(self.subject, f"{focal}, no distortion")] if not self.distortion else []
        if self.distortion:
            text = f"{focal}, distorted: {listed(self.distortion, 2)}"
            rows.append(note(self.subject, text, "nothing to do: the node undistorts. If the pictures are rectified "
                             "already, set its parameter camera.rectified"))  # fmt: skip
        if self.baselines:
            text = f"P[0,3] or P[1,3] is not 0: the second camera of a stereo pair, {listed(self.baselines, 2)} m apart"
            remedy = "choose the first camera, or set camera.stereo_frame: own if TF has its own frame, first if not"
            rows.append(problem(f"{self.subject}: stereo", text, remedy))
        return rows + self._size_rows(image_sizes)

    def _size_rows(self, image_sizes: list[tuple[int, int]]) -> list[Row]:
        if not image_sizes or self._last is None or any(size in self.sizes for size in image_sizes):
            return []
        subject, (width, height) = f"{self.subject}: size", image_sizes[0]
        text = f"is of a {self._last.width}x{self._last.height} picture, the image is {width}x{height}"
        if any(self._last.fits(*size) for size in image_sizes):
            remedy = "nothing to do if the image was resized: the node scales K. If it was cropped, K is wrong"
            return [note(subject, f"{text}, of the same shape", remedy)]
        remedy = "choose the camera_info that belongs to the image (--camera-info), or calibrate at this size"
        return [problem(subject, text, remedy)]
