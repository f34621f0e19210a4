"""For tests: the segmenter with parts that break on demand, as `broken_mapper`, which see for the environment.

Parts: `load` and `segment`; another way to break: "stuck", for half a minute.
"""

from __future__ import annotations

import os
import sys
import time

from rig.broken_mapper import WAYS, breakable
from sray.segmentation import Segmenter
from sray_ros.common import health
from sray_ros.segmenter import node as segmenter
from sray_ros.segmenter import worker as segmenting


def main() -> int:
    health.SILENCE_SECONDS = float(os.environ.get("SRAY_TEST_SILENCE", health.SILENCE_SECONDS))
    WAYS["stuck"] = lambda: time.sleep(30.0)
    segmenting.load_pretrained = breakable("load", segmenting.load_pretrained)
    Segmenter.segment = breakable("segment", Segmenter.segment)  # type: ignore[method-assign]
    return segmenter.main()


if __name__ == "__main__":
    sys.exit(main())
