"""Random numbers as hashes of what they are for, so that no value depends on partitions or on order."""

from __future__ import annotations

import math

from pyspark.sql import Column
from pyspark.sql import functions as F


def uniform(seed: int, purpose: str, *keys: Column) -> Column:
    """In the open interval (0, 1), from 53 bits of xxHash64 of the seed, the purpose and the keys (as bigint)."""
    bits = F.xxhash64(F.lit(seed).cast("long"), F.lit(purpose), *(key.cast("long") for key in keys))
    return (F.shiftrightunsigned(bits, 11) + 0.5) * 2.0**-53


def normal(seed: int, purpose: str, *keys: Column) -> Column:
    """Standard normal, by Box and Muller's transform."""
    radius = F.sqrt(-2 * F.ln(uniform(seed, f"{purpose} (radius)", *keys)))
    return radius * F.cos(2 * math.pi * uniform(seed, f"{purpose} (angle)", *keys))


def power_law_cdf(rank: Column, n: int, skew: float) -> Column:
    """Share of the mass that ranks below `rank` (0..n) have, under the density x ** -skew on [1, n + 1)."""
    return (F.pow(rank.cast("double") + 1, F.lit(1 - skew)) - 1) / ((n + 1) ** (1 - skew) - 1)


def power_law_rank(share: Column, n: int, skew: float) -> Column:
    """The rank, bigint 0..n-1, that stands at `share` (0..1) of the mass: the inverse of `power_law_cdf`."""
    rank = F.pow(share * ((n + 1) ** (1 - skew) - 1) + 1, F.lit(1 / (1 - skew))) - 1
    return F.least(F.floor(rank).cast("long"), F.lit(n - 1).cast("long"))
