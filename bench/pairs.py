"""Pairs at scale: against a plain Spark self-join, against DuckDB with the same SQL, growth, and bounded memory; and
the ranker's feed against what networks consume.

    python -m bench.pairs [--posts-share 1.0] [--only shapes growth ...] [--json FILE]

Simulated posts in the shapes of conf/simulate_posts/{smp_t1,smpd}.yaml, preset twitter without its caps.
Outputs are compared by count and by a sum of hashes, of the ids where nothing is timed and of the popularity, which is
cheap to hash, where it is; a difference ends the run. Spark runs on the parallel collector, the plain self-join too.
Ours and DuckDB's times are the shortest of three, the plain self-join's is of one, which is long enough to warm up in.

The plain self-join looks at every two posts of a user. Where that takes too long (--comparisons), the heaviest users
are left out of it until it does not, its time is scaled by the comparisons, and its pairs are compared on those users.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from bench.table import Row, finish
from popspark.images.decode import decode, shrink
from popspark.networks.backbones import BACKBONES, to_input
from popspark.networks.ranker import pair_logits, start_ranker
from popspark.pairs.pairing import generate_pairs, pair_posts
from popspark.pairs.settings import PairRules, preset_rules
from popspark.runtime.queries import load_sql
from popspark.runtime.session import get_session
from popspark.simulation.settings import Simulation
from popspark.simulation.simulation import simulate_posts
from popspark.storage.tables import PAIR_POSTS, POSTS
from popspark.storage.warehouse import read_table
from popspark.storage.writing import write_table
from popspark.training.ranker.fit import make_optimizer
from popspark.training.ranker.images import read_crops
from popspark.training.ranker.settings import RankerFitSettings

SECTIONS = ("shapes", "growth", "heavy", "memory", "feed")
ROOT = Path(__file__).resolve().parents[1]
RULES = preset_rules("twitter", max_pairs_per_user=None, max_candidates_per_user=None)
HASHED = {
    "ids": "cast(substr(post_id_{side}, 2) AS bigint)",
    "popularity": "cast(floor(popularity_{side} * 10) AS bigint)",
}

PLAIN = """WITH usable AS (
    SELECT
        post_id,
        user_id,
        posted_at,
        transform(hashtags, tag -> lower(tag)) AS hashtags,
        size(split(trim(caption), ' +')) AS n_words,
        n_shares,
        0.7D * n_shares + 0.3D * n_likes AS popularity,
        pmod(xxhash64(post_id, 0L), 2147483647) AS post_hash
    FROM {posts}
    WHERE caption IS NOT NULL AND n_shares >= 0 AND n_likes >= 0
)

SELECT
    least(l.post_id, r.post_id) AS post_id_l,
    greatest(l.post_id, r.post_id) AS post_id_r,
    if(l.post_id < r.post_id, l.popularity, r.popularity) AS popularity_l,
    if(l.post_id < r.post_id, r.popularity, l.popularity) AS popularity_r,
    0.5D AS probability
FROM usable AS l
INNER JOIN usable AS r
    ON
        l.user_id = r.user_id
        AND (l.posted_at < r.posted_at OR (l.posted_at = r.posted_at AND l.post_id < r.post_id))
        AND r.posted_at <= l.posted_at + INTERVAL 10 DAYS
        AND abs(l.n_words - r.n_words) <= 5
        AND arrays_overlap(l.hashtags, r.hashtags)
        AND l.popularity <> r.popularity
        AND (
            (l.post_hash * 48271 + r.post_hash * 16807) % 2147483647 >= 2147483647 / 3D
            OR (l.n_shares <> r.n_shares AND greatest(l.n_shares, r.n_shares) > 20)
        )"""


def summary_query(of: str) -> str:
    """of: a key of HASHED. The hash of the ids costs a tenth of the join, that of the popularity next to nothing."""
    left, right = (HASHED[of].format(side=side) for side in "lr")
    return f"""SELECT
        count_if(post_id_l < post_id_r) AS n_pairs,
        sum(({left} * 48271 + {right} * 16807) % 2147483647) AS hash,
        round(sum(probability)) AS probability
    FROM {{pairs}}"""


def summary(pairs: DataFrame, of: str = "popularity") -> tuple[int, int, float]:
    row = pairs.sparkSession.sql(summary_query(of), pairs=pairs).collect()[0]
    return row["n_pairs"], row["hash"] or 0, row["probability"] or 0.0


def preset(name: str, **changes: Any) -> Simulation:
    """The simulation of conf/simulate_posts/NAME.yaml, with these changes."""
    settings = yaml.safe_load((ROOT / "conf" / "simulate_posts" / f"{name}.yaml").read_text("utf-8"))["simulation"]
    return Simulation(**{**settings, **changes})


def simulated(spark: SparkSession, path: Path, simulation: Simulation) -> DataFrame:
    """Simulated posts without images, from a table at `path`."""
    write_table(simulate_posts(spark, simulation, None), POSTS, str(path))
    return read_table(spark, POSTS, str(path))


def paired(
    posts: DataFrame, path: Path, rules: PairRules = RULES, of: str = "popularity"
) -> tuple[float, float, tuple[int, int, float]]:
    """Seconds from posts to pairs, those of them from pair_posts on, and the summary of the pairs."""
    started = time.perf_counter()
    write_table(pair_posts(posts, rules), PAIR_POSTS, str(path))
    judged = time.perf_counter()
    found = summary(generate_pairs(read_table(posts.sparkSession, PAIR_POSTS, str(path)), rules, "twitter"), of)
    ended = time.perf_counter()
    return ended - started, ended - judged, found


def plain_join(posts: DataFrame, rows: DataFrame, n_comparisons: float) -> tuple[float, float]:
    """Seconds of the self-join, and the share of its comparisons that were made; raises where the pairs differ."""
    spark = posts.sparkSession
    counts = posts.groupBy("user_id").agg((F.count("*").cast("double") ** 2 / 2).alias("n")).orderBy("n").collect()
    users, done = [], 0.0
    for user in counts:
        if done + user["n"] <= n_comparisons:
            users.append(user["user_id"])
            done += user["n"]
    chosen = spark.createDataFrame([(user,) for user in users], "user_id string")
    some = posts.join(F.broadcast(chosen), "user_id", "left_semi")
    started = time.perf_counter()
    n, hash_, _ = summary(spark.sql(PLAIN, posts=some))
    seconds = time.perf_counter() - started
    expected = summary(generate_pairs(rows.join(F.broadcast(chosen), "user_id", "left_semi"), RULES, "twitter"))
    if (n, hash_) != expected[:2]:
        sys.exit(f"The plain self-join finds other pairs: {n, hash_} and {expected}")
    share = done / sum(user["n"] for user in counts)
    return seconds / share, share


def to_duckdb(name: str, args: dict[str, Any]) -> str:
    """The query in DuckDB's dialect: the translation of sqlglot, parameters written out."""
    text = re.sub(r"\{(\w+)\}", r"\1", re.sub(r"/\*.*?\*/", "", load_sql("popspark.pairs", name)))
    text = sqlglot.transpile(text, read="spark", write="duckdb", comments=False)[0]
    text = text.replace("ARRAYS_OVERLAP", "list_has_any")
    literals = {name: "NULL" if value is None else repr(value) for name, value in args.items()}
    literals |= {name: f"CAST({value!r} AS DOUBLE)" for name, value in args.items() if isinstance(value, float)}
    return re.sub(r"\$(\w+)", lambda found: literals[found[1]], text)


def duckdb_join(pair_posts: Path, of: str = "popularity") -> tuple[float, tuple[int, int, float]]:
    """Seconds from pair_posts to pairs with two threads, and the summary."""
    args = {**RULES.sql_args, "preset": "twitter"}
    query = f"""WITH pair_posts AS (SELECT * FROM read_parquet('{pair_posts}/*.parquet')),
        posts AS (SELECT * FROM pair_posts WHERE removed_by IS NULL),
        candidates AS ({to_duckdb("candidate_pairs", args)}),
        pairs AS ({to_duckdb("pairs", args)})
        {summary_query(of).format(pairs="pairs")}"""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        connection.execute("CREATE MACRO get(list, n) AS list[n + 1]")  # Spark's, which DuckDB does not have
        started = time.perf_counter()
        row = connection.execute(query).fetchone()
        assert row is not None
        return time.perf_counter() - started, (int(row[0]), int(row[1] or 0), float(row[2] or 0))


def shape_rows(spark: SparkSession, work: Path, name: str, posts_share: float, n_comparisons: float) -> list[Row]:
    full = preset(name)
    n_posts, n_users = int(full.n_posts * posts_share), max(1, int(full.n_users * posts_share))
    posts = simulated(spark, work / "posts", preset(name, n_posts=n_posts, n_users=n_users))
    rows_path = work / "pair_posts"
    ids = paired(posts, rows_path, of="ids")[2]  # which compiles, too
    runs = [paired(posts, rows_path) for _ in range(3)]
    whole, join, found = min(run[0] for run in runs), min(run[1] for run in runs), runs[0][2]
    rows = read_table(spark, PAIR_POSTS, str(rows_path))
    print(f"{name}: {n_posts:,} posts of {n_users:,} users, {found[0]:,} pairs", flush=True)
    plain, share = plain_join(posts, rows, n_comparisons)
    ids_by_duckdb = duckdb_join(rows_path, of="ids")[1]
    duck, found_by_duckdb = min(duckdb_join(rows_path) for _ in range(3))
    for ours, theirs in ((ids, ids_by_duckdb), (found, found_by_duckdb)):
        if ours[:2] != theirs[:2] or abs(ours[2] - theirs[2]) > 1 + 1e-7 * ours[0]:
            sys.exit(f"DuckDB finds other pairs: {theirs} and {ours}")
    shape = f"{n_posts:,} posts of {n_users:,} users, {found[0]:,} pairs"
    how = "plain self-join" if share == 1 else f"plain self-join, estimated from {share:.0%} of its comparisons"
    return [
        Row(f"{shape}: posts a second, {how}", n_posts / whole, n_posts / plain, "posts/s", 10, True),
        Row(f"{shape}: join, DuckDB with the same SQL", join, duck, "s", 1, False),
    ]


def growth_row(spark: SparkSession, work: Path, posts_share: float) -> Row:
    """20 posts a user, the users alike, so that pairs grow as posts do."""
    seconds, sizes = [], [int(n * posts_share) for n in (100_000, 3_000_000)]
    for n_posts in sizes:
        shape = preset("smpd", n_posts=n_posts, n_users=n_posts // 20, user_skew=0)
        posts = simulated(spark, work / "posts", shape)
        seconds.append(min(paired(posts, work / "pair_posts")[0] for _ in range(2)))
    what = f"growth from {sizes[0]:,} to {sizes[1]:,} posts: time ratio over row ratio"
    return Row(what, seconds[1] / seconds[0], sizes[1] / sizes[0], "x", 1.2, False)


def heavy_user_row(spark: SparkSession, work: Path, posts_share: float) -> Row:
    """A user with 100,000 posts in 30 days under the default caps, beside as many posts of 1,000 users."""
    n_posts, seconds = int(100_000 * posts_share), []
    for n_users in (1, 1000):
        posts = simulated(spark, work / "posts", preset("smpd", n_posts=n_posts, n_users=n_users, n_days=30))
        seconds.append(min(paired(posts, work / "pair_posts", preset_rules("twitter"))[0] for _ in range(2)))
    return Row(f"one user with {n_posts:,} posts in a month, beside 1,000 users", *seconds, "s", 10, False)


def memory_row(work: Path, posts_share: float) -> Row:
    """The larger shape on executors of 2 GB in processes of their own; measured is the share of pairs found."""
    spark = SparkSession.getActiveSession()
    if spark:
        spark.stop()
    cluster = {"spark.master": "local-cluster[2,1,2048]", "spark.executor.memory": "2g"}
    spark = start({**cluster, "spark.driver.memory": "2g"})
    n_posts = int(1_000_000 * posts_share)
    shape = preset("smpd", n_posts=n_posts, n_users=max(1, int(50_000 * posts_share)))
    posts = simulated(spark, work / "posts", shape)
    _, _, found = paired(posts, work / "pair_posts")
    spark.stop()
    return Row(f"{n_posts:,} posts on executors of 2 GB: finished, pairs found", found[0], found[0], "pairs", 1, True)


def write_photographs(folder: Path, n_pairs: int) -> None:
    """pair_examples of the sample's photographs, as build_pair_examples writes them."""
    contents = [shrink(decode(path.read_bytes())) for path in sorted((ROOT / "sample/photos").glob("*.jpg"))]
    columns = {
        "thumbnail_l": [contents[n % len(contents)] for n in range(n_pairs)],
        "thumbnail_r": [contents[(7 * n + 1) % len(contents)] for n in range(n_pairs)],
        "margin": [1.0] * n_pairs,
        "probability": [0.9] * n_pairs,
    }
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "part-0.parquet", row_group_size=200)


def step_of(name: str, is_frozen: bool) -> Callable[[list[Any]], None]:
    """What a network does with a batch of crops: forward, and where the trunk is fitted backward too."""
    import torch

    backbone = BACKBONES[name]
    network = start_ranker(backbone, None, 0).train(not is_frozen).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, RankerFitSettings())

    def step(crops: list[Any]) -> None:
        inputs = to_input(crops, backbone, torch.device("cpu"), torch.float32)
        if is_frozen:
            with torch.inference_mode():
                network(inputs)
            return
        optimizer.zero_grad(set_to_none=True)
        pair_logits(network(inputs)).exp().log1p().mean().backward()
        optimizer.step()

    return step


def feed_rows(work: Path, posts_share: float) -> list[Row]:
    """Images a second through petastorm, decoded and cropped, against those that networks take on this processor."""
    write_photographs(work / "photographs", max(64, int(2000 * posts_share)))
    rows = []
    for name, is_frozen, n_batches in (("resnet50", False, 2), ("efficientnet_lite0", True, 8)):
        feed = partial(read_crops, work / "photographs", BACKBONES[name], 16, targets="hard", n_threads=2)
        for epoch in (0, 1):  # the first warms up
            started = time.perf_counter()
            n_images = sum(len(crops) for crops, _ in feed(epoch=epoch))
            fed = n_images / (time.perf_counter() - started)
        crops = next(iter(feed(epoch=0)))[0]
        step = step_of(name, is_frozen)
        step(crops)
        started = time.perf_counter()
        for _ in range(n_batches):
            step(crops)
        consumed = n_batches * len(crops) / (time.perf_counter() - started)
        what = "frozen" if is_frozen else "trained, trunk and all"
        rows.append(Row(f"ranker feed, against {name} {what}", fed, consumed, "images/s", 5, True))
    return rows


def start(options: dict[str, str]) -> SparkSession:
    quiet = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": "8"}
    batch = {f"spark.{jvm}.extraJavaOptions": "-XX:+UseParallelGC" for jvm in ("driver", "executor")}
    spark = get_session("bench_pairs", {**quiet, **batch, **options})
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts-share", type=float, default=1.0, help="of the full sizes")
    parser.add_argument("--comparisons", type=float, default=3e9, help="of posts, by the plain self-join at most")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    spark = start({"spark.master": "local[2]", "spark.driver.memory": "4g"})
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if "shapes" in args.only:
            for name in ("smp_t1", "smpd"):
                rows += shape_rows(spark, work, name, args.posts_share, args.comparisons)
        if "growth" in args.only:
            rows.append(growth_row(spark, work, args.posts_share))
        if "heavy" in args.only:
            rows.append(heavy_user_row(spark, work, args.posts_share))
        if "memory" in args.only:
            rows.append(memory_row(work, args.posts_share))
        if "feed" in args.only:
            rows += feed_rows(work, args.posts_share)
    finish("Pairs (simulated posts, preset twitter)", rows, args.json)


if __name__ == "__main__":
    main()
