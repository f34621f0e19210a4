"""The training loop: stages one after another, with progress, curves, scores, and resuming at any moment."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from sray.checkpoint import save_checkpoint
from sray.errors import ErrorCode, SrayError
from sray.label_space import LabelSpace
from sray.model import SemanticRay
from sray_train.config import EncoderStage, RayStage, TrainConfig
from sray_train.curves import draw_curves
from sray_train.datasets.scene import Scene
from sray_train.encoder_stage import EncoderTraining
from sray_train.ray_stage import RayTraining
from sray_train.state import load_state, restore_optimizer, save_state

CLIP_NORM = 10.0
WARM_UP = 100
"""Steps over which the learning rate rises at the start of a stage."""


class Stage(Protocol):
    """One part of a training run."""

    name: str

    @property
    def config(self) -> EncoderStage | RayStage: ...
    def parameter_groups(self) -> Iterator[dict[str, Any]]: ...
    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]: ...
    def validate(self, scenes: list[Scene]) -> dict[str, float]: ...
    def finish(self) -> None: ...


@dataclass
class Progress:
    """Where a run stands; saved with the weights."""

    stage: int = 0
    step: int = 0
    """Steps done in this stage."""
    seconds: float = 0.0
    """Time trained, over all resumptions."""
    best: dict[str, float] = field(default_factory=dict)
    """Best validation mIoU of each stage."""


class Trainer:
    """Runs the stages of a config over scenes, in a folder that a later run resumes from."""

    def __init__(
        self,
        config: TrainConfig,
        model: SemanticRay,
        label_space: LabelSpace,
        train: list[Scene],
        validation: list[Scene],
        folder: Path,
        max_seconds: float = math.inf,
    ) -> None:
        self.config = config
        self.model = model
        self.label_space = label_space
        self.validation = validation
        self.folder = folder
        self.progress = Progress()
        self._deadline = time.monotonic() + max_seconds
        self._moments: dict[int, dict[str, Tensor]] = {}
        self._builders: list[tuple[int, Callable[[], Stage]]] = [
            (config.encoder.steps, lambda: EncoderTraining(config.encoder, model, train)),
            (config.frozen.steps, lambda: RayTraining("frozen", config.frozen, config.loss, model, train)),
            (config.joint.steps, lambda: RayTraining("joint", config.joint, config.loss, model, train)),
        ]
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log.jsonl"

    @property
    def state_file(self) -> Path:
        return self.folder / "state.safetensors"

    def resume(self) -> bool:
        """Go on where the folder's last run stopped; False if there is none.

        Raises as `load_state` does, and SrayError(MODEL_MISMATCH) if that run had another config: two runs mixed in
        one folder would give a checkpoint that says the wrong thing of itself.
        """
        if not self.state_file.exists():
            return False
        raw, self._moments = load_state(self.state_file, self.model)
        before, now = _settings(raw.pop("config")), _settings(json.loads(json.dumps(asdict(self.config))))
        if changed := sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)):
            name = changed[0]
            raise SrayError(
                ErrorCode.MODEL_MISMATCH,
                f"{self.folder} holds a run with {name} {before.get(name)}, this one has {now.get(name)}; set it back, "
                "or give this run another --run-folder",
            )
        self.progress = Progress(**raw)
        return True

    def run(self) -> bool:
        """Train until done (True), or until the time is up or interrupted (False); saved either way."""
        while self.progress.stage < len(self._builders):
            steps, build = self._builders[self.progress.stage]
            if steps:
                stage = build()
                if self.progress.step < steps and not self._run_stage(stage):
                    return False
                # Not part of the last step: a run killed right after it finishes the stage when resumed.
                stage.finish()
            self.progress.stage += 1
            self.progress.step = 0
            self._moments = {}
        return True

    def _run_stage(self, stage: Stage) -> bool:
        optimizer = torch.optim.AdamW(list(stage.parameter_groups()))
        base_rates = [group["lr"] for group in optimizer.param_groups]
        if self._moments:
            restore_optimizer(optimizer, self._moments)
        self.model.train()
        total, first = stage.config.steps, self.progress.step
        began = started = saved = time.monotonic()
        averages: dict[str, float] = {}
        try:
            while self.progress.step < total:
                self._set_rates(optimizer, base_rates, stage)
                # One generator a step, seeded by it: a resumed run draws what an uninterrupted one would.
                seed = (self.config.seed * 1_000_003 + self.progress.stage) * 10_000_019 + self.progress.step
                loss, terms = stage.loss(torch.Generator().manual_seed(seed))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                for group in optimizer.param_groups:
                    torch.nn.utils.clip_grad_norm_(group["params"], CLIP_NORM)
                optimizer.step()
                self.progress.step += 1
                for name, value in terms.items():
                    averages[name] = 0.98 * averages.get(name, value) + 0.02 * value
                now = time.monotonic()
                if self.progress.step % 50 == 0:
                    left = (now - began) / (self.progress.step - first) * (total - self.progress.step)
                    self._report(stage, averages, left)
                if self.progress.step % self.config.validate_every == 0 or self.progress.step == total:
                    self._validate(stage)
                if now > self._deadline:
                    break
                if now - saved > self.config.save_every_seconds:
                    self.progress.seconds += now - started
                    started = saved = now
                    save_state(self.state_file, self.model, optimizer, self.lineage)
        finally:
            # Reached by an interrupt as well: what was learned is kept.
            self.progress.seconds += time.monotonic() - started
            save_state(self.state_file, self.model, optimizer, self.lineage)
        return self.progress.step == total

    def _set_rates(self, optimizer: torch.optim.Optimizer, base_rates: list[float], stage: Stage) -> None:
        """Exponential decay to the final rate, as the paper's, after a short warm-up."""
        config = stage.config
        decay = (config.final_learning_rate / config.learning_rate) ** (self.progress.step / config.steps)
        warm = min(1.0, (self.progress.step + 1) / WARM_UP)
        for group, rate in zip(optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * decay * warm

    def _report(self, stage: Stage, averages: dict[str, float], seconds_left: float) -> None:
        done = self.progress.step
        self._append({"stage": stage.name, "step": done, **averages})
        losses = "  ".join(f"{name} {value:.3f}" for name, value in averages.items())
        print(f"{stage.name}  step {done}/{stage.config.steps}  {losses}  {_clock(seconds_left)} left", flush=True)

    def _validate(self, stage: Stage) -> None:
        scores = stage.validate(self.validation)
        self._append({"stage": stage.name, "step": self.progress.step, "validation": scores})
        print(f"{stage.name}  validation  " + "  ".join(f"{k} {v:.3f}" for k, v in scores.items()), flush=True)
        best = self.progress.best
        if scores["strict_miou"] > best.get(stage.name, -1):
            best[stage.name] = scores["strict_miou"]
            save_checkpoint(self.folder / f"best_{stage.name}.safetensors", self.model, self.label_space, self.lineage)
        draw_curves(self._log, self.folder / "curves.png")

    @property
    def lineage(self) -> dict[str, Any]:
        """What a checkpoint of this run says of itself."""
        return {"config": asdict(self.config), **asdict(self.progress)}

    def _append(self, record: dict[str, Any]) -> None:
        with self._log.open("a") as file:
            file.write(json.dumps(record) + "\n")


WORKING_CONDITIONS = ("threads", "validate_every", "save_every_seconds")
"""Settings that do not change what is learned; a resumed run may have others."""


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """A config as flat names, without the working conditions."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": setting for inner, setting in value.items()}
        elif name not in WORKING_CONDITIONS:
            flat[name] = value
    return flat


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
