"""Which classes test a bound that is for any densities? Gaussian ones of random means and unequal covariances.

Posteriors come from the densities themselves: no formula under test is used.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax

__all__ = ["random_classes", "posteriors", "true_label"]

Posteriors = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def random_classes(rng: np.random.Generator, classes: int, dim: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Means (C, d) and covariances (C, d, d), from near to far apart."""
    A = rng.normal(size=(classes, dim, dim))
    S = np.eye(dim) + rng.uniform(0, 1) * A @ A.swapaxes(-1, -2) / dim
    return rng.uniform(0, 2) * rng.normal(size=(classes, dim)), S


def posteriors(mu: np.ndarray, S: np.ndarray) -> Posteriors:
    """`draw(rng, size)`: log-posteriors (size, C) of samples and their labels, which go round: give multiples of C."""
    half, inverse, log_det = np.linalg.cholesky(S), np.linalg.inv(S), np.linalg.slogdet(S)[1]

    def draw(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(size) % len(mu)
        x = mu[y] + np.einsum("nij,nj->ni", half[y], rng.standard_normal((size, mu.shape[1])))
        gap = x[:, None] - mu
        log_p = -(np.einsum("nci,cij,ncj->nc", gap, inverse, gap) + log_det) / 2
        return log_softmax(log_p, axis=-1), y

    return draw


def true_label(draw: Posteriors, classes: int) -> Callable[[np.random.Generator, int], np.ndarray]:
    """The posterior of the true label; `size` is rounded up to a multiple of C."""

    def confidence(rng: np.random.Generator, size: int) -> np.ndarray:
        log_p, y = draw(rng, classes * -(-size // classes))
        return np.exp(log_p[np.arange(len(y)), y])

    return confidence
