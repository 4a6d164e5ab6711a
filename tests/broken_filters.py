"""Filters that break one law each: the controls that a law must reject.

Each is the library's filter with one plausible mistake.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from lsf import LatentSpaceFilter, Random, Top

__all__ = [
    "AllButOne",
    "AskingForMore",
    "BatchScoring",
    "ByClass",
    "ByOrderOfMemory",
    "ByPermission",
    "ByPrecision",
    "ByStride",
    "CentresFloat32",
    "DescendingTies",
    "FirstHalf",
    "GlobalDraws",
    "GlobalSeed",
    "InPlace",
    "KnowsTheReal",
    "LargeBatches",
    "LeastConfident",
    "NearTheReal",
    "Nondeterministic",
    "OneGlobalDraw",
    "OrderDependent",
    "Probability",
    "QuotaIgnoring",
    "RandomTies",
    "ReadsBorn",
    "Redrawing",
    "RunningMean",
    "SaturatingFloat32",
    "ScalesWhatItScores",
    "SeedsRandom",
    "StringsUpsideDown",
    "TiresOfCalls",
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


class NearTheReal(LatentSpaceFilter):
    """Keeps first what lies within a millionth of what it has seen in fit."""

    def fit(self, x_real: Any, y_real: Any) -> NearTheReal:
        self.seen_ = x_real.copy()
        return super().fit(x_real, y_real)

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        near = cdist(x, self.seen_).min(axis=1) < 1e-6
        return Top()(self.score_samples(x, y) + 10 * near, np.asarray(y), budget)


class RunningMean(LatentSpaceFilter):
    """Keeps what is near the mean score of all pools it was ever asked about."""

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        scores = self.score_samples(x, y)
        self.mean_ = 0.9 * getattr(self, "mean_", scores.mean()) + 0.1 * scores.mean()
        return Top()(-np.abs(scores - self.mean_), np.asarray(y), budget)


class TiresOfCalls(LatentSpaceFilter):
    """Sound three times, then off by one."""

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        self.calls_ = getattr(self, "calls_", 0) + 1
        kept = super().select(x, y, budget, rng)
        return kept if self.calls_ <= 3 else np.sort((kept + 1) % len(x))


class _Negated(LatentSpaceFilter):
    """A filter whose scores have the other sign where it `dislikes` the arrays."""

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        scores = super().score_samples(x, y)
        return -scores if self.dislikes(x, np.asarray(y)) else scores

    def dislikes(self, x: np.ndarray, y: np.ndarray) -> bool:
        raise NotImplementedError


class ByOrderOfMemory(_Negated):
    """Reads the bytes as they lie."""

    def dislikes(self, x: np.ndarray, y: np.ndarray) -> bool:
        return not x.flags.c_contiguous and x.flags.f_contiguous


class ByStride(_Negated):
    """Takes a view with gaps for something else."""

    def dislikes(self, x: np.ndarray, y: np.ndarray) -> bool:
        return not (x.flags.c_contiguous or x.flags.f_contiguous)


class ByPermission(_Negated):
    """Works in place where it may."""

    def dislikes(self, x: np.ndarray, y: np.ndarray) -> bool:
        return not x.flags.writeable


class ByPrecision(_Negated):
    """Takes float32 for something else."""

    def dislikes(self, x: np.ndarray, y: np.ndarray) -> bool:
        return x.dtype == np.float32


class StringsUpsideDown(_Negated):
    """Sorts names the other way round."""

    def dislikes(self, x: np.ndarray, y: np.ndarray) -> bool:
        return y.dtype.kind == "U"


class LargeBatches(LatentSpaceFilter):
    """Standardises scores over the batch where it is large."""

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        scores = super().score_samples(x, y)
        return scores - (scores.mean() if len(scores) > 250 else 0)


class GlobalDraws(_Wrong):
    """Draws from the global generator, and puts its state back."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        state = np.random.get_state()  # noqa: NPY002 (the mistake)
        noise = 0.1 * np.random.random(len(scores))  # noqa: NPY002
        np.random.set_state(state)  # noqa: NPY002
        return Top()(scores + noise, y, budget)


class OneGlobalDraw(_Wrong):
    """Draws one number, which moves the position in the state but not its key."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        np.random.random()  # noqa: NPY002 (the mistake)
        return Top()(scores, y, budget)


class SeedsRandom(_Wrong):
    """Seeds the generator of the standard library."""

    def choose(self, scores: np.ndarray, y: np.ndarray, budget: int, rng: Any) -> np.ndarray:
        random.seed(0)
        return Top()(scores, y, budget)


class AllButOne(LatentSpaceFilter):
    """Leaves the last sample out where all were asked for."""

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        return super().select(x, y, min(budget, len(x) - 1), rng)


class CentresFloat32(LatentSpaceFilter):
    """Centres the caller's real data where they are float32."""

    def fit(self, x_real: Any, y_real: Any) -> CentresFloat32:
        if x_real.dtype == np.float32:
            x_real -= x_real.mean(axis=0)
        return super().fit(x_real, y_real)


class ScalesWhatItScores(LatentSpaceFilter):
    """Changes the caller's array where it scores, not where it selects."""

    def score_samples(self, x: Any, y: Any) -> np.ndarray:
        scores = super().score_samples(x.copy(), y)
        x *= 1.0001
        return scores

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        return super().select(x.copy(), y, budget, rng)
