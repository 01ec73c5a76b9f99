"""Files of every format that popspark.images.decode reads, made in memory."""

from __future__ import annotations

import struct
import zlib
from importlib import import_module
from io import BytesIO

import numpy as np
from PIL import Image, features

from popspark.images.decode import HeifImageFile


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    """Smooth, so that a lossy codec keeps it; no two corners alike. uint8 (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), np.full_like(x, 90))
    return np.stack(channels, axis=2).astype(np.uint8)


def encode(image: Image.Image | np.ndarray, format: str, **options: object) -> bytes:
    buffer = BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, format, **options)
    return buffer.getvalue()


def one_of_each(height: int = 40, width: int = 60) -> dict[str, bytes]:
    """Format to file, of those whose codec is installed.

    MPO and the animated ones have a second, black, picture behind the first.
    """
    rgb = Image.fromarray(picture(height, width))
    more = {"save_all": True, "append_images": [Image.new("RGB", rgb.size)]}
    optional = {}
    if features.check("avif"):
        optional["AVIF"] = encode(rgb, "AVIF", quality=95)
        optional["animated AVIF"] = encode(rgb, "AVIF", quality=95, **more)
    if HeifImageFile is not None:
        heif = BytesIO()
        import_module("pillow_heif").from_pillow(rgb).save(heif, quality=95)
        optional["HEIC"] = heif.getvalue()
    return {
        **optional,
        "JPEG": encode(rgb, "JPEG", quality=95),
        "progressive JPEG": encode(rgb, "JPEG", quality=95, progressive=True),
        "MPO": encode(rgb, "MPO", quality=95, **more),
        "PNG": encode(rgb, "PNG"),
        "WebP": encode(rgb, "WEBP", quality=95),
        "lossless WebP": encode(rgb, "WEBP", lossless=True),
        "animated WebP": encode(rgb, "WEBP", lossless=True, **more),
        "GIF": encode(rgb, "GIF"),
        "animated GIF": encode(rgb, "GIF", **more),
        "BMP": encode(rgb, "BMP"),
        "TIFF": encode(rgb, "TIFF"),
        "LZW TIFF": encode(rgb, "TIFF", compression="tiff_lzw"),
    }


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour_type: int, row: bytes, extra: bytes = b"") -> bytes:
    """Every row the same; `extra` chunks stand before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * min(height, 1000))
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    )


def tiff(
    tags: dict[int, int | bytes], pixels: bytes, below: dict[int, int] | None = None, *, big: bool = False
) -> bytes:
    """A little-endian TIFF, or BigTIFF, of one page, with tags in its own order and one page below it (SubIFDs)."""
    pointer, count, head = ("<Q", "<Q", 16) if big else ("<I", "<H", 8)
    room = struct.calcsize(pointer)
    texts = (271,)  # Make

    def directory(entries: dict[int, int | bytes]) -> bytes:
        rows = [
            struct.pack("<HH", tag, 2 if tag in texts else 1 if isinstance(value, bytes) else 4)
            + struct.pack(pointer, len(value) if isinstance(value, bytes) else 1)
            + (value if isinstance(value, bytes) else struct.pack("<I", value)).ljust(room, b"\0")
            for tag, value in sorted(entries.items())
        ]
        return struct.pack(count, len(rows)) + b"".join(rows) + struct.pack(pointer, 0)

    n_tags = len({*tags, 273, 279, *((330,) if below else ())})
    at = head + struct.calcsize(count) + n_tags * (4 + 2 * room) + room
    second = directory({**below, 273: at, 279: len(pixels)}) if below else b""
    entries = {**tags, 273: at + len(second), 279: len(pixels), **({330: at} if below else {})}
    start = struct.pack("<2sHHHQ", b"II", 43, 8, 0, head) if big else struct.pack("<2sHI", b"II", 42, head)
    return start + directory(entries) + second + pixels


def lossless_jpeg(samples: np.ndarray) -> bytes:
    """SOF3 of uint8 (H, W, C), predictor 1: each sample less the one before, in a code of 4 bits a length."""
    differences = samples.astype(int)
    differences[:, 1:] -= samples[:, :-1]
    differences[1:, 0] -= samples[:-1, 0]
    differences[0, 0] -= 128
    bits = ""
    for value in differences.ravel().tolist():
        n = abs(value).bit_length()
        bits += f"{n:04b}" + (f"{value if value > 0 else value + (1 << n) - 1:0{n}b}" if n else "")
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    height, width, n_bands = samples.shape
    frame = struct.pack(">BHHB", 8, height, width, n_bands) + b"".join(bytes((n, 0x11, 0)) for n in range(n_bands))
    codes = b"\0" + bytes((0, 0, 0, 10)) + bytes(12) + bytes(range(10))
    scan = bytes((n_bands,)) + b"".join(bytes((n, 0)) for n in range(n_bands)) + bytes((1, 0, 0))
    segments = ((0xC3, frame), (0xC4, codes), (0xDA, scan))
    head = b"".join(bytes((0xFF, kind)) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    return b"\xff\xd8" + head + data + b"\xff\xd9"
