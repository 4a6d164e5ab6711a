"""Which two-subspace model do labelled samples of two classes come from, and what does it predict?

Model: x of class c ~ N(0, S_c), S_c = a^2 (U_c U_c' + s^2 I): scale a, noise s in its units, principal angles theta_i.
Fit, from the second moments of each class (n samples, d dimensions, rank r): frames F_c are the top r eigenvectors; l
the mean top eigenvalue and f the mean of the rest, over the classes, lose what sampling moved between them,

    l^ = l (1 + (d-r) f / (n (l-f))),   f^ = f (1 - r l / (n (l-f)))   (as sampled),   a^2 = l - f,   s^2 = f/a^2.

Sampling also turns frames, and so classes apart. By symmetry E F F' = b U U' + (1-b) (r/d) I, where c2, the mean
squared cosine of F and U (`theory.alignment.pca_overlap`), is b + (1-b) r/d; two independent frames then have

    E cos^2(fitted) - r/d = b_0 b_1 (cos^2 - r/d)      in the mean over angles, exactly for exact b:

squared cosines shrink towards chance, r/d, not towards zero. It is undone angle by angle, then cut to [0, 1].

Predictions: theory's, at the fitted angles and noise. For a fixed quadratic probe Q, and a pool from which the top is
kept by it, the law of z = x'Qx/2, x ~ N(0, R R'), m_j the eigenvalues of R'QR, on a contour that no branch cut meets:

    P(z > t) = (1/pi) Im int_0^inf prod_j (1 - m_j k)^{-1/2} e^{-k t} tanh(v + i pi/4) dv,
        k = cosh(v + i pi/4)/(sqrt2 max m),
    E x x' 1(z > t) = R V diag(P_j) V' R',   V the eigenvectors, P_j the same tail with m_j three times
        (where theory.selection has chi^2_{r+2}).

Source: own derivation; the moved eigenvalues are the spiked model's (Paul 2007; Passemier and Yao 2012).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from lsf import checks
from theory.alignment import pca_overlap
from theory.confidence import expected_confidence, snr
from theory.ole import expected_ole, normalised_ole
from theory.probe import gaussian_probe_confidence

__all__ = ["TwoSubspaceModel", "fit", "jackknife", "predicted_ole", "Tail", "keep_top"]


@dataclass(frozen=True, eq=False)
class TwoSubspaceModel:
    """`frames` (2, d, r) as fitted; `angles` (r,) radians, corrected; `noise` s, in units of `scale` a; `shrink` (2,)
    is b of each class."""

    frames: np.ndarray
    angles: np.ndarray
    noise: float
    scale: float
    shrink: np.ndarray

    @property
    def dim(self) -> int:
        """d."""
        return self.frames.shape[1]

    @property
    def covariances(self) -> np.ndarray:
        """a^2 (P_c + s^2 I), (2, d, d), P_c = (F F' - (1-b)(r/d) I)/b unbiased; positive definite at n of a few r."""
        b, r = self.shrink[:, None, None], self.frames.shape[2]
        P = (self.frames @ self.frames.swapaxes(1, 2) - (1 - b) * r / self.dim * np.eye(self.dim)) / b
        return self.scale**2 * (P + self.noise**2 * np.eye(self.dim))

    @property
    def probe(self) -> np.ndarray:
        """Q (d, d): log-odds of class 1 are x'Qx/2, Q = (F_1 F_1' - F_0 F_0')/(a^2 s^2 (1+s^2))."""
        F = self.frames
        return (F[1] @ F[1].T - F[0] @ F[0].T) / (self.scale * self.noise) ** 2 / (1 + self.noise**2)

    @property
    def confidence(self) -> float:
        """Expected confidence of the Bayes classifier."""
        return float(expected_confidence(snr(self.angles, self.noise)))

    def probe_confidence(self, Q: np.ndarray) -> float:
        """Mean confidence in its own label that the fixed probe Q has in a sample of this model."""
        S_0, S_1 = self.covariances
        return (gaussian_probe_confidence(-Q, S_0) + gaussian_probe_confidence(Q, S_1)) / 2


def fit(x: Any, y: Any, rank: int) -> TwoSubspaceModel:
    """The model of samples or latents x (n, ...), flattened, with labels y (n,) of two classes, about zero.

    Raises ValueError unless there are two classes, 2 rank <= d, each class has more samples than `rank`, and the top
    eigenvalues stand out of the noise far enough for a frame to be found at all.
    """
    x = checks.flat("x", x).astype(np.float64)
    y = checks.labels_for("y", y, len(x), "x")
    classes, d = np.unique(y), x.shape[1]
    if len(classes) != 2:
        raise ValueError(f"y must hold two classes, found {len(classes)}")
    if not 1 <= rank <= d // 2:
        raise ValueError(f"rank must lie in 1..{d // 2}, half the dimension, found {rank}")
    n = np.array([np.sum(y == c) for c in classes])
    if n.min() <= rank:
        raise ValueError(f"x must hold more than rank = {rank} samples a class, found {n.min()}")
    w, V = np.linalg.eigh(np.stack([x[y == c].T @ x[y == c] / np.sum(y == c) for c in classes]))
    top, rest = _unmoved(w[:, -rank:].mean(), w[:, :-rank].mean(), d, rank, 2 / np.sum(1 / n))
    F, s = V[:, :, -rank:], np.sqrt(rest / (top - rest))
    c2 = np.asarray(pca_overlap(d, n, s))
    b = (c2 - rank / d) / (1 - rank / d)
    if b.min() <= 0:
        raise ValueError(
            f"x must show its subspaces: noise {s:.3g} at {n.min()} samples in {d} dimensions hides them"
        )
    seen = np.square(np.linalg.svd(F[0].T @ F[1], compute_uv=False))
    cos_2 = np.clip(rank / d + (seen - rank / d) / b.prod(), 0, 1)
    return TwoSubspaceModel(F, np.arccos(np.sqrt(cos_2)), float(s), float(np.sqrt(top - rest)), b)


def _unmoved(high: float, low: float, d: int, r: int, n: float) -> tuple[float, float]:
    """(l, f) from the mean sample eigenvalues of the top r and of the others: l solves a quadratic, f by iteration."""
    gamma, rest = (d - r) / n, low
    for _ in range(50):
        clear = high - (1 + gamma) * rest
        if rest <= 0 or clear <= 2 * np.sqrt(gamma) * rest:  # within the bulk of the noise
            raise ValueError(
                f"x must show its subspaces: eigenvalues {high:.3g} and {low:.3g} are noise alone"
            )
        gap = (clear + np.sqrt(clear**2 - 4 * gamma * rest**2)) / 2
        before, rest = rest, low / (1 - r * (rest + gap) / (n * gap))
        if abs(rest - before) <= 1e-15 * rest:
            break
    return rest + gap, rest


def jackknife(
    x: np.ndarray, y: np.ndarray, rank: int, of: Callable[[TwoSubspaceModel], Any], groups: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """(value, standard error) of `of(model)`, leaving out one of `groups` interleaved parts of each class at a time.

    Rows of a class must be exchangeable. At angles cut to 0 or 90 degrees the error is too small.
    """
    order = np.argsort(y, kind="stable")
    part = np.empty(len(y), dtype=int)
    part[order] = np.arange(len(y)) % groups
    left = np.array([of(fit(x[part != g], y[part != g], rank)) for g in range(groups)])
    error = np.sqrt((groups - 1) / groups * np.square(left - left.mean(axis=0)).sum(axis=0))
    return np.asarray(of(fit(x, y, rank))), error


def predicted_ole(models: Sequence[TwoSubspaceModel], n: int) -> tuple[np.ndarray, np.ndarray]:
    """(E OLE, OLEn) of n samples a class, each (len(models),), of models of one dimension and rank; asymptotic."""
    theta, s = np.stack([m.angles for m in models]), np.array([m.noise for m in models])
    scale, d = np.array([m.scale for m in models]), models[0].dim
    return scale * expected_ole(d, n, theta, s), np.asarray(normalised_ole(d, n, theta, s))


class Tail:
    """P(z > t), t >= 0, of z = sum_j m_j g_j^2/2, g standard normal; m (..., p) with a positive entry, no row all zero.

    About 1e-12 absolute. Below t = 0: one less the tail of -m at -t.
    """

    def __init__(self, m: np.ndarray) -> None:
        self.m = m
        least = (m != 0).sum(axis=-1).min()
        v = _STEP * np.arange(int((75 / least + 3) / _STEP)) + 0.25j * np.pi
        self.k = np.cosh(v) / (np.sqrt(2) * m.max())
        weight = np.where(np.arange(len(v)) == 0, 0.5, 1.0) * _STEP / np.pi * np.tanh(v)
        # principal roots, factor by factor
        self.K = weight / np.sqrt(1 - m[..., None] * self.k).prod(axis=-2)

    def __call__(self, t: float) -> np.ndarray:
        """(...)."""
        return (self.K @ np.exp(-self.k * t)).imag

    def thrice(self, t: float) -> np.ndarray:
        """(..., p): the same with m_j three times, E g_j^2 1(z > t)."""
        return ((self.K[..., None, :] / (1 - self.m[..., None] * self.k)) @ np.exp(-self.k * t)).imag


_STEP = (
    0.15  # the integrand is analytic within pi/4 of the line: the trapezoidal rule errs by exp(-pi^2/(2h))
)


def keep_top(Q: np.ndarray, covariances: Sequence[np.ndarray], share: float) -> tuple[np.ndarray, np.ndarray]:
    """What the top `share` of a pool by x'Qx is made of, the pool being equal blocks of N(0, S_j): each block's part of
    the kept (sum 1), and the kept second moments (d, d). Infinite sample.

    Raises ValueError if `share` is not in (0, 1), or so large that the threshold is negative, where more is kept than
    the probe thinks is of the class.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie in (0, 1), found {share}")
    R = np.stack([_root(S) for S in covariances])
    m, V = np.linalg.eigh(R.swapaxes(1, 2) @ Q @ R)
    seen = np.abs(m).max(axis=0) > 1e-12 * np.abs(m).max()
    above = Tail(m[:, seen])
    if above(0).mean() < share:
        raise ValueError(
            f"share must be at most {above(0).mean():.3g}, the part that the probe takes for the class"
        )
    t = brentq(lambda t: above(t).mean() - share, 0, 40 * np.abs(m).sum())
    P = above(t)
    part = np.repeat(P[:, None], len(seen), axis=1)
    part[:, seen] = above.thrice(t)
    axes = R @ V
    return P / P.sum(), np.einsum("bij,bj,bkj->ik", axes, part, axes) / P.sum()


def _root(S: np.ndarray) -> np.ndarray:
    w, V = np.linalg.eigh(S)
    return V * np.sqrt(np.clip(w, 0, None))
