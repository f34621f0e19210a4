"""Configurations from YAML: dataclasses that pydantic checks; what is wrong is named by its dotted path.

Values are taken as they stand or refused, never cast: a cast would hide mistakes, as where "false" becomes true.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

T = TypeVar("T")

CHECKED = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""Of every configuration: `@pydantic.dataclasses.dataclass(frozen=True, config=CHECKED)`."""
HINTS = {
    "int_type": "; write all its digits, such as 1000, and no quotes",
    "float_type": "; YAML takes 1e-3 for text: write 1.0e-3, and no quotes",
    "bool_type": "; write true or false, and no quotes",
    "string_type": "; put it in quotes; several names are one text, apart by commas",
}
"""What YAML often made of something that was meant otherwise, by pydantic's types of errors."""


def read_yaml(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A YAML's sections, over those of the file beside it that its `like` names; `above`: the files that led here.

    Raises OSError, yaml.YAMLError or ValueError.
    """
    raw = yaml.safe_load(path.read_text()) or {}
    if not isinstance(raw, dict):
        raise ValueError(f"found a {type(raw).__name__}; expected sections and fields, name: value")
    like = raw.pop("like", None)
    if like is None:
        return raw
    if path in above:
        raise ValueError(f"like: {like} leads back to {path.name}; expected a file that is not like this one")
    return overlaid(read_yaml(path.parent / str(like), (*above, path)), raw)


def overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Nested mappings: `above`, and what it leaves open from `below`."""
    both = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], dict) and isinstance(above[name], dict):
            both[name] = overlaid(below[name], above[name])
    return both


def merged(default: T, raw: Any, path: str = "") -> T:
    """`default`, a dataclass, with the fields of the mapping `raw` in place, into nested dataclasses.

    `path`: the dotted name of what is read. Raises ValueError that begins with the dotted name of the wrong field.
    """
    content = overlaid(asdict(default), raw) if isinstance(raw, dict) else raw  # type: ignore[call-overload]
    try:
        # As JSON: there alone lists are tuples and mappings are dataclasses, and nothing else is cast.
        return TypeAdapter(type(default)).validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise ValueError(complaint(error, default, path)) from error


def complaint(errors: ValidationError, default: Any, path: str) -> str:
    """What is wrong first, after its dotted name. `default`: a dataclass, or an instance."""
    every = errors.errors()
    error = next((each for each in every if each["type"] == "unexpected_keyword_argument"), every[0])
    places = [str(place) for place in error["loc"]]
    if error["type"] == "unexpected_keyword_argument":
        *places, strange = places
        for place in places:
            default = getattr(default, place, default)  # of a list: the same
        known = ", ".join(field.name for field in fields(default))
        kind = default if isinstance(default, type) else type(default)
        said = f"{strange} is not a field of {kind.__name__}; expected one of {known}"
    elif error["type"] == "value_error":
        said = str(error["ctx"]["error"])
    else:
        said = f"found {error['input']!r:.200}; {_expected(error['msg'])}"
        if isinstance(error["input"], str) != (error["type"] == "string_type"):
            said += HINTS.get(error["type"], "")
    name = ".".join(filter(None, (path, *places)))
    return f"{name}: {said}" if name else said


def _expected(message: str) -> str:
    """pydantic's message as the end of a sentence."""
    wanted = message.removeprefix("Input should be ")
    if wanted == message:
        return message[0].lower() + message[1:]
    return f"expected {'a value ' if wanted.startswith(('greater', 'less')) else ''}{wanted}"
