"""A study's plan, from its YAML in config/studies/: which systems and ablations, with which seeds, on one budget."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass as checked_dataclass

from sray.errors import FileError
from sray_train.configuration import CHECKED, merged, overlaid, read_yaml
from sray_train.learn.config import RayStage, TrainConfig, config_of
from sray_train.learn.systems import load_checkpoint


@checked_dataclass(frozen=True, config=CHECKED)
class ScenePlan:
    """How single test scenes are learned and scored: the paper's 8 source, 8 tuning and 4 test frames."""

    scenes: str = "9000:9003"
    """Named as in `data.test`. Each is learned by itself."""
    frames: NonNegativeInt = 0
    """Frames of each, of which 20 are used; 0: as many as `data.frames` says."""
    steps: PositiveInt = 200
    score_every: PositiveInt = 100
    """Steps between two renderings of the test frames: the points of the curve."""


@checked_dataclass(frozen=True, config=CHECKED)
class VariantSection:
    """A variant as the YAML has it; the sections `train` and `scratch` are read with what all have in common."""

    seeds: tuple[int, ...] = ()
    fine_tune: bool = False
    """Whether it is fine-tuned on the scenes too, from every seed's training."""
    rays_only: str = ""
    """A variant that is fine-tuned once more from its training, by rays alone as in the paper: no single picture
    teaches. Nothing else is trained."""
    rescore: str = ""
    """A variant that is scored once more, by this one's `train.evaluation` (source views farther away) and
    `train.data.test` (other scenes): nothing is trained."""
    fuse: str = ""
    """A variant whose 2D labels are fused into voxels instead of rendering: nothing is trained."""
    depth: bool = False
    """Of `fuse`: at the sensor's depth (RGB-D), not at what the variant renders."""


@dataclass(frozen=True, kw_only=True)
class Variant(VariantSection):
    """A system, or an ablation of one."""

    name: str
    config: TrainConfig
    options: dict[str, Any]
    """Dotted fields in which the config differs from what all variants have in common."""
    scratch: RayStage | None
    """How it is learned from a single scene, from new weights; None: it is not."""

    @property
    def is_trained(self) -> bool:
        """Whether it is trained on many scenes, for scenes it never saw."""
        return not (self.fuse or self.rays_only or self.rescore) and self.config.system_class.generalizes

    def run(self, seed: int, encoder: Path | None) -> TrainConfig:
        """The config of one training. `encoder`: the checkpoint whose encoder it starts from."""
        return replace(self.config, seed=seed, encoder_from=str(encoder or ""))


@dataclass(frozen=True)
class Study:
    """Everything that is trained, scored, fine-tuned."""

    path: Path
    encoder: TrainConfig
    """Of the pre-trained encoder that all variants share. Of 0 steps: there is none, each begins with its own."""
    encoder_file: Path | None
    """A checkpoint that has that encoder already, where the YAML's `encoder` names one: nothing is trained for it."""
    scene: ScenePlan
    variants: dict[str, Variant]

    @cached_property
    def encoder_hash(self) -> str:
        """The first digits of the sha256 of `encoder_file`; empty: there is none."""
        return load_checkpoint(self.encoder_file).sha256[:8] if self.encoder_file else ""


@checked_dataclass(frozen=True, config=CHECKED)
class _File:
    """The YAML's own sections; `train`, `encoder` and `variants` are read by themselves."""

    scene: ScenePlan = field(default_factory=ScenePlan)
    seeds: tuple[int, ...] = (0,)


def load_study(path: Path, root: str = "") -> Study:
    """Read a study. `root`: the dataset's folder, where the YAML leaves it open.

    Raises FileError naming the file and the field that is wrong.
    """
    try:
        return _study(path, read_yaml(path), root)
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise FileError(f"{path}: {error}") from error


def _study(path: Path, raw: dict[str, Any], root: str) -> Study:
    encoder_file = Path(file) if isinstance(file := raw.get("encoder"), str) else None
    if encoder_file:
        raw["encoder"] = {"encoder": {"steps": 0}}
    missing = [name for name in ("encoder", "train", "variants") if not isinstance(raw.get(name), dict)]
    if missing:
        raise ValueError(f"{missing[0]} is missing; expected the sections encoder, train and variants")
    parts = {name: raw.pop(name) for name in ("encoder", "train", "variants")}
    common = merged(_File(), raw)
    stages = {"frozen": {"steps": 0}, "joint": {"steps": 0}}
    encoder = config_of(overlaid(stages, _at(parts["encoder"], root)), "encoder")
    train = overlaid({"encoder": {"steps": 0}}, _at(parts["train"], root))
    config_of(train, "train")  # raises ValueError for what is wrong there, not in a variant
    sections = {name: _rescored(name, section or {}, parts["variants"]) for name, section in parts["variants"].items()}
    variants = {name: _variant(name, section, train, common) for name, section in sections.items()}
    for variant in variants.values():
        for name in ("fuse", "rays_only", "rescore"):
            of = getattr(variant, name)
            if of and not (of in variants and variants[of].is_trained):
                raise ValueError(f"variants.{variant.name}.{name} is {of!r}; expected a variant that is trained")
        if of := variant.rays_only:
            options = variants[of].options | {"rays_only": of}
            variants[variant.name] = replace(variant, config=variants[of].config, options=options)
    return Study(path, encoder, encoder_file, common.scene, variants)


def _rescored(name: str, section: Any, sections: dict[str, Any]) -> Any:
    """A section that scores another variant once more: with all that is trained of that one."""
    if not isinstance(section, dict) or not (of := section.get("rescore")):
        return section
    other = sections.get(of)
    own = section.get("train") or {}
    strange = [
        *(section.keys() - {"rescore", "seeds", "train"}),
        *(own.keys() - {"evaluation", "data"}),
        *(f"data.{field}" for field in (own.get("data") or {}).keys() - {"test"}),
    ]
    if strange:
        expected = "seeds, train.evaluation and train.data.test alone"
        raise ValueError(f"variants.{name} has {strange[0]} beside rescore; expected {expected}")
    trained = other.get("train") if isinstance(other, dict) else None
    return section | {"train": overlaid(trained or {}, own)}


def _variant(name: str, section: dict[str, Any], train: dict[str, Any], common: _File) -> Variant:
    where = f"variants.{name}"
    if not isinstance(section, dict):
        raise ValueError(f"{where} is {section!r}; expected its fields, such as {{fine_tune: true}}")
    known = ("train", "scratch", *(each.name for each in fields(VariantSection)))
    if strange := [name for name in section if name not in known]:
        raise ValueError(f"{where}: {strange[0]} is not a field of a variant; expected one of {', '.join(known)}")
    section = dict(section)
    own, scratch = section.pop("train", {}), section.pop("scratch", None)
    config = config_of(overlaid(train, own), f"{where}.train")
    plan = merged(VariantSection(), section, where)
    stage = None if scratch is None else merged(config.frozen, scratch, f"{where}.scratch")
    untrained: dict[str, Any] = {"fuse": plan.fuse, "depth": plan.depth} if plan.fuse else {}
    untrained |= {"rescore": plan.rescore} if plan.rescore else {}
    settled = {"seeds": plan.seeds or common.seeds, "depth": plan.depth or config.evaluation.depth}
    return Variant(**asdict(plan) | settled, name=name, config=config, options=_flat(own) | untrained, scratch=stage)


def _at(section: dict[str, Any], root: str) -> dict[str, Any]:
    return overlaid(section, {"data": {"root": root}}) if root else section


def _flat(section: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names."""
    flat: dict[str, Any] = {}
    for name, value in section.items():
        flat |= _flat(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
    return flat
