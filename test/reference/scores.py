"""mIoU, strict and as the released code counts it, one pixel and one class at a time. 255 is void."""

from __future__ import annotations

import math

VOID = 255


def mean(numbers):
    numbers = [number for number in numbers if not math.isnan(number)]
    return sum(numbers) / len(numbers) if numbers else math.nan


def intersections_over_unions(pairs, classes):
    """IoU of each class over (predicted, true) pixel pairs; NaN for a class that is never true."""
    scores = []
    for label in range(classes):
        both = sum(1 for predicted, true in pairs if predicted == label and true == label)
        either = sum(1 for predicted, true in pairs if predicted == label or true == label)
        scores.append(both / either if any(true == label for _, true in pairs) else math.nan)
    return scores


def strict_miou(images, classes):
    """All images at once: unlabeled pixels left out, a void prediction is simply wrong."""
    pairs = [pair for image in images for pair in image if pair[1] != VOID]
    return mean(intersections_over_unions(pairs, classes))


def released_miou(images, classes):
    """Image by image: pixels predicted void are left out too; then the mean over images."""
    return mean(
        [
            mean(intersections_over_unions([pair for pair in image if pair[1] != VOID and pair[0] != VOID], classes))
            for image in images
        ]
    )


def accuracies(images, classes):
    """(share of labeled pixels that are right, mean over classes of the share of that class that is right)."""
    pairs = [pair for image in images for pair in image if pair[1] != VOID]
    per_class = []
    for label in range(classes):
        mine = [predicted for predicted, true in pairs if true == label]
        per_class.append(sum(1 for predicted in mine if predicted == label) / len(mine) if mine else math.nan)
    return sum(1 for predicted, true in pairs if predicted == true) / len(pairs), mean(per_class)
