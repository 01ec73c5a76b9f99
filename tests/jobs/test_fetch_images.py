"""The job over a local server: statuses, rounds, resuming, retries and conditional requests."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from popspark.images.limits import Limits
from popspark.images.settings import Politeness
from popspark.jobs.fetch_images import Config, main
from popspark.runtime.config import Env
from popspark.storage.tables import DOWNLOADS, IMAGES, POSTS
from popspark.storage.warehouse import read_table
from popspark.storage.writing import write_table
from tests.misbehaving import png, serve


def config(root: Path, **options: Any) -> Config:
    politeness = Politeness(
        requests_per_second=500,
        timeout_s=1,
        total_timeout_s=2,
        n_retries=0,
        backoff_s=0,
        max_wait_s=0,
        max_redirects=2,
        allow_private=True,
        user_agent="tests",
    )
    values = {"retry": False, "refresh": False, "round_size": 4, "lanes_per_host": 2, **options}
    paths = {name: str(root / name) for name in ("posts", "downloads", "images", "store")}
    return Config(
        env=Env(warehouse=str(root)), **paths, **values, politeness=politeness, limits=Limits(max_bytes=100_000)
    )


def write_posts(spark: SparkSession, urls: list[str | None], root: Path) -> None:
    values = [
        {**dict.fromkeys(POSTS.columns), "post_id": str(i), "user_id": "u", "origin": "test", "is_simulated": True}
        | {"image_id": url}
        for i, url in enumerate(urls)
    ]
    rows = [tuple(v[c] for c in POSTS.columns) for v in values]
    write_table(spark.createDataFrame(rows, POSTS.schema), POSTS, str(root / "posts"))


class FastClock(datetime):
    """A driver's that is an hour ahead of its executors'."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(hours=1)


def test_fetch_resume_retry_and_refresh(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as server:

        def statuses() -> dict[str, str]:
            rows = read_table(spark, IMAGES, str(tmp_path / "images")).collect()
            assert len({row.image_id for row in rows}) == len(rows)
            assert all((row.uri is not None) == (row.status == "ok") for row in rows)
            assert all(Path(row.uri).read_bytes() == png() for row in rows if row.uri)
            return {row.image_id.rsplit(f"{server.server_address[1]}/")[-1]: row.status for row in rows}

        def asked() -> dict[str, int]:
            return {path: n for path, n in server.requests.items() if path != "/robots.txt"}

        server.robots, server.robots_status = "User-agent: *\nDisallow: /image/private", 200
        first = [server.url(p) for p in ("image/1", "image/2", "missing", "text", "broken", "noai", "image/private")]
        write_posts(spark, [*first, first[0], None, "train/1@N1/2.jpg"], tmp_path)
        main(config(tmp_path))
        expected = {
            "image/1": "ok",
            "image/2": "ok",
            "missing": "http_404",
            "text": "not_an_image",
            "broken": "http_500",
            "noai": "noai",
            "image/private": "robots_disallowed",
        }
        assert statuses() == expected
        assert set(asked().values()) == {1}
        assert "/image/private" not in asked()
        out = capsys.readouterr().out
        assert out.startswith("7 URLs in ")
        assert "  robots_disallowed            1\n" in out
        assert "  noai                         1\n" in out

        write_posts(spark, [*first, server.url("image/3")], tmp_path)
        main(config(tmp_path))
        assert statuses() == {**expected, "image/3": "ok"}
        assert set(asked().values()) == {1}  # what has an answer is not asked for again

        main(config(tmp_path, retry=True))
        assert {path: n for path, n in asked().items() if n > 1} == {"/broken": 2, "/noai": 2}

        main(config(tmp_path, refresh=True))
        assert statuses() == {**expected, "image/3": "ok"}
        answers = read_table(spark, DOWNLOADS, str(tmp_path / "downloads")).where("status = 'not_modified'")
        assert answers.count() == 3

        obeying = config(tmp_path, retry=True)
        free = obeying.politeness.model_copy(update={"obey_robots_txt": False, "obey_noai": False})
        main(obeying.model_copy(update={"politeness": free}))
        assert statuses() == {**expected, "image/3": "ok", "noai": "ok", "image/private": "ok"}

        n_asked = asked()["/broken"]
        monkeypatch.setattr("popspark.jobs.fetch_images.datetime", FastClock)
        main(config(tmp_path, retry=True))
        assert asked()["/broken"] == n_asked + 1
