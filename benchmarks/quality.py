"""Is what a faster sampler makes as good?

    D_s = d(faster, s) - d(slower, s),   s = 0..4 sampling seeds, both from the same noise and equally many samples

d is the Frechet distance to real data in the project's classifier features. D is judged by its 95% t-interval: the rule
is met if that contains 0, or if its half-width is under 5% of the mean distance (the interval then says how far off it
is; below 0 the faster one is better).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_checks.statistics import Interval, interval
from sims.generator import Sampler
from sims.turn import draw_made

__all__ = ["SEEDS", "Paired", "distances", "paired"]

SEEDS = range(5)
HALF_WIDTH = 0.05  # of the mean distance


@dataclass(frozen=True)
class Paired:
    """The mean distance of the slower sampler and the interval of D."""

    mean: float
    difference: Interval

    @property
    def meets_rule(self) -> bool:
        """The rule above."""
        d = self.difference
        return d.low <= 0 <= d.high or (d.high - d.low) / 2 < HALF_WIDTH * self.mean

    def __str__(self) -> str:
        d = self.difference
        shares = " to ".join(f"{100 * end / self.mean:+.1f}%" for end in (d.low, d.high))
        verdict = "rule met" if self.meets_rule else "rule NOT met"
        return f"{d.mean:+.3g} on {self.mean:.3g}, 95% interval {shares}: {verdict}"


def distances(sampler: Sampler, instruments: Any, n: int) -> list[float]:
    """d of `n` samples for each sampling seed."""
    classes = instruments.reference.classes
    return [instruments.distance(draw_made(sampler, classes, n, seed, 1)) for seed in SEEDS]


def paired(faster: list[float], slower: list[float]) -> Paired:
    """D over the sampling seeds."""
    return Paired(float(np.mean(slower)), interval(np.subtract(faster, slower)))
