"""Which part of a pool has the law of trusted real data?

Trim, then herd, class by class. The trim drops what the pool cannot contain if it is real,

    eps = max(0, sup_t [F_pool(t) - F_real(t)] - sqrt(pi/8) sqrt(1/m + 1/n)),

the one-sided Smirnov distance less its mean where both laws are one. If the pool is (1 - eps') real + eps'
anything else, the supremum of the laws is at most eps': a lower bound on how much of it is not real, and needs
no model of what is wrong. It is taken of two numbers of a sample, minus its energy |z|^2 / d and the
log-confidence of its label, both low where a sample is off; the larger eps counts. Of the n samples of a class
eps (n - q), rounded down, are dropped, q its quota, those that `RankSumFilter` ranks worst: nothing where the
pool is sound, and all but the best q where none of it is real.

The herd is then chosen greedily among the rest, each pick x_i that which makes the energy distance of the
kept set S to the trusted latents r of the class least,

    E(S) = 2 mean |s - r| - mean |s - s'| - mean |r - r'|,
    i = argmin mean_r |x_i - r| - sum_{s in S} |x_i - s| / (|S| + 1)

(energy distance: Szekely and Rizzo, 2013; herding: Chen, Welling and Smola, UAI 2010). Distribution matching
has the truth as its fixed point, where keeping the best does not. It matches what it is shown: with m trusted
samples of a class, no more of the truth than m samples tell.

Of the candidates n, trusted m and features d of a class: time n (m + q) d. Memory: a few vectors of all samples, blocks
of 8 ROWS BLOCK bytes, and the latents of the pool in float64, 8 d bytes a sample: in memory up to
`lsf.scratch.MEMORY`, beyond it in a temporary file, of which a class is read once for every sample kept of it.

The trusted side of every comparison is honest: energies leave out the sample itself, and confidences come from probes
that have not seen it. Scores depend on the pool, as in `lsf.density_ratio`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, clone

from lsf import checks
from lsf.blocks import BLOCK, Whole, slices
from lsf.candidates import lowest
from lsf.density_ratio import RankSumFilter
from lsf.filter import LatentSpaceFilter
from lsf.latents import Latents
from lsf.report import FilterMixin

__all__ = ["TrimHerdFilter", "excess", "herd", "mean_distance", "left_out_energies", "shares_of"]

FOLDS = 5
"""Parts of the trusted data, each scored by a probe on the others: a fifth, as `lsf.filter.held_out`."""
ROWS = 512
"""Rows whose distances to BLOCK others are held at a time: 16 MiB."""


class TrimHerdFilter(FilterMixin, BaseEstimator):
    """Drops what is certainly not real, and keeps of the rest what together is most like reality.

    Parameters: `encoder`, `confidence_encoder`, `C` as in `RankSumFilter`; `trim=False` herds the whole pool.
    The quota is always by class, in equal shares; what a class lacks is shared by the others.

    Fitted: `encoder_`, `classes_`, `n_features_in_`, `rank_sum_` (a `RankSumFilter`), `reference_` (energies
    and log-confidences (m,) of the trusted data, each as if that sample had not been in fit).
    """

    def __init__(
        self, encoder: Any = None, confidence_encoder: Any = None, C: float = 1.0, trim: bool = True
    ) -> None:
        self.encoder = encoder
        self.confidence_encoder = confidence_encoder
        self.C = C
        self.trim = trim

    def fit(self, x_real: Any, y_real: Any) -> TrimHerdFilter:
        """As `RankSumFilter.fit`: trusted x_real (m, ...), y_real (m,); a fit that raises changes nothing."""
        rank_sum = RankSumFilter(self.encoder, self.confidence_encoder, "class", self.C).fit(x_real, y_real)
        z, y = rank_sum.ratio_.real_
        reference = (
            left_out_energies(z, y),
            left_out_confidences(self.confidence_encoder, rank_sum.transform(x_real), y),
        )
        self.encoder_, self.classes_ = rank_sum.encoder_, rank_sum.classes_
        self.rank_sum_, self.reference_ = rank_sum, reference
        self.n_features_in_ = rank_sum.n_features_in_
        return self

    def transform(self, x: Any) -> np.ndarray:
        """Latents (n, d) of samples x (n, ...); NotFittedError before fit."""
        checks.fitted(self, "classes_")
        return self.rank_sum_.transform(x)

    def contamination(self, x: Any, y: Any) -> np.ndarray:
        """eps (C,) of each class of fit in the pool x (n, ...), y (n,), 0 where it is absent; errors as `select`."""
        checks.fitted(self, "classes_")
        return self._contamination(self._views(Latents(self, Whole(x, y))))

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        """Sorted indices of `budget` samples of the pool x (n, ...), y (n,).

        Nothing is drawn: rng is taken, as by every filter, and not used; ties go to the lower index. Raises
        NotFittedError before fit; ValueError on NaN or infinite x or latents, unequal lengths, other features
        than in fit, a label never seen in fit, or a budget out of range.
        """
        checks.fitted(self, "classes_")
        number = checks.budget_for(budget, len(checks.samples("x", x)))
        return self.select_latents(Latents(self, Whole(x, y)), number)

    def select_latents(self, latents: Latents, budget: int) -> np.ndarray:
        """`select` of a pool that need not be in memory."""
        number = checks.budget_for(budget, len(latents))
        seen = self._views(latents)
        eps = self._contamination(seen) if self.trim else np.zeros(len(self.classes_))
        scores = self.rank_sum_.sum_of_ranks(seen.confidence, latents) if eps.any() else seen.confidence
        shares = shares_of(number, np.bincount(latents.own, minlength=len(self.classes_)))
        kept = []
        for k in np.flatnonzero(shares):
            among = np.flatnonzero(latents.own == k)
            far = mean_distance(seen.z[k], self._real(k)[0])
            if eps[k]:
                stay = lowest(-scores[among], len(among) - int(eps[k] * (len(among) - shares[k])))
                far[np.setdiff1d(np.arange(len(far)), stay)] = np.inf
            kept.append(among[herd(seen.z[k], far, int(shares[k]))])
        return np.sort(np.concatenate(kept))

    def _views(self, latents: Latents) -> _Views:
        confidence = self.rank_sum_.confidences(latents)
        return _Views(confidence, latents.own, latents.by_class(self.rank_sum_.ratio_.scale_))

    def _contamination(self, seen: _Views) -> np.ndarray:
        eps = np.zeros(len(self.classes_))
        for k in np.unique(seen.own):
            z, (_, energy_real, confidence_real) = seen.z[k], self._real(k)
            energy = np.concatenate([np.square(z[rows]).mean(axis=1) for rows in slices(len(z))])
            eps[k] = max(
                excess(-energy_real, -energy), excess(confidence_real, seen.confidence[seen.own == k])
            )
        return eps

    def _real(self, k: Any) -> tuple[np.ndarray, ...]:
        """z (m_k, d), energies and log-confidences (m_k,) of the trusted data of class k."""
        z, y = self.rank_sum_.ratio_.real_
        return tuple(values[y == self.classes_[k]] for values in (z, *self.reference_))


@dataclass(frozen=True, eq=False)
class _Views:
    """Of a pool: log-confidences (n,), places of labels (n,), and for each class z (n_k, d) of its samples."""

    confidence: np.ndarray
    own: np.ndarray
    z: list[np.ndarray]


def excess(real: np.ndarray, pool: np.ndarray) -> float:
    """eps in [0, 1): how many more of the scores `pool` (n,) than of `real` (m,) are low; own derivation.

    sqrt(pi/8) is the mean of the Rayleigh law P(> t) = exp(-2 t^2) of the one-sided Smirnov statistic.
    """
    m, n = len(real), len(pool)
    at = np.sort(pool)
    above = np.searchsorted(at, at, side="right") / n - np.searchsorted(np.sort(real), at, side="right") / m
    return max(0.0, float(above.max()) - np.sqrt(np.pi / 8 * (1 / m + 1 / n)))


def mean_distance(x: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Mean distance (n,) of each row of x (n, d) to the rows of `to` (m, d), in blocks of rows of both."""
    total = np.zeros(len(x))
    for rows in slices(len(x), ROWS):
        for others in slices(len(to), BLOCK):
            total[rows] += cdist(x[rows], to[others]).sum(axis=1)
    return total / len(to)


def herd(x: np.ndarray, far: np.ndarray, count: int) -> np.ndarray:
    """Positions of `count` rows of x (n, d) in the order picked, herded to a law that row i is far_i (n,) away from."""
    far, spread, picked = far.copy(), np.zeros(len(x)), np.empty(count, dtype=np.int64)
    for t in range(count):
        i = picked[t] = np.argmin(far - spread / (t + 1))
        far[i] = np.inf
        spread += cdist(x[i : i + 1], x)[0]
    return picked


def left_out_energies(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean square (m,) of each row of z (m, d), had it been standardised by the others of its class; exact.

    With m samples of mean 0 and variance 1, z^2 of the one left out is m z^2 / (m - 1 - z^2), at most m as
    in `ClassScale`; own derivation.
    """
    m = (y[:, None] == np.unique(y)).sum(axis=0)[np.searchsorted(np.unique(y), y)][:, None]
    square = np.square(z)
    with np.errstate(divide="ignore"):
        left_out = m * square / np.maximum(m - 1 - square, 0)
    return np.minimum(left_out, m).mean(axis=1)


def left_out_confidences(encoder: Any, h: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log-confidence (m,) of each row of h (m, d) by a probe on the folds without it; folds cut every class."""
    fold = np.empty(len(y), dtype=np.int64)
    for c in np.unique(y):
        fold[y == c] = np.arange((y == c).sum()) % FOLDS
    scores = np.empty(len(y))
    for k in np.unique(fold):
        out = fold == k
        probe = LatentSpaceFilter(None if encoder is None else clone(encoder)).fit(h[~out], y[~out])
        scores[out] = probe.score_samples(h[out], y[out])
    return scores


def shares_of(budget: int, have: np.ndarray) -> np.ndarray:
    """Shares (C,) of a budget <= sum(have), as equal as what classes have allows, the first ones larger by 1."""
    level = bisect_right(range(budget + 1), budget, key=lambda share: np.minimum(have, share).sum()) - 1
    shares = np.minimum(have, level)
    shares[np.flatnonzero(have > level)[: budget - shares.sum()]] += 1
    return shares
