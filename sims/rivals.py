"""What do the two rival repairs do: score extrapolation and self-correction?

SIMS  Alemohammad, Humayun, Agarwal, Collomosse and Baraniuk, "Self-improving diffusion models with synthetic data"
      (2024): away from a model of synthetic data. Scores s = (1 + w) s_base - w s_aux, the auxiliary model fitted to
      the synthetic part of the pool. For Gaussian classes the extrapolated law is Gaussian in closed form, precisions
      and precision-weighted means extrapolate alike.
SC    Gillman, Freeman, Aggarwal, Hsu, Luo, Tian and Sun, "Self-correcting self-consuming loops for generative model
      training" (ICML 2024), K-means form: synthetic samples move to the nearest of K real cluster centres of their
      class, x <- x + strength (centre - x).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from lsf.pool import Pool
from sims.analytic import ClassFit, Model
from sims.curation import Policy
from sims.laws import Laws

__all__ = ["ScoreExtrapolation", "SelfCorrection", "extrapolated"]


@dataclass(frozen=True, eq=False)
class ScoreExtrapolation:
    """The generator of the SIMS arm: base model of the whole pool, auxiliary model of its synthetic part."""

    generator: ClassFit
    strength: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.strength < np.inf:
            raise ValueError(f"strength must be 0 or more, found {self.strength}")

    def fit(self, pool: Pool, rng: np.random.Generator, start: Any = None) -> Model:
        """The extrapolated model; on a pool without synthetic data it is the base model."""
        base = self.generator.fit(pool, rng, start)
        made = pool.take(np.flatnonzero(pool.born > 0))
        if not len(made):
            return base
        aux = self.generator.fit(made, rng, start)
        law = extrapolated(base.fitted, aux.fitted, self.strength)
        return Model(base.fitted, self.generator.sampled(law))


def extrapolated(base: Laws, aux: Laws, w: float, least: float = 0.1) -> Laws:
    """The law of score (1 + w) s_base - w s_aux, component by component.

    Where the extrapolated precision falls below `least` of the base's (it is no law at all below 0) it is held there:
    a variance grows at most 1 / least-fold.
    """
    means, S = np.empty_like(base.means), np.empty_like(base.covariances)
    for c, j in np.ndindex(base.weights.shape):
        R = base.roots[c, j]
        # in coordinates where the base is standard: x = m_b + R z, aux precision R' S_a^-1 R
        A = R.T @ np.linalg.solve(aux.covariances[c, j], R)
        p, V = np.linalg.eigh((1 + w) * np.eye(len(R)) - w * A)
        p = np.maximum(p, least)
        shift = np.linalg.solve(R, aux.means[c, j] - base.means[c, j])
        z = V @ ((V.T @ (-w * A @ shift)) / p)
        means[c, j] = base.means[c, j] + R @ z
        S[c, j] = (R @ V / p) @ (R @ V).T
    return replace(base, means=means, covariances=S)


@dataclass(frozen=True, eq=False)
class SelfCorrection:
    """A policy whose synthetic samples are moved to real cluster centres; `real` is the data of the centres."""

    policy: Policy
    real: Pool
    centres: int = 16
    strength: float = 1.0

    @cached_property
    def clusters(self) -> dict[Any, KMeans]:
        """K-means of each class of the real data."""
        rows = {c: self.real.x[self.real.y == c] for c in self.real.classes.tolist()}
        return {
            c: KMeans(min(self.centres, len(x)), n_init=1, random_state=0).fit(x.reshape(len(x), -1))
            for c, x in rows.items()
        }

    def __call__(self, history: Sequence[Pool], budget: int, rng: np.random.Generator) -> Pool:
        pool = self.policy(history, budget, rng)
        x = pool.x.copy()
        for c, clusters in self.clusters.items():
            own = (pool.y == c) & (pool.born > 0)
            if own.any():
                rows = x[own].reshape(int(own.sum()), -1)
                centre = clusters.cluster_centers_[clusters.predict(rows)]
                x[own] = (rows + self.strength * (centre - rows)).reshape(x[own].shape)
        return Pool(x, pool.y, pool.born)
