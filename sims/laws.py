"""What is the law of each class: in truth, as a generator has fitted it, and as it is sampled?

Class c is a mixture of J components of d dimensions,

    x = m_cj + R_cj e with probability p_cj,   R R' = S_cj,   e standard normal,

or, on a curved manifold, the top q entries of e (along the largest principal axes) are sqrt(q) rho u: u uniform on the
sphere S^{q-1}, rho = (1 + tau z)/sqrt(1 + tau^2) the radius, z standard normal. So a circle, a plane and a cloud of the
same second moments differ in one setting. A truth, a model fitted to samples and what a mechanism made of it are all
`Laws`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from lsf.checks import known
from sims.gaussian import psd_root

__all__ = ["Laws"]


@dataclass(frozen=True, eq=False)
class Laws:
    """`classes` (C,) sorted labels, `weights` (C, J) with rows that sum to 1, `means` (C, J, d), `covariances`
    (C, J, d, d) positive semidefinite; `sphere` q (0: normal in every direction), `thickness` tau (C, J)."""

    classes: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    sphere: int = 0
    thickness: np.ndarray | float = 0.0

    @property
    def dim(self) -> int:
        """d."""
        return self.means.shape[2]

    @cached_property
    def roots(self) -> np.ndarray:
        """R (C, J, d, d), columns along the principal axes, the largest last."""
        return np.array([[psd_root(S) for S in row] for row in self.covariances])

    @cached_property
    def _tau(self) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.thickness, dtype=float), self.weights.shape)

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float64, one row a label; raises ValueError on a label that is no class."""
        c = known("labels", labels, self.classes)
        j = (rng.random(len(c))[:, None] > np.cumsum(self.weights, axis=1)[c, :-1]).sum(axis=1)
        e = rng.standard_normal((len(c), self.dim))
        z = rng.standard_normal(len(c))
        x = np.empty_like(e)
        for a, b in np.argwhere(self.weights > 0):
            own = (c == a) & (j == b)
            x[own] = self.means[a, b] + self._curved(e[own], z[own], self._tau[a, b]) @ self.roots[a, b].T
        return x

    def _curved(self, e: np.ndarray, z: np.ndarray, tau: float) -> np.ndarray:
        """The same draws with the top q entries on a sphere of radius sqrt(q) rho."""
        q = self.sphere
        if not q:
            return e
        u = e[:, -q:] / np.linalg.norm(e[:, -q:], axis=1, keepdims=True)
        rho = (1 + tau * z) / np.sqrt(1 + tau**2)
        return np.concatenate([e[:, :-q], np.sqrt(q) * rho[:, None] * u], axis=1)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (C, d) and covariance (C, d, d) of each class: sum_j p_j (S_j + m_j m_j') - m m'."""
        p = self.weights[:, :, None]
        mean = (p * self.means).sum(axis=1)
        off = self.means - mean[:, None]
        spread = np.einsum("cj,cja,cjb->cab", self.weights, off, off)
        return mean, (p[..., None] * self.covariances).sum(axis=1) + spread

    def log_densities(self, x: np.ndarray) -> np.ndarray:
        """log p_cj N(x; m_cj, S_cj), (n, C, J), of normal components (a sphere is taken by its moments)."""
        out = np.full((len(x), *self.weights.shape), -np.inf)
        for a, b in np.argwhere(self.weights > 0):
            L = np.linalg.cholesky(self.covariances[a, b])
            w = np.linalg.solve(L, (x - self.means[a, b]).T)
            out[:, a, b] = (
                np.log(self.weights[a, b]) - np.log(np.diag(L)).sum() - np.square(w).sum(axis=0) / 2
            )
        return out - self.dim * np.log(2 * np.pi) / 2

    def log_odds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """log p_y(x) - log sum_{c != y} p_c(x), (n,): what the best probe of these laws would say."""
        own = known("y", y, self.classes)[:, None]
        by_class = logsumexp(self.log_densities(x), axis=2)
        mine = np.take_along_axis(by_class, own, axis=1)[:, 0]
        np.put_along_axis(by_class, own, -np.inf, axis=1)
        return mine - logsumexp(by_class, axis=1)

    def modes(self, x: np.ndarray) -> np.ndarray:
        """Which (class, component) each row most likely comes from: c J + j, (n,)."""
        return self.log_densities(x).reshape(len(x), -1).argmax(axis=1)

    def state(self) -> dict[str, np.ndarray]:
        """The arrays that make these laws."""
        return {
            "classes": self.classes,
            "weights": self.weights,
            "means": self.means,
            "covariances": self.covariances,
            "sphere": np.array(self.sphere),
            "thickness": np.array(self._tau),
        }
