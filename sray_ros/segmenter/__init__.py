"""The node `segmenter`: camera pictures in, label images of a 2D segmentation network out."""
