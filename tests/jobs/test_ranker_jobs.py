"""From twarc's JSON lines to a ranked album: every job of the way, over a local server of real photographs."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image
from pyspark.sql import SparkSession

from popspark.images.decode import decode
from popspark.runtime.config import find_conf, load_config
from popspark.storage.arrow import read_arrow
from tests.made_pairs import PHOTOS, spoil

pytestmark = pytest.mark.slow
N_USERS, N_TWEETS = 10, 6  # of each; half of the pictures are blurred, and the others are liked more
GONE = 7  # of these tweets the picture is missing


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL and the folder of pictures 0.jpg, 1.jpg, ...; every odd one is blurred."""
    folder = tmp_path_factory.mktemp("media")
    for n in range(N_USERS * N_TWEETS):
        image = decode(PHOTOS[n % len(PHOTOS)].read_bytes())
        Image.fromarray(spoil(image, n % 2, 0)).save(folder / f"{n}.jpg", quality=90)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder
    server.shutdown()
    server.server_close()


def write_tweets(path: Path, url: str) -> None:
    """A page a user, as twarc writes them."""
    with path.open("w") as stream:
        for user in range(N_USERS):
            numbers = range(user * N_TWEETS, (user + 1) * N_TWEETS)
            counts = {n: (5 + n % 7, 20 + n) if n % 2 else (60 + n % 5, 500 + n) for n in numbers}
            tweets = [
                {
                    "id": str(1000 + n),
                    "author_id": f"{user}",
                    "text": f"one more #sun {n}",
                    "created_at": f"2022-05-0{1 + n % 6}T10:00:00.000Z",
                    "entities": {"hashtags": [{"tag": "Sun" if n % 3 else "sun"}]},
                    "public_metrics": {"retweet_count": shares, "like_count": likes},
                    "attachments": {"media_keys": [f"3_{n}"]},
                }
                for n, (shares, likes) in counts.items()
            ]
            media = [
                {"media_key": f"3_{n}", "type": "photo", "url": f"{url}/{'gone' if n < GONE else ''}{n}.jpg"}
                for n in numbers
            ]
            page = {"data": tweets, "includes": {"media": media, "users": [{"id": f"{user}", "username": f"u{user}"}]}}
            stream.write(json.dumps({**page, "__twarc": {"retrieved_at": "2022-07-01T00:00:00+00:00"}}) + "\n")


def run(job: str, warehouse: Path, *overrides: str, preset: str | None = None) -> None:
    module = import_module(f"popspark.jobs.{job}")
    found = find_conf(preset, folder=job) if preset else None
    module.main(load_config(module.Config, [f"env.warehouse={warehouse}", *overrides], found))


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, pictures: tuple[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("tweets")
    write_tweets(folder / "tweets.jsonl", pictures[0])
    run("ingest_posts", folder, "origin=x_api", f"source={folder}/tweets.jsonl")
    polite = ["politeness.allow_private=true", "politeness.requests_per_second=500", "politeness.n_retries=0"]
    run("fetch_images", folder, *polite)
    run("generate_pairs", folder, "rules.seed=2", "rules.min_probability=0.95")  # a sharp one and a blurred one
    run("build_pair_examples", folder)
    run("train_ranker", folder, preset="cpu")
    return folder


def test_pairs_without_their_pictures_are_counted(warehouse: Path) -> None:
    record = json.loads((warehouse / "pair_examples.json").read_text())
    n_pairs = read_arrow(f"{warehouse}/pairs").num_rows
    assert sum(record["pairs"].values()) == n_pairs == N_USERS * 9
    assert record["pairs"]["http_404"] == 9 + 3  # all of the first user's, and those of one sharp picture of the next
    assert record["pairs"]["ok"] == read_arrow(f"{warehouse}/pair_examples").num_rows
    assert record["is_simulated"] is False
    assert record["audit"][0]["rule"] == "unique_post_id"


def test_the_ranker_learned_and_says_so(warehouse: Path) -> None:
    manifest = json.loads((warehouse / "models" / "ranker" / "manifest.json").read_text())
    assert manifest["training"]["splits"]["test"]["accuracy"]["value"] > 0.9
    page = (warehouse / "ranker_report.html").read_text()
    assert "http_404" in page
    assert "simulated" not in page


def test_an_album_is_ranked_as_score_posts_scores_it(
    warehouse: Path, pictures: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run("rank_album", warehouse, f"source={pictures[1]}/1?.jpg")
    printed = capsys.readouterr().out
    assert "10 photographs ranked, 0 files refused" in printed
    with (warehouse / "album.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 10
    assert (warehouse / "album.html").read_text().count('<img src="data:image/jpeg;base64,') == 10
    sharp = [int(Path(row["path"]).stem) % 2 == 0 for row in rows]
    assert sum(sharp[:5]) >= 4
    run("score_posts", warehouse, f"bundle={warehouse}/models/ranker")
    scores = read_arrow(f"{warehouse}/scores").to_pylist()
    assert len(scores) == N_USERS * N_TWEETS
    by_number = {int(row["post_id"]) - 1000: row for row in scores}
    assert by_number[0]["status"] == "http_404"
    for row in rows:
        scored = by_number[int(Path(row["path"]).stem)]
        assert scored["score"] == pytest.approx(float(row["score"]), abs=1e-4)
        assert scored["percentile"] == pytest.approx(float(row["percentile"]), abs=0.1)
