"""Brings the scores table up to date: finds what is new or changed, scores only that, checks the sums, publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from popspark.models.bundle import Bundle
from popspark.runtime.errors import AccountingError, RefusalError
from popspark.runtime.stages import Stages
from popspark.scoring.inputs import compare_inputs
from popspark.scoring.settings import Update
from popspark.storage.transaction import Transaction
from popspark.storage.warehouse import count_by_status


@dataclass(frozen=True)
class Outcome:
    """What became of the posts. n_in = n_scored + n_refused + n_unchanged, which was checked.

    n_rows: of the posts table. n_in: posts by post_id, of the days asked for. refused: by status. n_removed: rows of
    posts that are no more.
    """

    n_rows: int
    n_in: int
    n_scored: int
    n_unchanged: int
    n_removed: int
    refused: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_refused(self) -> int:
        return sum(self.refused.values())

    def counts(self) -> dict[str, int]:
        """For the record of the run."""
        counted = {"in": self.n_in, "ok": self.n_scored, "unchanged": self.n_unchanged, "removed": self.n_removed}
        return {**counted, "refused": self.n_refused, **self.refused}


def update_scores(
    writing: Transaction,
    inputs: DataFrame,
    score: Callable[[DataFrame], DataFrame],
    bundle: Bundle,
    update: Update,
    stages: Stages,
) -> Outcome:
    """Publishes the new state of the table, if there is one, and says what was done.

    inputs: `scoring_inputs` of all posts. score: from rows of inputs to rows of `SCORES`.
    Raises `AccountingError` where the sums do not add up and `RefusalError` where too much was refused; the table is
    then as it was.
    """
    is_whole = update.mode == "full" and not (update.posted_from or update.posted_to)
    stored = None if is_whole else writing.read()
    seen = Observation()
    changes = compare_inputs(inputs, stored, bundle, update.mode == "full", update.posted_from, update.posted_to)
    taken = F.col("post_id").isNotNull() & (F.col("change") != "outside")
    sums = (
        F.coalesce(F.sum("n_rows"), F.lit(0)).alias("n_rows"),
        F.count_if(taken & (F.col("change") != "gone")).alias("n_in"),
        F.count_if(taken & (F.col("change") == "unchanged")).alias("n_unchanged"),
    )
    observed = changes.observe(seen, *sums)
    # Written, not computed twice: the posts may change meanwhile, and an executor may die.
    plan = writing.keep(observed.where(taken & (F.col("change") != "unchanged")).drop("n_rows"))
    groups = plan.groupBy("posted_month", "stored_month", "change").count().collect()
    by_change = {
        change: sum(g["count"] for g in groups if g["change"] == change) for change in ("new", "changed", "gone")
    }
    n_wanted = by_change["new"] + by_change["changed"]
    counted = _counted(seen, lambda: changes, sums)
    n_in, n_unchanged = counted["n_in"], counted["n_unchanged"]
    stages.done("changes found")
    _check_sum("Posts in and posts sorted out", n_in, n_wanted + n_unchanged)
    outcome = Outcome(counted["n_rows"], n_in, 0, n_unchanged, by_change["gone"])
    if not groups and stored is not None:
        return outcome

    touched = sorted({g[name] for g in groups for name in ("posted_month", "stored_month") if g[name]})
    rows, n_kept = score(plan.where("change <> 'gone'")).withColumn("is_new", F.lit(True)), 0
    if stored is not None:
        kept = stored.where(F.col("posted_month").isin(touched))
        n_kept = kept.count() - by_change["changed"] - by_change["gone"]
        kept = kept.join(plan.select("post_id"), "post_id", "left_anti")
        rows = rows.unionByName(kept.withColumn("is_new", F.lit(False)))
    outcome = _stage(writing, rows, plan, n_wanted, n_kept, outcome)
    stages.done("scoring")
    _check_budget(outcome, update.max_refused_share)
    _check_sum("Rows wanted and rows in the files written", n_wanted + n_kept, writing.n_staged)
    writing.commit(None if stored is None else touched)
    stages.done("published")
    return outcome


def _stage(
    writing: Transaction, rows: DataFrame, plan: DataFrame, n_wanted: int, n_kept: int, outcome: Outcome
) -> Outcome:
    """Writes the new slices and adds to the outcome what was counted while they were written."""
    staged = Observation()
    # Observed after the last shuffle, where a task that is tried again counts once.
    ordered = rows.repartition("posted_month").sortWithinPartitions("posted_month", "post_id")
    sums = (
        F.count_if(F.expr("is_new AND status = 'ok'")).alias("n_scored"),
        F.count_if(F.expr("is_new AND status <> 'ok'")).alias("n_refused"),
        F.count_if(F.expr("NOT is_new")).alias("n_kept"),
    )
    writing.stage(ordered.observe(staged, *sums))

    def written() -> DataFrame:
        is_new = plan.select("post_id", F.lit(True).alias("is_new"))
        return writing.staged().join(is_new, "post_id", "left").fillna(False, ["is_new"])

    counted = _counted(staged, written, sums)
    n_scored, n_refused = counted["n_scored"], counted["n_refused"]
    _check_sum("Posts to score, and scored or refused,", n_wanted, n_scored + n_refused)
    _check_sum("Rows to keep and rows kept", n_kept, counted["n_kept"])
    reasons: dict[str, int] = {}
    if n_refused:
        refused = writing.staged().where("status <> 'ok'")
        reasons = count_by_status(refused.join(plan.select("post_id"), "post_id", "left_semi"))
    return replace(outcome, n_scored=n_scored, refused=reasons)


def _counted(observation: Observation, rows: Callable[[], DataFrame], sums: Sequence[Column]) -> dict[str, int]:
    """What was observed while rows were written; summed again where a server of Spark Connect lost it.

    It waits for its own listener for 100 ms (Observation.getRowOrEmpty), and sends nothing if that is busy.
    """
    found = observation.get or rows().agg(*sums).collect()[0].asDict()
    return {name: int(n) for name, n in found.items()}


def _check_sum(what: str, expected: int, found: int) -> None:
    if expected != found:
        raise AccountingError(
            f"{what} do not add up.",
            got=f"{found:,}",
            legal=f"{expected:,}",
            fix="something else writes these tables: let it end, and score again",
        )


def _check_budget(outcome: Outcome, max_refused_share: float | None) -> None:
    n_taken = outcome.n_scored + outcome.n_refused
    if max_refused_share is not None and outcome.n_refused > max_refused_share * n_taken:
        reasons = ", ".join(f"{status} {n:,}" for status, n in outcome.refused.items())
        raise RefusalError(
            "More posts were refused than max_refused_share allows; nothing was published.",
            got=f"{outcome.n_refused:,} of {n_taken:,}: {reasons}",
            legal=f"at most {max_refused_share:.2%}",
            fix="look into the reasons, then score again, with a larger max_refused_share where they are right",
        )
