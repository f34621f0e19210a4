"""What the classes of another dataset mean in a label space of ours, by name, from a YAML file.

    classes: [wall, "windowpane, window", ...]     every class of the dataset; after a comma, its other names
    to: {rooms: {wall: [wall, column], ...}, ...}  label space -> its class -> what counts as it

Classes that are named under no class of ours say nothing of a pixel, which then stays unlabeled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from sray.errors import FileError, ModelError
from sray.label_space import LabelSpace

FOLDER = Path(__file__).with_name("mappings")
SHOWN = 8
"""Names in a message, at most."""


@dataclass(frozen=True)
class ClassMapping:
    """One dataset's classes in one label space."""

    path: Path
    label_space: LabelSpace
    names: dict[str, str]
    """Every name of a class of the dataset, as `plain` writes it -> the class."""
    meaning: dict[str, int]
    """Class of the dataset -> class of ours; those that say nothing are not in it."""

    def table(self, labels: Sequence[str]) -> Float[Tensor, "sources targets"]:
        """1 where a class of a model means a class of ours. The last column: it says nothing.

        `labels`: the model's names by class. Raises ModelError for names that the dataset does not have.
        """
        classes = [self._class_of(label) for label in labels]
        strange = [repr(label) for label, found in zip(labels, classes, strict=True) if found is None]
        if strange:
            shown = ", ".join(strange[:SHOWN]) + (" and more" if len(strange) > SHOWN else "")
            raise ModelError(
                f"the model has {len(strange)} classes of {len(labels)} that {self.path} does not know ({shown})",
                "names that it lists",
                "Take the mapping of the dataset that the model was trained on, add the names to a copy of it, or, "
                "if the model has none (LABEL_0), write them into id2label of config.json",
            )
        table = torch.zeros(len(labels), self.label_space.classes + 1)
        for row, name in enumerate(classes):
            table[row, self.meaning.get(str(name), self.label_space.classes)] = 1
        if table[:, :-1].sum() == 0:
            raise ModelError(
                f"none of the model's {len(labels)} classes means one of label space {self.label_space.name} in "
                f"{self.path}",
                "some",
                "Take another model, or another mapping",
            )
        return table

    def _class_of(self, label: str) -> str | None:
        """The first of a label's names that is known: models call one class "painting" or "painting, picture"."""
        known = (self.names.get(plain(part)) for part in label.replace(";", ",").split(","))
        return self.names.get(plain(label)) or next((name for name in known if name), None)


def plain(name: str) -> str:
    """A name without the differences that mean nothing: case, spaces around it, and - or _ for a space."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def known_mappings() -> list[str]:
    """The names of the mappings that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_mapping(mapping: str | Path, label_space: LabelSpace) -> ClassMapping:
    """A mapping that comes with the package, by its name, or a file of one's own.

    Raises FileError, naming file and line, if it names classes that the dataset or the label space does not
    have, or one twice, or says nothing of the label space.
    """
    path = FOLDER / f"{mapping}.yaml" if str(mapping) in known_mappings() else Path(mapping)
    names, spaces, line = _parts(path)
    if label_space.name not in spaces:
        found = ", ".join(spaces) or "nothing"
        expected = f"label space {label_space.name} among them. Write its part, or ask for another"
        raise _bad(path, line, f"maps to {found}", expected)
    return ClassMapping(path, label_space, names, _meaning(path, spaces[label_space.name], names, label_space))


def packaged_mapping(name: str, label_space: LabelSpace) -> ClassMapping | None:
    """A mapping that comes with the package; None where there is none, or none that speaks of the label space."""
    if name not in known_mappings():
        return None
    path = FOLDER / f"{name}.yaml"
    names, spaces, _ = _parts(path)
    if label_space.name not in spaces:
        return None
    return ClassMapping(path, label_space, names, _meaning(path, spaces[label_space.name], names, label_space))


def _parts(path: Path) -> tuple[dict[str, str], dict[str, Any], int]:
    """Of a file: every name with its class; label space -> the YAML node of its classes; the line of that part."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        known = ", ".join(known_mappings())
        raise _bad(path, 0, "does not exist", f"one of {known}, or a YAML file of yours") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(path, 0, f"cannot be read ({error})", "a YAML file with classes and to") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", -1) + 1
        raise _bad(
            path, line, f"is no YAML ({getattr(error, 'problem', error)})", "a mapping such as ade20k"
        ) from error
    parts = dict(_pairs(path, root, "classes and to"))
    if {name for name, _ in parts} != {"classes", "to"}:
        found = ", ".join(name for name, _ in parts) or "nothing"
        raise _bad(path, 1, f"has the parts {found}", "classes and to")
    by_name = {name: node for (name, _), node in parts.items()}
    spaces = {name: node for (name, _), node in _pairs(path, by_name["to"], "label spaces")}
    return _names(path, by_name["classes"]), spaces, _line(by_name["to"])


def _names(path: Path, node: Any) -> dict[str, str]:
    names: dict[str, str] = {}
    for text, line in _texts(path, node):
        first = plain(text.split(",")[0])
        for name in map(plain, text.split(",")):
            if name in names:
                raise _bad(path, line, f"names {name!r} again, already of {names[name]!r}", "each name once")
            names[name] = first
    return names


def _meaning(path: Path, node: Any, names: dict[str, str], label_space: LabelSpace) -> dict[str, int]:
    meaning: dict[str, int] = {}
    for (target, line), sources in _pairs(path, node, f"classes of {label_space.name}"):
        if target not in label_space.names:
            raise _bad(
                path, line, f"names {target!r}", f"a class of {label_space.name}: {', '.join(label_space.names)}"
            )
        for source, at in _texts(path, sources):
            name = names.get(plain(source))
            if name is None:
                raise _bad(path, at, f"names {source!r} under {target}", "a class that the file lists under classes")
            if name in meaning:
                already = label_space.names[meaning[name]]
                raise _bad(path, at, f"names {source!r} under {target}, already under {already}", "each class once")
            meaning[name] = label_space.names.index(target)
    return meaning


def _pairs(path: Path, node: Any, what: str) -> list[tuple[tuple[str, int], Any]]:
    """Key with its line, and value, of a YAML mapping."""
    if node is None or node.id != "mapping":
        raise _bad(path, _line(node), "holds something else", f"{what}, each with a colon")
    pairs = [((str(key.value), _line(key)), value) for key, value in node.value]
    names = [name for (name, _), _ in pairs]
    for (name, line), _ in pairs:
        if names.count(name) > 1:
            raise _bad(path, line, f"names {name!r} twice", f"each of the {what} once")
    return pairs


def _texts(path: Path, node: Any) -> list[tuple[str, int]]:
    """The scalars of a YAML list with their lines."""
    if node.id != "sequence" or any(item.id != "scalar" for item in node.value):
        raise _bad(path, _line(node), "holds something else", "a list of names")
    return [(item.value, _line(item)) for item in node.value]


def _line(node: Any) -> int:
    return 1 if node is None else int(node.start_mark.line) + 1


def _bad(path: Path, line: int, found: str, expected: str) -> FileError:
    where = f"{path} line {line}" if line else str(path)
    return FileError(f"{where} {found}", expected)
