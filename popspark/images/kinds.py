"""What a file is by its content, where `popspark.images.decode` does not read it.

Signatures are those of the formats' specifications; Exiv2's and LibRaw's lists of raw formats agree with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

from PIL import ExifTags
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    ImageFileDirectory_v2,
    TiffImageFile,
)

from popspark.images.costs import jpeg_steps, png_chunks

READABLE = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
}
PICTURES = {
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"MM\0+": "big-endian BigTIFF",
    b"II\xbc": "JPEG XR",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"8BPS": "Photoshop document (PSD)",
    b"FUJIFILMCCD-RAW": "raw photograph (RAF)",
    b"IIRO": "raw photograph (ORF)",
    b"IIRS": "raw photograph (ORF)",
    b"MMOR": "raw photograph (ORF)",
    b"IIU\0": "raw photograph (RW2)",
    b"FOVb": "raw photograph (X3F)",
    b"II\x1a\0\0\0HEAPCCDR": "raw photograph (CRW)",
    b"\0MRM": "raw photograph (MRW)",
}
OTHERS = {
    b"%PDF-": "PDF",
    b"PK\x03\x04": "zip archive",
    b"\x1f\x8b": "gzip archive",
    b"7z\xbc\xaf\x27\x1c": "7z archive",
    b"Rar!\x1a\x07": "RAR archive",
    b"OggS": "video or sound (Ogg)",
    b"\x1aE\xdf\xa3": "video (Matroska or WebM)",
    b"FLV\x01": "video (FLV)",
}
HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
HEIF_CODECS = frozenset((b"avci", b"avcs", b"vvic", b"vvis", b"jpeg", b"jpgs", b"j2ki", b"j2is"))
"""Of HEIF with a codec that pillow-heif lacks: AVC, VVC, JPEG, JPEG 2000."""
HEIF_READ, HEIF_UNREAD = frozenset((b"mif1", b"msf1")), frozenset((b"mif2", b"miaf", b"heif", b"tmap"))
"""Of HEIF that say nothing of the codec: those without which pillow-heif reads nothing, and the others."""
LOSSLESS = 0xC3
FRAMES = frozenset((*range(0xC0, 0xD0), 0xDE)) - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG's frame, or of its whole hierarchy: SOF0 to SOF15, DHP."""
UNREAD_FRAMES = {0xCB: "lossless JPEG with arithmetic coding"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE), "hierarchical JPEG"
)
"""What libjpeg-turbo does not decode; Pillow opens it."""
RAW_PHOTOMETRIC = (32803, 34892)  # colour filter array, LinearRaw: samples of a sensor and not of a picture
RAW_OF_MAKERS = {"NIKON": "NEF", "SONY": "ARW", "PENTAX": "PEF", "SAMSUNG": "SRW", "CANON": "CR2", "HASSELBLAD": "3FR"}
REDUCED_COPY = 1
"""The value of NewSubfileType that says so."""
MAX_FOLLOWED = 64
"""Directories of a TIFF that are looked at: cameras write two to five."""


def brand_of(content: bytes) -> str | None:
    """`HEIC`, `AVIF`, `HEIF (avci)`, `raw photograph (CR3)` or `video (MOV or MP4)` of ISO's boxes; else None."""
    if content[4:8] != b"ftyp":
        return None
    end = min(max(int.from_bytes(content[:4], "big"), 12), 512)
    brands = {content[8:12], *(content[i : i + 4] for i in range(16, end, 4))}
    if content[8:12] == b"crx ":
        return "raw photograph (CR3)"
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    for known in (HEIC_BRANDS, HEIF_CODECS, HEIF_READ, HEIF_UNREAD):
        if found := brands & known:
            is_read = known in (HEIC_BRANDS, HEIF_READ)
            return "HEIC" if is_read else f"HEIF ({', '.join(sorted(brand.decode() for brand in found))})"
    return "video (MOV or MP4)"


def jpeg_frame(content: bytes) -> tuple[int, int]:
    """The marker and the bits a sample of a JPEG's first frame; zeros of any other file."""
    if not content.startswith(b"\xff\xd8\xff"):
        return 0, 0
    frames = ((kind, int.from_bytes(content[at + 4 : at + 5])) for kind, at in jpeg_steps(content) if kind in FRAMES)
    return next(frames, (0, 0))


def unread_jpeg(content: bytes) -> str | None:
    """What a JPEG is called that no codec of Pillow's decodes; None of any other file."""
    kind, bits = jpeg_frame(content)
    return UNREAD_FRAMES.get(kind) or (f"JPEG of {bits} bits a sample" if 8 < bits <= 16 else None)


def name_unread(content: bytes) -> tuple[str, str] | None:
    """Status and name of a file that no codec took; None where its first bytes say nothing."""
    if brand := brand_of(content):
        return ("not_an_image" if brand.startswith("video") else "unsupported"), brand
    if content[:4] == b"RIFF":
        return {b"WEBP": ("corrupt", "WebP"), b"AVI ": ("not_an_image", "video (AVI)")}.get(content[8:12])
    for status, signatures in (("corrupt", READABLE), ("unsupported", PICTURES), ("not_an_image", OTHERS)):
        for signature, name in signatures.items():
            if content.startswith(signature):
                return status, name
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "unsupported", "SVG"
    return ("not_an_image", "HTML page") if start.startswith((b"<!doctype html", b"<html")) else None


def _directories(image: TiffImageFile, content: bytes) -> Iterator[Mapping[int, Any]]:
    """The tags of a TIFF's pages and of the pictures below its first one."""
    header = content[: 16 if b"+" in content[2:4] else 8]  # BigTIFF's is the longer one
    first = image.tag_v2
    below = first.get(ExifTags.Base.SubIFDs, ())
    waiting = [*(below if isinstance(below, tuple) else (below,)), first.next]
    yield first
    for offset in dict.fromkeys(waiting[:MAX_FOLLOWED]):
        if not isinstance(offset, int) or not 0 < offset < len(content):
            continue
        directory = ImageFileDirectory_v2(header)
        stream = BytesIO(content)
        stream.seek(offset)
        try:
            directory.load(stream)
        except Exception:  # a broken one says nothing about the first page
            continue
        yield directory


def raw_format(image: TiffImageFile, content: bytes) -> str | None:
    """The raw format of a TIFF whose first page is the preview of a sensor's samples, or is these; else None.

    DNG by its version's tag, CR2 and IIQ by their signatures, others by a page of sensor samples, or by a first page
    that calls itself a reduced copy of what is below it; their names are those of the cameras' makers.
    """
    tags = image.tag_v2
    if ExifTags.Base.DNGVersion in tags:
        return "DNG"
    if content[8:10] == b"CR":
        return "CR2"
    if content[8:12] in (b"IIII", b"MMMM"):
        return "IIQ"
    is_preview = tags.get(ExifTags.Base.NewSubfileType) == REDUCED_COPY and ExifTags.Base.SubIFDs in tags
    photometric = (directory.get(PHOTOMETRIC_INTERPRETATION) for directory in _directories(image, content))
    if is_preview or any(value in RAW_PHOTOMETRIC for value in photometric):
        maker = str(tags.get(ExifTags.Base.Make, "")).upper()
        return next((name for start, name in RAW_OF_MAKERS.items() if maker.startswith(start)), "NEF, ARW or the like")
    return None


def is_misread_planar(image: TiffImageFile) -> bool:
    """Whether the samples of a TIFF lie in planes that Pillow puts together wrongly.

    These are planes of more than 8 bits that it reads without libtiff, and grey with alpha.
    """
    if image.tag_v2.get(PLANAR_CONFIGURATION) != 2 or len(image.getbands()) == 1:
        return False
    is_deep = max(image.tag_v2.get(BITSPERSAMPLE, (1,))) > 8
    return image.mode == "LA" or (is_deep and any(tile.codec_name != "libtiff" for tile in image.tile))


PNG_TEXTS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
"""The chunks that can say which side of a picture is up."""


def with_texts_first(content: bytes) -> bytes:
    """A PNG with the texts that stand behind its pixels before them, where its header is read."""
    first, behind = 0, list[bytes]()
    for kind, at, end in png_chunks(content):
        if kind == b"IDAT" and not first:
            first = at
        elif first and kind in PNG_TEXTS:
            behind.append(content[at:end])
    return content[:first] + b"".join(behind) + content[first:] if behind else content
