"""Fine-tuning over ROS 2 on a room, scored on views that the node never got.

    make demo-finetune

A generated room that was never in training is recorded as a rosbag2, but for every fifth frame. The mapping is started
through the launch file and gets the bag, with labels; a client in a process of its own looks at the views that were
left out, calls ~/fine_tune, goes on asking for views meanwhile, and looks again.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tyro
from demo_ros import (
    clear_output,
    last_line,
    read_params,
    run,
    standins_in_use,
    start_mapping,
    start_player,
    write_params,
)
from rich.console import Console
from ros_processes import processes

from sray.checkpoint import load_checkpoint
from sray.errors import InternalError, RequestError
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.sequence import Sequence
from sray_train.data.rooms import FIRST_HELD_OUT_SEED, room_folder
from sray_train.tools.bags import BagLayout, write_bag
from sray_train.tools.report.finetune_page import Unseen, strict_miou, write_finetune_page
from sray_train.tools.report.page import Shown

ROOT = Path(__file__).resolve().parents[1]
PRODUCTS = ("bag", "data", "received", "pictures", "logs", "unseen.npz", "report.json", "index.html")
UNSEEN_EVERY, FIRST_UNSEEN = 5, 2
"""Every fifth frame is kept from the node, from the third on: their neighbors see what they show."""


@dataclass
class FineTuneDemo:
    """Fine-tune on a room over ROS 2, and leave scores, pictures and a page."""

    output: Path = Path("out/finetune")
    """Where everything goes; an earlier demo's files in it are replaced."""
    checkpoint: Path = ROOT / "models" / "sray_indoor.safetensors"
    """The model to begin with."""
    seed: int = FIRST_HELD_OUT_SEED
    """Of the generated room; 9000 and up were never in training."""
    frames: int = 40
    width: int = 160
    height: int = 120
    steps: int = 200
    time_limit: float = 540.0
    """Seconds of learning at most."""
    every: float = 4.0
    """Seconds from one view that is asked for during the learning to the next."""
    params: Path = ROOT / "config" / "demo.yaml"
    """The mapper's parameters; it renders on request alone."""

    def main(self) -> int:
        """The exit status: 0 if the new model was accepted."""
        if self.seed < FIRST_HELD_OUT_SEED:
            raise RequestError(
                f"seed {self.seed} may have been in training", f"{FIRST_HELD_OUT_SEED} or more, held-out rooms"
            )
        console = Console(highlight=False)
        checkpoint = load_checkpoint(self.checkpoint)
        folder = room_folder(self.seed, width=self.width, height=self.height, frames=self.frames)
        sequence = Sequence.open(folder, checkpoint.label_space)
        frames = [sequence[position] for position in range(len(sequence))]
        unseen, played = frames[FIRST_UNSEEN::UNSEEN_EVERY], list(frames)
        del played[FIRST_UNSEEN::UNSEEN_EVERY]
        clear_output(self.output, PRODUCTS)
        write_bag(played, self.output / "bag", label_space=checkpoint.label_space)
        camera = unseen[0].camera
        np.savez(
            self.output / "unseen.npz",
            poses=np.stack([frame.camera.world_pose for frame in unseen]),
            intrinsics=camera.intrinsics.double().numpy(),
            size=[camera.width, camera.height],
        )
        console.print(f"room {self.seed}: {len(played)} labeled frames to learn from, {len(unseen)} to judge by")
        self._learn(len(played), console)
        client = json.loads((self.output / "received" / "client.json").read_text())
        views = self._views(unseen)
        report = report_of(client, views, checkpoint.label_space)
        (self.output / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        page = self._write_page(report, client, views, checkpoint.label_space)
        console.print(" ".join(f"{name} {value:.3f}" for name, value in report.items() if isinstance(value, float)))
        console.print(f"page: {page}    report: {self.output / 'report.json'}")
        if not report["accepted"]:
            print(f"demo-finetune: the node kept its model: {client['result']['text']}", file=sys.stderr)
        return 0 if report["accepted"] else 1

    def _learn(self, keyframes: int, console: Console) -> None:
        """Launch, play, and let the client do what there is to do."""
        told = read_params(self.params) | {"trigger": "request", "data_dir": str((self.output / "data").resolve())}
        told["keyframes"] = {"min_translation": 0.0, "min_rotation": 0.0, "min_sharpness": 0.0}
        told["fine_tune"] = {"width": 0}
        with processes(self.output / "logs") as running:
            params = write_params(told, self.output / "logs" / "semantic_mapper.yaml")
            launch = start_mapping(running, params, self.checkpoint, f"labels:={BagLayout().labels}")
            player = start_player(running, self.output / "bag", lockstep_timeout=60.0)
            client = running.start(
                "client",
                sys.executable, ROOT / "scripts" / "demo_finetune_client.py", self.output.resolve(),
                "--keyframes", str(keyframes), "--steps", str(self.steps), "--time-limit", str(self.time_limit),
                "--every", str(self.every),
            )  # fmt: skip
            with console.status("starting") as status:
                while client.poll() is None:
                    self._check(launch, "launch", running.log("launch"))
                    if player.poll():
                        self._check(player, "player", running.log("player"))
                    lines = running.log("client").read_text(errors="replace").splitlines()
                    status.update(lines[-1] if lines else "the node gets the room's pictures and labels")
                    time.sleep(0.5)
            if client.returncode:
                raise InternalError(f"no fine-tuning: {last_line(running.log('client').read_text())}")

    @staticmethod
    def _check(process: subprocess.Popen[bytes], name: str, log: Path) -> None:
        if process.poll() is not None:
            raise InternalError(f"{name} ended early: {last_line(log.read_text())}")

    def _views(self, frames: list[Frame]) -> list[Unseen]:
        def read(when: str, kind: str, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
            path = self.output / "received" / when / f"{kind}_{index}.png"
            picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert picture is not None, path
            return picture[..., ::-1] if picture.ndim == 3 else picture  # type: ignore[return-value]

        views = []
        for index, frame in enumerate(frames):
            assert frame.labels is not None, "rooms are labeled"
            pictures = [read(when, kind, index) for kind in ("label", "color") for when in ("before", "after")]
            views.append(Unseen(frame.image.numpy(), frame.labels.numpy(), *pictures))
        return views

    def _write_page(
        self, report: dict[str, Any], client: dict[str, Any], views: list[Unseen], space: LabelSpace
    ) -> Path:
        result, seconds = client["result"], client["render_seconds"]
        tiles = [
            (f"{report['before']:.3f}", "strict mIoU before", f"{len(views)} views that nobody learned from"),
            (f"{report['after']:.3f}", "strict mIoU after", "the same views"),
            (f"{report['seconds']:.0f} s", "from asking to rendering with the new model", f"{report['steps']} steps"),
            (f"{report['slowdown']:.1f}x", "slower rendering meanwhile", f"{report['renders_during']} views rendered"),
        ]
        facts = {
            "how it ended": result["text"],
            "model before": result["parent_id"],
            "model after": result["model_id"],
            "file in data_dir": result["file"],
            "seconds a view, before": f"{statistics.median(seconds['before']):.2f} (median)",
            "seconds a view, meanwhile": f"{statistics.median(seconds['meanwhile']):.2f} (median), asked for every "
            f"{self.every:g} s at most",
            "input": f"RGB, {self.width}x{self.height}; labels are the room's own",
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            "stand-ins": ", ".join(standins_in_use()) or "none: all packages are the official ones",
        }
        keyframes = len(result["taught_by"]) + len(result["held_out"])
        curve = Shown("received/curve.png", "the node's own picture", "held-out score and losses over the steps")
        return write_finetune_page(
            self.output,
            "The node learns the room it is in",
            f"Generated room {self.seed}, never in training. The node got {keyframes} labeled pictures of it over "
            "ROS 2 and was asked to fine-tune.",
            views,
            space,
            tiles,
            [curve],
            facts,
            keyframes,
            len(result["held_out"]),
        )


def report_of(client: dict[str, Any], views: list[Unseen], space: LabelSpace) -> dict[str, Any]:
    """What `report.json` holds. `slowdown`: median seconds a view took while the node learned, over before."""
    result, seconds = client["result"], client["render_seconds"]
    return {
        "before": strict_miou([(view.before, view.truth) for view in views], space),
        "after": strict_miou([(view.after, view.truth) for view in views], space),
        "steps": result["steps"],
        "seconds": result["seconds"],
        "accepted": result["accepted"],
        "renders_during": result["renders"],
        "slowdown": statistics.median(seconds["meanwhile"]) / statistics.median(seconds["before"]),
    }


def main() -> int:
    return run("demo-finetune", lambda: tyro.cli(FineTuneDemo, description=__doc__).main())


if __name__ == "__main__":
    sys.exit(main())
