"""Filters that break one law each: the controls that a law must reject.

Each is the library's filter with one plausible mistake.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lsf import LatentSpaceFilter, Random, Top

__all__ = [
    "AskingForMore",
    "BatchScoring",
    "ByClass",
    "DescendingTies",
    "FirstHalf",
    "GlobalSeed",
    "InPlace",
    "KnowsTheReal",
    "LeastConfident",
    "Nondeterministic",
    "OrderDependent",
    "Probability",
    "QuotaIgnoring",
    "RandomTies",
    "ReadsBorn",
    "Redrawing",
    "SaturatingFloat32",
    "Unsorted",
    "WithReplacement",
]


class BatchScoring(LatentSpaceFilter):
    """Standardises scores over the batch: what a sample scores depends on its neighbours."""

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        scores = super().score_samples(x, y)
        return scores - scores.max()


class OrderDependent(LatentSpaceFilter):
    """Prefers earlier samples, as a running mean would."""

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        scores = super().score_samples(x, y)
        return scores - 1e-9 * np.arange(len(scores))


class ByClass(LatentSpaceFilter):
    """Scores of all classes in place of the sample's own."""

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        return self.predict_proba(x)


class SaturatingFloat32(LatentSpaceFilter):
    """The log of a float32 probability."""

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        return np.log(np.exp(super().score_samples(x, y)).astype(np.float32)).astype(np.float64)


class Probability(LatentSpaceFilter):
    """The probability in place of its log."""

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        return np.exp(super().score_samples(x, y))


class _Wrong(LatentSpaceFilter):
    """A filter whose `choose` has the mistake; budgets and scores are right."""

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        return self.choose(self.score_samples(x, y), np.asarray(y), budget, rng)

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        raise NotImplementedError


class AskingForMore(_Wrong):
    """Keeps all that score at least the budget-th score: one or more too many where scores tie."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return np.flatnonzero(scores >= np.sort(scores)[-budget])


class Unsorted(_Wrong):
    """Most confident first."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return np.argsort(-scores, kind="stable")[:budget]


class WithReplacement(_Wrong):
    """May keep a sample twice."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return np.sort(rng.integers(len(scores), size=budget))


class Nondeterministic(_Wrong):
    """Takes no notice of the rng it is given."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return Random()(scores, y, budget, rng=np.random.default_rng())


class Redrawing(_Wrong):
    """Draws as many numbers as the budget says: another budget is another choice."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        rng.random(budget)
        return Random()(scores, y, budget, rng=rng)


class QuotaIgnoring(_Wrong):
    """Says it has a quota, and keeps the most confident of the whole pool."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return Top(quota="global")(scores, y, budget)


class RandomTies(_Wrong):
    """Breaks ties by chance."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return np.sort(np.lexsort((rng.random(len(scores)), -scores))[:budget])


class DescendingTies(_Wrong):
    """The last of an ascending sort: ties go to the higher index."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return np.sort(np.argsort(scores, kind="stable")[-budget:])


class LeastConfident(_Wrong):
    """The sign of the score is wrong."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return Top()(-scores, y, budget)


class InPlace(LatentSpaceFilter):
    """Centres the caller's array."""

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        x -= x.mean(axis=0)
        return super().select(x, y, budget, rng)


class GlobalSeed(_Wrong):
    """Seeds the whole process."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        np.random.seed(0)  # noqa: NPY002 (the mistake)
        return np.sort(np.random.permutation(len(scores))[:budget])  # noqa: NPY002


class ReadsBorn(LatentSpaceFilter):
    """Reads where samples come from, if the array tells."""

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        scores = self.score_samples(x, y)
        return Top()(scores - getattr(x, "born", 0), np.asarray(y), budget)


class KnowsTheReal(LatentSpaceFilter):
    """Keeps what it has seen in fit before all else."""

    def fit(self, x_real: Any, y_real: Any) -> KnowsTheReal:
        self.seen_ = {row.tobytes() for row in x_real}
        return super().fit(x_real, y_real)

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        bonus = np.array([row.tobytes() in self.seen_ for row in x])
        return Top()(self.score_samples(x, y) + bonus, np.asarray(y), budget)


class FirstHalf(_Wrong):
    """Looks at the first half of the pool first, where the real data use to stand; scores are right."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        return Top()(scores - (np.arange(len(scores)) >= len(scores) // 2), y, budget)
