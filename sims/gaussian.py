"""What does a loop do whose generator is a full-covariance Gaussian for each class?

fit: mean m_c and covariance S_c (1/n, the maximum likelihood) of each class; sample: m_c + (shrink S_c)^{1/2} e.
`shrink` is the bias of a generator that makes too little variance (1: none). No network, no tuning: collapse here is
estimation noise, and the contraction one switches on.
"""

from dataclasses import dataclass

import numpy as np

from lsf.checks import known
from lsf.pool import Pool
from sims.extrapolation import extrapolated
from sims.generator import Sampler

__all__ = ["ClassGaussians", "GaussianSampler", "psd_root"]

FREE = {"gradient_steps": 0, "training_evaluations": 0}


def psd_root(S: np.ndarray) -> np.ndarray:
    """R with R R' = S for a positive semidefinite S (d, d)."""
    w, V = np.linalg.eigh(S)
    return V * np.sqrt(np.clip(w, 0.0, None))


@dataclass(frozen=True)
class GaussianSampler:
    """x = mean_c + root_c e, e standard normal, for each label c of `classes`."""

    classes: np.ndarray
    means: np.ndarray
    roots: np.ndarray

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float64, one row a label; raises ValueError on a label that `fit` did not see."""
        c = known("labels", labels, self.classes)
        e = rng.standard_normal((len(labels), self.means.shape[1]))
        return self.means[c] + np.einsum("nij,nj->ni", self.roots[c], e)

    def state(self) -> dict[str, np.ndarray]:
        """Labels, means and roots."""
        return {"classes": self.classes, "means": self.means, "roots": self.roots}


@dataclass(frozen=True)
class ClassGaussians:
    """Full-covariance Gaussians, one a class; variances times `shrink` > 0 when sampling."""

    shrink: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.shrink < np.inf:
            raise ValueError(f"shrink must be a positive number, found {self.shrink}")

    def fit(self, pool: Pool, rng: np.random.Generator, start: Sampler | None = None) -> GaussianSampler:
        """Maximum likelihood on `pool`; there is nothing to fine-tune, so `start` is not used."""
        classes = pool.classes
        rows = [pool.x[pool.y == c] for c in classes]
        roots = [psd_root(self.shrink * self.covariance(x)) for x in rows]
        return GaussianSampler(classes, np.stack([self.mean(x) for x in rows]), np.stack(roots))

    def extrapolated(self, base: GaussianSampler, aux: GaussianSampler, strength: float) -> GaussianSampler:
        """The model of score (1 + strength) s_base - strength s_aux, class by class.

        Raises ValueError if their classes differ, or a covariance is not of full rank.
        """
        if not np.array_equal(base.classes, aux.classes):
            raise ValueError(
                f"aux must have the classes of base, {base.classes.tolist()}, found {aux.classes.tolist()}"
            )
        laws = [
            extrapolated((m_b, R_b), (m_a, R_a), strength)
            for m_b, R_b, m_a, R_a in zip(base.means, base.roots, aux.means, aux.roots, strict=True)
        ]
        means, roots = (np.stack(part) for part in zip(*laws, strict=True))
        return GaussianSampler(base.classes, means, roots)

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Mean (d,) of the rows."""
        return x.mean(axis=0)

    def covariance(self, x: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of the rows, 1/n."""
        return np.cov(x, rowvar=False, bias=True)

    def restore(self, state: dict[str, np.ndarray]) -> GaussianSampler:
        """The sampler with this state."""
        return GaussianSampler(state["classes"], state["means"], state["roots"])

    def evaluations(self, pool: Pool, first: bool) -> dict[str, int]:
        """No network: nothing to count."""
        return dict(FREE)
