"""The fine-tuning process: `python -m sray_ros.finetune.child <folder>`, which semantic_mapper starts for each job.

It is a process of its own so that the node survives whatever happens to it: out of memory, killed, a bug. It runs at
low priority, and is the first that the kernel ends when memory runs out. It knows nothing of ROS.

In the folder (`Handover` in process.py writes them): job.json, session.safetensors, parent.safetensors. Out of
it: tuned.safetensors, if that is better. Standard output: a JSON object a line, {"preparing": ...}, {"begun": ...},
{"step": ...} after each step, at last {"outcome": ...} or {"error": ...}. Standard input: never
written to; the node has ended when it is closed, and so does this process.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import shutil
import sys
import threading
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn, TextIO

import torch

from sray.checkpoint import load_checkpoint
from sray.errors import SrayError
from sray.finetune import FineTuneStep
from sray.mapping.adaptation import Adaptation, AdaptationConfig
from sray.mapping.keyframes import MIB
from sray.mapping.refusals import memory_errors
from sray.mapping.session import Session
from sray_ros.common.error_codes import ErrorCode, code_of

JOB, SESSION, PARENT, TUNED = "job.json", "session.safetensors", "parent.safetensors", "tuned.safetensors"
NICE = 10
"""Rendering goes first."""


def learn(folder: Path, say: TextIO) -> None:
    """Do the folder's job. Raises SrayError: what the files, the keyframes or memory are wrong with."""
    job = json.loads((folder / JOB).read_text())
    torch.set_num_threads(job["threads"])
    if job["memory_limit"]:
        # Limits the process's own data; libraries, mapped from files, do not count.
        resource.setrlimit(resource.RLIMIT_DATA, (job["memory_limit"] * MIB,) * 2)
    with memory_errors("fine-tune", "a smaller fine_tune.width, fewer keyframes, or a higher fine_tune.memory_limit"):
        parent = replace(load_checkpoint(folder / PARENT), sha256=job["parent"])
        parent.model.to(job["device"])
        session = Session.load(folder / SESSION)
        adaptation = Adaptation(
            parent,
            session,
            AdaptationConfig(**job["config"]),
            bounds=tuple(job["bounds"]),
            on_progress=lambda fraction: tell(say, preparing=fraction),
        )
        tell(
            say,
            begun={
                "learns_labels": adaptation.learns_labels,
                "taught_by": adaptation.taught_by,
                "held_out": adaptation.held_out,
            },
        )
        for step in adaptation.tuner.run():
            tell(say, step=step_record(step))
        outcome = adaptation.outcome()
        if outcome.is_better:
            outcome.save(folder / TUNED)
    result = outcome.result
    tell(
        say,
        outcome={
            "is_better": outcome.is_better,
            "before": result.before and result.before.record(),
            "after": result.after and result.after.record(),
            "best_step": result.best_step,
        },
    )


def step_record(step: FineTuneStep) -> dict[str, Any]:
    """JSON has no NaN: what is not known is null."""
    record = asdict(step)
    record["held_out"] = step.held_out and step.held_out.record()
    record["losses"] = {name: finite(value) for name, value in step.losses.items()}
    record["seconds_left"] = finite(step.seconds_left)
    return record


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def tell(say: TextIO, **message: Any) -> None:
    print(json.dumps(message), file=say, flush=True)


def end_with_parent(folder: Path) -> None:
    """Wait until standard input is closed, because the node has ended; then end too."""
    while os.read(0, 1):  # not through sys.stdin: whose lock would be held when Python ends
        pass
    vanish(folder)


def vanish(folder: Path) -> NoReturn:
    """End at once, and leave no files: the node has ended."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def step_back() -> None:
    """Give every other process precedence, on the processors and in memory."""
    os.nice(NICE)
    with contextlib.suppress(OSError):  # not Linux, or not allowed: then as any other process
        Path("/proc/self/oom_score_adj").write_text("1000")


def main(arguments: list[str] | None = None) -> int:
    """0 if the job was done, whether the model became better or not; 1 if it could not be."""
    folder = Path((arguments or sys.argv[1:])[0])
    # What libraries print goes to standard error, not among the messages.
    say = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    step_back()
    threading.Thread(target=end_with_parent, args=(folder,), daemon=True).start()
    try:
        learn(folder, say)
    except SrayError as error:
        tell(say, error={"code": int(code_of(error)), "text": str(error)})
        return 1
    except BrokenPipeError:  # the node has ended, and this noticed it before the closed standard input did
        vanish(folder)
    except Exception as error:
        traceback.print_exc()
        text = f"a bug in fine-tuning ({error!r}); please report it with the log"
        tell(say, error={"code": int(ErrorCode.INTERNAL), "text": text})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
