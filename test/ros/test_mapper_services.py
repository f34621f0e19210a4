"""Sessions, models and maps through the node's services: what comes back is what went in, bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from geometry_msgs.msg import PoseArray
from lifecycle_msgs.msg import Transition
from rig.mapper import MapperProcess, checkpoint, image_of, seconds_of
from rig.views import LATCHED, keyframes
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from sray.frames import Frame
from sray.mapping.session import Session
from sray_interfaces.action import RenderView
from sray_interfaces.srv import ListKeyframes, LoadModel, LoadSession, SaveMap, SaveSession
from sray_ros.common.conversions import image_message
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {
    "keyframes.min_sharpness": 0.0,
    "render.min_opacity": 0.0,
    "render.quality": "fast",
    "cloud.stride": 1,
    "cloud.max_jump": 1e6,
    "near": 0.5,
    "far": 4.0,
}


def view(mapper: MapperProcess, x: float = 0.05) -> RenderView.Result:
    """A view of its own, from whatever keyframes there are."""
    goal = RenderView.Goal(want_label=True, want_confidence=True, want_depth=True)
    goal.viewpoint.header.frame_id = "map"
    goal.viewpoint.pose.position.x = x
    result = mapper.answer(mapper.ask(goal)).result
    assert ErrorCode(result.error_code) is ErrorCode.OK, result.error_text
    return result


def pictures(result: RenderView.Result) -> list[bytes]:
    return [bytes(picture.data) for picture in (result.label, result.confidence, result.depth)]


@pytest.mark.shows("~/save_session", "~/load_session", "data_dir")
def test_a_session_in_a_new_process_gives_the_same_labels_byte_for_byte(
    mapper: MapperProcess, frames: list[Frame], listener: Any, model_file: Path, data_dir: Path
) -> None:
    mapper.send_in_lockstep(frames)
    saved = mapper.service(SaveSession, "save_session", SaveSession.Request(file="walks/ring"))
    assert (ErrorCode(saved.error_code), saved.keyframes) == (ErrorCode.OK, 5)
    assert saved.path == str(data_dir / "walks" / "ring.safetensors")
    assert saved.bytes == Path(saved.path).stat().st_size
    before = view(mapper)

    other = MapperProcess(listener, **{"model.path": model_file, "data_dir": data_dir}, **SETTINGS)
    assert other.configure()
    assert other.activate()
    loaded = other.service(LoadSession, "load_session", LoadSession.Request(file="walks/ring"))
    assert (ErrorCode(loaded.error_code), loaded.keyframes) == (ErrorCode.OK, 5), loaded.error_text
    assert loaded.session_model_id == loaded.model_id == before.model_id
    # No image was sent: the view's camera is the session's too.
    after = view(other)
    assert pictures(after) == pictures(before)
    assert list(after.keyframe_ids) == list(before.keyframe_ids)
    ours, theirs = keyframes(mapper), keyframes(other)
    assert ours.keyframes == theirs.keyframes
    # ... and the map: saved by both, the files are the same.
    for process, name in ((mapper, "ours"), (other, "theirs")):
        assert process.service(SaveMap, "save_map", SaveMap.Request(file=name)).points > 0
    assert (data_dir / "ours.ply").read_bytes() == (data_dir / "theirs.ply").read_bytes()


@pytest.mark.shows("~/list_keyframes")
def test_the_list_of_keyframes_is_what_was_sent(mapper: MapperProcess, frames: list[Frame]) -> None:
    seconds = mapper.send_in_lockstep(frames[:3], 300.0)
    listed = keyframes(mapper)
    assert [seconds_of(keyframe.stamp) for keyframe in listed.keyframes] == seconds
    assert listed.map_frame == "map"
    for keyframe, frame in zip(listed.keyframes, frames, strict=False):
        position = keyframe.pose.position
        assert np.allclose([position.x, position.y, position.z], frame.camera.world_from_camera[:3, 3], atol=1e-6)
        assert (keyframe.width, keyframe.height, keyframe.has_labels) == (48, 36, False)


@pytest.mark.fault("~/load_model with a checkpoint that is cut short or not there", code="BAD_FILE",
                   says="the service's answer: the file", recovery="the old model goes on; load another")  # fmt: skip
@pytest.mark.fault("~/load_model with a model of another label space", code="MODEL_MISMATCH",
                   says="the service's answer: both label spaces",
                   recovery="the old model goes on; model.path and configure anew change the label space")  # fmt: skip
@pytest.mark.shows("~/load_model", "error MODEL_MISMATCH", "error BAD_FILE")
def test_another_model_renders_from_the_same_keyframes_and_the_first_one_comes_back(
    mapper: MapperProcess, frames: list[Frame], model_file: Path, data_dir: Path
) -> None:
    other = checkpoint(data_dir / "other.safetensors", seed=1)
    (data_dir / "cut.safetensors").write_bytes(other.read_bytes()[:-500])
    checkpoint(data_dir / "four.safetensors", classes=4)
    mapper.send_in_lockstep(frames)
    before = view(mapper)

    def load(name: str) -> LoadModel.Response:
        return mapper.service(LoadModel, "load_model", LoadModel.Request(file=name))

    for name, code in (
        ("cut", ErrorCode.BAD_FILE),
        ("absent", ErrorCode.BAD_FILE),
        ("../four", ErrorCode.BAD_FILE),
        ("four", ErrorCode.MODEL_MISMATCH),
    ):
        refused = load(name)
        assert ErrorCode(refused.error_code) is code, refused.error_text
        assert pictures(view(mapper)) == pictures(before)  # the old model goes on
    loaded = load("other")
    assert (ErrorCode(loaded.error_code), loaded.previous_model_id) == (ErrorCode.OK, before.model_id)
    after = view(mapper)
    assert after.model_id == loaded.model_id != before.model_id
    assert pictures(after) != pictures(before)
    assert list(after.keyframe_ids) == list(before.keyframe_ids)
    assert load("").model_id == before.model_id  # the one it was configured with
    assert pictures(view(mapper)) == pictures(before)


@pytest.mark.fault("nothing to save yet", code="NO_KEYFRAMES", says="the service's answer",
                   recovery="move the camera, then save; the older file is kept")  # fmt: skip
@pytest.mark.shows("~/load_session", "~/keyframes")
def test_a_loaded_session_brings_its_own_poses(mapper: MapperProcess, frames: list[Frame]) -> None:
    heard = mapper.hear(PoseArray, "/semantic_mapper/keyframes", LATCHED)

    def places() -> list[float]:
        return [round(pose.position.x, 4) for pose in heard[-1].poses] if heard else []

    mapper.send_in_lockstep(frames[:2])
    assert mapper.service(SaveSession, "save_session", SaveSession.Request(file="first")).error_code == 0
    saved = [round(float(frame.camera.center[0]), 4) for frame in frames[:2]]
    assert mapper.listener.until(lambda: places() == saved)
    mapper.start_over()
    mapper.send_in_lockstep(frames[2:4], 200.0)  # the same numbers, elsewhere
    others = [round(float(frame.camera.center[0]), 4) for frame in frames[2:4]]
    assert others != saved
    assert mapper.listener.until(lambda: places() == others)
    assert mapper.service(LoadSession, "load_session", LoadSession.Request(file="first")).error_code == 0
    assert mapper.listener.until(lambda: places() == saved), places()


@pytest.mark.fault("a session is to be saved under the name of a model", code="BAD_FILE", says="the service's answer",
                   recovery="the model is kept; save under another name")  # fmt: skip
def test_a_session_does_not_replace_a_model(mapper: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    model = checkpoint(data_dir / "my_model.safetensors").read_bytes()
    mapper.send_in_lockstep(frames[:2])
    refused = mapper.service(SaveSession, "save_session", SaveSession.Request(file="my_model"))
    assert ErrorCode(refused.error_code) is ErrorCode.BAD_FILE
    assert "is no session, perhaps a model" in refused.error_text
    assert (data_dir / "my_model.safetensors").read_bytes() == model
    for _ in range(2):  # a session may be replaced
        assert mapper.service(SaveSession, "save_session", SaveSession.Request(file="mine")).error_code == 0


def test_names_that_cannot_be_are_refused_when_they_are_set(mapper: MapperProcess) -> None:
    assert "map_frame is ''; expected the name of a frame" in mapper.set(map_frame="")
    assert "session.autosave is '../x'; expected a name inside data_dir" in mapper.set(session__autosave="../x")


@pytest.mark.shows("~/save_map", "error NO_KEYFRAMES")
def test_an_empty_map_does_not_replace_a_good_file(mapper: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    (data_dir / "good.ply").write_bytes(b"good")
    for service, request in ((SaveMap, "save_map"), (SaveSession, "save_session")):
        refused = mapper.service(service, request, service.Request(file="good"))
        assert ErrorCode(refused.error_code) is ErrorCode.NO_KEYFRAMES
    assert (data_dir / "good.ply").read_bytes() == b"good"
    mapper.send_in_lockstep(frames)
    saved = mapper.service(SaveMap, "save_map", SaveMap.Request(file="good"))
    header, _, body = (data_dir / "good.ply").read_bytes().partition(b"end_header\n")
    assert f"element vertex {saved.points}\n".encode() in header
    assert b"comment label 2 blue\n" in header
    assert len(body) == saved.points * 20  # x y z, red green blue label, confidence


CALLS = {
    "save_session": SaveSession, "load_session": LoadSession, "load_model": LoadModel,
    "list_keyframes": ListKeyframes, "save_map": SaveMap,
}  # fmt: skip


@pytest.mark.fault("a service or goal is asked of a node that is not active", code="INACTIVE",
                   says="the answer", recovery="configure and activate it")  # fmt: skip
@pytest.mark.shows("error INACTIVE", "~/save_session", "~/load_session", "~/load_model", "~/list_keyframes",
                   "~/save_map", "~/clear", "~/pause", "~/render_view")  # fmt: skip
def test_every_service_answers_in_every_state(process: MapperProcess, frames: list[Frame]) -> None:
    def answers() -> set[ErrorCode]:
        codes = {ErrorCode(process.service(kind, name, kind.Request()).error_code) for name, kind in CALLS.items()}
        cleared = process.service(Trigger, "clear", Trigger.Request())
        assert not cleared.success
        assert "INACTIVE" in cleared.message
        assert process.service(SetBool, "pause", SetBool.Request(data=False)).success
        return codes | {ErrorCode(process.answer(process.ask(RenderView.Goal())).result.error_code)}

    process.start_over()
    process.transition(Transition.TRANSITION_DEACTIVATE)
    assert answers() == {ErrorCode.INACTIVE}
    process.transition(Transition.TRANSITION_CLEANUP)
    assert answers() == {ErrorCode.INACTIVE}


@pytest.mark.shows("session.autosave")
def test_what_would_be_lost_is_saved_if_asked(mapper: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    assert mapper.set(session__autosave="before_cleanup") == ""
    mapper.send_in_lockstep(frames[:4])
    mapper.transition(Transition.TRANSITION_DEACTIVATE)
    assert not (data_dir / "before_cleanup.safetensors").exists()
    mapper.transition(Transition.TRANSITION_CLEANUP)
    kept = Session.load(data_dir / "before_cleanup.safetensors").keyframes
    assert len(kept) == 4
    assert torch.equal(kept[2][1].image, frames[2].image)
    assert mapper.set(session__autosave="") == ""


@pytest.mark.shows("views.selection")
def test_the_nearest_keyframes_may_be_preferred(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.set(views__count=2) == ""
    mapper.send_in_lockstep(frames)
    distance = [float((frame.camera.center - torch.tensor([0.05, 0, 0])).norm()) for frame in frames]
    assert mapper.set(views__selection="nearest") == ""
    first = min(range(5), key=distance.__getitem__)
    numbers = [keyframe.id for keyframe in keyframes(mapper).keyframes]
    chosen = list(view(mapper).keyframe_ids)
    assert len(chosen) == 2
    assert numbers[first] in chosen
    assert "views.selection is 'far'" in mapper.set(views__selection="far")
    assert mapper.set(views__selection="pose_score", views__count=8) == ""


def test_an_image_of_the_helper_is_what_the_node_reads(frames: list[Frame]) -> None:
    """The helper's own message and the node's are the same bytes: the tests above compare like with like."""
    ours = image_message(Header(), frames[0].image.numpy(), "rgb8")
    assert bytes(ours.data) == bytes(image_of(frames[0], Header()).data)


def test_the_client_in_the_documents_works(mapper: MapperProcess, frames: list[Frame], data_dir: Path) -> None:
    text = (REPOSITORY / "docs" / "robot.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    mapper.send_in_lockstep(frames)
    status, output = mapper.listener.finish(mapper.listener.run(sys.executable, "-c", code), 40)
    assert status == 0, output
    assert "error_code=0" in output
    assert (data_dir / "kitchen.safetensors").exists()
    assert output.splitlines()[-1].startswith("(48, 36, array('q', ["), output
