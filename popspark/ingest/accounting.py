"""Parsed rows to the posts and rejects tables, with the sum checked: rows in = posts out + rejected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from popspark.ingest.times import name_format
from popspark.runtime.errors import AccountingError, DataError, PopsparkError
from popspark.storage.tables import POSTS
from popspark.storage.transaction import Transaction

POSITION = ("file", "line", "nth", "item")
"""Names a parsed row: nth counts the records that begin on a line, item the posts of one record."""
OF_LABELS = ("labels_do_not_line_up", "label_without_post", "duplicate_label", "unreadable_label")
"""Reasons of rows that were labels, and could never have been posts: they are counted apart."""
ADVICE = {
    "backslash_quote": "quotes escaped by a backslash are read with escape: '\\' in the mapping",
    "unescaped_quote": "within a field in quotes a quote is written twice, or behind the sign that escape: names",
    "wrong_field_count": "another delimiter, or one within a field without quotes? delimiter: and escape: are settings",
    "labels_do_not_line_up": "labels without ids count by rows, and these are not as many as the posts' rows",
    "rounded_id": "a program rounded the ids, Excel for one: export them again as text",
}
N_SAMPLE_CHARS = 120


@dataclass(frozen=True)
class Counts:
    """Rows of an export: all, those that became posts, and the others by reason; labels apart.

    samples: by reason, the text of one row. n_labelled: posts with a label that the origin ships. n_undecodable: posts
    with U+FFFD in place of what was no text.
    """

    n_in: int
    n_out: int
    n_rejected: dict[str, int]
    samples: Mapping[str, str] = field(default_factory=dict)
    n_labelled: int = 0
    n_labels_rejected: dict[str, int] = field(default_factory=dict)
    n_undecodable: int = 0

    def __str__(self) -> str:
        rejected = sum(self.n_rejected.values())
        lines = [f"rows in   {self.n_in:>12,}", f"posts     {self.n_out:>12,}", f"rejected  {rejected:>12,}"]
        lines += self._reasons(self.n_rejected)
        if self.n_labelled or self.n_labels_rejected:
            lines.append(f"labels    {self.n_labelled:>12,} of {self.n_out:,}")
            lines += self._reasons(self.n_labels_rejected)
        if self.n_undecodable:
            lines.append(f"posts with text that could not be decoded {self.n_undecodable:,}: name its encoding?")
        return "\n".join(lines)

    def _reasons(self, counts: Mapping[str, int]) -> list[str]:
        lines = []
        for reason, n in counts.items():
            lines.append(f"  {reason:<30} {n:>12,}")
            lines += [f"    {note}" for note in (self._sample(reason), advise(reason, self.samples)) if note]
        return lines

    def _sample(self, reason: str) -> str:
        text = " ".join(self.samples.get(reason, "").split())
        return f"e.g. {text[:N_SAMPLE_CHARS]}{' ...' if len(text) > N_SAMPLE_CHARS else ''}" if text else ""


def advise(reason: str, samples: Mapping[str, str]) -> str:
    """What may cure rows rejected for that reason, in words, or an empty text."""
    if reason == "bad_posted_at":
        return name_format(samples.get(reason, ""))
    return ADVICE.get(reason, "")


def complete(parsed: DataFrame, origin: str, is_simulated: bool) -> DataFrame:
    """All columns of POSTS besides the position, raw and reason; what the origin does not know is null."""
    known = {"origin": F.lit(origin), "is_simulated": F.lit(is_simulated)}
    absent = [
        known.get(name, F.lit(None)).cast(kind).alias(name)
        for name, kind in POSTS.columns.items()
        if name not in parsed.columns
    ]
    given = [name for name in POSTS.columns if name in parsed.columns]
    position = [F.col(name) if name in parsed.columns else F.lit(0).cast("bigint").alias(name) for name in POSITION]
    rows = parsed.select(*position, "raw", "reason", *given, *absent)
    no_id = F.col("post_id").isNull() | F.col("user_id").isNull()
    reason = F.coalesce("reason", F.when(no_id, F.lit("missing_id")))
    return rows.withColumn("reason", reason).select(*POSITION, "raw", "reason", *POSTS.columns)


def find_repeated(posts: DataFrame) -> DataFrame:
    """post_id and reason of the posts of which not every row can stay: repeated ones, and edited ones."""
    repeated = posts.groupBy("post_id").count().where("count > 1").select("post_id")
    earlier = posts.select(F.explode(F.split(F.col("extra")["earlier_post_ids"], " ")).alias("post_id")).distinct()
    edited = earlier.join(posts.select("post_id").distinct(), "post_id", "left_semi")
    return edited.withColumn("reason", F.lit("edited")).unionByName(
        repeated.join(edited, "post_id", "left_anti").withColumn("reason", F.lit("duplicate_post_id"))
    )


def reject_repeated(rows: DataFrame, repeated: DataFrame) -> DataFrame:
    """Of the good rows with one post_id the one collected last stays, the first in the export among those of one time;
    the others, and the earlier versions of an edited post, get a reason. repeated: of `find_repeated`.
    """
    found = repeated.withColumnRenamed("reason", "why")
    newest = -F.coalesce(F.unix_micros("collected_at"), F.lit(-(2**62)))
    order = F.struct(newest.alias("age"), *POSITION)
    candidates = rows.where("reason IS NULL").join(found, "post_id").select("post_id", "why", order.alias("order"))
    firsts = candidates.groupBy("post_id").agg(F.min("order").alias("first"))
    # No SQL text: order is a reserved word in it.
    losers = candidates.join(firsts, "post_id").where((F.col("why") == "edited") | (F.col("order") != F.col("first")))
    lost = losers.select(*[F.col("order")[name].alias(name) for name in POSITION], "why")
    # Computed once, for two passes.
    joined = rows.join(F.broadcast(lost.localCheckpoint()), list(POSITION), "left")
    return joined.withColumn("reason", F.coalesce("reason", "why")).drop("why")


@contextmanager
def naming_broken_files() -> Iterator[None]:
    """Raises `DataError` where Spark cannot read a file of the export to its end, in place of Spark's own error."""
    try:
        yield
    except PopsparkError:
        raise
    except Exception as error:  # Spark's own class differs between classic and Connect
        if not (found := re.search(r"\[FAILED_READ_FILE[^\]]*\][^\n]*?(\w+:/\S+[^.\s])", str(error))):
            raise
        codec = re.search(r"Class \S*?(\w+)Codec was not found", str(error))
        raise DataError(
            "A file of the export cannot be read to its end.",
            where=found[1],
            got=f"{codec[1]}, a compression that this Spark does not have" if codec else None,
            fix="write it with another, zstd or snappy" if codec else "fetch it again, or leave it out",
        ) from error


@naming_broken_files()
def write_posts(parsed: DataFrame, origin: str, is_simulated: bool, posts: Transaction, rejects: Transaction) -> Counts:
    """Writes both tables from parsed rows, the posts first; raises, before either has changed, `DataError` where no row
    is a post, and `AccountingError` where what arrived is not what was read.

    A clean export is parsed once. Repeated ids show in the files that were written, where finding them costs one
    column; only if there are any are the posts written again without them. The rejects, where there are any, are one
    more pass.
    """
    rows = complete(parsed, origin, is_simulated)
    seen = _stage_good(rows, posts)
    if not posts.n_staged:
        found, samples = _count_rejects(rows.where("reason IS NOT NULL"))
        n_labels = _take_labels(found)
        raise DataError(
            "The export holds no post: no table was written.",
            where=posts.path,
            got=f"\n{Counts(sum(found.values()), 0, found, samples, n_labels_rejected=n_labels)}",
        )
    if _has_repeated(posts.staged(), posts.n_staged):
        rows = reject_repeated(rows, find_repeated(posts.staged()))
        posts.unstage()
        seen = _stage_good(rows, posts)
    n_out, found, samples = posts.n_staged, dict[str, int](), dict[str, str]()
    if seen["n_rejected"]:
        raw = F.coalesce("raw", F.lit(""))
        rejects.stage(rows.where("reason IS NOT NULL").withColumns({"origin": F.lit(origin), "raw": raw}))
        found, samples = _count_rejects(rejects.staged())
    of_labels = _take_labels(found)
    n_in = seen["n_in"] - sum(of_labels.values())
    counts = Counts(n_in, n_out, found, samples, seen["n_labelled"], of_labels, seen["n_undecodable"])
    if n_in != n_out + sum(counts.n_rejected.values()):
        raise AccountingError("The rows of the export do not add up.", where=posts.path, got=f"\n{counts}")
    posts.commit()
    rejects.commit()
    return counts


def _take_labels(found: dict[str, int]) -> dict[str, int]:
    """The counts of rows that were labels, which are taken out of those found."""
    return {reason: found.pop(reason) for reason in list(found) if reason in OF_LABELS}


def _count_rejects(rejects: DataFrame) -> tuple[dict[str, int], dict[str, str]]:
    """Rows by reason, the most frequent first, and the text of one of each."""
    sample = F.min(F.when(F.length("raw") > 0, F.substring("raw", 1, 1000))).alias("sample")
    counted = rejects.groupBy("reason").agg(F.count(F.lit(1)).alias("n"), sample)
    found = sorted(counted.collect(), key=lambda row: (-row.n, row.reason))
    return {row.reason: row.n for row in found}, {row.reason: row.sample or "" for row in found}


def _has_repeated(posts: DataFrame, n_posts: int) -> bool:
    """Whether an id stands twice, or a post was edited; by hashes, so where two of them agree it may be so without."""
    hashed = F.xxhash64("post_id")  # eight bytes a post to be shuffled
    edited = F.count(F.col("extra")["earlier_post_ids"])
    n_ids, n_edited = posts.agg(F.count_distinct(hashed), edited).collect()[0]
    return bool(n_ids < n_posts or n_edited)


def _count_where(condition: Column) -> Column:
    return F.count(F.when(condition, F.lit(1)))


def _stage_good(rows: DataFrame, posts: Transaction) -> dict[str, int]:
    """Stages the rows without a reason; counts of all rows, counted on the way."""
    seen = Observation("ingest")
    is_post = F.col("reason").isNull()
    is_undecodable = F.coalesce(F.col("extra")["not_utf8_base64"], F.col("extra")["n_replaced_chars"]).isNotNull()
    counts = [
        F.count(F.lit(1)).alias("n_in"),
        F.count("reason").alias("n_rejected"),
        _count_where(is_post & F.col("popularity").isNotNull()).alias("n_labelled"),
        _count_where(is_post & is_undecodable).alias("n_undecodable"),
    ]
    posts.stage(rows.observe(seen, *counts).where("reason IS NULL"))
    found = seen.get
    if "n_in" not in found:  # a Connect server may answer before it knows them
        found = rows.agg(*counts).collect()[0].asDict()
    return dict(found)
