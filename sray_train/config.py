"""What a training run is made of. One YAML per system in config/experiments/ holds what differs from these defaults."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml

from sray.attention import AttentionVariant
from sray.errors import ErrorCode, SrayError
from sray.label_space import LABEL_SPACES
from sray.losses import LossWeights
from sray.model import RaySamples, SemanticRayConfig

Preset = Literal["default", "paper"]
Dataset = Literal["rooms", "scannet", "replica", "blender", "llff", "folder"]
Precision = Literal["32-true", "bf16-mixed"]
LabelIds = Literal["auto", "nyu40", "scannet"]


@dataclass(frozen=True)
class DataConfig:
    """Which scenes, at which size."""

    dataset: Dataset = "rooms"
    """`rooms` are made here; `folder` is any recording in ScanNet layout, such as the node's own."""
    root: str = ""
    """Folder of the dataset, holding a folder (or .sens file) a scene. Rooms need none."""
    train: str = "0:400"
    """Scenes to train on: `split:part` of a named split (sray_train/datasets/splits), or names apart by commas; rooms
    by their seeds, first:end, within 0-7999."""
    validation: str = "8000:8020"
    """Scenes to score on while training; of rooms seeds within 8000-8999."""
    test: str = "9000:9020"
    """Scenes that `sray evaluate` scores; of rooms seeds from 9000 up."""
    label_space: str = "rooms"
    """What the classes mean: one of sray.label_space.LABEL_SPACES."""
    label_ids: LabelIds = "auto"
    """What the label pictures hold: NYU40 ids, or raw ScanNet ids to be looked up in scannetv2-labels.combined.tsv."""
    width: int = 160
    height: int = 120
    frames: int = 24
    """Frames a scene: so many are made of a room, a recording is thinned to so many. 0: all of a recording."""

    def __post_init__(self) -> None:
        for name, kind in (("dataset", Dataset), ("label_ids", LabelIds)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"data.{name} is {getattr(self, name)!r}; expected one of {', '.join(get_args(kind))}")
        if self.label_space not in LABEL_SPACES:
            raise ValueError(f"data.label_space is {self.label_space!r}; expected one of {', '.join(LABEL_SPACES)}")
        if self.dataset != "rooms" and not self.root:
            raise ValueError(f"data.root is empty; expected the folder of the {self.dataset} dataset")


@dataclass(frozen=True)
class ModelConfig:
    """The network, without what follows from the data."""

    preset: Preset = "default"
    """`paper`: the tables to the letter."""
    attention: AttentionVariant = "full"
    """Cross-Reprojection Attention, or an ablation (Table 3)."""
    tau: float = 0.7
    """Bound on the view weights (eq. 12)."""

    def __post_init__(self) -> None:
        if self.preset not in get_args(Preset):
            raise ValueError(f"model.preset is {self.preset!r}; expected one of {', '.join(get_args(Preset))}")
        self.network(classes=1)  # raises ValueError for what the network refuses

    def network(self, classes: int) -> SemanticRayConfig:
        """The network for a label space of so many classes."""
        build = SemanticRayConfig.paper if self.preset == "paper" else SemanticRayConfig
        return build(classes, attention=self.attention, tau=self.tau)


@dataclass(frozen=True)
class EncoderStage:
    """First stage: the encoder alone, on the labels of single pictures. 0 steps: leave it out."""

    steps: int = 10_000
    batch: int = 16
    """Pictures a step."""
    pixels: int = 1024
    """Labelled pixels a picture."""
    learning_rate: float = 1e-3
    final_learning_rate: float = 2e-5
    weight_decay: float = 1e-4
    balance: float = 0.4
    """Classes count by their frequency to minus this: 0 all pixels alike, 1 all classes alike."""


@dataclass(frozen=True)
class RayStage:
    """A stage on rays: eq. 15 and 16."""

    steps: int
    train_encoder: bool
    """False: the encoder is frozen and its features of every frame are computed once."""
    targets: int = 1
    """Targets a step, spread over the processes."""
    rays: int = 256
    """Rays a target; the paper's 1024 take about 10 s a step on two cores."""
    views: tuple[int, int] = (4, 8)
    """Fewest and most source views of a step."""
    coarse_samples: int = 32
    fine_samples: int = 16
    coarse_semantics: bool = True
    """Whether the coarse pass learns labels too (eq. 15). No render shows them: without, a step takes half the time."""
    learning_rate: float = 1e-3
    final_learning_rate: float = 5e-5
    encoder_learning_rate: float = 1e-4
    """The encoder's, at the start, where it trains along; it decays as the other does."""

    def __post_init__(self) -> None:
        RaySamples(self.coarse_samples, self.fine_samples)  # raises ValueError for too few
        if self.targets < 1 or self.rays < 1:
            raise ValueError(f"{self.targets} targets of {self.rays} rays a step; expected at least 1 of each")
        if not 1 <= self.views[0] <= self.views[1]:
            raise ValueError(f"views is {self.views}; expected fewest and most source views, at least 1")


@dataclass(frozen=True)
class EvaluationConfig:
    """What `sray evaluate` renders, so that two figures of one config mean the same."""

    targets: int = 2
    """Pictures rendered a scene, evenly spread over its frames."""
    views: int = 8
    """Source views a picture, the nearest; the target itself is never among them."""
    quality: Literal["reference", "high", "balanced", "fast"] = "balanced"
    """Rays and samples spent on a picture: RenderConfig.preset."""
    depth: bool = False
    """RGB-D: the sources' depth guides the samples. Without: RGB."""

    def __post_init__(self) -> None:
        if self.targets < 1 or self.views < 1:
            raise ValueError(f"{self.targets} targets of {self.views} views a scene; expected at least 1 of each")


@dataclass(frozen=True)
class TrainConfig:
    """A run: the encoder on 2D labels, then rays on frozen features, then a short joint stretch."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    encoder: EncoderStage = field(default_factory=EncoderStage)
    frozen: RayStage = field(default_factory=lambda: RayStage(steps=3000, train_encoder=False))
    joint: RayStage = field(default_factory=lambda: RayStage(steps=500, train_encoder=True, learning_rate=2e-4))
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    start_from: str = ""
    """A checkpoint whose weights the run starts from; its classifiers only where it knows the same label space."""
    seed: int = 0
    precision: Precision = "32-true"
    """`bf16-mixed`: the networks' products in bfloat16, two thirds of the time on a CPU that has them."""
    threads: int = 0
    """Torch threads; 0 takes all cores."""
    loader_workers: int = 0
    """Processes that read and augment ahead; 0: the training process does. On two cores they would only compete."""
    validate_every: int = 500
    """Steps between scores on the validation scenes."""
    keep_best: int = 3
    """Checkpoints kept of each stage, the best by validation."""
    save_every_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision is {self.precision!r}; expected one of {', '.join(get_args(Precision))}")
        if self.validate_every < 1 or self.keep_best < 1:
            raise ValueError(
                f"validate_every is {self.validate_every}, keep_best {self.keep_best}; expected at least 1 of each"
            )


def load_config(path: Path) -> TrainConfig:
    """Read an experiment's YAML. Raises SrayError(BAD_FILE) naming the file and the field that is wrong."""
    try:
        raw = yaml.safe_load(path.read_text()) or {}
        config: TrainConfig = _build(TrainConfig, raw, TrainConfig())
        return config
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise SrayError(ErrorCode.BAD_FILE, f"{path}: {error}") from error


def _build(kind: Any, raw: Any, default: Any) -> Any:
    """`default` with the fields of `raw` replaced, into nested dataclasses."""
    if not isinstance(raw, dict):
        raise TypeError(f"{raw!r} stands where the fields of {kind.__name__} were expected")
    hints = get_type_hints(kind)
    values = {}
    for name, value in raw.items():
        if name not in hints:
            raise ValueError(f"{name} is not a field of {kind.__name__}; expected one of {', '.join(hints)}")
        current = getattr(default, name)
        if dataclasses.is_dataclass(current):
            values[name] = _build(type(current), value, current)
        else:
            values[name] = tuple(value) if isinstance(current, tuple) else type(current)(value)
    return dataclasses.replace(default, **values)
