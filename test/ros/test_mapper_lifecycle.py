"""Every transition, again and again: what was made is gone, whoever waits is answered, and a fault is no end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle.node import LifecycleNodeMixin
from rig.listener import Listener, listening
from rig.mapper import ACTIVE, INACTIVE, UNCONFIGURED, MapperProcess, checkpoint
from rig.views import SETTINGS, goal_for, stamps, view

from sray.frames import Frame
from sray_ros.common.error_codes import ErrorCode
from sray_ros.common.executor import LifecycleExecutor
from sray_ros.common.lifecycle import OrderlyNode

pytestmark = pytest.mark.ros
ROUNDS = 10
CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP
SHUTDOWN = {
    UNCONFIGURED: Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    INACTIVE: Transition.TRANSITION_INACTIVE_SHUTDOWN,
    ACTIVE: Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


def resources(mapper: MapperProcess) -> dict[str, Any]:
    """What the process holds, and what the graph knows of its node."""
    of_process, node = Path(f"/proc/{mapper.process.pid}"), mapper.listener.node
    name = ("semantic_mapper", "/")
    return {
        "threads": len(list((of_process / "task").iterdir())),
        "files": sum(1 for fd in (of_process / "fd").iterdir() if not str(fd.readlink()).startswith("/dev/shm")),
        "publishers": sorted(node.get_publisher_names_and_types_by_node(*name)),
        "subscriptions": sorted(node.get_subscriber_names_and_types_by_node(*name)),
        "services": sorted(node.get_service_names_and_types_by_node(*name)),
    }


def memory_mib(mapper: MapperProcess) -> float:
    """Anonymous memory: not the libraries, not what is shared with DDS."""
    status = Path(f"/proc/{mapper.process.pid}/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


@pytest.fixture(scope="module")
def process(model_file: Path, data_dir: Path) -> Iterator[MapperProcess]:
    """With one heap for all threads: each activation's worker would leave another one, emptied, until 8 a core are."""
    with listening() as listener, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MALLOC_ARENA_MAX", "1")
        yield MapperProcess(listener, **{"model.path": model_file, "data_dir": data_dir}, **SETTINGS)


@pytest.mark.shows("semantic_mapper")
def test_ten_rounds_of_every_transition_leave_nothing_behind(process: MapperProcess, frames: list[Frame]) -> None:
    mapper, counts, memory = process, [], []
    for _ in range(ROUNDS):
        assert mapper.configure()
        assert mapper.state == INACTIVE
        assert mapper.activate()
        assert mapper.state == ACTIVE
        mapper.send_in_lockstep(frames)
        view(mapper, frames[0].camera)
        assert mapper.transition(DEACTIVATE)
        assert mapper.activate()
        assert len(stamps(mapper)) == 5, "keyframes outlast a deactivation"
        assert mapper.transition(DEACTIVATE)
        assert mapper.state == INACTIVE
        assert mapper.transition(CLEANUP)
        assert mapper.state == UNCONFIGURED
        mapper.listener.until(lambda: False, 0.3)  # until the graph is told
        counts.append(resources(mapper))
        memory.append(memory_mib(mapper))
    # The first round loads what stays: libraries, their threads and pools.
    for what, first in counts[1].items():
        assert mapper.listener.until(lambda what=what, first=first: resources(mapper)[what] == first), (what, first)
    assert memory[-1] - memory[1] < 0.1 * memory[1], f"MiB by round: {memory}"


@pytest.mark.shows("semantic_mapper", "model.path")
def test_what_cannot_be_is_refused_and_the_node_goes_on(process: MapperProcess, model_file: Path) -> None:
    mapper = process
    assert mapper.state == UNCONFIGURED
    for wrong in (ACTIVATE, DEACTIVATE, CLEANUP):
        assert not mapper.transition(wrong)
        assert mapper.state == UNCONFIGURED
    for _ in range(2):
        assert mapper.set(model__path="/nowhere/model.safetensors") == ""
        assert not mapper.configure()
        assert mapper.state == UNCONFIGURED
        assert mapper.set(model__path=str(model_file)) == ""
        assert mapper.configure()
        assert not mapper.transition(CONFIGURE)
        assert not mapper.transition(DEACTIVATE)
        assert mapper.state == INACTIVE
        assert mapper.transition(CLEANUP)


@pytest.mark.fault(
    "a transition is asked for that the present state has not, or after shutdown, and rclpy gives no answer (Jazzy's)",
    code="none",
    says="~/change_state: success is false; log",
    recovery="ask for one that the state has: `ros2 lifecycle list`",
)
def test_where_rclpy_raises_at_an_impossible_transition_its_client_is_answered(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: object) -> None:
        raise rclpy_implementation.RCLError("Transition is not registered.")

    monkeypatch.setattr(LifecycleNodeMixin, "_LifecycleNodeMixin__on_change_state", raises)
    node = OrderlyNode("orderly", context=listener.node.context)
    executor = LifecycleExecutor(context=node.context)
    executor.add_node(node)
    change = listener.node.create_client(ChangeState, "orderly/change_state")
    answer = change.call_async(ChangeState.Request(transition=Transition(id=ACTIVATE)))

    def answered() -> bool:
        executor.spin_once(timeout_sec=0.02)
        return bool(answer.done())

    try:
        assert listener.until(answered, 20)
        assert answer.result().success is False
    finally:
        executor.shutdown()
        node.destroy_node()


@pytest.mark.shows("session.autosave")
@pytest.mark.parametrize("state", [UNCONFIGURED, INACTIVE, ACTIVE], ids=["unconfigured", "inactive", "active"])
def test_shutdown_from_every_state_is_final_and_saves_what_was_held(
    listener: Listener, model_file: Path, tmp_path: Path, frames: list[Frame], state: int
) -> None:
    settings = {**SETTINGS, "model.path": model_file, "data_dir": tmp_path, "session.autosave": "last"}
    mapper = MapperProcess(listener, **settings)
    if state != UNCONFIGURED:
        assert mapper.configure()
        assert mapper.activate()
        mapper.send_in_lockstep(frames)
    waiting = mapper.ask(goal_for(frames[0].camera.resized(1600, 1200), scale=1.0)) if state == ACTIVE else None
    if state == INACTIVE:
        assert mapper.transition(DEACTIVATE)
    assert mapper.transition(SHUTDOWN[state])
    assert mapper.state == State.PRIMARY_STATE_FINALIZED
    assert (tmp_path / "last.safetensors").exists() == (state != UNCONFIGURED)
    if waiting is not None:
        assert ErrorCode(mapper.answer(waiting).result.error_code) in (ErrorCode.OK, ErrorCode.INACTIVE)
    assert not mapper.configure()
    asked = mapper.answer(mapper.ask(goal_for(frames[0].camera))).result
    assert ErrorCode(asked.error_code) is ErrorCode.INACTIVE
    listener.end(mapper.process, signal.SIGTERM)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Any]:
    """In this process, so that a fault can be put into it."""
    from sray_ros.mapper.node import SemanticMapper

    model = checkpoint(tmp_path / "model.safetensors")
    with_model = ["--ros-args", "-p", f"model.path:={model}", "-p", f"data_dir:={tmp_path}"]
    rclpy.init(args=with_model)
    node = SemanticMapper()
    yield node
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    node.close(executor)
    node.destroy_node()
    rclpy.try_shutdown()


@pytest.mark.shows("semantic_mapper")
def test_a_fault_while_activating_undoes_what_was_made_and_the_next_time_works(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from sray_ros.mapper import intake
    from sray_ros.mapper import node as semantic_mapper

    def failing(*arguments: Any) -> None:
        raise RuntimeError("no more topics")

    def made() -> tuple[int, int, int]:
        threads = sum(thread.name == "mapping" for thread in threading.enumerate())
        return threads, len(list(node.subscriptions)), len(list(node.timers))

    before = made()
    for _ in range(2):
        monkeypatch.setattr(intake, "CameraInputs", failing)
        node.trigger_configure()
        node.trigger_activate()
        assert made() == before
        monkeypatch.undo()
        node.trigger_configure()
        node.trigger_activate()
        assert made()[0] == 1
        assert made()[1] > before[1]
        node.trigger_deactivate()
        node.trigger_cleanup()
        assert made() == before
    monkeypatch.setattr(semantic_mapper, "Work", failing)
    node.trigger_configure()
    monkeypatch.undo()
    assert made() == before
    node.trigger_configure()
    node.trigger_activate()
    assert made()[0] == 1
