"""Which part of a pool has the moments of trusted real data, and departs from random choice no further than it must?

Calibrated selection, class by class. Latents z are whitened by the class's m trusted samples; the features phi are z_j,
z_j^2 and z_i z_j (i < j), each in units of its trusted standard deviation about its trusted mean. What the pool's mean
features g are off may be drift, or the error of the trusted sample, 1/m a feature. Stein's rule decides how far to
follow the trusted sample, in each of the three groups (J features) by itself:

    target = g (1 - s),   s = (1 - (J - 2) / (m |g|^2))_+          (g is measured from the trusted means)

and the class's share N of the budget is drawn with the inclusion probabilities that minimise

    sum pi log pi + (N^2/2) |sum pi phi / N - target|^2     subject to  0 <= pi <= 1,  sum pi = N,

which are pi = min(1, exp(a + theta . phi)), the exponential tilt of the pool; the target is met to within the error of
the draw. So a pool that the trusted sample cannot tell from real data is chosen from at random; one that drifts,
shrinks or turns is brought back. Own derivation (docs/theory.md); James and Stein (1961), positive part; calibration:
Deville and Sarndal (1992); systematic draws: Madow (1949). A probability depends on the pool: this is no score of a
sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from lsf import checks
from lsf.candidates import Short
from lsf.encoders import as_encoder
from lsf.rules import equal_shares

__all__ = ["CalibratedFilter", "stein_shrinkage", "tilt", "systematic"]


class CalibratedFilter(BaseEstimator):
    """Draws from each class so that the latents' means and covariances are those of trusted real data.

    Parameters: `encoder` (None: x are latents; a transformer, cloned before it is fitted; a callable), `n_components`
    (None: all; else the leading principal axes of each class's latents, and the energy off them as one more feature),
    `shortfall` ("raise" if a class of the pool is smaller than its share, or "fill" at random from the others),
    `random_state` for draws where `select` is given no rng. Fitted: `encoder_`, `classes_`, `standards_`.

    Cost: (features^2) x (pool rows) a Newton step, about ten steps; d latents have d (d + 3) / 2 features.
    """

    def __init__(
        self,
        encoder: Any = None,
        n_components: int | None = None,
        shortfall: str = "raise",
        random_state: Any = None,
    ) -> None:
        self.encoder = encoder
        self.n_components = n_components
        self.shortfall = shortfall
        self.random_state = random_state

    def fit(self, x_real: Any, y_real: Any) -> CalibratedFilter:
        """Trusted real samples x_real (n, ...), none of which is in the pools to come, and their labels y_real (n,).

        Raises ValueError on NaN or infinite values, unequal lengths, an unknown shortfall, or a class with fewer than
        n_components + 2 samples or without spread in as many directions.
        """
        if self.shortfall not in ("raise", "fill"):
            raise ValueError(f"shortfall must be 'raise' or 'fill', found {self.shortfall!r}")
        x = checks.finite("x_real", x_real)
        y = checks.labels_for("y_real", y_real, len(x), "x_real")
        encoder = clone(as_encoder(self.encoder)).fit(x, y)
        h = checks.flat("latents", encoder.transform(x)).astype(np.float64)
        k = h.shape[1] if self.n_components is None else checks.whole("n_components", self.n_components)
        if not 1 <= k <= h.shape[1]:
            raise ValueError(f"n_components must lie in 1..{h.shape[1]}, the latents' features, found {k}")
        classes = np.unique(y)
        standards = {c: Standard.of(h[y == c], k, c) for c in classes.tolist()}
        self.encoder_, self.classes_, self.standards_ = encoder, classes, standards
        return self

    def inclusion(self, x: Any, y: Any, budget: Any) -> np.ndarray:
        """Probability (n,) with which each sample of the pool x (n, ...), y (n,) is drawn, by class quota.

        They sum to `budget`, less what classes smaller than their share lack. Errors as `select`.
        """
        h, labels, number = self._pool(x, y, budget)
        pi = np.zeros(len(h))
        for members, share, standard in self._parts(labels, number):
            if share == len(members):
                pi[members] = 1.0
            elif share:
                pi[members] = tilt(*standard.features(h[members]), share)
        return pi

    def select(self, x: Any, y: Any, budget: Any, rng: Any = None) -> np.ndarray:
        """Sorted indices into the pool x (n, ...), y (n,) of `budget` samples, an equal share of each class.

        rng (Generator or integer seed) feeds the draws; None stands for `random_state`. Raises NotFittedError before
        fit; ValueError on bad x or y, a label never seen in fit, a budget out of range, a class that is too small.
        """
        pi = self.inclusion(x, y, budget)
        generator = checks.generator("rng", self.random_state if rng is None else rng)
        labels = np.asarray(y)
        kept = [systematic(pi * (labels == c), generator) for c in self.classes_]
        chosen = np.concatenate(kept)
        rest = np.setdiff1d(np.arange(len(pi)), chosen)
        missing = int(budget) - len(chosen)
        return np.sort(np.concatenate([chosen, generator.permutation(rest)[:missing]])).astype(np.int64)

    def _pool(self, x: Any, y: Any, budget: Any) -> tuple[np.ndarray, np.ndarray, int]:
        checks.fitted(self, "standards_")
        samples = checks.finite("x", x)
        labels = checks.labels_for("y", y, len(samples), "x")
        checks.known("y", labels, self.classes_)
        number = checks.budget_for(budget, len(samples))
        h = checks.flat("latents", self.encoder_.transform(samples)).astype(np.float64)
        return h, labels, number

    def _parts(self, labels: np.ndarray, budget: int) -> list[tuple[np.ndarray, int, Standard]]:
        """Of each class: its rows, its share, its standard."""
        parts = []
        for c, share in zip(self.classes_.tolist(), equal_shares(budget, len(self.classes_)), strict=True):
            members = np.flatnonzero(labels == c)
            if len(members) < share and self.shortfall == "raise":
                raise Short(f"class {c}", "samples", len(members), share)
            parts.append((members, min(int(share), len(members)), self.standards_[c]))
        return parts


@dataclass(frozen=True, eq=False)
class Standard:
    """What a class's m trusted latents are compared by: their mean, whitening axes (d, k), and feature moments."""

    m: int
    mean: np.ndarray
    axes: np.ndarray
    moments: tuple[tuple[np.ndarray, np.ndarray], ...]

    @classmethod
    def of(cls, h: np.ndarray, k: int, c: Any) -> Standard:
        """Of the trusted latents h (m, d) of class c, on their k leading axes."""
        if len(h) < k + 2:
            raise ValueError(f"class {c} of x_real has {len(h)} samples, {k} components need {k + 2}")
        w, V = np.linalg.eigh(np.cov(h, rowvar=False).reshape(h.shape[1], -1))
        w, V = w[::-1][:k], V[:, ::-1][:, :k]
        if not w[-1] > 1e-12 * w[0]:
            raise ValueError(
                f"class {c} of x_real has no spread in {k} directions: choose fewer n_components"
            )
        own = cls(len(h), h.mean(axis=0), V / np.sqrt(w), ())
        return cls(own.m, own.mean, own.axes, tuple((g.mean(axis=0), g.std(axis=0)) for g in own.groups(h)))

    def groups(self, h: np.ndarray) -> list[np.ndarray]:
        """z_j;  z_j^2, and the energy off the axes if there is any;  z_i z_j for i < j."""
        off = h - self.mean
        z = off @ self.axes
        scales = z**2
        if z.shape[1] < h.shape[1]:
            directions = self.axes / np.linalg.norm(self.axes, axis=0)
            rest = np.square(off - (off @ directions) @ directions.T).sum(axis=1, keepdims=True)
            scales = np.hstack([scales, rest])
        i, j = np.triu_indices(z.shape[1], 1)
        return [z, scales, z[:, i] * z[:, j]]

    def features(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """phi (n, J) of the pool's latents h (n, d), and their target (J,)."""
        phi, target = [], []
        for group, (mean, sd) in zip(self.groups(h), self.moments, strict=True):
            f = (group - mean) / np.where(sd > 0, sd, 1.0)
            g = f.mean(axis=0)
            phi.append(f)
            target.append(g * (1 - stein_shrinkage(g, self.m)))
        return np.hstack(phi), np.concatenate(target)


def stein_shrinkage(gap: np.ndarray, m: int) -> float:
    """(1 - (J - 2) / (m |gap|^2))_+: the share of the gap (J,), with errors of variance 1/m each, to believe in.

    1 for J <= 2, where the sample itself cannot be bettered. James and Stein (1961), Baranchik's positive part.
    """
    noise, square = max(len(gap) - 2, 0), m * float(gap @ gap)
    return max(0.0, 1 - noise / square) if square > noise else float(noise == 0)


def tilt(phi: np.ndarray, target: np.ndarray, share: int, steps: int = 60) -> np.ndarray:
    """pi (n,) = min(1, exp(a + phi theta)), sum pi = share, sum pi phi / share = target - theta / share; the last two
    to a thousandth of the sampling error 1 / sqrt(share).

    Newton steps, halved until they descend, on the convex dual sum psi(a + phi theta) / share - a - theta . target +
    |theta|^2 / (2 share), psi' = min(1, exp). Raises RuntimeError if they have not converged.
    """
    A = np.hstack([np.ones((len(phi), 1)), phi])
    b, ridge = np.append(1.0, target), np.append(0.0, np.full(len(target), 1 / share))
    v = np.append(np.log(share / len(phi)), np.zeros(len(target)))

    def dual(v: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        u = A @ v
        pi = np.exp(np.minimum(u, 0.0))
        return float(np.where(u < 0, pi, 1 + u).sum() / share - b @ v + ridge @ v**2 / 2), u, pi

    value, u, pi = dual(v)
    enough = 1e-3 / np.sqrt(share)  # a thousandth of the error of the draw
    for _ in range(steps):
        gradient = A.T @ pi / share - b + ridge * v
        if np.abs(gradient).max() < enough:
            return pi * min(1.0, share / pi.sum())
        curved = np.where(u < 0, pi, 0.0) / share
        H = (A * curved[:, None]).T @ A + np.diag(ridge + 1e-10)
        step, size = np.linalg.solve(H, gradient), 1.0
        while True:
            new = dual(v - size * step)
            if new[0] <= value - 1e-4 * size * (gradient @ step) or size < 1e-8:
                break
            size /= 2
        v, (value, u, pi) = v - size * step, new
    raise RuntimeError(f"the tilt of {len(phi)} samples has not converged in {steps} Newton steps")


def systematic(pi: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Indices drawn with the inclusion probabilities pi (n,) in [0, 1], round(sum pi) of them, in a random order of the
    pool: each point of a grid of step 1 takes the sample whose stretch of the cumulated pi it falls in.
    """
    order = rng.permutation(len(pi))
    ends = np.cumsum(pi[order])
    count = round(float(ends[-1])) if len(ends) else 0
    if not count:
        return np.array([], dtype=np.int64)
    ends *= count / ends[-1]
    points = np.arange(count) + rng.random()
    return order[np.minimum(np.searchsorted(ends, points, side="right"), len(pi) - 1)]
