"""Which samples of a pool are kept, given a score for each?

    rule(scores, y, budget, reference=None, rng=None, classes=None) -> sorted int64 indices, `budget` of them.

A rule is a value. It sees scores (higher = more confident) and labels, never provenance. `reference` is a
pair (scores, labels) of held-out real data, which the rules that compare with real data need; `rng`
(Generator or integer seed) is needed by the rules that draw. The paper's rule is `Top()`: the most
confident of the whole pool.

Quota "global" fills the budget from the whole pool. Quota "class" gives each of `classes` (default: those
in y) an equal share, the remainder to the first classes in label order. A class with too few candidates is
an error, unless shortfall is "fill": then what is missing comes from the rest of the pool by the same rule,
globally.

Draws: each sample of the pool is given one uniform key, and a draw is the lowest keys. So with one seed a
random choice is nested in the budget, as Top is. Ties, in scores as in keys, go to the lower index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lsf import checks
from lsf.candidates import Candidates, Short, matched_shares, spread

__all__ = ["Rule", "Top", "Threshold", "Matched", "Random", "equal_shares"]


def equal_shares(budget: int, parts: int) -> np.ndarray:
    """`budget` in `parts` whole shares that differ by at most 1, the larger ones first."""
    return budget // parts + (np.arange(parts) < budget % parts)


@dataclass(frozen=True)
class Rule:
    """What all rules share: checks, quotas and the filling of shortfalls. A rule adds `_keep`."""

    quota: str = "global"
    shortfall: str = "raise"

    uses_reference: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name, allowed in (("quota", ("global", "class")), ("shortfall", ("raise", "fill"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, found {getattr(self, name)!r}")

    def __call__(
        self, scores: Any, y: Any, budget: Any, reference: Any = None, rng: Any = None, classes: Any = None
    ) -> np.ndarray:
        """Sorted indices of the samples kept, exactly `budget` of them.

        Raises ValueError on scores that are not finite, unequal lengths, a budget out of range, a missing
        reference or rng, and where a class (named, with what it has and needs) is too short; TypeError if
        budget is no integer.
        """
        pool = self._candidates(scores, y, reference, rng)
        number = checks.budget_for(budget, len(pool))
        everything = np.arange(len(pool))
        if self.quota == "global":
            return np.sort(self._keep(pool, everything, number, "the pool"))
        kept = self._by_class(pool, number, classes)
        missing = number - len(kept)
        if missing:
            rest = np.setdiff1d(everything, kept)
            kept = np.concatenate([kept, self._keep(pool, rest, missing, "the rest of the pool")])
        return np.sort(kept)

    def _candidates(self, scores: Any, y: Any, reference: Any, rng: Any) -> Candidates:
        if self.uses_reference and reference is None:
            raise ValueError(f"{self} needs reference: (scores, labels) of held-out real data, found None")
        generator = checks.generator("rng", rng) if self.draws else None
        return Candidates.of(scores, y, reference if self.uses_reference else None, generator)

    def _by_class(self, pool: Candidates, budget: int, classes: Any) -> np.ndarray:
        labels = np.union1d(pool.y, pool.y if classes is None else np.asarray(classes))
        parts = []
        for c, share in zip(labels, equal_shares(budget, len(labels)), strict=True):
            members = np.flatnonzero(pool.y == c)
            if len(members) < share and self.shortfall == "raise":
                raise Short(f"class {c}", "samples", len(members), share)
            parts.append(self._keep(pool, members, min(int(share), len(members)), f"class {c}", c))
        return np.concatenate(parts)

    def _keep(self, pool: Candidates, among: np.ndarray, count: int, where: str, c: Any = None) -> np.ndarray:
        """`count` of the indices `among`: those of class `c`, or of any class where c is None."""
        raise NotImplementedError


@dataclass(frozen=True)
class Top(Rule):
    """The most confident. Nested: what is kept at a budget is kept at every larger one."""

    def _keep(self, pool: Candidates, among: np.ndarray, count: int, where: str, c: Any = None) -> np.ndarray:
        return pool.most_confident(among, count)


@dataclass(frozen=True)
class Random(Rule):
    """Uniform choice without replacement: what a filter must beat."""

    draws: ClassVar[bool] = True

    def _keep(self, pool: Candidates, among: np.ndarray, count: int, where: str, c: Any = None) -> np.ndarray:
        return pool.drawn(among, count)


@dataclass(frozen=True, kw_only=True)
class Threshold(Rule):
    """Uniform choice among samples no less confident than the `quantile` of real scores of their own class.

    Too few survivors raise; under shortfall="fill" all survivors are kept, then the next most confident (of
    the same class, if the quota is by class and the class has them).
    """

    quantile: float = 0.05
    uses_reference: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.quantile <= 1:
            raise ValueError(f"quantile must lie in [0, 1], found {self.quantile}")

    def _keep(self, pool: Candidates, among: np.ndarray, count: int, where: str, c: Any = None) -> np.ndarray:
        above = pool.scores[among] >= pool.cutoffs(among, self.quantile)
        survivors = pool.drawn(among[above], count)
        missing = count - len(survivors)
        if missing and self.shortfall == "raise":
            raise Short(where, "samples above the real cutoff", len(survivors), count)
        return np.concatenate([survivors, pool.most_confident(among[~above], missing)])


@dataclass(frozen=True, kw_only=True)
class Matched(Rule):
    """Confidence-matched: as many samples from each of `bins` quantile bins of the held-out real scores.

    The kept scores then have the distribution of real ones, so real data are a fixed point of the rule,
    where `Top` moves towards the easiest samples. By class (the default) each class is matched to its own
    real scores; under the global quota the pool is matched to all of them. Where bins do not divide the
    share, the odd ones go to random bins; where real scores tie, a bin's share is the real data's own mass
    in it. A bin with too few candidates raises; under shortfall="fill" the nearest bins stand in, of two
    equally near the more confident one.
    """

    quota: str = "class"
    bins: int = 10
    uses_reference: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if checks.whole("bins", self.bins) < 1:
            raise ValueError(f"bins must be at least 1, found {self.bins}")

    def _keep(self, pool: Candidates, among: np.ndarray, count: int, where: str, c: Any = None) -> np.ndarray:
        edges, want = matched_shares(pool.real_scores(c), self.bins, count, pool.uniform())
        bin_of = np.searchsorted(edges, pool.scores[among], side="right")
        have = np.bincount(bin_of, minlength=self.bins)
        short = np.flatnonzero(want > have)
        if len(short) and self.shortfall == "raise":
            b = int(short[0])
            raise Short(where, f"samples in confidence bin {b} of {self.bins}", have[b], want[b])
        taken = spread(want, have)
        return np.concatenate([pool.drawn(among[bin_of == b], taken[b]) for b in range(self.bins)])
