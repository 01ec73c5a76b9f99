"""Parsed rows to the posts and rejects tables, with the sum checked: rows in = posts out + rejected."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from popspark.runtime.errors import AccountingError
from popspark.storage.tables import POSTS, REJECTS
from popspark.storage.warehouse import no_rows, read_table, write_table

POSITION = ("file", "line", "item")
"""Names a parsed row; item counts the posts of one record, where a record holds several."""


@dataclass(frozen=True)
class Counts:
    """Rows of an export: all, those that became posts, and the others by reason."""

    n_in: int
    n_out: int
    n_rejected: dict[str, int]

    def __str__(self) -> str:
        rejected = sum(self.n_rejected.values())
        lines = [f"rows in   {self.n_in:>12,}", f"posts     {self.n_out:>12,}", f"rejected  {rejected:>12,}"]
        lines += [f"  {reason:<30} {n:>12,}" for reason, n in self.n_rejected.items()]
        return "\n".join(lines)


def complete(parsed: DataFrame, origin: str, is_simulated: bool) -> DataFrame:
    """All columns of POSTS besides the position, raw and reason; what the origin does not know is null."""
    known = {"origin": F.lit(origin), "is_simulated": F.lit(is_simulated)}
    item = F.col("item") if "item" in parsed.columns else F.lit(0)
    absent = [
        known.get(name, F.lit(None)).cast(kind).alias(name)
        for name, kind in POSTS.columns.items()
        if name not in parsed.columns
    ]
    given = [name for name in POSTS.columns if name in parsed.columns]
    rows = parsed.withColumn("item", item).select("file", "line", "item", "raw", "reason", *given, *absent)
    no_id = F.col("post_id").isNull() | F.col("user_id").isNull()
    reason = F.coalesce("reason", F.when(no_id, F.lit("missing_id")))
    return rows.withColumn("reason", reason).select("file", "line", "item", "raw", "reason", *POSTS.columns)


def find_repeated(posts: DataFrame) -> DataFrame:
    """The post_ids that stand in more than one row."""
    return posts.groupBy("post_id").count().where("count > 1").select("post_id")


def reject_duplicates(rows: DataFrame, repeated: DataFrame) -> DataFrame:
    """Of the good rows with a `repeated` post_id only the first in the export stays one; the others get a reason."""
    candidates = rows.where("reason IS NULL").join(repeated, "post_id", "left_semi")
    firsts = candidates.groupBy("post_id").agg(F.min(F.struct(*POSITION)).alias("first"))
    is_later = F.col("first").isNotNull() & (F.struct(*POSITION) != F.col("first"))
    reason = F.coalesce("reason", F.when(is_later, F.lit("duplicate_post_id")))
    return rows.join(firsts, "post_id", "left").withColumn("reason", reason).drop("first")


def write_posts(
    spark: SparkSession, parsed: DataFrame, origin: str, is_simulated: bool, posts_path: str, rejects_path: str
) -> Counts:
    """Writes both tables from parsed rows; raises `AccountingError` where what arrived is not what was read.

    A clean export is parsed once. Repeated ids show in the written posts, where finding them costs one column; only if
    there are any are the posts written again without them. The rejects, where there are any, are one more pass.
    """
    rows = complete(parsed, origin, is_simulated)
    n_in, n_rejected = _write_good(rows, posts_path)
    n_out, n_ids = _count_posts(spark, posts_path)
    if n_ids < n_out:
        # Kept, for the posts are overwritten next.
        repeated = find_repeated(read_table(spark, POSTS, posts_path)).localCheckpoint()
        rows = reject_duplicates(rows, repeated)
        n_in, n_rejected = _write_good(rows, posts_path)
        n_out, _ = _count_posts(spark, posts_path)
    rejects = no_rows(spark, REJECTS)
    if n_rejected:
        raw = F.coalesce("raw", F.lit(""))
        rejects = rows.where("reason IS NOT NULL").withColumns({"origin": F.lit(origin), "raw": raw})
    write_table(rejects, REJECTS, rejects_path)
    written = read_table(spark, REJECTS, rejects_path).groupBy("reason").count().orderBy(F.desc("count"), "reason")
    counts = Counts(n_in, n_out, {row.reason: row["count"] for row in written.collect()} if n_rejected else {})
    if n_in != n_out + sum(counts.n_rejected.values()):
        raise AccountingError("The rows of the export do not add up.", where=posts_path, got=f"\n{counts}")
    return counts


def _count_posts(spark: SparkSession, posts_path: str) -> tuple[int, int]:
    """Rows, and different ids among them; by hashes, so where two of them agree a few ids may be one too many."""
    hashed = F.xxhash64("post_id")  # eight bytes a post to be shuffled
    found = read_table(spark, POSTS, posts_path).agg(F.count(F.lit(1)), F.count_distinct(hashed)).collect()[0]
    return found[0], found[1]


def _write_good(rows: DataFrame, posts_path: str) -> tuple[int, int]:
    """Writes the rows without a reason; the numbers of all rows and of those with one, counted on the way."""
    seen = Observation("ingest")
    counts = [F.count(F.lit(1)).alias("n_in"), F.count("reason").alias("n_rejected")]
    write_table(rows.observe(seen, *counts).where("reason IS NULL"), POSTS, posts_path)
    found = seen.get
    if "n_in" not in found:  # a Connect server may answer before it knows them
        found = rows.agg(*counts).collect()[0].asDict()
    return found["n_in"], found["n_rejected"]
