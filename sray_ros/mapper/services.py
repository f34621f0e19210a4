"""The services of semantic_mapper. Each answers in every lifecycle state, with an error code and what to do.

What touches keyframes, map or model is a command for the worker; files are read and written on a thread of their own,
so that rendering and hearing go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.errors import SrayError
from sray.mapping.cloud import write_ply
from sray.mapping.session import Session
from sray_interfaces.msg import Keyframe
from sray_ros.common.conversions import time_message
from sray_ros.common.data_folder import DataFolder
from sray_ros.common.poses import pose_of_matrix
from sray_ros.common.refusals import busy, explained, inactive
from sray_ros.mapper import declarations as api
from sray_ros.mapper.health import Health
from sray_ros.mapper.jobs import Ask
from sray_ros.mapper.worker import MappingWork

CHECKPOINT, SESSION, PLY = ".safetensors", ".safetensors", ".ply"

MOST_FILES = 8
"""Files that may wait to be read or written."""


class MapperServices:
    """Created once, with the node."""

    def __init__(
        self,
        node: Node,
        folder: DataFolder,
        is_active: Callable[[], bool],
        ask: Ask,
        pause: Callable[[bool], None],
        health: Health,
    ) -> None:
        """`ask` hands something to the worker."""
        self._node = node
        self._folder = folder
        self._is_active = is_active
        self._ask = ask
        self._pause = pause
        self._health = health
        self.answering = 0
        """Calls that have no answer yet."""
        # One: two callers who write the same file do so one after the other, and no callback waits for a slow disk.
        self._files = ThreadPoolExecutor(1, thread_name_prefix="files")
        self._waiting_for_files = 0
        handlers: dict[api.Call, Callable[[Any, Any], Awaitable[None]]] = {
            api.SAVE_SESSION: self._save_session,
            api.LOAD_SESSION: self._load_session,
            api.LOAD_MODEL: self._load_model,
            api.LIST_KEYFRAMES: self._list_keyframes,
            api.SAVE_MAP: self._save_map,
            api.CLEAR: self._clear,
            api.PAUSE: self._set_pause,
        }
        # Services answer beside each other, and beside a transition that takes long.
        group = ReentrantCallbackGroup()
        for call, handler in handlers.items():
            handle = self._answered(call, handler)
            node.create_service(call.type, call.name, handle, qos_profile=api.CALLS, callback_group=group)

    def close(self) -> None:
        """What is being written is finished, what waits to be is not begun."""
        self._files.shutdown(wait=True, cancel_futures=True)

    async def _save_session(self, request: Any, response: Any) -> None:
        path = self._folder.path(request.file, SESSION)
        session: Session = await self._of_worker(lambda work: work.session())
        response.bytes = await self._of_files(lambda: session.save(path))
        response.path, response.keyframes = str(path), len(session.keyframes)
        self._node.get_logger().info(f"saved {len(session.keyframes)} keyframes and the map to {path}")

    async def _load_session(self, request: Any, response: Any) -> None:
        path = self._folder.path(request.file, SESSION)
        session: Session = await self._of_files(lambda: Session.load(path))

        def restore(work: MappingWork) -> str:
            work.restore(session)
            return work.checkpoint.id

        response.model_id = await self._of_worker(restore)
        response.keyframes, response.session_model_id = len(session.keyframes), session.model_id
        self._node.get_logger().info(f"goes on from {len(session.keyframes)} keyframes and the map of {path}")
        if response.model_id != session.model_id:
            self._node.get_logger().warning(
                f"the session was saved with model {session.model_id}; {response.model_id} renders it now, differently"
            )

    async def _load_model(self, request: Any, response: Any) -> None:
        if request.file:
            path = self._folder.path(request.file, CHECKPOINT)
        else:
            path = await self._of_worker(lambda work: work.configured_model)
        checkpoint: Checkpoint = await self._of_files(lambda: load_checkpoint(path))

        def change(work: MappingWork) -> str:
            previous = work.checkpoint.id
            work.change_model(checkpoint, request.file)
            return previous

        response.previous_model_id = await self._of_worker(change)
        response.model_id = checkpoint.id
        self._node.get_logger().info(f"model {checkpoint.id} from {path} instead of {response.previous_model_id}")

    async def _list_keyframes(self, request: Any, response: Any) -> None:
        def look(work: MappingWork) -> None:
            keyframes = work.mapper.keyframes
            response.keyframes = [_keyframe_message(keyframe) for keyframe in keyframes]
            response.map_revision, response.model_id = keyframes.revision, work.checkpoint.id
            response.map_frame = work.map_frame

        await self._of_worker(look)

    async def _save_map(self, request: Any, response: Any) -> None:
        path = self._folder.path(request.file, PLY)
        cloud, label_space, map_frame = await self._of_worker(
            lambda work: (work.map_cloud(), work.checkpoint.label_space, work.map_frame)
        )
        await self._of_files(lambda: write_ply(path, cloud, label_space, map_frame))
        response.path, response.points = str(path), len(cloud)
        self._node.get_logger().info(f"saved {len(cloud)} points of the map to {path}")

    async def _clear(self, request: Any, response: Any) -> None:
        await self._of_worker(lambda work: work.clear())
        response.success, response.message = True, "keyframes and map are empty"

    async def _set_pause(self, request: Any, response: Any) -> None:
        self._pause(request.data)
        response.success = True
        response.message = "paused: images are ignored, requests answered" if request.data else "running"

    async def _of_worker(self, do: Callable[[MappingWork], Any]) -> Any:
        answer = Future(executor=self._node.executor)
        self._ask(do, answer.set_result)
        result = await answer
        if isinstance(result, SrayError):
            raise result
        return result

    async def _of_files(self, do: Callable[[], Any]) -> Any:
        """What `do` gives on the thread that reads and writes files. Raises what it raises, and SrayError BUSY."""
        if self._waiting_for_files >= MOST_FILES:
            raise busy()
        answer = Future(executor=self._node.executor)

        def run() -> None:
            try:
                answer.set_result((do(), None))
            except Exception as error:
                answer.set_result((None, error))

        self._waiting_for_files += 1
        try:
            self._files.submit(run)
            result, error = await answer
        finally:
            self._waiting_for_files -= 1
        if error is not None:
            raise error
        return result

    def _answered(
        self, call: api.Call, handle: Callable[[Any, Any], Awaitable[None]]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        """The service's callback: what goes wrong is the answer, as code and text, and never an exception."""

        async def callback(request: Any, response: Any) -> Any:
            self.answering += 1
            try:
                return await answer(request, response)
            finally:
                self.answering -= 1

        async def answer(request: Any, response: Any) -> Any:
            try:
                if not (self._is_active() or call is api.PAUSE):  # before a file is looked at
                    raise inactive()
                await handle(request, response)
                return response
            except Exception as failure:
                error = explained(failure, self._node.get_logger())
            if self._health.refused(error, is_hindrance=False):
                self._node.get_logger().warning(str(error))
            refused = type(response)()  # nothing half-filled
            if hasattr(refused, "error_code"):
                refused.error_code, refused.error_text = int(error.code), str(error.args[0])
            else:
                refused.success, refused.message = False, str(error)
            return refused

        return callback


def _keyframe_message(keyframe: Any) -> Keyframe:
    camera, frame = keyframe.camera, keyframe.frame
    return Keyframe(
        id=keyframe.number,
        stamp=time_message(keyframe.stamp_ns),
        pose=pose_of_matrix(camera.world_pose),
        width=camera.width,
        height=camera.height,
        has_depth=frame.depth is not None,
        has_labels=frame.labels is not None,
    )
