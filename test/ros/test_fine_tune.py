"""~/fine_tune over DDS, with the model that the package brings: it learns a wall that it has never seen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY, PlaneScene
from rig.fine_tuning import ABORTED, CANCELED, SUCCEEDED, TUNING_SETTINGS, FineTuneClient, jobs_left
from rig.mapper import MapperProcess
from rig.views import goal_for, pixels
from std_srvs.srv import Trigger

from sray.checkpoint import load_checkpoint
from sray.metrics import ConfusionMatrix
from sray_interfaces.msg import FineTuneStatus
from sray_interfaces.srv import FineTune, LoadModel
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = TUNING_SETTINGS
FRAMES = PlaneScene().ring(9)
UNSEEN = PlaneScene().frame((0.1, 0.0, 0.0), 2.0)


@pytest.fixture(scope="module")
def model_file() -> Path:
    """The paper's encoder, trained on generated rooms (rooms.yaml): small, and knows walls."""
    return REPOSITORY / "test" / "trained" / "resunet_rooms.safetensors"


@pytest.fixture
def client(mapper: MapperProcess) -> Iterator[FineTuneClient]:
    client = FineTuneClient(mapper)
    yield client
    client.close()


def load(mapper: MapperProcess, file: str) -> LoadModel.Response:
    answer = mapper.service(LoadModel, "load_model", LoadModel.Request(file=file))
    assert ErrorCode(answer.error_code) is ErrorCode.OK, answer.error_text
    return answer


def view(mapper: MapperProcess) -> Any:
    answer = mapper.answer(mapper.ask(goal_for(UNSEEN.camera))).result
    assert ErrorCode(answer.error_code) is ErrorCode.OK, answer.error_text
    return answer


def miou(result: Any) -> float:
    matrix = ConfusionMatrix(23)
    matrix.update(pixels(result.label), UNSEEN.labels)
    return matrix.strict().miou


@pytest.mark.shows("~/fine_tune", "~/fine_tune/status", "~/fine_tune/curve", "~/load_model", "fine_tune.threads")
def test_the_better_model_takes_over_names_its_parent_and_gives_way_again(
    client: FineTuneClient, mapper: MapperProcess, data_dir: Path, model_file: Path
) -> None:
    client.show(FRAMES)
    before = view(mapper)
    tuned = client.tune(steps=70)
    result = tuned.result
    assert (tuned.status, tuned.code, result.accepted) == (SUCCEEDED, ErrorCode.OK, True), result
    assert result.after.strict_miou >= result.before.strict_miou + 0.2
    assert (result.steps, result.best_step > 0) == (70, True)
    assert sorted([*result.taught_by, *result.held_out]) == list(range(9)) and len(result.held_out) == 2
    # it renders, and what it renders is better on a view that is no keyframe
    after = view(mapper)
    assert after.model_id == result.model_id == client.model_id() != before.model_id == result.parent_id
    assert miou(after) >= miou(before) + 0.2
    # the file is the model, and knows where it is from
    file = data_dir / f"{result.file}.safetensors"
    checkpoint, parent = load_checkpoint(file), load_checkpoint(model_file)
    assert checkpoint.id == result.model_id and checkpoint.lineage["parent"] == parent.sha256
    data = checkpoint.lineage["data"]
    assert (data["keyframes"], data["held_out"]) == (list(result.taught_by), list(result.held_out))
    assert data["stamps_ns"] == [(100 + number) * 10**9 for number in range(9)]
    assert jobs_left(data_dir) == []
    # told step by step
    steps = [status.step for status in tuned.feedback]
    assert steps == sorted(steps) and len(set(steps)) > 20  # feedback may be lost, on a busy machine
    at_work = [status for status in tuned.feedback if status.state == FineTuneStatus.RUNNING]
    assert {"pictures", "rays"} <= {status.kind for status in at_work}
    assert any("semantic" in status.loss_names and len(status.losses) == len(status.loss_names) for status in at_work)
    assert any(status.seconds_left > 0 for status in at_work)
    assert client.listener.until(lambda: client.statuses[-1].state == FineTuneStatus.ACCEPTED)
    last = client.statuses[-1]
    assert last.best.strict_miou == pytest.approx(result.after.strict_miou) and last.text == result.text
    picture = np.frombuffer(bytes(client.curves[-1].data), np.uint8).reshape(480, 640, 3)
    assert (picture == (31, 119, 180)).all(-1).sum() > 200, "the line of the scores"
    # and back
    assert load(mapper, result.parent_file).model_id == before.model_id
    assert pixels(view(mapper).label).tobytes() == pixels(before.label).tobytes()
    assert load(mapper, result.file).model_id == result.model_id
    assert pixels(view(mapper).label).tobytes() == pixels(after.label).tobytes()


@pytest.mark.shows("~/fine_tune", "fine_tune.width")
def test_the_same_seed_gives_the_same_model_and_another_one_or_another_width_another(
    client: FineTuneClient, mapper: MapperProcess, data_dir: Path
) -> None:
    client.show(FRAMES[:5])
    found = []
    for seed, width in ((3, 320), (3, 320), (4, 320), (3, 32)):
        assert mapper.set(fine_tune__width=width) == ""
        result = client.tune(steps=12, seed=seed, min_gain=0.0).result
        assert result.accepted, result
        config = load_checkpoint(data_dir / f"{result.file}.safetensors").lineage["config"]
        assert (config["seed"], config["width"]) == (seed, width)
        found.append(result.model_id)
        load(mapper, result.parent_file)
    assert found[0] == found[1] and len(set(found)) == 3


@pytest.mark.shows("~/fine_tune")
def test_what_is_no_better_by_enough_changes_nothing_and_says_so(client: FineTuneClient, data_dir: Path) -> None:
    client.show(FRAMES[:5])
    model, files = client.model_id(), sorted(data_dir.glob("fine_tuned/*"))
    tuned = client.tune(steps=3, min_gain=1.5)
    assert (tuned.status, tuned.code, tuned.result.accepted) == (SUCCEEDED, ErrorCode.OK, False)
    assert "not better by min_gain 1.5: strict mIoU" in tuned.result.text and "stays as it was" in tuned.result.text
    assert (tuned.result.file, tuned.result.model_id, client.model_id()) == ("", model, model)
    assert sorted(data_dir.glob("fine_tuned/*")) == files and jobs_left(data_dir) == []
    assert client.listener.until(lambda: client.statuses[-1].state == FineTuneStatus.REJECTED)


@pytest.mark.shows("~/fine_tune")
def test_without_labels_the_pictures_teach_and_chosen_keyframes_alone(client: FineTuneClient) -> None:
    client.show(FRAMES, labeled=False)
    result = client.tune(steps=5, mode="heads", keyframe_ids=[1, 2, 3, 5, 7], min_psnr_gain=100.0).result
    assert sorted([*result.taught_by, *result.held_out]) == [1, 2, 3, 5, 7]
    assert (
        "not better by 100 dB: PSNR" in result.text and np.isnan(result.before.strict_miou) and result.before.psnr > 5
    )
    assert {name for status in client.feedback for name in status.loss_names} == {"color"}


@pytest.mark.shows("~/fine_tune", "~/render_view")
def test_views_are_rendered_meanwhile_and_a_cancel_is_prompt(
    client: FineTuneClient, mapper: MapperProcess, data_dir: Path
) -> None:
    client.show(FRAMES[:6])
    model = client.model_id()
    handle = client.ask(steps=100_000)
    client.until_step(2)
    before = len(client.feedback)
    view(mapper)
    view(mapper)
    client.until_step(client.feedback[before - 1].step + 1)
    canceling = handle.cancel_goal_async()
    assert client.listener.until(canceling.done) and len(canceling.result().goals_canceling) == 1
    future = handle.get_result_async()
    assert client.listener.until(future.done, 5), "a cancel takes no longer"
    assert (future.result().status, future.result().result.error_code) == (CANCELED, ErrorCode.CANCELED)
    assert future.result().result.renders == 2
    assert client.model_id() == model and jobs_left(data_dir) == []


@pytest.mark.shows("~/fine_tune")
def test_when_the_time_is_up_the_best_so_far_is_taken(client: FineTuneClient) -> None:
    client.show(FRAMES[:5])
    result = client.tune(steps=100_000, time_limit=4.0).result
    assert (result.error_code, result.error_text) == (ErrorCode.OK, "") and 0 < result.steps < 100_000, result
    assert client.feedback[-1].seconds < 60


@pytest.mark.fault("a goal while a model is being fine-tuned", code="BUSY", says="the goal's result, or the answer",
                   recovery="once the job has ended, or after ~/fine_tune_cancel")  # fmt: skip
@pytest.mark.shows("~/fine_tune_once", "~/fine_tune_cancel", "~/fine_tune/status")
def test_the_plain_call_answers_at_once_and_one_job_runs_at_a_time(
    client: FineTuneClient, mapper: MapperProcess
) -> None:
    client.show(FRAMES[:5])
    assert not mapper.service(Trigger, "fine_tune_cancel", Trigger.Request()).success
    answer = mapper.service(FineTune, "fine_tune_once", FineTune.Request(steps=100_000))
    assert (answer.error_code, len(answer.job_id) > 8) == (ErrorCode.OK, True), answer.error_text
    assert client.listener.until(lambda: client.statuses and client.statuses[-1].step >= 2, 30)
    assert client.statuses[-1].job_id == answer.job_id
    again = mapper.service(FineTune, "fine_tune_once", FineTune.Request())
    assert (again.error_code, again.job_id) == (ErrorCode.BUSY, "")
    refused = client.tune()
    assert (refused.status, refused.code) == (ABORTED, ErrorCode.BUSY)
    assert client.statuses[-1].job_id == answer.job_id, "the first goes on"
    canceled = mapper.service(Trigger, "fine_tune_cancel", Trigger.Request())
    assert canceled.success and "canceled" in canceled.message
    assert client.listener.until(lambda: client.statuses[-1].state == FineTuneStatus.CANCELED)
    assert client.tune(steps=2, min_gain=1.0).code is ErrorCode.OK, "the next one runs"


@pytest.mark.shows("~/fine_tune")
def test_the_client_in_the_documents_works(client: FineTuneClient, mapper: MapperProcess) -> None:
    client.show(FRAMES[:5])
    blocks = (REPOSITORY / "docs" / "robot.md").read_text().split("```python\n")[1:3]
    code = "\n".join(block.split("```")[0] for block in blocks).replace("steps=100", "steps=3")
    status, output = mapper.listener.finish(mapper.listener.run(sys.executable, "-c", code), 60)
    assert status == 0, output
    lines = output.splitlines()
    assert any(line.startswith("3 of 3 0.") for line in lines), output
    assert "on held-out keyframes' labels, in 3 steps" in output
    assert lines[-1] == client.model_id()
