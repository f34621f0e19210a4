"""Training: configurations, pre-training, training on rays, fine-tuning to one scene, labels from a 2D segmenter."""
