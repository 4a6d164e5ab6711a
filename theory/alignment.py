"""What turns two class subspaces towards each other, and what merely looks like it?

Estimation noise does not: a PCA refit from n samples a class keeps the mean squared cosine
    c2 = (1 - gamma s^4)/(1 + gamma s^2),   gamma = d/n   (0 where gamma s^4 >= 1)
with the true subspace, and multiplies the mean cosine between the classes by c2: they become MORE orthogonal.
Label leakage eps does (a share eps of each class comes from the other), by PCA of the mixture:
    theta' = theta - atan2(eps sin 2 theta, 1 - eps + eps cos 2 theta),
against the estimation noise only beyond eps_c (linearised at 90 degrees: bracket it, the crossover is
smooth), which solves
    1 - 2 eps = c2(eps),   c2(eps) that of a spike of strength 1 - eps: noise s/sqrt(1 - eps) in c2.
An earlier note of ours had eps_c = (1 - c2)/2 with the c2 of the unleaked spike: too low, since leakage takes a
share eps of the class's own variance and so weakens what PCA has to find (0.127 for 0.152 at gamma = 0.64,
s = 0.6; samples tell them apart).

With full covariances and infinite n, L = (1 - 2 eps)^k, the class covariance is (1+L)/2 S_1 + (1-L)/2 S_0:
    per plane (1/2)(1 +- sqrt(1 - (1 - L^2) sin^2 theta)) + s^2, the pooled spectrum unchanged;
    fixed-probe confidence 1/2 + L (xi_0 - 1/2) if the generator reproduces the leaked MIXTURE,
    and, for a Gaussian refit, that of theory.probe with
        T = 2 kappa L sin^2,   D = (2 kappa)^2 sin^2 ((1-L^2)/4 sin^2 + s^2 + s^4).
A growing noise floor, s_k^2 = s^2 + k growth^2, raises OLE and lowers confidence with no angle changed at
all. So OLE up and confidence down identify neither alignment nor collapse.

Source: own derivation; c2 is the spiked model's overlap (Paul 2007; Benaych-Georges and Nadakuditi 2012).
"""

from typing import Any

import numpy as np

from theory.checks import Array, Real, bisect, fits, non_negative, plain, positive, right_angles, whole
from theory.confidence import expected_confidence, snr
from theory.nuclear_norm import deterministic_equivalent
from theory.ole import expected_ole
from theory.probe import plane_confidence
from theory.subspaces import pooled_spectrum

__all__ = [
    "pca_overlap",
    "leakage_angle",
    "critical_leakage",
    "leakage_ole",
    "leakage_confidence",
    "noise_floor_ole",
]


def pca_overlap(dim: Any, n: Any, noise: Any, leakage: Any = 0.0) -> Real:
    """c2 = (1 - gamma s^4)/(1 + gamma s^2), gamma = dim/n: mean squared cosine of fitted and true subspace.

    With `leakage` eps the spike is 1 - eps (at right angles), which is noise s/sqrt(1 - eps) for a spike of 1.
    Asymptotic (dim and `n` per class large, rank fixed); 0 for gamma s^4 >= 1, where a finite rank r leaves
    about r/dim.

    Raises
    ------
    ValueError
        if `dim` or `n` is below one, `noise` is negative, or `leakage` is not in [0, 1/2]
    """
    gamma, s_2 = whole("dim", dim) / whole("n", n), non_negative("noise", noise) ** 2 / (1 - _leak(leakage))
    return plain(np.maximum(1 - gamma * s_2**2, 0) / (1 + gamma * s_2))


def critical_leakage(dim: Any, n: Any, noise: Any) -> Real:
    """eps_c, the least root of 1 - 2 eps = c2(eps): beyond it leakage turns classes together faster than estimation
    turns them apart.

    Linearised at 90 degrees: x = cos theta becomes c2(eps) x/(1 - 2 eps) in one generation, `pca_overlap` with that
    leakage. At most 1/2, its value where c2 is 0. In finite samples the crossover is smooth: bracket it. Own
    derivation.
    """
    d, N, s = np.broadcast_arrays(whole("dim", dim), whole("n", n), non_negative("noise", noise))

    def apart(eps: Array) -> Array:
        return 1 - 2 * eps - np.asarray(pca_overlap(d, N, s, eps))

    grid = np.linspace(0, 0.5, 201)  # where c2(eps) reaches 0 before 1/2 there may be a second root
    together = apart(grid.reshape(-1, *np.ones(d.ndim, int))) < 0
    first = np.argmax(together, axis=0)
    found = together.any(axis=0)
    return plain(bisect(apart, np.where(found, grid[first - 1], 0.5), np.where(found, grid[first], 0.5)))


def _leak(leakage: Any) -> Array:
    eps = non_negative("leakage", leakage)
    if (eps > 0.5).any():
        raise ValueError(f"leakage holds {eps.max()}: give the share from the other class, within [0, 1/2]")
    return eps


def leakage_angle(angle: Any, leakage: Any, generations: int) -> Array:
    """theta_k, k = 0..K: theta' = theta - atan2(eps sin 2 theta, 1 - eps + eps cos 2 theta); shape (..., K + 1).

    Each class's leading direction in (1-eps) P_1 + eps P_0 turns by half that towards the other. Infinite n.

    Raises
    ------
    ValueError
        if the angle is not in [0, pi/2], or `leakage` is not in [0, 1/2]
    """
    theta, eps = np.broadcast_arrays(right_angles(angle, "angle"), _leak(leakage))
    path = [theta]
    for _ in range(int(whole("generations", generations, 0))):
        theta = theta - np.arctan2(eps * np.sin(2 * theta), 1 - eps + eps * np.cos(2 * theta))
        path.append(np.maximum(theta, 0))
    return np.stack(path, axis=-1)


def _purity(leakage: Any, generations: int) -> Array:
    """L_k = (1 - 2 eps)^k, shape (..., K + 1)."""
    return (1 - 2 * _leak(leakage)[..., None]) ** np.arange(int(whole("generations", generations, 0)) + 1)


def leakage_ole(dim: Any, rank: int, n: Any, angle: Any, noise: Any, leakage: Any, generations: int) -> Array:
    """E OLE_k, k = 0..K, of n columns a class with leaked full covariances (all `rank` angles equal `angle`).

    Class spectrum (1/2)(1 +- sqrt(1 - (1-L^2) sin^2)) + s^2 (r times each), s^2 (d - 2r); pooled unchanged.
    Asymptotic.

    Raises
    ------
    ValueError
        if 2*rank > dim, or an argument is out of its range
    """
    theta, s = right_angles(angle, "angle")[..., None], non_negative("noise", noise)[..., None]
    L, N, r = _purity(leakage, generations), whole("n", n)[..., None], int(whole("rank", rank))
    d = fits(dim, r)[..., None]
    root = np.sqrt(1 - (1 - L**2) * np.sin(theta) ** 2)
    # the smaller one without cancellation: product (1 - L^2) sin^2 / 4
    small = (1 - L**2) * np.sin(theta) ** 2 / (2 * (1 + root))
    values = np.stack(np.broadcast_arrays((1 + root) / 2 + s**2, small + s**2, s**2), axis=-1)
    times = np.stack([np.full_like(d, r), np.full_like(d, r), d - 2 * r], axis=-1)
    pooled, pooled_times = pooled_spectrum(d, np.repeat(theta[..., None], r, axis=-1), s)
    one = np.asarray(deterministic_equivalent(values, N, times))
    return 2 * one - np.asarray(deterministic_equivalent(pooled, 2 * N, pooled_times))


def leakage_confidence(
    rank: int, angle: Any, noise: Any, leakage: Any, generations: int, refit: str = "mixture"
) -> Array:
    """Fixed-probe confidence of class-1 labelled data after k = 0..K leaks; shape (..., K + 1). Infinite n.

    `refit` "mixture": the generator reproduces the leaked mixture, 1/2 + L (xi_0 - 1/2).
    `refit` "gaussian": it fits one Gaussian a class with covariance (1+L)/2 S_1 + (1-L)/2 S_0.

    The second tends to 1 as the rank grows (L = 1/2, theta = 1, s = 0.1: 0.80 at r = 3, 0.99 at r = 20, the
    mixture 0.75), and is slightly LOWER at r = 1, s = 0.5; an earlier note of ours called it "much higher"
    throughout. Own derivation.

    Raises
    ------
    ValueError
        if `refit` is neither, or an argument is out of its range
    """
    theta, s = right_angles(angle, "angle")[..., None], positive("noise", noise)[..., None]
    L, r = _purity(leakage, generations), int(whole("rank", rank))
    if refit == "mixture":
        xi_0 = np.asarray(expected_confidence(np.repeat(np.asarray(snr(theta, s[..., 0])), r, axis=-1)))
        return 0.5 + L * (xi_0[..., None] - 0.5)
    if refit != "gaussian":
        raise ValueError(f"refit is {refit!r}: give 'mixture' or 'gaussian'")
    two_kappa, sin_2 = 1 / (s**2 * (1 + s**2)), np.sin(theta) ** 2
    T = two_kappa * L * sin_2
    D = two_kappa**2 * sin_2 * ((1 - L**2) / 4 * sin_2 + s**2 + s**4)
    T, D = (np.repeat(x[..., None], r, axis=-1) for x in np.broadcast_arrays(T, D))
    return np.asarray(plane_confidence(T, D))


def noise_floor_ole(
    dim: Any, rank: int, n: Any, angle: Any, noise: Any, growth: Any, generations: int
) -> Array:
    """E OLE_k, k = 0..K, with s_k^2 = s^2 + k growth^2 and the angles untouched; shape (..., K + 1). Asymptotic.

    Raises
    ------
    ValueError
        if 2*rank > dim, `growth` is negative, or another argument is out of its range
    """
    theta, s = right_angles(angle, "angle")[..., None], non_negative("noise", noise)[..., None]
    g, r = non_negative("growth", growth)[..., None], int(whole("rank", rank))
    k = np.arange(int(whole("generations", generations, 0)) + 1)
    angles = np.repeat(theta[..., None], r, axis=-1)
    d, N = whole("dim", dim)[..., None], whole("n", n)[..., None]
    return np.asarray(expected_ole(d, N, angles, np.sqrt(s**2 + k * g**2)))
