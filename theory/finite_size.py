"""By how much is the deterministic equivalent off at finite size, and always on which side?

E tr sqrt(X X^T) = D(sigma, N) + delta + smaller, with
    df_2(k) = sum_j sigma_j^2/(sigma_j + k)^2,   dz/dk = N - df_2:
    delta = (1/4 pi) int_{k0}^inf (N - df_2) log(1 - df_2/N) / sqrt(k (N - df)) dk  <  0.
Why: for real Gaussian entries
    E log det(A + z) = its equivalent + (1/2) log(1 - df_2/N)
(Bai and Silverstein 2004; at z = 0 and Sigma = I it is sum_j psi((N-j)/2), expanded), and
    sqrt(l) = (1/pi) int_0^inf l/(l+z) dz/sqrt z,
by parts. So the deterministic equivalent is too HIGH, for every spectrum; by the factor 1 + 1/(8 max(r, N))
for white r x N matrices, to leading order.

Columns of two classes with S_0 - S_1 = Delta have a second fluctuating mode, odd under the swap of the
classes:
    log(1 - df_2/N) becomes log(1 - df_2/N) + log(1 - g),
    g = (1/(2N)) sum_i sin^2 theta_i / ((h+_i + k)(h-_i + k)),   h+-_i = (1 +- cos theta_i)/2 + s^2,
since Delta couples the two eigenvectors of S_0 + S_1 in each plane by sin theta_i.

What is left is of relative order 1/N^2. Proved for E OLE at r = 1, s = 0, every angle (tests/proofs/test_rate.py,
docs/open_questions.md): with z = sqrt((1 + sin theta)/2),
    D/E OLE - 1 ~ (3 + 1/z)/(16 n),   (D + delta)/E OLE - 1 ~ -(31 + 3/z + 9/z^2 + 9/z^3)/(512 n^2),
so delta takes all of the first order there, its second mode included (n = 10: 2.6% becomes 0.16%). From n = 2 on it
helps; at n = 1 it does harm: 11 to 13% too high becomes 37 to 43% too low. Not a bound. Source: own derivation
from the formulas named; elsewhere heuristic in the second mode, checked against exact values.
"""

from typing import Any

import numpy as np

from theory.checks import Array, Real, non_negative, plain, positive, right_angles
from theory.nuclear_norm import edge

__all__ = ["first_correction", "rate_constants"]

_STEP, _REACH, _TINY = 0.25, 62.0, 1e-60


def first_correction(eigenvalues: Any, n: Any, multiplicity: Any = None, planes: Any = None) -> Real:
    """delta, to be added to `deterministic_equivalent(eigenvalues, n, multiplicity)`; same arguments and shapes.

    `planes`: None for columns of one covariance; for two classes (n counts both) the three arrays
    (h_plus, h_minus, sin^2 theta), each with the r angles on the last axis. Own derivation (module docstring).

    Raises
    ------
    ValueError
        as `deterministic_equivalent`
    """
    sigma = np.atleast_1d(non_negative("eigenvalues", eigenvalues))
    count = np.atleast_1d(non_negative("multiplicity", 1.0 if multiplicity is None else multiplicity))
    N = positive("n", n)[..., None]
    seen = sigma > _TINY * sigma.max(axis=-1, keepdims=True)
    sigma, count = np.broadcast_arrays(sigma, np.where(seen, count, 0.0))
    top = sigma.max(axis=-1, keepdims=True)
    top = np.where(top > 0, top, 1.0)
    sigma = np.where(count > 0, sigma / top, 1.0)
    high, low, sin_2 = (0.0, 1.0, 0.0) if planes is None else planes
    odd = (np.asarray(high) / top, np.asarray(low) / top, np.asarray(sin_2) / top**2)
    return plain((np.sqrt(top) * _integral(sigma, count, N, odd))[..., 0])


def rate_constants(angle: Any) -> tuple[Real, Real]:
    """(c_1, c_2): relative errors c_1/n of D and -c_2/n^2 of D + delta for E OLE at r = 1, s = 0, to leading order.

    c_1 falls from 0.276 at 0 degrees to 1/4 at 90, c_2 from 0.154 to 13/128. Own derivation (module docstring).

    Raises
    ------
    ValueError
        if the angle is not in [0, pi/2]
    """
    z = np.sqrt((1 + np.sin(right_angles(angle, "angle"))) / 2)
    return plain((3 + 1 / z) / 16), plain((31 + 3 / z + 9 / z**2 + 9 / z**3) / 512)


def _integral(sigma: Array, count: Array, N: Array, odd: tuple[Array, Array, Array]) -> Array:
    """The integral over x = log(k - k0) for sigma within (0, 1], shape (..., 1)."""
    rank = count.sum(axis=-1, keepdims=True)
    k0, spare = edge(sigma, count, rank, N), np.maximum(N - rank, 0)
    high, low, sin_2 = odd
    total = np.zeros(np.broadcast_shapes(k0.shape, rank.shape))
    for x in np.arange(-_REACH, _REACH, _STEP):
        y = np.exp(x)
        k = k0 + y
        left = spare + y * (count * sigma / ((sigma + k0) * (sigma + k))).sum(axis=-1, keepdims=True)
        slope = left + k * (count * sigma / (sigma + k) ** 2).sum(axis=-1, keepdims=True)  # N - df_2
        df_2 = (count * sigma**2 / (sigma + k) ** 2).sum(axis=-1, keepdims=True)
        g = (sin_2 / ((high + k) * (low + k))).sum(axis=-1, keepdims=True) / (2 * N)
        log_gap = np.where(df_2 < N / 2, np.log1p(-np.minimum(df_2 / N, 0.5)), np.log(slope / N))
        total = total + y * slope * (log_gap + np.log1p(-np.minimum(g, 1 - 1e-15))) / np.sqrt(k * left)
    return _STEP / (4 * np.pi) * total
