"""The size an encoded picture claims, against what OpenCV decodes; claims that cost nothing; EXIF tags."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sensor_msgs.msg import CompressedImage

from sray.errors import PictureError, SrayError
from sray.pictures import BitDepth, claimed_size, decode, decode_file
from sray_ros.common.conversions import read_image

OPTIONS = {
    "baseline.jpg": [], "progressive.jpg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restart.jpg": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2], "picture.png": [], "lossy.webp": [cv2.IMWRITE_WEBP_QUALITY, 80],
    "lossless.webp": [cv2.IMWRITE_WEBP_QUALITY, 101], "picture.tiff": [],
}  # fmt: skip


def encoded(name: str, width: int = 37, height: int = 21) -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return bytes(cv2.imencode(f".{name.partition('.')[2]}", picture, OPTIONS[name])[1])


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
    assert isinstance(caught.value, PictureError)


def test_what_is_neither_is_refused_by_its_format() -> None:
    with pytest.raises(SrayError, match="'webp'.*no whole jpeg, png, webp or upright tiff"):
        read_image(CompressedImage(format="webp", data=b"RIFF0000WEBP"))


def test_a_png_whose_chunk_claims_gigabytes_is_not_decoded() -> None:
    data = bytearray(encoded("picture.png"))
    at = data.index(b"IDAT")
    data[at - 4 : at] = b"\xff\xff\x09\x23"
    assert claimed_size(bytes(data)) is None
    assert claimed_size(encoded("picture.png") + b"what follows the end") == (37, 21)


COLORS = np.random.default_rng(1).integers(0, 255, (21, 37, 3), np.uint8)


def turned(kind: str, orientation: int) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = orientation
    Image.fromarray(COLORS).save(file, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_as_stored_unless_only_the_turned_one_fits(kind: str, orientation: int, tmp_path: Path) -> None:
    data = turned(kind, orientation)
    assert claimed_size(data) == (37, 21)
    (tmp_path / "picture").write_bytes(data)
    as_stored = COLORS[..., ::-1]
    for fits in (None, lambda *size: size == (37, 21), lambda *size: True, lambda *size: False):
        for picture in (decode(data, fits), decode_file(tmp_path / "picture", fits), decode(data, fits, -1)):
            np.testing.assert_array_equal(picture, as_stored)
    upright = decode(data, lambda *size: size == (21, 37))
    assert upright is not None
    if orientation < 5:  # none of them is of that size
        np.testing.assert_array_equal(upright, as_stored)
    elif orientation in (6, 8):  # to be turned by 90 degrees to the right, or to the left
        np.testing.assert_array_equal(upright, np.rot90(as_stored, -1 if orientation == 6 else 1))
    else:
        assert upright.shape[:2] == (37, 21)


def test_a_tiff_that_opencv_would_turn_is_none() -> None:
    assert claimed_size(turned("TIFF", 1)) == (37, 21)
    assert claimed_size(turned("TIFF", 6)) is None


def test_a_file_that_is_none_decodes_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert decode_file(tmp_path / "empty.png") is None
    assert decode_file(tmp_path / "missing.png") is None
    assert decode(b"no picture") is None


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_16_bits_are_scaled_by_those_that_are_filled_and_a_dark_picture_stays_dark(bits: int) -> None:
    full = np.array([[0, (1 << bits) - 1, 1 << (bits - 1)]], np.uint16)
    depth = BitDepth()
    np.testing.assert_array_equal(depth.to_8_bits(full), [[0, 255, 128]])
    np.testing.assert_array_equal(depth.to_8_bits(full // 4), [[0, 63, 32]])
    np.testing.assert_array_equal(depth.to_8_bits(COLORS), COLORS)
