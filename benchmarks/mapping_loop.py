"""What mapping costs beside the renderer: reading pictures, the keyframe gate, fusing and publishing, at 640x480.

    python benchmarks/mapping_loop.py --json benchmarks/timings/mapping_loop.json [--before COMMIT]

At 30 Hz a frame has 33 ms. A step's name says how often it happens: with each frame, keyframe, render, or second.
`--before` measures another commit in turn with this one, round by round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import tyro
from measuring import REPOSITORY, facts, one_thread, ratio, summary, write

BUDGET_MS = 1000 / 30


@dataclass
class Measure:
    """Time each step of the mapping loop, one thread."""

    json: Path | None = None
    """Where the record goes."""
    before: str | None = None
    """A commit to compare with."""
    rounds: int = 15


class Worker:
    """Another process that runs the steps with the packages of a folder, a round at a time."""

    def __init__(self, packages: Path, undo: ExitStack) -> None:
        steps = Path(__file__).with_name("mapping_steps.py")
        paths = [str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, steps], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        undo.enter_context(self._process)
        undo.callback(self._process.kill)
        self.steps: list[str] = json.loads(self._answer())

    def round(self) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        times: dict[str, float] = json.loads(self._answer())
        return times

    def _answer(self) -> str:
        assert self._process.stdout is not None
        if not (line := self._process.stdout.readline()):
            raise SystemExit("error: the steps did not run; what they printed stands above")
        return line


def main(measure: Measure) -> None:
    one_thread()
    record = facts("mapping without the renderer, 640x480, map of 500 000 voxels", measure.rounds)
    with ExitStack() as undo:
        now = Worker(REPOSITORY, undo)
        before = Worker(checked_out(measure.before, undo), undo) if measure.before else None
        workers = [now] if before is None else [now, before]
        times: list[list[dict[str, float]]] = [[] for _ in workers]
        for turn in range(measure.rounds + 1):
            # Who goes first changes; the first round only warms up.
            for index in sorted(range(len(workers)), reverse=bool(turn % 2)):
                answer = workers[index].round()
                times[index] += [answer] if turn else []
    rows = []
    print(f"{'step':<46} {'ms':>8} {'of 33 ms':>9}" + (f" {'before':>9} {'ratio':>7}" if before else ""))
    for step in now.steps:
        of_step = [[answer[step] for answer in answers] for answers in times]
        row = {"step": step, **summary(of_step[0])}
        row["share_of_budget"] = round(row["median_ms"] / BUDGET_MS, 4)
        line = f"{step:<46} {row['median_ms']:>8.2f} {row['share_of_budget']:>9.1%}"
        if before is not None:
            row |= {"before": summary(of_step[1]), **ratio(of_step[1], of_step[0])}
            line += f" {row['before']['median_ms']:>9.2f} {row['ratio']:>7.1f}"
        rows.append(row)
        print(line)
    write(
        measure.json,
        record | {"before": measure.before, "budget_ms": round(BUDGET_MS, 2), "rows": rows},
    )


def checked_out(commit: str, undo: ExitStack) -> Path:
    folder = Path(undo.enter_context(tempfile.TemporaryDirectory()))
    archive = subprocess.run(
        ["git", "archive", commit, "sray", "sray_ros"], cwd=REPOSITORY, capture_output=True, check=True
    )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


if __name__ == "__main__":
    main(tyro.cli(Measure))
