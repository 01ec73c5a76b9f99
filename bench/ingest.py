"""Ingest of an SMPD-shaped export and the social features of its posts, against DuckDB on the same cores.

    PYTHONPATH=. python bench/ingest.py --rows 1000000 --growth 100000 3000000 --json bench/results/ingest.json

DuckDB reads the same files into the same columns, lines the tables up by position, and writes Parquet; and computes the
same point-in-time values from the posts that Spark wrote. Both have `--threads` threads. Growth is the time of the
largest size over that of the smallest, against the ratio of their rows. Times are the shortest of three runs after a
first one, in which the JVM still compiles. What Spark takes to write finished social values again is printed as well.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
from table import Row, finish
from timing import best_seconds

from popspark.ingest import Options, parse_export
from popspark.ingest.accounting import write_posts
from popspark.posts.social import social_features
from popspark.runtime.session import get_session
from popspark.storage.tables import POSTS, SOCIAL_FEATURES
from popspark.storage.warehouse import read_table, write_table

WORDS = ("sea", "sun", "beach", "city", "night", "street", "food", "dog", "cat", "snow", "river", "travel", "art")

INGEST = """
COPY (
    SELECT s.Pid AS post_id, s.Uid AS user_id, to_timestamp(CAST(s.Postdate AS BIGINT)) AS posted_at, t.Title AS title,
        list_filter(string_split(t.Alltags, ' '), lambda tag: tag != '') AS hashtags, len(t.Title) AS n_title_chars,
        TRY_CAST(u.photo_count AS BIGINT) AS n_user_posts, i.path AS image_id, CAST(l.score AS DOUBLE) AS popularity,
        lower(t.Mediatype) AS media_type, sha256(a.Pathalias) AS user_name, c.Category AS category,
        c.Subcategory AS subcategory, c.Concept AS concept, s.Latitude AS latitude, s.Longitude AS longitude,
        s.Geoaccuracy AS geo_accuracy, u.ispro AS is_pro, u.timezone_id, a.Ispublic AS is_public,
        c.Uid = s.Uid AND c.Pid = s.Pid AND t.Uid = s.Uid AND t.Pid = s.Pid AND u.Uid = s.Uid AND u.Pid = s.Pid
            AND a.Uid = s.Uid AND a.Pid = s.Pid AS is_lined_up
    FROM read_json('{0}/train_temporalspatial_information.json', format = 'array', columns = {{Uid: 'VARCHAR',
            Pid: 'VARCHAR', Postdate: 'VARCHAR', Latitude: 'VARCHAR', Longitude: 'VARCHAR',
            Geoaccuracy: 'VARCHAR'}}) AS s
    POSITIONAL JOIN read_json('{0}/train_category.json', format = 'array', columns = {{Uid: 'VARCHAR', Pid: 'VARCHAR',
            Category: 'VARCHAR', Subcategory: 'VARCHAR', Concept: 'VARCHAR'}}) AS c
    POSITIONAL JOIN read_json('{0}/train_text.json', format = 'array', columns = {{Uid: 'VARCHAR', Pid: 'VARCHAR',
            Title: 'VARCHAR', Alltags: 'VARCHAR', Mediatype: 'VARCHAR'}}) AS t
    POSITIONAL JOIN read_json('{0}/train_user_data.json', format = 'array', columns = {{Uid: 'VARCHAR', Pid: 'VARCHAR',
            photo_count: 'VARCHAR', ispro: 'VARCHAR', timezone_id: 'VARCHAR'}}) AS u
    POSITIONAL JOIN read_json('{0}/train_additional_information.json', format = 'array', columns = {{Uid: 'VARCHAR',
            Pid: 'VARCHAR', Pathalias: 'VARCHAR', Ispublic: 'VARCHAR', Mediastatus: 'VARCHAR'}}) AS a
    POSITIONAL JOIN read_csv('{0}/train_img_filepath.txt', header = false, columns = {{path: 'VARCHAR'}}) AS i
    POSITIONAL JOIN read_csv('{0}/train_label.txt', header = false, columns = {{score: 'VARCHAR'}}) AS l
) TO '{1}' (FORMAT parquet, COMPRESSION snappy)
"""

SOCIAL = """
COPY (
    WITH posts AS (
        SELECT *, CAST(round(1000 * pow(2, popularity - 1)) AS BIGINT) AS views,
            12 * year(posted_at) + month(posted_at) AS month
        FROM read_parquet('{0}/*.parquet')
    ),
    months AS (
        SELECT user_id, month, sum(n) OVER w AS n, sum(views) OVER w AS views,
            lead(month) OVER (PARTITION BY user_id ORDER BY month) AS next_month
        FROM (SELECT user_id, month, count(*) AS n, sum(views) AS views FROM posts GROUP BY ALL)
        WINDOW w AS (PARTITION BY user_id ORDER BY month)
    ),
    ranks AS (
        SELECT m.user_id, k.month,
            row_number() OVER (PARTITION BY k.month ORDER BY m.views / m.n, m.user_id) AS user_rank
        FROM months AS m JOIN (SELECT DISTINCT month FROM posts) AS k
            ON k.month > m.month AND k.month <= coalesce(m.next_month, k.month)
    ),
    earlier AS (
        SELECT *, count(*) OVER w AS n_earlier, sum(views) OVER w AS sum_views
        FROM posts
        WINDOW w AS (PARTITION BY user_id ORDER BY epoch_us(posted_at)
            RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    )
    SELECT e.post_id, 'point_in_time' AS mode, CAST(coalesce(r.user_rank, 0) AS DOUBLE) AS user_rank,
        coalesce(e.sum_views / nullif(e.n_earlier, 0) / 1000, 0) AS user_mean_views,
        CAST(0 AS DOUBLE) AS n_user_groups, CAST(0 AS DOUBLE) AS user_mean_group_members,
        CAST(e.n_earlier AS DOUBLE) AS n_user_posts, CAST(coalesce(n_hashtags, 0) AS DOUBLE) AS n_hashtags,
        CAST(coalesce(n_title_chars, 0) AS DOUBLE) AS n_title_chars, CAST(0 AS DOUBLE) AS n_caption_chars,
        CAST(0 AS DOUBLE) AS has_people, CAST(0 AS DOUBLE) AS n_comments, {2}, CAST(0 AS DOUBLE) AS days_online
    FROM earlier AS e LEFT JOIN ranks AS r ON e.user_id = r.user_id AND e.month = r.month
) TO '{1}' (FORMAT parquet, COMPRESSION snappy)
"""
FLAGS = ", ".join(
    [f"CAST(isodow(posted_at) = {i + 1} AS DOUBLE) AS w{i}" for i in range(7)]
    + [f"CAST(month(posted_at) = {i + 1} AS DOUBLE) AS m{i}" for i in range(12)]
    + [f"CAST(hour(posted_at) // 6 = {i} AS DOUBLE) AS q{i}" for i in range(4)]
)


def write_export(folder: Path, n: int) -> None:
    """n posts of n / 20 users, some with many more than others, over 16 months, with titles and tags of words."""
    folder.mkdir(parents=True)
    draw = random.Random(n)
    n_users = max(n // 20, 1)
    keys = [(f"{int(n_users * draw.random() ** 2)}@N{n_users % 97}", str(100000 + i)) for i in range(n)]

    def table(name: str, fields: Callable[[int], dict[str, Any]]) -> None:
        def objects() -> Iterator[str]:
            for i, (uid, pid) in enumerate(keys):
                yield json.dumps({"Uid": uid, "Pid": pid, **fields(i)}, ensure_ascii=False)

        with (folder / f"train_{name}.json").open("w") as out:
            out.write("[")
            for i, text in enumerate(objects()):
                out.write(f"{', ' if i else ''}{text}")
            out.write("]")

    def words(low: int, high: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))

    table("category", lambda i: {"Category": words(1, 1), "Subcategory": words(1, 1), "Concept": words(1, 1)})
    table("text", lambda i: {"Title": words(1, 8), "Mediatype": "photo", "Alltags": words(0, 15)})
    table(
        "temporalspatial_information",
        lambda i: {
            "Postdate": str(1446336000 + draw.randrange(486 * 86400)),
            "Latitude": "0",
            "Longitude": "0",
            "Geoaccuracy": "0",
        },
    )
    table("user_data", lambda i: {"photo_count": str(i % 5000), "ispro": i % 2, "timezone_id": "CET"})
    table(
        "additional_information", lambda i: {"Pathalias": f"name{i % n_users}", "Ispublic": "1", "Mediastatus": "ready"}
    )
    (folder / "train_img_filepath.txt").write_text("".join(f"train/{uid}/{pid}.jpg\n" for uid, pid in keys))
    (folder / "train_label.txt").write_text("".join(f"{draw.uniform(1, 16):.2f}\n" for _ in keys))


def measure(spark: Any, root: Path, n: int, threads: int) -> dict[str, float]:
    """Seconds of the two steps by both engines, on n posts; checks that they agree on the number of rows."""
    export, posts, social = root / f"export_{n}", str(root / f"posts_{n}"), str(root / f"social_{n}")
    write_export(export, n)

    def ingest() -> None:
        parsed = parse_export(spark, "smpd", str(export), Options())
        counts = write_posts(spark, parsed, "smpd", True, posts, str(root / f"rejects_{n}"))
        assert (counts.n_out, counts.n_rejected) == (n, {}), counts

    def compute_social() -> None:
        rows = social_features(spark, read_table(spark, POSTS, posts), "point_in_time")
        write_table(rows, SOCIAL_FEATURES, social)

    def rewrite_social() -> None:
        write_table(read_table(spark, SOCIAL_FEATURES, social), SOCIAL_FEATURES, str(root / "rewritten"))

    duck = duckdb.connect(config={"threads": threads})
    duck.execute("SET TimeZone = 'UTC'")
    seconds = {
        "ingest": best_seconds(ingest),
        "ingest_duckdb": best_seconds(lambda: duck.execute(INGEST.format(export, root / f"posts_{n}.parquet"))),
        "social": best_seconds(compute_social),
        "social_rewritten": best_seconds(rewrite_social),
        "social_duckdb": best_seconds(lambda: duck.execute(SOCIAL.format(posts, root / f"social_{n}.parquet", FLAGS))),
    }
    sums = "SELECT count(*), sum(user_rank), sum(n_user_posts), sum(user_mean_views) FROM read_parquet(?)"
    files = (f"{social}/*.parquet", f"{root}/social_{n}.parquet")
    ours, theirs = (duck.execute(sums, [name]).fetchall()[0] for name in files)
    assert all(abs(a - b) <= 1e-6 * abs(b) for a, b in zip(ours, theirs, strict=True)), (ours, theirs)
    shutil.rmtree(export)
    print(f"{n:,} posts: " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()), flush=True)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--growth", type=int, nargs=2, default=(100_000, 3_000_000), metavar=("SMALL", "LARGE"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    args = parser.parse_args()
    spark = get_session(
        "bench_ingest",
        {
            "spark.master": f"local[{args.threads}]",
            "spark.driver.memory": "4g",
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": 8,
        },
    )
    spark.sparkContext.setLogLevel("ERROR")
    small, large = args.growth
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = {n: measure(spark, root, n, args.threads) for n in sorted({small, args.rows, large})}
    at = found[args.rows]
    rows = [
        Row(f"{step} of {args.rows:,} posts, against DuckDB", at[step], at[f"{step}_duckdb"], "s", 1.5, False)
        for step in ("ingest", "social")
    ]
    rows += [
        Row(
            f"{step}: growth from {small:,} to {large:,}, against the rows",
            found[large][step] / found[small][step],
            large / small,
            "x",
            1.2,
            False,
        )
        for step in ("ingest", "social")
    ]
    finish(f"Ingest and social features, {args.threads} threads", rows, args.json)


if __name__ == "__main__":
    main()
