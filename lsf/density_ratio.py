"""Which samples of a pool look most like trusted real data, next to the pool itself?

    s(h, y) = log p_real(h | y) / p_pool(h | y) + constant = w . [z, z^2] + b,      z = (h - mean_y) / scale_y,

latents h centred and scaled by the trusted data of their class, and an L2-penalised logistic regression of
trusted data against the pool, shared by all classes; its log-odds are the log density ratio where both sides
weigh the same (Sugiyama, Suzuki and Kanamori, "Density Ratio Estimation in Machine Learning", 2012). Squares
let it see a wrong spread as well as a wrong place: it is exact for Gaussians of diagonal covariance.

This is another kind of filter than `LatentSpaceFilter`. The law "a score belongs to a sample" does NOT hold:
the score compares with p_pool, so it depends on the pool as a whole, and the same sample scores differently
in another one. So there is `score_pool` and no `score_samples`, and no chunk of a pool can be scored apart.
What holds: scores follow their samples under permutation up to rounding, equal samples of one label score
equal, and a pool repeated as a whole is scored as before. Provenance is never seen: real data in the pool
count as pool.

`RankSumFilter` adds the ranks, class by class, of the probe's confidence and of this ratio: a sample must
look like its class and like reality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, clone

from lsf import checks
from lsf.blocks import Whole, in_blocks, one_blas_thread, slices
from lsf.encoders import as_encoder
from lsf.filter import LatentSpaceFilter, encoded
from lsf.latents import Latents
from lsf.newton import Part, regress
from lsf.report import FilterMixin
from lsf.rules import Top

__all__ = ["DensityRatioFilter", "RankSumFilter", "ClassScale"]


class ClassScale:
    """Centre and scale of every feature in every class: z = (h - mean_y) / scale_y, cut at +-sqrt(m_y).

    No value of m samples lies beyond sqrt(m - 1) of their own standard deviations (Samuelson), so the cut
    touches no trusted sample, and a wild one counts as off by more than any trusted one, at any size of h. A
    feature that is constant in a class has scale 1.

    h (m, d), y (m,). Raises ValueError naming a class of one sample, or latents whose variance overflows.
    """

    def __init__(self, h: np.ndarray, y: np.ndarray) -> None:
        checks.classes_of("y_real", y)
        self.classes, counts = np.unique(y, return_counts=True)
        if counts.min() < 2:
            alone = self.classes[np.argmin(counts)]
            raise ValueError(f"y_real has one sample of class {alone}: its spread cannot be known")
        parts = [h[y == c] for c in self.classes]
        with np.errstate(over="ignore", invalid="ignore"):
            self.mean = np.stack([part.mean(axis=0) for part in parts])
            scale = np.stack([part.std(axis=0) for part in parts])
        if not (np.isfinite(self.mean).all() and np.isfinite(scale).all()):
            raise ValueError("latents of x_real are so large that their variance overflows: rescale x_real")
        rounding = 10 * np.finfo(np.float64).eps * np.abs(self.mean)
        self.scale = np.where(scale > rounding, scale, 1.0)
        self.cut = np.sqrt(counts)[:, None]

    def __call__(self, h: np.ndarray, own: np.ndarray) -> np.ndarray:
        """z (n, d) of latents h (n, d) whose classes are at positions `own` (n,); ValueError on other features."""
        if h.shape[1] != self.mean.shape[1]:
            raise ValueError(f"x has latents of {h.shape[1]} features, fit saw {self.mean.shape[1]}")
        with np.errstate(over="ignore"):
            z = (h - self.mean[own]) / self.scale[own]
        return np.clip(z, -self.cut[own], self.cut[own])


class _PoolFilter(FilterMixin, BaseEstimator):
    """What filters that score a whole pool share: `transform`, checks, and the choice of the highest scores.

    A subclass sets `encoder_` and `classes_` in fit, has a `quota`, and scores a pool in `score_latents`.
    """

    def transform(self, x: Any) -> np.ndarray:
        """Latents (n, d) of samples x (n, ...); NotFittedError before fit."""
        checks.fitted(self, "classes_")
        samples = checks.as_in_fit("x", checks.samples("x", x), self.n_features_in_)
        return encoded(self.encoder_, samples).astype(np.float64, copy=False)

    def score_pool(self, x: Any, y: Any) -> np.ndarray:
        """One score for each sample of the pool x (n, ...), y (n,), float64; higher is kept first.

        Raises NotFittedError before fit; ValueError on NaN or infinite x or latents, unequal lengths, other
        features than in fit, or a label never seen in fit.
        """
        checks.fitted(self, "classes_")
        return self.score_latents(Latents(self, Whole(x, y)))

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        """Sorted indices of the `budget` samples of the pool x (n, ...), y (n,) that score highest.

        Ties go to the lower index; a class too short for its share is filled from the rest of the pool.
        Nothing is drawn: rng is taken, as by every filter, and not used. Errors as `score_pool`, or a budget
        out of range.
        """
        checks.fitted(self, "classes_")
        number = checks.budget_for(budget, len(checks.samples("x", x)))
        return self.select_latents(Latents(self, Whole(x, y)), number)

    def select_latents(self, latents: Latents, budget: int) -> np.ndarray:
        """`select` of a pool that need not be in memory."""
        number = checks.budget_for(budget, len(latents))
        return self.select_scored(self.score_latents(latents), latents.y, number)

    def select_scored(self, scores: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        """`select` of a pool whose scores (n,) by `score_pool` are known; of no other pool's."""
        checks.fitted(self, "classes_")
        return Top(self.quota, "fill")(scores, np.asarray(y), budget, classes=self.classes_)

    def score_latents(self, latents: Latents) -> np.ndarray:
        """`score_pool` of a pool that need not be in memory."""
        raise NotImplementedError


class DensityRatioFilter(_PoolFilter):
    """Keeps what is most real-like, by the log density ratio of trusted real data to the pool.

    Parameters: `encoder` (None: x are latents; a transformer, cloned before it is fitted; a callable),
    `quota` ("global", or "class": equal shares), `C`, inverse penalty of the weights; each side weighs as many
    samples as the smaller side has.

    Fitted: `encoder_`, `classes_`, `n_features_in_` (numbers a sample), `scale_` (a `ClassScale`), `real_`
    (z (m, d) and labels (m,) of the trusted data).
    """

    def __init__(self, encoder: Any = None, quota: str = "global", C: float = 1.0) -> None:
        self.encoder = encoder
        self.quota = quota
        self.C = C

    def fit(self, x_real: Any, y_real: Any) -> DensityRatioFilter:
        """Trusted real samples x_real (m, ...), disjoint from every pool to come, and their labels y_real (m,).

        Raises ValueError on NaN, infinite or overflowing values, unequal lengths, a class of one sample, a
        quota or C out of range; TypeError if encoder or labels are of no known kind. A fit that raises changes
        nothing.
        """
        Top(self.quota)
        if not 0 < self.C < np.inf:
            raise ValueError(f"C must be positive and finite, found {self.C}")
        x = checks.finite("x_real", x_real)
        y = checks.labels_for("y_real", y_real, len(x), "x_real")
        encoder = clone(as_encoder(self.encoder)).fit(x, y)
        h = encoded(encoder, x).astype(np.float64, copy=False)
        scale = ClassScale(h, y)
        self.encoder_, self.scale_, self.classes_ = encoder, scale, scale.classes
        self.real_ = scale(h, np.searchsorted(scale.classes, y)), y
        self.n_features_in_ = checks.features_of(x)
        return self

    def score_latents(self, latents: Latents) -> np.ndarray:
        """s (n,) of a pool that need not be in memory: one pass for each of Newton's steps, about ten, and one more."""
        with one_blas_thread():
            start = np.zeros(len(features(self.real_[0][:1])))
            w = regress(_Sides(self.real_[0], self.scale_, latents), start, self.C)
            score = partial(in_blocks, lambda part: w @ features(part))
            return np.concatenate([score(self.scale_(h, own)) for h, own in latents])


@dataclass(frozen=True, eq=False)
class _Sides:
    """Iterated: the trusted data, then the pool, as parts (f, s, weight) of `regress`; both sides weigh the same."""

    real: np.ndarray
    scale: ClassScale
    pool: Latents

    def __iter__(self) -> Iterator[Part]:
        m, n = len(self.real), len(self.pool)
        for rows in slices(m):
            yield features(self.real[rows]), 1.0, min(m, n) / m
        for h, own in self.pool:
            yield features(self.scale(h, own)), -1.0, min(m, n) / n


class RankSumFilter(_PoolFilter):
    """Keeps the highest sums of two ranks: of the log-confidence and of the log density ratio.

    score = rank_y(confidence) / n_y + rank_y(ratio) / n_y in (0, 2], ranks among the n_y samples of the pool
    with the same label, ties sharing their mean rank.

    Parameters: `encoder` as in `DensityRatioFilter`, run once for both; `confidence_encoder`, between these
    latents and the probe (as `EnergyFeatures` where class means are zero; None: the latents themselves);
    `quota`, `C` as in `DensityRatioFilter`.

    Fitted: `encoder_`, `classes_`, `n_features_in_`, `confidence_` (a `LatentSpaceFilter` on latents), `ratio_` (a
    `DensityRatioFilter` on latents).
    """

    def __init__(
        self, encoder: Any = None, confidence_encoder: Any = None, quota: str = "class", C: float = 1.0
    ) -> None:
        self.encoder = encoder
        self.confidence_encoder = confidence_encoder
        self.quota = quota
        self.C = C

    def fit(self, x_real: Any, y_real: Any) -> RankSumFilter:
        """As `DensityRatioFilter.fit`; raises ValueError also where there are fewer than two classes."""
        ratio = DensityRatioFilter(self.encoder, self.quota, self.C).fit(x_real, y_real)
        h, y = ratio.transform(x_real), ratio.real_[1]
        confidence = LatentSpaceFilter(self.confidence_encoder).fit(h, y)
        self.encoder_, self.classes_ = ratio.encoder_, ratio.classes_
        self.confidence_, self.ratio_ = confidence, ratio
        self.n_features_in_ = ratio.n_features_in_
        return self

    def score_latents(self, latents: Latents) -> np.ndarray:
        """Sums of ranks (n,) of a pool that need not be in memory."""
        return self.sum_of_ranks(self.confidences(latents), latents)

    def confidences(self, latents: Latents) -> np.ndarray:
        """The probe's log-confidence (n,)."""
        score = self.confidence_.score_samples
        return np.concatenate([score(h, self.classes_[own]) for h, own in latents])

    def sum_of_ranks(self, confidence: np.ndarray, latents: Latents) -> np.ndarray:
        """Scores (n,) from the log-confidences."""
        ratio = self.ratio_.score_latents(latents)
        return ranks_by_class(confidence, latents.own) + ranks_by_class(ratio, latents.own)


def features(z: np.ndarray) -> np.ndarray:
    """(1 + 2 d, n): one, z and z^2 - 1 of the rows of z (n, d); all but the first have mean 0 on trusted data."""
    d = z.shape[1]
    f = np.ones((1 + 2 * d, len(z)))
    f[1 : d + 1] = z.T
    np.square(f[1 : d + 1], out=f[d + 1 :])
    f[d + 1 :] -= 1
    return f


def ranks_by_class(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rank of each score (n,) among those of its label y (n,), over their number: in (0, 1], 1 the highest."""
    ranks = np.empty(len(scores))
    for c in np.unique(y):
        own = y == c
        ranks[own] = rankdata(scores[own]) / own.sum()
    return ranks
