"""`sray study`: the systems and ablations of a study on one budget, and the records that tables are built from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sray.errors import RequestError, SrayError
from sray_train.cli.options import DeviceOptions
from sray_train.machine import chosen_device
from sray_train.paper.study.commit import present_commit
from sray_train.paper.study.job import Job, Stopped
from sray_train.paper.study.jobs import jobs, left
from sray_train.paper.study.locks import claimed
from sray_train.paper.study.plan import load_study
from sray_train.paper.study.record import add_records, read_records
from sray_train.paper.study.unseen_scenes import train_encoder

WAIT = 5.0
"""Seconds between two looks at what other processes have done."""


@dataclass
class StudyCommand(DeviceOptions):
    """Train, score and fine-tune what has no record yet. Run again, it goes on; run twice at once, the two share it."""

    config: Path = Path("config/studies/rooms.yaml")
    """The study: a YAML of sray_train/paper/study/plan.py."""
    root: str = ""
    """The dataset's folder; rooms need none."""
    run_folder: Path | None = None
    """Checkpoints and training state; default results/studies/<name of the config>."""
    results: Path | None = None
    """The file of records; default benchmarks/results/<name of the config>.json."""
    only: tuple[str, ...] = ()
    """Of these variants alone."""
    max_hours: float = math.inf
    """Stop (and save) after this long."""
    list: bool = False
    """Say what there is to do, and do nothing."""

    def __post_init__(self) -> None:
        if not self.max_hours > 0:
            raise ValueError(f"max-hours is {self.max_hours}; expected more than 0")
        super().__post_init__()

    def main(self) -> None:
        present_commit()  # before hours go by in which the source tree may change
        study = load_study(self.config, self.root)
        if strange := sorted(set(self.only) - set(study.variants)):
            raise RequestError(f"--only {strange[0]}", f"one of {self.config}: {', '.join(study.variants)}")
        folder = self.run_folder or Path("results/studies") / self.config.stem
        results = self.results or Path("benchmarks/results") / f"{self.config.stem}.json"
        device = chosen_device(self.device)
        planned = [job for job in jobs(study, folder, device) if not self.only or job.variant.name in self.only]
        console = Console(highlight=False, soft_wrap=True)
        ends = time.monotonic() + self.max_hours * 3600
        failed: dict[str, SrayError] = {}

        def to_do() -> Sequence[Job]:
            return left(planned, read_records(results) if results.exists() else [], failed)

        if self.list:
            todo = to_do()
            for job in planned:
                console.print(f"{'to do' if job in todo else 'done'}  {job.name}")
            return
        try:
            if to_do():
                with claimed(folder / "encoder.lock", wait=True):
                    train_encoder(study, folder, device, ends - time.monotonic())
            while todo := to_do():
                if not any(self._do(job, to_do, results, ends, console, failed) for job in todo):
                    if not any(job.is_ready for job in todo):
                        raise RequestError(
                            f"{todo[0].name} needs {todo[0].needs}, trained, in {folder}", remedy="Run without --only"
                        )
                    time.sleep(WAIT)  # others are at the rest
        except Stopped:
            console.print("stopped, run again to go on")
            return
        except KeyboardInterrupt:
            console.print(f"what is done is in {results} and {folder}; run again to go on")
            raise
        if failed:
            name, error = next(iter(failed.items()))
            raise error.of(f"{len(failed)} failed, the rest is done; the first, {name}: ")
        console.print(f"see {results}")

    def _do(
        self,
        job: Job,
        to_do: Callable[[], Sequence[Job]],
        results: Path,
        ends: float,
        console: Console,
        failed: dict[str, SrayError],
    ) -> bool:
        """Whether it was done, or failed, just now: no other process is at it, and what it needs is there."""
        with claimed(job.place / (job.name.replace("/", "_") + ".lock")) as free:
            if not free or not job.is_ready or job not in to_do():
                return False
            if time.monotonic() > ends:
                raise Stopped
            console.print(f"{job.name} ...")
            try:
                records = list(job.run(ends - time.monotonic()))
            except SrayError as error:  # one that diverges must not keep the others from being run
                failed[job.name] = error
                console.print(f"{job.name}: {error}")
                return True
            with claimed(results.with_name(f".{results.name}.lock"), wait=True):
                add_records(results, records)
            last = records[-1].metrics
            scores = "  ".join(f"{name} {last[name]:.3f}" for name in ("strict_miou", "psnr") if last[name] is not None)
            console.print(f"{job.name}: {scores}")
            return True
