"""What is looked at in camera_info: the demands of the node (sray_ros.common.rectification; a test compares them)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sray.errors import ErrorCode, SrayError
from sray_train.tools.bags.rows import Row, listed, note, ok, problem
from sray_train.tools.bags.stamped import StampedTopic, count

_PINHOLE, _FISHEYE = (4, 5, 8, 12, 14), (4,)
_LENGTHS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("", "plumb_bob", "rational_polynomial"), _PINHOLE),
    **dict.fromkeys(("equidistant", "fisheye"), _FISHEYE),
}


class CameraInfoTopic(StampedTopic):
    def __init__(self, subject: str, name: str) -> None:
        super().__init__(subject, name)
        self.distortion: Counter[str] = Counter()
        """Model and D of the infos in which D is not zero."""
        self.focal = 0.0

    def _look(self, message: Any) -> None:
        complaint = complaint_about(message)
        if complaint:
            raise SrayError(ErrorCode.BAD_CAMERA_INFO, complaint)
        count(self.sizes, (int(message.width), int(message.height)))
        self.focal = float(message.k[0])
        if np.any(message.d):
            values = ", ".join(f"{value:.3g}" for value in message.d)
            count(self.distortion, f"{message.distortion_model or 'plumb_bob'} ({values})")

    def rows(self, image_size: tuple[int, int] | None) -> list[Row]:
        if not self.count:
            return []
        rows = [ok(self.subject, f"K[0] = {self.focal:.1f} px, no distortion")] if not self.distortion else []
        if self.distortion:
            text = f"D is not zero: {listed(self.distortion, 2)}"
            rows.append(note(self.subject, text, "nothing to do: the node undistorts. If the pictures are rectified "
                             "already, set its parameter camera.rectified"))  # fmt: skip
        if image_size is not None and self.sizes and image_size not in self.sizes:
            width, height = self.size or (0, 0)
            text = f"is of a {width}x{height} picture, the image is {image_size[0]}x{image_size[1]}"
            remedy = "choose the camera_info that belongs to the image (--camera-info), or calibrate at this size"
            rows.append(problem(f"{self.subject}: size", text, remedy))
        return rows


def complaint_about(message: Any) -> str:
    """What makes the node refuse a camera_info; "" if nothing does."""
    k, d, model = np.asarray(message.k, np.float64), np.asarray(message.d, np.float64), str(message.distortion_model)
    if k[0] == 0:
        return "K[0] = 0, so the camera is uncalibrated; expected a focal length in pixels. Calibrate the camera"
    if message.width == 0 or message.height == 0:
        return f"size {message.width}x{message.height}; expected the image's size"
    if max(message.binning_x, message.binning_y) > 1 or message.roi.width not in (0, message.width):
        return "binning or a region of interest; expected whole images. Crop and scale with image_proc, or not"
    if not (np.isfinite(k).all() and k[0] > 0 and k[4] > 0 and abs(k[8] - 1) < 1e-6):
        return f"K = {np.round(k, 3).tolist()}; expected finite values and focal lengths above 0"
    if not np.any(d):
        return ""
    if model not in _LENGTHS:
        return f"distortion model {model[:40]!r}; expected {', '.join(name for name in _LENGTHS if name)}"
    if not np.isfinite(d).all():
        return "D has values that are not finite"
    if len(d) not in _LENGTHS[model]:
        return f"{len(d)} values in D; expected {' or '.join(map(str, _LENGTHS[model]))} for {model or 'plumb_bob'}"
    return ""
