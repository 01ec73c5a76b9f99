"""What files are called that are not read, upright sizes, and what a picture may cost: popspark.images.kinds."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, features
from PIL.PngImagePlugin import PngInfo

from popspark.images import decode as codecs
from popspark.images.costs import count_scans
from popspark.images.decode import ImageRefused, decode, read_header
from popspark.images.limits import Limits
from tests.encoded import encode, lossless_jpeg, one_of_each, picture, png_chunk, tiff

RNG = np.random.default_rng(20261126)
CONVERT = "; convert it to JPEG, PNG or TIFF"


def _refusal(content: bytes, limits: Limits | None = None) -> tuple[str, str]:
    """Of the header, and of the picture too."""
    found = []
    for read in (read_header, decode):
        with pytest.raises(ImageRefused) as raised:
            read(content, limits or Limits())
        found.append((raised.value.status, str(raised.value)))
    assert found[0] == found[1]
    return found[0]


def _ftyp(*brands: bytes) -> bytes:
    rest = brands[0] + bytes(4) + b"".join(brands[1:])
    return (8 + len(rest)).to_bytes(4, "big") + b"ftyp" + rest + bytes(200)


# What it is


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\xff\x0a" + bytes(90), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(90), "JPEG 2000"),
        (b"8BPS\0\1" + bytes(90), "Photoshop document (PSD)"),
        (b"II\xbc\x01" + bytes(90), "JPEG XR"),
        (b"v/1\x01" + bytes(90), "OpenEXR"),
        (b"#?RADIANCE\n" + bytes(90), "Radiance HDR"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(90), "raw photograph (RAF)"),
        (b"IIRO\x08\0\0\0" + bytes(90), "raw photograph (ORF)"),
        (b"IIU\0\x18\0\0\0" + bytes(90), "raw photograph (RW2)"),
        (_ftyp(b"crx ", b"isom"), "raw photograph (CR3)"),
        *(
            (_ftyp(brand), f"HEIF ({brand.decode()})")
            for brand in (b"avci", b"vvic", b"mif2", b"miaf", b"heif", b"tmap")
        ),
        (_ftyp(b"avci", b"mif1", b"miaf"), "HEIF (avci)"),
        (_ftyp(b"isom", b"miaf", b"vvic", b"vvis"), "HEIF (vvic, vvis)"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    ],
)
def test_pictures_that_are_not_read_are_unsupported_and_named(content: bytes, name: str) -> None:
    assert _refusal(content) == ("unsupported", name + CONVERT)


@pytest.mark.parametrize(
    ("marker", "bits", "name"),
    [
        *((marker, 8, "hierarchical JPEG") for marker in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE)),
        (0xCB, 8, "lossless JPEG with arithmetic coding"),
        (0xC1, 12, "JPEG of 12 bits a sample"),
        (0xC3, 16, "JPEG of 16 bits a sample"),
    ],
)
def test_a_jpeg_that_no_codec_decodes_is_unsupported_and_named(marker: int, bits: int, name: str) -> None:
    content = encode(picture(), "JPEG")
    at = content.index(b"\xff\xc0")
    altered = content[: at + 1] + bytes((marker,)) + content[at + 2 : at + 4] + bytes((bits,)) + content[at + 5 :]
    assert _refusal(altered) == ("unsupported", f"{name}; save it as a baseline or progressive one of 8 bits")


@pytest.mark.parametrize("size", [(40, 60), (1030, 1040)])
@pytest.mark.parametrize("bands", [slice(None), slice(1)], ids=["colour", "grey"])
def test_a_lossless_jpeg_is_decoded_in_full(size: tuple[int, int], bands: slice) -> None:
    samples = picture(*size)[..., bands]
    content = lossless_jpeg(samples)
    assert read_header(content) == codecs.Header("JPEG", size[1], size[0])
    np.testing.assert_array_equal(decode(content), np.broadcast_to(samples, (*size, 3)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")
def test_a_big_endian_bigtiff_is_named_for_pillow_misreads_its_order() -> None:
    for order in "<>":
        buffer = BytesIO()
        tifffile.imwrite(buffer, picture(), byteorder=order, bigtiff=True)
        if order == "<":
            np.testing.assert_array_equal(decode(buffer.getvalue()), picture())
        else:
            assert _refusal(buffer.getvalue()) == ("unsupported", f"big-endian BigTIFF{CONVERT}")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (_ftyp(b"qt  "), "video (MOV or MP4)"),
        (_ftyp(b"isom", b"mp42"), "video (MOV or MP4)"),
        (b"RIFF\x20\0\0\0AVI LIST", "video (AVI)"),
        (b"PK\x03\x04" + bytes(30), "zip archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(30), "7z archive"),
        (b"Rar!\x1a\x07\x01\0", "RAR archive"),
        (b"OggS\0\2", "video or sound (Ogg)"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><title>Please log in</title>", "HTML page"),
        (b"<HTML><body>", "HTML page"),
    ],
)
def test_what_is_no_picture_is_named(content: bytes, name: str) -> None:
    assert _refusal(content) == ("not_an_image", name)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")
@pytest.mark.parametrize(
    "content", [b"GIF89a", b"\x89PNG\r\n\x1a\n", b"II*\0\xff\xff\xff\xff", b"RIFF\x20\0\0\0WEBP", b"\xff\xd8\xff\xe0"]
)
def test_a_picture_without_a_readable_header_is_corrupt_and_named(content: bytes) -> None:
    status, reason = _refusal(content)
    assert status == "corrupt"
    assert any(f"those of {name}, its header" in reason for name in ("GIF", "PNG", "TIFF", "WebP", "JPEG"))


def test_heic_without_its_codec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "HeifImageFile", None)
    reason = "HEIC; it is read with pip install 'popspark[heif]', on the executors as well"
    assert _refusal(_ftyp(b"heic", b"mif1")) == ("unsupported", reason)
    assert _refusal(_ftyp(b"mif1", b"heic", b"MiHB")) == ("unsupported", reason)


def test_avif_without_its_codec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "OPTIONAL", ())
    for brands in ((b"avif", b"mif1"), (b"mif1", b"avif")):
        assert _refusal(_ftyp(*brands)) == (
            "unsupported",
            "AVIF; this Pillow was built without it, those of PyPI are built with it",
        )


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encode(picture(32, 48), "AVIF", quality=90, exif=exif)
    pixels = decode(content)
    assert read_header(content) == codecs.Header("AVIF", pixels.shape[1], pixels.shape[0])
    assert pixels.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    damaged = content[:40]
    assert _refusal(damaged)[0] == "corrupt"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic(orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    buffer = BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture(64, 96))).save(buffer, quality=95, exif=exif.tobytes())
    content = buffer.getvalue()
    pixels = decode(content)
    assert read_header(content) == codecs.Header("HEIC", pixels.shape[1], pixels.shape[0])
    upright = picture(64, 96)
    stored = {1: upright, 3: upright[::-1, ::-1], 6: np.rot90(upright, -1), 8: np.rot90(upright, 1)}
    if orientation in stored:
        assert pixels.shape == stored[orientation].shape
        assert np.abs(pixels.astype(int) - stored[orientation]).mean() < 6
    assert _refusal(content, Limits(max_pixels=100))[0] == "too_many_pixels"
    assert _refusal(content[:60])[0] == "corrupt"
    with pytest.raises(ImageRefused) as raised:
        decode(content[: len(content) // 2])
    assert raised.value.status == "corrupt"


# Raw photographs

GREY = {254: 0, 256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8}
SENSOR = {254: 0, 256: 8, 257: 8, 258: 16, 259: 1, 262: 32803, 277: 1, 278: 8}
DNG_VERSION = {50706: b"\1\4\0\0"}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("tags", "below", "name"),
    [
        ({**GREY, 254: 1, **DNG_VERSION}, SENSOR, "DNG"),
        ({**GREY, **DNG_VERSION}, None, "DNG"),
        ({**GREY, 254: 1, 271: b"ACME"}, SENSOR, "NEF, ARW or the like"),
        ({**GREY, 254: 1, 271: b"SONY"}, SENSOR, "ARW"),
        ({**GREY, 271: b"SONY"}, SENSOR, "ARW"),
        ({**GREY, 254: 1}, GREY, "NEF, ARW or the like"),
    ],
)
def test_a_raw_photograph_is_named_and_its_preview_is_not_taken(
    tags: dict[int, int | bytes], below: dict[int, int] | None, name: str, big: bool
) -> None:
    content = tiff(tags, bytes(64), below, big=big)
    assert _refusal(content) == ("unsupported", f"raw photograph ({name}){CONVERT}")


@pytest.mark.parametrize(("signature", "name"), [(b"CR\2\0", "CR2"), (b"IIII", "IIQ"), (b"MMMM", "IIQ")])
def test_a_raw_photograph_is_named_by_its_signature(signature: bytes, name: str) -> None:
    page = tiff(GREY, bytes(64))
    shifted = tiff({**GREY, 254: 0}, bytes(64))
    assert decode(page).shape == (8, 8, 3)
    directory_at = len(page)
    content = page[:4] + directory_at.to_bytes(4, "little") + signature + page[12:] + shifted[8:]
    assert _refusal(content) == ("unsupported", f"raw photograph ({name}){CONVERT}")


@pytest.mark.parametrize("offset", [0, 3, 10**9])
def test_a_plain_tiff_with_pages_below_it_or_broken_ones_is_a_picture(offset: int) -> None:
    assert (decode(tiff(GREY, b"\x63" * 64, GREY)) == 99).all()
    assert (decode(tiff({**GREY, 330: offset}, b"\x63" * 64)) == 99).all()


# Planes


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", ["rgb", "separated", "minisblack"])
def test_planes_give_the_pixels_of_their_interleaved_twin_or_are_unsupported(
    photometric: str, bits: int, compression: str | None, byteorder: str, tile: tuple[int, int] | None
) -> None:
    n = {"rgb": 3, "separated": 4, "minisblack": 2}[photometric]
    samples = RNG.integers(0, 2**bits, (n, 32, 48)).astype(f"u{bits // 8}")
    options = {"photometric": photometric, "byteorder": byteorder, "tile": tile, "compression": compression}
    if photometric == "minisblack":
        options["extrasamples"] = ["unassalpha"]
    planar, twin = BytesIO(), BytesIO()
    tifffile.imwrite(planar, samples, planarconfig="separate", **options)
    tifffile.imwrite(twin, samples.transpose(1, 2, 0), planarconfig="contig", **options)
    if photometric == "minisblack" or (bits == 16 and compression is None):
        status, reason = _refusal(planar.getvalue())
        assert status in ("unsupported", "corrupt")  # corrupt: Pillow has no 16-bit grey with alpha
        if status == "unsupported":
            assert reason.startswith("TIFF in planes (")
    else:
        np.testing.assert_array_equal(decode(planar.getvalue()), decode(twin.getvalue()))


# Upright sizes


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
def test_the_header_has_the_size_of_the_decoded_picture(name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encode(picture(), name, exif=exif)
    header = read_header(content)
    assert (header.height_px, header.width_px) == decode(content).shape[:2]


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("is_behind", [False, True])
@pytest.mark.parametrize("kind", ["eXIf", "iTXt"])
def test_what_stands_behind_the_pixels_of_a_png_turns_it_too(
    kind: str, is_behind: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP)
    options = {"exif": exif} if kind == "eXIf" else {"pnginfo": texts}
    content = encode(picture(), "PNG", **options)
    at = content.index(kind.encode()) - 4
    chunk = content[at : at + 12 + int.from_bytes(content[at : at + 4], "big")]
    end = png_chunk(b"IEND", b"")
    if is_behind:
        content = content.replace(chunk, b"").replace(end, chunk + end)
    assert decode(content).shape == (60, 40, 3)
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    assert read_header(content) == codecs.Header("PNG", width_px=40, height_px=60)


def test_xmp_turns_a_jpeg_too() -> None:
    content = encode(picture(), "JPEG", xmp=XMP.encode())
    header = read_header(content)
    assert (header.height_px, header.width_px) == decode(content).shape[:2] == (60, 40)


# What a picture may cost


def _with_scans(n: int) -> bytes:
    """A progressive JPEG whose last scan stands in it n times more."""
    content = encode(picture(), "JPEG", progressive=True)
    last, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    return content[:end] + content[last:end] * n + content[end:]


def test_scans_are_counted_and_bounded() -> None:
    plain = count_scans(_with_scans(0), 1)
    assert (count_scans(encode(picture(), "JPEG"), 0), plain) == (1, 10)
    assert count_scans(_with_scans(90), 1) == 100
    assert decode(_with_scans(90)).shape == (40, 60, 3)
    assert _refusal(_with_scans(91)) == ("too_slow", "a JPEG of 101 scans; limits.max_scans is 100")
    assert _refusal(_with_scans(0), Limits(max_scans=9)) == ("too_slow", "a JPEG of 10 scans; limits.max_scans is 9")


def test_only_the_first_picture_s_scans_count() -> None:
    comment = b"\xff\xfe" + (402).to_bytes(2, "big") + b"\xff\xda" * 200
    content = encode(picture(), "JPEG")
    content = content[:2] + comment + content[2:] + content * 200
    assert count_scans(content, 100) == 1
    assert decode(content).shape == (40, 60, 3)


def test_no_picture_of_a_common_format_is_refused() -> None:
    for content in one_of_each().values():
        assert decode(content).shape == (40, 60, 3)
