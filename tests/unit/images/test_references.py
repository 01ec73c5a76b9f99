"""Bytes by their uri: what is read, and what each thing that cannot be read is called."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pandas as pd
import pytest
from obstore.store import MemoryStore

from popspark.images import references
from popspark.images.decode import ImageRefused, sha256
from popspark.images.limits import Limits
from popspark.images.listing import find_files
from popspark.images.references import Reference, read_uri, references_of, split_uri, write_once
from popspark.runtime.errors import ConfigError


def refusal(uri: str | None, **known: object) -> tuple[str, str]:
    with pytest.raises(ImageRefused) as refused:
        Reference(uri, **known).read(Limits(max_bytes=10))  # type: ignore[arg-type]
    return refused.value.status, str(refused.value)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """In the place of every bucket; the urls that were asked for must be those of S3."""
    store = MemoryStore()

    def open_store(url: str) -> MemoryStore:
        assert url == "s3://lake"
        return store

    monkeypatch.setattr("popspark.images.references.open_store", open_store)
    monkeypatch.setattr("popspark.images.listing.open_store", open_store)
    return store


def test_a_local_file_is_read_or_says_why_not(tmp_path: Path) -> None:
    (tmp_path / "a#b %20?.jpg").write_bytes(b"ten bytes!")
    (tmp_path / "long").write_bytes(b"eleven byte")
    os.mkfifo(tmp_path / "pipe")
    assert Reference(f"{tmp_path}/a#b %20?.jpg").read(Limits(max_bytes=10)) == b"ten bytes!"
    assert refusal(f"{tmp_path}/long") == ("too_large", "11 bytes; the limit is 10")
    for gone in ("none", "pipe", "long/er", ""):
        assert refusal(f"{tmp_path}/{gone}") == ("missing", "there is no such file")
    assert refusal(f"{tmp_path}/nul\0byte")[0] == "unreadable"
    assert refusal(None) == ("missing", "the image was not found")


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_an_object_is_read_or_says_why_not(bucket: MemoryStore, scheme: str) -> None:
    bucket.put("photos 2024/ü.jpg", b"ten bytes!")
    bucket.put("long", b"eleven byte")
    assert read_uri(f"{scheme}://lake/photos 2024/ü.jpg", 10) == b"ten bytes!"
    assert refusal(f"{scheme}://lake/long") == ("too_large", "11 bytes; the limit is 10")
    assert refusal(f"{scheme}://lake/none") == ("missing", "there is no such file")


def test_objects_below_a_prefix_are_listed_with_their_sizes_or_those_that_match(bucket: MemoryStore) -> None:
    for name in ("photos/a.jpg", "photos/sub/b.jpg", "photos/sub/c.png", "photosets/d.jpg"):
        bucket.put(name, name.encode())
    found = {entry.image_id: (entry.uri, entry.n_bytes) for entry in find_files("s3a://lake/photos").entries}
    assert found == {
        "a.jpg": ("s3a://lake/photos/a.jpg", 12),
        "sub/b.jpg": ("s3a://lake/photos/sub/b.jpg", 16),
        "sub/c.png": ("s3a://lake/photos/sub/c.png", 16),
    }
    assert [entry.image_id for entry in find_files("s3://lake/photos/*/*.jpg").entries] == ["sub/b.jpg"]


def test_bytes_that_are_not_those_that_were_indexed_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    assert Reference(f"{tmp_path}/a", sha256(b"new")).read(Limits()) == b"new"
    status, error = refusal(f"{tmp_path}/a", sha256=sha256(b"old"))
    assert (status, error) == ("changed", "its bytes are not those that were indexed: index the images again")


def test_a_batch_is_of_references_or_of_uris_or_bytes() -> None:
    rows = pd.DataFrame({"uri": ["/a", None], "sha256": ["s", None], "n_bytes": [3.0, float("nan")]})
    assert list(references_of(rows)) == [Reference("/a", "s", 3), Reference(None)]
    blobs = rows.assign(uri=None, content=[b"abc", None])
    assert list(references_of(blobs)) == [Reference(None, "s", 3, b"abc"), Reference(None)]
    values = pd.Series([b"abc", "s3://lake/a", None], dtype=object)
    assert list(references_of(values)) == [Reference(None, content=b"abc"), Reference("s3://lake/a"), Reference(None)]


def test_what_is_stored_is_whole_and_stored_once(tmp_path: Path, bucket: MemoryStore) -> None:
    uri = f"{tmp_path}/ab/abc"
    assert write_once(uri, b"abc") == uri
    before = os.stat(uri)
    write_once(uri, b"abc")
    assert os.stat(uri).st_mtime_ns == before.st_mtime_ns
    assert os.listdir(tmp_path / "ab") == ["abc"]
    write_once("s3://lake/ab/abc", b"abc")
    assert read_uri("s3://lake/ab/abc", 10) == b"abc"


def test_a_uri_is_raw_text() -> None:
    assert split_uri("s3a://lake/a b/%20?#ü") == ("s3://lake", "a b/%20?#ü")
    assert split_uri("abfss://box@account.dfs.core.windows.net/x")[0] == "abfss://box@account.dfs.core.windows.net"


def test_without_obstore_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    references.open_store.cache_clear()
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigError, match=r"fix: pip install 'popspark\[stores\]'"):
        references.open_store("s3://lake")
