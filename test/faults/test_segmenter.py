"""The segmenter and what goes wrong: it says so by name, and goes on as soon as it can."""

from __future__ import annotations

import array
import shutil
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig.listener import Listener
from rig.segmenter import SegmenterProcess, broken_segmenter, expected, picture, sharp_model
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sray.errors import SrayError
from sray.label_space import ROOMS, SCANNET20, LabelSpace
from sray_ros.common.conversions import image_message
from sray_ros.common.parameters import snapshot
from sray_ros.segmenter.parameters import SegmenterSettings
from sray_ros.segmenter.worker import SegmentingWork

pytestmark = pytest.mark.ros
WARN, OK = DiagnosticStatus.WARN, DiagnosticStatus.OK


def working(**values: Any) -> SegmentingWork:
    """The worker's part of a node with these parameters."""
    return SegmentingWork(SimpleNamespace(now=snapshot(SegmenterSettings, values)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sharp_model(tmp_path_factory.mktemp("segformer"))


@pytest.fixture(scope="module")
def segmenter(folder: Path) -> Iterator[SegmenterProcess]:
    """One process for the module, which loses patience after one second instead of five."""
    with broken_segmenter(folder, silence=1.0, label_space="") as process:
        process.name_classes(ROOMS)
        assert process.fact("label space", "rooms") == "rooms"
        yield process


def works(segmenter: SegmenterProcess, folder: Path, stamp_ns: int) -> bool:
    """The recovery: a good picture has its labels."""
    return bool(np.array_equal(segmenter.labeled(picture(1), stamp_ns), expected(folder, picture(1))))


@pytest.mark.fault("a segmenter without `model`, or one that no folder and no hub has", code="none",
                   says="standard error: the parameter, its value, what was expected; exit status 1",
                   recovery="start it again with a good one; in a launch the mapping goes on without")  # fmt: skip
@pytest.mark.shows("segmenter model", "segmenter label_space")
def test_what_cannot_be_had_ends_the_node_in_one_line(listener: Listener, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    wrong: list[tuple[dict[str, object], str]] = [
        ({}, "model is ''; expected the folder, or the id on a hub"),
        (
            {"model": missing, "label_space": "kitchen"},
            "label_space is 'kitchen'; expected one of '', rooms, indoor, scannet20",
        ),
        ({"model": missing}, f"model is '{missing}': {missing} is no folder, and a hub does not give it"),
    ]
    started = [(listener.start("sray_ros.segmenter.node", **given), words) for given, words in wrong]
    for process, words in started:
        status, output = listener.finish(process)
        lines = [line for line in output.splitlines() if line.startswith("segmenter cannot start: ")]
        assert status == 1 and len(lines) == 1 and words in lines[0], output
        assert "Traceback" not in output


@pytest.mark.fault("a segmenter's weights are damaged or pickled", code="none",
                   says="standard error: the folder; exit status 1", recovery="copy them again")  # fmt: skip
@pytest.mark.fault("a `mapping` that does not exist, or of another dataset than the model's", code="none",
                   says="standard error: the file, the classes it lacks; exit status 1",
                   recovery="start it again with the right one")  # fmt: skip
@pytest.mark.fault("a segmenter's device that this machine does not have", code="none",
                   says="standard error: the device, and which are known; exit status 1",
                   recovery="start it again with another one")  # fmt: skip
@pytest.mark.shows("segmenter model", "segmenter mapping", "segmenter device")
def test_what_cannot_be_loaded_is_named_by_its_parameter(folder: Path, tmp_path: Path) -> None:
    damaged, pickled = (Path(shutil.copytree(folder, tmp_path / name)) for name in ("damaged", "pickled"))
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    own = tmp_path / "own.yaml"
    own.write_text("classes: [floor, wall, sky, chair]\nto:\n  stripes:\n    red: [wall]\n")
    good = {
        "model": str(folder),
        "mapping": "ade20k",
        "label_space": "",
        "device": "cpu",
        "threads": 0,
        "threshold": 0.5,
    }
    for name, value, words in (
        ("model", str(damaged), f"model is '{damaged}': {damaged} "),
        ("model", str(pickled), f"model is '{pickled}': {pickled} holds pickled weights only"),
        ("mapping", "ade", "mapping is 'ade': ade does not exist; expected one of ade20k"),
        ("mapping", str(own), f"mapping is '{own}': {own} line 3 maps to stripes"),
        ("mapping", "voc", "mapping is 'voc': the model has 3 classes of 4 that"),
        ("device", "cuda:77", "device is 'cuda:77', which torch cannot use here"),
    ):
        with pytest.raises(SrayError) as error:
            working(**{**good, name: value}).load()
        assert words in str(error.value)
    rooms_only = tmp_path / "rooms.yaml"
    rooms_only.write_text("classes: [floor, wall, sky, chair]\nto:\n  rooms:\n    wall: [wall]\n")
    for wanted, words in (
        ("rooms", "label_space is 'rooms', and the mapper's label/info names the classes of scannet20 (wall, floor, "),
        ("", f"{rooms_only} line 3 maps to rooms; expected label space scannet20 among them"),
    ):
        work = working(**{**good, "mapping": str(rooms_only), "label_space": wanted})
        work.load()
        work.hear(SCANNET20.names)
        with pytest.raises(SrayError) as error:
            _ = work.segmenter
        assert words in str(error.value)
        depths = []
        for _ in range(2):  # it is asked ten times a second: what is raised again must not grow
            with pytest.raises(SrayError) as error:
                _ = work.segmenter
            depths.append(len(traceback.extract_tb(error.value.__traceback__)))
        assert depths[0] == depths[1]
        work.hear(ROOMS.names)
        assert work.segmenter is not None and work.segmenter.label_space == ROOMS


def said(segmenter: SegmenterProcess, words: str) -> bool:
    """Whether its diagnostics say so from now on."""
    del segmenter.diagnostics[:]
    statuses = lambda: [status for array_ in segmenter.diagnostics for status in array_.status]  # noqa: E731
    return segmenter.listener.until(lambda: any(words in status.message for status in statuses()), 10)


def unknown_encoding(image: Image) -> None:
    image.encoding = "infrared9"


def cut_short(image: Image) -> None:
    image.data = image.data[:100]


def without_pixels(image: Image) -> None:
    image.width = image.height = image.step = 0
    image.data = array.array("B")


@pytest.mark.fault("a picture for the segmenter that cannot be read", code="BAD_ENCODING",
                   says="log and diagnostics, with what was found", recovery="the next good picture")  # fmt: skip
@pytest.mark.shows("segmenter image")
def test_a_bad_picture_is_refused_by_name_and_the_next_one_has_labels(
    segmenter: SegmenterProcess, folder: Path
) -> None:
    for number, (spoil, words) in enumerate(
        (
            (unknown_encoding, "BAD_ENCODING: an image with encoding 'infrared9'"),
            (cut_short, "BAD_ENCODING: an image with encoding 'rgb8'"),
            (without_pixels, "BAD_ENCODING: an image has 0x0 pixels"),
        )
    ):
        message = image_message(Header(frame_id="x"), picture(1), "rgb8")
        spoil(message)
        segmenter.image.publish(message)
        assert said(segmenter, words)
        assert works(segmenter, folder, 10 + number)
    assert "BAD_ENCODING: an image with encoding 'infrared9'" in segmenter.lines


@pytest.mark.fault("no memory for a picture in the segmenter", code="OUT_OF_MEMORY",
                   says="log and diagnostics: the picture's size", recovery="by itself; smaller pictures")  # fmt: skip
@pytest.mark.fault("a bug in the segmenter's network", code="INTERNAL", says="log (with traceback) and diagnostics",
                   recovery="the next picture")  # fmt: skip
@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("torch's memory", "OUT_OF_MEMORY: there was not enough memory to label a picture of 50x36"),
        ("bug", "INTERNAL: KeyError('a key that nobody set')"),
        ("python's memory", "OUT_OF_MEMORY: there was not enough memory to label a picture of 50x36"),
    ],
)
def test_what_breaks_while_labeling_costs_its_picture_only(
    segmenter: SegmenterProcess, folder: Path, way: str, words: str
) -> None:
    segmenter.broken.write_text(f"segment: {way}")
    try:
        del segmenter.rosout[:]
        segmenter.send(picture(1), 20)
        assert segmenter.says(words), segmenter.lines
    finally:
        segmenter.broken.unlink()
    assert works(segmenter, folder, 21)


@pytest.mark.fault("nothing publishes the segmenter's `image`, or it stops", code="none",
                   says="log and diagnostics within 5 s: the topic, since when",
                   recovery="as soon as it goes on")  # fmt: skip
@pytest.mark.shows("segmenter /diagnostics")
def test_a_camera_that_stops_is_named(segmenter: SegmenterProcess, folder: Path) -> None:
    assert works(segmenter, folder, 30)
    del segmenter.rosout[:]
    assert segmenter.says("no picture has come on /image since its last", OK), segmenter.lines
    assert works(segmenter, folder, 31)


@pytest.mark.fault("the mapper's classes are no known label space, or not those of `label_space`",
                   code="MODEL_MISMATCH", says="log and diagnostics: the classes and the known label spaces",
                   recovery="as soon as the mapper names known ones: load another model")  # fmt: skip
@pytest.mark.shows("segmenter label/info")
def test_classes_that_cannot_be_labeled_are_named_until_the_mapper_names_others(
    segmenter: SegmenterProcess, folder: Path
) -> None:
    red = LabelSpace("stripes", ("red", "green"), ((1, 2, 3), (4, 5, 6)), (1, 2))
    del segmenter.rosout[:]
    segmenter.name_classes(red)
    words = "MODEL_MISMATCH: the mapper's label/info names 2 classes (red, green); expected those of one of rooms, "
    assert segmenter.says(words, WARN), segmenter.lines
    segmenter.send(picture(1), 40)
    segmenter.listener.until(lambda: False, 0.5)  # on another topic: what is said next may overtake it
    segmenter.name_classes(ROOMS)
    assert segmenter.fact("label space", "rooms") == "rooms"
    assert works(segmenter, folder, 41)
    assert 40 not in segmenter.stamps


@pytest.mark.fault("the segmenter is to label in the mapper's classes, and no mapper names them", code="none",
                   says="log and diagnostics within 5 s: the topic", recovery="as soon as it does")  # fmt: skip
@pytest.mark.fault("a best-effort camera, and the segmenter forced to reliable delivery", code="none",
                   says="log and diagnostics within 5 s: offered and requested QoS",
                   recovery="qos_overrides.reliability auto, start it again")  # fmt: skip
@pytest.mark.shows("segmenter label/info", "segmenter qos_overrides.reliability")
def test_what_is_missing_is_named_one_after_the_other(folder: Path) -> None:
    forced = {"qos_overrides.reliability": "reliable"}
    with broken_segmenter(folder, silence=1.0, label_space="", **forced) as segmenter:
        words = "label_space is empty, and /label/info names no classes"
        assert segmenter.says(words, WARN), segmenter.lines
        segmenter.name_classes(SCANNET20)
        assert segmenter.says("/image has a publisher (offered QoS reliable, requested reliable) but no", WARN)
        node = segmenter.listener.node
        node.destroy_publisher(segmenter.image)
        assert said(segmenter, "nothing publishes /image: start the camera, or remap the topic")
        best_effort = node.create_publisher(
            Image, "image", QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        )
        words = "/image: offered QoS is best_effort, requested is reliable; set qos_overrides.reliability to auto"
        assert said(segmenter, words)
        node.destroy_publisher(best_effort)
        segmenter.image = node.create_publisher(Image, "image", 10)
        assert segmenter.listener.until(segmenter.image.get_subscription_count)
        labels = segmenter.labeled(picture(1), 50)
        np.testing.assert_array_equal(labels, expected(folder, picture(1), SCANNET20))
        segmenter.stop_listening()
        for number in range(8):  # the camera goes on
            segmenter.send(picture(1), 60 + number)
            segmenter.listener.until(lambda: False, 0.3)
        assert "nobody listens to the labels, so none are made" in segmenter.lines
        assert segmenter.facts["pictures labeled"] == "1"


@pytest.mark.fault("a camera of the segmenter that offers best effort only", code="none",
                   says="log: it subscribes so", recovery="by itself (qos_overrides.reliability auto)")  # fmt: skip
@pytest.mark.shows("segmenter qos_overrides.reliability")
def test_a_best_effort_camera_is_heard_too(segmenter: SegmenterProcess, folder: Path) -> None:
    node, reliable = segmenter.listener.node, segmenter.image
    segmenter.image = node.create_publisher(
        Image, "image", QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    node.destroy_publisher(reliable)
    assert segmenter.listener.until(segmenter.image.get_subscription_count)
    assert works(segmenter, folder, 70)


@pytest.mark.fault("SIGINT or SIGTERM while the segmenter loads its model, or labels", code="none",
                   says="exit status 0 within 3 s", recovery="start it again")  # fmt: skip
@pytest.mark.shows("segmenter")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("doing", ["loading", "labeling"])
def test_a_signal_ends_it_soon(folder: Path, sign: signal.Signals, doing: str) -> None:
    with broken_segmenter(folder, hears=doing != "loading") as segmenter:
        if doing == "loading":
            assert segmenter.listener.until(lambda: segmenter.listener.node.count_publishers("labels"))
            segmenter.listener.until(lambda: False, 0.5)
        else:
            segmenter.broken.write_text("segment: stuck")
            segmenter.send(picture(1), 1)
            segmenter.listener.until(lambda: False, 0.5)
        segmenter.listener.end(segmenter.process, sign, within=3.0)
