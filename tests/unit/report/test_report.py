"""Pages that escape what they show, cards that say what a model must not be used for."""

from __future__ import annotations

import json
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from popspark.report.card import render_card
from popspark.report.figures import THUMBNAIL_PX, data_uri, histogram, thumbnail
from popspark.report.page import render_page
from popspark.runtime.stages import Stages

RELEASED = Path(__file__).resolve().parents[3] / "models" / "demo-vscnn" / "manifest.json"

POST = {"post_id": "p1", "title": "<b>bold</b>", "thumbnail": "data:,", "score": 1.234, "percentile": 91.6}
VALUES = {
    "title": "Scores",
    "manifest": {"name": "m<1>", "version": "1", "kind": "vcnn", "is_simulated": False},
    "scored_at": "2026-01-05 10:00",
    "posts_simulated": False,
    "random_families": "",
    "outcome": {"n_in": 1234, "n_scored": 1200, "n_refused": 2, "n_unchanged": 32, "refused": {"corrupt": 2}},
    "seconds": 10.0,
    "posts_per_second": 123.2,
    "n_shown": 50,
    "top": [POST],
    "bottom": [],
    "distribution": None,
    "refused": [{"post_id": "p2", "image_id": "<script>alert(1)</script>", "status": "corrupt", "error": "a & b"}],
    "stages": {"score": 9.5},
}


def test_a_page_escapes_what_posts_say() -> None:
    page = render_page("popspark.scoring", "scores.html", **VALUES)
    for raw in ("<script>", "<b>bold", "m<1>", "a & b"):
        assert raw not in page
    for escaped in ("&lt;script&gt;alert(1)", "&lt;b&gt;bold", "m&lt;1&gt;", "a &amp; b"):
        assert escaped in page
    assert "1,234" in page
    assert "1.23</b> &middot; above 92 %" in page
    assert "No post was scored." in page
    assert "At most 50 are shown; the scores table has all." in page


def test_a_page_shows_urls_without_their_secrets() -> None:
    url = "https://me:SECRET@example.org/a.jpg?w=9&X-Amz-Signature=SECRET"
    refused = {"post_id": url, "image_id": url, "status": "timeout", "error": f"no answer of {url}"}
    post = {**POST, "post_id": url, "title": url}
    page = render_page("popspark.scoring", "scores.html", **{**VALUES, "refused": [refused], "top": [post]})
    assert "SECRET" not in page
    assert page.count("https://***@example.org/a.jpg?w=9&amp;X-Amz-Signature=***") == 6


def test_pictures_in_a_page_stay_as_they_are() -> None:
    picture = data_uri(bytes(range(256)), "image/png") + "token=x"
    assert picture in render_page("popspark.scoring", "scores.html", **{**VALUES, "distribution": picture})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"posts_simulated": True}, "These posts are simulated."),
        ({"manifest": {**VALUES["manifest"], "is_simulated": True}}, "The model learned simulated counts."),
        ({"random_families": ["vgg19"]}, "<b>Random weights:</b> vgg19. These features mean nothing."),
    ],
)
def test_a_page_warns_where_numbers_mean_nothing_and_only_there(changes: dict, sentence: str) -> None:
    assert sentence in render_page("popspark.scoring", "scores.html", **{**VALUES, **changes})
    assert sentence not in render_page("popspark.scoring", "scores.html", **VALUES)


def test_a_page_is_one_file() -> None:
    page = render_page("popspark.scoring", "scores.html", **VALUES)
    assert "<link" not in page
    assert "http" not in page


@pytest.mark.parametrize("missing", sorted(VALUES))
def test_a_page_with_a_missing_value_is_not_written(missing: str) -> None:
    with pytest.raises(UndefinedError, match=f"'{missing}' is undefined"):
        render_page(
            "popspark.scoring", "scores.html", **{name: value for name, value in VALUES.items() if name != missing}
        )


@pytest.fixture
def manifest() -> dict:
    return json.loads(RELEASED.read_text())


def test_the_released_card_is_the_one_that_its_manifest_gives(manifest: dict) -> None:
    assert render_card(manifest) == (RELEASED.parent / "README.md").read_text()


def test_a_card_says_simulated_where_it_is(manifest: dict) -> None:
    warning = "**This model learned SIMULATED counts. Its scores show that the software works;"
    assert warning in render_card({**manifest, "is_simulated": True})
    assert "SIMULATED" not in render_card({**manifest, "is_simulated": False})


def test_a_card_names_each_family_with_its_weights(manifest: dict) -> None:
    features = [
        {"name": "lbp", "version": "1.1", "dim": 59, "weights": None},
        {"name": "vgg19", "version": "1.1-random-float32", "dim": 4096, "weights": "random"},
    ]
    card = render_card({**manifest, "features": features})
    assert "| lbp | 59 | 1.1 | none |\n| vgg19 | 4096 | 1.1-random-float32 | random |\n" in card
    assert "**Random weights: vgg19. These features mean nothing.**" in card
    assert "Random weights" not in render_card(manifest)


def test_a_card_gives_every_split_with_its_intervals(manifest: dict) -> None:
    manifest["training"]["metrics"] = {
        split: {m: {"value": 0.5, "low": 0.25, "high": 0.75} for m in ("spearman_rho", "mae", "mse")}
        for split in ("train", "valid", "test")
    }
    manifest["training"]["rows"] = {"train": 6, "valid": 2, "test": 3}
    cells = " | ".join(["0.500 [0.250, 0.750]"] * 3)
    lines = [line.rstrip() for line in render_card(manifest).splitlines()]
    assert f"| test | 3 | {cells} |" in lines


def test_a_card_tells_the_social_mode_only_of_a_model_with_social_values(manifest: dict) -> None:
    assert "Social values: 34, mode `point_in_time`." in render_card(manifest)
    manifest["network"] = {"towers": {"visual": [20, 3]}}
    assert "Social values" not in render_card(manifest)


def test_figures_are_pictures() -> None:
    found = Image.open(BytesIO(histogram(np.arange(30.0), "score", "posts")))
    assert found.format == "PNG"
    assert min(found.size) > 100
    uri = thumbnail(np.zeros((300, 900, 3), np.uint8))
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(BytesIO(b64decode(body))).size == (THUMBNAIL_PX, round(THUMBNAIL_PX / 3))
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"


def test_stages_add_up_and_say_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    clock = iter([10.0, 12.5, 16.5])
    monkeypatch.setattr("popspark.runtime.stages.time.perf_counter", lambda: next(clock))
    caplog.set_level("INFO", "popspark")
    stages = Stages()
    stages.done("read")
    stages.done("score")
    assert stages.seconds == {"read": 2.5, "score": 4.0}
    assert stages.total == 6.5
    assert [(line.message, line.seconds, line.elapsed_s) for line in caplog.records] == [
        ("read", 2.5, 2.5),
        ("score", 4.0, 6.5),
    ]
