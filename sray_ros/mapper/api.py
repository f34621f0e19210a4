"""What semantic_mapper offers on the graph: its topics, services and actions, and the texts of docs/ros_api.md."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray, PoseStamped
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import MarkerArray

from sray_interfaces.action import RenderView
from sray_interfaces.srv import ListKeyframes, LoadModel, LoadSession, SaveMap, SaveSession
from sray_ros.common.topics import COMPRESSED, IMAGE, OF_A_CAMERA, TF, TF_STATIC, Call, Topic
from sray_ros.finetune import api as finetune

CAMERA_INFO = Topic(
    "camera_info",
    CameraInfo,
    "K[0] = 0 is refused; D is undistorted, unless camera.rectified",
    OF_A_CAMERA,
    is_auto=True,
)
DEPTH = Topic("depth", Image, "optional: 32FC1 meters or 16UC1 millimeters; guides sampling", OF_A_CAMERA, is_auto=True)
LABELS = Topic(
    "labels", Image, "optional: mono8 class indices, 255 unlabeled; meet their keyframe by stamp, however late", 5,
    is_auto=True,
)  # fmt: skip
LABELS_INFO = Topic(
    "labels/info", LabelInfo, "optional: what the labels' indices mean; labels of other classes than the model's are "
    "refused; goes with labels when that is remapped", is_latched=True, follows="labels",
)  # fmt: skip
VIEWPOINT = Topic("viewpoint", PoseStamped, "pose of an optical frame, rendered for the last camera; newest wins")
SUBSCRIBED = (IMAGE, COMPRESSED, CAMERA_INFO, DEPTH, LABELS, LABELS_INFO, TF, TF_STATIC, VIEWPOINT)

OF_A_VIEW = (
    Topic("~/label/image", Image, "mono8: class index, 255 = not known; ten wait for a scorer that is busy", 10),
    Topic("~/label/camera_info", CameraInfo, "of the rendered view"),
    Topic("~/label/confidence", Image, "32FC1: probability of the chosen class"),
    Topic("~/label/color", Image, "rgb8: the label space's colors"),
    Topic("~/label/overlay", Image, "rgb8: the same, blended over the rendered color"),
    Topic("~/color/image", Image, "rgb8: rendered color"),
    Topic("~/depth/image", Image, "32FC1: meters along the optical axis, NaN = not known"),
    Topic("~/coverage", Image, "mono8: how many source views see the pixel"),
    Topic(
        "~/points",
        PointCloud2,
        "the view as points: x y z rgb label confidence; in map_frame, or far from its origin in <map_frame>_at_..._km",
    ),
)
"""Published with each rendered view; made only for topics that somebody listens to."""

OF_THE_STATE = (
    Topic("~/label/info", LabelInfo, "names and ids, 255 included; threshold: render.min_confidence", is_latched=True),
    Topic("~/legend", Image, "rgb8: colors with names", is_latched=True),
    Topic("~/map", PointCloud2, "the fused voxel map, frame and fields as ~/points", is_latched=True),
    Topic("~/keyframes", PoseArray, "what the buffer holds, body axes (RViz arrows: +x)", is_latched=True),
    Topic("~/keyframe/image", Image, "each picture that becomes a keyframe, as it came: what a segmenter labels", 64),
    Topic("~/frustums", MarkerArray, "sources and target of the last view", is_latched=True),
)
"""Published when it changes."""

DIAGNOSTICS = Topic(
    "/diagnostics", DiagnosticArray, "once a second: why nothing comes out, rates, latency, queue, refusals, memory", 10
)
HANDLED = Topic(
    "~/handled", Header, "the header of every image that is done with: what a lockstep player waits for", 10
)
VIEW_FRAME = Topic("/tf", TFMessage, "<node>_view_optical_frame: where a virtual view was rendered", 100)
CLOUD_FRAME = Topic(
    "/tf_static", TFMessage, "<map_frame>_at_X_Y_Z_km: where clouds are kept that lie beyond 500 m from map_frame's "
    "origin, as in UTM: float32 would round them. REP 105 has such an origin in a frame above map", is_latched=True
)  # fmt: skip
PUBLISHED = (*OF_A_VIEW, *OF_THE_STATE, *finetune.PUBLISHED, DIAGNOSTICS, HANDLED, VIEW_FRAME, CLOUD_FRAME)

SAVE_SESSION = Call("~/save_session", SaveSession, "keyframes, poses, depth, labels and map to a file in data_dir")
LOAD_SESSION = Call("~/load_session", LoadSession, "a saved session instead of the present keyframes and map")
LOAD_MODEL = Call("~/load_model", LoadModel, "another checkpoint of the same label space; the old one goes on if not")
LIST_KEYFRAMES = Call("~/list_keyframes", ListKeyframes, "ids, stamps, poses of what the buffer holds")
SAVE_MAP = Call("~/save_map", SaveMap, "the fused map as PLY to a file in data_dir")
CLEAR = Call("~/clear", Trigger, "forget keyframes and map")
PAUSE = Call("~/pause", SetBool, "ignore images, or take them again; requests are answered")
SERVICES = (
    SAVE_SESSION, LOAD_SESSION, LOAD_MODEL, LIST_KEYFRAMES, SAVE_MAP, *finetune.SERVICES, CLEAR, PAUSE,
)  # fmt: skip

RENDER_VIEW = Call("~/render_view", RenderView, "the view from a pose: images, cloud, sources; feedback and canceling")
ACTIONS = (RENDER_VIEW, finetune.FINE_TUNE)
