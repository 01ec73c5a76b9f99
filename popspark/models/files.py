"""The files of a bundle, in a folder or in a zip, under a limit of bytes and with their sha256 checked."""

from __future__ import annotations

import hashlib
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from popspark.runtime.errors import BundleError, PathError

MAX_ZIP_BYTES = 2 << 30  # unpacked: a zip of zeros must not fill the memory
BROKEN = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What reading raises for a zip that is broken, encrypted, or packed in a way that zipfile does not know; lzma's own
error is one more."""


def open_bundle(path: Path) -> Callable[[str], bytes | None]:
    """The content of a file of the bundle by its plain name; None where there is no such file."""

    def read_file(name: str) -> bytes | None:
        file = path / name
        if not file.is_file():
            return None
        _check_size(file.stat().st_size, str(file))
        return file.read_bytes()

    def read_zipped(name: str) -> bytes | None:
        with zipfile.ZipFile(path) as archive:
            _check_size(sum(entry.file_size for entry in archive.infolist()), str(path))
            return archive.read(name) if name in archive.namelist() else None

    if not os.path.exists(path):  # which says no of a name that is too long, too
        raise PathError("There is no bundle.", where=str(path), legal="a bundle's folder, or a zip of one")

    def read(name: str) -> bytes | None:
        try:
            return read_file(name) if path.is_dir() else read_zipped(name)
        except (*BROKEN, lzma.LZMAError) as error:
            raise BundleError(
                "The bundle cannot be read.",
                where=f"{path}: {name}",
                got=f"{type(error).__name__}: {error}"[:300],
                legal="a bundle's folder, or a zip of one, without a password",
                fix="copy it again, whole",
            ) from error

    return read


def _check_size(n_bytes: int, where: str) -> None:
    if n_bytes > MAX_ZIP_BYTES:
        raise BundleError("This is too large for a bundle.", where=where, got=n_bytes, legal=f"<= {MAX_ZIP_BYTES}")


def check_sha256(name: str, content: bytes | None, expected: str, where: str) -> None:
    found = "no such file" if content is None else hashlib.sha256(content).hexdigest()
    if found != expected:
        raise BundleError(
            f"{name} is not the file that this bundle was released with.",
            where=where,
            got=f"sha256 {found}",
            legal=f"sha256 {expected}",
            fix="copy the bundle again; an altered bundle needs a manifest of its own",
        )
