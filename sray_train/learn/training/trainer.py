"""The training loop: stages one after another, on one process or many, resuming at any moment to the same curve."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from lightning_fabric import Fabric

from sray.checkpoint import Checkpoint, inherited_terms
from sray.errors import FileError, InternalError, ModelError, RequestError
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.learning.optimization import Optimization, Schedule
from sray.model import SemanticRay
from sray.ray_model import RayModel
from sray_train.data.scene import Scene
from sray_train.learn.config import RayStage, TrainConfig
from sray_train.learn.interruption import interruption
from sray_train.learn.training.best_checkpoints import BestCheckpoints
from sray_train.learn.training.encoder_stage import EncoderTraining
from sray_train.learn.training.logbook import Logbook
from sray_train.learn.training.processes import check_shares, make_fabric
from sray_train.learn.training.ray_stage import RayTraining
from sray_train.learn.training.stage import Stage, StageModule, Steps, StepSeeds, Work, prefetched
from sray_train.learn.training.state import load_state, restore_optimizer, save_state
from sray_train.learn.training.stereo_stage import StereoTraining

MOST_SKIPPED = 20
"""Steps in a row whose gradients were not finite, after which a run has diverged."""
WARM_UP = 100
"""Steps over which the learning rate rises at the start of a stage."""


@dataclass
class Progress:
    """Where a run stands; saved with the weights."""

    stage: int = 0
    step: int = 0
    """Steps done in this stage."""
    seconds: float = 0.0
    """Time trained, over all resumptions."""
    best: dict[str, float] = field(default_factory=dict)
    """Best validation score of each stage: strict mIoU, or dB where nothing is labeled."""
    averages: dict[str, float] = field(default_factory=dict)
    """Running means of the loss terms."""
    skipped: int = 0
    """Steps in a row that changed nothing because their gradients were not finite."""


class Trainer:
    """Runs the stages of a config over scenes, in a folder that a later run resumes from."""

    def __init__(
        self,
        config: TrainConfig,
        model: RayModel,
        label_space: LabelSpace,
        train: list[Scene],
        validation: list[Scene],
        folder: Path,
        max_seconds: float = math.inf,
        fabric: Fabric | None = None,
        pictures: tuple[Sequence[Frame], Sequence[Frame]] = ((), ()),
        train_rays: list[Scene] | None = None,
        pseudolabeled: Sequence[Scene] = (),
        hinting: RayModel | None = None,
        parents: Mapping[str, Checkpoint[RayModel]] = MappingProxyType({}),
    ) -> None:
        """`pictures`: single labeled ones that teach the encoder, and those that it is scored on. `train_rays`: scenes
        for the stages on rays; None: those of `train`. `pseudolabeled` recordings teach encoder and rays beside them.
        `hinting`: the model that gives `encoder.hints`. `parents`: the checkpoints that the run starts from, by the
        settings that name them.
        """
        self.config = config
        self.fabric = fabric or make_fabric(config.precision, accelerator="cpu", devices=1)
        self.model = model.to(self.fabric.device)
        self.label_space = label_space
        self.validation = validation
        self.folder = folder
        self.progress = Progress()
        self._parents = {name: parent.sha256 for name, parent in parents.items()}
        self._terms = inherited_terms(config.terms, *(parent.terms for parent in parents.values()))
        self._deadline = time.monotonic() + max_seconds
        self._moments: dict[int, dict[str, torch.Tensor]] = {}
        check_shares(config, self.fabric.world_size)
        if config.encoder.steps and not any(scene.has_labels for scene in validation):
            raise RequestError(
                "no validation scene has labels, by which the encoder stage is scored",
                "some in data.validation, or encoder.steps 0",
            )
        if config.stereo.steps and not any(scene.has_depth for scene in validation):
            raise RequestError(
                "no validation scene has depth, by which the stereo stage is scored",
                "some in data.validation, or stereo.steps 0",
            )
        on_rays = train if train_rays is None else train_rays

        def on_targets(name: str, stage: RayStage) -> RayTraining:
            return RayTraining(name, stage, config.loss, model, on_rays, pseudolabeled)

        self._builders: list[tuple[str, int, Callable[[], Stage]]] = [
            (
                "encoder",
                config.encoder.steps,
                lambda: EncoderTraining(config.encoder, model, train, *pictures, pseudolabeled, hinting),
            ),
            ("stereo", config.stereo.steps, lambda: StereoTraining(config.stereo, model, train)),
            ("frozen", config.frozen.steps, lambda: on_targets("frozen", config.frozen)),
            ("joint", config.joint.steps, lambda: on_targets("joint", config.joint)),
        ]

    @property
    def state_file(self) -> Path:
        return self.folder / "state.safetensors"

    def resume(self) -> bool:
        """Go on where the folder's last run stopped; False if there is none.

        Raises as `load_state` does, and ModelError if that run had another config: two runs mixed in
        one folder would give a checkpoint that says the wrong thing of itself.
        """
        if not self.state_file.exists():
            if left := sorted([*self.folder.glob("best_*.safetensors"), *self.folder.glob("kept/*.safetensors")]):
                raise FileError(
                    f"{self.folder} holds {left[0].name} of an earlier run, but no {self.state_file.name} to go on "
                    "from",
                    remedy="Move the checkpoints away, or give this run another --run-folder",
                )
            return False
        raw, self._moments = load_state(self.state_file, self.model, self._refuse_another_run)
        raw.pop("config")
        # What the run started from when it began: those files may be others by now.
        self._parents = raw.pop("parents", self._parents)
        self._terms = inherited_terms(raw.pop("terms", ""), *self._terms.values())
        self.progress = Progress(**raw)
        return True

    def _refuse_another_run(self, progress: dict[str, Any]) -> None:
        before, now = _settings(progress["config"]), _settings(json.loads(json.dumps(asdict(self.config))))
        # A run from before there was a setting ran as its default says.
        names, before = before.keys() | now.keys(), _settings(json.loads(json.dumps(asdict(TrainConfig())))) | before
        if changed := sorted(name for name in names if before.get(name) != now.get(name)):
            name = changed[0]
            raise ModelError(
                f"{self.folder} holds a run with {name} {before.get(name)}, this one has {now.get(name)}",
                remedy="Set it back, or give this run another --run-folder",
            )

    def run(self) -> bool:
        """Train until done (True), or until the time is up (False). Saved either way.

        Ctrl-C ends the present step, saves, and raises KeyboardInterrupt.
        """
        logbook = Logbook(self.folder) if self.fabric.is_global_zero else None
        if logbook is not None:
            logbook.rewind([name for name, _, _ in self._builders], self.progress.stage, self.progress.step)
        try:
            with interruption() as interrupted:
                finished = self._run_stages(logbook, interrupted)
        finally:
            if logbook is not None:
                logbook.close()
        if interrupted():
            raise KeyboardInterrupt
        return finished

    def _run_stages(self, logbook: Logbook | None, interrupted: Callable[[], bool]) -> bool:
        while self.progress.stage < len(self._builders):
            _, steps, build = self._builders[self.progress.stage]
            if steps:
                self.model.requires_grad_(True)  # whatever the stage before held: each says itself what it trains
                stage = build()
                if self.progress.step < steps and not self._run_stage(stage, logbook, interrupted):
                    return False
                # Not part of the last step: a run killed right after it finishes the stage when resumed.
                stage.finish()
            self.progress.stage += 1
            self.progress.step = 0
            self.progress.averages = {}
            self._moments = {}
        return True

    def _run_stage(
        self, stage: Stage, logbook: Logbook | None, interrupted: Callable[[], bool] = lambda: False
    ) -> bool:
        config = stage.config
        schedule = Schedule(config.steps, config.final_learning_rate / config.learning_rate, WARM_UP)
        optimization = Optimization(stage.parameter_groups(), schedule)
        if self._moments:
            restore_optimizer(optimization.optimizer, self._moments)
        trained = set(map(id, optimization.parameters))
        for parameter in self.model.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        self.model.train()
        module = self.fabric.setup_module(StageModule(stage, self.model))
        total, first = config.steps, self.progress.step
        seeds = StepSeeds(self.config.seed, self.progress.stage)
        steps = Steps(stage, seeds, self.fabric.global_rank, self.fabric.world_size)
        best = BestCheckpoints(self.folder, stage.name, self.config.keep_best)
        if logbook is not None:
            logbook.begin(stage.name, first, total)
        began = started = saved = time.monotonic()
        for batch in prefetched(steps, range(first, total), self.config.loader_workers):
            loss, terms = module(Work(batch.to(self.fabric.device)))
            self._count(finite=optimization.step(loss, self.progress.step, self.fabric.backward))
            loss, terms = self.fabric.all_reduce((loss.detach(), terms))
            self._average(terms)
            now = time.monotonic()
            if logbook is not None:
                left = (now - began) / (self.progress.step - first) * (total - self.progress.step)
                averages = self.progress.averages
                logbook.losses(stage.name, self.progress.step, total, float(loss), averages, left)
            if self.progress.step % self.config.validate_every == 0 or self.progress.step == total:
                if logbook is not None:
                    self._validate(stage, best, logbook)
                self.fabric.barrier()
            # All processes stop at the same step: the others would wait for this one's gradients.
            if self.fabric.broadcast(now > self._deadline or interrupted()):
                break
            if logbook is not None and now - saved > self.config.save_every_seconds:
                self.progress.seconds += now - started
                started = saved = now
                save_state(self.state_file, self.model, optimization.optimizer, self.lineage)
        # Not where an error passes by: the last state saved is whole, the present one may be half a step.
        self.progress.seconds += time.monotonic() - started
        if logbook is not None:
            save_state(self.state_file, self.model, optimization.optimizer, self.lineage)
        return self.progress.step == total

    def _count(self, *, finite: bool) -> None:
        """One more step. Raises InternalError if too many in a row had gradients that are not finite."""
        self.progress.skipped = 0 if finite else self.progress.skipped + 1
        self.progress.step += 1
        if self.progress.skipped > MOST_SKIPPED:
            raise InternalError(
                f"the gradients of {self.progress.skipped} steps in a row are not finite: the run has diverged",
                remedy=f"Go on from a checkpoint in {self.folder} (start_from) with a lower learning rate",
            )

    def _average(self, terms: dict[str, torch.Tensor]) -> None:
        averages = self.progress.averages
        for name, term in terms.items():
            value = float(term)
            averages[name] = 0.98 * averages.get(name, value) + 0.02 * value

    def _validate(self, stage: Stage, best: BestCheckpoints, logbook: Logbook) -> None:
        scores = stage.validate(self.validation)
        score = stage.rank(scores)
        is_best = score > self.progress.best.get(stage.name, -math.inf)
        if is_best:
            self.progress.best[stage.name] = score
        best.offer(self.progress.step, score, self.model, self.label_space, self.lineage, is_best)
        logbook.scores(stage.name, self.progress.step, scores, is_best)

    @property
    def lineage(self) -> dict[str, Any]:
        """What a checkpoint of this run says of itself, and a resumed run is told."""
        return {"config": asdict(self.config), **asdict(self.progress), "parents": self._parents, **self._terms}


WORKING_CONDITIONS = ("terms", "threads", "loader_workers", "validate_every", "keep_best", "save_every_seconds")
"""Settings that do not change what is learned; a resumed run may have others."""
ELSEWHERE = ("data.root", "data.test", "start_from", "encoder_from")
"""The same of where data lies, what only `sray evaluate` reads, and what was read when the run began."""


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """A config as flat names, without the working conditions and what only `sray evaluate` reads."""
    flat: dict[str, Any] = {"system": SemanticRay.system}  # of runs from before there were others
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": setting for inner, setting in value.items() if name != "evaluation"}
        elif name not in WORKING_CONDITIONS:
            flat[name] = value
    return {name: value for name, value in flat.items() if name not in ELSEWHERE}
