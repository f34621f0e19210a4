"""The segmenter as a process of its own: its labels are the library's bit for bit, and the mapper learns from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from rig.listener import Listener, listening
from rig.mapper import MapperProcess
from rig.segmenter import THRESHOLD, SegmenterProcess, expected, picture, sharp_model
from rig.views import SETTINGS as EXACT
from sensor_msgs.msg import CompressedImage

from sray.checkpoint import save_checkpoint
from sray.label_space import ROOMS, SCANNET20
from sray.mapping.session import Session
from sray.model import SemanticRay, SemanticRayConfig
from sray_interfaces.srv import SaveSession

pytestmark = pytest.mark.ros
SECOND = 10**9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sharp_model(tmp_path_factory.mktemp("segformer"))


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[SegmenterProcess]:
    """One process for the module."""
    with listening() as listener:
        yield SegmenterProcess(listener, model=folder, mapping="ade20k")


@pytest.fixture
def segmenter(running: SegmenterProcess) -> SegmenterProcess:
    """With its parameters as started, nothing heard yet."""
    assert running.set(threshold=THRESHOLD, max_rate=0.0) == ""
    del running.labels[:]
    return running


@pytest.mark.shows(
    "segmenter", "segmenter image", "segmenter labels", "segmenter labels/info", "segmenter model", "segmenter mapping",
    "segmenter label_space", "segmenter device",
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_labels_are_the_librarys_bit_for_bit_with_the_pictures_stamp_and_frame(
    segmenter: SegmenterProcess, folder: Path, encoding: str
) -> None:
    for seed in (1, 2):
        labels = segmenter.labeled(picture(seed), seed * SECOND + 7, encoding)
        np.testing.assert_array_equal(labels, expected(folder, picture(seed)))
    assert segmenter.stamps == [SECOND + 7, 2 * SECOND + 7]
    told = {entry.class_id: entry.class_name for entry in segmenter.info[-1].class_map}
    assert told == dict(enumerate(ROOMS.names)) | {255: "UNLABELED"}
    assert segmenter.info[-1].threshold == np.float32(THRESHOLD)


@pytest.mark.shows("segmenter threshold")
def test_another_threshold_applies_to_the_next_picture(segmenter: SegmenterProcess, folder: Path) -> None:
    before = segmenter.labeled(picture(1), SECOND)
    assert segmenter.set(threshold=0.55) == ""
    after = segmenter.labeled(picture(1), 2 * SECOND)
    np.testing.assert_array_equal(after, expected(folder, picture(1), threshold=0.55))
    assert (after == 255).sum() > (before == 255).sum()
    assert segmenter.listener.until(lambda: segmenter.info[-1].threshold == np.float32(0.55))


@pytest.mark.shows("segmenter threshold", "segmenter max_rate", "segmenter model")
def test_nonsense_is_refused_by_name_and_what_is_fixed_stays(segmenter: SegmenterProcess, folder: Path) -> None:
    assert "threshold" in segmenter.set(threshold=1.5)
    assert "max_rate" in segmenter.set(max_rate=-1.0)
    for name in ("model", "mapping", "label_space", "device", "image_transport"):
        assert name in segmenter.set(**{name: "x"}), name
    np.testing.assert_array_equal(segmenter.labeled(picture(1), SECOND), expected(folder, picture(1)))


@pytest.mark.shows("segmenter max_rate")
def test_of_a_flood_the_first_and_the_newest_are_labeled(segmenter: SegmenterProcess, folder: Path) -> None:
    displaced = int(segmenter.fact("pictures displaced") or "")
    assert segmenter.set(max_rate=0.5) == ""
    segmenter.labeled(picture(1), SECOND)
    for number in range(2, 12):
        segmenter.send(picture(number), number * SECOND)
        segmenter.listener.until(lambda: False, 0.05)  # DDS itself keeps but five
    newest = segmenter.answer(11 * SECOND)
    np.testing.assert_array_equal(newest, expected(folder, picture(11)))
    assert segmenter.stamps == [SECOND, 11 * SECOND]
    assert segmenter.fact("pictures displaced", str(displaced + 9)) == str(displaced + 9)


@pytest.mark.shows("segmenter queue_size")
def test_with_room_to_wait_every_picture_is_labeled_in_turn(folder: Path) -> None:
    with listening() as listener:
        segmenter = SegmenterProcess(listener, model=folder, mapping="ade20k", queue_size=8)
        assert segmenter.set(max_rate=4.0) == ""
        for number in range(1, 7):
            segmenter.send(picture(number), number * SECOND)
            listener.until(lambda: False, 0.05)
        segmenter.answer(6 * SECOND)
        assert segmenter.stamps == [number * SECOND for number in range(1, 7)]


@pytest.mark.shows("segmenter labels", "segmenter /diagnostics")
def test_nothing_is_computed_while_nobody_listens(segmenter: SegmenterProcess, folder: Path) -> None:
    assert segmenter.fact("pictures labeled")
    done, ignored = (int(segmenter.facts[f"pictures {what}"]) for what in ("labeled", "ignored"))
    segmenter.stop_listening()
    node = segmenter.listener.node
    assert segmenter.listener.until(lambda: node.count_subscribers("labels") == 0)
    segmenter.listener.meet("/segmenter")
    for number in range(5):
        segmenter.send(picture(number), number)
    assert segmenter.fact("pictures ignored", str(ignored + 5)) == str(ignored + 5)
    assert segmenter.facts["pictures labeled"] == str(done)
    segmenter.listen()
    segmenter.listener.meet("/segmenter")
    np.testing.assert_array_equal(segmenter.labeled(picture(1), SECOND), expected(folder, picture(1)))


@pytest.mark.shows("segmenter /diagnostics")
def test_diagnostics_tell_what_was_done(segmenter: SegmenterProcess, folder: Path) -> None:
    done = int(segmenter.fact("pictures labeled") or "")
    labels = segmenter.labeled(picture(2), SECOND)
    assert segmenter.fact("pictures labeled", str(done + 1)) == str(done + 1)
    facts = segmenter.facts
    assert facts["coverage of the last"] == f"{(labels != 255).mean():.3f}"
    assert 0 < float(facts["seconds per picture (median)"]) <= float(facts["latency seconds (median)"])
    assert float(facts["pictures per second"]) > 0
    assert (facts["label space"], facts["device"], facts["threshold"]) == ("rooms", "cpu", str(THRESHOLD))
    assert facts["model sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:12]
    assert {status.name for array in segmenter.diagnostics for status in array.status} == {
        "segmenter: output", "segmenter: work"
    }  # fmt: skip


@pytest.mark.shows(
    "segmenter image/compressed", "segmenter label/info", "segmenter image_transport", "segmenter threads",
    "segmenter label_space",
)  # fmt: skip
def test_compressed_pictures_are_labeled_in_the_classes_that_the_mapper_names(listener: Listener, folder: Path) -> None:
    segmenter = SegmenterProcess(
        listener, "-r", "image:=/front/image", model=folder, label_space="", image_transport="compressed", threads=1,
        hears=False,
    )  # fmt: skip
    listener.node.destroy_publisher(segmenter.compressed)
    segmenter.compressed = listener.node.create_publisher(CompressedImage, "/front/image/compressed", 10)
    assert listener.until(segmenter.is_matched)
    segmenter.send_png(picture(1), 1)
    assert segmenter.fact("pictures ignored", "1") == "1", "no label space is known yet"
    for number, space in enumerate((SCANNET20, ROOMS), 2):
        segmenter.name_classes(space)
        assert segmenter.fact("label space", space.name) == space.name
        segmenter.send_png(picture(1), number)
        np.testing.assert_array_equal(segmenter.answer(number), expected(folder, picture(1), space))
    assert segmenter.stamps == [2, 3]


@pytest.mark.shows("segmenter labels", "segmenter label/info", "labels")
def test_the_mapper_learns_from_the_labels(
    listener: Listener, folder: Path, tmp_path: Path, plane_scene: PlaneScene
) -> None:
    torch.manual_seed(0)
    model = tmp_path / "rooms.safetensors"
    save_checkpoint(model, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    segmenter = SegmenterProcess(
        listener, "-r", "label/info:=/semantic_mapper/label/info", model=folder, label_space="", hears=False
    )
    settings = {"model.path": model, "data_dir": tmp_path, "keyframes.min_translation": 0.0, "trigger": "request"}
    mapper = MapperProcess(listener, **settings, **EXACT)
    assert mapper.configure() and mapper.activate()
    assert segmenter.fact("label space", "rooms", 30) == "rooms"
    assert listener.until(lambda: listener.node.count_subscribers("image") == 2)
    pictures = {}
    for number, frame in enumerate(plane_scene.ring(3)):
        stamp_ns = (100 + number) * SECOND
        pictures[stamp_ns] = frame.image.numpy()
        mapper.send(replace(frame, depth=None), 100.0 + number)
        mapper.wait_handled(100.0 + number)  # else the log says why it became no keyframe
        assert listener.until(lambda at=stamp_ns: at in segmenter.stamps)
    assert listener.until(lambda: [k.has_labels for k in mapper.keyframes()] == [True] * 3)
    saved = mapper.service(SaveSession, "save_session", SaveSession.Request(file="labeled"))
    assert saved.error_code == 0, saved.error_text
    for _, held in Session.load(tmp_path / "labeled.safetensors").keyframes:
        assert held.labels is not None
        alone = expected(folder, pictures[held.stamp_ns])
        np.testing.assert_array_equal(held.labels.numpy(), alone)
