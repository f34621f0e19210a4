"""A small 2D segmenter of our own, for pseudo-labels where no hub can be reached: DeepLabV3+ with MobileNetV2."""
