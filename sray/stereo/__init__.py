"""Depth of a picture from neighboring pictures whose poses are known: a plane sweep and a small 2D network.

partners.py  which neighbors help     sweep.py  how well they agree at each depth     network.py  depth and confidence
"""

from sray.stereo.depth import StereoDepth
from sray.stereo.network import StereoNetwork
from sray.stereo.partners import select_partners

__all__ = ["StereoDepth", "StereoNetwork", "select_partners"]
