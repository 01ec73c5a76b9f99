"""Predicts how popular posts are with a trained model (a bundle: a folder or zip): a row a post into `scores`.

Only what is new or changed is scored, so it can run every night. Where no input has moved since the scores were
written, it ends after reading the tables' logs, without a session.

    popspark score-posts bundle=models/demo-vscnn
    popspark score-posts bundle=models/mine posts=s3a://lake/posts images=s3a://lake/images scores=s3a://lake/scores
    popspark score-posts bundle=models/mine update.mode=full update.posted_from=2024-03-01

Reads: images; posts (null: each image is a post of which nothing else is known); image_features where that names
a table, whose gaps are computed on the way; and scores, as far as they are there.
Writes: scores, exactly one row per post_id, refused posts with the reason, by replacing the months that changed; a row
of runs; and a report page, where `report` names a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from popspark.images.limits import Limits
from popspark.networks.devices import Device
from popspark.runtime.config import ScheduledConfig
from popspark.scoring.settings import Update

if TYPE_CHECKING:
    from popspark.storage.runs import Run


OF_THE_RUN = {"env", "run_id", "runs", "metrics", "report", "lock_wait_seconds", "device", "batch_size"}
"""Settings that no score depends on."""


class Config(ScheduledConfig):
    """Tables, the bundle, and how much is done."""

    bundle: str
    """The model: a folder or a zip."""
    posts: str | None = "${env.warehouse}/posts"
    """The posts table; null: each image is a post of which nothing else is known."""
    images: str = "${env.warehouse}/images"
    """The images table."""
    image_features: str | None = None
    """The features table, if there is one; what it lacks is computed on the way."""
    scores: str = "${env.warehouse}/scores"
    """The table to write: a path, or table:NAME in the session's catalog."""
    report: str | None = "${env.warehouse}/score_report.html"
    """The page to write, or null."""
    update: Update = Update()
    """Which posts, and how many may be refused."""
    device: Device = "auto"
    """Where deep families run; auto: the GPU where there is one."""
    batch_size: PositiveInt = 16
    """Images a forward pass, at most."""
    weights: dict[str, str] = {}
    """Weights of deep families, by family: imagenet (where none is named), the path of a .pth or .safetensors file, or
    random."""
    limits: Limits = Limits()
    """Limits of the files that are decoded."""


def main(config: Config) -> None:
    from popspark.storage.runs import Run

    with Run("score_posts", config) as record:
        _score(config, record)


def _score(config: Config, record: Run) -> None:
    from pyspark.sql import DataFrame

    from popspark.features.door import features_for
    from popspark.features.extraction import Extraction
    from popspark.features.plan import plan_bundle
    from popspark.images.table import read_images
    from popspark.models.bundle import load_bundle
    from popspark.models.shipping import ship_bundle
    from popspark.posts.social import social_features
    from popspark.runtime.files import exists
    from popspark.runtime.session import get_session, ship_file
    from popspark.scoring.inputs import posts_of_images, scoring_inputs
    from popspark.scoring.made_from import NAME, count_current, digest_inputs
    from popspark.scoring.scoring import score_posts
    from popspark.scoring.summary import render_summary, write_report
    from popspark.scoring.update import update_scores
    from popspark.storage.tables import IMAGE_FEATURES, POSTS, SCORES
    from popspark.storage.warehouse import find_table, read_table
    from popspark.storage.writing import begin, claim

    stages = record.stages
    bundle = load_bundle(Path(config.bundle))
    planned = plan_bundle(bundle, config.device, config.batch_size, config.weights)
    record.model_name, record.model_version = bundle.name, bundle.version
    record.versions |= {f"feature {name}": version for name, version in bundle.feature_versions.items()}
    tables = {"posts": config.posts, "images": config.images, "image_features": config.image_features}
    record.read_from({**tables, "bundle": config.bundle})
    settings = config.model_dump(mode="json", exclude=OF_THE_RUN)
    made_from = digest_inputs(record.inputs, record.snapshots, {**settings, "versions": bundle.feature_versions})
    stages.done("bundle and weights checked")
    is_incremental = config.update.mode == "incremental" and not (config.update.posted_from or config.update.posted_to)
    n_current = count_current(config.scores, made_from) if is_incremental else None
    if n_current is not None and exists(config.report):
        record.counts = {"unchanged": n_current}
        print(f"Nothing that scores are made from has changed: {n_current:,} rows of {config.scores} are current.")
        return

    spark = get_session("score_posts", config.env.spark)
    stages.done("session")
    ship_bundle(spark, bundle)
    for family in planned:
        if family.weights_path:
            ship_file(spark, family.weights_path)
    images = read_images(spark, config.images)
    posts = read_table(spark, POSTS, config.posts) if config.posts else posts_of_images(images)
    stored = find_table(spark, IMAGE_FEATURES, config.image_features) if config.image_features else None
    extraction = Extraction(planned, config.device, config.batch_size, config.limits)
    social = social_features(spark, posts, bundle.manifest["social"]["mode"]) if bundle.needs_social else None

    def score(inputs: DataFrame) -> DataFrame:
        features = features_for(inputs, bundle, images, stored, extraction)
        return score_posts(inputs, features, bundle, config.run_id)

    with claim([config.scores], config.run_id, config.lock_wait_seconds) as killed:
        record.mark_killed(killed)
        inputs = scoring_inputs(posts, images, social, bundle)
        with begin(spark, SCORES, config.scores, config.run_id) as writing:
            if made_from and is_incremental:
                writing.notes[NAME] = made_from
            outcome = update_scores(writing, inputs, score, bundle, config.update, stages)
    record.counts = outcome.counts()
    record.input_rows = {"posts": outcome.n_rows}
    if config.report:
        scores = read_table(spark, SCORES, config.scores)
        write_report(config.report, posts, images, scores, bundle, outcome, stages, config.limits)
        stages.done("report")
    print(render_summary(outcome, stages, config.scores, config.report))
