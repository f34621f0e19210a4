"""The tabs of what can be done: fine-tune the model, save what was mapped, change how views are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from viser import ClientHandle, uplot

from sray.errors import RequestError, SrayError
from sray.mapping.adaptation import AdaptationConfig
from sray.viewing.camera_path import fly_between
from sray.viewing.export import scene_page
from sray.viewing.panel import reported
from sray.viewing.source import Quality, Settings, Source, Tuning
from sray.viewing.video import path_video
from sray.viewing.visitor import FULL_ROWS, Visitor, notify

if TYPE_CHECKING:
    from sray.viewing.viewer import Viewer

QUALITIES: tuple[Quality, ...] = ("fast", "balanced", "high", "reference")


class LearnTab:
    """Fine-tuning: begin, watch, stop; the model before it, and the tuned one again."""

    def __init__(self, client: ClientHandle, source: Source) -> None:
        self._source = source
        self._client = client
        gui = client.gui
        gui.add_markdown(
            "The model learns from the keyframes. It takes over only if it is better on some that taught nothing."
        )
        steps = gui.add_number("Steps", AdaptationConfig.steps, min=1, max=100_000, step=1)
        minutes = gui.add_number("Minutes at most", AdaptationConfig.time_limit / 60, min=0.1, max=1440.0, step=0.1)
        self._start = gui.add_button("Start fine-tuning")
        self._stop = gui.add_button("Stop", disabled=True)
        self._text = gui.add_markdown("")
        self._before = gui.add_button("Back to the model before", disabled=True)
        self._tuned = gui.add_button("Take the fine-tuned model", disabled=True)
        self._plots: dict[str, Any] = {}
        self._shown: Tuning | None = None

        def start() -> None:
            source.tune(int(steps.value), 60 * float(minutes.value))

        def use(which: Any) -> str:
            source.use_model(which)
            return "it renders from now on"

        self._start.on_click(reported(client, "Fine-tuning", start))
        self._stop.on_click(reported(client, "Fine-tuning", source.stop_tuning))
        self._before.on_click(reported(client, "The model before", lambda: use("before")))
        self._tuned.on_click(reported(client, "The fine-tuned model", lambda: use("tuned")))

    def refresh(self) -> None:
        now = self._source.tuning()
        if now == self._shown:
            return
        self._shown = now
        is_running = now.state == "running"
        self._start.disabled, self._stop.disabled = is_running, not is_running
        self._before.disabled, self._tuned.disabled = not now.can_go_back, not now.can_go_on
        self._text.content = now.text if now.state == "idle" else f"**{now.state}**: {now.text}"
        self._plot(now.score_name, now.scores, "#1f77b4")
        self._plot("loss", now.losses, "#d62728")

    def _plot(self, name: str, points: tuple[tuple[int, float], ...], color: str) -> None:
        if len(points) < 2:
            return
        steps, values = np.array(points, np.float64).T
        data = (np.ascontiguousarray(steps), np.ascontiguousarray(values))
        if name in self._plots:
            self._plots[name].data = data
            return
        self._plots[name] = self._client.gui.add_uplot(
            data,
            (uplot.Series(label="step"), uplot.Series(label=name, stroke=color, width=2)),
            title=name,
            scales={"x": uplot.Scale(time=False, auto=True), "y": uplot.Scale(auto=True)},
            height=160,
        )


class SaveTab:
    """Session, map, a path as video, and the page that opens without a server."""

    def __init__(self, client: ClientHandle, visitor: Visitor, viewer: Viewer) -> None:
        self._client = client
        self._visitor = visitor
        self._viewer = viewer
        gui, source = client.gui, visitor.source
        name = gui.add_text("Name", "session")
        session = gui.add_button("Save session", hint="Keyframes and map, to go on from")
        session.on_click(reported(client, "Save session", lambda: source.save_session(name.value)))
        points = gui.add_button("Save map (PLY)")
        points.on_click(reported(client, "Save map", lambda: source.save_map(name.value)))
        page = gui.add_button("Download page", hint="The map as one HTML file that opens without a server")
        page.on_click(reported(client, "Download page", lambda: self._page(name.value)))
        self._stops: list[Any] = []
        with gui.add_folder("Video of a path"):
            self._told = gui.add_markdown("Fly somewhere, add the view, and again; then make the video.")
            add = gui.add_button("Add this view")
            add.on_click(reported(client, "Add this view", self._add))
            clear = gui.add_button("Forget the views")
            clear.on_click(reported(client, "Forget the views", self._clear))
            seconds = gui.add_number("Seconds from view to view", 2.0, min=0.2, max=60.0, step=0.1)
            self._make = gui.add_button("Make the video", disabled=True)
            self._bar = gui.add_progress_bar(0.0, visible=False)
            self._make.on_click(reported(client, "Video", lambda: self._video(name.value, float(seconds.value))))

    def _page(self, name: str) -> None:
        self._client.send_file_download(f"{name or 'scene'}.html", scene_page(self._viewer).encode())

    def _add(self) -> None:
        self._stops.append(self._visitor.camera())
        self._count()

    def _clear(self) -> None:
        self._stops.clear()
        self._count()

    def _count(self) -> None:
        self._told.content = f"{len(self._stops)} views; a video needs two."
        self._make.disabled = len(self._stops) < 2

    def _video(self, name: str, seconds: float) -> str:
        visitor = self._visitor
        if visitor.shown == "map":
            raise RequestError("a video shows pictures, and the map is shown", "another choice in the tab View")
        self._make.disabled, self._bar.visible = True, True
        try:
            # All of the shape of the first: the window may have changed.
            stops = [stop.resized(self._stops[0].width, self._stops[0].height) for stop in self._stops]
            content = path_video(
                visitor.source,
                fly_between(stops, seconds),
                visitor.shown,
                visitor.hidden,
                on_progress=lambda share: setattr(self._bar, "value", 100 * share),
                canceled=lambda: not visitor.is_open,
            )
        finally:
            self._make.disabled, self._bar.visible = False, False
        self._client.send_file_download(f"{name or 'path'}.mp4", content)
        return f"{len(content) / 1e6:.1f} MB, ready to be saved"


class SettingsFolder:
    """How views are rendered. The first three hold for everybody who asks the source."""

    def __init__(self, client: ClientHandle, visitor: Visitor) -> None:
        self._visitor = visitor
        gui, source = client.gui, visitor.source
        now = source.settings()
        with gui.add_folder("Settings", expand_by_default=False):
            quality = gui.add_dropdown("Quality", QUALITIES, initial_value=now.quality)
            latency = None
            if now.max_latency is not None:
                latency = gui.add_number(
                    "Latency at most (s)", now.max_latency, min=0.0, max=60.0, step=0.1, hint="0: no limit"
                )
            confidence = gui.add_slider("Least confidence", 0.0, 1.0, 0.01, now.min_confidence)
            rows = gui.add_dropdown("Full picture", tuple(FULL_ROWS), initial_value="medium (240 rows)")
            self._latency = gui.add_markdown("")

        def change(_: Any) -> None:
            bound = None if latency is None else float(latency.value)
            wanted = Settings(quality.value, bound, float(confidence.value))
            try:
                source.change(wanted)
            except SrayError as error:
                notify(client, "Settings", str(error), is_error=True)
            visitor.look()

        def resize(_: Any) -> None:
            visitor.rows = FULL_ROWS[rows.value]
            visitor.look()

        for part in (quality, latency, confidence):
            if part is not None:
                part.on_update(change)
        rows.on_update(resize)

    def refresh(self) -> None:
        """How long pictures took."""
        latency = self._visitor.painter.latency
        parts = [
            f"{name} {np.median(values):.2f} s (95 % within {np.percentile(values, 95):.2f} s)"
            for name, values in (("small pictures", [*latency.preview]), ("full pictures", [*latency.full]))
            if values
        ]
        text = "From the camera's move to the picture: " + ", ".join(parts) if parts else ""
        if text != self._latency.content:
            self._latency.content = text
