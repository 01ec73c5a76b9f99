"""What the conversion of embedded colour profiles to sRGB costs a picture, on one core.

    python -m bench.colours [--images 60] [--large-images 4] [--json FILE]

Reads ../shared/data/photos where present, else sample/photos; those of 12 megapixels are SIMULATED, as in
`bench.extraction`. The same pixels are stored once with and once without
one, and both are decoded in the same run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from bench.classical import make_12_megapixels, one_thread, read_photographs
from bench.references import profiles
from bench.table import Row, finish
from bench.timing import timed
from popspark.images.decode import decode


def _stored(content: bytes, mode: str, profile: bytes | None) -> bytes:
    buffer = BytesIO()
    Image.fromarray(decode(content, reduced_side_px=None)).convert(mode).save(
        buffer, "JPEG", quality=90, icc_profile=profile
    )
    return buffer.getvalue()


def _row(contents: Sequence[bytes], what: str, mode: str, profile: bytes, target: float) -> Row:
    with_it, without = ([_stored(content, mode, given) for content in contents] for given in (profile, None))
    # In turn, for a virtual machine's speed drifts by more than the two differ.
    with one_thread():
        turns = [
            [timed(lambda files=files: list(map(decode, files))) for files in (with_it, without)] for _ in range(9)
        ]
    measured, reference = (1000 * min(seconds) / len(contents) for seconds in zip(*turns, strict=True))
    return Row(f"{what}, against none", measured, reference, "ms", target, at_least=False)


def _moved(contents: Sequence[bytes]) -> str:
    n_profiles = n_moved = 0
    for content in contents:
        image = Image.open(BytesIO(content))
        if image.info.get("icc_profile"):
            moved = decode(content, reduced_side_px=None).astype(int) - np.asarray(image.convert("RGB"))
            n_profiles, n_moved = n_profiles + 1, n_moved + (np.abs(moved).max() > 2)
    found = f"Of {len(contents)} photographs {n_profiles} carry a profile"
    return f"{found}, which moves {n_moved} of them by more than 2 levels."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--large-images", type=int, default=4)
    parser.add_argument("--json")
    args = parser.parse_args()

    photographs = read_photographs(10**6)
    small = photographs[: args.images]
    large = make_12_megapixels(small[: args.large_images])
    rows = [
        _row(small, "photograph of 320 x 240, profile of sRGB", "RGB", profiles.srgb(), 1.1),
        _row(small, "photograph of 320 x 240, Adobe RGB", "RGB", profiles.rgb(), 4),
        _row(large, "12-megapixel JPEG, profile of sRGB", "RGB", profiles.srgb(), 1.1),
        _row(large, "12-megapixel JPEG, Adobe RGB", "RGB", profiles.rgb(), 2),
        _row(large, "12-megapixel JPEG of inks, a profile of inks", "CMYK", profiles.cmyk(profiles.INKS), 2),
    ]
    finish("Colour profiles", rows, args.json, [_moved(photographs)])


if __name__ == "__main__":
    main()
