"""Files of all that can be decoded, what can befall them, and a process that looks at the result."""

from __future__ import annotations

import resource
import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from hashlib import sha256
from io import BytesIO
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import tifffile
from hypothesis import strategies as st
from PIL import ExifTags, Image

from bench.references import profiles
from popspark.images.costs import png_chunks
from popspark.images.decode import ImageRefused, decode, read_header
from popspark.images.isolation import IsolatedDecode
from popspark.images.limits import Limits
from tests.encoded import encode, one_of_each, picture

LIMITS = Limits(max_bytes=1_000_000, max_pixels=4_000_000)
MEMORY_BYTES, SECONDS = 4 << 30, 30
"""What a file of a few kB may take at most; a picture of 4 megapixels needs some 50 MB and a tenth of a second."""
EXTREMES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xfe", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff")


class Found(NamedTuple):
    """What became of a file. header, pixels: width and height; digest: of the pixels."""

    status: str
    reason: str = ""
    header: tuple[int, int] | None = None
    pixels: tuple[int, int] | None = None
    digest: str = ""


def _tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def whole_files() -> dict[str, bytes]:
    """Files by name: every format, and every way that samples, tags and profiles are stored in it."""
    rgb = Image.fromarray(picture())
    grey, alpha, inks = rgb.convert("L"), rgb.copy(), rgb.convert("CMYK")
    alpha.putalpha(grey)
    deep = (picture().astype(np.uint16) << 8) + 7
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    told = {"exif": turned, "icc_profile": profiles.rgb()}
    return {
        **one_of_each(),
        "JPEG with tags": encode(rgb, "JPEG", **told, comment=b"a comment"),
        "grey JPEG": encode(grey, "JPEG", icc_profile=profiles.grey(1.8), progressive=True),
        "JPEG of inks": encode(inks, "JPEG", icc_profile=profiles.cmyk(profiles.INKS)),
        "PNG with tags": encode(rgb, "PNG", **told),
        "PNG with alpha": encode(alpha, "PNG"),
        "PNG with a palette": encode(rgb.quantize(16), "PNG", transparency=3),
        "PNG of 1 bit": encode(grey.convert("1"), "PNG"),
        "grey PNG of 16 bits": encode(Image.fromarray(deep[..., 0]), "PNG", icc_profile=profiles.grey(1.8)),
        "WebP with tags": encode(alpha, "WEBP", **told),
        "TIFF with tags": encode(rgb, "TIFF", **told),
        "TIFF of inks": encode(inks, "TIFF", icc_profile=profiles.cmyk(profiles.INKS)),
        "TIFF of JPEG": encode(rgb, "TIFF", compression="jpeg"),
        "TIFF of fax": encode(grey.convert("1"), "TIFF", compression="group4"),
        "TIFF of packed bits": encode(grey, "TIFF", compression="packbits"),
        "TIFF in tiles": _tiff(picture(), tile=(16, 16), compression="zlib"),
        "TIFF in planes": _tiff(picture().transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        "TIFF of 16 bits": _tiff(deep, byteorder=">", photometric="rgb"),
        "BigTIFF": _tiff(picture(), bigtiff=True, rowsperstrip=8),
        "Lab TIFF": encode(Image.new("LAB", (60, 40), (140, 150, 90)), "TIFF", icc_profile=profiles.lab()),
    }


def mend(content: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have, so that a change in one is looked at."""
    out, behind = bytearray(content), 8
    for _, start, end in png_chunks(content):
        if end <= len(content):
            out[end - 4 : end] = zlib.crc32(out[start + 4 : end - 4]).to_bytes(4, "big")
            behind = end
    return bytes(out[: max(behind, 8)]) + content[max(behind, 8) :]


@st.composite
def altered(draw: st.DrawFn, content: bytes) -> bytes:
    """One to eight changes; half of them in the first 300 bytes, where headers are."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        last = max(len(data) - 1, 0)
        at = draw(st.one_of(st.integers(0, min(last, 300)), st.integers(0, last)))
        length = draw(st.integers(1, 32))
        match draw(st.sampled_from(("bit", "bytes", "extreme", "delete", "double", "cut"))):
            case "bit" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "bytes":
                new = draw(st.binary(min_size=1, max_size=8))
                data[at : at + len(new)] = new
            case "extreme":
                new = draw(st.sampled_from(EXTREMES))
                data[at : at + len(new)] = new
            case "delete":
                del data[at : at + length]
            case "double":
                data[at:at] = data[at : at + length]
            case "cut":
                del data[max(at, 8) :]
    return mend(bytes(data)) if draw(st.booleans()) else bytes(data)


def spliced(one: bytes, other: bytes, at: float, other_at: float) -> bytes:
    """The start of a file and the end of another."""
    return one[: round(at * len(one))] + other[round(other_at * len(other)) :]


def examine(content: bytes) -> Found:
    """What decode and read_header say, each asked twice; raises what is neither pixels nor a refusal."""
    found = [_examine(content) for _ in range(2)]
    assert found[0] == found[1], f"not the same twice: {found}"
    return found[0]


def _examine(content: bytes) -> Found:
    header = None
    try:
        told = read_header(content, LIMITS)
        header = told.width_px, told.height_px
        pixels = decode(content, LIMITS)
    except ImageRefused as refused:
        return Found(refused.status, str(refused), header)
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
    return Found("ok", "", header, (pixels.shape[1], pixels.shape[0]), digest_of(pixels))


def digest_of(pixels: np.ndarray) -> str:
    return sha256(pixels.tobytes()).hexdigest()


def _start() -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


class Examiner:
    """`examine` in a child process, so that a crash or a hang is a failed example like any other.

    isolated: popspark's own way to decode in a child process.
    """

    def __init__(self) -> None:
        self._pool = self._new_pool()
        self.isolated = IsolatedDecode(decode)

    @staticmethod
    def _new_pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_start)

    def __call__(self, content: bytes) -> Found:
        try:
            return self._pool.submit(examine, content).result(timeout=SECONDS)
        except (BrokenProcessPool, TimeoutError) as error:
            for process in self._pool._processes.values():
                process.kill()
            self._pool.shutdown()
            self._pool = self._new_pool()
            raise AssertionError(f"the process of the decoder: {error!r}") from error

    def close(self) -> None:
        self._pool.shutdown()
        self.isolated.close()
