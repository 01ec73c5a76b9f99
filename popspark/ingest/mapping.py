"""The column mapping of a CSV or Parquet export, checked before anything is read."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import types as t

from popspark.ingest.times import UNITS, TimeFormat, TimeUnit, check_zone, parse_format
from popspark.runtime.errors import ConfigError, PathError, closest, unknown
from popspark.storage.tables import POSTS

GENERATED = ("origin", "is_simulated", "extra")
TARGETS = (*[name for name in POSTS.columns if name not in GENERATED], "user_name")
LAYOUT = ("delimiter", "escape", "encoding", "columns")
SETTINGS = ("extra", "labels", *LAYOUT)
LABEL_SETTINGS = ("source", "post_id", "label", *LAYOUT)
DECIMALS = (".", ",")
NO_FILES = ("idna", "punycode", "undefined")
"""Codecs of Python for texts that are not those of a file: names of hosts, and one that reads nothing."""
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks and the encodings that obey them; UTF-32's come first, since one of UTF-16's begins one of them."""


@dataclass(frozen=True)
class Field:
    """Where a column of posts comes from, and how its texts are read: a column of the export, or one value for all."""

    column: str | None = None
    value: str | None = None
    time_format: TimeFormat | None = None
    unit: TimeUnit | None = None
    zone: str | None = None
    decimal: str | None = None


@dataclass(frozen=True)
class ColumnMapping:
    """A checked mapping. fields: by column of posts, or `user_name`. columns: of files without a header.

    labels: of a file of labels, `labels_source`, with the fields `post_id` and `popularity`.
    """

    fields: dict[str, Field]
    extra: tuple[str, ...] = ()
    delimiter: str = ","
    escape: str | None = None
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    labels: ColumnMapping | None = None
    labels_source: str = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns that each file of the export must have."""
        named = [field.column for field in self.fields.values() if field.column is not None]
        return tuple(dict.fromkeys((*named, *self.extra)))


class _Loader(yaml.SafeLoader):
    """YAML whose values are texts as they stand, `no`, 007 and 2024-05-01 too, or null; keys are there once."""

    yaml_implicit_resolvers = {  # PyYAML's own way
        first: [(tag, form) for tag, form in known if tag.endswith((":null", ":merge"))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load_mapping(path: str) -> ColumnMapping:
    """The column mapping in a YAML file, of any Unicode encoding with a byte order mark, or UTF-8.

    Raises `PathError` where there is none, `ConfigError` where it cannot be used.
    """
    if not Path(path).is_file():
        raise PathError("There is no such column mapping.", where=path)
    try:
        raw = Path(path).read_bytes()
        encoding = next((name for mark, name in BOMS.items() if raw.startswith(mark)), "utf-8")
        mapping = yaml.load(raw.decode(encoding), _Loader)  # it is a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        fix = "quote what holds a colon or begins with a sign; name each key once; save it as UTF-8"
        raise ConfigError("This column mapping is not YAML.", where=path, got=str(error), fix=fix) from error
    except OSError as error:
        raise PathError("This column mapping cannot be read.", where=path, got=error.strerror) from error
    if not isinstance(mapping, dict):
        raise ConfigError("A column mapping is `column of posts: column of the export`, a line each.", where=path)
    checked = check_mapping(mapping, path)
    return replace(checked, labels_source=_find_labels(checked.labels_source, path)) if checked.labels else checked


def _find_labels(source: str, path: str) -> str:
    """The path of a file of labels, beside the mapping or in the folder where the job runs; a URL is not looked for."""
    if "://" in source:
        return source
    found = next((at for at in (Path(path).parent / source, Path(source)) if at.is_file()), None)
    if found is None:
        raise PathError("There is no such file of labels.", where=f"labels in {path}", got=source)
    return str(found.absolute())


def check_mapping(mapping: Mapping[Any, Any], where: str) -> ColumnMapping:
    """The mapping that YAML holds; raises `ConfigError`."""
    foreign = [str(name) for name in mapping if name not in (*TARGETS, *SETTINGS)]
    if foreign:
        raise ConfigError(
            "The column mapping names what is no column of the posts table.",
            where=where,
            got=", ".join(foreign),
            legal=", ".join((*TARGETS, *SETTINGS)),
            fix=closest(foreign[0], (*TARGETS, *SETTINGS)) or None,
        )
    has_user = ("user_id" in mapping) + ("user_name" in mapping)
    if "post_id" not in mapping or has_user != 1:
        raise ConfigError(
            "The column mapping must name post_id and one of user_id and user_name.",
            where=where,
            got=", ".join(map(str, mapping)) or "nothing",
        )
    fields = {name: _field(name, mapping[name], where) for name in TARGETS if name in mapping}
    if fields["post_id"].column is None:
        raise ConfigError("All posts would have one post_id.", where=f"post_id in {where}", legal="a column")
    labels = _labels(mapping, where) if "labels" in mapping else {}
    return ColumnMapping(fields, extra=_names("extra", mapping, where), **_layout(mapping, where), **labels)


def _labels(mapping: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """The file of labels, and how it is read: as the export, but for what is said of it."""
    labels, example = mapping["labels"], "labels: {source: labels.csv, post_id: id, label: score}"
    if "popularity" in mapping:
        raise ConfigError("A post has one label.", where=where, got="labels and popularity", legal="one of them")
    where = f"labels in {where}"
    if not isinstance(labels, dict):
        raise ConfigError("labels names a file and two of its columns.", where=where, got=repr(labels), fix=example)
    for key in labels:
        if key not in LABEL_SETTINGS:
            raise unknown("setting of labels", str(key), LABEL_SETTINGS, where=where)
    absent = [key for key in ("source", "post_id", "label") if key not in labels]
    if absent or not isinstance(labels["source"], str):
        raise ConfigError(
            "labels names a file and two of its columns.",
            where=where,
            got=f"no {', '.join(absent)}" if absent else repr(labels["source"]),
            fix=example,
        )
    fields = {name: _field(name, labels[key], where) for name, key in (("post_id", "post_id"), ("popularity", "label"))}
    for name, field in fields.items():
        if field.column is None:
            raise ConfigError("All labels would have one value.", where=f"{name} in {where}", legal="a column")
    shared = {name: mapping[name] for name in LAYOUT if name in mapping and name != "columns"}
    layout = _layout({**shared, **{name: labels[name] for name in LAYOUT if name in labels}}, where)
    return {"labels": ColumnMapping(fields, **layout), "labels_source": labels["source"]}


def _names(name: str, mapping: Mapping[Any, Any], where: str) -> tuple[str, ...]:
    names = mapping.get(name, [])
    if not isinstance(names, list) or any(isinstance(one, dict | list) or one is None for one in names):
        raise ConfigError(f"{name} is a list of columns.", where=where, got=repr(names), fix=f"{name}: [one, two]")
    return tuple(map(str, names))


def _layout(mapping: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """How the lines of a CSV file are read, those settings that are given."""
    found = {name: mapping[name] for name in LAYOUT if name in mapping}
    for name in ("delimiter", "escape"):
        sign = found.get(name, ";")
        if not isinstance(sign, str) or len(sign) != 1 or sign in '\r\n"' or sign.isalnum():
            raise ConfigError(
                f"The {name} is one character.", where=f"{name} in {where}", got=repr(sign), fix=f'{name}: ";"'
            )
    if found.get("delimiter", ",") == found.get("escape"):
        raise ConfigError("Delimiter and escape are the same.", where=where, got=repr(found["escape"]))
    try:
        codec = codecs.lookup(str(found.get("encoding", "utf-8")))
        if not codec._is_text_encoding or codec.name in NO_FILES:  # base64, zlib: bytes to bytes
            raise LookupError
    except LookupError as error:
        raise ConfigError(
            "There is no such encoding.",
            where=f"encoding in {where}",
            got=repr(found["encoding"]),
            legal="utf-8, cp1252, utf-16, shift_jis, gb18030, ...",
        ) from error
    if "encoding" in found:
        found["encoding"] = codec.name
    if "columns" in found:
        found["columns"] = _names("columns", mapping, where)
    return found


def _field(name: str, given: Any, where: str) -> Field:
    where = f"{name} in {where}"
    if not isinstance(given, dict):
        if given is None or isinstance(given, list):
            raise ConfigError("This names no column of the export.", where=where, got=repr(given))
        return Field(column=str(given))
    kind = POSTS.columns.get(name)
    legal = ["column", "value"]
    legal += ["format", "unit", "zone"] if isinstance(kind, t.TimestampType) else []
    legal += ["decimal"] if isinstance(kind, t.LongType | t.DoubleType) else []
    for key, setting in given.items():
        if key not in legal:
            raise unknown(f"setting of {name}", str(key), legal, where=where)
        if setting is None or isinstance(setting, dict | list) or (setting == "" and key == "column"):
            raise ConfigError(f"This is no {key}.", where=where, got=repr(setting))
    if ("column" in given) == ("value" in given):
        raise ConfigError("This needs one of column and value.", where=where, got=", ".join(given) or "nothing")
    if "format" in given and "unit" in given:
        raise ConfigError("A text has a format, a number a unit.", where=where, got="both", legal="one of them")
    unit, decimal = given.get("unit"), given.get("decimal")
    if unit is not None and unit not in UNITS:
        raise unknown("unit of times", str(unit), UNITS, where=where)
    if decimal is not None and decimal not in DECIMALS:
        raise unknown("decimal sign", str(decimal), DECIMALS, where=where)
    return Field(
        column=str(given["column"]) if "column" in given else None,
        value=str(given["value"]) if "value" in given else None,
        time_format=parse_format(str(given["format"])) if "format" in given else None,
        unit=unit,
        zone=check_zone(str(given["zone"])) if "zone" in given else None,
        decimal=decimal,
    )
