"""Label spaces: which class an index means, its color, and the NYU40 id it is stored as on disk.

Every label image in memory and on the wire holds indices of one label space; VOID (255) means "not known".
Files in ScanNet layout hold NYU40 ids (0 is unlabeled); `from_nyu40` and `to_nyu40` are the only conversions.
From one label space to another: `sray.segmentation.between_spaces`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOID = 255
"""The ignore id: no label, or nothing seen."""
LARGEST_NYU40 = 40


@dataclass(frozen=True)
class LabelSpace:
    """Names, colors and NYU40 ids, all of length `classes`, indexed by class."""

    name: str
    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...] = field(compare=False)
    """RGB, 0-255. A checkpoint keeps those it was written with; spaces that differ in them alone are equal."""
    nyu40: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.colors) == len(self.nyu40):
            raise ValueError(
                f"label space {self.name}: {len(self.names)} names, {len(self.colors)} colors and "
                f"{len(self.nyu40)} NYU40 ids; expected the same number of each"
            )
        if not 0 < len(self.names) < VOID:
            raise ValueError(f"label space {self.name} has {len(self.names)} classes; expected 1 to {VOID - 1}")

    @property
    def classes(self) -> int:
        return len(self.names)

    def from_nyu40(self, ids: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Indices of this space for NYU40 ids. 0 (unlabeled) and ids beyond 40 become VOID.

        Where the space has a class "other", every NYU40 class has an index: its own, else the one that
        `sray/segmentation/mappings/nyu40.yaml` names, else "other". In a space without it, as ScanNet20's benchmark
        scores it, classes outside the space become VOID.
        """
        # Here: sray.segmentation reads the mapping files in terms of label spaces.
        from sray.segmentation.between_spaces import indices_of_nyu40

        known = indices_of_nyu40(self)
        table = np.full(max(int(ids.max(initial=0)) + 1, known.size), VOID, np.uint8)
        table[: known.size] = known
        indices: NDArray[np.uint8] = table[ids]
        return indices

    def to_nyu40(self, indices: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """NYU40 ids for indices of this space; VOID becomes 0."""
        table = np.zeros(256, np.uint16)
        table[: self.classes] = self.nyu40
        return table[indices]

    def colorize(self, indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """RGB picture (..., 3) of a label image; VOID is black."""
        table = np.zeros((256, 3), np.uint8)
        table[: self.classes] = self.colors
        return table.take(indices, axis=0)  # a quarter of the time of table[indices]

    def overlay(self, image: NDArray[np.uint8], indices: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label colors over an RGB picture (..., 3), half and half; the picture alone where the label is VOID."""
        mixed = ((image.astype(np.uint16) + self.colorize(indices)) // 2).astype(np.uint8)
        return np.where((indices == VOID)[..., None], image, mixed)

    def to_dict(self) -> dict[str, Any]:
        """What checkpoints and sessions hold of it, as JSON can take it; their name for the colors is `colours`."""
        return {"name": self.name, "names": self.names, "colours": self.colors, "nyu40": self.nyu40}

    @staticmethod
    def from_dict(raw: dict[str, Any]) -> LabelSpace:
        """The inverse of `to_dict`, also after JSON. Raises KeyError, TypeError or ValueError otherwise."""
        return LabelSpace(
            name=str(raw["name"]),
            names=tuple(str(name) for name in raw["names"]),
            colors=tuple((int(r), int(g), int(b)) for r, g, b in raw["colours"]),
            nyu40=tuple(int(i) for i in raw["nyu40"]),
        )


_CLASSES = {
    "wall": (1, (174, 199, 232)),
    "floor": (2, (152, 223, 138)),
    "cabinet": (3, (31, 119, 180)),
    "bed": (4, (255, 187, 120)),
    "chair": (5, (188, 189, 34)),
    "sofa": (6, (140, 86, 75)),
    "table": (7, (255, 152, 150)),
    "door": (8, (214, 39, 40)),
    "window": (9, (197, 176, 213)),
    "bookshelf": (10, (148, 103, 189)),
    "picture": (11, (196, 156, 148)),
    "counter": (12, (23, 190, 207)),
    "blinds": (13, (178, 76, 76)),
    "desk": (14, (247, 182, 210)),
    "shelves": (15, (66, 188, 102)),
    "curtain": (16, (219, 219, 141)),
    "dresser": (17, (140, 57, 197)),
    "pillow": (18, (202, 185, 52)),
    "mirror": (19, (51, 176, 203)),
    "floor mat": (20, (200, 54, 131)),
    "clothes": (21, (92, 193, 61)),
    "ceiling": (22, (78, 71, 183)),
    "books": (23, (172, 114, 82)),
    "refrigerator": (24, (255, 127, 14)),
    "television": (25, (91, 163, 138)),
    "paper": (26, (153, 98, 156)),
    "towel": (27, (140, 153, 101)),
    "shower curtain": (28, (158, 218, 229)),
    "box": (29, (100, 125, 154)),
    "whiteboard": (30, (178, 127, 135)),
    "person": (31, (120, 185, 128)),
    "night stand": (32, (146, 111, 194)),
    "toilet": (33, (44, 160, 44)),
    "sink": (34, (112, 128, 144)),
    "lamp": (35, (255, 221, 51)),
    "bathtub": (36, (227, 119, 194)),
    "bag": (37, (213, 92, 176)),
    "otherstructure": (38, (94, 106, 211)),
    "otherfurniture": (39, (82, 84, 163)),
    "otherprop": (40, (100, 85, 144)),
    "other": (40, (110, 110, 110)),
}
"""NYU40 id and color; the colors of ScanNet's benchmark where it has the class."""


def _space(name: str, *names: str) -> LabelSpace:
    chosen = [_CLASSES[each] for each in names]
    return LabelSpace(name, names, tuple(color for _, color in chosen), tuple(nyu40 for nyu40, _ in chosen))


# fmt: off
SCANNET20 = _space(
    "scannet20", "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "desk", "curtain", "refrigerator", "shower curtain", "toilet", "sink", "bathtub", "otherfurniture",
)

ROOMS = _space(
    "rooms", "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "desk", "curtain", "ceiling", "lamp", "other",
)
"""The 16 classes of the procedural rooms (`sray_train.data.rooms`); "other" is NYU40's otherprop."""

INDOOR = _space(
    "indoor", "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "desk", "curtain", "refrigerator", "shower curtain", "toilet", "sink", "bathtub", "ceiling", "lamp",
    "television", "pillow", "mirror", "person", "other",
)
"""A home's 26 classes: ScanNet's, without its catch-all, and what a robot indoors meets besides. "other" is NYU40's
otherprop; which NYU40 classes fall to which of these stands in sray/segmentation/mappings/nyu40.yaml."""

REPLICA = _space(
    "replica", "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "picture", "blinds",
    "desk", "shelves", "pillow", "clothes", "ceiling", "books", "television", "box", "night stand", "lamp",
    "otherstructure", "otherfurniture", "otherprop",
)
"""The NYU40 classes of Replica's rooms and offices (`sray_train.data.replica`): 24, where published tables score
Replica's own 51, most of which are small props."""
# fmt: on

NYU40 = _space("nyu40", *(name for name in _CLASSES if name != "other"))
"""All 40 classes."""

LABEL_SPACES = {space.name: space for space in (ROOMS, INDOOR, SCANNET20, REPLICA, NYU40)}
