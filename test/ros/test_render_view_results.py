"""Results of ~/render_view hold pictures: they are let go in time, whatever the node's clock does."""

from __future__ import annotations

import time

import pytest
import rclpy
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_processes import Domain

from sray_interfaces.action import RenderView
from sray_ros.common.error_codes import ErrorCode
from sray_ros.common.refusals import inactive
from sray_ros.mapper import render_view
from sray_ros.mapper.render_view import RenderViewServer, refusal

pytestmark = [pytest.mark.ros, pytest.mark.shows("~/render_view")]


@pytest.mark.parametrize("use_sim_time", [False, True])
def test_results_expire_though_simulated_time_stands_still(use_sim_time: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_view, "RESULT_SECONDS", 1)
    context, domain = Context(), Domain()
    rclpy.init(context=context, domain_id=domain.number)
    executor = SingleThreadedExecutor(context=context)
    settings = [Parameter("use_sim_time", value=use_sim_time)]  # and nobody publishes /clock
    node = Node("server", context=context, parameter_overrides=settings)
    server = RenderViewServer(node, lambda goal, future: future.set_result(refusal(inactive())))
    client = ActionClient(node, RenderView, "~/render_view")
    executor.add_node(node)
    try:
        assert client.wait_for_server(10)
        for _ in range(3):
            sent = client.send_goal_async(RenderView.Goal())
            executor.spin_until_future_complete(sent, 10)
            result = sent.result().get_result_async()
            executor.spin_until_future_complete(result, 10)
            assert result.result().result.error_code == ErrorCode.INACTIVE
        held = server._server._goal_handles
        assert len(held) == 3
        deadline = time.monotonic() + 10
        while held and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.1)
        assert not held
    finally:
        server.close()
        client.destroy()
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
        domain.close()
