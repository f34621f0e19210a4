"""Stand-in for the official cv_bridge (Python): sensor_msgs images to NumPy arrays and back.

Only the subset this project uses; see ros_standins/README.md.
"""

from cv_bridge.core import CvBridge, CvBridgeError

STANDIN = True
"""The official package has no such name: getattr(cv_bridge, "STANDIN", False) tells which of the two runs."""

__all__ = ["STANDIN", "CvBridge", "CvBridgeError"]
