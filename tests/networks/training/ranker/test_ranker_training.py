"""Rankers trained on planted preferences over real photographs, released, and used.

The test split has users and photographs of its own, so the accuracy is that on users and photographs never seen.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from popspark.features.plan import plan_bundle
from popspark.images.decode import decode, shrink
from popspark.images.limits import DEFAULT_LIMITS, Limits
from popspark.images.listing import Files, find_files
from popspark.images.references import Reference
from popspark.jobs import rank_album as job
from popspark.models.bundle import load_bundle, write_trunk
from popspark.models.predictor import Predictor
from popspark.networks.weights import file_sha256
from popspark.runtime.config import load_config
from popspark.runtime.errors import AccountingError, BundleError, LeakError, PathError, TrainingError, UnfitWeightsError
from popspark.scoring.album import Album, rank_album, small_image
from popspark.storage.examples import PairExamplesRecord
from popspark.training.examples import find_examples
from popspark.training.ranker import train
from popspark.training.ranker.evaluation import evaluate
from popspark.training.ranker.facts import RankerFacts
from popspark.training.ranker.page import write_ranker_report
from popspark.training.ranker.pairs import load_pairs
from popspark.training.ranker.release import release_ranker
from popspark.training.ranker.settings import RankerFitSettings, RankerSettings
from popspark.training.ranker.train import FittedRanker, train_ranker
from tests.made_pairs import PHOTOS, spoil, write_pairs

RECORD = PairExamplesRecord.model_validate(
    {
        "is_simulated": True,
        "decoder": "1",
        "pairs": {"ok": 330, "missing": 3},
        "limits": {"train": 500, "valid": 50, "test": 50},
        "audit": [{"of": "posts", "rule": "one_image", "n_before": 9, "n_removed": 2, "n_after": 7}],
        "seed": 0,
    }
)
FROZEN = RankerSettings(
    backbone="efficientnet_lite0", is_frozen=True, fit=RankerFitSettings(n_epochs=20, head_learning_rate=1e-3)
)


@pytest.fixture(scope="module")
def sharp(tmp_path_factory: pytest.TempPathFactory) -> tuple[FittedRanker, RankerFacts, Path]:
    """A frozen trunk's head fitted where sharp beats blurred; what it reached; its bundle."""
    folder = tmp_path_factory.mktemp("sharp")
    examples = write_pairs(folder / "pair_examples", "sharp beats blurred", n_levels=2, n_pairs=600)
    fitted = train_ranker(examples, folder / "work", FROZEN)
    facts = evaluate(fitted, n_resamples=200)
    release_ranker(fitted, facts, RECORD, "sharp", "1", folder / "bundle")
    return fitted, facts, folder


def test_sharp_beats_blurred_on_users_and_photographs_never_seen(
    sharp: tuple[FittedRanker, RankerFacts, Path],
) -> None:
    _, facts, _ = sharp
    test = facts.splits["test"]
    assert test.n_pairs > 40
    assert test.accuracy.value >= 0.95
    assert facts.auc.value >= 0.95
    assert facts.curves[0]["valid_accuracy"] == 0.5  # the head starts from zero
    by_label = {line.label: line.accuracy for line in facts.baselines}
    assert by_label["the user's mean popularity alone"].value == 0.5
    assert by_label["the file's size alone, more is better"].value > 0.9  # blurred pictures make small files
    brightness = next(found for label, found in by_label.items() if label.startswith("the brightness alone"))
    assert brightness.low < 0.5 < brightness.high + 0.15  # blurring does not darken
    assert sum(line.n_pairs for line in facts.by_margin) == sum(line.n_pairs for line in facts.by_rule) == test.n_pairs


def test_with_shuffled_labels_there_is_nothing_to_learn(tmp_path: Path) -> None:
    examples = write_pairs(tmp_path / "pairs", "sharp beats blurred", n_levels=2, n_pairs=600, shuffled=True)
    facts = evaluate(train_ranker(examples, tmp_path / "work", FROZEN), n_resamples=200)
    found = facts.splits["test"].accuracy
    assert found.low < 0.5 < found.high
    assert facts.curves[-1]["train_loss"] < facts.curves[1]["train_loss"]  # it did try


@pytest.mark.slow
@pytest.mark.parametrize(("preference", "n_levels"), [("well-exposed beats dark", 2), ("a mixture", 3)])
def test_the_other_preferences(preference: str, n_levels: int, tmp_path: Path) -> None:
    examples = write_pairs(tmp_path / "pairs", preference, n_levels, n_pairs=4000)
    facts = evaluate(train_ranker(examples, tmp_path / "work", FROZEN), n_resamples=200)
    assert facts.splits["test"].accuracy.value >= 0.95


def test_the_bundle_s_scores_are_the_fitted_ones(sharp: tuple[FittedRanker, RankerFacts, Path]) -> None:
    fitted, _, folder = sharp
    bundle = load_bundle(folder / "bundle")
    assert (bundle.manifest["kind"], dict(bundle.network)) == ("ranker", {})
    assert list(bundle.feature_versions) == ["efficientnet_lite0"]
    (planned,) = plan_bundle(bundle, "cpu", 8, {})
    rows = pq.read_table(folder / "pair_examples" / "split=test").slice(0, 4).to_pylist()
    features = planned.load("cpu", planned.weights_path)([decode(row["thumbnail_l"]) for row in rows])
    predictor = Predictor(bundle)
    scores = predictor.score(predictor.project("efficientnet_lite0", features), np.empty((4, 0)))
    expected = fitted.scores[np.searchsorted(fitted.pairs.images, [row["sha256_l"] for row in rows])]
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3)
    of_training = fitted.scores[fitted.pairs.splits["train"].images]
    np.testing.assert_allclose(bundle.percentile(np.median(of_training)), 50, atol=1)


def test_the_card_and_the_report_say_what_was_learned(sharp: tuple[FittedRanker, RankerFacts, Path]) -> None:
    fitted, facts, folder = sharp
    card = (folder / "bundle" / "README.md").read_text()
    for text in ("# sharp 1", "SIMULATED counts", "frozen; only the last layer", "the brightness alone", "| test |"):
        assert text in card
    assert "test0" not in card + (folder / "bundle" / "manifest.json").read_text(), "users have no place in a release"
    stages = {"ranker fitted": 1.5}
    write_ranker_report(folder / "page.html", facts, RECORD, "sharp", "1", fitted.settings.model_dump(), stages)
    page = (folder / "page.html").read_text()
    for text in (
        "The counts are simulated",
        "Wilson",
        "the file&#39;s size alone",
        "Calibration",
        "one_image",
        "missing",
    ):
        assert text in page
    assert page.count("data:image/png;base64,") == 2


# The album


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photographs, each sharp and blurred; a broken file and a hidden one."""
    folder = tmp_path_factory.mktemp("album")
    for path in PHOTOS[10:14]:
        image = decode(path.read_bytes())
        for name, blur in (("sharp", 0.0), ("blurred", 1.0)):
            Image.fromarray(spoil(image, blur, 0)).save(folder / f"{path.stem}_{name}.jpg", quality=92)
    (folder / "text.jpg").write_text("not a picture")
    (folder / ".hidden").touch()
    return folder


def ranked(folder: Path, photographs: Path) -> Album:
    bundle = load_bundle(folder / "bundle")
    planned = plan_bundle(bundle, "cpu", 4, {})
    return rank_album(find_files(str(photographs)), bundle, planned, "cpu", 4, DEFAULT_LIMITS)


def test_an_album_in_order(sharp: tuple[FittedRanker, RankerFacts, Path], photographs: Path) -> None:
    album = ranked(sharp[2], photographs)
    assert [one.rank for one in album.ranked] == list(range(1, 9))
    assert all("sharp" in Path(one.path).name for one in album.ranked[:4])
    for one, following in zip(album.ranked, album.ranked[1:], strict=False):
        assert one.score >= following.score
        assert one.beats_next == pytest.approx(1 / (1 + np.exp(following.score - one.score)))
        assert 0.5 <= one.beats_next <= 1
    assert album.ranked[-1].beats_next is None
    assert [(Path(path).name, status) for path, status, _ in album.refused] == [("text.jpg", "not_an_image")]
    lines = album.to_csv().splitlines()
    assert lines[0] == "place,path,score,percentile,beats_next"
    assert len(lines) == 9
    assert lines[-1].endswith(",")


def test_an_album_needs_photographs_and_a_ranker(sharp: tuple[FittedRanker, RankerFacts, Path], tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"^There are no photographs\."):
        find_files(str(tmp_path))
    bundle = load_bundle(sharp[2] / "bundle")
    bundle.manifest["kind"] = "vscnn"  # type: ignore[index]
    with pytest.raises(BundleError, match=r"^Bundle sharp 1 is no ranker\.\n  got: vscnn"):
        rank_album(Files(str(tmp_path), [], Counter()), bundle, (), "cpu", 1, DEFAULT_LIMITS)


def test_an_album_of_a_camera_s_folder_has_its_photographs_only(
    sharp: tuple[FittedRanker, RankerFacts, Path], photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also by names that are not UTF-8; what NAS and phones put beside photographs is counted."""
    content = next(photographs.glob("*_sharp.jpg")).read_bytes()
    folder = tmp_path / "trip"
    for name in (b"caf\xe9.jpg", b"sub/a.jpg", b"@eaDir/a.jpg", b".thumbnails/a.jpg", b"Thumbs.db", b"clip.MOV"):
        path = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(content)
    (folder / "link.jpg").symlink_to(next(photographs.glob("*_blurred.jpg")))
    settings = [f"source={folder}", f"bundle={sharp[2]}/bundle", f"album={tmp_path}/out/album", "device=cpu"]
    job.main(load_config(job.Config, settings))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "album.csv").read_text("utf-8"))))
    assert sorted(row["path"] for row in rows) == [
        f"{folder}/{name}" for name in ("caf%E9.jpg", "link.jpg", "sub/a.jpg")
    ]
    assert "3 photographs ranked, 0 files refused\n" in (printed := capsys.readouterr().out)
    assert "Left out, as no photographs: 1 .mov, 1 Thumbs.db, 1 hidden, 1 in @eaDir\n" in printed


def test_a_photograph_that_is_gone_after_the_ranking_has_no_thumbnail(
    sharp: tuple[FittedRanker, RankerFacts, Path], photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rank(files: Files, *arguments: Any) -> Album:
        album = rank_album(files, *arguments)
        Path(album.ranked[-1].path).unlink()
        return album

    monkeypatch.setattr("popspark.scoring.album.rank_album", rank)
    copytree(photographs, tmp_path / "trip")
    job.main(load_config(job.Config, [f"source={tmp_path}/trip", f"bundle={sharp[2]}/bundle", f"album={tmp_path}/a"]))
    page = (tmp_path / "a.html").read_text("utf-8")
    assert (page.count('<img src="data:image/jpeg;base64,'), page.count("changed or gone since it was ranked")) == (
        7,
        1,
    )


def test_the_limits_of_an_album_are_those_of_its_thumbnails(photographs: Path) -> None:
    image = Reference(str(next(photographs.glob("*_sharp.jpg"))))
    assert str(small_image(image, DEFAULT_LIMITS)).startswith("data:image/jpeg;base64,")
    assert small_image(image, Limits(max_bytes=1)) is None
    assert small_image(image, Limits(max_pixels=1)) is None


# The trunk fitted too


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[FittedRanker, Path]:
    """ResNet-18 from random weights, trunk and all, for one epoch of a few pairs."""
    folder = tmp_path_factory.mktemp("whole")
    examples = write_pairs(folder / "pair_examples", "sharp beats blurred", n_levels=2, n_pairs=15)
    fit = RankerFitSettings(n_epochs=1, batch_size=4, trunk_learning_rate=1e-3)
    settings = RankerSettings(backbone="resnet18", weights="random", device="cpu", fit=fit)
    fitted = train_ranker(examples, folder / "work", settings)
    release_ranker(fitted, evaluate(fitted, n_resamples=20), RECORD, "whole", "1", folder / "bundle")
    return fitted, folder


def test_a_trunk_fitted_anew_travels_with_its_bundle(whole: tuple[FittedRanker, Path]) -> None:
    fitted, folder = whole
    path = folder / "bundle"
    bundle = load_bundle(path)
    assert bundle.manifest["features"][0]["weights"].startswith("fitted:")
    assert "started from random" in (path / "README.md").read_text()
    (planned,) = plan_bundle(bundle, "cpu", 4, {})
    assert planned.weights_path == str(path / bundle.manifest["trunk"]["file"])
    rows = pq.read_table(folder / "pair_examples" / "split=test").slice(0, 3).to_pylist()
    features = planned.load("cpu", planned.weights_path)([decode(row["thumbnail_r"]) for row in rows])
    predictor = Predictor(bundle)
    scores = predictor.score(predictor.project("resnet18", features), np.empty((len(rows), 0)))
    expected = fitted.scores[np.searchsorted(fitted.pairs.images, [row["sha256_r"] for row in rows])]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


def test_the_trunk_moved(whole: tuple[FittedRanker, Path]) -> None:
    from popspark.networks.backbones import BACKBONES
    from popspark.networks.ranker import start_ranker

    start = start_ranker(BACKBONES["resnet18"], None, 0).trunk.state_dict()
    assert whole[0].trunk is not None
    assert not np.allclose(start["conv1.weight"].numpy(), whole[0].trunk["conv1.weight"], atol=1e-5)
    assert [line.epoch for line in whole[0].curves] == [0, 1]


def test_an_altered_trunk_is_refused(whole: tuple[FittedRanker, Path], tmp_path: Path) -> None:
    path = copytree(whole[1] / "bundle", tmp_path / "bundle")
    bundle = load_bundle(path)
    file = path / bundle.manifest["trunk"]["file"]
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(
        BundleError, match=rf"^{re.escape(file.name)} is not the file that this bundle was released with"
    ):
        plan_bundle(bundle, "cpu", 4, {})


def test_a_trunk_of_another_network_is_refused_on_the_driver(whole: tuple[FittedRanker, Path], tmp_path: Path) -> None:
    path = copytree(whole[1] / "bundle", tmp_path / "bundle")
    file = write_trunk({"conv1.weight": np.ones((64, 3, 7, 7), np.float32)}, "resnet18", path)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["trunk"] = {"family": "resnet18", "file": file.name, "sha256": file_sha256(file)}
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UnfitWeightsError) as raised:
        plan_bundle(load_bundle(path), "cpu", 4, {})
    assert raised.value.exit_code == 65
    assert f"  where: {file}\n  got: it lacks bn1.weight, bn1.bias, bn1.running_mean and 96 more;" in str(raised.value)


def test_the_iipa_checkpoint_taken_as_it_is_scores_as_its_own_network_does(tmp_path: Path) -> None:
    """A made-up checkpoint of the released one's layout, no epoch of training; whole, and with its trunk frozen."""
    torch.manual_seed(4)
    network = models.resnet50()
    network.fc = nn.Linear(2048, 1)
    torch.save(network.state_dict(), tmp_path / "model-resnet50.pth")
    write_small(tmp_path / "pairs", lambda split: split)
    thumbnail = pq.read_table(tmp_path / "pairs" / "split=test").to_pylist()[0]["thumbnail_l"]
    stretched = np.asarray(Image.fromarray(decode(thumbnail)).resize((224, 224), Image.Resampling.BILINEAR)) / 255
    with torch.inference_mode():
        inputs = torch.from_numpy(stretched.transpose(2, 0, 1)[None].astype(np.float32))
        expected = network.eval()(inputs).item()
    weights = {"weights": str(tmp_path / "model-resnet50.pth")}
    weights["weights_sha256"] = file_sha256(Path(weights["weights"]))
    for is_frozen in (True, False):
        settings = RankerSettings(
            backbone="resnet50_iipa", is_frozen=is_frozen, device="cpu", fit=RankerFitSettings(n_epochs=0), **weights
        )
        fitted = train_ranker(tmp_path / "pairs", tmp_path / "work", settings)
        assert [line.epoch for line in fitted.curves] == [0]
        np.testing.assert_allclose(fitted.scores, expected, rtol=1e-3, atol=1e-3)  # all six pictures are the same


# What is refused


def test_frozen_features_are_computed_once(
    sharp: tuple[FittedRanker, RankerFacts, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, _, folder = sharp
    monkeypatch.setattr(train, "load_features", None)  # would fail if it were called
    other = FROZEN.model_copy(update={"fit": RankerFitSettings(n_epochs=1)})
    again = train_ranker(folder / "pair_examples", folder / "work", other)
    assert again.pairs.images.tolist() == fitted.pairs.images.tolist()


def test_a_photograph_of_two_splits_is_a_leak(tmp_path: Path) -> None:
    write_small(tmp_path, lambda split: "same")
    fitted = FittedRanker(FROZEN, None, None, None, [], load_pairs(find_examples(tmp_path)), np.zeros(4, np.float32))  # type: ignore[arg-type]
    with pytest.raises(LeakError, match=r"train and valid\n  got: 1 photographs, 0 users"):
        evaluate(fitted)


def test_a_pair_of_two_users_is_noticed(tmp_path: Path) -> None:
    write_small(tmp_path, lambda split: split, user_popularity_r=2.0)
    pairs = load_pairs(find_examples(tmp_path))
    scores = np.arange(len(pairs.images), dtype=np.float32)
    fitted = FittedRanker(FROZEN, None, None, None, [], pairs, scores)  # type: ignore[arg-type]
    with pytest.raises(AccountingError, match=r"so they are not of one user"):
        evaluate(fitted)


def write_small(folder: Path, left_of: Any, **values: Any) -> None:
    """One pair a split. left_of: split to the name of the left photograph."""
    import pyarrow as pa

    thumbnail = shrink(np.arange(8 * 16 * 3, dtype=np.uint8).reshape(8, 16, 3))
    for split in ("train", "valid", "test"):
        row = {"post_id_l": f"{split}a", "post_id_r": f"{split}b", "user_id": split, "margin": 1.0, "probability": 0.9}
        row |= {"rule": "twitter", "sha256_l": left_of(split), "sha256_r": f"{split}-r"}
        row |= {f"{name}_{side}": 1.0 for name in ("n_bytes", "brightness", "user_popularity") for side in "lr"}
        row |= {"thumbnail_l": thumbnail, "thumbnail_r": thumbnail, **values}
        (folder / f"split={split}").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist([row]), folder / f"split={split}" / "part-0.parquet")


def test_a_split_without_pairs(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^A split has no rows\."):
        load_pairs(find_examples(tmp_path))


def test_a_ranker_s_bundle_written_again_is_the_same(sharp: tuple[FittedRanker, RankerFacts, Path]) -> None:
    fitted, facts, folder = sharp
    before = (folder / "bundle" / "manifest.json").read_bytes()
    release_ranker(fitted, facts, RECORD, "sharp", "1", folder / "again")
    assert (folder / "again" / "manifest.json").read_bytes() == before
