"""Which part of a pool comes nearest to reality, when a small trusted sample is all that is known of it?

Shrunk herding, class by class. P is the law of the pool's n latents, T that of m trusted ones, E(., .) the energy
distance. Random choice keeps P; herding to T keeps T's own sampling error for ever. In between lies the target

    Q_s = (1 - s) P + s T:    mean E(Q_s, truth) = (1 - s)^2 delta + s^2 sigma,

delta = E(P, truth) the drift of the pool, sigma = mean |r - r'| / m the error of the trusted sample r, r', .... The
best s = delta / (delta + sigma) is no further from the truth than either: delta sigma / (delta + sigma). What is seen,
E(P, T), is delta + sigma on average, so the share believed is Stein's

    s = (1 - sigma / E(P, T))_+,

the larger one of two views: the latents, and their lengths, in which a pool that contracts or spreads out shows first.
The class's share of the budget is then herded to Q_s (`lsf.herding`). A pool whose distance the error of the trusted
sample explains is thinned as it is, one that drifts is brought back as far as the sample can be believed. About half of
all sound pools still look off a little, by chance, and are drawn towards the sample by a small s. No constants.

Own derivation (docs/theory.md); kernel means shrunk: Muandet, Sriperumbudur, Fukumizu, Gretton and Scholkopf (2016);
energy distance as a squared Hilbert norm: Sejdinovic et al. (2013). Time n (n + m + q) d for a class of n, q of them
kept; memory as `lsf.herding`. Which samples are kept depends on the pool: this is no score of a sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import energy_distance
from sklearn.base import BaseEstimator, clone

from lsf import checks
from lsf.blocks import Whole, slices
from lsf.density_ratio import ClassScale
from lsf.encoders import as_encoder
from lsf.filter import encoded
from lsf.herding import herd, mean_distance, shares_of
from lsf.latents import Latents
from lsf.report import FilterMixin

__all__ = ["ShrunkHerdFilter", "believed", "target_distances"]


class ShrunkHerdFilter(FilterMixin, BaseEstimator):
    """Keeps of each class what together is nearest to (1 - s) pool + s trusted data; s: how far the pool is surely off.

    Parameter: `encoder` (None: x are latents; a transformer, cloned before it is fitted; a callable). The quota is by
    class, in equal shares; what a class lacks is shared by the others. Nothing is drawn: equal pools, equal choices.

    Fitted: `encoder_`, `classes_`, `n_features_in_`, `scale_` (centre and scale of the latents' features in each
    class), `real_` (trusted latents (m, d) in those units, and their labels).
    """

    def __init__(self, encoder: Any = None) -> None:
        self.encoder = encoder

    def fit(self, x_real: Any, y_real: Any) -> ShrunkHerdFilter:
        """Trusted real samples x_real (m, ...), none of which is in the pools to come, and their labels y_real (m,).

        Raises ValueError on NaN or infinite values, unequal lengths, or a class of one sample. A fit that raises
        changes nothing.
        """
        x = checks.finite("x_real", x_real)
        y = checks.labels_for("y_real", y_real, len(x), "x_real")
        encoder = clone(as_encoder(self.encoder)).fit(x, y)
        h = encoded(encoder, x).astype(np.float64)
        scale = ClassScale(h, y)
        z = scale(h, np.searchsorted(scale.classes, y))
        self.encoder_, self.classes_, self.scale_, self.real_ = encoder, scale.classes, scale, (z, y)
        self.n_features_in_ = checks.features_of(x)
        return self

    def transform(self, x: Any) -> np.ndarray:
        """Latents (n, d) of samples x (n, ...); NotFittedError before fit."""
        checks.fitted(self, "real_")
        samples = checks.as_in_fit("x", checks.samples("x", x), self.n_features_in_)
        return encoded(self.encoder_, samples).astype(np.float64, copy=False)

    def believed(self, x: Any, y: Any) -> np.ndarray:
        """s (C,) of each class of fit in the pool x (n, ...), y (n,); 0 where it is absent. Errors as `select`."""
        checks.fitted(self, "real_")
        latents = Latents(self, Whole(x, y))
        z, s = latents.by_class(self.scale_), np.zeros(len(self.classes_))
        for k in np.unique(latents.own):
            s[k] = target_distances(z[k], self._real(k))[1]
        return s

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        """Sorted indices of `budget` samples of the pool x (n, ...), y (n,); rng is taken and not used.

        Raises NotFittedError before fit; ValueError on NaN or infinite x or latents, unequal lengths, other features
        than in fit, a label never seen in fit, or a budget out of range.
        """
        checks.fitted(self, "real_")
        number = checks.budget_for(budget, len(checks.samples("x", x)))
        return self.select_latents(Latents(self, Whole(x, y)), number)

    def select_latents(self, latents: Latents, budget: int) -> np.ndarray:
        """`select` of a pool that need not be in memory."""
        number = checks.budget_for(budget, len(latents))
        z = latents.by_class(self.scale_)
        shares = shares_of(number, np.bincount(latents.own, minlength=len(self.classes_)))
        kept = []
        for k in np.flatnonzero(shares):
            far = target_distances(z[k], self._real(k))[0]
            kept.append(np.flatnonzero(latents.own == k)[herd(z[k], far, int(shares[k]))])
        return np.sort(np.concatenate(kept))

    def _real(self, k: Any) -> np.ndarray:
        z, y = self.real_
        return z[y == self.classes_[k]]


def target_distances(z: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean distance (n,) of each latent z (n, d) to Q_s, trusted latents being `real` (m, d); and s."""
    to_pool, to_real, among_real = (
        mean_distance(z, z),
        mean_distance(z, real),
        mean_distance(real, real).mean(),
    )
    E = 2 * to_real.mean() - to_pool.mean() - among_real
    lengths, real_lengths = (
        np.concatenate([np.linalg.norm(a[rows], axis=1) for rows in slices(len(a))])[:, None]
        for a in (z, real)
    )
    among_lengths = mean_distance(real_lengths, real_lengths).mean()
    by_length = energy_distance(lengths[:, 0], real_lengths[:, 0]) ** 2
    s = max(believed(E, among_real, len(real)), believed(by_length, among_lengths, len(real)))
    return (1 - s) * to_pool + s * to_real, s


def believed(E: float, among_real: float, m: int) -> float:
    """s = (1 - sigma / E)_+ from E = E(P, T) >= 0 and the mean of all m^2 distances among m >= 2 trusted samples.

    sigma = among_real / (m - 1): the mean over pairs of two samples, over m. 0 where E is 0.
    """
    return float(max(0.0, 1 - among_real / (m - 1) / E)) if E > 0 else 0.0
