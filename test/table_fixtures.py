"""For tests of tables: a record as a study leaves it."""

from __future__ import annotations

from typing import Any

from sray_train.paper.study.record import Record


def record(variant: str = "semantic_ray", miou: float | None = 0.5, **own: Any) -> Record:
    fields: dict[str, Any] = {
        "system": "semantic_ray",
        "setting": "generalization",
        "data": "rooms 9000:9010",
        "metrics": {"strict_miou": miou},
        "seed": 0,
        "seconds": 40.0,
        "commit": "1a2b3c4",
        "config": "config/studies/rooms.yaml",
        "steps": 600,
        "size": (160, 120),
    }
    return Record(variant=variant, **fields | own)
