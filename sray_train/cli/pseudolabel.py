"""`sray pseudolabel`: labels of a recording from a 2D segmentation model, for `sray finetune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from sray.label_space import LABEL_SPACES
from sray.segmentation import Segmenter, load_mapping, load_pretrained
from sray_train.cli.options import RunOptions
from sray_train.data.config import LabelIds
from sray_train.data.scannet import open_folder
from sray_train.learn.interruption import interruption
from sray_train.learn.pseudolabels.folder import PseudoLabelFolder
from sray_train.learn.pseudolabels.labeling import label_recording, say_labeled
from sray_train.machine import chosen_device, use_threads
from sray_train.records import write_record


@dataclass
class PseudoLabel(RunOptions):
    """Label a recording with a 2D model, into a new folder that `sray finetune --sequence` reads. Resumes."""

    sequence: tyro.conf.Positional[Path]
    """A recording: a folder in ScanNet's layout. It is not changed; the new folder links to its pictures and poses."""
    model: str
    """A semantic segmentation model of `transformers`: a folder, or the id of one on the hub (safetensors only)."""
    mapping: str
    """What its classes mean: ade20k, coco, voc, nyu40, indoor, rooms, or a YAML file of yours."""
    label_space: str = "indoor"
    """Into which classes: the label space of the checkpoint that will be tuned (rooms, indoor, scannet20, ...)."""
    threshold: float = 0.5
    """Pixels whose class has a lower probability stay unlabeled."""
    output: Path | None = None
    """The new folder; None: results/pseudolabels/<name of the recording>."""
    label_ids: LabelIds = "auto"
    """What the recording's own label pictures hold, which score the new ones: NYU40 ids, or raw ScanNet ids."""
    copy: bool = False
    """Copy pictures, depth and poses instead of linking to them."""

    def __post_init__(self) -> None:
        if self.label_space not in LABEL_SPACES:
            raise ValueError(f"label-space is {self.label_space}; expected one of {', '.join(LABEL_SPACES)}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; expected a probability, 0 to 1")
        super().__post_init__()

    def main(self) -> None:
        use_threads(self.threads)
        label_space = LABEL_SPACES[self.label_space]
        recording = open_folder(self.sequence, label_space, self.label_ids)
        mapping = load_mapping(self.mapping, label_space)  # before a model is fetched
        pretrained = load_pretrained(self.model)
        device = chosen_device(self.device).type
        segmenter = Segmenter(pretrained, mapping, self.threshold, device)
        folder = PseudoLabelFolder(self.output or Path("results/pseudolabels") / recording.name, recording)
        folder.prepare(segmenter, copy=self.copy)
        with interruption() as interrupted:
            labeled = label_recording(segmenter, recording, folder, interrupted)
        if not labeled.complete:
            print(f"stopped after {labeled.frames} of {len(recording)} pictures; the same command goes on")
            raise KeyboardInterrupt
        write_record(folder.record_file, folder.settings(segmenter) | labeled.record())
        say_labeled(labeled, segmenter)
        print(f"see {folder.path}; sray finetune --sequence {folder.path} learns from it")
