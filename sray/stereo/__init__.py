"""Depth of a picture from neighboring pictures whose poses are known: a plane sweep and a small 2D network, then a
second, narrow sweep around what these found.

partners.py    which neighbors help               sweep.py      how well they agree at each depth
network.py     the network, features to depth     refinement.py the narrow sweep
agreement.py   what the views around say of it    surfaces.py   a sensor's depth and stereo's, as one
"""

from sray.stereo.depth import StereoDepth
from sray.stereo.network import StereoNetwork
from sray.stereo.partners import select_partners

__all__ = ["StereoDepth", "StereoNetwork", "select_partners"]
