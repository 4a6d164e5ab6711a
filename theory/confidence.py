"""How confident is the Bayes classifier of two noisy subspaces, exactly, and what does Theorem 2 add?

    rho_i = sin^2 theta_i / (s^2 (1 + s^2)),     P(u) = prod_i (1 + rho_i (1/4 + u^2))^{-1/2},
    xi    = E_1 sg(Z) = 1 - int_0^inf sech(pi u) P(u) du             (expected confidence, sg the sigmoid),
    error = (1/pi) int_0^{pi/2} P((tan p)/2) dp                      (Bayes error),
    1 - P(0)/2  <=  xi  <=  1 - P(1/2)/2  <=  sg(sum_i rho_i / 2)    (the last: Theorem 2).

Why: Z = log p1/p0 has, under class 1, the law e^{z/2} g(z) with g even and Fourier transform P; hence
    E_1 sg(Z) = 1 - int g(z)/(2 cosh(z/2)) dz,
and Parseval turns sech(z/2) into sech(pi u). The error is
    int_0^inf e^{-z/2} g(z) dz
by the same step. With U ~ sech(pi u) du, xi = 1 - E P(U)/2, and P is completely monotone in U^2: Gauss rules
lie on one side of it and Gauss-Radau rules (node 0) on the other, at every order.

Limits, r equal angles:
    xi = 1/2 + r rho/8 - r(r+2) rho^2/32 + 5 r(r+2)(r+4) rho^3/384 + O(rho^4),
    1 - xi ~ a_r rho^{-r/2},   a_r = E (1/4 + U^2)^{-r/2}/2,   a_2 = 2 log 2,   a_4 = 4 log 2 + pi^2/6.

Sharper than the plain integrals: u = sinh(t)/2 gives
    1 + rho_i (1/4 + u^2) = 1 + (rho_i/4) cosh^2 t,
and puts EVERY singularity of both integrands on |Im t| = pi/2; so the trapezoidal rule with step h errs by
exp(-pi^2/h).

Theorem 2 is that of 'Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering' (AAAI-26), as
reported in secondary notes, with the factor r sin^2 theta/(2 s^2(1+s^2)) INSIDE the sigmoid; all else is our
own derivation, its steps run as exact algebra in tests/proofs. xi sees the angles and the noise through rho
alone: low confidence cannot be attributed to alignment.
"""

from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.special import expit

from theory.checks import Array, Real, finite, non_negative, plain, positive, right_angles, whole
from theory.probe import gaussian_probe_confidence, multiclass_confidence, probe_confidence

__all__ = [
    "snr",
    "expected_confidence",
    "shortfall",
    "bayes_error",
    "confidence_bounds",
    "theorem2_bound",
    "nearest_neighbour_bounds",
    "log_odds_density",
    "probe_confidence",
    "gaussian_probe_confidence",
    "multiclass_confidence",
]

_STEP = 0.1  # exp(-pi^2/h) = 1e-43: what is left is the width of cosh(t)^-r, 1e-14 at r = 64
_BLOCK = 1024  # parameter sets at a time: the working arrays stay in cache


def snr(angles: Any, noise: Any) -> Real:
    """rho_i = sin^2 theta_i / (s^2 (1 + s^2)), the shape of `angles` with `noise` broadcast over leading axes.

    The two classes' Kullback-Leibler divergence is sum_i rho_i / 2 (own derivation; Woodbury).

    Raises
    ------
    ValueError
        if `noise` is not above zero, or an angle is not in [0, pi/2]
    """
    theta, s = right_angles(angles), positive("noise", noise)
    if s.ndim:
        theta, s = np.atleast_1d(theta), s[..., None]
    return plain(np.sin(theta) ** 2 / (s**2 * (1 + s**2)))


def expected_confidence(rho: Any) -> Real:
    """xi = 1 - int_0^inf sech(pi u) prod_i (1 + rho_i(1/4+u^2))^{-1/2} du, in [1/2, 1); shape rho.shape[:-1].

    Exact up to rounding (below 1e-15 against 40 digits) for every rho >= 0 and r up to 64. Own derivation.

    Raises
    ------
    ValueError
        if `rho` is negative or not finite
    """
    return plain(1 - np.asarray(shortfall(rho)))


def shortfall(rho: Any) -> Real:
    """1 - xi with full RELATIVE accuracy: what a logarithmic axis needs once xi rounds to 1."""
    t = _STEP * np.arange(41.0)  # at t = 4 the weight is 1e-18
    weight: Array = np.cosh(t) / np.cosh(np.pi / 2 * np.sinh(t)) / 2
    return _trapezoid(rho, t, weight)


def bayes_error(rho: Any) -> Real:
    """Error of the Bayes classifier, (1/pi) int_0^{pi/2} prod_i (1 + rho_i/(4 cos^2 p))^{-1/2} dp.

    With tan p = sinh t. One angle: arctan(2/sqrt(rho))/pi. Shape rho.shape[:-1]. Own derivation.

    Raises
    ------
    ValueError
        if `rho` is negative or not finite
    """
    t = _STEP * np.arange(401.0)
    return _trapezoid(rho, t, 1 / (np.pi * np.cosh(t)))


def _trapezoid(rho: Any, t: Array, weight: Array) -> Real:
    """int_0^inf weight(t) prod_i (1 + (rho_i/4) cosh^2 t)^{-1/2} dt for an even integrand, block by block."""
    values = np.atleast_1d(non_negative("rho", rho))
    columns = np.ascontiguousarray(values.reshape(-1, values.shape[-1]).T)
    w = _STEP * weight * np.where(t == 0, 0.5, 1)
    quarter = (np.cosh(t) ** 2 / 4)[:, None]
    total = np.empty(columns.shape[1])
    for start in range(0, total.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        total[block] = w @ np.exp(-_log_product(columns[:, block], quarter) / 2)
    return plain(total.reshape(values.shape[:-1]))


def _log_product(columns: Array, quarter: Array) -> Array:
    """sum_i log(1 + rho_i c) of shape (nodes, sets): in log space no product overflows."""
    total = np.zeros((quarter.size, columns.shape[1]))
    for rho_i in columns:
        total += np.log1p(rho_i * quarter)
    return total


def confidence_bounds(rho: Any, order: int = 1) -> tuple[Real, Real]:
    """(lower, upper) with lower <= xi <= upper, closing in as `order` grows; each of shape rho.shape[:-1].

    Order 1: 1 - prod(1+rho_i/4)^{-1/2}/2 and 1 - prod(1+rho_i/2)^{-1/2}/2.
    Order m: m-node rules for the law of U^2, U ~ sech(pi u): Gauss (above) and Gauss-Radau with node 0 (below).

    They are the symmetric Gauss rules with 2m and 2m - 1 nodes in u, whose Jacobi matrix has beta_k = k^2/4
    (Meixner-Pollaczek): no moment matrix is inverted. Rigorous up to rounding (a few 1e-16): the error term of
    each rule has one sign, P being completely monotone in u^2. Own derivation.

    Raises
    ------
    ValueError
        if `rho` is negative or not finite, or `order` is not a whole number from 1
    """
    values = np.atleast_1d(non_negative("rho", rho))
    m = int(whole("order", order))
    return _rule(values, 2 * m - 1), _rule(values, 2 * m)


def _rule(rho: Array, nodes: int) -> Real:
    u, weights = sech_rule(nodes)
    P = [np.exp(-np.log1p(rho * (0.25 + node**2)).sum(axis=-1) / 2) for node in u]
    return plain(1 - np.tensordot(weights, np.array(P), axes=1) / 2)


def sech_rule(nodes: int) -> tuple[Array, Array]:
    """Gauss nodes and weights of the probability density sech(pi u) on the line: beta_k = k^2/4."""
    k = np.arange(1, nodes)
    u, vectors = eigh_tridiagonal(np.zeros(nodes), k / 2)
    return u, vectors[0] ** 2


def theorem2_bound(rho: Any) -> Real:
    """sg(sum_i rho_i / 2) >= xi: Theorem 2 (`confidence-upper-bound`), for any angles, equal or not.

    The notes print r sin^2 theta/(2 s^2 (s^2+1)) outside the sigmoid; that form is false (theory.counterexamples).
    At low noise this bound is exponentially loose: 1 - xi falls like a power of s, 1 - bound like exp(-1/s^2).
    Not for want of a better inequality: theory.multiclass has the sharp one for any two densities of this
    divergence, and its 1 - bound is at most twice this one's.

    Raises
    ------
    ValueError
        if `rho` is negative or not finite
    """
    values = np.atleast_1d(non_negative("rho", rho))
    return plain(expit(values.sum(axis=-1) / 2))


def nearest_neighbour_bounds(rho: Any) -> tuple[Real, Real]:
    """1 - 2e(1-e) <= xi <= 1 - e, e the Bayes error: 1 - xi = E 2p(1-p) is the nearest neighbour's risk in the limit.

    With m = min(p, 1-p) and e = E m: m <= 2m(1-m) since m <= 1/2, and E m^2 >= e^2. Cover and Hart (1967).

    Raises
    ------
    ValueError
        if `rho` is negative or not finite
    """
    e = np.asarray(bayes_error(rho))
    return plain(1 - 2 * e * (1 - e)), plain(1 - e)


def log_odds_density(z: Any, rho: Any) -> Real:
    """Density of Z = log p1/p0 under class 1: p1(z) = e^{z/2} g(z), g even with Fourier transform P.

        g(z) = (1/pi) Re int_0^inf e^{i|z|u} P(u) du

    on the contour u = b sinh(t + i alpha), b^2 = 1/4 + 1/max rho: the branch points of P lie at Im = pi/2 in t,
    e^{i|z|u} falls doubly exponentially, and alpha at the saddle point keeps the tail's digits. `z` broadcasts
    against the leading axes of `rho`. About 1e-12 relative. Infinite at z = 0 if only one rho_i is above zero.
    Equal rho_i: a Bessel K form (r = 2: an asymmetric Laplace law); in general a variance-gamma. Own derivation.

    Raises
    ------
    ValueError
        if `rho` is negative, or all of it is zero (Z is then 0: no density)
    """
    value, values = finite("z", z), np.atleast_1d(non_negative("rho", rho))
    free = (values > 0).sum(axis=-1)
    if (free == 0).any():
        raise ValueError("rho is zero for every angle: Z is then exactly 0, give one rho_i above zero")
    value, free = np.broadcast_arrays(value, free)
    return plain(np.where((value == 0) & (free == 1), np.inf, _on_contour(value, values)))


def _on_contour(z: Array, rho: Array) -> Array:
    """e^{z/2} g(z) by the trapezoidal rule in t, 900 steps from 0 on."""
    r, top = rho.shape[-1], rho.max(axis=-1, keepdims=True)
    b, far = np.sqrt(0.25 + 1 / top[..., 0]), np.abs(z)
    q = b * far / (r + 3)
    saddle = 2 * q / (1 + np.sqrt(1 + 4 * q**2))  # its sine
    alpha = np.maximum(np.arcsin(saddle), np.arccos(np.exp(-2 / (r + 3))))
    curvature = b * far * np.sin(alpha) + r / np.cos(alpha) ** 2
    step = np.minimum(np.minimum(alpha, np.pi / 2 - alpha) / 8, 0.7 / np.sqrt(curvature))
    total = np.zeros(z.shape)
    for j in range(900):
        t = j * step + 1j * alpha
        # 1 + rho (1/4 + u^2), free of cancellation
        factor = 1 - rho / top + rho * (0.25 + 1 / top) * np.cosh(t)[..., None] ** 2
        log_term = z / 2 + 1j * far * b * np.sinh(t) - np.log(factor).sum(axis=-1) / 2
        total += (np.exp(log_term) * b * np.cosh(t)).real * step * (0.5 if j == 0 else 1)
    return total / np.pi
