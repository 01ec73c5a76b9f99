"""Where an image's bytes are, and how a worker gets them: a uri, or a column of bytes in a table of one's own.

| uri | read by |
|---|---|
| an absolute path, `/Volumes/...` included | `open` |
| `file://` and an absolute path, escaped as the web does it | `open`: names that are not UTF-8 |
| `s3://`, `s3a://`, `gs://`, `az://`, `abfs://`, `abfss://` | obstore (the extra `popspark[stores]`) |
| `hdfs://` and what else pyarrow knows | pyarrow |

Any other uri is raw text: what follows the scheme and the bucket is the key, with nothing escaped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import unquote_to_bytes

import pandas as pd

from popspark.images.decode import ImageRefused, sha256
from popspark.images.limits import Limits
from popspark.runtime.errors import ConfigError

OBJECT_STORES = {"s3": "s3", "s3a": "s3", "gs": "gs", "az": "az", "abfs": "abfs", "abfss": "abfss"}
"""Schemes to obstore's."""


@dataclass(frozen=True)
class Reference:
    """One image. sha256, n_bytes: as it was indexed, null where that is not known. content: in the place of a uri."""

    uri: str | None
    sha256: str | None = None
    n_bytes: int | None = None
    content: bytes | None = None

    def read(self, limits: Limits) -> bytes:
        """The bytes; raises `ImageRefused`, with status `changed` where they are not those that were indexed."""
        if self.content is not None:
            return self.content
        if self.uri is None:
            raise ImageRefused("missing", "the image was not found")
        content = read_uri(self.uri, limits.max_bytes)
        if self.sha256 is not None and sha256(content) != self.sha256:
            raise ImageRefused("changed", "its bytes are not those that were indexed: index the images again")
        return content


def references_of(batch: pd.DataFrame | pd.Series) -> Iterator[Reference]:
    """The images of a batch of a pandas UDF; on executors.

    batch: rows of `popspark.images.table.reference`, or of one column of uris or bytes.
    """
    if isinstance(batch, pd.DataFrame):
        for row in batch.itertuples(index=False):
            n_bytes = None if pd.isna(row.n_bytes) else int(row.n_bytes)
            yield Reference(row.uri, row.sha256, n_bytes, getattr(row, "content", None))
        return
    for value in batch:
        yield Reference(None, content=value) if isinstance(value, bytes) else Reference(value)


def read_uri(uri: str, max_bytes: int) -> bytes:
    """The bytes of a file or object; raises `ImageRefused`: `missing`, `too_large` or `unreadable`."""
    scheme = uri.partition("://")[0]
    try:
        if (path := local_path(uri)) is not None:
            return _read_local(path, max_bytes)
        if scheme in OBJECT_STORES:
            return _read_object(uri, max_bytes)
        return _read_by_pyarrow(uri, max_bytes)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageRefused("missing", "there is no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error  # the row has the path
        raise ImageRefused("unreadable", f"{type(error).__name__}: {reason}"[:200]) from error


def exists(uri: str) -> bool:
    """Whether a file or object is there; true where that cannot be told, for a read says why."""
    try:
        if (path := local_path(uri)) is not None:
            return not stat.S_ISDIR(os.stat(path).st_mode)
        if uri.partition("://")[0] in OBJECT_STORES:
            url, key = split_uri(uri)
            open_store(url).head(key)
            return True
        from pyarrow import fs

        filesystem, name = fs.FileSystem.from_uri(uri)
        return bool(filesystem.get_file_info(name).type != fs.FileType.NotFound)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except Exception:  # obstore's own classes, too
        return True


def _check_size(n_bytes: int, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise ImageRefused("too_large", f"{n_bytes} bytes; the limit is {max_bytes}")


def local_path(uri: str) -> bytes | None:
    """The path of a uri as the file system has it, whatever the process's locale; None where it is no local one."""
    if uri.startswith("file:"):
        return b"/" + unquote_to_bytes(uri.removeprefix("file:").removeprefix("//localhost")).lstrip(b"/")
    return None if "://" in uri else uri.encode("utf-8", "surrogateescape")


def _read_local(path: bytes, max_bytes: int) -> bytes:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for
        raise FileNotFoundError(path)
    _check_size(found.st_size, max_bytes)
    with open(path, "rb") as stream:
        return stream.read()


def split_uri(uri: str) -> tuple[str, str]:
    """`s3a://bucket/a key` to the store's url as obstore has it and the key: `s3://bucket`, `a key`."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{OBJECT_STORES[scheme]}://{bucket}", key


@lru_cache(maxsize=16)
def open_store(url: str) -> Any:
    """The store of a bucket, once a process; its credentials are those of the environment.

    On executors, never before a process is forked: obstore's threads do not survive it.
    """
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise ConfigError(
            "Images in an object store are read by obstore, which is not installed.",
            where=url,
            fix="pip install 'popspark[stores]', on the executors as well",
        ) from error
    return from_url(url)


def _read_object(uri: str, max_bytes: int) -> bytes:
    url, key = split_uri(uri)
    store = open_store(url)
    from obstore.exceptions import BaseError

    try:
        found = store.get(key)
        _check_size(found.meta["size"], max_bytes)
        return bytes(found.bytes())
    except BaseError as error:
        raise OSError(str(error)) from error


def _read_by_pyarrow(uri: str, max_bytes: int) -> bytes:
    from pyarrow import fs

    filesystem, path = fs.FileSystem.from_uri(uri)
    _check_size(filesystem.get_file_info(path).size or 0, max_bytes)
    with filesystem.open_input_stream(path) as stream:
        content: bytes = stream.read()
        return content


def write_once(uri: str, content: bytes) -> str:
    """Stores the bytes whole or not at all, and returns the uri. A uri that is there already is left as it is.

    For names that follow from the content: whoever wrote it first wrote the same. On executors.
    """
    if uri.partition("://")[0] in OBJECT_STORES:
        url, key = split_uri(uri)
        open_store(url).put(key, content)
        return uri
    path = local_path(uri)
    if path is None:
        raise ConfigError(
            "Images are stored in a folder or an object store.", where=uri, legal=f"a path, {', '.join(OBJECT_STORES)}"
        )
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with NamedTemporaryFile(dir=os.path.dirname(path), prefix=b".", delete=False) as stream:
            stream.write(content)
        os.replace(stream.name, path)
    return uri
