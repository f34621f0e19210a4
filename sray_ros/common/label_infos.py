"""What the indices of label images mean, as `label/info` and `labels/info` tell it."""

from __future__ import annotations

from collections.abc import Mapping

from vision_msgs.msg import LabelInfo

from sray.label_space import VOID


def names_of(info: LabelInfo) -> dict[int, str]:
    """Class names by index, without 255."""
    return {int(entry.class_id): str(entry.class_name) for entry in info.class_map if entry.class_id < VOID}


def first_difference(one: Mapping[int, str], other: Mapping[int, str]) -> int | None:
    """The first class that has not the same name in both; None if there is none."""
    return next((index for index in sorted({*one, *other}) if one.get(index) != other.get(index)), None)
