"""The services of semantic_mapper. Each answers in every lifecycle state, with an error code and what to do.

The worker does what touches keyframes, map or model. Files are read and written on a thread of their own, so that
rendering and receiving go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.mapping.cloud import write_ply
from sray.mapping.session import Session
from sray_interfaces.msg import Keyframe
from sray_ros.common.awaiting import awaited
from sray_ros.common.conversions import time_message
from sray_ros.common.error_codes import code_of, with_code
from sray_ros.common.poses import pose_of_matrix
from sray_ros.common.refusals import busy, explained, inactive
from sray_ros.common.topics import CALLS, Call
from sray_ros.mapper import api
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.scene import Scene

T = TypeVar("T")
CHECKPOINT, SESSION, PLY = ".safetensors", ".safetensors", ".ply"

MOST_FILES = 8
"""Files that may be read, written or waiting for it at one time."""


class MapperServices:
    """Created once, with the node."""

    def __init__(self, context: MapperContext) -> None:
        self._context = context
        self._folder = context.folder
        node = context.node
        self.answering = 0
        """Calls that have no answer yet."""
        # One thread: two clients that write the same file do so one after the other.
        self._files = ThreadPoolExecutor(1, thread_name_prefix="files")
        self._waiting_for_files = 0
        handlers: dict[Call, Callable[[Any, Any], Awaitable[None]]] = {
            api.SAVE_SESSION: self._save_session,
            api.LOAD_SESSION: self._load_session,
            api.LOAD_MODEL: self._load_model,
            api.LIST_KEYFRAMES: self._list_keyframes,
            api.SAVE_MAP: self._save_map,
            api.CLEAR: self._clear,
            api.PAUSE: self._set_pause,
        }
        # Services are answered at the same time as each other, and during a transition that takes long.
        group = ReentrantCallbackGroup()
        for call, handler in handlers.items():
            handle = self._answered(call, handler)
            node.create_service(call.type, call.name, handle, qos_profile=CALLS, callback_group=group)

    def close(self) -> None:
        """Finish the file that is being written; do not begin those that wait."""
        self._files.shutdown(wait=True, cancel_futures=True)

    async def _save_session(self, request: Any, response: Any) -> None:
        path = self._folder.path(request.file, SESSION)
        session: Session = await self._on_scene(lambda scene: scene.session())
        response.bytes = await self._of_files(lambda: session.save(path))
        response.path, response.keyframes = str(path), len(session.keyframes)
        self._context.logger.info(f"saved {len(session.keyframes)} keyframes and the map to {path}")

    async def _load_session(self, request: Any, response: Any) -> None:
        path = self._folder.path(request.file, SESSION)
        session: Session = await self._of_files(lambda: Session.load(path))

        def restore(scene: Scene) -> str:
            scene.restore(session)
            return scene.checkpoint.id

        response.model_id = await self._on_scene(restore)
        response.keyframes, response.session_model_id = len(session.keyframes), session.model_id
        self._context.logger.info(f"goes on from {len(session.keyframes)} keyframes and the map of {path}")
        if response.model_id != session.model_id:
            self._context.logger.warning(
                f"the session was saved with model {session.model_id}; {response.model_id} renders it now, differently"
            )

    async def _load_model(self, request: Any, response: Any) -> None:
        if request.file:
            path = self._folder.path(request.file, CHECKPOINT)
        else:
            path = await self._on_scene(lambda scene: scene.configured_model)
        checkpoint: Checkpoint = await self._of_files(lambda: load_checkpoint(path))

        def change(scene: Scene) -> str:
            previous = scene.checkpoint.id
            scene.change_model(checkpoint, request.file)
            return previous

        response.previous_model_id = await self._on_scene(change)
        response.model_id = checkpoint.id
        self._context.logger.info(f"model {checkpoint.id} from {path} instead of {response.previous_model_id}")

    async def _list_keyframes(self, request: Any, response: Any) -> None:
        def look(scene: Scene) -> None:
            keyframes = scene.mapper.keyframes
            response.keyframes = [_keyframe_message(keyframe) for keyframe in keyframes]
            response.map_revision, response.model_id = keyframes.revision, scene.checkpoint.id
            response.map_frame = scene.map_frame

        await self._on_scene(look)

    async def _save_map(self, request: Any, response: Any) -> None:
        path = self._folder.path(request.file, PLY)
        cloud, label_space, map_frame = await self._on_scene(
            lambda scene: (scene.map_cloud(), scene.checkpoint.label_space, scene.map_frame)
        )
        await self._of_files(lambda: write_ply(path, cloud, label_space, map_frame))
        response.path, response.points = str(path), len(cloud)
        self._context.logger.info(f"saved {len(cloud)} points of the map to {path}")

    async def _clear(self, request: Any, response: Any) -> None:
        await self._on_scene(lambda scene: scene.clear())
        response.success, response.message = True, "keyframes and map are empty"

    async def _set_pause(self, request: Any, response: Any) -> None:
        self._context.is_paused = bool(request.data)
        response.success = True
        response.message = "paused: images are ignored, requests answered" if request.data else "running"

    async def _on_scene(self, do: Callable[[Scene], T]) -> T:
        """The result of `do`, called by the worker. Raises SrayError: what it raises, InactiveError, BusyError."""
        return await awaited(self._context.node, self._context.submit(do))

    async def _of_files(self, do: Callable[[], T]) -> T:
        """The result of `do`, called on the thread for files. Raises what it raises, and BusyError."""
        if self._waiting_for_files >= MOST_FILES:
            raise busy()
        self._waiting_for_files += 1
        try:
            return await awaited(self._context.node, self._files.submit(do))
        finally:
            self._waiting_for_files -= 1

    def _answered(
        self, call: Call, handle: Callable[[Any, Any], Awaitable[None]]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        """The service's callback: turns every exception into an answer with a code and a text."""

        async def callback(request: Any, response: Any) -> Any:
            self.answering += 1
            try:
                return await answer(request, response)
            finally:
                self.answering -= 1

        async def answer(request: Any, response: Any) -> Any:
            try:
                if not (self._context.is_active or call is api.PAUSE):  # before a file is looked at
                    raise inactive()
                await handle(request, response)
                return response
            except Exception as failure:
                error = explained(failure, self._context.logger)
            if self._context.health.refused(error, is_hindrance=False):
                self._context.logger.warning(with_code(error))
            refused = type(response)()  # nothing half-filled
            if hasattr(refused, "error_code"):
                refused.error_code, refused.error_text = int(code_of(error)), str(error)
            else:
                refused.success, refused.message = False, with_code(error)
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
