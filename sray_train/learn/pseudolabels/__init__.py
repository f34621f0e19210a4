"""Labeling recordings with a 2D model: the new folder, and what its labels are worth."""
