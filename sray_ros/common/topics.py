"""What a node offers on the ROS graph, as data: topics, services and actions are created and documented from it."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from tf2_msgs.msg import TFMessage


@dataclass(frozen=True)
class Topic:
    """A topic that a node publishes, or the name of an input before remapping."""

    name: str
    type: type
    text: str = ""
    depth: int = 1
    is_latched: bool = False
    """Transient local: a late subscriber gets the last message too."""
    is_auto: bool = False
    """The input takes the reliability that the publisher offers, or that qos_overrides.reliability names."""
    is_best_effort: bool = False
    """For an input: it hears publishers of either reliability, and may lose messages."""
    follows: str = ""
    """The topic that this name begins with. Remapping that one carries this one along: labels/info follows labels."""

    @property
    def qos(self) -> QoSProfile:
        """Of an `is_auto` input the reliability is replaced by what its publisher offers."""
        reliability = ReliabilityPolicy.BEST_EFFORT if self.is_best_effort else ReliabilityPolicy.RELIABLE
        durability = DurabilityPolicy.TRANSIENT_LOCAL if self.is_latched else DurabilityPolicy.VOLATILE
        return QoSProfile(depth=self.depth, reliability=reliability, durability=durability)

    def resolved(self, node: Node) -> str:
        """The full name after the node's remappings."""
        base = self.follows or self.name
        return str(node.resolve_topic_name(base)) + self.name[len(base) :]


@dataclass(frozen=True)
class Call:
    """A service or an action."""

    name: str
    type: type
    text: str


TF = Topic("/tf", TFMessage, "the camera's pose at the image's stamp, waited for tf.timeout", 100)
TF_STATIC = Topic("/tf_static", TFMessage, "the same, what never changes", 100, is_latched=True)

CALLS = QoSProfile(depth=1000)
"""QoS of services and actions: how many requests may wait to be taken. DDS drops the rest silently, and their clients
wait for ever; the usual depth of 10 is too small for two or three clients that ask again and again."""

OF_A_CAMERA = 15
"""Messages that may wait, of what a camera sends with each picture: half a second at 30 Hz, for which a node may wait
for a core that renders or another program has."""
IMAGE = Topic("image", Image, "color, any common encoding; a bad one is refused by name", OF_A_CAMERA, is_auto=True)
COMPRESSED = Topic(
    "image/compressed", CompressedImage, "instead of image: image_transport compressed", OF_A_CAMERA, is_auto=True,
    follows="image",
)  # fmt: skip
