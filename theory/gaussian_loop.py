"""What does refitting a Gaussian to its own samples do to mean and variance, generation after generation?

Refit, n points a generation, mean estimated, divisor n, Sigma_0 = I:
    E Sigma_K = (1 - 1/n)^K I,   E log det Sigma_K = K [ sum_{j=1}^d psi((n-j)/2) + d log(2/n) ],
    Lyapunov exponents psi((n-j)/2) + log(2/n), j = 1..d, of the variances (unbiased divisor: log(2/(n-1))).
All exponents are negative, with the unbiased divisor too: almost-sure collapse although E Sigma_K is kept.
Fresh real share a (a n of the n points):
    m = a/n + (1-a)^2 m + (1-a)(1-m)/n,   so   m = 1/(n a(2-a) + 1 - a).
Accumulation (fit j sees j blocks of n points, the first real):
    E Sigma_j = E Sigma_{j-1} (1 - 1/(n j^2)),
since the pool's E x^2 stays 1 and its mean is a martingale with steps of variance E Sigma_{j-1}/(n j^2).
A biased generator under accumulation:
    P_K = P_{K-1} (K + lam)/(K + 1)
over the pool's K + 1 blocks: a power law, no cure.

Source: own derivation; the exponents are Newman's (1986) for products of Gaussian matrices. `n` is the total
fitted.
"""

from typing import Any

import numpy as np
from scipy.special import digamma, gammaln

from theory.checks import Array, Real, finite, non_negative, plain, whole

__all__ = [
    "expected_variance",
    "expected_log_det",
    "lyapunov_exponents",
    "fresh_data_drift",
    "fresh_data_spread",
    "accumulated_variance",
    "accumulated_spread",
    "biased_accumulation",
    "noisy_accumulation",
]


def expected_variance(n: Any, generations: int) -> Array:
    """E Sigma_k = (1 - 1/n)^k, k = 0..K, mean estimated, divisor n, Sigma_0 = 1; shape (..., K + 1)."""
    k = np.arange(int(whole("generations", generations, 0)) + 1)
    return (1 - 1 / whole("n", n)[..., None]) ** k


def lyapunov_exponents(dim: Any, n: Any, unbiased: bool = False) -> Array:
    """psi((n-j)/2) + log(2/n), j = 1..dim, descending: growth rates per generation of the variances.

    `unbiased`: divisor n - 1 instead of n. `dim` and `n` are single numbers; shape (dim,). Own derivation:
    the refit multiplies Sigma by a Wishart factor W/n with n - 1 degrees of freedom, whose Bartlett diagonal
    is chi^2_{n-j}.

    Raises
    ------
    ValueError
        if n <= dim: the fitted covariance is singular at once
    """
    d, N = int(whole("dim", dim)), int(whole("n", n, 2))
    if d >= N:
        raise ValueError(f"n is {N} but dim is {d}: give n > dim, else the first fit is singular")
    return digamma((N - np.arange(1.0, d + 1)) / 2) + np.log(2 / (N - 1 if unbiased else N))


def expected_log_det(dim: Any, n: Any, generations: Any, unbiased: bool = False) -> Real:
    """E log det Sigma_K = K times the sum of the Lyapunov exponents, exact at every size; Sigma_0 = I.

    Raises
    ------
    ValueError
        if n <= dim, or `generations` is not a whole number from 0
    """
    return plain(whole("generations", generations, 0) * lyapunov_exponents(dim, n, unbiased).sum())


def _share(n: Any, fraction: Any) -> tuple[Array, Array]:
    N, a = whole("n", n), non_negative("fraction", fraction)
    if (a > 1).any():
        raise ValueError(f"fraction holds {a.max()}: give the share of real data, within [0, 1]")
    return N, a


def fresh_data_drift(n: Any, fraction: Any) -> Real:
    """Stationary E mean^2 = 1/(n a(2-a) + 1 - a) per dimension, in units of Sigma_0: a = `fraction` real data.

    At a = 0 it is 1: the whole variance has turned into drift of the mean. Own derivation.

    Raises
    ------
    ValueError
        if `n` is below one, or `fraction` is not in [0, 1]
    """
    N, a = _share(n, fraction)
    return plain(1 / (N * a * (2 - a) + 1 - a))


def fresh_data_spread(n: Any, fraction: Any) -> Real:
    """Stationary Var Sigma = (2/n)/(1 - (1-a)^2 - 2(1-a)/n), one dimension, known mean; inf where there is none.

    Raises
    ------
    ValueError
        if `n` is below one, or `fraction` is not in [0, 1]
    """
    N, a = _share(n, fraction)
    rest = a * (2 - a) - 2 * (1 - a) / N
    return plain(np.where(rest > 0, 2 / N / np.where(rest > 0, rest, 1.0), np.inf))


def accumulated_variance(n: Any, generations: Any = None) -> Real:
    """E Sigma_K = prod_{j<=K} (1 - 1/(n j^2)) under accumulation, mean estimated.

    K = `generations` counts fits, the first being to n real points; None is the limit K -> inf,
    sin(pi/sqrt n)/(pi/sqrt n). Own derivation.

    Raises
    ------
    ValueError
        if `n` is below one, or `generations` is not a whole number from 0
    """
    N = whole("n", n)
    if generations is None:
        return plain(np.where(N == 1, 0.0, np.sinc(1 / np.sqrt(N))))
    return plain(_product(-1 / N, whole("generations", generations, 0)))


def accumulated_spread(n: Any, generations: Any = None) -> Real:
    """Var Sigma_K = prod_{j<=K} (1 + 2/(n j^2)) - 1, known mean; K -> inf: sinh(b)/b - 1, b = pi sqrt(2/n).

    Arguments and errors of `accumulated_variance`. Own derivation:

        Sigma_j = Sigma_{j-1} (1 + (chi^2_n/n - 1)/j).
    """
    N = whole("n", n)
    if generations is None:
        b = np.pi * np.sqrt(2 / N)
        # sinh(b)/b - 1 without cancellation at large n
        return plain(np.where(b > 0.1, np.sinh(b) / b - 1, b**2 / 6 * (1 + b**2 / 20 * (1 + b**2 / 42))))
    return plain(_product(2 / N, whole("generations", generations, 0)) - 1)


def _product(c: Any, K: Any) -> Any:
    """prod_{j<=K} (1 + c/j^2)."""

    def one(c: float, K: float) -> float:
        return float(np.prod(1 + c / np.arange(1, K + 1) ** 2))

    return np.vectorize(one, otypes=[float])(c, K)


def biased_accumulation(shrink: Any, generations: int) -> Array:
    """Pool variance P_k, k = 0..K, for a generator that multiplies variance by lam = `shrink`; shape (..., K + 1).

        P_k = Gamma(k+1+lam)/(Gamma(1+lam) (k+1)!):

    falls like k^{-(1-lam)}. Own derivation.

    Raises
    ------
    ValueError
        if `shrink` is negative, or `generations` is not a whole number from 0
    """
    lam = non_negative("shrink", shrink)[..., None]
    k = np.arange(int(whole("generations", generations, 0)) + 1.0)
    return np.exp(gammaln(k + 1 + lam) - gammaln(1 + lam) - gammaln(k + 2))


def noisy_accumulation(added: Any, generations: int) -> Array:
    """Pool variance P_k, k = 0..K, for a generator that adds the variance v = `added`; shape (..., K + 1).

        P_k = P_{k-1} + v/(k+1) = 1 + v (H_{k+1} - 1):

    it grows like the harmonic numbers, without limit. Own derivation.

    Raises
    ------
    ValueError
        if `added` is not finite, or `generations` is not a whole number from 0
    """
    v = finite("added", added)[..., None]
    steps = 1 / np.arange(1, int(whole("generations", generations, 0)) + 2.0)
    return 1 + v * (np.cumsum(steps) - 1)
