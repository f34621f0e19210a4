"""Tiny segmentation models of `transformers`, with random weights, from configs alone: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="the extra `segmenter` is not installed")

NAMES = ("floor", "wall", "sky", "chair")
"""In another order than in any label space of ours."""


def save_model(kind: str, folder: Path, names: tuple[str, ...] = NAMES, seed: int = 0) -> Path:
    """A folder with config.json, preprocessor_config.json and model.safetensors."""
    torch.manual_seed(seed)
    labels = dict(enumerate(names))
    if kind == "deeplab":
        config = transformers.MobileNetV2Config(depth_multiplier=0.25, output_stride=8, id2label=labels)
        model = transformers.MobileNetV2ForSemanticSegmentation(config)
        processor = transformers.MobileNetV2ImageProcessorPil(size={"shortest_edge": 32})  # crops, unless told not to
    elif kind == "segformer":
        config = transformers.SegformerConfig(
            hidden_sizes=[8, 8, 16, 16],
            depths=[1] * 4,
            num_attention_heads=[1] * 4,
            decoder_hidden_size=16,
            id2label=labels,
        )
        model = transformers.SegformerForSemanticSegmentation(config)
        processor = transformers.SegformerImageProcessorPil(size={"height": 64, "width": 64})
    else:
        backbone = transformers.SwinConfig(
            embed_dim=8,
            depths=[1] * 4,
            num_heads=[1] * 4,
            window_size=4,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        config = transformers.Mask2FormerConfig(
            backbone_config=backbone,
            feature_size=32,
            mask_feature_size=32,
            hidden_dim=32,
            encoder_feedforward_dim=32,
            encoder_layers=1,
            decoder_layers=2,
            dim_feedforward=32,
            num_attention_heads=2,
            num_queries=6,
            id2label=labels,
        )
        model = transformers.Mask2FormerForUniversalSegmentation(config)
        processor = transformers.Mask2FormerImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 128})
    with torch.no_grad():  # random weights hardly depend on the picture: without this, all pixels are one class
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
        if kind == "deeplab":  # its norms know nothing of its activations until they have seen some
            model.train()(torch.rand(4, 3, 64, 64) * 2 - 1)
            model.eval()
        if kind == "mask2former":
            model.class_predictor.bias[-1] = -5  # its queries find something
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
