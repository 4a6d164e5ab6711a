"""The steps that rules of selection are made of: ranking, drawing, cutting off and matching to real scores.

`Candidates` is a pool as a rule sees it: scores, labels, one uniform key a sample, and the reference of
real scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lsf import checks

__all__ = ["Candidates", "Short", "lowest", "matched_shares", "spread"]


class Short(ValueError):
    """A class, bin or pool with fewer candidates than its share; the message names it, what it has and
    needs.
    """

    def __init__(self, where: str, what: str, has: int, needs: int) -> None:
        super().__init__(
            f"{where} has {int(has)} {what}, needs {int(needs)}; shortfall='fill' would take others"
        )


@dataclass(frozen=True, eq=False)
class Candidates:
    """Scores and labels (n,), keys (n,) for draws, and real scores with their labels where the rule uses
    them.
    """

    scores: np.ndarray
    y: np.ndarray
    keys: np.ndarray
    real: tuple[np.ndarray, np.ndarray] | None
    generator: np.random.Generator | None

    @classmethod
    def of(cls, scores: Any, y: Any, real: Any, generator: np.random.Generator | None) -> Candidates:
        """Checked arguments of a rule; keys are drawn once for the whole pool, in its order."""
        own = _scores("scores", scores)
        labels = checks.labels_for("y", y, len(own), "scores")
        keys = np.zeros(len(own)) if generator is None else generator.random(len(own))
        return cls(own, labels, keys, None if real is None else _pair(real), generator)

    def __len__(self) -> int:
        return len(self.scores)

    def most_confident(self, among: np.ndarray, count: int) -> np.ndarray:
        """The `count` highest scores of the sorted indices `among` (all, if fewer); ties to the lower
        index.
        """
        return among[lowest(-self.scores[among], count)]

    def drawn(self, among: np.ndarray, count: int) -> np.ndarray:
        """`count` of `among` (all, if fewer), uniformly at random: those with the lowest keys."""
        return among[lowest(self.keys[among], count)]

    def uniform(self) -> float:
        """One more uniform draw."""
        if self.generator is None:
            raise ValueError("a rule that draws must say so: draws = True")
        return float(self.generator.random())

    def real_scores(self, c: Any = None) -> np.ndarray:
        """Real scores of class c, or of all classes; raises ValueError naming a class the reference lacks."""
        if self.real is None:
            raise ValueError("a rule that uses real scores must say so: uses_reference = True")
        scores, labels = self.real
        chosen = scores if c is None else scores[labels == c]
        if len(chosen) == 0:
            raise ValueError(f"reference has no sample of class {c}")
        return chosen

    def cutoffs(self, among: np.ndarray, quantile: float) -> np.ndarray:
        """For each of `among`, the quantile of the real scores of its own class."""
        labels, where = np.unique(self.y[among], return_inverse=True)
        return np.array([np.quantile(self.real_scores(c), quantile) for c in labels])[where]


def lowest(values: np.ndarray, count: int) -> np.ndarray:
    """Sorted positions of the `count` lowest of `values` (all, if fewer), of equal ones the first.

    By partition, in time O(n): all below the last value kept, then the first of those equal to it.
    """
    if count >= len(values):
        return np.arange(len(values))
    if count == 0:
        return np.arange(0)
    last = np.partition(values, count - 1)[count - 1]
    kept = values < last
    kept[np.flatnonzero(values == last)[: count - np.count_nonzero(kept)]] = True
    return np.flatnonzero(kept)


def matched_shares(real: np.ndarray, bins: int, count: int, u: float) -> tuple[np.ndarray, np.ndarray]:
    """Inner edges (bins - 1,) of the quantile bins of `real`, and whole shares (bins,) that sum to `count`.

    Shares are systematic samples of the exact ones: with u uniform on [0, 1) each is right on average.
    """
    edges = np.quantile(real, np.arange(1, bins) / bins)
    mass = np.ones(bins)
    if len(np.unique(edges)) < len(edges) or (bins > 1 and edges[0] <= real.min()):
        mass = np.bincount(np.searchsorted(edges, real, side="right"), minlength=bins).astype(float)
    ends = count * np.cumsum(mass) / mass.sum()
    # the last end is `count` up to rounding, which must not cost or add a sample
    steps = np.append(np.floor(ends[:-1] + u), count)
    return edges, np.diff(steps, prepend=0).astype(np.int64)


def spread(want: np.ndarray, have: np.ndarray) -> np.ndarray:
    """min(want, have), each shortage made up from the nearest bins with samples to spare, the higher one
    first.
    """
    taken = np.minimum(want, have)
    for b in np.flatnonzero(want > have):
        owed = want[b] - have[b]
        for other in sorted(range(len(have)), key=lambda other: (abs(other - b), -other)):
            moved = min(owed, have[other] - taken[other])
            taken[other] += moved
            owed -= moved
    return taken


def _scores(name: str, values: Any) -> np.ndarray:
    scores = checks.finite(name, values)
    if scores.ndim != 1:
        raise ValueError(f"{name} must be one number a sample (1-D), found shape {scores.shape}")
    return scores.astype(np.float64, copy=False)


def _pair(real: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        scores, labels = real
    except (TypeError, ValueError):
        raise TypeError("reference must be a pair (scores, labels) of held-out real data") from None
    checked = _scores("reference scores", scores)
    return checked, checks.labels_for("reference labels", labels, len(checked), "reference scores")
