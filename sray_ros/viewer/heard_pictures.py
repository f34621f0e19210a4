"""HeardPictures: the pictures of keyframes that a mapper published, for as long as it holds the keyframes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Set

from sensor_msgs.msg import Image

MOST = 512
"""Kept while the mapper has not told which keyframes it holds."""


class HeardPictures:
    """By stamp, nanoseconds, as numbers begin anew with each mapper. One thread adds; any may look."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[int, Image] = OrderedDict()

    def add(self, stamp_ns: int, image: Image, held: Set[int]) -> None:
        """Keep a picture. `held`: stamps of the keyframes that the mapper last told of.

        Pictures come in the order of their keyframes: of those before the newest held one, the others have left.
        """
        self._pictures[stamp_ns] = image
        self._pictures.move_to_end(stamp_ns)  # a bag that starts again has the same stamps
        stamps = list(self._pictures)
        newest_held = max((place for place, each in enumerate(stamps) if each in held), default=0)
        gone = [each for each in stamps[:newest_held] if each not in held] + stamps[newest_held:-MOST]
        for each in gone:
            del self._pictures[each]

    def get(self, stamp_ns: int) -> Image | None:
        return self._pictures.get(stamp_ns)

    @property
    def stamps_ns(self) -> list[int]:
        """As they came."""
        return list(self._pictures)
