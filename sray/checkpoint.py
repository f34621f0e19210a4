"""Checkpoints: safetensors for the weights; config, label space and lineage as JSON in the same file's header.

Nothing is unpickled. A file that was cut short, or that fits another network, is refused with the reason.

A file says which system it is of; a reader says which ones it knows: SemanticRay alone, unless told of more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sray.errors import FileError, ModelError, SrayError
from sray.files import write_atomically
from sray.label_space import LabelSpace
from sray.model import SemanticRay
from sray.ray_model import RayModel

FORMAT = "sray-checkpoint-1"
M = TypeVar("M", bound=RayModel)


@dataclass(frozen=True)
class Checkpoint(Generic[M]):
    """A model and what is known of it."""

    model: M
    """In eval mode, on the CPU, float32."""
    label_space: LabelSpace
    lineage: dict[str, Any]
    """How it came to be: parent's sha256, data, seeds, steps, scores. Free form, JSON."""
    sha256: str
    """Of the whole file: the model's identity."""

    @property
    def id(self) -> str:
        """A short name for messages and pages."""
        return f"{self.label_space.name}-{self.sha256[:12]}"

    @property
    def terms(self) -> str:
        """What the data that taught it asks of its users, in a sentence; empty: nothing."""
        terms = self.lineage.get("terms", "")
        return terms if isinstance(terms, str) and terms.isprintable() else ""


def inherited_terms(*terms: str) -> dict[str, str]:
    """The entry of a lineage for what the data of its parents, or its own, asks; none where that is nothing."""
    asked = "; ".join(dict.fromkeys(each for several in terms if several for each in several.split("; ")))
    return {"terms": asked} if asked else {}


def save_checkpoint(
    path: Path | str, model: RayModel, label_space: LabelSpace, lineage: dict[str, Any] | None = None
) -> str:
    """Write a checkpoint and return its sha256. Killed at any moment, either the old file or the new one is there.

    Raises ValueError if the label space has another number of classes than the model, and SrayError (DiskFullError,
    FileError) if the file cannot be written.
    """
    if label_space.classes != model.config.classes:
        raise ValueError(
            f"the model tells {model.config.classes} classes apart, label space {label_space.name} has "
            f"{label_space.classes}; expected the same number"
        )
    header: dict[str, Any] = {
        "config": asdict(model.config),
        "label_space": label_space.to_dict(),
        "lineage": lineage or {},
    }
    if model.system != SemanticRay.system:  # which files without a name are of, as the first ones were
        header["system"] = model.system
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # One entry: safetensors writes several in random order, and equal models must have equal hashes.
    content = save(tensors, {FORMAT: json.dumps(header, sort_keys=True)})
    write_atomically(Path(path), content)
    return hashlib.sha256(content).hexdigest()


@overload
def load_checkpoint(path: Path | str) -> Checkpoint[SemanticRay]: ...
@overload
def load_checkpoint(path: Path | str, systems: Sequence[type[M]]) -> Checkpoint[M]: ...
def load_checkpoint(path: Path | str, systems: Sequence[type[RayModel]] = (SemanticRay,)) -> Checkpoint[Any]:
    """Read a checkpoint of one of the `systems`.

    Raises FileError if the file is missing, damaged or no checkpoint of this project, and
    ModelError if it is of another system, or its weights do not fit the network its config describes.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = _single_precision(file, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        remedy = "Name one that is there: --checkpoint of a command, model.path of the node"
        raise FileError(f"{path} does not exist", "a .safetensors checkpoint", remedy) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise FileError(
            f"{path} cannot be read ({error})",
            "an undamaged .safetensors checkpoint",
            "Copy it again from where it came from, or name another",
        ) from error
    if FORMAT not in metadata:
        raise FileError(
            f"{path} says nothing of {FORMAT} (it has {sorted(metadata) or 'no metadata'})",
            "a checkpoint as `sray train` writes",
        )
    try:
        header = read_header(metadata[FORMAT])
        system = _system_of(header, systems, path)
        config = system.config_type(**header["config"])
        label_space = read_label_space(header["label_space"])
        lineage = header["lineage"]
        if not isinstance(lineage, dict):
            raise TypeError(f"its lineage is a {type(lineage).__name__}, expected an object")
    except (KeyError, TypeError, ValueError) as error:
        raise _unknown(path, error) from error
    if label_space.classes != config.classes:  # before so many are allocated
        raise ModelError(
            f"{path}: {config.classes} classes, but label space {label_space.name} has {label_space.classes}"
        )
    try:
        model = system(config)
    except (TypeError, ValueError) as error:
        raise _unknown(path, error) from error
    _fit(model, tensors, path)
    return Checkpoint(model.eval(), label_space, lineage, digest)


def _system_of(header: dict[str, Any], systems: Sequence[type[RayModel]], path: Path) -> type[RayModel]:
    """Raises ModelError if the file is of none of the systems."""
    name = header.get("system", SemanticRay.system)
    for system in systems:
        if system.system == name:
            return system
    known = ", ".join(system.system for system in systems)
    raise ModelError(
        f"{path} is of system {name!r:.60}",
        f"{known}, which is all that this program runs",
        "Give a checkpoint of that; the paper's other systems are for `sray evaluate`",
    )


def _unknown(path: Path, error: Exception) -> SrayError:
    return ModelError(f"{path} describes no network this version knows ({error})", remedy="Train or convert anew")


def _single_precision(file: Any, path: Path) -> dict[str, torch.Tensor]:
    """All tensors of an open file. Raises FileError if one has another type than checkpoints are saved in."""
    names = list(file.keys())
    for name in names:
        if (kind := file.get_slice(name).get_dtype()) != "F32":
            raise FileError(f"{path} holds {name!r:.60} of type {kind}", "F32, as `sray train` writes")
    return {name: file.get_tensor(name) for name in names}


def read_header(text: str) -> dict[str, Any]:
    """The JSON object that a file of ours holds beside its tensors. Raises ValueError if it is none."""
    try:
        header = json.loads(text)
    except RecursionError as error:
        raise ValueError("the header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError(f"the header is a {type(header).__name__}, expected an object")
    return header


def read_label_space(raw: Any) -> LabelSpace:
    """A label space out of a header. Raises KeyError, TypeError or ValueError if it is none.

    Ids, colors and names are looked at: they index tables, paint pictures and are written into other files.
    """
    try:
        space = LabelSpace.from_dict(raw)
    except OverflowError as error:
        raise ValueError(f"the label space has a number that is none ({error})") from error
    if not all(text.isprintable() for text in (space.name, *space.names)):
        raise ValueError("the label space has names that cannot be printed")
    if not all(0 <= value <= 255 for color in space.colors for value in color):
        raise ValueError(f"label space {space.name} has colors outside 0 to 255")
    if not all(0 <= value < 1 << 16 for value in space.nyu40):
        raise ValueError(f"label space {space.name} has NYU40 ids outside 0 to 65535")
    return space


def _fit(model: RayModel, tensors: dict[str, torch.Tensor], path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != found:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        first = wrong[0]
        raise ModelError(
            f"{path}: {len(wrong)} of {len(expected)} tensors do not fit, first {first}: expected "
            f"{expected.get(first, 'none')}, found {found.get(first, 'none')}",
            remedy="If an earlier version wrote it, train or fine-tune anew from one in models/",
        )
    strange = sorted(name for name, tensor in tensors.items() if not tensor.isfinite().all())
    if strange:
        # Loaded, it would answer void everywhere and give no reason.
        raise FileError(
            f"{path}: {len(strange)} tensors hold NaN or infinity, first {strange[0]}",
            "finite weights",
            "Take a checkpoint from before the training diverged",
        )
    model.load_state_dict(tensors)
