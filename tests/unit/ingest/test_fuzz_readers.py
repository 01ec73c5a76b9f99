"""Readers on exports with a fault: no byte is outside the count, and what the fault left alone stays as it is."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from popspark.ingest.origins import instagram, smpd
from popspark.ingest.readers import json as json_reader
from popspark.ingest.readers import texts
from popspark.ingest.readers.pages import split_line
from popspark.ingest.readers.records import Layout, Record, iter_records
from popspark.ingest.readers.texts import Text
from tests.fuzzing import SECONDS, run_rounds
from tests.made_exports import OBJECTS, Export, Kind, faulty_exports

KINDS: tuple[Kind, ...] = ("csv", "x_api", "flickr", "instagram", "smpd_2018")
GAP = re.compile(r"[\s,\[\]\ufeff]*")
"""What may stand between the records of JSON."""


def _valid(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _text(content: bytes) -> str:
    return _valid("".join(Text(io.BytesIO(content))))


def _raw(record: Record, kind: Kind) -> str:
    return json.loads(record.raw)["row"] if kind == "csv" and not record.fault else record.raw


def _check_covered(text: str, raws: list[str], kind: Kind) -> None:
    """The raw texts stand in the text one after the other, and between them is nothing but what separates records."""
    at = 0
    for i, raw in enumerate(raws):
        found = text.find(raw, at)
        assert found >= 0, f"{raw[:80]!r} is not in the text behind {text[at : at + 80]!r}"
        between = text[at:found]
        assert (kind == "csv" and i == 0) or GAP.fullmatch(between), f"{between!r} is outside the count"
        at = found + len(raw)
    rest = text[at:]
    assert GAP.fullmatch(rest) or (kind == "csv" and not raws), f"{rest!r} is outside the count"


def _posts(export: Export, records: list[Record]) -> Iterator[tuple[str, str, int]]:
    """(post_id, caption, likes) of the good records, pages opened."""
    for record in records:
        if record.fault:
            continue
        found = json.loads(record.raw)
        if export.kind == "csv":
            values = found["values"]
            yield values.get("id", ""), values.get("text", ""), values.get("likes", "")
        elif isinstance(found, dict):
            nested = found.get("photos")
            listed = nested.get("photo") if isinstance(nested, dict) else found.get("data", found.get("latestPosts"))
            for one in listed if isinstance(listed, list) else [found]:
                if isinstance(one, dict):
                    yield one.get("id", ""), _caption(one), ""


def _caption(one: dict) -> str:
    found = one.get("text", one.get("caption", one.get("description", "")))
    return found.get("_content", "") if isinstance(found, dict) else found


def _check(export: Export, path: Path) -> None:
    if export.kind == "smpd_2018":
        rows = list(smpd.iter_aligned("train", {"data": str(path)}))
        records = list(smpd._iter_whole(str(path)))
        assert len(rows) == len(records)
        columns = ["raw", "fault", *smpd.COLUMNS]
        named = [dict(zip(columns, (row[3], *row[5:]), strict=True)) for row in rows]
        posts = {row["temporalspatial_Pid"]: row["text_Title"] for row in named if not row["fault"]}
        raws = [row["raw"] for row in named]
    else:
        layout = Layout("csv" if export.kind == "csv" else "json")
        records = list(iter_records(str(path), layout))
        raws = [_raw(record, export.kind) for record in records]
        _check_covered(_text(export.content), raws, export.kind)
        posts = {post_id: caption for post_id, caption, _ in _posts(export, records)}
        if export.kind == "instagram":
            found = [row for record in records for row in instagram.iter_rows(record)]
            assert len(found) >= len(records)
    for post in export.posts:
        if post.post_id in export.touched:
            continue
        if post.post_id in posts:
            assert posts[post.post_id] == post.caption, f"{post.post_id} was altered"
        else:
            assert any(post.post_id in raw for raw in raws), f"{post.post_id} is lost"
    if export.kind in ("csv", "smpd_2018") and export.fault != "cp1252":
        n_lost = sum(post.post_id not in posts for post in export.posts)
        assert n_lost <= max(1, len(export.touched)), "one fault costs more rows than it touched"


def _check_written(export: Export, chunk: int) -> None:
    note(f"{export.fault}: {export.content[:3000]!r}")
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(texts, "CHUNK_BYTES", chunk),
        mock.patch.object(json_reader, "RESYNC_CHARS", max(chunk, 64)),
    ):
        path = Path(folder, export.name)
        path.write_bytes(export.content)
        _check(export, path)


def _fuzz(kind: Kind, seconds: float) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(faulty_exports(kind), st.sampled_from([5, 64, 1 << 20]))
    def check(export: Export, chunk: int) -> None:
        _check_written(export, chunk)

    run_rounds(check, seconds)


@pytest.mark.parametrize("kind", KINDS)
def test_fuzz_readers(kind: Kind) -> None:
    _fuzz(kind, 0)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("kind", KINDS)
def test_fuzz_readers_for_minutes(kind: Kind) -> None:
    _fuzz(kind, SECONDS / len(KINDS))


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.lists(st.sampled_from(['{"a": 1}', "{", "}", "[", "]", " ", ",", "x", '"', '{"b": "}{"}', "1", "null"])))
def test_a_line_loses_nothing(pieces: list[str]) -> None:
    line = "".join(pieces)
    if line.strip():
        _check_covered(line, [raw for _, raw, _ in split_line(line)], next(iter(OBJECTS)))  # type: ignore[arg-type]
