"""The calls by `ros2` that the documents show name what there is: for machines with ros2cli."""

from __future__ import annotations

import importlib
import re
import shlex
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY

from sray_ros.mapper import api

NODE = "/semantic_mapper/"
OFFERED = {
    **{topic.name.replace("~/", NODE): topic.type for topic in (*api.SUBSCRIBED, *api.PUBLISHED)},
    **{call.name.replace("~/", NODE): call.type for call in (*api.SERVICES, *api.ACTIONS)},
}
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def calls() -> list[tuple[str, list[str]]]:
    """File, and the words of each call of what this node offers."""
    pattern = re.compile(r"^ros2 (?:action send_goal|service call|topic echo) [^\n]*", re.MULTILINE)
    found = []
    for page in PAGES:
        for line in pattern.findall(page.read_text()):
            words = [word for word in shlex.split(line, comments=True) if not word.startswith("--")]
            if words[3].startswith(NODE) and words[1:3] != ["topic", "pub"]:
                found.append((page.name, words))
    return found


def fill(message: Any, values: dict[str, Any]) -> None:
    """As ros2cli does; rosidl's setters raise AssertionError for a value of another type."""
    for name, value in values.items():
        assert name in message.get_fields_and_field_types(), f"{type(message).__name__} has no {name}"
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        else:
            setattr(message, name, value)


@pytest.mark.parametrize(("page", "words"), calls(), ids=lambda value: value if isinstance(value, str) else value[3])
def test_a_documented_call_fits_what_the_node_offers(page: str, words: list[str]) -> None:
    name = words[3]
    if name.endswith(("_parameters", "change_state")):
        return  # every node's
    assert name in OFFERED, f"{page}: {name}"
    if words[1] == "topic":
        return
    package, kind, type_name = words[4].split("/")
    interface = getattr(importlib.import_module(f"{package}.{kind}"), type_name)
    assert interface is OFFERED[name], page
    request = interface.Goal() if kind == "action" else interface.Request()
    fill(request, yaml.safe_load(words[5]) if len(words) > 5 else {})


def test_the_lines_that_users_need_are_there() -> None:
    readme = {words[3] for page, words in calls() if page == "README.md"}
    assert {f"{NODE}{name}" for name in ("fine_tune", "fine_tune_once", "fine_tune/status", "load_model")} <= readme
