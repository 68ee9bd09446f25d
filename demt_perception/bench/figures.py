"""Arithmetic on times: percentiles, ratios of what was measured in turn, growth with size."""

from collections.abc import Sequence
import math
import statistics

import numpy as np

from demt_perception.bench.results import Spread


def spread(milliseconds: Sequence[float]) -> Spread:
    """Return percentiles; of one time or more."""
    median, p90, p95, p99 = map(float, np.percentile(milliseconds, (50, 90, 95, 99)))
    return Spread(median, p90, p95, p99, len(milliseconds))


def paired_ratio(reference: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Return how many times faster the other is: median, lower and upper quartile of rounds.

    The two of a round ran one after the other, so what slowed the machine down met both.
    """
    count = min(len(reference), len(other))
    ratios = np.divide(reference[:count], other[:count])
    low, median, high = map(float, np.percentile(ratios, (25, 50, 75)))
    return median, low, high


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return lower and upper quartile."""
    low, high = map(float, np.percentile(values, (25, 75)))
    return low, high


def growth(pixels: Sequence[float], milliseconds: Sequence[float]) -> float | None:
    """Return the exponent e of time = constant * pixels^e, by least squares of logarithms.

    None where there are no two sizes, or no time. 1 is linear; below, small pictures pay a
    fixed cost.
    """
    if min((*pixels, *milliseconds), default=0) <= 0:
        return None
    try:
        return statistics.linear_regression(list(map(math.log, pixels)),
                                            list(map(math.log, milliseconds))).slope
    except statistics.StatisticsError:   # one size only
        return None
