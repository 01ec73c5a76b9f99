"""Fits every model of the VSCNN paper on your posts and writes the paper's tables and figures for them.

    popspark run-study
    popspark run-study --config sample
    popspark run-study posts=smp_t1/posts images=smp_t1/images label.rule=given features.families='[vgg19, gist]'

Reads: posts, images, image_features; on a file system that the driver can open, since the models are fitted there.
Writes: `report`: study.html with tables I, II, IV to VII and figures 6 to 11, a CSV of each table, a PNG of each
figure; and `work`, from which a killed study goes on.
"""

from __future__ import annotations

from pathlib import Path

from popspark.features.settings import FeatureSettings
from popspark.posts.settings import LabelSettings, SocialMode, SplitGroup, SplitStrategy
from popspark.runtime.config import JobConfig
from popspark.runtime.stages import Stages
from popspark.study.settings import StudySettings


class Config(JobConfig):
    """Tables, and what is fitted on them."""

    posts: str = "${env.warehouse}/posts"
    """The posts table."""
    images: str = "${env.warehouse}/images"
    """The images table."""
    image_features: str = "${env.warehouse}/image_features"
    """The features table."""
    work: str = "${env.warehouse}/study"
    """A folder for what a killed study goes on from."""
    report: str = "${env.warehouse}/study_report"
    """The folder to write."""
    features: FeatureSettings = FeatureSettings(families=("color", "lbp", "gist", "aesthetic", "vgg19"))
    """The same as for extract-features; by default the paper's."""
    label: LabelSettings = LabelSettings()
    """How popular a post was."""
    seed: int = 0
    """Seed of every random draw of the splits."""
    group_by: SplitGroup | None = "sha256"
    """Posts of one image stay in one split; null: they may not."""
    main: tuple[SplitStrategy, SocialMode] = ("random", "paper")
    """The split and the social values of tables IV to VII."""
    study: StudySettings = StudySettings()
    """The fits."""


def main(config: Config) -> None:
    from popspark.images.table import read_images
    from popspark.runtime.session import get_session
    from popspark.storage.snapshots import snapshot
    from popspark.storage.tables import IMAGE_FEATURES, POSTS
    from popspark.storage.warehouse import read_table
    from popspark.study.gathering import gather_facts
    from popspark.study.inputs import build_cells, read_shown_images
    from popspark.study.page import N_IMAGES, StudyReport, best_and_worst, write_study
    from popspark.study.run import Study

    stages = Stages()
    spark = get_session("run_study", config.env.spark)
    posts = read_table(spark, POSTS, config.posts)
    images = read_images(spark, config.images)
    cells = list(
        build_cells(
            posts,
            images,
            read_table(spark, IMAGE_FEATURES, config.image_features),
            Path(config.work) / "examples",
            features=config.features,
            label=config.label,
            seed=config.seed,
            group_by=config.group_by,
            versions=[snapshot(path) for path in (config.posts, config.images, config.image_features)],
            tell=print,
        )
    )
    stages.done("examples of every split and feature mode")
    chosen = next(cell for cell in cells if (cell.strategy, cell.mode) == config.main)
    others = [cell for cell in cells if cell is not chosen]
    results = Study(config.study, Path(config.work), print).run(chosen, others)
    stages.done("models fitted and measured")

    facts = gather_facts(chosen, others, results, config.study)
    best, worst = best_and_worst(facts.predictions["vscnn"]) if "vscnn" in facts.predictions else ([], [])
    report = StudyReport(
        facts=facts,
        best=read_shown_images(posts, images, best, N_IMAGES),
        worst=read_shown_images(posts, images, worst, N_IMAGES),
        settings=config.study.model_dump(),
        stages=stages.seconds,
    )
    print(write_study(report, Path(config.report)))
