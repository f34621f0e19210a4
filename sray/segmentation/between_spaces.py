"""What the classes of one label space mean in another, by the mapping files: for label ids and for probabilities.

table = projection(checkpoint.label_space, SCANNET20)
likeliest(probabilities @ table)                       # indices of ScanNet20
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from sray.errors import ModelError
from sray.label_space import LABEL_SPACES, NYU40, VOID, LabelSpace
from sray.segmentation.mapping import ClassMapping, packaged_mapping, plain

OTHER = "other"
"""The class of whatever is no other class of its space. A space that has it leaves no labeled pixel out."""


@lru_cache
def indices_of_nyu40(space: LabelSpace) -> NDArray[np.uint8]:
    """Class index by NYU40 id, 0 to the largest id known. 0, and what means nothing in the space, is VOID.

    Classes of the space's own ids are themselves. The other ids mean something only where the space has a class
    "other": what `mappings/nyu40.yaml` says, and else "other". Do not write into the array: it is kept.
    """
    table = np.full(max(*space.nyu40, *NYU40.nyu40) + 1, VOID, np.uint8)
    if OTHER in space.names:
        table[list(NYU40.nyu40)] = space.names.index(OTHER)
        mapping = _mapping("nyu40", space)
        for name, index in (mapping.meaning if mapping else {}).items():
            table[_nyu40_id(name)] = index
    table[list(space.nyu40)] = np.arange(space.classes, dtype=np.uint8)
    table.flags.writeable = False
    return table


def projection(source: LabelSpace, target: LabelSpace) -> Float[Tensor, "sources targets"]:
    """1 where a class of `source` means a class of `target`; a row of zeros where it means none.

    By the mapping file of the source space where there is one that speaks of the target, else by the NYU40 id of the
    class. Probabilities times this table are probabilities of the target's classes, summed over those that mean the
    same. Raises ModelError if no class of the source means one of the target.
    """
    table = torch.zeros(source.classes, target.classes)
    if same_classes(source, target):
        return table.fill_diagonal_(1)
    for row, index in enumerate(_meaning(source, target)):
        if index != VOID:
            table[row, index] = 1
    if not table.any():
        raise ModelError(
            f"no class of label space {source.name} ({', '.join(source.names[:4])}, ...) means one of {target.name} "
            f"({', '.join(target.names[:4])}, ...)",
            "some",
            "Name another label space, or write the classes into a file of sray/segmentation/mappings",
        )
    return table


def likeliest(probabilities: Float[Tensor, "*shape targets"]) -> UInt8[Tensor, "*shape"]:
    """The likeliest class of the target space, VOID where every one has probability 0.

    What the source's remaining classes got is not weighed against it: asked for ScanNet20, a pixel that is ceiling to
    60 % and wall to 30 % is wall, since ScanNet20 knows no ceiling.
    """
    best, index = probabilities.max(-1)
    return torch.where(best > 0, index, VOID).to(torch.uint8)


def same_classes(one: LabelSpace, other: LabelSpace) -> bool:
    """Whether an index means the same in both, whatever the spaces are called."""
    return (one.names, one.nyu40) == (other.names, other.nyu40)


def _meaning(source: LabelSpace, target: LabelSpace) -> list[int]:
    """The index in the target of each class of the source; VOID: it means none."""
    if own := _mapping(source.name, target):
        return [own.meaning.get(own.names.get(plain(name), ""), VOID) for name in source.names]
    known = indices_of_nyu40(target)
    table = np.full(max(*source.nyu40, known.size) + 1, VOID, np.uint8)
    table[: known.size] = known
    if mapping := _mapping("nyu40", target):
        for name, index in mapping.meaning.items():
            table[_nyu40_id(name)] = index
    return [int(table[nyu40]) for nyu40 in source.nyu40]


def _mapping(name: str, target: LabelSpace) -> ClassMapping | None:
    """The package's mapping file of that name, where it has a part for the target; None otherwise."""
    known = LABEL_SPACES.get(target.name)
    if known is None or not same_classes(known, target):
        return None  # a label space of one's own, of which no file of the package can speak
    return packaged_mapping(name, target)


def _nyu40_id(name: str) -> int:
    return NYU40.nyu40[NYU40.names.index(name)]
