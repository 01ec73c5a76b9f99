"""Makes an earlier version of a table the newest one, in one commit that can be restored from as well. No Spark.

    popspark restore table=warehouse/scores to=12
    popspark restore table=warehouse/scores to=2024-05-01T06:00

Reads: the log of a Delta table, which `popspark history` prints.
Writes: the table, by one commit. What a vacuum took cannot be restored.
"""

from __future__ import annotations

from popspark.runtime.config import JobConfig


class Config(JobConfig):
    """A table, and what it shall be again."""

    table: str
    """The folder of a Delta table."""
    to: str
    """The number of a version, or a time (ISO 8601, UTC): the version of then."""


def main(config: Config) -> None:
    from popspark.runtime.errors import ConfigError
    from popspark.storage.maintenance import parse_target, restore
    from popspark.storage.writing import claim

    try:
        target = parse_target(config.to)
    except ValueError as error:
        legal = "the number of a version, or a time such as 2024-05-01T06:00"
        raise ConfigError("This is no version and no time.", where="to", got=config.to, legal=legal) from error
    with claim([config.table], config.run_id):
        number = restore(config.table, target)
    print(f"{config.table} is what it was at {config.to}: version {number}")
