"""2D segmenters as sources of labels for fine-tuning: any semantic segmentation model of `transformers` (an extra).

Paper: supplementary, Table 9, where "p" is fine-tuning on the labels of a 2D network instead of ground truth.
"""

from sray.segmentation.mapping import ClassMapping, known_mappings, load_mapping
from sray.segmentation.pretrained import Pretrained, load_pretrained
from sray.segmentation.segmenter import Segmentation, Segmenter

__all__ = [
    "ClassMapping",
    "Pretrained",
    "Segmentation",
    "Segmenter",
    "known_mappings",
    "load_mapping",
    "load_pretrained",
]
