"""Named splits: which scenes others trained and tested on, as data in splits/*.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from sray.errors import RequestError

FOLDER = Path(__file__).with_name("splits")


@dataclass(frozen=True)
class Split:
    """A split's file: its dataset, and names of scenes by part."""

    name: str
    dataset: str
    """A value of `DataConfig.dataset`."""
    parts: dict[str, tuple[str, ...]]


def scene_names(text: str, dataset: str) -> list[str]:
    """Names of scenes out of a config: names, or parts of named splits as `released_scannet:train`, apart by commas.

    Raises RequestError, saying what there is, for an unknown split or part, one of another dataset, or none.
    """
    names: list[str] = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        split_name, colon, part = entry.partition(":")
        if not colon:
            names.append(entry)
            continue
        split = load_splits().get(split_name)
        if split is None:
            raise _wrong(f"split {split_name!r} is not known", f"one of {', '.join(load_splits())}")
        if split.dataset != dataset:
            raise _wrong(f"split {split_name} is of dataset {split.dataset}, the config's is {dataset}", "one dataset")
        if part not in split.parts:
            raise _wrong(f"split {split_name} has no part {part!r}", f"one of {', '.join(split.parts)}")
        names.extend(split.parts[part])
    if not names:
        raise _wrong(f"scenes are {text!r}", "names of scenes, or split:part, apart by commas")
    return list(dict.fromkeys(names))


@cache
def load_splits() -> dict[str, Split]:
    """All named splits."""
    splits = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        raw = yaml.safe_load(path.read_text())
        parts = {str(part): tuple(str(name) for name in names) for part, names in raw["parts"].items()}
        splits[path.stem] = Split(path.stem, str(raw["dataset"]), parts)
    return splits


def _wrong(found: str, expected: str) -> RequestError:
    return RequestError(found, f"{expected} (data.train, data.validation, data.test)")
