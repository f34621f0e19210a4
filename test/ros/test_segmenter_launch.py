"""`ros2 launch ... segmenter:=<model>`: its labels reach the mapper, and a recording's own stay the truth."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PlaneScene
from rig.launches import launching, parameters
from rig.listener import Listener
from rig.segmenter import sharp_model

from sray.checkpoint import save_checkpoint
from sray.label_space import ROOMS
from sray.model import SemanticRay, SemanticRayConfig
from sray.segmentation.mapping import FOLDER
from sray.sequence_writer import SequenceWriter
from sray_interfaces.srv import ListKeyframes

pytestmark = pytest.mark.ros


@pytest.fixture
def launched(listener: Listener, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    with launching(listener, tmp_path / "launch.log") as start:
        yield start


def listeners(listener: Listener, topic: str) -> set[str]:
    return {info.node_name for info in listener.node.get_subscriptions_info_by_topic(topic)}


@pytest.mark.slow
@pytest.mark.shows(
    "launch segmenter", "launch segmenter_mapping", "launch segmenter_threshold", "launch labels", "launch score",
    "segmenter",
)  # fmt: skip
def test_the_mapper_has_the_segmenters_labels_and_the_score_the_recordings(
    listener: Listener, launched: Callable[..., Any], tmp_path: Path, plane_scene: PlaneScene
) -> None:
    writer = SequenceWriter(tmp_path / "room")
    for number, frame in enumerate(plane_scene.ring(3)):
        writer.add(number, frame)
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "rooms.safetensors", SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS)
    file = tmp_path / "mine.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    keyframes.min_translation: 0.0\n    keyframes.min_sharpness: 0.0\n"
        "    trigger: request\n"
    )
    mapping = Path(shutil.copy(FOLDER / "ade20k.yaml", tmp_path / "own.yaml"))
    launched(
        namespace="robot", params_file=file, model=tmp_path / "rooms.safetensors", device="cpu",
        sequence=tmp_path / "room", loop="true", score="true", segmenter=sharp_model(tmp_path / "segformer"),
        segmenter_mapping=mapping, segmenter_threshold=0.3,
    )  # fmt: skip
    names = ("model", "mapping", "threshold", "device", "label_space", "use_sim_time", "queue_size")
    expected = [str(tmp_path / "segformer"), str(mapping), 0.3, "cpu", "", True, 64]
    assert parameters(listener, "/robot/segmenter", *names) == expected

    def labeled() -> bool:
        request, name = ListKeyframes.Request(), "/robot/semantic_mapper/list_keyframes"
        return any(keyframe.has_labels for keyframe in listener.ask(ListKeyframes, name, request).keyframes)

    assert listener.until(labeled, 60), (tmp_path / "launch.log").read_text()
    assert listeners(listener, "/robot/semantic_mapper/keyframe/image") == {"segmenter"}
    assert listeners(listener, "/robot/segmenter/labels") == {"semantic_mapper"}
    assert listeners(listener, "/robot/labels") == {"label_scorer"}
    assert listener.node.count_publishers("/robot/labels") == 1


@pytest.mark.slow
@pytest.mark.fault("`segmenter:=` names a model that cannot be had", code="none",
                   says="launch's output: the model; and that mapping goes on",
                   recovery="launch again with a good one")  # fmt: skip
@pytest.mark.shows("launch segmenter")
def test_without_its_segmenter_the_mapping_goes_on(
    listener: Listener, launched: Callable[..., Any], tmp_path: Path, model_file: Path
) -> None:
    launched(model=model_file, segmenter=tmp_path / "nothing", autostart="false")
    log = tmp_path / "launch.log"
    words = "the segmenter has ended: its last message says why. Mapping goes on without its labels"
    assert listener.until(lambda: words in log.read_text(), 60), log.read_text()
    assert f"model is '{tmp_path / 'nothing'}': " in log.read_text()
    assert parameters(listener, "/semantic_mapper", "map_frame") == ["map"]


@pytest.mark.fault("`labels:=` gives a segmenter the topic of a recording's own labels", code="none",
                   says="launch's output: the topic; nothing is started",
                   recovery="another topic, or none typed")  # fmt: skip
@pytest.mark.shows("launch labels")
def test_labels_of_two_sources_are_not_mixed(launched: Callable[..., Any], tmp_path: Path) -> None:
    launch = launched(segmenter="any", sequence=tmp_path, labels="labels")
    assert launch.wait(60) != 0
    words = "labels:=labels has the recording's labels; expected another topic for segmenter:="
    assert words in (tmp_path / "launch.log").read_text()
