"""Which ways does a generator have of getting the classes wrong, one at a time?

A mechanism is a map of laws: what a fitted model would be sampled as. Switched on together they act in this order.
  capacity    m: all classes live in the top m principal axes of the pooled second moments; beyond them every class has
              the same floor, its mean variance there (a shared network too small for all subspaces)
  shrinkage   a: S_c <- (1-a) S_c + a S, m_c <- (1-a) m_c + a m, S and m the averages over classes
  leakage     e: a sample of label c is drawn from another class, all alike, with probability e
  outliers    o: a share o of the samples of every class comes from a broad cloud about its mean, isotropic, of
              `OUTLIER_SCALE` times its mean variance (failed samples)
  temperature T: every component's covariance times T (1: none; below 1 the generator contracts)
  floor       f: independent noise of s.d. f is added in every direction
  rotation    p: all classes turn together by p degrees, in planes that are drawn once a seed
"""

from dataclasses import dataclass, replace

import numpy as np

from lsf.checks import whole
from sims.laws import Laws

__all__ = ["Mechanisms", "NONE"]


@dataclass(frozen=True)
class Mechanisms:
    """Switches, each at "none" by default; ValueError, naming the switch, on a value out of range."""

    capacity: int | None = None
    shrinkage: float = 0.0
    leakage: float = 0.0
    outliers: float = 0.0
    temperature: float = 1.0
    floor: float = 0.0
    rotation: float = 0.0

    def __post_init__(self) -> None:
        if self.capacity is not None and whole("capacity", self.capacity) < 1:
            raise ValueError(f"capacity must be at least 1, or None, found {self.capacity}")
        for name in ("shrinkage", "leakage", "outliers"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], found {getattr(self, name)}")
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature must be a positive number, found {self.temperature}")
        if not 0 <= self.floor < np.inf:
            raise ValueError(f"floor must be a standard deviation, 0 or more, found {self.floor}")
        if not abs(self.rotation) <= 180:
            raise ValueError(f"rotation must lie in [-180, 180] degrees, found {self.rotation}")

    def apply(self, laws: Laws, planes: np.ndarray | None = None) -> Laws:
        """What `laws` are sampled as. `planes` (d, d) orthogonal: rotation turns its columns in pairs."""
        if self.capacity is not None:
            laws = _squeezed(laws, self.capacity)
        if self.shrinkage:
            laws = _pooled(laws, self.shrinkage)
        if self.leakage:
            laws = _leaked(laws, self.leakage)
        if self.outliers:
            laws = _littered(laws, self.outliers)
        if self.temperature != 1 or self.floor:
            S = self.temperature * laws.covariances + self.floor**2 * np.eye(laws.dim)
            laws = replace(laws, covariances=S)
        return _turned(laws, self.rotation, planes) if self.rotation else laws


NONE = Mechanisms()
OUTLIER_SCALE = 4.0


def _squeezed(laws: Laws, m: int) -> Laws:
    """P S P + f (I - P), P m: P onto the top m axes of the pooled second moments, f the mean variance off them."""
    if m >= laws.dim:
        return laws
    mean, S = laws.moments()
    pooled = (S + mean[:, :, None] * mean[:, None, :]).mean(axis=0)
    V = np.linalg.eigh(pooled)[1][:, -m:]
    P = V @ V.T
    off = np.eye(laws.dim) - P
    f = np.einsum("ab,cjab->cj", off, laws.covariances)[:, :, None, None] / (laws.dim - m)
    return replace(laws, means=laws.means @ P, covariances=P @ laws.covariances @ P + f * off)


def _pooled(laws: Laws, a: float) -> Laws:
    """Each component drawn towards the average of its kind over classes."""
    m, S = laws.means.mean(axis=0), laws.covariances.mean(axis=0)
    return replace(laws, means=(1 - a) * laws.means + a * m, covariances=(1 - a) * laws.covariances + a * S)


def _leaked(laws: Laws, e: float) -> Laws:
    """Class c: its own components with weight 1 - e, those of every other class with e/(C-1)."""
    C, J = laws.weights.shape
    if C < 2:
        raise ValueError("leakage must be 0 in a world of one class")
    share = np.where(np.eye(C, dtype=bool), 1 - e, e / (C - 1))

    def every(a: np.ndarray) -> np.ndarray:
        return np.broadcast_to(a.reshape(1, C * J, *a.shape[2:]), (C, C * J, *a.shape[2:]))

    weights = (share[:, :, None] * laws.weights[None]).reshape(C, C * J)
    tau = np.broadcast_to(np.asarray(laws.thickness, dtype=float), laws.weights.shape)
    return replace(
        laws,
        weights=weights,
        means=every(laws.means),
        covariances=every(laws.covariances),
        thickness=every(tau),
    )


def _littered(laws: Laws, o: float) -> Laws:
    """One more component in each class, of weight o."""
    m, S = laws.moments()
    cloud = OUTLIER_SCALE * np.trace(S, axis1=1, axis2=2)[:, None, None] / laws.dim * np.eye(laws.dim)
    tau = np.broadcast_to(np.asarray(laws.thickness, dtype=float), laws.weights.shape)
    return replace(
        laws,
        weights=np.hstack([(1 - o) * laws.weights, np.full((len(m), 1), o)]),
        means=np.concatenate([laws.means, m[:, None]], axis=1),
        covariances=np.concatenate([laws.covariances, cloud[:, None]], axis=1),
        thickness=np.hstack([tau, np.zeros((len(m), 1))]),
    )


def _turned(laws: Laws, degrees: float, planes: np.ndarray | None) -> Laws:
    """R m and R S R', R a rotation by that angle in each pair of columns of `planes`."""
    if planes is None:
        raise ValueError("rotation needs planes, an orthogonal matrix whose columns turn in pairs")
    t, d = np.deg2rad(degrees), laws.dim
    R = np.eye(d)
    for i in range(0, d - 1, 2):
        R[i : i + 2, i : i + 2] = [[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]
    R = planes @ R @ planes.T
    return replace(laws, means=laws.means @ R.T, covariances=R @ laws.covariances @ R.T)
