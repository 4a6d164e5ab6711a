"""How is the two-subspace model sampled for a check? Draws from sims.lowrank alone: no formula under test is used."""

from collections.abc import Callable, Sequence

import numpy as np

from lsf.ole import ole
from sims.lowrank import TwoSubspaces

__all__ = [
    "QUARTER",
    "Draw",
    "frames_at",
    "log_odds",
    "sampled_confidence",
    "sampled_ole",
    "kept_second_moments",
]

QUARTER = np.pi / 2
Draw = Callable[[np.random.Generator, int], np.ndarray]


def frames_at(angles: Sequence[float], dim: int, rng: np.random.Generator) -> np.ndarray:
    """(2, d, r): random frames with these principal angles; `TwoSubspaces.frames` has equal ones."""
    theta = np.asarray(angles)
    Q = np.linalg.qr(rng.standard_normal((dim, 2 * theta.size)))[0]
    U_0, V = Q[:, : theta.size], Q[:, theta.size :]
    return np.stack([U_0, np.cos(theta) * U_0 + np.sin(theta) * V])


def log_odds(
    truth: TwoSubspaces,
    size: int,
    rng: np.random.Generator,
    believed: float | None = None,
    frames: np.ndarray | None = None,
) -> np.ndarray:
    """log p_1/p_0 of `size` samples of class 1, from densities: kappa (|U_1' x|^2 - |U_0' x|^2).

    kappa = 1 / (2 s^2 (1 + s^2)) is that of the noise `believed`: a fixed probe keeps the noise it was made with.
    `frames`: those of the truth, at its own angle, if left out.
    """
    s = truth.noise if believed is None else believed
    U = truth.frames(rng) if frames is None else frames
    x = truth.draw(U, size, rng).x[size:]
    energy = [np.square(x @ u).sum(axis=1) for u in U]
    return (energy[1] - energy[0]) / (2 * s**2 * (1 + s**2))


def sampled_confidence(truth: TwoSubspaces) -> Draw:
    return lambda rng, size: 1 / (1 + np.exp(-log_odds(truth, size, rng)))


def sampled_ole(truth: TwoSubspaces, n: int) -> Draw:
    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        pools = [truth.draw(truth.frames(rng), n, rng) for _ in range(size)]
        return np.array([ole(pool.x, pool.y) for pool in pools])

    return draw


def kept_second_moments(
    truth: TwoSubspaces, keep: Callable[[np.ndarray], np.ndarray], size: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Mean square of the kept along the class's own subspace and along the other's (90 degrees), per unit variance."""
    U = truth.frames(rng)
    x = truth.draw(U, size, rng).x[size:]
    own, other = (np.square(x @ u).sum(axis=1) for u in (U[1], U[0]))
    kept = keep(own - other)
    s2 = truth.noise**2
    return own[kept].mean() / (truth.rank * (1 + s2)), other[kept].mean() / (truth.rank * s2)
