"""What the first bytes of a jpeg or png claim: looked at before anything is decoded, as a claim costs memory."""

from __future__ import annotations

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's SOF markers: baseline, progressive and so on; the others of the range are tables (ITU-T T.81, table B.1)."""
BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""


def claimed_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Width and height in the header of a jpeg or png; None if it is neither, or claims more bytes than there are."""
    data = memoryview(data)
    if data[:8] == PNG:
        return _size_of_png(data)
    return _size_of_jpeg(data) if data[:2] == JPEG else None


def _size_of_png(data: memoryview) -> tuple[int, int] | None:
    at = 8
    while at < len(data):  # each chunk: length, name, content, checksum
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at <= len(data) and bytes(data[at - 8 : at - 4]) == b"IEND":
            break
    if at > len(data) or len(data) < 24:
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _size_of_jpeg(data: memoryview) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in BARE:
            at += 2
        elif marker in FRAME_HEADERS:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None
