"""What does the energy distance see of a drift, and how often does it see one where there is none?

    E(P, Q) = 2 E|x - y| - E|x - x'| - E|y - y'|:    a squared Hilbert norm |P - Q|^2, in which |x - y|^2 of two points
    is 2 |x - y|.

1. Rotation-invariant normals in d dimensions: x ~ N(0, v I), y ~ N(0, w I) have E|x - y| = kappa sqrt(v + w),
   kappa = sqrt 2 Gamma((d+1)/2)/Gamma(d/2), so E of scale mixtures is a double sum, and every ratio of two of them is
   the same in all dimensions. A variance off by eta:  E = kappa sqrt 2 eta^2/16 + O(eta^3); the sampling error of m
   points is sigma = kappa sqrt 2/m. So E/sigma = m eta^2/16: the distance between latents hardly sees a scale.
2. Lengths |x|, in one dimension: E = 2 int (F - G)^2. For large d |x| is nearly N(sqrt(d v), v/2); eta moves it by
   a = sqrt d eta/2, and a move a of N(., tau^2) has E = Delta a^2/(2 tau^2): E/sigma = m d eta^2/4, 4 d times as much.
3. Without drift m E(T, truth) -> sum_i l_i chi^2_1, l the spectrum of the centred kernel, trace Delta = E|x - x'|
   (degenerate V-statistic), so the share believed exceeds b as often as sum l_i chi^2_1 > Delta/(1 - b). Its effective
   dimension is D = Delta/l_1; Cantelli: the share exceeds b with probability at most 1/(1 + (D/2) (b/(1-b))^2), as the
   variance 2 sum l_i^2 is at most 2 Delta^2/D. Normal in d dimensions: each coordinate has the Rayleigh quotient
   E x_1 y_1 (-|x - y|) = (1 - 1/d) E 1/|x - y| = Delta/(2d) (Stein's lemma twice), so D <= 2d: lengths, in one
   dimension, have D about 2 and are easily fooled.
4. Units. If z is standardised by the m trusted samples themselves, a new sample has E z^2 = (m + 1)/(m - 3) in each
   coordinate, they have exactly 1: an eta of 4/m without any drift, by 2 a delta/sigma of 4 d/m in the lengths. Units
   of the pool have no such effect.

Source: Szekely and Rizzo (2013); Sejdinovic, Sriperumbudur, Gretton and Fukumizu (2013); Imhof (1961) for the tail;
1 to 4 own derivation.
"""

from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.special import gammaincc, gammaln

from theory.checks import Array, Real, finite, non_negative, plain, positive, whole

__all__ = [
    "mean_length",
    "scale_energy",
    "length_energy",
    "length_spread",
    "energy_spectrum",
    "effective_dimension",
    "false_belief",
    "false_belief_bound",
]


def mean_length(dim: Any) -> Real:
    """kappa = E|x| of x ~ N(0, I) in `dim` dimensions; sqrt 2 kappa is Delta.

    Raises
    ------
    ValueError
        if `dim` is no whole number from 1
    """
    d = whole("dim", dim)
    return plain(np.sqrt(2) * np.exp(gammaln((d + 1) / 2) - gammaln(d / 2)))


def scale_energy(variances: Any, weights: Any = None, dim: int = 1) -> float:
    """delta = E(sum_j w_j N(0, v_j I), N(0, I)); `variances` (J,), `weights` (J,) of sum 1, equal if left out.

    Raises
    ------
    ValueError
        if a variance or a weight is negative, the weights do not fit, or `dim` is no whole number from 1
    """
    v, w = _mixture(non_negative("variances", variances), weights)
    across, within = w @ np.sqrt(v + 1), w @ np.sqrt(v[:, None] + v) @ w
    return float(mean_length(dim) * max(0.0, 2 * across - within - np.sqrt(2)))


def length_energy(variances: Any, dim: int, weights: Any = None) -> float:
    """delta of the lengths: E of |x|, x ~ sum_j w_j N(0, v_j I) in `dim` dimensions, and |y|, y ~ N(0, I).

    2 int (F - G)^2. `variances` (J,), `weights` (J,) of sum 1, equal if left out.

    Raises
    ------
    ValueError
        as `scale_energy`, or if a variance is 0
    """
    v, w = _mixture(positive("variances", variances), weights)
    d = float(whole("dim", dim))

    def square(r: float) -> float:
        return float((w @ gammaincc(d / 2, r * r / (2 * v)) - gammaincc(d / 2, r * r / 2)) ** 2)

    return 2 * _over_lengths(square, max(v.max(), 1.0), min(v.min(), 1.0), d)


def _mixture(variances: Array, weights: Any) -> tuple[Array, Array]:
    v = np.atleast_1d(variances)
    w = np.full(v.shape, 1 / v.size) if weights is None else np.atleast_1d(non_negative("weights", weights))
    if v.ndim != 1 or w.shape != v.shape or abs(w.sum() - 1) > 1e-9:
        raise ValueError(f"weights has shape {w.shape} and sum {w.sum()}: give {v.shape}, sum 1")
    return v, w


def length_spread(dim: int) -> float:
    """Delta of the lengths: E||x| - |x'|| = 2 int F (1 - F), x ~ N(0, I) in `dim` dimensions.

    Raises
    ------
    ValueError
        if `dim` is no whole number from 1
    """
    d = float(whole("dim", dim))
    tail = lambda r: gammaincc(d / 2, r * r / 2)  # noqa: E731
    return 2 * _over_lengths(lambda r: tail(r) * (1 - tail(r)), 1.0, 1.0, d)


def _over_lengths(f: Any, wide: float, narrow: float, d: float) -> float:
    """The integral of f over the lengths that occur: 12 standard deviations of |x|, about 1/sqrt 2, to either side."""
    low = max(0.0, np.sqrt(narrow) * (np.sqrt(d) - 9))
    high = np.sqrt(wide) * (np.sqrt(d) + 9)
    return float(quad(f, low, high, limit=400, epsabs=1e-13, epsrel=1e-11)[0])


def energy_spectrum(distance: Any, weights: Any = None) -> Array:
    """l, descending: eigenvalues of the centred kernel of a law on n points; sum l = Delta = E|x - x'|.

    `distance` (n, n), `weights` (n,) of sum 1, equal if left out. K = -sqrt(w) J^T D J sqrt(w), J = I - 1 w^T.

    Raises
    ------
    ValueError
        if `distance` is not square and symmetric, or the weights do not fit
    """
    D = non_negative("distance", distance)
    if D.ndim != 2 or D.shape[0] != D.shape[1] or not np.allclose(D, D.T):
        raise ValueError(f"distance has shape {D.shape}: give a symmetric square")
    w = np.full(len(D), 1 / len(D)) if weights is None else positive("weights", weights)
    if w.shape != D.shape[:1] or abs(w.sum() - 1) > 1e-9:
        raise ValueError(f"weights has shape {w.shape} and sum {w.sum()}: give {D.shape[:1]}, sum 1")
    to = D @ w
    K = np.sqrt(w)[:, None] * (to[:, None] + to - D - w @ to) * np.sqrt(w)
    return np.maximum(np.linalg.eigvalsh(K)[::-1], 0.0)


def effective_dimension(spectrum: Any) -> float:
    """D = sum l / max l, of a spectrum l >= 0 (n,).

    Raises
    ------
    ValueError
        if an entry is negative or all are 0
    """
    eigenvalues = non_negative("spectrum", spectrum)
    if not eigenvalues.max() > 0:
        raise ValueError("spectrum holds only 0: give the law of at least two points")
    return float(eigenvalues.sum() / eigenvalues.max())


def false_belief(spectrum: Any, share: float) -> float:
    """P(s > share) without drift: P(sum_i l_i chi^2_1 > sum l/(1 - share)), by Imhof's integral; m large.

    P(Q > x) = 1/2 + (1/pi) int_0^inf sin(theta(u))/(u rho(u)) du,  theta = (1/2) sum arctan(l u) - x u/2,
    rho = prod (1 + l^2 u^2)^(1/4). Absolute error about 1e-6.

    Raises
    ------
    ValueError
        if the spectrum is negative or all 0, or `share` is outside [0, 1)
    """
    effective_dimension(spectrum)
    l = np.asarray(spectrum, dtype=float) / np.max(spectrum)  # noqa: E741
    x = l.sum() / (1 - _share(share))
    v = np.linspace(-16.0, 9.0, 40_001)  # u = e^v: du/u = dv
    u = np.exp(v)
    theta, log_rho = -x * u / 2, np.zeros_like(u)
    for one in l[l > 1e-7]:
        theta += np.arctan(one * u) / 2
        log_rho += np.log1p((one * u) ** 2) / 4
    return float(0.5 + np.trapezoid(np.sin(theta) * np.exp(-log_rho), v) / np.pi)


def false_belief_bound(dimension: Any, share: float) -> Real:
    """1/(1 + (D/2) (b/(1-b))^2) >= P(s > b) without drift, D the effective dimension; Cantelli's inequality.

    Raises
    ------
    ValueError
        if `dimension` D is not above zero, or `share` b is outside [0, 1)
    """
    D, b = positive("dimension", dimension), _share(share)
    return plain(1 / (1 + D / 2 * (b / (1 - b)) ** 2))


def _share(value: Any) -> float:
    share = finite("share", value)
    if share.ndim or not 0 <= share < 1:
        raise ValueError(f"share is {value}: give one number within [0, 1)")
    return float(share)
