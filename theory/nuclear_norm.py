"""How large is the nuclear norm of a Gaussian matrix, on average?

    X = Sigma^{1/2} G with N independent columns,   df(k) = sum_j sigma_j/(sigma_j + k),
    E||X||_* ~ (2/pi) int_{k0}^inf sqrt(k (N - df(k))) sum_j sigma_j/(sigma_j + k)^2 dk,
    k0 = 0 if rank <= N, else df(k0) = N.

Why: sqrt(l) = (1/pi) int_0^inf l/(l+z) dz/sqrt(z), and the deterministic equivalent of tr A(A+z)^{-1},
A = X X^T, is df(k) with z = k (N - df(k)) (Silverstein; Hachem, Loubaton, Najim). Integrate by parts. Own
derivation of the integral. An asymptotic value (dim and N large together), not an exact one: too high, by a
relative 1/(8 max(rank, N)) or so for white matrices. theory.finite_size has the correction.

The integral itself is exact to rounding: in x = log(k - k0) every singularity of the integrand (k = -sigma_j,
k = 0, the zeros of N - df, all of them real and below k0) lies on |Im x| = pi, so the trapezoidal rule with
step h errs by exp(-2 pi^2/h). N - df(k) is summed without cancellation as
    max(N - rank, 0) + y sum_j sigma_j/((sigma_j+k0)(sigma_j+k)).
"""

from typing import Any

import numpy as np
from scipy.special import gammaln

from theory.checks import Array, Real, bisect, non_negative, plain, positive, whole

__all__ = ["deterministic_equivalent", "chi_mean", "triangular_bound", "edge"]

_STEP = 0.5  # exp(-2 pi^2/h) = 7e-18
_TINY = 1e-60  # of the largest eigenvalue: counts for nothing, its square root being 1e-30
_REACH = 62.0  # both ends of the integrand have fallen to exp(-31) of the whole


def deterministic_equivalent(eigenvalues: Any, n: Any, multiplicity: Any = None) -> Real:
    """Asymptotic E||X||_* for `n` Gaussian columns with these population eigenvalues (last axis).

    Parameters
    ----------
    eigenvalues
        sigma_j >= 0, shape (..., p); zeros count for nothing, whatever the rank against n
    n
        number of columns N, broadcast against the leading axes
    multiplicity
        how often each eigenvalue occurs, broadcast against `eigenvalues`; once if left out

    Raises
    ------
    ValueError
        if an eigenvalue or a multiplicity is negative or not finite, or n is not above zero
    """
    sigma = np.atleast_1d(non_negative("eigenvalues", eigenvalues))
    count = np.atleast_1d(non_negative("multiplicity", 1.0 if multiplicity is None else multiplicity))
    N = positive("n", n)[..., None]
    seen = sigma > _TINY * sigma.max(axis=-1, keepdims=True)
    sigma, count = np.broadcast_arrays(sigma, np.where(seen, count, 0.0))
    scale = sigma.max(axis=-1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    sigma = np.where(count > 0, sigma / scale, 1.0)  # zeros carry the count 0 from here on
    return plain((np.sqrt(scale) * _integral(sigma, count, N))[..., 0])


def _integral(sigma: Array, count: Array, N: Array) -> Array:
    """The integral over x = log(k - k0) for sigma within (0, 1], shape (..., 1)."""
    rank = count.sum(axis=-1, keepdims=True)
    k0, spare = edge(sigma, count, rank, N), np.maximum(N - rank, 0)
    total = np.zeros(np.broadcast_shapes(k0.shape, rank.shape))
    for x in np.arange(-_REACH, _REACH, _STEP):
        y = np.exp(x)
        k = k0 + y
        left = spare + y * (count * sigma / ((sigma + k0) * (sigma + k))).sum(axis=-1, keepdims=True)
        slope = (count * sigma / (sigma + k) ** 2).sum(axis=-1, keepdims=True)
        total += y * np.sqrt(k * left) * slope
    return 2 / np.pi * _STEP * total


def edge(sigma: Array, count: Array, rank: Array, N: Array) -> Array:
    """k0: 0 where rank <= N, else the root of df = N, within [sigma_min, sigma_max] (rank - N)/N."""
    full = rank > N
    excess = np.where(full, (rank - N) / N, 1.0)
    low = np.log(sigma.min(axis=-1, keepdims=True, where=count > 0, initial=1.0) * excess)

    def falling(log_k: Array) -> Array:
        return (count * sigma / (sigma + np.exp(log_k))).sum(axis=-1, keepdims=True) - N

    return np.where(full, np.exp(bisect(falling, low, np.log(excess))), 0.0)


def chi_mean(degrees: Any) -> Real:
    """E chi_m = sqrt 2 Gamma((m+1)/2)/Gamma(m/2): the nuclear norm of one Gaussian column (or row), exact."""
    m = positive("degrees", degrees)
    return plain(np.sqrt(2) * np.exp(gammaln((m + 1) / 2) - gammaln(m / 2)))


def triangular_bound(rank: Any, n: Any, first: Any = 0) -> Real:
    """sum_{j=first}^{min(rank, n)-1} E chi_{n-j}, a rigorous lower bound on nuclear norms at every size.

    Bartlett: X = Sigma^{1/2} G has the singular values of Sigma^{1/2} L, L lower triangular with
    L_jj ~ chi_{n-j} (j from 0), and ||A||_* >= sum_j |A_jj| for every matrix. So E||G_{r x n}||_* >= this sum,
    relative slack about r/(8n); rows with standard deviation sqrt(sigma_j), the largest first, weigh their terms
    by it. Own derivation.
    """
    stop, start, N = np.broadcast_arrays(whole("rank", rank, 0), whole("first", first, 0), whole("n", n))
    return plain(np.vectorize(_ladder, otypes=[float])(start, np.minimum(stop, N), N))


def _ladder(start: float, stop: float, n: float) -> float:
    return float(np.sum(chi_mean(n - np.arange(start, stop)))) if stop > start else 0.0
