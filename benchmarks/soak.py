"""An hour of the real mapper over a looped recording: does its memory stay where it is?

    nice .venv/bin/python benchmarks/soak.py --folder out/soak --plot docs/performance/soak.png

A generated room plays in a loop, so the clock jumps back at every turn; every frame becomes a keyframe and is
rendered, and keyframes leave again. A sample goes into FOLDER/samples.jsonl every ten seconds. Stopped early, it goes
on where it stopped when run again: with a new mapper, whose memory gets a level of its own in the fit. Exit status 0
unless something grows or stands still.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from measuring import REPOSITORY, facts, write
from memory_trend import Trend, trend
from numpy.typing import NDArray
from process_facts import footprint
from ros_rig import MAPPER, Rig
from soak_plot import plot

from sray.sequence import Sequence
from sray_ros.mapper.api import OF_A_VIEW, OF_THE_STATE
from sray_train.data.rooms import FIRST_HELD_OUT_SEED, room_folder
from sray_train.tools.bags import BagLayout, write_bag

FRAMES, WIDTH, HEIGHT = 40, 160, 120
STEADY = ("threads", "open_files", "segments")
"""What must not be more in the second half of a run than in the first."""

LONGEST_PAUSE = 60.0
"""Seconds without a render after which the soak has failed."""


@dataclass
class Soak:
    """Play a room in a loop through the mapper, and watch its memory."""

    folder: Path = REPOSITORY / "out" / "soak"
    """Samples, logs and the bag. An unfinished soak in it goes on."""
    minutes: float = 60.0
    """In all, over every run in the folder."""
    pace: Literal["lockstep", "10 Hz"] = "lockstep"
    """Each frame waits for the last one to be rendered, or they come regardless."""
    period: float = 10.0
    """Seconds between samples."""
    warm_up: float = 300.0
    """Seconds of each run that are left out of the fit at least; the first half always is."""
    limit: float = 5.0
    """MB an hour that count as flat: 120 a day."""
    json: Path | None = None
    """Where the record goes."""
    plot: Path | None = None
    """Where the picture goes."""


def main(soak: Soak) -> int:
    soak.folder.mkdir(parents=True, exist_ok=True)
    record = facts("does the mapper's memory stay flat over a looped recording?", 1)
    samples_file = soak.folder / "samples.jsonl"
    check_settings(soak)
    runs = read_runs(samples_file)
    left = 60 * soak.minutes - sum(run[-1]["seconds"] for run in runs)
    if left > soak.period:
        print(f"{left / 60:.1f} minutes to go; samples in {samples_file}", flush=True)
        with samples_file.open("a") as lines:
            for sample in watched(soak, left, run=len(runs)):
                lines.write(json.dumps(sample) + "\n")
                lines.flush()
                print(line(sample), flush=True)
        runs = read_runs(samples_file)
    result = judged(soak, runs)
    write(soak.json, record | {"settings": settings(soak)} | result)
    if soak.plot is not None and runs:
        plot(runs, result, soak.plot)
        print(f"plot: {soak.plot}")
    print(in_words(result, soak.limit))
    stood_still = result["longest_pause_s"] > LONGEST_PAUSE
    return 1 if result["verdict"] == "grows" or result["grew"] or stood_still else 0


def watched(soak: Soak, seconds: float, run: int) -> Iterator[dict[str, Any]]:
    """Samples of one mapper, for so long or until SIGINT or SIGTERM. Raises SystemExit if the mapper or player ends."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    bag = soak.folder / "bag"
    if not bag.exists():
        write_bag(iter(Sequence.open(room_folder(FIRST_HELD_OUT_SEED, width=WIDTH, height=HEIGHT, frames=FRAMES))), bag)
    layout = BagLayout()
    remappings = [f"image:={layout.image}", f"camera_info:={layout.camera_info}", f"depth:={layout.depth}"]
    with Rig(soak.folder / "logs") as rig:
        listen(rig)
        mapper = rig.start_mapper(
            *(part for remapping in remappings for part in ("-r", remapping)),
            use_sim_time=True, model__device="cpu", trigger="timer", keyframes__capacity=24,
            keyframes__min_translation=0.0, keyframes__min_rotation=0.0, keyframes__min_sharpness=0.0,
        )  # fmt: skip
        in_lockstep = soak.pace == "lockstep"
        player = rig.start(
            "sequence_player", "-r", f"handled:=/{MAPPER}/handled",
            bag=bag.resolve(), image_topic=layout.image, loop=True, lockstep=in_lockstep,
            rate=100.0 if in_lockstep else 10 / frames_per_second(bag),
        )  # fmt: skip
        begun = time.monotonic()
        while not stop.wait(soak.period):
            for name, process in (("mapper", mapper), ("player", player)):
                if process.poll() is not None:
                    raise SystemExit(f"error: the {name} ended with {process.returncode}; see {soak.folder / 'logs'}")
            now = time.monotonic() - begun
            yield {
                "run": run,
                "seconds": round(now, 1),
                **footprint(mapper.pid),
                "loops": rig.log("sequence_player").read_text(errors="replace").count("starting again"),
                **{name: int(rig.facts.get(name, 0)) for name in ("renders", "keyframes", "voxels", "images received")},
                "render_s": float(rig.facts.get("last render seconds", "nan")),
                "latency_s": rig.facts.get("latency seconds (median)"),
                "refusals": {name: value for name, value in rig.facts.items() if name.startswith("refused")},
            }
            if now >= seconds:
                return


def listen(rig: Rig) -> None:
    """Somebody hears every topic that costs time: only then it is made."""
    for topic in (*OF_A_VIEW, *OF_THE_STATE):
        name = topic.name.replace("~", f"/{MAPPER}")
        rig.node.create_subscription(topic.type, name, lambda _: None, topic.qos, raw=True)


def frames_per_second(bag: Path) -> float:
    from rosbags.rosbag2 import Reader

    with Reader(bag) as reader:
        return (FRAMES - 1) / (reader.duration / 1e9)


def settings(soak: Soak) -> dict[str, Any]:
    return {"pace": soak.pace, "period": soak.period, "seed": FIRST_HELD_OUT_SEED, "frames": FRAMES, "width": WIDTH}


def check_settings(soak: Soak) -> None:
    """Raises SystemExit if the folder holds a soak of another kind."""
    path = soak.folder / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings(soak):
        raise SystemExit(f"error: {path} is of another soak; expected {settings(soak)}. Name another --folder")
    path.write_text(json.dumps(settings(soak)) + "\n")


def read_runs(path: Path) -> list[list[dict[str, Any]]]:
    """The samples, a list for each mapper. A last line cut off by a kill is left out."""
    runs: dict[int, list[dict[str, Any]]] = {}
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            sample = json.loads(text)
        except json.JSONDecodeError:
            continue
        runs.setdefault(sample["run"], []).append(sample)
    return list(runs.values())


def judged(soak: Soak, runs: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """The verdict on memory, what else grew, and the figures."""
    last = [run[-1] for run in runs]
    try:
        # What no file backs: how much of the libraries counts as ours changes with whoever else has them loaded.
        fitted: Trend | None = trend(
            [(column(run, "seconds"), column(run, "anonymous_mb")) for run in runs], soak.warm_up
        )
    except ValueError as too_short:
        print(too_short)
        fitted = None
    grew = []
    for run in runs:
        half = run[-1]["seconds"] / 2
        early, late = ([s for s in run if (s["seconds"] >= half) is is_late] for is_late in (False, True))
        grew += [key for key in STEADY if early and max(s[key] for s in late) > max(s[key] for s in early)]
    return {
        "verdict": fitted.verdict(soak.limit) if fitted else "undecided",
        "limit_mb_per_hour": soak.limit,
        "warm_up": soak.warm_up,
        "trend": asdict(fitted) if fitted else None,
        "grew": sorted(set(grew)),
        "longest_pause_s": max((longest_pause(run) for run in runs), default=0.0),
        "minutes": round(sum(s["seconds"] for s in last) / 60, 1),
        "runs": len(runs),
        "loops": sum(s["loops"] for s in last),
        "renders": sum(s["renders"] for s in last),
        "last": last[-1] if last else None,
    }


def longest_pause(run: list[dict[str, Any]]) -> float:
    """Seconds between samples in which nothing was rendered: a mapper that stands still leaks nothing either."""
    longest, last = 0.0, run[0]
    for sample in run:
        if sample["renders"] > last["renders"]:
            last = sample
        longest = max(longest, sample["seconds"] - last["seconds"])
    return round(longest, 1)


def column(run: list[dict[str, Any]], key: str) -> NDArray[np.float64]:
    return np.array([sample[key] for sample in run], np.float64)


def line(sample: dict[str, Any]) -> str:
    return (
        f"{sample['seconds'] / 60:6.1f} min  {sample['pss_mb']:7.1f} MB  {sample['threads']} threads  "
        f"{sample['open_files']} files  {sample['segments']} segments  {sample['keyframes']} keyframes  "
        f"{sample['voxels']} voxels  {sample['renders']} renders  {sample['loops']} loops"
    )


def in_words(result: dict[str, Any], limit: float) -> str:
    if (fitted := result["trend"]) is None:
        return "undecided: too short"
    words = (
        f"{result['verdict']}: {fitted['slope']:+.2f} MB an hour, 95 % between {fitted['low']:+.2f} and "
        f"{fitted['high']:+.2f}, {limit:g} allowed; {result['renders']} renders, {result['loops']} loops in "
        f"{result['minutes']:g} minutes"
    )
    if result["longest_pause_s"] > LONGEST_PAUSE:
        words += f"; nothing was rendered for {result['longest_pause_s']:.0f} s"
    return words + (f"; more in the second half than in the first: {', '.join(result['grew'])}" * bool(result["grew"]))


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Soak)))
