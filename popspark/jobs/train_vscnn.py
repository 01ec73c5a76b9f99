"""Trains the VSCNN paper's network, which predicts a post's popularity, on the driver; writes a bundle.

    popspark train-vscnn
    popspark train-vscnn model.architecture=vcnn model.fit.n_epochs=20 bundle=models/mine name=mine version=1

Reads: examples and <examples>.json, on a file system that the driver can open (local, or mounted).
Writes: the bundle; and in `work` the reduced rows and a checkpoint, from which a killed run goes on.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from popspark.runtime.config import JobConfig
from popspark.training.settings import CnnSettings


class Config(JobConfig):
    """The examples, the fit, and the bundle."""

    examples: str = "${env.warehouse}/examples"
    """The examples table, a folder that the driver can open."""
    work: str = "${env.warehouse}/train_vscnn"
    """A folder for what a killed run goes on from."""
    bundle: str = "${env.warehouse}/models/vscnn"
    """The folder to write."""
    name: str = "vscnn"
    """The bundle's name."""
    version: str = "1"
    """The bundle's version."""
    model: CnnSettings = CnnSettings()
    """What is fitted."""


def main(config: Config) -> None:
    import popspark
    from popspark.models.bundle import Bundle, quantiles, write_bundle
    from popspark.networks.vscnn import TOWERS
    from popspark.report.card import render_card
    from popspark.storage.examples import ExamplesRecord
    from popspark.training.cnn import train_cnn

    record = ExamplesRecord.load(config.examples)
    fitted = train_cnn(Path(config.examples), Path(config.work), config.model)
    manifest = {
        "name": config.name,
        "version": config.version,
        "kind": config.model.architecture,
        "popspark": popspark.__version__,
        "decoder": record.features[0].version.partition(".")[0],
        "network": {"towers": TOWERS[config.model.architecture]},
        **record.model_dump(mode="json"),
        "training": {
            "settings": config.model.model_dump(),
            "rows": dict(fitted.n_rows),
            "metrics": {split: {n: asdict(e) for n, e in found.items()} for split, found in fitted.metrics.items()},
            "curves": [asdict(line) for line in fitted.curves],
        },
    }
    network = {name: value.cpu().numpy() for name, value in fitted.network.state_dict().items()}
    bundle = Bundle(manifest, network, fitted.reductions, quantiles(fitted.scores))
    write_bundle(bundle, Path(config.bundle), render_card(manifest))
    print(f"Wrote {config.name} {config.version} to {config.bundle}")
    for split, found in fitted.metrics.items():
        values = ", ".join(f"{n} {e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for n, e in found.items())
        print(f"  {split:<6}{fitted.n_rows[split]:>8,} rows  {values}")
