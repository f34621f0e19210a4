"""The lanes of the mapper's worker: how many jobs of each kind may wait, and what becomes of the oldest."""

from __future__ import annotations

from sray_ros.common.inbox import Lane

MAP = Lane("map", 1)
IMAGES = Lane("images", 10, at_once=True)
LABELS = Lane("labels", 30, at_once=True)
REQUESTS = Lane("requests", 8, counts_drops=True)
VIEWPOINTS = Lane("viewpoints", 1, counts_drops=True)
RENDERS = Lane("renders", 1)
LANES = (MAP, IMAGES, LABELS, REQUESTS, VIEWPOINTS, RENDERS)
