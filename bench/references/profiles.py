"""ICC profiles made in memory, small enough for their effect to be computed by hand (ICC.1:2001-04)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from PIL import ImageCms

D50 = np.array((0.9642, 1.0, 0.8249))
ADOBE = np.array(((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457)))
"""Adobe RGB (1998), of D50: XYZ by columns red, green, blue."""
SRGB = np.array(((0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410)))
"""sRGB, of D50."""


def _mixtures() -> np.ndarray:
    inks = np.array(((-25, -20, -35), (-30, 45, 0), (-8, -4, 60)))
    corners = np.zeros((2, 2, 2, 2, 3))
    corners[..., 0, :] = (100, 0, 0) + np.stack(np.meshgrid(*[(0, 1)] * 3, indexing="ij"), axis=-1) @ inks
    return corners


INKS = _mixtures()
"""Lab of the full mixtures of C, M, Y, K, (2, 2, 2, 2, 3): inks unlike Pillow's plain conversion's; K is black."""


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def lab() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def _fixed(values: Sequence[float]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """kind: the device class."""
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        padded = content.ljust(-(-len(content) // 4) * 4, b"\0")
        table += name + struct.pack(">II", at + len(body), len(content))
        body += padded
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"test", 0x02400000, kind, space, pcs, bytes(12), b"acsp")
    header = header.ljust(68, b"\0") + _fixed(D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def rgb(matrix: np.ndarray = ADOBE, gamma: float = 2.2) -> bytes:
    columns = {b"rXYZ": _xyz(matrix[:, 0]), b"gXYZ": _xyz(matrix[:, 1]), b"bXYZ": _xyz(matrix[:, 2])}
    return profile(b"RGB ", columns | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma)))


def grey(gamma: float) -> bytes:
    return profile(b"GRAY", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


def cmyk(corners: np.ndarray) -> bytes:
    """corners: Lab of the 16 full mixtures, (2, 2, 2, 2, 3) by C, M, Y, K; between them it is interpolated."""
    coded = np.round(corners * (2.55, 1, 1) + (0, 128, 128)).astype(np.uint8)
    identity, unity = bytes(range(256)), _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + unity + identity * 4 + coded.tobytes() + identity * 3
    return profile(b"CMYK", {b"A2B0": lut}, b"prtr", b"Lab ")


def xyz_to_srgb(xyz: np.ndarray) -> np.ndarray:
    """XYZ of D50, (..., 3), to levels of 0 to 255, by the definition of sRGB (IEC 61966-2-1)."""
    linear = np.clip(xyz @ np.linalg.inv(SRGB).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def lab_to_xyz(lab: np.ndarray) -> np.ndarray:
    fy = (lab[..., 0] + 16) / 116
    f = np.stack((fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200), axis=-1)
    return D50 * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
