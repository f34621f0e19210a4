"""rosbag2 without ROS: scenes written as bags (`writing`), anybody's bags checked for what the node needs (`check`)."""

from sray_train.tools.bags.names import OPTICAL_IN_BODY, BagLayout
from sray_train.tools.bags.writing import BagEncoding, BagSummary, write_bag

__all__ = ["OPTICAL_IN_BODY", "BagEncoding", "BagLayout", "BagSummary", "write_bag"]
