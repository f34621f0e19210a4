"""Viewer: serves a source to browsers. One thread looks for news of the source; each browser has a painter."""

from __future__ import annotations

import io
import logging
import threading
import time
from contextlib import redirect_stdout
from types import TracebackType
from typing import Any

import numpy as np
import torch

from sray.camera import Camera, up_of
from sray.errors import BusyError
from sray.origin import WORLD, Origin
from sray.viewing.extra import check_port, import_viser
from sray.viewing.source import Source

PERIOD = 0.5
"""Seconds between two looks for news: a map that grows is sent twice a second at most."""
BUSY_SHARE = 0.25
"""Of the time, spent on sending a large map, at most."""
DEFAULT_UP = (0.0, 0.0, 1.0)
OVERHEAD = "ceiling"
"""The class that hides a room from outside."""

_log = logging.getLogger(__name__)


class Viewer:
    """Open from its construction until `close`. A context manager."""

    def __init__(self, source: Source, host: str = "127.0.0.1", port: int = 8080) -> None:
        """`port` 0: any that is free. Raises FileError without viser; BusyError if the port is taken; RequestError
        for an address that this machine does not have."""
        viser = import_viser()
        from sray.viewing.scene import SharedScene

        check_port(host, port)
        self.source = source
        with _silent():
            self._server = viser.ViserServer(host, port, label=source.title, verbose=False)
        if port and self._server.get_port() != port:
            self._end_server()
            raise BusyError(f"port {port} of {host} was taken by another program just now", "a free one", "Try again")
        # A page of this machine must not be published on the internet at a browser's word.
        self._server.gui.configure_theme(show_share_button=False, show_logo=False, control_width="large")
        self._server.request_share_url = lambda *_, **__: None
        self._visitors: dict[int, Any] = {}
        self._lock = threading.Lock()
        """Of `_visitors`: browsers come and go on the server's threads."""
        self._scene = SharedScene(self._server, source, self._wants_colors)
        self._drawing = threading.Lock()
        """Of `_scene`."""
        self._up: np.ndarray | None = None
        self._revision = source.status().revision
        self._stop = threading.Event()
        self._server.on_client_connect(self._on_connect)
        self._server.on_client_disconnect(self._on_disconnect)
        self._thread = threading.Thread(target=self._follow, name="viewer", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        host = self._server.get_host()
        return f"http://{'localhost' if host in ('0.0.0.0', '127.0.0.1') else host}:{self._server.get_port()}"

    @property
    def visitors(self) -> list[Any]:
        """The browsers that are connected: `Panel`s."""
        with self._lock:
            return list(self._visitors.values())

    def close(self) -> None:
        """Browsers keep what they show, and connect again when a viewer runs at this port. The source stays open."""
        self._stop.set()
        self._thread.join(10)
        for panel in self.visitors:
            panel.close()
        self._end_server()

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> dict[int, int]:
        """Voxels of each class in the map as it is shown."""
        return self._scene.counts

    def html(self) -> str:
        """The scene as one page that needs no server, seen from outside, without the class that would hide it."""
        with self._drawing:
            while self._scene.update():
                pass
            position, look_at = self.overview()
            start = self._server.initial_camera
            start.up, start.position, start.look_at = (tuple(part.tolist()) for part in (self.up, position, look_at))
            with self._scene.without(OVERHEAD):
                return str(self._server.scene.as_html())

    @property
    def up(self) -> np.ndarray:
        """Against gravity, as the cameras were held."""
        return np.array(DEFAULT_UP) if self._up is None else self._up

    def start_camera(self) -> Camera | None:
        """Where a browser begins: the keyframe from whose picture most of the map is seen; None without any."""
        keyframes = self.source.keyframes()
        if not keyframes:
            return None
        points = torch.from_numpy(self._scene.sample())
        if not len(points):
            return keyframes[len(keyframes) // 2].camera
        seen = [int(each.camera.relative_to(self.origin).project(points).seen.sum()) for each in keyframes]
        return keyframes[int(np.argmax(seen))].camera

    @property
    def origin(self) -> Origin:
        """Of the frame that browsers draw in."""
        return WORLD if self._scene.origin is None else self._scene.origin

    def overview(self) -> tuple[np.ndarray, np.ndarray]:
        """Where to stand, and what to look at, to see the whole map from outside and above."""
        points = self._scene.sample()
        if not len(points):
            return 3 * self.up + np.array([3.0, 3.0, 3.0]) * (1 - np.abs(self.up)), np.zeros(3)
        low, high = np.percentile(points, (5, 95), axis=0)
        size = float(np.linalg.norm(high - low))
        aside = np.array([1.0, 1.0, 1.0]) * (self.up == 0)
        middle = (low + high) / 2
        return middle + size * (0.9 * self.up + 0.45 * aside), middle

    def _end_server(self) -> None:
        with _silent():
            self._server.stop()

    def _wants_colors(self) -> bool:
        return any(panel.visitor.wants_colors for panel in self.visitors)

    def _on_connect(self, client: Any) -> None:
        from sray.viewing.panel import Panel

        panel = Panel(client, self)
        with self._lock:
            self._visitors[client.client_id] = panel

    def _on_disconnect(self, client: Any) -> None:
        with self._lock:
            panel = self._visitors.pop(client.client_id, None)
        if panel is not None:
            panel.close()

    def _follow(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            begun = time.monotonic()
            try:
                self._look_for_news()
            except Exception:
                _log.exception("the viewer could not show what is new; it tries again")
            pause = max(PERIOD, (time.monotonic() - begun) * (1 / BUSY_SHARE - 1))

    def _look_for_news(self) -> None:
        with self._drawing:
            self._scene.update()
        keyframes = self.source.keyframes()
        if keyframes and self._up is None:
            self._up = up_of(torch.stack([each.camera.world_from_camera for each in keyframes]).double().numpy())
            self._server.scene.set_up_direction(tuple(self._up))
        status = self.source.status()
        is_other = status.revision != self._revision
        self._revision = status.revision
        for panel in self.visitors:
            panel.refresh(self._scene.counts)
            if is_other:
                panel.visitor.look()


def _silent() -> redirect_stdout[io.StringIO]:
    """viser prints an address when it starts, also that of a page which only an export needs, and a word when it stops.

    Whoever makes a viewer says where it is.
    """
    return redirect_stdout(io.StringIO())
