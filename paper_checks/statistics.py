"""When does a claim hold? The rules of verdict, as functions of paired per-seed statistics.

D is a claim's statistic, one number a seed, so written that the claim says "D is large". CI is its 95% t-interval over
seeds. For the images a claim must also clear the noise of the REAL control, an arm that consumes none of its output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = [
    "HOLDS",
    "CORRECTED",
    "FAILS",
    "UNDECIDED",
    "NOT_TESTED",
    "Interval",
    "interval",
    "superior",
    "equivalent",
]

HOLDS, CORRECTED, FAILS = "holds", "holds as corrected", "fails"
UNDECIDED, NOT_TESTED = "undecided", "not tested"


@dataclass(frozen=True)
class Interval:
    """Mean of n paired statistics and their 95% t-interval (infinite for n = 1)."""

    mean: float
    low: float
    high: float
    n: int


def interval(D: Sequence[float]) -> Interval:
    """mean +- t_{.975, n-1} s / sqrt n."""
    d = np.asarray(D, dtype=float)
    if not np.isfinite(d).all() or d.size == 0:
        raise ValueError(f"D must hold finite numbers, found {d}")
    if d.size == 1 or np.ptp(d) == 0:
        width = np.inf if d.size == 1 else 0.0
        return Interval(float(d.mean()), float(d.mean() - width), float(d.mean() + width), d.size)
    low, high = stats.t.interval(0.95, d.size - 1, loc=d.mean(), scale=stats.sem(d))
    return Interval(float(d.mean()), float(low), float(high), d.size)


def superior(D: Sequence[float], margin: float, noise: float = 0.0, agree: bool = False) -> str:
    """Does D lie beyond the margin?

    holds      CI above `margin`, mean above 2 `noise` where there is any, and, where `agree`, all seeds of one sign;
    fails      CI wholly below `margin`;
    undecided  otherwise. `noise` is the s.d. of the REAL arm's difference between two seeds.
    """
    ci = interval(D)
    if ci.high < margin:
        return FAILS
    one_sign = not agree or bool(np.all(np.asarray(D) > 0))
    clear = noise == 0 or ci.mean > 2 * noise  # a claim of "not worse" may hold with a mean below 0
    return HOLDS if ci.low > margin and clear and one_sign else UNDECIDED


def equivalent(D: Sequence[float], margin: float) -> str:
    """Does D lie within +-margin? holds: CI inside; fails: CI wholly outside; else undecided."""
    ci = interval(D)
    if -margin < ci.low and ci.high < margin:
        return HOLDS
    return FAILS if ci.low > margin or ci.high < -margin else UNDECIDED
