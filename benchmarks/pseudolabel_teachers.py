"""The teachers of pseudolabel_tuning.py: where the labels come from, and how good they are.

truth   ground truth
all     the 2D network's labels, every pixel
sure    those that are as probable as a threshold; nothing teaches the rest (`sray pseudolabel`)
kept    the same, and the rest teach what the model said of them before (`sray finetune --keep-own`)
guarded as kept, but 2 frames judge instead of teaching: the best weights by them are scored (`--hold-out 2`)
own     what the model said of them before, without the network
"""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor

from sray.checkpoint import Checkpoint
from sray.field import SemanticField
from sray.label_space import VOID, LabelSpace
from sray.own_labels import own_labels
from sray.segmentation import Segmenter
from sray_train.data.scene import Scene
from sray_train.data.view_split import ViewSplit
from sray_train.learn.pseudolabels.labeling import Labeled

Labels = dict[int, UInt8[Tensor, "height width"]]

TEACHERS = {
    "truth": "ground truth",
    "kept": "pseudo-labels where sure, own elsewhere",
    "guarded": "pseudo-labels where sure, own elsewhere, 2 frames judge",
    "own": "own labels",
    "sure": "pseudo-labels where sure",
    "all": "pseudo-labels",
}
"""As a record calls them."""
HOLD_OUT = {"guarded": 2}
WITHOUT_NETWORK = ("truth", "own")
WITH_THRESHOLD = ("kept", "guarded", "sure")
QUALITY = ("coverage", "strict_miou", "total_accuracy", "accuracy_where_labelled")


def teachers_of(
    scene: Scene, split: ViewSplit, checkpoint: Checkpoint, segmenter: Segmenter, threshold: float
) -> dict[str, Labels]:
    """Labels of the frames that teach, by teacher. Test frames are not looked at."""
    teaching = (*split.sources, *split.tuning)
    numbers = sorted(teaching)
    found = own_labels(
        SemanticField(checkpoint.model), [scene.frames[number] for number in numbers], range(len(numbers)), scene.bounds
    )
    own = {number: found[position] for position, number in enumerate(numbers)}
    teachers: dict[str, Labels] = {name: {} for name in TEACHERS}
    for index in teaching:
        labels, confidence = segmented(segmenter, scene, index)
        sure = torch.where(confidence >= threshold, labels, VOID)
        truth = scene.frames[index].labels
        assert truth is not None, "rooms are labeled"
        said = {"all": labels, "sure": sure, "own": own[index], "truth": truth}
        said["kept"] = said["guarded"] = torch.where(sure == VOID, own[index], sure)
        for name, its in said.items():
            teachers[name][index] = its
    return teachers


def segmented(segmenter: Segmenter, scene: Scene, index: int) -> tuple[UInt8[Tensor, "height width"], Tensor]:
    """What the 2D network says of one picture, and its confidence."""
    answer = segmenter.segment(scene.frames[index].image.numpy())
    return torch.from_numpy(answer.labels), torch.from_numpy(answer.confidence)


def quality(space: LabelSpace, scene: Scene, labels: Labels) -> dict[str, float]:
    """How good labels are, by ground truth."""
    made = Labeled(len(labels), space.names)
    for index, its in labels.items():
        truth = scene.frames[index].labels
        made.add(its.numpy(), None if truth is None else truth.numpy())
    return {name: round(made.record()[name], 4) for name in QUALITY}
