"""The parameters of fine-tuning: the group fine_tune of semantic_mapper's."""

from __future__ import annotations

from dataclasses import dataclass

from sray.mapping.adaptation import AdaptationConfig
from sray_ros.common.parameters import parameter


@dataclass(frozen=True)
class FinetuneSettings:
    """Typed values of the parameters fine_tune.*"""

    enabled: bool = parameter(True, "whether ~/fine_tune and ~/fine_tune_once do anything")
    width: int = parameter(
        AdaptationConfig.width,
        "columns at which larger keyframes are learned from; 0: as they are. Time and memory grow with its square",
        (0, 8192),
    )
    threads: int = parameter(
        0, "threads of the fine-tuning process; 0: half as many as there are processors", (0, 1024)
    )
    memory_limit: int = parameter(
        0,
        "MiB that the fine-tuning process may take; 0: no limit, and the kernel ends it before others",
        (0, 10_000_000),
    )
