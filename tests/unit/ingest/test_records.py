"""Files to records without Spark: containers, JSON in every state, CSV with and without its quotes."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from popspark.ingest.readers import json as json_reader
from popspark.ingest.readers import records, texts
from popspark.ingest.readers.records import Layout, iter_records

JSON, ROWS, LINES, CSV = Layout("json"), Layout("json_rows"), Layout("lines"), Layout("csv")


def read(path: Path, layout: Layout) -> list[tuple[int, str, str | None]]:
    return [(line, raw, fault) for _, line, _, raw, _, fault in iter_records(str(path), layout)]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(params=[7, 1 << 20])
def _chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that cut every record, and chunks that hold every file."""
    monkeypatch.setattr(texts, "CHUNK_BYTES", request.param)
    monkeypatch.setattr(json_reader, "RESYNC_CHARS", max(request.param, 64))


pytestmark = pytest.mark.usefixtures("_chunk")
OBJECTS = [{"Uid": "1@N1", "Title": 'a "b" }, {"Uid'}, {"Uid": "2", "Title": "two\nlines é ☀", "n": 1.5}, {"Uid": "3"}]


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_an_array_gives_its_objects(tmp_path: Path, indent: int | None) -> None:
    path = write(tmp_path / "a.json", json.dumps(OBJECTS, indent=indent, ensure_ascii=False))
    found = read(path, JSON)
    assert [json.loads(raw) for _, raw, _ in found] == OBJECTS
    assert {fault for _, _, fault in found} == {None}
    lines = path.read_text().splitlines()
    assert all(lines[line - 1].strip(" ,[").startswith("{") for line, _, _ in found)
    assert [place for place, _, _ in read(path, ROWS)] == [1, 2, 3]


def test_json_lines_and_a_page_over_many_lines(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(o) for o in OBJECTS) + "\n\n" + json.dumps(OBJECTS[0], indent=1) + "\n"
    found = read(write(tmp_path / "a.json", "\ufeff" + text), JSON)
    assert [json.loads(raw) for _, raw, _ in found] == [*OBJECTS, OBJECTS[0]]
    assert [line for line, _, _ in found] == [1, 2, 3, 5]


def test_a_bad_line_is_one_reject(tmp_path: Path) -> None:
    text = '{"a": 1}\n{"a": "open}\n{"a": 3}\n{"a": 4'
    assert read(write(tmp_path / "a.json", text), JSON) == [
        (1, '{"a": 1}', None),
        (2, '{"a": "open}', "not_json"),
        (3, '{"a": 3}', None),
        (4, '{"a": 4', "truncated_json"),
    ]


def test_a_bad_object_in_an_array_is_one_reject(tmp_path: Path) -> None:
    text = '[{"a": 1}, {"a": oops}, {"a": 3}]'
    found = read(write(tmp_path / "a.json", text), JSON)
    assert [(raw, fault) for _, raw, fault in found] == [
        ('{"a": 1}', None),
        ('{"a": oops}', "not_json"),
        ('{"a": 3}', None),
    ]


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 200_000 + "]" * 200_000], ids=["digits", "depth"])
def test_what_python_cannot_hold_is_one_reject(tmp_path: Path, value: str) -> None:
    lines = read(write(tmp_path / "a.json", f'{{"a": 1}}\n{{"a": {value}}}\n{{"a": 3}}'), JSON)
    assert [(line, fault) for line, _, fault in lines] == [(1, None), (2, "not_json"), (3, None)]
    *rows, last = read(write(tmp_path / "b.json", f'{{"Uid": {{"0": "a", "1": {value}}}}}'), ROWS)
    assert rows[0] == (1, '{"Uid": "a"}', None)
    assert last[2] == "truncated_json" or last == (2, f'{{"Uid": {value}}}', None)


def test_a_truncated_array_loses_nothing(tmp_path: Path) -> None:
    whole = json.dumps(OBJECTS)
    for cut in range(1, len(whole)):
        found = read(write(tmp_path / "a.json", whole[:cut]), JSON)
        assert found[-1][2] == "truncated_json"
        assert [fault for _, _, fault in found[:-1]] == [None] * (len(found) - 1)
        kept = "".join(raw for _, raw, _ in found)
        assert len(kept.replace(" ", "")) >= len(whole[1:cut].replace(" ", "")) - 2 * len(found)  # commas between


def test_a_table_by_columns_gives_its_rows(tmp_path: Path) -> None:
    table = {"Uid": {"1": "b}, {", "0": "é"}, "ispro": {"0": 1, "1": [0, 2], "11": None}}
    path = write(tmp_path / "a.json", json.dumps(table, indent=1, ensure_ascii=False))
    found = read(path, ROWS)
    assert [(row, json.loads(raw), fault) for row, raw, fault in found] == [
        (1, {"Uid": "é", "ispro": 1}, None),
        (2, {"Uid": "b}, {", "ispro": [0, 2]}, None),
        (12, {"ispro": None}, None),
    ]
    *rows, last = read(write(path, json.dumps(table)[:-12]), ROWS)
    assert [row for row, _, _ in rows] == [1, 2]
    assert (last[0], last[2]) == (0, "truncated_json")


def test_bytes_of_a_table_by_columns_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", b'{"Uid": {"0": "caf\xe9"}}')
    ((_, row, _, raw, encoded, fault),) = iter_records(str(path), ROWS)
    assert (row, raw, fault) == (1, '{"Uid": "caf\ufffd"}', None)
    assert base64.b64decode(str(encoded)) == b'{"Uid": "caf\xe9"}'


def test_csv_rows(tmp_path: Path) -> None:
    text = 'id,text\r\n1,"two\r\nlines, ""quoted"""\r\n2,an "unescaped" one\r\n\r\n3,"open\r\n4,fine\r\n5,a,b\r\n6,last'
    found = read(write(tmp_path / "a.csv", text), CSV)
    assert [(line, fault) for line, _, fault in found] == [
        (2, None),
        (4, None),
        (6, "wrong_field_count"),
        (7, None),
        (8, "wrong_field_count"),
        (9, None),
    ]
    rows = [json.loads(raw)["values"] for _, raw, fault in found if not fault]
    assert rows == [
        {"id": "1", "text": 'two\r\nlines, "quoted"'},
        {"id": "2", "text": 'an "unescaped" one'},
        {"id": "4", "text": "fine"},
        {"id": "6", "text": "last"},
    ]
    assert [raw for _, raw, fault in found if fault] == ['3,"open', "5,a,b"]


def test_bytes_that_are_not_utf8_are_kept(tmp_path: Path) -> None:
    raw = b'{"a": "caf\xe9"}'
    ((_, line, _, text, encoded, fault),) = iter_records(str(write(tmp_path / "a.json", raw)), JSON)
    assert (line, text, fault) == (1, '{"a": "caf\ufffd"}', None)
    assert base64.b64decode(str(encoded)) == raw


@pytest.mark.parametrize("layout", [JSON, ROWS, LINES, CSV])
def test_an_empty_file_has_no_records(tmp_path: Path, layout: Layout) -> None:
    assert read(write(tmp_path / "a", b""), layout) == []


def test_zip_entries_without_macos_and_hidden_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as container:
        for name in ("x/train_data.txt", "__MACOSX/x/._train_data.txt", "x/.DS_Store"):
            container.writestr(name, "one\ntwo\n")
    assert [(name, line, raw) for name, line, _, raw, _, _ in iter_records(str(path), LINES)] == [
        (f"{path}!/x/train_data.txt", 1, "one"),
        (f"{path}!/x/train_data.txt", 2, "two"),
    ]


def test_a_cut_gzip_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    text = "".join(f"{i * 7919 % 10007}\n" for i in range(9000))
    packed = gzip.compress(text.encode())
    assert [raw for _, raw, _ in read(write(tmp_path / "a.gz", packed), LINES)] == text.split()
    *rows, last = read(write(tmp_path / "b.gz", packed[:-2000]), LINES)
    assert text.startswith("\n".join(raw for _, raw, _ in rows))
    assert last[2] == "bad_container: Compressed file ended before the end-of-stream marker was reached"


def test_a_cut_zip_is_a_reject(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.zip", b"PK\x03\x04cut"), LINES) == [
        (0, "", "bad_container: File is not a zip file")
    ]


CSV_TEXT = 'id;text\r\n1;"zwei\r\nZeilen é ☀"\r\n2;""\r\n'


def rows(path: Path, layout: Layout = Layout("csv", ";")) -> list[dict[str, str]]:  # noqa: B008  # it is frozen
    return [json.loads(raw)["values"] for _, raw, fault in read(path, layout) if not fault]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("first", ["", "sep=;\n", "\n \n"])
def test_csv_of_each_mark_and_line_end(tmp_path: Path, encoding: str, end: str, first: str) -> None:
    path = write(tmp_path / "a.csv", (first + CSV_TEXT).replace("\r\n", "\n").replace("\n", end).encode(encoding))
    expected = [{"id": "1", "text": f"zwei{end}Zeilen é ☀"}, {"id": "2", "text": ""}]
    assert rows(path, Layout("csv", "," if first.startswith("sep") else ";")) == expected
    assert [line for line, _, _ in read(path, Layout("csv", ";"))] == [n + first.count("\n") for n in (2, 4)]


def test_csv_of_an_encoding_without_a_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", CSV_TEXT.replace("☀", "€").encode("cp1252"))
    assert rows(path, Layout("csv", ";", encoding="cp1252"))[0]["text"] == "zwei\r\nZeilen é €"
    assert [bool(encoded) for _, _, _, _, encoded, _ in iter_records(str(path), Layout("csv", ";"))] == [True, False]


def test_csv_whose_quotes_have_a_backslash(tmp_path: Path) -> None:
    text = 'id text\n1 "plain"\n2 "\\"Two words\\" in quotes"\n3 "a \\"b\\""\n4 C:\\x\n'
    path = write(tmp_path / "a.csv", text)
    assert [(line, fault) for line, _, fault in read(path, Layout("csv", " "))] == [
        *((2, None), (3, "backslash_quote"), (4, "backslash_quote"), (5, None)),
    ]
    found = [row["text"] for row in rows(path, Layout("csv", " ", escape="\\"))]
    assert found == ["plain", '"Two words" in quotes', 'a "b"', "C:x"]


def test_a_quote_within_a_quoted_field_is_never_dropped_in_silence(tmp_path: Path) -> None:
    text = 'id,text\n1,"my "cat""\n2,"my ""cat"""\n3,an "open" one\n4,"a" b\n5,"a"b,"\n6,x\n'
    path = write(tmp_path / "a.csv", text)
    faults = [(line, fault) for line, _, fault in read(path, CSV) if fault]
    assert faults == [(2, "unescaped_quote"), (5, "unescaped_quote"), (6, "wrong_field_count")]
    assert [row["text"] for row in rows(path, CSV)] == ['my "cat"', 'an "open" one', "x"]


def test_csv_files_that_were_put_one_behind_the_other(tmp_path: Path) -> None:
    text = 'id,text\n1,a\n\ufeff"id","text"\n\ufeff"2","b, c"\n3,"\ufeffd\n\ufeffe"\n'
    path = write(tmp_path / "a.csv", "\ufeff" + text)
    assert [(line, fault) for line, _, fault in read(path, CSV)] == [
        *((2, None), (3, "repeated_header"), (4, None), (5, None)),
    ]
    assert [tuple(row.values()) for row in rows(path, CSV)] == [("1", "a"), ("2", "b, c"), ("3", "\ufeffd\n\ufeffe")]


def test_json_files_that_were_put_one_behind_the_other(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '\ufeff[{"a": 1}]\n\ufeff[{"a": 2}]\n\ufeff{"a": 3}')
    assert [(raw, fault) for _, raw, fault in read(path, JSON)] == [(f'{{"a": {n}}}', None) for n in (1, 2, 3)]


@pytest.mark.parametrize("end", [")", ");\n", " ) ; \n"])
def test_the_call_around_flickrs_answers(tmp_path: Path, end: str) -> None:
    path = write(tmp_path / "a.json", f'\ufeffjsonFlickrApi({{"a": "b)"}}{end}')
    assert read(path, JSON) == [(1, '{"a": "b)"}', None)]
    assert [fault for _, _, fault in read(write(path, '{"a": 1})'), JSON)] == [None, "truncated_json"]


def _tar(files: dict[str, bytes], mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as container:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            container.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("A.TGZ", "w:gz"), ("a.tar.xz", "w:xz")]
)
def test_a_tar_and_what_is_in_it(tmp_path: Path, name: str, mode: str) -> None:
    table = b"id\n1\n"
    inner = {"x/a.csv": table, "._a.csv": b"junk", "b.csv.gz": gzip.compress(table), "c.zip": b"PK", "d.7z": b"7z"}
    path = write(tmp_path / name, _tar(inner, mode))
    found = [(at.split("!/", 1)[1], fault) for at, _, _, _, _, fault in iter_records(str(path), CSV)]
    assert found == [
        *(("x/a.csv", None), ("b.csv.gz", None)),
        ("c.zip", "bad_container: .zip within a tar, unpack it first"),
        ("d.7z", "bad_container: .7z within a tar, unpack it first"),
    ]
    last = read(write(path, path.read_bytes()[:60]), CSV)[-1]
    assert str(last[2]).startswith("bad_container: ")


def test_a_tar_and_a_gzip_within_a_zip_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as container:
        container.writestr("a.csv.gz", gzip.compress(b"id\n1\n"))
        container.writestr("b.tar", _tar({"b.csv": b"id\n2\n"}, "w"))
        container.writestr("c.csv.gz", b"not gzip")
        container.writestr("d.csv", b"id\n3\n")
    assert rows(path, CSV) == [{"id": "1"}, {"id": "2"}, {"id": "3"}]
    (bad,) = [record for record in iter_records(str(path), CSV) if record.fault]
    assert (bad.file, bad.fault) == (f"{path}!/c.csv.gz", "bad_container: Not a gzipped file (b'no')")


def test_a_header_whose_quotes_do_not_close(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", '"id,text\n1,a\n2,b\n')
    assert list(records.iter_headers(str(path), CSV)) == [(str(path), ["id,text"], '"id,text')]
    assert [(line, raw, fault) for line, raw, fault in read(path, CSV)] == [
        (2, "1,a", "wrong_field_count"),
        (3, "2,b", "wrong_field_count"),
    ]


def test_bytes_of_a_csv_row_are_kept(tmp_path: Path) -> None:
    ((_, _, _, _, encoded, _),) = iter_records(str(write(tmp_path / "a.csv", b"id,text\n1,caf\xe9\n")), CSV)
    assert base64.b64decode(str(encoded)) == b"1,caf\xe9"


def test_csv_without_a_header_and_with_a_long_field(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"1,{'x' * 140_000}\n2,b\n")
    layout = Layout("csv", columns=("id", "text"))
    assert [len(row["text"]) for row in rows(path, layout)] == [140_000, 1]
    assert list(records.iter_headers(str(path), layout)) == [(str(path), ["id", "text"], "")]


def test_two_records_on_a_line_are_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '[{"a": 1}, {"a": 1},\n{"a": 1}]')
    assert [(line, nth) for _, line, nth, _, _, _ in iter_records(str(path), JSON)] == [(1, 0), (1, 1), (2, 0)]


def test_a_zip_within_a_zip_and_a_file_that_is_not_there_say_so(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as container:
        container.writestr("inner.ZIP", "PK")
        container.writestr("a.csv", "id\n1\n")
    assert read(path, CSV)[0] == (0, "", "bad_container: .zip within a zip, unpack it first")
    assert rows(path) == [{"id": "1"}]
    assert read(tmp_path / "b.csv", CSV) == [(0, "", "unreadable: No such file or directory")]
