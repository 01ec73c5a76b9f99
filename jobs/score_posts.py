"""Scores posts with a bundle: the main job.

    spark-submit --py-files dist/popspark.zip jobs/score_posts.py bundle=models/demo-vscnn
    spark-submit ... jobs/score_posts.py posts=s3a://lake/posts images=s3a://lake/images scores=s3a://lake/scores

Reads: images; posts (null: each image is a post of which nothing else is known); and image_features where that names
a table, whose gaps are computed on the way.
Writes: scores, exactly one row per post_id; and a report page, where `report` names a file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from popspark.bundle import load_bundle, zip_bundle
from popspark.command import run
from popspark.config import JobConfig
from popspark.extractor import Device, plan_bundle
from popspark.images import Limits
from popspark.report.stages import Stages
from popspark.session import get_session, ship_file
from popspark.tables import IMAGE_FEATURES, IMAGES, POSTS, SCORES, find_table, read_table, write_table
from popspark.transforms.extraction import Extraction, current_features, extract_missing
from popspark.transforms.score_summary import summarise, write_report
from popspark.transforms.scoring import posts_of_images, score_posts
from popspark.transforms.social import social_features


class Config(JobConfig):
    """Tables; bundle: folder or zip. weights: of deep families, as in conf/extract_features.yaml. report: or null."""

    posts: str | None
    images: str
    image_features: str | None
    bundle: str
    scores: str
    report: str | None
    device: Device = "auto"
    batch_size: int = 16
    weights: dict[str, str] = {}
    limits: Limits = Limits()


def main(config: Config) -> None:
    stages = Stages()
    bundle = load_bundle(Path(config.bundle))
    planned = plan_bundle(bundle, Path(config.bundle), config.device, config.batch_size, config.weights)
    stages.done("bundle and weights checked")

    spark = get_session("score_posts", config.env.spark)
    stages.done("session")
    archive = Path(tempfile.mkdtemp()) / f"{bundle.name}-{bundle.version}.zip"
    archive.write_bytes(zip_bundle(Path(config.bundle)))
    ship_file(spark, archive)
    for family in planned:
        if family.weights_path:
            ship_file(spark, family.weights_path)
    images = read_table(spark, IMAGES, config.images)
    posts = read_table(spark, POSTS, config.posts) if config.posts else posts_of_images(images)
    images = images.join(posts.select("image_id").distinct(), "image_id", "left_semi")
    extraction = Extraction(planned, config.device, config.batch_size, config.limits)
    stored = find_table(spark, IMAGE_FEATURES, config.image_features) if config.image_features else None
    features = extract_missing(images, stored, extraction)
    if stored is not None:
        features = features.unionByName(current_features(images, stored, planned))
    needs_social = set(bundle.reductions) != {"visual"}
    social = social_features(spark, posts, bundle.manifest["social"]["mode"]) if needs_social else None
    write_table(score_posts(posts, features, social, bundle, archive.name), SCORES, config.scores)
    stages.done("scoring")

    scores = read_table(spark, SCORES, config.scores)
    summary = summarise(posts, scores, stages)
    if config.report:
        write_report(config.report, posts, images, scores, bundle.manifest, summary, stages)
        stages.done("report")
    print(summary.render(stages, config.scores, config.report))


if __name__ == "__main__":
    run(__file__, __doc__, Config, main)
