"""The files of an export: those that an origin reads, and in one line those that it leaves out, by kind.

Checksums and what Spark and Delta put beside their files (`_SUCCESS`, `_delta_log`, `.crc`, ...) are not told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from popspark.ingest.readers.texts import is_archive, is_hidden, iter_names
from popspark.runtime.errors import ConfigError, PathError
from popspark.storage.warehouse import as_pattern

if TYPE_CHECKING:
    import pyarrow as pa

N_KINDS = 12
HIDDEN = "hidden (a name that begins with _ or .)"
_MARKER = re.compile(
    r"(^|/)(_success|_(started|committed|temporary|common_metadata|metadata|last_checkpoint)[^/]*"
    r"|(_delta_log|_spark_metadata)/.*|[^/]*\.(crc|md5|sha1|sha256|sha512))$"
)
_OF_SYSTEM = re.compile(r"(?i)(?:^|[/!])(?:(__MACOSX|@eaDir)/.*|(\.DS_Store|Thumbs\.db|ehthumbs\.db|desktop\.ini))$")
_README = re.compile(r"(?i)(^|/)readme(\.(?!json|ndjson)[^/]*)?$")
_PACKED = re.compile(r"\.(gz|bz2|xz|zst|zstd|lz4|lzo|snappy|br|z|\d+)$")
_ENDING = re.compile(r"\.[a-z][a-z0-9_]{0,9}$")
_NO_JSON = re.compile(
    r"\.(jpe?g|jpe|png|gif|webp|bmp|tiff?|hei[cf]|avif|svg|ico|psd|mp4|mov|m4[av]|avi|webm|mkv|3gp|mp3|wav|ogg|pdf"
    r"|html?|css|md|rst|csv|tsv|parquet|docx?|xlsx?|ini|db|lnk|url)$"
)


@dataclass(frozen=True)
class Files:
    """Of a source, by path, sorted. left_out: what the origin does not read; hidden: what Spark does not list."""

    source: str
    read: list[str]
    left_out: list[str]
    hidden: list[str]

    def __str__(self) -> str:
        """The line that says what was left out; empty where nothing was."""
        if not self.left_out and not self.hidden:
            return ""
        kinds = Counter(kind_of(file) for file in self.left_out)
        kinds += Counter(_kind_of_system(file) or HIDDEN for file in self.hidden)
        most = sorted(kinds.items(), key=lambda one: (-one[1], one[0]))
        told = [f"{n:,} {kind}" for kind, n in most[:N_KINDS]]
        told += [f"{sum(n for _, n in most[N_KINDS:]):,} of other kinds"] if most[N_KINDS:] else []
        first = (self.left_out or self.hidden)[0]
        return f"Left out, as this origin does not read them: {', '.join(told)}; {first} the first"


def kind_of(file: str) -> str:
    """What a file is: README, Thumbs.db, or by its ending .csv, .csv.bz2, .csv.N for any number, or without one."""
    if known := _kind_of_system(file) or (_README.search(file) and "README"):
        return known
    name = file.rsplit("/", 1)[-1].lower()
    packed = _PACKED.search(name)
    ending = _ENDING.search(name[: packed.start()] if packed else name)
    last = re.sub(r"^\.\d+$", ".N", packed[0]) if packed else ""
    return (ending[0] if ending else "") + last or "without an ending"


def _kind_of_system(file: str) -> str | None:
    """What macOS, Windows or a NAS put beside files, by its name; None of any other."""
    found = _OF_SYSTEM.search(file)
    return found and (f"in {found[1]}" if found[1] else found[2])


def cannot_be_json(name: str) -> bool:
    """Whether a file is none by its name: a photograph, a README, a table, or what systems leave beside files."""
    folded = name.lower()
    return any(sign.search(folded) for sign in (_NO_JSON, _MARKER, _OF_SYSTEM, _README))


def find_files(
    spark: SparkSession,
    source: str,
    reads: Callable[[str], bool],
    reads_member: Callable[[str], bool],
    besides: Collection[str] = (),
) -> Files:
    """The files at or below `source`, as `list_files` gives them, and the members of a zip or tar that are left out.

    reads: of a path. reads_member: of the name of one in a zip or tar. besides: what another reads, and is not told.
    Hidden files are known of a source that this process sees as a path.
    """
    listed = [file for file in list_files(spark, source) if file not in besides]
    read = [file for file in listed if reads(file)]
    left_out = [file for file in listed if not reads(file)]
    members = _list_members(spark, [file for file in read if is_archive(file)])
    left_out += [name for name in members if not _is_hidden_member(name) and not reads_member(name.partition("!/")[2])]
    hidden = _list_hidden(source) + [name for name in members if _is_hidden_member(name)]
    return Files(source, read, _untold(left_out), _untold(hidden))


def _untold(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if not _MARKER.search(name.lower()))


def _is_hidden_member(name: str) -> bool:
    """Whether `open_members` leaves it out."""
    return is_hidden(name.partition("!/")[2])


def _list_members(spark: SparkSession, archives: list[str]) -> list[str]:
    """The paths of all that is in zips and tars, path/of.zip!/name."""
    if not archives:
        return []

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The members of the archives that the batches name; on executors."""
        import pyarrow as pa

        for batch in batches:
            for file in batch.column(0).to_pylist():
                yield pa.RecordBatch.from_pydict({"file": pa.array(iter_names(file), pa.string())})

    tasks = spark.createDataFrame([(file,) for file in archives], "file string").repartition(len(archives), "file")
    return [row["file"] for row in tasks.mapInArrow(read, "file string").collect()]


def _local(source: str) -> list[tuple[Path, bool]]:
    """The files of a source that this process sees, and whether Spark hides them."""
    here = Path(source.removeprefix("file://").removeprefix("file:"))
    if here.is_file():
        return [(here, False)]
    found = (path for path in here.rglob("*") if path.is_file())
    return [(path, any(name[0] in "._" for name in path.relative_to(here).parts)) for path in found]


def _list_hidden(source: str) -> list[str]:
    return [f"file:{path.absolute()}" for path, hides in _local(source) if hides]


def list_files(spark: SparkSession, source: str) -> list[str]:
    """The paths of the files at or below `source`, sorted, without hidden ones and those of `__MACOSX`.

    Raises `PathError` where there is none, `ConfigError` where Java cannot name one in the locale of this process.
    """
    here = Path(source.removeprefix("file://").removeprefix("file:"))
    try:
        pattern = as_pattern(source) if here.exists() else source
        files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(pattern)
        found = [row.path for row in files.select("path").collect()]
    except Exception as error:  # Spark's own class differs between classic and Connect
        if "PATH_NOT_FOUND" not in str(error):
            raise
        found = []
    names = {path.rsplit("/", 1)[-1] for path in found}
    seen = [path for path, hides in _local(source) if not hides]
    unnamed = [path.name for path in seen if not path.name.isascii() and path.name not in names]
    if unnamed:
        raise ConfigError(
            "Java cannot read the name of a file in this locale.",
            where=source,
            got=ascii(unnamed[0]),
            legal="a locale of UTF-8, for names that are not ASCII; names that are UTF-8",
            fix="LC_ALL=C.UTF-8",
        )
    kept = sorted(path for path in found if "/__MACOSX/" not in path)
    if not kept:
        hidden = len(_untold(_list_hidden(source)))
        raise PathError("There is no file to read.", where=source, got=f"{hidden:,} {HIDDEN}" if hidden else None)
    return kept
