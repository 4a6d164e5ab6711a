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
in 1/lam. Keeping a constant part q of the WHOLE pool instead (mean_j e^{-t/p_j} = q) makes it a power of k, and
against contraction there is a part that top-N suits better than random choice: neutral at lam (1 + ln 1/q) = 1.

Source: own derivation; the filter is that of 'Stabilizing Self-Consuming Diffusion Models with Latent Space
Filtering' (AAAI-26), as reported in secondary notes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expn, gammaincc, gammaln, ndtr
from scipy.stats import chi2

from theory.checks import Array, Real, bisect, finite, plain, positive, right_angles, whole
from theory.confidence import snr
from theory.gaussian_loop import biased_accumulation

__all__ = [
    "kept_moments",
    "runaway",
    "runaway_growth",
    "kept_recursion",
    "top_beats_random",
    "boundary_fraction",
    "neutral_fraction",
    "kept_minority_share",
]


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
    r, q = whole("rank", rank), _part(fraction)
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
    K = int(whole("generations", generations, least=0))
    return _recursion(positive("shrink", shrink), np.log(1 / np.arange(1.0, K + 2)))


def kept_recursion(shrink: Any, fraction: Any, generations: int) -> tuple[Array, Array]:
    """(v_0 ... v_K, share of real data in what is kept): the most confident `fraction` q of the WHOLE growing pool.

        mean_j e^{-t/p_j} = q,   v_k = sum_j e^{-t/p_j} (t + p_j)/sum_j e^{-t/p_j},   share e^{-t}/((k + 1) q),

    p = {1, lam v_0, ..., lam v_{k-1}}, v_0 = 1 (generation 0 is fitted to all real data). `shrink` lam and `fraction`
    broadcast: shapes (..., K + 1). q = 1 is random choice; `runaway` has q = 1/(k + 1). Own derivation.

    Raises
    ------
    ValueError
        if `shrink` is not above zero, `fraction` not in (0, 1], or `generations` not a whole number from 0
    """
    lam, q, K = positive("shrink", shrink), _part(fraction), int(whole("generations", generations, least=0))
    return _recursion(lam, np.log(q)[..., None] + np.zeros(K + 1))


def _part(fraction: Any) -> Array:
    q = positive("fraction", fraction)
    if (q > 1).any():
        raise ValueError(f"fraction holds {q.max()}: give a part to keep, within (0, 1]")
    return q


def _recursion(lam: Array, log_q: Array) -> tuple[Array, Array]:
    """Variances and real shares when the part e^{log_q[..., k]} of the pool is kept at generation k."""
    lam, log_q = lam[..., None], log_q + np.zeros_like(lam)[..., None]
    p = np.ones_like(log_q[..., :1])
    variances, shares = [p], [p]
    for k in range(1, log_q.shape[-1]):
        p = np.concatenate([p, lam * variances[-1]], axis=-1)
        t = _quota(p, log_q[..., k : k + 1])
        kept = np.exp(t / p.max(axis=-1, keepdims=True) - t / p)  # of the widest block's: no underflow
        total = kept.sum(axis=-1, keepdims=True)
        variances.append((kept * (t + p)).sum(axis=-1, keepdims=True) / total)
        shares.append(kept[..., :1] / total)
    return np.concatenate(variances, axis=-1), np.concatenate(shares, axis=-1)


def _quota(p: Array, log_q: Array) -> Array:
    """t with mean_j exp(-t/p_j) = q, of shape (..., 1); between those of the widest block alone and of all as wide."""
    widest = p.max(axis=-1, keepdims=True)
    high = -log_q * widest

    def log_excess(t: Array) -> Array:
        scaled = np.exp(t / widest - t / p).mean(axis=-1, keepdims=True)
        return np.log(scaled) - t / widest - log_q

    return bisect(log_excess, np.zeros_like(high), high)


def _divergence(v: Array) -> Array:
    """KL(N(0, 1) || N(0, v)) per dimension: (1/v - 1 + log v)/2."""
    return (np.log1p(v - 1) - (v - 1) / v) / 2


def top_beats_random(shrink: Any, fraction: Any, generations: int, made: bool = False) -> NDArray[np.bool_]:
    """Is KL(N(0, 1) || N(0, v_k)) less under top-N (`kept_recursion`) than under random choice? Shape (..., K + 1).

    KL per dimension is (1/v - 1 + log v)/2; random choice keeps the pool's variance w_k
    (`theory.gaussian_loop.biased_accumulation`), whatever the part. `made`: judge what the generator makes of it,
    N(0, lam v), instead of what is kept. Own derivation.

    Raises
    ------
    ValueError
        as `kept_recursion`
    """
    v, _ = kept_recursion(shrink, fraction, generations)
    w = biased_accumulation(shrink, generations)
    scale = np.asarray(shrink, dtype=float)[..., None] if made else np.ones(())
    return _divergence(scale * v) < _divergence(scale * w)


def boundary_fraction(shrink: Any, generation: int, made: bool = False) -> Real:
    """q at which top-N and random choice are equally far (`top_beats_random`), of the shape of `shrink`.

    Top-N is nearer for every q above it (below 1), random choice for every q below. There is one for every lam < 1
    and generation >= 1: v_k falls in q (the mean beyond a quantile falls in q and rises in every p_j), from infinity
    to w_k < 1 at q = 1, and passes the other v > 1 of equal KL once. NaN for lam >= 1, where top-N is never nearer,
    and where q would be below 1e-260. Own derivation.

    Raises
    ------
    ValueError
        if `shrink` is not above zero, or `generation` not a whole number from 1
    """
    lam, k = positive("shrink", shrink), int(whole("generation", generation))
    scale = lam if made else np.ones_like(lam)
    w = scale * biased_accumulation(lam, k)[..., k]

    def surplus(log_q: Array) -> Array:
        v = scale * _recursion(lam, log_q[..., None] + np.zeros(k + 1))[0][..., k]
        return np.where(v > 1, _divergence(np.maximum(v, 1)) - _divergence(w), -1.0)

    low = np.full(lam.shape, -600.0)
    log_q = bisect(surplus, low, np.zeros_like(low), steps=56)
    return plain(np.where((lam < 1) & (surplus(low) > 0), np.exp(log_q), np.nan))


def neutral_fraction(shrink: Any) -> Real:
    """q = e^{1 - 1/lam}, where top-N's inflation makes up for the contraction: lam (1 + ln 1/q) = 1, lam <= 1.

    Of blocks of equal variance p the top fraction has p (1 + ln 1/q). So in the end, under a constant q, the kept
    variance neither grows nor falls (real data are 1/(k + 1) of the pool); NaN for lam > 1. Own derivation.

    Raises
    ------
    ValueError
        if `shrink` is not above zero
    """
    lam = positive("shrink", shrink)
    return plain(np.where(lam <= 1, np.exp(1 - 1 / lam), np.nan))


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
    q, w = _part(fraction), finite("weight", weight)
    m1, m2 = finite("minority_mean", minority_mean), finite("majority_mean", majority_mean)
    if (w < 0).any() or (w > 1).any():
        raise ValueError(f"weight holds {w.flat[0]}: give the minority's share, within [0, 1]")
    q, w, m1, m2 = np.broadcast_arrays(q, w, m1, m2)
    low, high = np.minimum(m1, m2) - 40, np.maximum(m1, m2) + 40
    t = bisect(lambda t: w * ndtr(m1 - t) + (1 - w) * ndtr(m2 - t) - q, low, high)
    return plain(np.where(q < 1, w * ndtr(m1 - t) / q, w))
