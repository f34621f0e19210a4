"""DataConfig: which scenes are read, from where, and at which size."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat
from pydantic.dataclasses import dataclass

from sray.encoder import LEAST_SIDE
from sray.label_space import LABEL_SPACES
from sray_train.configuration import CHECKED

Dataset = Literal["rooms", "scannet", "replica", "blender", "llff", "nerfstudio", "tum", "colmap", "folder"]
LabelIds = Literal["auto", "nyu40", "scannet"]

Side = Annotated[int, Field(ge=LEAST_SIDE)]
"""Of a picture, pixels: the encoder has nothing to compare in smaller ones."""


@dataclass(frozen=True, config=CHECKED)
class DataConfig:
    """Which scenes, at which size."""

    dataset: Dataset = "rooms"
    """`rooms` are made here; `folder` is any recording in ScanNet layout, such as the node's own."""
    root: str = ""
    """Folder of the dataset, holding a folder (or .sens file) a scene. Rooms need none."""
    train: str = "0:400"
    """Scenes to train on: `split:part` of a named split (sray_train/data/splits), or names apart by commas; rooms
    by their seeds, first:end, within 0-7999."""
    validation: str = "8000:8020"
    """Scenes to score on while training; of rooms seeds within 8000-8999."""
    test: str = "9000:9020"
    """Scenes that `sray evaluate` scores; of rooms seeds from 9000 up."""
    train_rays: str = ""
    """Scenes to train rays on; empty: those of `train`. On scenes that taught the encoder rays learn to trust it more
    than they may on others."""
    label_space: str = "rooms"
    """What the classes mean: one of sray.label_space.LABEL_SPACES."""
    label_ids: LabelIds = "auto"
    """What the label pictures hold: NYU40 ids, or raw ScanNet ids to be looked up in scannetv2-labels.combined.tsv."""
    width: Side = 160
    height: Side = 120
    frames: NonNegativeInt = 24
    """Frames a scene: so many are made of a room, a recording is thinned to so many. 0: all of a recording."""
    pictures: str = ""
    """Folder of single labeled pictures (colour/N.jpg, label40/N.png) that teach the encoder beside the scenes; every
    tenth of them is kept to score on."""
    picture_ids: LabelIds = "nyu40"
    """What their label pictures hold, as `label_ids`."""
    picture_fx_over_width: PositiveFloat = 0.81
    """Focal length over width of the camera that took them; 0.81 is NYU Depth v2's. They are scored at the focal length
    at which the finished encoder reads (`model.reading_focal`)."""
    pseudolabelled: str = ""
    """Folders that `sray pseudolabel` made, apart by commas. They teach beside scenes and pictures, each label as much
    as the model that made it was sure of it (`encoder.pseudolabel_share`, `frozen.pseudolabel_share`)."""
    learn_by_heart: bool = False
    """Train, validation and test may share scenes: shows that everything learns, not how well it generalizes."""

    def __post_init__(self) -> None:
        if self.label_space not in LABEL_SPACES:
            raise ValueError(f"label_space is {self.label_space!r}; expected one of {', '.join(LABEL_SPACES)}")
        if self.dataset != "rooms" and not self.root:
            raise ValueError(f"root is empty; expected the folder of the {self.dataset} dataset")
