"""What do the two rival repairs do: score extrapolation and self-correction?

SIMS  Alemohammad, Humayun, Agarwal, Collomosse and Baraniuk, "Self-improving diffusion models with synthetic data"
      (arXiv 2408.16333, 2024): away from a model of synthetic data, by the scores s = (1 + w) s_base - w s_aux. As in
      its procedure the auxiliary model is the base of the same generation, fine-tuned on synthetic data alone. There
      the synthetic data are the base's own; here they are the synthetic part of the pool, which earlier generations'
      extrapolated models made, so that the arm is given the data of ACUR and no more. The next base is fine-tuned from
      this generation's base, never from the auxiliary. A generator that can extrapolate has a method for it (Gaussian
      classes: in closed form, sims.extrapolation; diffusion models: in every call of the sampler, sims.diffusion).
SC    Gillman, Freeman, Aggarwal, Hsu, Luo, Tian and Sun, "Self-correcting self-consuming loops for generative model
      training" (ICML 2024), K-means form: synthetic samples move to the nearest of K real cluster centres of their
      class, x <- x + strength (centre - x).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from sklearn.cluster import KMeans

from lsf.pool import Pool
from sims.generator import Learner, Sampler
from sims.turn import Policy

__all__ = ["Extrapolating", "ScoreExtrapolation", "SelfCorrection"]


class Extrapolating(Learner, Protocol):
    """A generator whose models' scores can be extrapolated."""

    def extrapolated(self, base: Any, aux: Any, strength: float) -> Any:
        """The model (a Sampler) of score (1 + strength) s_base - strength s_aux, from two models of `fit`."""
        ...


@dataclass(frozen=True, eq=False)
class ScoreExtrapolation:
    """The generator of the SIMS arm: base model of the whole pool, auxiliary model of its synthetic part.

    Raises ValueError if `generator` cannot extrapolate, or `strength` is negative.
    """

    generator: Any
    strength: float = 0.5

    def __post_init__(self) -> None:
        if not callable(getattr(self.generator, "extrapolated", None)):
            raise ValueError(f"generator must be able to extrapolate, found {type(self.generator).__name__}")
        if not 0 <= self.strength < np.inf:
            raise ValueError(f"strength must be 0 or more, found {self.strength}")

    def fit(self, pool: Pool, rng: np.random.Generator, start: Any = None) -> Any:
        """The extrapolated model; on a pool without synthetic data it is the base model."""
        base = self.generator.fit(pool, rng, start)
        made = synthetic(pool)
        if not len(made):
            return base
        return self.generator.extrapolated(base, self.generator.fit(made, rng, base), self.strength)

    def restore(self, state: dict[str, np.ndarray]) -> Sampler:
        """The model whose `state()` this is."""
        return self.generator.restore(state)

    @property
    def sampling_steps(self) -> int:
        """Network evaluations of a sample: both scores at every step."""
        return 2 * getattr(self.generator, "sampling_steps", 0)

    def evaluations(self, pool: Pool, first: bool) -> dict[str, int]:
        """What both trainings cost."""
        base = self.generator.evaluations(pool, first)
        made = synthetic(pool)
        aux = self.generator.evaluations(made, False) if len(made) else dict.fromkeys(base, 0)
        return {cause: n + aux[cause] for cause, n in base.items()}


def synthetic(pool: Pool) -> Pool:
    """The samples that a model made."""
    return pool.take(np.flatnonzero(np.asarray(pool.born) > 0))


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
