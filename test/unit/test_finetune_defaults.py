"""Defaults of fine-tuning stand in AdaptationConfig and FineTuneConfig; whatever else states one says the same."""

from __future__ import annotations

import ast
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sray.finetune_config import FineTuneConfig
from sray.mapping.adaptation import AdaptationConfig
from sray_ros.finetune.parameters import FinetuneSettings
from sray_train.cli.finetune import Finetune

INTERFACES = Path(__file__).resolve().parents[2] / "sray_interfaces"
OF_THE_NODE = {"width"}
"""What a request leaves to the node's parameters."""


def defaults(interface: str) -> dict[str, Any]:
    """Of the fields of a request, by name."""
    request = (INTERFACES / interface).read_text().split("\n---\n")[0]
    lines = re.findall(r"^(?:uint32|float32|string|bool) (\w+) (\S+)$", request, re.MULTILINE)
    return {name: ast.literal_eval(value.title() if value in ("true", "false") else value) for name, value in lines}


@pytest.mark.parametrize("interface", ["action/FineTune.action", "srv/FineTune.srv"])
def test_a_request_asks_for_the_defaults(interface: str) -> None:
    ours = {name: value for name, value in asdict(AdaptationConfig()).items() if name not in OF_THE_NODE}
    assert defaults(interface) == ours


def test_the_node_learns_from_pictures_of_the_default_width() -> None:
    assert FinetuneSettings().width == AdaptationConfig.width


def test_the_command_and_a_session_learn_as_the_library_does() -> None:
    library, command = FineTuneConfig(), Finetune(seeds=("9000",)).plan().config
    assert command == library
    live = AdaptationConfig().tuning(learns_labels=True)
    assert (live.steps, live.mode, live.loss, live.heads_learning_rate) == (
        library.steps, library.mode, library.loss, library.heads_learning_rate,
    )  # fmt: skip
    told = Path(INTERFACES.parent / "sray_train" / "cli" / "finetune.py").read_text()
    assert f'"""Without: {library.steps}, and with --scratch' in told
