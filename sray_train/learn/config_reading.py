"""Dataclasses from YAML: every value is of its field's type or refused, never cast, and each complaint names its field.

A cast would hide mistakes: bool("false") is True, int(2.7) is 2, str(None) is a folder called None.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def merged(default: T, raw: Any, path: str = "") -> T:
    """`default`, a dataclass, with the fields of the mapping `raw` in place, into nested dataclasses.

    `path`: the dotted name of what is read. Raises ValueError that begins with the dotted name of the wrong field.
    """
    kind = type(default)
    if not isinstance(raw, dict):
        raise _wrong(path or kind.__name__, raw, f"the fields of {kind.__name__}, name: value")
    hints = get_type_hints(kind)
    values = {}
    for name, value in raw.items():
        if name not in hints:
            complaint = f"{name} is not a field of {kind.__name__}; expected one of {', '.join(hints)}"
            raise ValueError(f"{path or kind.__name__}: {complaint}")
        dotted = f"{path}.{name}" if path else name
        current = getattr(default, name)
        values[name] = (
            merged(current, value, dotted) if dataclasses.is_dataclass(current) else _typed(dotted, value, hints[name])
        )
    try:
        return dataclasses.replace(default, **values)  # type: ignore[type-var]
    except ValueError as error:
        raise ValueError(_located(str(error), path, hints)) from error


def _located(complaint: str, path: str, hints: dict[str, Any]) -> str:
    """A complaint of a dataclass's own checks, behind the field it speaks of: such checks begin with its name."""
    word = complaint.partition(" ")[0]
    field = ".".join(filter(None, (path, word if word in hints else "")))
    return f"{field}: {complaint}" if field else complaint


def _typed(path: str, value: Any, hint: Any) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in parts or isinstance(value, bool):
            raise _wrong(path, value, f"one of {', '.join(map(str, parts))}")
        return value
    if origin is tuple and parts[1:] == (...,):
        if not isinstance(value, list):
            raise _wrong(path, value, "values in brackets, such as [0, 1, 2]")
        return tuple(_typed(path, each, parts[0]) for each in value)
    if origin is tuple:
        if not isinstance(value, list) or len(value) != len(parts):
            raise _wrong(path, value, f"{len(parts)} values in brackets, such as [4, 8]")
        return tuple(_typed(path, each, part) for each, part in zip(value, parts, strict=True))
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise _wrong(path, value, WORDS[hint] + _remedy(value, hint))
    return value


def _remedy(value: Any, hint: type) -> str:
    """What YAML made of something that was meant otherwise."""
    if hint is str and isinstance(value, list):
        return ": names apart by commas in one text, such as 'a, b'"
    if hint is str and value is not None and not isinstance(value, dict):
        return ": put it in quotes"
    if hint in (int, float) and isinstance(value, str) and _reads_as_number(value):
        how = "all its digits, such as 1000" if hint is int else "a point and a signed exponent, such as 1.0e-3"
        return f"; YAML takes {value} for text: write it with {how}"
    if hint is bool and isinstance(value, str):
        return ", without quotes"
    return ""


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _wrong(path: str, found: Any, expected: str) -> ValueError:
    names: dict[type, str] = {**WORDS, list: "a list", dict: "a mapping", types.NoneType: "nothing"}
    kind = names.get(type(found), type(found).__name__)
    kind = "a truth value" if isinstance(found, bool) else kind
    shown = "null" if found is None else repr(found)
    return ValueError(f"{path}: found {shown} ({kind}); expected {expected}")
