"""What a file would cost in time, told from its structure before a codec sees it: a small file can take minutes.

| file | is `too_slow` with more than |
|---|---|
| JPEG | `Limits.max_scans` scans; 100,000 markers and bytes between them before its pixels; 16 EXIF segments |
| PNG | 1,000 chunks beside its pixels; 100,000 chunks of pixels |
| GIF | 100,000 blocks and bytes between them before its pixels |
| TIFF | 10,000 rational values in its first directory; 100,000 strips or tiles |

The numbers are those of whole files that encoders write, times a hundred or so. What is not bounded so is bounded by
`Limits.max_bytes` and `Limits.max_pixels`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

JPEG_STEPS = 100_000
"""Markers before a JPEG's first scan and bytes between segments, each a step of Pillow's: encoders write hundreds."""
JPEG_SEGMENTS = frozenset((*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE)) - {0xC8}
"""Markers that Pillow reads a length behind."""
EXIF_SEGMENTS = 16
"""Of a JPEG, which Pillow takes for one: 1 MiB. The standard has one."""
PNG_CHUNKS = 1000
"""Chunks of a PNG beside those of pixels; each may hold a colour profile of 1 MiB, unpacked. An encoder writes ten."""
PIXEL_CHUNKS = (b"IDAT", b"fdAT", b"fcTL")
PNG_PIXEL_CHUNKS = 100_000
"""Chunks of pixels: of 500 bytes each in a file of 50 MB, where an encoder writes thousands."""
GIF_BLOCKS = 100_000
"""Blocks of up to 255 bytes before a GIF's first picture, each a step of Pillow's; so is a byte of no block there."""
EXTENSION = 0x21
TIFF_FRACTIONS = 10_000
"""Rational values of a TIFF's first directory, which Pillow makes one by one: a file has less than a hundred."""
FRACTION_TYPES = (5, 10)
TIFF_STRIPS = 100_000
"""Strips or tiles of a TIFF, each decoded by a call of its own: one row a strip are some thousands."""
STRIP_TAGS = (273, 324)


def slow_header(content: bytes) -> str | None:
    """Why the header alone would take seconds; None where it does not."""
    if content.startswith(b"\xff\xd8"):
        return _slow_jpeg(content)
    if content.startswith(b"\x89PNG"):
        return _slow_png(content)
    if content.startswith(b"GIF8"):
        return _slow_gif(content)
    return _slow_tiff(content) if content[:2] in (b"II", b"MM") else None


def _slow_jpeg(content: bytes) -> str | None:
    n_exif = 0
    for n_before, (kind, at) in enumerate(jpeg_steps(content)):
        if n_before == JPEG_STEPS:
            return f"a JPEG of more than {JPEG_STEPS} markers before its pixels"
        n_exif += kind == 0xE1 and content[at + 4 : at + 8] == b"Exif"
    return f"a JPEG of {n_exif} EXIF segments; at most {EXIF_SEGMENTS} are read" if n_exif > EXIF_SEGMENTS else None


def jpeg_steps(content: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place of each step that Pillow takes to the first scan, the last; 0 for a byte of no marker."""
    at, kind = 2, 0
    while at + 1 < len(content) and kind != 0xDA:
        is_marker = content[at] == 0xFF
        kind = content[at + 1] if is_marker else 0
        yield kind, at
        if kind in JPEG_SEGMENTS:
            at += 2 + max(int.from_bytes(content[at + 2 : at + 4], "big"), 2)
        else:
            at += 2 if is_marker and kind != 0xFF else 1


def _slow_png(content: bytes) -> str | None:
    left, pixels_left = PNG_CHUNKS, PNG_PIXEL_CHUNKS
    for kind, _, _ in png_chunks(content):
        if kind in PIXEL_CHUNKS:
            pixels_left -= 1
        else:
            left -= 1
        if left < 0:
            return f"a PNG of more than {PNG_CHUNKS} chunks beside its pixels"
        if pixels_left < 0:
            return f"a PNG of more than {PNG_PIXEL_CHUNKS} chunks of pixels"
    return None


def png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk, in the file's order."""
    at = 8
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8], at, end
        at = end


def _slow_gif(content: bytes) -> str | None:
    """By the steps that Pillow takes to the first picture; its end at the file's is no matter of time."""
    flags = content[10] if len(content) > 10 else 0
    at, n_blocks = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0), 0
    while content[at : at + 1] not in (b"", b",", b";"):
        n_blocks += 1
        if content[at] == EXTENSION:
            # Pillow takes the first block of all but a comment, and the second of a loop's, though they be empty.
            kind, block = content[at + 1 : at + 2], content[at + 3 : at + 3 + int.from_bytes(content[at + 2 : at + 3])]
            is_loop = kind == b"\xff" and block.startswith(b"NETSCAPE2.0")
            n_taken = 0 if kind == b"\xfe" else 2 if is_loop else 1
            at, size = at + 2, 1
            while at < len(content) and (size or n_taken > 0) and n_blocks <= GIF_BLOCKS:
                size = content[at]
                at, n_blocks, n_taken = at + 1 + size, n_blocks + 1, n_taken - 1
        else:
            at += 1
        if n_blocks > GIF_BLOCKS:
            return f"a GIF of more than {GIF_BLOCKS} blocks before its pixels"
    return None


def _slow_tiff(content: bytes) -> str | None:
    """By what its first directory claims; one that cannot be read costs nothing."""
    order, is_big = {b"II": "<", b"MM": ">"}[content[:2]], b"+" in content[2:4]
    word, start, n_head = ("u8", 8, 8) if is_big else ("u4", 4, 2)
    try:
        at = int(np.frombuffer(content, order + word, 1, start)[0])
        n_tags = int(np.frombuffer(content, f"{order}u{n_head}", 1, at)[0])
        entry = np.dtype([("tag", f"{order}u2"), ("type", f"{order}u2"), ("n", order + word), ("value", order + word)])
        n_held = (len(content) - at - n_head) // entry.itemsize
        entries = np.frombuffer(content, entry, min(n_tags, n_held), at + n_head)
    except (ValueError, OverflowError):  # beyond the end
        return None
    counts = entries["n"].astype(float)
    n_fractions = counts[np.isin(entries["type"], FRACTION_TYPES)].sum()
    n_strips = counts[np.isin(entries["tag"], STRIP_TAGS)].sum()
    if n_fractions > TIFF_FRACTIONS:
        return f"a TIFF with {n_fractions:.0f} rational values; at most {TIFF_FRACTIONS} are read"
    return f"a TIFF of {n_strips:.0f} strips; at most {TIFF_STRIPS} are read" if n_strips > TIFF_STRIPS else None


def count_scans(content: bytes, limit: int) -> int:
    """The scans of a file's first JPEG; counted exactly where there may be more than `limit`."""
    most = content.count(b"\xff\xda")
    if most <= limit:  # those of thumbnails and of further pictures are among them
        return most
    marker = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
    n, at = 0, 2
    while found := marker.search(content, at):
        kind, at = found[1][0], found.end()
        if kind == 0xD9:  # end of image
            break
        n += kind == 0xDA
        if kind not in (0x01, 0xD8):  # all others have a length
            at += max(int.from_bytes(content[at : at + 2], "big"), 2)
    return n
