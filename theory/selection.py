"""What does keeping a part of the pool do to the kept part?

Keep the top fraction q by log-odds, P(Z > t) = q. In the eigenbasis of
    K = S_1^{1/2} (S_0^{-1} - S_1^{-1}) S_1^{1/2},
with all r angles equal, Z = (l_A a - |l_B| b)/2, a and b ~ chi^2_r independent, and
    l_A, l_B = (rho +- sqrt(rho^2 + 4 rho))/2,   m_A = P(Z'_A > t)/q,   m_B = P(Z'_B > t)/q,
Z'_A and Z'_B being Z with a, or b, ~ chi^2_{r+2}: whitened second moments of the kept (1 = unchanged).
For r = 2 and q <= 1/(1+c), c = |l_B|/l_A:
    m_B = 1/(1+c),   m_A = 1 + ln(1/q) - ln(1+c) + c/(1+c),
at EVERY noise (an earlier note of ours stated the limit c -> 0 of m_A; at 90 degrees c = s^2/(1+s^2)).

Runaway of top-N (r = 2, 90 degrees, s -> 0, infinite sample, a generator that multiplies the variance by lam):
    p = {1, lam v_0, ..., lam v_{k-1}},   sum_j e^{-t/p_j} = 1,   v_k = sum_j e^{-t/p_j} (t + p_j),
    real share kept e^{-t},
    growth g > 1:   sum_{i>=0} e^{-x g^i} = 1,
        g = lam sum_{i>=0} e^{-x g^i} (x + g^{-i}) = lam (x + sum_i g^{-i} e^{-x g^i}).
There is such a g for EVERY lam > 0 (as g -> 1, x grows like log 1/(g-1)): g - 1 is merely exponentially small
in 1/lam.

Source: own derivation; the filter is that of 'Stabilizing Self-Consuming Diffusion Models with Latent Space
Filtering' (AAAI-26), as reported in secondary notes.
"""

from typing import Any

import numpy as np
from scipy.special import expn, gammaincc, gammaln, ndtr
from scipy.stats import chi2

from theory.checks import Array, Real, bisect, finite, plain, positive, right_angles, whole
from theory.confidence import snr

__all__ = ["kept_moments", "runaway", "runaway_growth", "kept_minority_share"]


def kept_moments(angle: Any, noise: Any, rank: Any, fraction: Any) -> tuple[Real, Real, Real]:
    """(t, m_A, m_B): threshold of the log-odds, kept second moments along own and other eigenvectors.

    All r = `rank` principal angles equal `angle` (radians); `noise` the s.d. s; `fraction` q in (0, 1]; all
    broadcast. q = 1 keeps everything: (-inf, 1, 1). Accurate to about 1e-12 relative. Own derivation.

    Raises
    ------
    ValueError
        if `angle` is zero (every sample ties), `noise` is not above zero, or `fraction` is not in (0, 1]
    """
    theta, s = positive("angle", right_angles(angle, "angle")), positive("noise", noise)
    r, q = whole("rank", rank), positive("fraction", fraction)
    if (q > 1).any():
        raise ValueError(f"fraction holds {q.max()}: give a part to keep, within (0, 1]")
    theta, s, r, q = np.broadcast_arrays(theta, s, r, q)
    rho = np.asarray(snr(theta[..., None], s))[..., 0]
    root = np.sqrt(rho**2 + 4 * rho)
    l_A, l_B = (rho + root) / 2, 2 * rho / (rho + root)  # |l_B| = (root - rho)/2, without cancellation
    t = _threshold(l_A, l_B, r, q)
    m_A, m_B = (np.where(q < 1, _tail(t, l_A, l_B, r + i, r + 2 - i) / q, 1.0) for i in (2, 0))
    return plain(np.where(q < 1, t, -np.inf)), plain(m_A), plain(m_B)


def _threshold(l_A: Array, l_B: Array, r: Array, q: Array) -> Array:
    """t with P(Z > t) = q; a alone and b alone bracket it."""
    inner = np.where(q < 1, q, 0.5)
    high, low = l_A * chi2.isf(inner, r) / 2, -l_B * chi2.isf(1 - inner, r) / 2
    return bisect(lambda t: _tail(t, l_A, l_B, r, r) - inner, low, high, steps=80)


def _tail(t: Array, l_A: Array, l_B: Array, m: Array, k: Array) -> Array:
    """P((l_A a - l_B b)/2 > t), a ~ chi^2_m and b ~ chi^2_k: one smooth integral on either side of t = 0."""
    up = t >= 0
    outer, inner = np.where(up, k, m), np.where(up, m, k)
    slope, unit = np.where(up, l_B, l_A), np.where(up, l_A, l_B)
    x = 0.1 * np.arange(-750, 80)
    half = outer[..., None] / 2
    y = half * np.exp(x)  # y = b/2: gamma density in log y, trapezoidal rule
    log_density = half * np.log(y) - y - gammaln(half)
    beyond = gammaincc(inner[..., None] / 2, (np.abs(t)[..., None] + slope[..., None] * y) / unit[..., None])
    part = 0.1 * (np.exp(log_density) * beyond).sum(axis=-1)
    return np.where(up, part, 1 - part)


def runaway(shrink: Any, generations: int) -> tuple[Array, Array]:
    """(v_0 ... v_K, share of real data kept 0 ... K) under top-N, K = `generations`, each of shape (..., K + 1).

    `shrink` is lam, the generator's factor on the variance (1 = a perfect copy); v_0 = 1. Own derivation.

    Raises
    ------
    ValueError
        if `shrink` is not above zero, or `generations` not a whole number from 0
    """
    lam, K = positive("shrink", shrink)[..., None], int(whole("generations", generations, least=0))
    p = np.ones_like(lam)
    variances, shares = [np.ones_like(lam)], [np.ones_like(lam)]
    for _ in range(K):
        p = np.concatenate([p, lam * variances[-1]], axis=-1)
        t = _quota(p)
        kept = np.exp(-t / p)
        variances.append((kept * (t + p)).sum(axis=-1, keepdims=True))
        shares.append(np.exp(-t))
    return np.concatenate(variances, axis=-1), np.concatenate(shares, axis=-1)


def _quota(p: Array) -> Array:
    """t with sum_j exp(-t/p_j) = 1, of shape (..., 1)."""
    high = p.max(axis=-1, keepdims=True) * np.log(p.shape[-1])
    return bisect(lambda t: np.exp(-t / p).sum(axis=-1, keepdims=True) - 1, np.zeros_like(high), high)


def runaway_growth(shrink: Any) -> Real:
    """g > 1, the factor by which top-N inflates the kept variance each generation in the end; g(1) = 1.527.

    Found by its own parameter: e = log g gives x(e), then

        lam(e) = g/(x + sum_i g^{-i} e^{-x g^i}),

    rising in e. 1e-9 accurate in log g where log g > 1e-3 or so; smaller g by Euler-Maclaurin in e. Own
    derivation.

    Raises
    ------
    ValueError
        if `shrink` is not above zero, or so small (below 0.002) that g - 1 is no float64
    """
    lam = positive("shrink", shrink)
    if (lam < 0.002).any():
        raise ValueError(f"shrink holds {lam.min()}: give at least 0.002, below it g - 1 underflows")
    return plain(np.vectorize(_growth, otypes=[float])(lam))


def _growth(lam: float) -> float:
    low, high = np.array(-690.0), np.array(np.log(np.log(4 + 4 * lam)))
    log_e = bisect(lambda log_e: np.array(lam - _shrink_of(float(np.exp(log_e)))), low, high)
    return float(np.exp(np.exp(log_e)))


def _shrink_of(e: float) -> float:
    """lam(e) whose asymptotic growth is g = exp(e)."""
    x = bisect(lambda x: np.array(_geometric(float(x), e, 0) - 1), np.array(1e-9), np.array(745.0))
    return float(np.exp(e) / (x + _geometric(float(x), e, 1)))


def _geometric(x: float, e: float, power: int) -> float:
    """sum_{i>=0} g^{-power i} exp(-x g^i), g = exp(e)."""
    if e > 0.003:
        i = np.arange(int(min(np.log(745 / x), 700.0) / e) + 2) if x < 745 else np.arange(1)
        return float(np.exp(-power * e * i - x * np.exp(np.minimum(e * i, 700))).sum())
    return float(expn(1 + power, x) / e + np.exp(-x) * (0.5 + e * (x + power) / 12))


def kept_minority_share(
    fraction: Any, weight: Any = 0.1, minority_mean: Any = 0.5, majority_mean: Any = 3.0
) -> Real:
    """Share of the minority in the kept top `fraction` of weight N(minority, 1) + (1-weight) N(majority, 1).

    Confidence rises in x, so x > t is kept:

        w Q(t-m1) + (1-w) Q(t-m2) = q,   share = w Q(t-m1)/q.

    Own derivation.

    Raises
    ------
    ValueError
        if `fraction` is not in (0, 1], `weight` not in [0, 1], or a mean is not finite
    """
    q, w = positive("fraction", fraction), finite("weight", weight)
    m1, m2 = finite("minority_mean", minority_mean), finite("majority_mean", majority_mean)
    if (q > 1).any():
        raise ValueError(f"fraction holds {q.max()}: give a part to keep, within (0, 1]")
    if (w < 0).any() or (w > 1).any():
        raise ValueError(f"weight holds {w.flat[0]}: give the minority's share, within [0, 1]")
    q, w, m1, m2 = np.broadcast_arrays(q, w, m1, m2)
    low, high = np.minimum(m1, m2) - 40, np.maximum(m1, m2) + 40
    t = bisect(lambda t: w * ndtr(m1 - t) + (1 - w) * ndtr(m2 - t) - q, low, high)
    return plain(np.where(q < 1, w * ndtr(m1 - t) / q, w))
