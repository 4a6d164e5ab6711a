"""What does a loop do whose generator keeps each class on a low-rank manifold, and where do such classes come from?

Truth ("two-subspace" model): class c is N(0, U_c U_c' + noise^2 I), the frames U_0, U_1 (d x r) at equal principal
angles. Generator: probabilistic principal components (Tipping and Bishop, 1999) of each class about zero: the top
`rank` eigenvectors of X'X/n with their eigenvalues, and the mean of the other eigenvalues as isotropic noise.
"""

from dataclasses import dataclass

import numpy as np

from lsf.pool import Pool
from sims.gaussian import ClassGaussians

__all__ = ["ClassSubspaces", "TwoSubspaces", "ppca"]


def ppca(S: np.ndarray, rank: int) -> np.ndarray:
    """U (L - s^2) U' + s^2 I from the eigenvalues of S (d, d), s^2 the mean of those beyond the rank < d."""
    w, V = np.linalg.eigh(S)
    floor = w[:-rank].mean()
    U, L = V[:, -rank:], w[-rank:]
    return (U * (L - floor)) @ U.T + floor * np.eye(len(w))


@dataclass(frozen=True)
class TwoSubspaces:
    """The real distribution: two classes in `dim` dimensions on subspaces of dimension `rank`, all principal angles
    `angle` (radians), isotropic noise of standard deviation `noise`. Raises ValueError on values out of range."""

    dim: int
    rank: int
    angle: float
    noise: float

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= self.dim // 2:
            raise ValueError(f"rank must lie in 1..dim/2 = {self.dim // 2}, found {self.rank}")
        if not 0 <= self.angle <= np.pi / 2:
            raise ValueError(f"angle must lie in [0, pi/2] radians, found {self.angle}")
        if not 0 < self.noise < np.inf:
            raise ValueError(f"noise must be a positive number, found {self.noise}")

    def frames(self, rng: np.random.Generator) -> np.ndarray:
        """(2, d, r): random frames at that angle, U_1 = cos(angle) U_0 + sin(angle) V with V orthogonal to U_0."""
        Q = np.linalg.qr(rng.standard_normal((self.dim, 2 * self.rank)))[0]
        U_0, V = Q[:, : self.rank], Q[:, self.rank :]
        return np.stack([U_0, np.cos(self.angle) * U_0 + np.sin(self.angle) * V])

    def draw(self, frames: np.ndarray, per_class: int, rng: np.random.Generator) -> Pool:
        """`per_class` real samples of each class: x = U_c a + noise e."""
        y = np.repeat(np.arange(2), per_class)
        a = rng.standard_normal((len(y), self.rank))
        e = rng.standard_normal((len(y), self.dim))
        return Pool(np.einsum("ndr,nr->nd", frames[y], a) + self.noise * e, y, 0)


@dataclass(frozen=True)
class ClassSubspaces(ClassGaussians):
    """Probabilistic principal components of each class about zero; `shrink` multiplies the covariance."""

    rank: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, found {self.rank}")

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Zero: the manifolds pass through the origin."""
        return np.zeros(x.shape[1])

    def covariance(self, x: np.ndarray) -> np.ndarray:
        """`ppca` of x'x/n."""
        if self.rank >= x.shape[1]:
            raise ValueError(f"rank must be less than the dimension {x.shape[1]}, found {self.rank}")
        return ppca(x.T @ x / len(x), self.rank)
