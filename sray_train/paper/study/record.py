"""Record: what one system scored, on what, and what it took. `benchmarks/results/*.json` are lists of them.

Tables are built from records alone (`sray tables`), so a record says all that a cell needs to be traced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from sray.errors import FileError
from sray.files import write_atomically
from sray_train.configuration import complaint
from sray_train.records import with_nulls

System = Literal["semantic_ray", "semantic_nerf", "mvsnerf", "neuray", "ibrnet", "nerf", "voxel_fusion"]
Setting = Literal["generalization", "finetuned", "scratch"]
"""Scenes never seen; adapted to the scene from a checkpoint; learned from the scene alone, from new weights."""
Part = Literal["test", "validation"]

LABEL_METRICS = ("strict_miou", "released_miou", "total_accuracy", "average_accuracy")
COLOR_METRICS = ("psnr", "ssim", "lpips")
METRICS = (*LABEL_METRICS, *COLOR_METRICS)
"""Fractions in 0..1, but for psnr, dB."""


def _known(metrics: dict[str, float | None]) -> dict[str, float | None]:
    if strange := sorted(set(metrics) - set(METRICS)):
        raise ValueError(f"{', '.join(strange)} is no metric; expected some of {', '.join(METRICS)}")
    return metrics


Metrics = Annotated[dict[str, float | None], AfterValidator(_known)]


@checked_dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
class Record:
    """One run's scores."""

    system: System
    setting: Setting
    data: str
    """What was scored: dataset and scenes, such as `rooms 9000:9010`."""
    metrics: Metrics
    """Of METRICS; None where it does not apply."""
    seed: int
    seconds: float
    """Of training or of adapting to the scene, without evaluation; `clock` says of which clock."""
    commit: str
    config: str
    """The file that says how it was trained, or the checkpoint."""
    variant: str
    """What the study calls it: a system, or an ablation of one."""
    steps: int = 0
    """Training steps on rays; of a scene's own records, steps on that scene."""
    part: Part = "test"
    input: str = "RGB"
    """What is rendered from: RGB, or RGB-D."""
    views: int = 8
    """Source views a picture."""
    pictures: int = 0
    size: tuple[int, int] = (0, 0)
    """Width and height, pixels."""
    quality: str = "balanced"
    """RenderConfig.preset."""
    teacher: str = "ground truth"
    """Whose labels taught: `ground truth`, `pseudo-labels`, `color alone`, ..."""
    options: dict[str, Any] = field(default_factory=dict)
    """Dotted fields of sray_train.learn.config in which it differs from the rest of its study."""
    cost: dict[str, float] = field(default_factory=dict)
    """Measured beside the scores, such as `gflop` and `peak_mb`."""
    per_scene: dict[str, Metrics] = field(default_factory=dict)
    """Scene -> metrics, where several were scored."""
    clock: str = ""
    """`wall`, on a machine that others may use as well; or `processor`, of all threads together."""
    device: str = ""
    encoder: str = ""
    """The first digits of the sha256 of the checkpoint that lent its encoder, where a study names a file; records of
    other encoders do not compare."""
    command: str = ""

    @property
    def curve(self) -> tuple[Any, ...]:
        """What the points of one scene's curve have in common: they are replaced together."""
        return self.variant, self.setting, self.data, self.seed, self.part, self.input, self.teacher, self.size

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two records the same measurement: a new one takes the old one's place."""
        return (
            self.variant, self.setting, self.data, self.seed, self.steps, self.part, self.input, self.views,
            self.teacher, self.quality, self.size,
        )  # fmt: skip


def metrics_of(record: dict[str, Any], labeled: bool = True) -> dict[str, float | None]:
    """The METRICS of what `Evaluation.record` says; None where it has none, or NaN.

    `labeled`: whether the system has an opinion on classes. If not, only the metrics of color are taken.
    """
    taken = METRICS if labeled else COLOR_METRICS
    known: dict[str, float | None] = with_nulls({name: record.get(name) if name in taken else None for name in METRICS})
    return {name: None if value is None else round(value, 5) for name, value in known.items()}


def read_records(path: Path) -> list[Record]:
    """The records of a file, or of all .json files of a folder by name. Raises FileError, naming file and
    field, if one is not a list of records."""
    if path.is_dir():
        return [record for file in sorted(path.glob("*.json")) for record in read_records(file)]
    try:
        return TypeAdapter(list[Record]).validate_json(path.read_text())
    except OSError as error:
        raise FileError(f"{path}: {error}") from error
    except ValidationError as error:
        raise FileError(f"{path}: {complaint(error, Record, 'record')}") from error


def add_records(path: Path, records: Iterable[Record]) -> None:
    """Put records into a file, whole or not at all. One with the same key is replaced, and a scene's curve as a whole:
    points of a longer one, run before with other settings, must not stay beside it.

    Raises FileError, DiskFullError.
    """
    new = list(records)
    anew = {record.curve for record in new if record.setting != "generalization"}
    before = [record for record in (read_records(path) if path.exists() else []) if record.curve not in anew]
    kept = {record.key: record for record in [*before, *new]}
    lines = ",\n".join(json.dumps(with_nulls(_plain(record)), allow_nan=False) for record in kept.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"[\n{lines}\n]\n".encode())


def _plain(record: Record) -> dict[str, Any]:
    """Its fields, but for the empty ones that a reader fills in by itself."""
    optional = {each.name for each in fields(Record) if each.default == "" or each.default_factory is dict}
    return {name: value for name, value in asdict(record).items() if name not in optional or value}
