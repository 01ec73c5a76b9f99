"""Small files whose header would take seconds or minutes, and the least unlike ones that are read."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image, JpegImagePlugin

from popspark.images import costs, kinds
from popspark.images.costs import (
    EXIF_SEGMENTS,
    GIF_BLOCKS,
    JPEG_SEGMENTS,
    JPEG_STEPS,
    PNG_CHUNKS,
    PNG_PIXEL_CHUNKS,
    TIFF_FRACTIONS,
    TIFF_STRIPS,
    slow_header,
)
from popspark.images.decode import ImageRefused, decode, read_header
from tests.encoded import encode, picture, png_chunk, tiff


def _refusal(content: bytes) -> tuple[str, str]:
    found = []
    for read in (read_header, decode):
        with pytest.raises(ImageRefused) as raised:
            read(content)
        found.append((raised.value.status, str(raised.value)))
    assert found[0] == found[1]
    return found[0]


PNG, JPEG = encode(picture(), "PNG"), encode(picture(), "JPEG")
OWN_CHUNKS = 2
"""IHDR and IEND."""


def _png_with(chunks: bytes, before: bytes) -> bytes:
    at = PNG.index(before) - 4
    return PNG[:at] + chunks + PNG[at:]


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"abCd"])
def test_a_png_of_many_chunks(kind: bytes, before: bytes) -> None:
    one = png_chunk(kind, b"a\0\0" + zlib.compress(bytes(1000)))
    assert decode(_png_with(one * (PNG_CHUNKS - OWN_CHUNKS), before)).shape == (40, 60, 3)
    assert _refusal(_png_with(one * (PNG_CHUNKS - OWN_CHUNKS + 1), before)) == (
        "too_slow",
        "a PNG of more than 1000 chunks beside its pixels",
    )


def test_a_png_whose_pixels_are_in_many_chunks() -> None:
    at, end = PNG.index(b"IDAT") - 4, PNG.index(b"IEND") - 4
    data = PNG[at + 8 : end - 4]
    by_bytes = b"".join(png_chunk(b"IDAT", data[n : n + 1]) for n in range(len(data)))
    assert decode(PNG[:at] + by_bytes + PNG[end:]).shape == (40, 60, 3)
    status, reason = _refusal(_png_with(png_chunk(b"IDAT", b"") * PNG_PIXEL_CHUNKS, b"IEND"))
    assert (status, reason) == ("too_slow", "a PNG of more than 100000 chunks of pixels")


@pytest.mark.parametrize("step", [b"\xff", b"\xff\0", b"\xff\xd0", b"\xff\xfe\0\2", b"\xff\xe1\0\2"])
def test_a_jpeg_of_many_markers(step: bytes) -> None:
    n_own = 200  # more than it has
    assert decode(JPEG[:2] + step * (JPEG_STEPS - n_own) + JPEG[2:]).shape == (40, 60, 3)
    assert _refusal(JPEG[:2] + step * (JPEG_STEPS + 1) + JPEG[2:]) == (
        "too_slow",
        "a JPEG of more than 100000 markers before its pixels",
    )


@pytest.mark.parametrize("step", [b"\0", b"\xff\xc8\0", b"\xff\xf0\xff\0"])
def test_a_jpeg_of_many_bytes_that_are_of_no_segment(step: bytes) -> None:
    assert read_header(JPEG[:20] + step * 1000 + JPEG[20:]).width_px == 60
    reason = "a JPEG of more than 100000 markers before its pixels"
    assert _refusal(JPEG[:20] + step * JPEG_STEPS + JPEG[20:]) == ("too_slow", reason)


@pytest.mark.parametrize(
    ("start", "step", "end"),
    [(b"!\xfe", b"\1a", b"\0"), (b"!\1", b"\1a", b"\0"), (b"", b"!\xf9\4\0\0\0\0\0", b""), (b"", b"\0", b"")],
    ids=["comment", "text", "extensions", "bytes of no block"],
)
def test_a_gif_of_many_blocks(start: bytes, step: bytes, end: bytes) -> None:
    gif = encode(picture()[..., 0], "GIF")
    at = gif.index(b",", 13 + (3 << (gif[10] & 7) + 1))
    n_most = GIF_BLOCKS // 3
    assert decode(gif[:at] + start + step * n_most + end + gif[at:]).shape == (40, 60, 3)
    status, reason = _refusal(gif[:at] + start + step * (GIF_BLOCKS + 1) + end + gif[at:])
    assert (status, reason) == ("too_slow", "a GIF of more than 100000 blocks before its pixels")


class _Counted(BytesIO):
    """A file that counts its reads."""

    n_reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.n_reads += 1
        return super().read(size)


PIECES = {
    "GIF": (
        *(b"!\xfe", b"!\xff\x0bNETSCAPE2.0", b"!\xff\3abc", b"!\1", b"!"),
        *(b"\0", b"\1a", b"\1", b"\2!!", b",", b";", b"z"),
    ),
    "JPEG": (
        *(b"\xff", b"\xff\0", b"\xff\xd8", b"\xff\xc8", b"\xff\xf0", b"\xff\xfe\0\3a", b"\xff\xe2\0\1", b"\0"),
        b"\xff\xda\0\2",
    ),
}


@pytest.mark.parametrize("format", PIECES)
def test_pillow_takes_no_more_steps_than_were_counted(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, f"{format}_{'BLOCKS' if format == 'GIF' else 'STEPS'}", 20)
    rng = np.random.default_rng(20261126)
    start = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) if format == "GIF" else b"\xff\xd8\xff\xfe\0\2"
    n_counted = 0
    for _ in range(4000):
        content = start + b"".join(PIECES[format][n] for n in rng.integers(0, len(PIECES[format]), rng.integers(60)))
        if slow_header(content) is None:
            stream = _Counted(content)
            with suppress(Exception):  # few are whole
                Image.open(stream, formats=[format])
            assert stream.n_reads < 100, content  # 20 of up to 4 reads, and the header's own
            n_counted += 1
    assert 1000 < n_counted < 4000


def test_the_segments_of_a_jpeg_are_those_of_pillow() -> None:
    markers = {marker & 0xFF for marker, (_, _, read) in JpegImagePlugin.MARKER.items() if read is not None}
    assert markers == JPEG_SEGMENTS


def test_markers_behind_the_pixels_do_not_count() -> None:
    assert decode(JPEG + b"\xff\xfe\0\2" * (JPEG_STEPS + 1)).shape == (40, 60, 3)


def test_a_jpeg_of_many_exif_segments() -> None:
    segment = b"\xff\xe1" + struct.pack(">H", 1008) + b"Exif\0\0" + bytes(1000)
    assert decode(JPEG[:2] + segment * EXIF_SEGMENTS + JPEG[2:]).shape == (40, 60, 3)
    assert _refusal(JPEG[:2] + segment * (EXIF_SEGMENTS + 1) + JPEG[2:]) == (
        "too_slow",
        "a JPEG of 17 EXIF segments; at most 16 are read",
    )


@pytest.mark.parametrize(("order", "is_big"), [("<", False), (">", False), ("<", True)])
def test_a_tiff_of_many_rational_values(order: str, is_big: bool) -> None:
    def with_fractions(n: int) -> bytes:
        buffer, tags = BytesIO(), [(65_001, "2I", n, (1, 2) * n, True)]
        tifffile.imwrite(buffer, picture(), byteorder=order, bigtiff=is_big, resolution=None, extratags=tags)
        return buffer.getvalue()

    assert decode(with_fractions(TIFF_FRACTIONS - 2)).shape == (40, 60, 3)
    assert _refusal(with_fractions(TIFF_FRACTIONS - 1)) == (
        "too_slow",
        "a TIFF with 10001 rational values; at most 10000 are read",
    )


@pytest.mark.parametrize(("order", "is_big"), [("<", False), (">", False), ("<", True)])
def test_a_tiff_of_many_strips(order: str, is_big: bool) -> None:
    def of_height(n: int) -> bytes:
        buffer = BytesIO()
        samples = np.full((n, 1), 7, np.uint8)
        tifffile.imwrite(buffer, samples, byteorder=order, bigtiff=is_big, rowsperstrip=1)
        return buffer.getvalue()

    assert (decode(of_height(1000)) == 7).all()
    assert _refusal(of_height(TIFF_STRIPS + 1)) == ("too_slow", "a TIFF of 100001 strips; at most 100000 are read")


def test_directories_that_are_named_often_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    load = kinds.ImageFileDirectory_v2.load
    monkeypatch.setattr(
        kinds.ImageFileDirectory_v2, "load", lambda self, fp: (loaded.append(fp.tell()), load(self, fp))
    )
    page = {254: 0, 256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8}
    content = bytearray(tiff(page, bytes(64), page))
    at = content.index(struct.pack("<HHI", 330, 4, 1))
    (below,) = struct.unpack_from("<I", content, at + 8)
    struct.pack_into("<II", content, at + 4, 100, len(content))
    assert decode(bytes(content) + struct.pack("<I", below) * 100).shape == (8, 8, 3)
    assert loaded.count(below) == 1
