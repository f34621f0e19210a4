"""What a training run is made of. One YAML per system in config/experiments/ holds what differs from these defaults.

`system` says which network is trained; the section `model` has that system's own fields.
"""

from __future__ import annotations

import json
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    with_config,
)
from pydantic.dataclasses import dataclass

from sray.errors import FileError
from sray.learning.losses import LossWeights
from sray.model import SemanticRay
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray_train.configuration import CHECKED, merged, read_yaml
from sray_train.data.config import DataConfig, Side
from sray_train.learn.systems import SYSTEMS

Precision = Literal["32-true", "bf16-mixed"]
Quality = Literal["reference", "high", "balanced", "fast"]

with_config(CHECKED)(SemanticRay.options_type)  # as the others' are: `sray` itself does without pydantic

Samples = Annotated[int, Field(ge=2)]
"""Of a ray: fewer have no distance between them."""


@dataclass(frozen=True, config=CHECKED)
class EncoderStage:
    """First stage: the encoder alone, on the labels of single pictures. 0 steps: leave it out."""

    steps: NonNegativeInt = 10_000
    batch: PositiveInt = 16
    """Pictures a step."""
    width: Side = 160
    """Of the crops of pictures that are learned from."""
    height: Side = 120
    smallest_crop: PositiveFloat = 0.6
    """Share of a picture's width that a crop keeps at least: a third means focal lengths up to three times as long."""
    picture_share: NonNegativeFloat = 0.5
    """Of the pictures of a step, those that are single pictures, where there are some."""
    pseudolabel_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Of the pictures of a step, those of pseudo-labeled recordings, where there are some."""
    pixels: PositiveInt = 1024
    """Labeled pixels a picture."""
    learning_rate: PositiveFloat = 1e-3
    final_learning_rate: PositiveFloat = 2e-5
    backbone_learning_rate: PositiveFloat = 3e-4
    """Of a pre-trained backbone, at the start; it decays as the other does."""
    backbone_delay: NonNegativeInt = 500
    """Steps until a pre-trained backbone learns too."""
    weight_decay: NonNegativeFloat = 1e-4
    balance: NonNegativeFloat = 0.4
    """Classes count by their frequency to minus this: 0 all pixels alike, 1 all classes alike."""
    frequency_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much of `balance` is for learning alone. A classifier that learned with rare classes weighing more also
    answers as if they were more frequent. 1 takes that back: it answers by how frequent they are."""
    mixed_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of the pictures of a step, those onto which half of the classes of another picture are pasted (ClassMix, Olsson
    et al., WACV 2021, here with true labels)."""
    hints: NonNegativeFloat = 0.0
    """Weight of the loss that pulls features towards those of `start_from`'s encoder (FitNets, Romero et al., ICLR
    2015): for another backbone, which learns faster so, with rays and stereo that were trained on those features."""


@dataclass(frozen=True, config=CHECKED)
class StereoStage:
    """The stage that teaches the stereo network, on scenes with depth. 0 steps: leave it out."""

    steps: NonNegativeInt = 0
    batch: PositiveInt = 4
    """Frames a step, each with its partners."""
    refinement_only: bool = False
    """Whether the refinement of depth alone learns (`model.refined_stereo`), after a sweep that has learned."""
    learning_rate: PositiveFloat = 1e-3
    final_learning_rate: PositiveFloat = 5e-5
    weight_decay: NonNegativeFloat = 1e-3


@dataclass(frozen=True, config=CHECKED)
class RayStage:
    """A stage on rays: eq. 15 and 16."""

    steps: NonNegativeInt
    train_encoder: bool
    """False: the encoder is frozen and its features of every frame are computed once."""
    train_classifier: bool = True
    """False: classes are read from features as single pictures taught. A classifier that learns of rays in generated
    rooms forgets what it learned of real pictures."""
    targets: PositiveInt = 1
    """Targets a step, spread over the processes."""
    pseudolabel_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Of the targets, those of pseudo-labeled recordings, where there are some."""
    rays: PositiveInt = 256
    """Rays a target; the paper's 1024 take about 10 s a step on two cores."""
    views: tuple[PositiveInt, PositiveInt] = (4, 8)
    """Fewest and most source views of a step."""
    coarse_samples: Samples = 32
    fine_samples: Samples = 16
    whole_ray_samples: NonNegativeInt = 0
    """More fine samples, evenly over the whole ray, so that attention along it sees all of it and not the surface
    alone. Render as you train: `evaluation.whole_ray_samples`."""
    coarse_semantics: bool = True
    """Whether the coarse pass learns labels too (eq. 15). No render shows them: without, a step takes half the time."""
    learning_rate: PositiveFloat = 1e-3
    final_learning_rate: PositiveFloat = 5e-5
    encoder_learning_rate: PositiveFloat = 1e-4
    """The encoder's, at the start, where it trains along; it decays as the other does."""

    def __post_init__(self) -> None:
        if self.views[0] > self.views[1]:
            raise ValueError(f"views is {self.views}; expected fewest and most source views")


@dataclass(frozen=True, config=CHECKED)
class EvaluationConfig:
    """What `sray evaluate` renders, so that two figures of one config mean the same."""

    targets: PositiveInt = 40
    """Pictures rendered a scene at most, evenly spread over its frames; two a scene say nothing of one scene."""
    views: PositiveInt = 8
    """Source views a picture, the nearest; the target itself is never among them."""
    apart: Annotated[tuple[PositiveFloat, PositiveFloat] | None, Field(strict=False)] = None
    """Meters and degrees that source views should be away from the target; None: the nearest views are taken."""
    quality: Quality = "balanced"
    """Rays and samples spent on a picture: RenderConfig.preset."""
    whole_ray_samples: NonNegativeInt = 0
    """Samples more of each ray, evenly over all of it: as many as the stages on rays have."""
    depth: bool = False
    """RGB-D: the sources' depth guides the samples. Without: RGB."""

    @property
    def render_config(self) -> RenderConfig:
        return replace(RenderConfig.preset(self.quality), whole_ray_samples=self.whole_ray_samples)


@dataclass(frozen=True, config=CHECKED)
class TrainConfig:
    """A run: the encoder on 2D labels, then rays on frozen features, then a short joint stretch."""

    data: DataConfig = field(default_factory=DataConfig)
    system: str = SemanticRay.system
    """What is trained: Semantic-Ray, or a system that the paper compares it with (sray_train/learn/systems.py)."""
    model: Any = field(default_factory=SemanticRay.options_type)
    """The system's own options, its `options_type`."""
    loss: LossWeights = field(default_factory=LossWeights)
    encoder: EncoderStage = field(default_factory=EncoderStage)
    stereo: StereoStage = field(default_factory=StereoStage)
    frozen: RayStage = field(default_factory=lambda: RayStage(steps=3000, train_encoder=False))
    joint: RayStage = field(default_factory=lambda: RayStage(steps=500, train_encoder=True, learning_rate=2e-4))
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    start_from: str = ""
    """A checkpoint whose weights the run starts from; its classifiers only where it knows the same label space, its
    encoder only where `model` has the same one."""
    encoder_from: str = ""
    """A checkpoint of any system whose encoder the run starts from, and whose classifier, where it knows the same label
    space. With `encoder.steps: 0` several systems share one pre-trained encoder."""
    stereo_from: str = ""
    """A checkpoint whose stereo network the run starts from."""
    terms: str = ""
    """What the data asks of whoever uses the model, in a sentence that the node's log shows. Checkpoints that the run
    starts from add theirs."""
    seed: NonNegativeInt = 0
    precision: Precision = "32-true"
    """`bf16-mixed`: the networks' products in bfloat16, two thirds of the time on a CPU that has them."""
    threads: NonNegativeInt = 0
    """Torch threads; 0 takes all cores."""
    loader_workers: NonNegativeInt = 0
    """Processes that read and augment ahead; 0: the training process does. On two cores they would only compete."""
    validate_every: PositiveInt = 500
    """Steps between scores on the validation scenes."""
    keep_best: PositiveInt = 3
    """Checkpoints kept of each stage, the best by validation."""
    save_every_seconds: NonNegativeFloat = 60.0

    def __post_init__(self) -> None:
        options = self.system_class.options_type
        if not isinstance(self.model, options):
            raise ValueError(f"model is {self.model}; expected the fields of {options.__name__}")
        if self.encoder.steps and not self.system_class.feature_channels:
            raise ValueError(f"encoder.steps is {self.encoder.steps}; expected 0, as {self.system} has no encoder")
        if self.stereo.refinement_only and not getattr(self.model, "refined_stereo", False):
            raise ValueError("stereo.refinement_only is true without model.refined_stereo; expected both, or neither")
        if not self.terms.isprintable() or self.terms != self.terms.strip():
            raise ValueError(f"terms is {self.terms!r}; expected one line, without blanks around it")
        if self.start_from and self.encoder_from:
            raise ValueError("encoder_from is given beside start_from, which has an encoder; expected one of them")
        if self.encoder.hints and not self.start_from:
            raise ValueError(f"encoder.hints is {self.encoder.hints} without start_from, whose encoder gives them")
        if not any(asdict(self.loss).values()):
            raise ValueError("loss has only weights of 0; expected one above 0")

    @field_validator("system")
    @classmethod
    def _known(cls, system: str) -> str:
        if system not in SYSTEMS:
            raise ValueError(f"system is {system!r}; expected one of {', '.join(SYSTEMS)}")
        return system

    @field_validator("model", mode="before")
    @classmethod
    def _options(cls, model: Any, info: ValidationInfo) -> Any:
        """A mapping, as YAML has it, as the options of the system; pydantic names what is wrong with it."""
        if not isinstance(model, dict) or "system" not in info.data:
            return model
        options = SYSTEMS[info.data["system"]].options_type
        return TypeAdapter(options).validate_json(json.dumps(model))

    @property
    def system_class(self) -> type[RayModel]:
        """The system's class, which says what it is capable of."""
        return SYSTEMS[self.system]

    def new_model(self, classes: int) -> RayModel:
        """The system with new weights, for a label space of so many classes."""
        return self.system_class.from_options(self.model, classes)


def load_config(path: Path) -> TrainConfig:
    """Read an experiment's YAML. Raises FileError naming the file and the field that is wrong."""
    try:
        return config_of(read_yaml(path))
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise FileError(f"{path}: {error}") from error


def config_of(raw: Any, path: str = "") -> TrainConfig:
    """The config that a YAML's content makes. `path`: the dotted name of where it stood.

    Raises ValueError that begins with the dotted name of the wrong field.
    """
    return merged(_defaults_of(raw), raw, path)


def _defaults_of(raw: Any) -> TrainConfig:
    """The defaults of the system that a YAML names; an unknown one is complained of when it is read."""
    name = raw.get("system") if isinstance(raw, dict) else None
    if not isinstance(name, str) or name not in SYSTEMS:
        return TrainConfig()
    encoder = EncoderStage() if SYSTEMS[name].feature_channels else EncoderStage(steps=0)
    return TrainConfig(system=name, model=SYSTEMS[name].options_type(), encoder=encoder)
