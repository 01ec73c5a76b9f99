"""Trains a model that says which of two pictures would do better (a ranker), on the driver, and writes it as a bundle.

    popspark train-ranker
    popspark train-ranker --config cpu bundle=models/mine name=mine version=1
    popspark train-ranker ranker.backbone=resnet50_iipa ranker.weights=model-resnet50.pth

Reads: pair_examples and <pair_examples>.json, on a file system that the driver can open (local, or mounted).
Writes: the bundle; the report, one HTML page; and in `work` a checkpoint, from which a killed run goes on.
"""

from __future__ import annotations

from pathlib import Path

from popspark.runtime.config import JobConfig
from popspark.runtime.errors import DataError
from popspark.runtime.stages import Stages
from popspark.training.ranker.settings import RankerSettings


class Config(JobConfig):
    """The examples, the fit, and the bundle."""

    pair_examples: str = "${env.warehouse}/pair_examples"
    """The table of pairs with their images, a folder that the driver can open."""
    work: str = "${env.warehouse}/train_ranker"
    """A folder for what a killed run goes on from."""
    bundle: str = "${env.warehouse}/models/ranker"
    """The folder to write."""
    report: str = "${env.warehouse}/ranker_report.html"
    """The page to write."""
    name: str = "ranker"
    """The bundle's name."""
    version: str = "1"
    """The bundle's version."""
    ranker: RankerSettings = RankerSettings()
    """What is fitted."""


def main(config: Config) -> None:
    from popspark.images.decode import VERSION as DECODER_VERSION
    from popspark.storage.examples import PairExamplesRecord
    from popspark.training.ranker.evaluation import evaluate
    from popspark.training.ranker.page import write_ranker_report
    from popspark.training.ranker.release import release_ranker
    from popspark.training.ranker.train import train_ranker

    record = PairExamplesRecord.load(config.pair_examples)
    if record.decoder != DECODER_VERSION:  # the bundle's features would not be those that it learned on
        raise DataError(
            "Pair examples of images that were decoded by other rules.",
            where=config.pair_examples,
            got=f"decoder {record.decoder}",
            legal=f"decoder {DECODER_VERSION}",
            fix="run popspark build-pair-examples again",
        )
    stages = Stages()
    fitted = train_ranker(Path(config.pair_examples), Path(config.work), config.ranker)
    stages.done("ranker fitted")
    facts = evaluate(fitted)
    release_ranker(fitted, facts, record, config.name, config.version, Path(config.bundle))
    stages.done("measured and released")
    settings = config.ranker.model_dump()
    write_ranker_report(Path(config.report), facts, record, config.name, config.version, settings, stages.seconds)

    print(f"Wrote {config.name} {config.version} to {config.bundle}")
    for line in [*facts.splits.values(), *facts.baselines]:
        found = line.accuracy
        print(f"  {line.label:<42}{line.n_pairs:>8,} pairs  {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
    print(f"report  {config.report}")
