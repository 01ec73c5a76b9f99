"""Column mappings, formats of times and tags, all checked without a session."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from popspark.ingest.exports import check_options
from popspark.ingest.mapping import ColumnMapping, Field, load_mapping
from popspark.ingest.readers.pages import split_line
from popspark.ingest.tags import find_tags, split_tags
from popspark.ingest.times import ISO, name_format, parse_format
from popspark.runtime.errors import ConfigError, PathError

IDS = "post_id: id\nuser_id: who\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_mapping_of_any_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes((IDS + "title: Übersicht\nextra: [a, 1]\n").encode(encoding))
    mapping = load_mapping(str(path))
    assert mapping.fields["title"] == Field(column="Übersicht")
    assert mapping.wanted == ("id", "who", "Übersicht", "a", "1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("post_id: id\n  user: [\n", "This column mapping is not YAML."),
        ("[1, 2]", "A column mapping is `column of posts: column of the export`, a line each."),
        ("", "A column mapping is `column of posts: column of the export`, a line each."),
        (IDS + 'delimiter: "||"', "The delimiter is one character."),
        (IDS + "delimiter: 1", "The delimiter is one character."),
        (IDS + 'escape: "\\""', "The escape is one character."),
        (IDS + 'delimiter: "|"\nescape: "|"', "Delimiter and escape are the same."),
        (IDS + "encoding: latin-99", "There is no such encoding."),
        (IDS + "encoding: base64", "There is no such encoding."),
        (IDS + "encoding: idna", "There is no such encoding."),
        (IDS + "encoding: punycode", "There is no such encoding."),
        (IDS + "encoding: undefined", "There is no such encoding."),
        (IDS + "columns: id", "columns is a list of columns."),
        (IDS + "extra: [[id]]", "extra is a list of columns."),
        (IDS + "title:", "This names no column of the export."),
        (IDS + "title: {column: a, value: b}", "This needs one of column and value."),
        (IDS + "title: {}", "This needs one of column and value."),
        (IDS + "title: {column: a, format: yyyy}", "Unknown setting of title."),
        (IDS + "posted_at: {column: a, format: dd.MM}", "This format of times cannot be used."),
        (IDS + "posted_at: {column: a, format: dd.MM.yyyy dd}", "This format of times cannot be used."),
        (IDS + "posted_at: {column: a, format: 'dd.MM.yyyy hh:mm'}", "This format of times cannot be used."),
        (IDS + "posted_at: {column: a, format: yyyy-MM-dd QQ}", "This format of times cannot be used."),
        (IDS + "posted_at: {column: a, unit: days}", "Unknown unit of times."),
        (IDS + "posted_at: {column: a, unit: seconds, format: d.M.yyyy}", "A text has a format, a number a unit."),
        (IDS + "posted_at: {column: a, zone: Middle/Earth}", "There is no such time zone."),
        (IDS + "n_views: {column: a, decimal: ';'}", "Unknown decimal sign."),
        ("post_id: {value: 1}\nuser_id: who", "All posts would have one post_id."),
        ("post_id: id", "The column mapping must name post_id and one of user_id and user_name."),
        (IDS + "title: null", "This names no column of the export."),
        (IDS + "post_id: other", "This column mapping is not YAML."),
        ("[" * 5000, "This column mapping is not YAML."),
        (IDS + "labels: l.csv", "labels names a file and two of its columns."),
        (IDS + "labels: {source: l.csv, post_id: id}", "labels names a file and two of its columns."),
        (IDS + "labels: {source: [], post_id: id, label: a}", "labels names a file and two of its columns."),
        (IDS + "labels: {source: l.csv, post_id: id, label: {value: 1}}", "All labels would have one value."),
        (IDS + "labels: {source: l.csv, post_id: id, label: a, file: b}", "Unknown setting of labels."),
        (IDS + "labels: {source: l.csv, post_id: id, label: a, delimiter: '::'}", "The delimiter is one character."),
        (IDS + "popularity: a\nlabels: {source: l.csv, post_id: id, label: b}", "A post has one label."),
        (IDS + "likes: a", "The column mapping names what is no column of the posts table."),
    ],
)
def test_a_mapping_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="^" + re.escape(message)):
        check_options("csv", str(path))


def test_a_mapping_is_texts_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("post_id: &key 007\nuser_id: *key\ntitle: {value: no}\nextra: [on, 2024-05-01]\n")
    mapping = load_mapping(str(path))
    assert mapping.wanted == ("007", "on", "2024-05-01")
    assert mapping.fields["title"].value == "no"


def test_labels_are_found_beside_the_mapping_and_read_as_the_export(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(IDS + "delimiter: ';'\ncolumns: [id, who]\nlabels: {source: l.csv, post_id: post, label: score}\n")
    with pytest.raises(PathError, match=f"There is no such file of labels.\n  where: labels in {path}\n  got: l.csv"):
        load_mapping(str(path))
    (tmp_path / "l.csv").touch()
    mapping = load_mapping(str(path))
    assert mapping.labels_source == str(tmp_path / "l.csv")
    assert mapping.labels == ColumnMapping({"post_id": Field("post"), "popularity": Field("score")}, delimiter=";")


@pytest.mark.parametrize("text", ["13/07/2020", "", "yesterday", "0001-01-01", "2020-13-01"])
def test_collected_at_that_is_no_time(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options("smpd", None, collected_at=text)
    assert str(caught.value) == (
        f"This is no time.\n  where: collected_at\n  got: {text!r}\n"
        "  legal: ISO 8601, from 1990-01-01 to before 2100-01-01\n  fix: 2024-05-01T10:15:00Z"
    )


def test_collected_at_is_utc() -> None:
    assert check_options("smpd", None, collected_at="2020-07-13").collected_at == "2020-07-13T00:00:00+00:00"
    assert (
        check_options("smpd", None, collected_at="2020-07-13T02:00+02:00").collected_at == "2020-07-13T00:00:00+00:00"
    )


def test_formats_are_regular_expressions() -> None:
    form = parse_format("dd.MM.yyyy 'um' H:mm")
    assert form.groups == {"day": 1, "month": 2, "year": 3, "hour": 4, "minute": 5}
    assert re.fullmatch(form.regex, "01.05.2024 um 7:15")
    assert not re.fullmatch(form.regex, "01x05.2024 um 7:15")
    assert re.fullmatch(ISO.regex, "2024-05-01T10:15Z")
    named = parse_format("d. MMMM yyyy").regex
    assert all(re.fullmatch(named, f"3. {month} 2024") for month in ("May", "november", "JUN", "Sept", "September"))
    assert not any(re.fullmatch(named, f"3. {month} 2024") for month in ("marraskuu", "Mai", "Juni", "Janvier", "De"))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('p0,ann,"01.05.2024 10:15",12', "format: 'dd.MM.yyyy HH:mm'"),
        ("p0,01/05/2024 10:15:00", "format: 'dd/MM/yyyy HH:mm:ss' or format: 'MM/dd/yyyy HH:mm:ss'"),
        ("p0,13/05/24, 10:15", "format: 'dd/MM/yy, HH:mm'"),
        ("p0,13/05/24", "format: 'dd/MM/yy'"),
        ("p0,13/05/24 0:05 AM", "format: 'dd/MM/yy h:mm a'"),
        ("p0,05/13/24", "format: 'MM/dd/yy'"),
        ("p0,1899-12-31T10:00", "a time is read from 1990-01-01 to before 2100-01-01"),
        ("p0,45413", "format, unit or zone in the mapping say more"),
    ],
)
def test_the_format_seen_is_named(text: str, hint: str) -> None:
    assert hint in name_format(text)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("#sea#sun#sea", ["sea", "sun"]),
        ("＃海 ＃空", ["海", "空"]),
        ("#u\u0308ber #\u00fcber", ["\u00fcber"]),
        ("海、空；山｜川 | lake,hill;dale", ["海", "空", "山", "川", "lake", "hill", "dale"]),
        ('["a", "b c", "#d"]', ["a", "b c", "d"]),
        ("['a', 'b c']", ["a", "b c"]),
        ("[not a list", ["[not", "a", "list"]),
        ("#travel/#food (#ok)", ["travel", "food", "ok"]),
        ("“#great” #food…", ["great", "food"]),
        ("سفر،بحر؛شمس", ["سفر", "بحر", "شمس"]),
        ("c++ rock'n'roll a#b.", ["c++", "rock'n'roll", "a", "b"]),
        ("sun\u200bset &#39;hello \ufe5fsea", ["sunset", "hello", "sea"]),
        ("https://x.com/page#top", ["https://x.com/page#top"]),
        ("#", []),
        ("", []),
        (None, None),
    ],
)
def test_tags(text: str | None, tags: list[str] | None) -> None:
    assert split_tags(text) == tags


def test_tags_in_a_caption() -> None:
    assert find_tags("café 😍 #lisbon#travel, (#ok) ＃海。a#b #") == ["lisbon", "travel", "ok", "海", "b"]


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        ("“#great” «#foo» ‘#bar’", ["great", "foo", "bar"]),
        ("#food… #foo—bar #a–b #x-y", ["food", "foo", "a", "x"]),
        ("#travel/#food|#sea\\#sun", ["travel", "food", "sea", "sun"]),
        ("#a&b #happy* #c+d #e=f #g<br>h #i~j #k^l", ["a", "happy", "c", "e", "g", "i", "k"]),
        ("#tag¿ #¿que #$5 #don't #nike™", ["tag", "don", "nike"]),
        ("#سفر،#بحر؛ #शहर। #日本「x」", ["سفر", "بحر", "शहर", "日本"]),
        ("#हिन्दी #ไทย #e\u0301t\u00e9 #snake_case #2024", ["हिन्दी", "ไทย", "\u00e9t\u00e9", "snake_case", "2024"]),
        (
            "#\u0645\u06cc\u200c\u062e #sun\u200bset #\u200f\u05e9\u200f",
            ["\u0645\u06cc\u200c\u062e", "sunset", "\u05e9"],
        ),
        ("&#39;hello &#x27;a &amp;#b", ["b"]),
        ("https://x.com/page#top http://e.org/#/a#b x.com/p#q, #yes", ["yes"]),
        ("\ufe5fa \uff03b #\ufe0f\u20e3 c #_ #", ["a", "b"]),
        ("#😍 #sun☀\ufe0f! #a\u2800b #a│c ★#d★", ["😍", "sun☀\ufe0f", "a", "d"]),
        (None, None),
    ],
)
def test_where_a_tag_ends(caption: str | None, tags: list[str] | None) -> None:
    assert find_tags(caption) == tags


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"a": 1}{"b": 2}', [('{"a": 1}', None), ('{"b": 2}', None)]),
        ('{"a": 1}, {"b": 2},', [('{"a": 1}', None), ('{"b": 2}', None)]),
        ('[{"a": 1}, {"b": 2}]', [('{"a": 1}', None), ('{"b": 2}', None)]),
        ('{"a": 1} oops {"b', [('{"a": 1}', None), ('oops {"b', "not_json")]),
        ('{"a": ', [('{"a":', "not_json")]),
        ("[", [("[", "not_json")]),
    ],
)
def test_no_byte_of_a_line_is_outside_the_count(line: str, found: list[tuple[str, str | None]]) -> None:
    assert [(text.strip(), fault) for _, text, fault in split_line(line)] == found
    assert [nth for nth, _, _ in split_line(line)] == list(range(len(found)))
