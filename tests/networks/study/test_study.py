"""The study on made examples: what it fits, keeps and excludes, and how it refuses data that cannot be studied."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from popspark.report.figures import thumbnail
from popspark.runtime.errors import TrainingError
from popspark.study.cells import Cell
from popspark.study.facts import StudyFacts
from popspark.study.feature_sets import feature_sets
from popspark.study.fits import read_rows
from popspark.study.gathering import gather_facts
from popspark.study.page import StudyReport, best_and_worst, write_study
from popspark.study.run import Study, StudyResults, main_tasks, other_tasks, reduce_cell
from popspark.study.settings import StudySettings
from tests.made_examples import made_record, made_rows, write_examples

SETTINGS = StudySettings.model_validate(
    {
        "fit": {"n_epochs": 1, "batch_size": 64, "device": "cpu"},
        "baselines": {"gbdt_trees": 5, "gbdt_max_rows": 10},
        "n_resamples": 20,
        "n_workers": 1,
    }
)
REFUSED = Cell("chronological", "paper", refused="Social features of mode paper know the later views.\n  where: there")


def test_every_feature_set_reads_its_own_values():
    sets = feature_sets(made_record({"vgg19": 4096, "color": 32, "gist": 512, "lbp": 59, "aesthetic": 11}))
    found = {name: (one.range.columns, one.range.start, one.range.stop) for name, one in sets.items()}
    assert found == {
        "color": (("visual",), 4096, 4128),
        "gist": (("visual",), 4128, 4640),
        "lbp": (("visual",), 4640, 4699),
        "aesthetic": (("visual",), 4699, 4710),
        "deep": (("visual",), 0, 4096),
        "visual": (("visual",), 0, None),
        "user": (("social",), 0, 5),
        "post": (("social",), 5, 10),
        "time": (("social",), 10, 34),
        "social": (("social",), 0, None),
        "fused": (("visual", "social"), 0, None),
    }
    assert sets["fused"].dim == 4744
    assert [one.n_components for one in sets.values()] == [20, 20, 20, 11, 20, 20, 5, 5, 14, 14, 20]


def test_a_second_deep_family_is_a_set_of_its_own_name():
    sets = feature_sets(made_record({"vgg19": 4096, "resnet50": 2048}))
    assert [name for name, one in sets.items() if one.modality == "visual"] == ["deep", "resnet50", "visual"]


def test_the_tasks_are_those_of_the_paper_s_tables():
    sets = feature_sets(made_record({"color": 32, "gist": 512, "lbp": 59, "aesthetic": 11, "vgg19": 4096}))
    names = [(task.model, *task.features) for task in main_tasks(sets, "standard")]
    assert len(names) == len(set(names)) == 1 + 1 + 6 + 4 + 4 * 11 + 3
    others = [task.model for task in other_tasks(sets, "standard")]
    assert sorted(others) == sorted(
        ["vscnn", "vscnn_ef", "vcnn", "scnn", "lr", "svr", "dtr", "gbdt", "mean", "user_mean", "metadata"]
    )


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    folder = tmp_path_factory.mktemp("examples")
    examples = write_examples(folder / "examples", *made_rows(400))
    return [Cell(s, "paper", "key", examples, made_record()) for s in ("random", "by_user")] + [REFUSED]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def results(cells: list[Cell], work: Path) -> StudyResults:
    return Study(SETTINGS, work, lambda _: None).run(cells[0], cells[1:])


@pytest.fixture(scope="module")
def facts(cells: list[Cell], results: StudyResults) -> StudyFacts:
    return gather_facts(cells[0], cells[1:], results, SETTINGS)


def test_a_reduced_set_is_the_pca_of_its_own_columns(cells, tmp_path):
    sets = feature_sets(made_record())
    reduce_cell(cells[0], sets, True, tmp_path / "reduced")
    rows = read_rows(tmp_path / "reduced", "train", ["lbp", "user"])
    visual, social, labels, users = made_rows(400)
    np.testing.assert_array_equal(rows.labels, labels[:240].astype(np.float32))
    assert list(rows.users) == [str(user) for user in users[:240]]
    for name, values, length in (("lbp", visual[:240, 32:91], 20), ("user", social[:240, :5], 5)):
        scaled = (values - values.mean(0)) / values.std(0)
        left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
        expected = left[:, :length] * np.sqrt(240)
        np.testing.assert_allclose(np.abs(rows.values[name][:, :3]), np.abs(expected[:, :3]), atol=2e-2)
        assert singular[length - 1] > 0


def test_the_better_start_by_validation_is_taken(results):
    errors = {(v.initialisation, v.scale_first): v.valid["mse"].value for v in results.variants}
    assert len(errors) == 4
    assert min(errors, key=errors.get) == (results.chosen.initialisation, results.chosen.scale_first)
    assert {r.initialisation for r in results.main if r.initialisation} == {results.chosen.initialisation}
    assert {r.scale_first for r in results.main} == {results.chosen.scale_first}


def test_a_second_run_fits_nothing(cells, work, results):
    kept = {path: path.stat().st_mtime_ns for path in work.rglob("result.json")}
    again = Study(SETTINGS, work, lambda _: None).run(cells[0], cells[1:])
    assert repr(again) == repr(results)  # by text: the rho of a constant is NaN
    assert {path: path.stat().st_mtime_ns for path in work.rglob("result.json")} == kept


def test_what_was_lost_is_fitted_again_with_the_same_result(cells, work, results):
    lost = next(work.rglob("vscnn-visual-social-standard-*")) / "result.json"
    before = json.loads(lost.read_text())
    lost.unlink()
    again = Study(SETTINGS, work, lambda _: None).run(cells[0], cells[1:])
    assert json.loads(lost.read_text())["test"] == before["test"]
    assert [r.test for r in again.variants] == [r.test for r in results.variants]


def test_the_trivial_baselines_are_what_they_say(results):
    found = {r.model: r for r in results.main}
    _, _, labels, users = made_rows(400)
    train, test = labels[:240].astype(np.float32), labels[320:].astype(np.float32)
    means = {user: train[users[:240] == user].mean(dtype=np.float64) for user in set(users[:240])}
    expected = np.array([means[user] for user in users[320:]])
    assert found["user_mean"].test["mae"].value == pytest.approx(np.abs(test - expected).mean())
    assert np.isnan(found["mean"].test["spearman_rho"].value)
    assert found["mean"].test["mse"].value == pytest.approx(((test - train.mean()) ** 2).mean(), rel=1e-5)


def test_the_report_has_every_table_and_figure(facts, tmp_path):
    best, worst = best_and_worst(facts.predictions["vscnn"])
    grey = thumbnail(np.full((8, 12, 3), 128, np.uint8))
    pictures = [{"post_id": post_id, "image": grey} for post_id in (best[0], worst[0])]
    report = StudyReport(facts, pictures[:1], pictures[1:], SETTINGS.model_dump(), {"all": 1.0})
    assert write_study(report, tmp_path).endswith(f"report  {tmp_path / 'study.html'}")
    tables = ["table_1", "table_2", "table_4", "table_5", "table_6", "table_7", "shares", "variants", "all_data"]
    assert sorted(path.stem for path in tmp_path.glob("*.csv")) == sorted(tables)
    figures = ["6a_errors", "6b_scatter", "7_labels", "8_photographs", "9_cnns", "10_baselines", "11_bars"]
    assert sorted(p.stem for p in tmp_path.glob("*.png")) == sorted(["curves", *(f"figure_{f}" for f in figures)])
    page = (tmp_path / "study.html").read_text()
    assert "These posts are simulated." in page
    errors = facts.predictions["vscnn"].predicted - facts.predictions["vscnn"].labels
    assert f"The mean error is {errors.mean():+.2f}." in page
    assert "<b>refused:</b> Social features of mode paper know the later views.<" in page
    assert "<code>gist</code> (this family was not extracted)" in page
    assert '<td class="n pub">0.9014</td>' in page
    assert not re.search(r">nan<|>None<", page)


def test_published_and_measured_numbers_have_columns_of_their_own(facts, tmp_path):
    write_study(StudyReport(facts, [], [], SETTINGS.model_dump(), {}), tmp_path)
    lines = (tmp_path / "table_6.csv").read_text().splitlines()
    assert lines[0] == "table,method,source,column,measured,low,high,published"
    assert lines[1].endswith("TaiwanNo.1,published,Spearman's rho,,,,0.8268")
    ours = [line for line in lines if "popspark" in line]
    assert len(ours) == 3
    assert all(re.search(r",[\d.-]+,[\d.-]+,[\d.-]+,$", line) for line in ours)


def test_examples_without_pictures_are_studied_by_their_social_values(tmp_path):
    _, social, labels, users = made_rows(400)
    examples = write_examples(tmp_path / "examples", np.zeros((400, 0)), social, labels, users)
    cell = Cell("random", "paper", "key", examples, made_record({}))
    found = Study(SETTINGS, tmp_path / "work", lambda _: None).run(cell, [])
    assert {r.model for r in found.main} == {"scnn", "lr", "svr", "dtr", "gbdt", "mean", "user_mean", "metadata"}
    facts = gather_facts(cell, [], found, SETTINGS)
    assert facts.absent["visual"] == "the examples have no visual values"
    write_study(StudyReport(facts, [], [], SETTINGS.model_dump(), {}), tmp_path / "report")
    assert "no visual features" in (tmp_path / "report" / "study.html").read_text()


def _study(tmp_path: Path, **changes: object) -> None:
    visual, social, labels, users = made_rows(200)
    shares = changes.pop("shares", (0.6, 0.2, 0.2))
    for name, (place, value) in changes.items():
        {"visual": visual, "social": social, "labels": labels}[name][place] = value
    examples = write_examples(tmp_path / "examples", visual, social, labels, users, shares)
    Study(SETTINGS, tmp_path / "work", lambda _: None).run(Cell("random", "paper", "k", examples, made_record()), [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": (3, np.nan)},
            "Examples hold a label that is not finite.\n  where: EXAMPLES, split train\n"
            "  got: 1 values in 120 rows\n  fix: exclude these rows when the examples are built",
        ),
        (
            {"visual": ((3, 7), np.inf)},
            "Training features hold values that are not finite.\n"
            "  got: 1 columns, the first at 7\n"
            "  fix: exclude these rows when the examples are built",
        ),
        (
            {"social": ((-1, 7), np.nan)},
            "Examples hold a social that is not finite.\n  where: EXAMPLES, split test\n"
            "  got: 1 values in 40 rows\n  fix: exclude these rows when the examples are built",
        ),
        (
            {"shares": (0.6, 0.4, 0.0)},
            "A split has no rows.\n  where: EXAMPLES/split=test\n  legal: rows in each of train, valid, test",
        ),
        (
            {"shares": (0.05, 0.45, 0.5)},
            "Too few rows or values for the reduction.\n  where: EXAMPLES, Color\n"
            "  got: 10 rows of 32 values\n  legal: at least 20 of each\n"
            "  fix: train on more posts, or reduce to fewer components",
        ),
    ],
    ids=["nan label", "infinite feature", "nan test feature", "split without rows", "fewer rows than components"],
)
def test_data_that_cannot_be_studied_is_refused(tmp_path, changes, message):
    with pytest.raises(TrainingError) as caught:
        _study(tmp_path, **changes)
    assert str(caught.value) == message.replace("EXAMPLES", str(tmp_path / "examples"))


def test_without_main_data_there_is_no_study(tmp_path):
    with pytest.raises(TrainingError) as caught:
        Study(SETTINGS, tmp_path, lambda _: None).run(REFUSED, [])
    assert str(caught.value).startswith("There is no main data to study.\n  where: chronological-paper\n  got: Social")


def test_a_constant_column_adds_nothing(tmp_path):
    visual, social, labels, users = made_rows(200)
    social[:, 8] = 5.0  # has_people
    examples = write_examples(tmp_path / "examples", visual, social, labels, users)
    reduced = reduce_cell(
        Cell("random", "paper", "k", examples, made_record()), feature_sets(made_record()), True, tmp_path / "r"
    )
    values = read_rows(reduced, "test", ["post"]).values["post"]
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[:, 4], 0.0, atol=1e-4)  # four components carry the four values that vary
