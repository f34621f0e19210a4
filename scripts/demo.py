"""The demo: a camera stream over ROS 2 into the mapper, a semantic map out, with scores and a page.

    make demo                        a generated room that was never in training
    make demo SEQUENCE=<folder>      a posed recording in any layout that `sray bag` reads, with or without labels; its
                                     depth is used where it has any (DEPTH=0: left out)

The recording becomes a rosbag2; the mapping is started through the launch file; the bag is played in lockstep by
another process, and a third one records what comes back over DDS. It leaves no process behind; with VIEW=1 it ends
with Ctrl-C.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tyro
from demo_results import complaint_about, read_run, table_of, write_truth
from demo_ros import (
    await_recorder,
    clear_output,
    last_line,
    read_params,
    run,
    standins_in_use,
    start_mapping,
    start_player,
    write_params,
)
from demo_view import SCENE, SESSION, leave_something_to_look_at, look_around
from numpy.typing import NDArray
from rich.console import Console
from ros_processes import Processes, processes

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.errors import InternalError, RequestError
from sray.frames import Frame
from sray.mapping.cloud import write_ply
from sray.sequence import Sequence
from sray_train.data.rooms import FIRST_HELD_OUT_SEED, room_folder
from sray_train.data.scannet import open_scannet
from sray_train.data.scene import Recording
from sray_train.tools.bags import write_bag
from sray_train.tools.bags.converting import open_scene
from sray_train.tools.report.demo_page import write_page

ROOT = Path(__file__).resolve().parents[1]
PRODUCTS = (
    "bag", "labels", "truth", "pictures", "received", "logs", "report.json", "index.html", "map.ply", SESSION, SCENE,
)  # fmt: skip
STAGE_NAMES = ("read the recording", "write the bag", "start the mapping", "play and map", "stop")
WIDEST_RENDER = 200
WIDEST_STEP = 0.25
"""Meters between neighboring frames that are played."""
SAMPLED_POSES = 300
AFTERWARDS = 45.0
"""Seconds kept back for stopping and for the page when the time limit ends the playing."""


@dataclass
class Demo:
    """Run the mapper on a recording over ROS 2 and leave scores, pictures and a page."""

    output: Path = Path("out/demo")
    """Where everything goes; an earlier demo's files in it are replaced."""
    sequence: Path | None = None
    """A posed recording, in any layout that `sray bag` reads; none: a generated room."""
    checkpoint: Path = ROOT / "models" / "sray_indoor.safetensors"
    """The model."""
    seed: int = FIRST_HELD_OUT_SEED
    """Of the generated room; 9000 and up were never in training."""
    frames: int = 40
    """Frames at most; a longer recording is thinned, and cut where neighbors would lie too far apart."""
    depth: bool = True
    """Of --sequence: its depth, where it has any, guides the rendering. For a generated room `params` decides
    (depth.use); as delivered it is mapped from RGB alone."""
    render_width: int = 0
    """Columns of the rendered views; 0: the recording's, halved until no more than 200."""
    time_limit: float = 720.0
    """Seconds in all; when they are over, playing stops and what has come out is reported."""
    params: Path = ROOT / "config" / "demo.yaml"
    """The mapper's parameters."""
    view: bool = False
    """Afterwards, look around in what was mapped with a browser, until Ctrl-C."""
    view_port: int = 8080
    """Port of that page."""
    stages: tyro.conf.Suppress[dict[str, float]] = field(default_factory=dict)

    def main(self) -> int:
        """The exit status: 0 only if labels came out and, where there is ground truth, were scored."""
        begun = time.monotonic()
        console = Console(highlight=False)
        checkpoint = load_checkpoint(self.checkpoint)
        read_params(self.params)
        with self._timed("read the recording"):
            recording, source = self._recording(checkpoint)
            positions = chosen(recording.cameras.center.numpy(), self.frames)
            frames = [recording[position] for position in positions]
            if len(frames) < len(recording):
                source += f"; played: every {ordinal(positions.step)} of the first {positions[-1] + 1}"
        source += f"; {'RGB-D: its depth is used' if self._uses_depth(frames) else 'RGB: no depth is used'}"
        has_labels = any(frame.labels is not None for frame in frames)
        clear_output(self.output, PRODUCTS)
        with self._timed("write the bag"):
            write_bag(frames, self.output / "bag", label_space=checkpoint.label_space)
        console.print(f"{source}; {len(frames)} frames in {self.output / 'bag'}")
        played, cut_short = self._map(frames, begun + self.time_limit - AFTERWARDS, console)
        write_truth(self.output, frames)
        run = read_run(
            self.output,
            frames,
            checkpoint,
            title=f"Semantic map of {'a room it has never seen' if self.sequence is None else recording.name}",
            source=source,
            frames_played=played,
            standins=standins_in_use(),
            stages={name: self.stages[name] for name in STAGE_NAMES},
            facts=self._facts(frames),
            caveats=self._caveats(checkpoint, has_labels, cut_short),
        )
        write_ply(self.output / "map.ply", run.map, checkpoint.label_space)
        run.write_report(self.output / "report.json")
        left = leave_something_to_look_at(self.output, checkpoint)
        if isinstance(left, str):
            console.print(f"nothing to look around in: {left}")
        else:
            run = replace(run, look_around=left)
        page = write_page(run, self.output)
        complaint = complaint_about(run, len(frames), has_labels)
        console.print(table_of(run))
        console.print(
            f"page: {page}    report: {self.output / 'report.json'}    {time.monotonic() - begun:.0f} s in all"
        )
        if complaint:
            print(f"demo: {complaint}; see {self.output / 'logs'}", file=sys.stderr)
        elif self.view:
            look_around(self.output, self.checkpoint, self.view_port)
        return 1 if complaint else 0

    def _recording(self, checkpoint: Checkpoint) -> tuple[Recording, str]:
        space = checkpoint.label_space
        if self.sequence is not None:
            recording: Recording
            if (self.sequence / "color").is_dir():
                recording = open_scannet(self.sequence, space)
            else:
                recording = open_scene(self.sequence, "auto", space.name, "auto")
            left_out = "".join(f", {len(numbers)} left out: {why}" for why, numbers in recording.skipped.items())
            return recording, f"{recording.name}: {len(recording)} frames{left_out}"
        if self.seed < FIRST_HELD_OUT_SEED:
            raise RequestError(
                f"seed {self.seed} may have been in training", f"{FIRST_HELD_OUT_SEED} or more, held-out rooms"
            )
        folder = room_folder(self.seed, width=320, height=240, frames=self.frames)
        return Sequence.open(folder, space), f"Generated room {self.seed}, never in training"

    def _map(self, frames: list[Frame], deadline: float, console: Console) -> tuple[int, bool]:
        """Launch, record, play. Returns the frames played and whether time ended it early."""
        width, height = self._render_size(frames[0])
        with processes(self.output / "logs") as running:
            with self._timed("start the mapping"):
                launch = start_mapping(running, self._params(frames, width, height), self.checkpoint)
                running.start("recorder", sys.executable, ROOT / "scripts" / "demo_recorder.py", self.output)
                await_recorder(running, launch, min(deadline, time.monotonic() + 120))
            with self._timed("play and map"):
                player = start_player(running, self.output / "bag", lockstep_timeout=150.0)
                cut_short = self._watch(running, launch, player, deadline, len(frames), console)
                # The map is published once a second, the diagnostics too: the last ones belong to the last frame.
                time.sleep(2.5)
            with self._timed("stop"):
                running.stop("player")
                running.stop("recorder")
                running.stop("launch")
        text = running.log("player").read_text(errors="replace")
        counted = re.search(r"played (\d+) pictures", text)
        if player.returncode and not cut_short:
            raise InternalError(f"the bag was not played to its end: {last_line(text)}")
        return int(counted.group(1)) if counted else 0, cut_short

    def _watch(
        self,
        running: Processes,
        launch: subprocess.Popen[bytes],
        player: subprocess.Popen[bytes],
        deadline: float,
        total: int,
        console: Console,
    ) -> bool:
        """Wait for the player with a word of progress; True if time was over first."""
        with console.status("playing") as status:
            while player.poll() is None:
                if launch.poll() is not None:
                    raise InternalError(f"the mapping ended early: {last_line(running.log('launch').read_text())}")
                if time.monotonic() > deadline:
                    return True
                done = len(list((self.output / "labels").glob("*.png")))
                status.update(
                    f"{done} label images so far, of at most {total}; {deadline - time.monotonic():.0f} s left"
                )
                time.sleep(0.5)
        return False

    def _uses_depth(self, frames: list[Frame]) -> bool:
        asked = self.depth if self.sequence is not None else read_params(self.params).get("depth", {}).get("use", True)
        return asked and any(frame.depth is not None for frame in frames)

    def _params(self, frames: list[Frame], width: int, height: int) -> Path:
        """The parameter file with size and depth filled in, kept with the results."""
        told = read_params(self.params)
        told["depth"] = {**told.get("depth", {}), "use": self._uses_depth(frames)}
        told["render"] = {**told.get("render", {}), "width": width, "height": height}
        # What was mapped is saved when the mapper ends, to be looked at.
        told["data_dir"] = str(self.output.resolve())
        told["session"] = {**told.get("session", {}), "autosave": SESSION.removesuffix(".safetensors")}
        return write_params(told, self.output / "logs" / "semantic_mapper.yaml")

    def _render_size(self, frame: Frame) -> tuple[int, int]:
        width, height = frame.camera.width, frame.camera.height
        if self.render_width:
            return self.render_width, max(1, round(height * self.render_width / width))
        scale = 1
        while width / scale > WIDEST_RENDER:
            scale *= 2
        return round(width / scale), round(height / scale)

    def _facts(self, frames: list[Frame]) -> dict[str, str]:
        width, height = self._render_size(frames[0])
        told = read_params(self.params)
        size = f"{frames[0].camera.width}x{frames[0].camera.height}"
        return {
            "input": f"{'RGB-D' if self._uses_depth(frames) else 'RGB'}, {size}",
            "rendered at": f"{width}x{height}, quality {told.get('render', {}).get('quality', 'as the node has it')}",
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        }

    def _caveats(self, checkpoint: Checkpoint, has_labels: bool, cut_short: bool) -> tuple[str, ...]:
        caveats = []
        if self.sequence is not None and checkpoint.lineage.get("taught_by") == "generated rooms alone":
            caveats.append(
                "This model was trained on generated rooms alone. On real pictures its colors and its geometry can be "
                "judged; its labels are guesses, however sure they look."
            )
        if not has_labels:
            caveats.append("The recording has no ground truth, so no label was scored.")
        if cut_short:
            caveats.append(f"The time limit of {self.time_limit:.0f} s ended the run before its last frame.")
        return tuple(caveats)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.stages[stage] = time.monotonic() - begun


def chosen(centers: NDArray[np.floating], most: int) -> range:
    """Which frames to play, at most `most`, of cameras at `centers` (frames, 3; meters).

    Every n-th, with the smallest n that covers the whole recording.
    Neighbors farther apart than WIDEST_STEP would share too little to reason across views: a long recording is then
    played from its start as far as `most` frames reach.
    """
    length = len(centers)
    stride = max(1, -(-length // most))
    if stride > 1:
        steps = np.linalg.norm(np.diff(centers[:SAMPLED_POSES], axis=0), axis=1)
        stride = max(1, min(stride, int(WIDEST_STEP / max(1e-6, float(np.median(steps))))))
    return range(0, min(length, most * stride), stride)


def ordinal(number: int) -> str:
    return {1: "frame", 2: "2nd frame", 3: "3rd frame"}.get(number, f"{number}th frame")


def main() -> int:
    return run("demo", lambda: tyro.cli(Demo, description=__doc__).main())


if __name__ == "__main__":
    sys.exit(main())
