"""Fine-tuning that goes wrong: the mapping goes on, the old model stays, the error says why, the next job runs."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import PlaneScene
from lifecycle_msgs.msg import Transition
from rig.fine_tuning import ABORTED, TUNING_SETTINGS, FineTuneClient, jobs_left
from rig.listener import listening
from rig.mapper import MapperProcess, checkpoint
from ros_processes import is_running
from small_disk import mounted
from std_srvs.srv import Trigger

from sray.errors import CanceledError, NoViewsError
from sray.frames import Frame
from sray.mapping.adaptation import AdaptationConfig
from sray_interfaces.msg import FineTuneStatus
from sray_interfaces.srv import LoadModel
from sray_ros.common.data_folder import DataFolder
from sray_ros.common.error_codes import ErrorCode
from sray_ros.common.health import Health
from sray_ros.finetune.job import FinetuneJob, Request, _clear_away

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = TUNING_SETTINGS
FRAMES = PlaneScene().ring(5)
LONG = 100_000
"""Steps of a job that does not end by itself."""


@pytest.fixture
def client(mapper: MapperProcess) -> Iterator[FineTuneClient]:
    client = FineTuneClient(mapper)
    yield client
    client.close()


def process_of(client: FineTuneClient) -> int:
    """Number of the fine-tuning process of the last job."""
    assert client.mapper.logged("in process", 30)
    found = [re.search(r"in process (\d+)", line.msg) for line in client.mapper.rosout]
    return int([match for match in found if match][-1][1])


def nothing_has_changed(client: FineTuneClient, model: str, data_dir: Path, frames: list[Frame] = FRAMES[:2]) -> None:
    """The old model renders, nothing is left behind, and the next job runs. `frames`: to be seen by then."""
    assert client.model_id() == model
    assert client.listener.until(lambda: jobs_left(data_dir) == [])
    assert client.mapper.renders(frames, 200.0)
    again = client.tune(steps=1, min_gain=2.0)
    assert again.code is ErrorCode.OK, again.result


@pytest.mark.fault("the fine-tuning process is killed", code="INTERNAL",
                   says="the goal's result, ~/fine_tune/status, log", recovery="the next goal")  # fmt: skip
def test_a_killed_process_leaves_the_old_model(client: FineTuneClient, data_dir: Path) -> None:
    client.show(FRAMES)
    model = client.model_id()
    del client.mapper.rosout[:]
    handle = client.ask(steps=LONG)
    client.until_step(2)
    os.kill(process_of(client), signal.SIGKILL)
    tuned = client.answer(handle, 10)
    assert (tuned.status, tuned.code) == (ABORTED, ErrorCode.INTERNAL)
    assert "was killed by SIGKILL" in tuned.result.error_text
    assert client.listener.until(lambda: client.statuses[-1].state == FineTuneStatus.FAILED)
    nothing_has_changed(client, model, data_dir)


@pytest.mark.fault("the fine-tuning process is out of memory", code="OUT_OF_MEMORY",
                   says="the goal's result, ~/fine_tune/status, log",
                   recovery="smaller fine_tune.width, fewer keyframes, or more memory")  # fmt: skip
@pytest.mark.shows("fine_tune.memory_limit")
def test_out_of_memory_there_is_none_here(client: FineTuneClient, data_dir: Path) -> None:
    client.show(FRAMES)
    model = client.model_id()
    assert client.mapper.set(fine_tune__memory_limit=150) == ""
    try:
        tuned = client.tune(steps=LONG)
    finally:
        assert client.mapper.set(fine_tune__memory_limit=0) == ""
    assert tuned.code is ErrorCode.OUT_OF_MEMORY, tuned.result
    assert "not enough memory to fine-tune" in tuned.result.error_text
    assert "fine_tune.width" in tuned.result.error_text
    nothing_has_changed(client, model, data_dir)


@pytest.mark.fault("the disk is full when a job begins, or when its model is to be kept", code="DISK_FULL",
                   says="the goal's result, ~/fine_tune/status, log", recovery="free some space")  # fmt: skip
@pytest.mark.parametrize("megabytes", [1, 9], ids=["snapshot", "model"])
def test_a_full_disk_is_told(client: FineTuneClient, data_dir: Path, megabytes: int) -> None:
    client.show(FRAMES)
    model = client.model_id()
    jobs = data_dir / ".fine_tune"
    if jobs.exists():
        jobs.rmdir()
    with mounted(jobs, f"size={megabytes}m"):
        tuned = client.tune(steps=8, min_psnr_gain=0.0, supervision="color")
        assert tuned.code is ErrorCode.DISK_FULL, tuned.result
        assert "Free some space" in tuned.result.error_text, tuned.result
        assert tuned.result.steps == (0 if megabytes == 1 else 8), tuned.result.error_text
    nothing_has_changed(client, model, data_dir)


@pytest.mark.fault("fewer keyframes than fine-tuning needs, or labels asked for that are not there",
                   code="TOO_FEW_VIEWS", says="the goal's result", recovery="move on; publish labels")  # fmt: skip
@pytest.mark.fault("a keyframe to learn from that is not held", code="NO_KEYFRAMES", says="the goal's result",
                   recovery="ids that ~/list_keyframes lists")  # fmt: skip
@pytest.mark.fault("values in a fine-tuning goal that mean nothing", code="BAD_REQUEST", says="the goal's result",
                   recovery="the next goal")  # fmt: skip
@pytest.mark.shows("~/fine_tune", "error BAD_REQUEST", "fine_tune.enabled")
def test_what_cannot_be_done_is_refused_before_anything_begins(client: FineTuneClient, data_dir: Path) -> None:
    client.show(FRAMES[:3], labeled=False)
    model = client.model_id()
    assert client.tune().code is ErrorCode.TOO_FEW_VIEWS
    client.show(FRAMES[3:], labeled=False, first_second=110.0)
    for goal, code, words in (
        ({"supervision": "labels"}, ErrorCode.TOO_FEW_VIEWS, "0 of 5 keyframes have labels"),
        ({"keyframe_ids": [0, 1, 2]}, ErrorCode.TOO_FEW_VIEWS, "3 keyframes"),
        ({"keyframe_ids": [0, 1, 2, 77]}, ErrorCode.NO_KEYFRAMES, "keyframe 77 is not held"),
        ({"steps": 0}, ErrorCode.BAD_REQUEST, "steps is 0"),
        ({"time_limit": 0.0}, ErrorCode.BAD_REQUEST, "time_limit is 0"),
        ({"time_limit": float("nan")}, ErrorCode.BAD_REQUEST, "time_limit is nan"),
        ({"min_gain": float("inf")}, ErrorCode.BAD_REQUEST, "min_gain is inf"),
        ({"min_psnr_gain": -1.0}, ErrorCode.BAD_REQUEST, "min_psnr_gain is -1"),
        ({"mode": "half"}, ErrorCode.BAD_REQUEST, "mode is 'half'; expected one of full, heads"),
        ({"supervision": "guess"}, ErrorCode.BAD_REQUEST, "expected one of auto, labels, color"),
    ):
        tuned = client.tune(**goal)
        assert (tuned.status, tuned.code) == (ABORTED, code), goal
        assert words in tuned.result.error_text
    assert client.mapper.set(fine_tune__enabled=False) == ""
    try:
        tuned = client.tune()
        assert tuned.code is ErrorCode.INACTIVE and "fine_tune.enabled" in tuned.result.error_text
    finally:
        assert client.mapper.set(fine_tune__enabled=True) == ""
    assert client.model_id() == model and jobs_left(data_dir) == []


@pytest.mark.fault("the node is deactivated while it fine-tunes", code="INACTIVE",
                   says="the goal's result, ~/fine_tune/status", recovery="activate it, ask again")  # fmt: skip
@pytest.mark.shows("~/fine_tune", "error INACTIVE")
def test_a_node_that_is_deactivated_stops_learning(client: FineTuneClient, data_dir: Path) -> None:
    client.show(FRAMES)
    del client.mapper.rosout[:]
    handle = client.ask(steps=LONG)
    client.until_step(1)
    process = process_of(client)
    assert client.mapper.transition(Transition.TRANSITION_DEACTIVATE)
    assert client.answer(handle, 10).code is ErrorCode.INACTIVE
    assert client.listener.until(lambda: not is_running(process), 5)
    assert client.tune().code is ErrorCode.INACTIVE
    assert client.mapper.activate()
    assert client.tune(steps=1, min_gain=2.0).code is ErrorCode.OK
    assert jobs_left(data_dir) == []


@pytest.mark.fault("another model is loaded while one is being fine-tuned", code="STALE",
                   says="the goal's result: what was loaded stays, and the name of the new one",
                   recovery="~/load_model with that name")  # fmt: skip
def test_a_model_loaded_meanwhile_stays_and_the_new_one_is_kept(client: FineTuneClient, data_dir: Path) -> None:
    client.show(FRAMES)
    checkpoint(data_dir / "other.safetensors", seed=5)
    handle = client.ask(steps=60, min_psnr_gain=0.0, supervision="color")
    client.until_step(1)
    loaded = client.mapper.service(LoadModel, "load_model", LoadModel.Request(file="other"))
    assert loaded.error_code == ErrorCode.OK
    tuned = client.answer(handle)
    assert tuned.code is ErrorCode.STALE, tuned.result
    assert client.model_id() == loaded.model_id == tuned.result.model_id
    name = re.search(r"kept as (\S+)", tuned.result.error_text)
    assert name is not None
    assert client.mapper.service(LoadModel, "load_model", LoadModel.Request(file=name[1])).error_code == ErrorCode.OK


@pytest.mark.fault("the keyframes are cleared while a model is being fine-tuned on them", code="STALE",
                   says="the goal's result, and the name of the new model",
                   recovery="move the camera, ask again")  # fmt: skip
def test_a_model_of_keyframes_that_are_gone_does_not_take_over(client: FineTuneClient, data_dir: Path) -> None:
    client.show(FRAMES)
    model = client.model_id()
    handle = client.ask(steps=60, min_psnr_gain=0.0, supervision="color")
    client.until_step(1)
    assert client.mapper.service(Trigger, "clear", Trigger.Request()).success
    tuned = client.answer(handle)
    assert tuned.code is ErrorCode.STALE and "none of the keyframes" in tuned.result.error_text, tuned.result
    nothing_has_changed(client, model, data_dir, FRAMES)


@pytest.mark.fault("the fine-tuning process hangs", code="INTERNAL",
                   says="the goal's result, after three minutes without a word from it",
                   recovery="the next goal")  # fmt: skip
def test_a_process_that_hangs_is_ended(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRAY_TUNING_PATIENCE", "20")
    with listening() as listener:
        mapper = MapperProcess(listener, **{"model.path": model_file, "data_dir": tmp_path}, **SETTINGS)
        mapper.start_over()
        client = FineTuneClient(mapper)
        client.show(FRAMES)
        handle = client.ask(steps=LONG)
        client.until_step(1)
        process = process_of(client)
        os.kill(process, signal.SIGSTOP)
        tuned = client.answer(handle, 60)
        assert tuned.code is ErrorCode.INTERNAL and "has not said anything for 20 s" in tuned.result.error_text
        assert listener.until(lambda: not is_running(process), 5)
        client.close()


@pytest.mark.shows("~/fine_tune")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_node_that_ends_takes_its_process_along(model_file: Path, tmp_path: Path, how: signal.Signals) -> None:
    with listening() as listener:
        mapper = MapperProcess(listener, **{"model.path": model_file, "data_dir": tmp_path}, **SETTINGS)
        mapper.start_over()
        client = FineTuneClient(mapper)
        client.show(FRAMES)
        answer = client.ask(steps=LONG).get_result_async()
        client.until_step(1)
        process = process_of(client)
        listener.end(mapper.process, how, within=3.0)
        if how is not signal.SIGKILL:
            assert listener.until(answer.done), "who waits is told"
            assert answer.result().result.error_code == ErrorCode.INACTIVE
        assert listener.until(lambda: not is_running(process), 5)
        assert listener.until(lambda: jobs_left(tmp_path) == [])
        client.close()


def test_a_job_whose_last_word_cannot_be_told_still_ends(tmp_path: Path) -> None:
    def publish(status: FineTuneStatus) -> None:
        raise RuntimeError("nobody to tell")

    error = NoViewsError("none")
    request = Request(AdaptationConfig(), frozenset(), 1, 0, lambda: False)
    log = SimpleNamespace(warning=lambda text: None, info=lambda text: None, error=lambda text: None)
    refused: Future[Any] = Future()
    refused.set_exception(error)
    host = SimpleNamespace(
        folder=DataFolder(tmp_path), submit=lambda do: refused, health=Health(), renders=0, logger=log
    )
    job = FinetuneJob(request, host, publish)  # type: ignore[arg-type]
    job.start()
    assert job.done.result(5).error_code == ErrorCode.NO_KEYFRAMES
    # The job outlives its end: an error with a traceback would keep all keyframes alive.
    told, stop = job.begun.result(0), CanceledError("stopped")
    assert isinstance(told, NoViewsError) and told.__traceback__ is None
    job.stop(stop)
    with pytest.raises(CanceledError):
        job._check()
    assert stop.__traceback__ is None


def test_what_a_killed_mapper_left_is_cleared_away_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    gone, ours = tmp_path / "20260101-000000-aaaa.4194305", tmp_path / f"20260101-000000-bbbb.{os.getpid()}"
    for folder in (gone, ours):
        folder.mkdir()
        (folder / "session.safetensors").write_bytes(b"x")
    _clear_away(tmp_path)
    assert not gone.exists() and (ours / "session.safetensors").exists()
