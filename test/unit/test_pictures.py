"""The size an encoded picture claims, against what OpenCV decodes; claims that cost nothing; EXIF tags."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage

from sray.errors import ErrorCode, SrayError
from sray.pictures import claimed_size, decode, decode_file
from sray_ros.common.conversions import read_image

OPTIONS = {
    "baseline.jpg": [], "progressive.jpg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restart.jpg": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2], "picture.png": [],
}  # fmt: skip


def encoded(name: str, width: int = 37, height: int = 21) -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return bytes(cv2.imencode(f".{name[-3:]}", picture, OPTIONS[name])[1])


@pytest.mark.parametrize("name", OPTIONS)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_the_claim_is_what_is_decoded(name: str, width: int, height: int) -> None:
    data = encoded(name, width, height)
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert claimed_size(data) == (decoded.shape[1], decoded.shape[0]) == (width, height)


def test_a_jpeg_with_metadata_before_its_frame_header() -> None:
    data = encoded("baseline.jpg")
    for filler in (b"\xff\xe1\x00\x10" + bytes(14), b"\xff\xfe\x01\x02" + bytes(256), b"\xff"):
        data = data[:2] + filler + data[2:]
    assert claimed_size(data) == (37, 21)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"]))
def test_any_bytes_give_a_size_or_none(data: bytes, start: bytes) -> None:
    size = claimed_size(start + data)
    assert size is None or (size[0] >= 0 and size[1] >= 0)


@pytest.mark.fault("a compressed picture claims a size that no camera has", code="BAD_ENCODING",
                   says="log and diagnostics, with the claim", recovery="the next picture")  # fmt: skip
@pytest.mark.parametrize("name", ["baseline.jpg", "picture.png"])
def test_an_absurd_claim_is_refused_before_it_is_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(encoded(name))
    if name.endswith("png"):
        data[16:24] = b"\x00\x00\xff\xff" * 2
    else:
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(SrayError, match="claims 65535x65535 pixels") as caught:
        read_image(CompressedImage(format="jpeg", data=bytes(data)))
    assert caught.value.code is ErrorCode.BAD_ENCODING


def test_what_is_neither_is_refused_by_its_format() -> None:
    with pytest.raises(SrayError, match="'webp'.*no whole jpeg or png"):
        read_image(CompressedImage(format="webp", data=b"RIFF0000WEBP"))


def test_a_png_whose_chunk_claims_gigabytes_is_not_decoded() -> None:
    data = bytearray(encoded("picture.png"))
    at = data.index(b"IDAT")
    data[at - 4 : at] = b"\xff\xff\x09\x23"
    assert claimed_size(bytes(data)) is None
    assert claimed_size(encoded("picture.png") + b"what follows the end") == (37, 21)
