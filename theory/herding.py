"""Is what shrunk herding keeps ever further from the truth than random choice, or than herding to the trusted sample?

E is the energy distance, a squared Hilbert norm; P the pool, T the m trusted samples, Q_s = (1 - s) P + s T,

    delta = E(P, truth),   Delta = E|x - x'| of the truth,   sigma = Delta/m = E_T E(T, truth).

1. T apart from P. Q_s - truth = (1 - s)(P - truth) + s (T - truth), and the mean of T - truth is 0:
       E_T E(Q_s, truth) = (1 - s)^2 delta + s^2 sigma,     E_T E(P, T) = delta + sigma.
   Least at s* = delta/(delta + sigma): delta sigma/(delta + sigma) <= min(delta, sigma), whatever the drift. The truth
   is a fixed point for every m (delta = 0: s* = 0); a pool that is off is none: the mean of Q_s* is nearer by
   (1 - s*)^2 < 1. As m grows s* -> 1.
2. s = (1 - sigma/E(P, T))_+ estimated. T - truth normal with covariance Cov of trace sigma, top eigenvalue lambda: Q_s
   is a positive-part Stein estimator. With X = T - P, u = |X|^2, theta its mean, Stein's lemma gives the risk
       sigma + E[u > sigma: -sigma (sigma - 4 l_X)/u;  u <= sigma: u - 2 sigma],   l_X = X.Cov X/u <= lambda;
   without the positive part sigma - E sigma (sigma - 4 l_X)/u, never less: given all |X_i|, X_i along the eigenvectors,
   the signs are independent, and E[X_i theta_i | |X_i|] = |X_i| theta_i tanh(|X_i| theta_i/l_i) >= 0. By Jensen, E u =
   delta + sigma,
       risk <= (delta + 4 lambda) sigma/(delta + sigma) <= sigma    if sigma >= 4 lambda:
   the price of not knowing s* is 4 lambda sigma/(delta + sigma), a share 4/D of sigma at most, D = sigma/lambda the
   effective dimension (at most 2d for normal latents: theory.energy). Below D = 4 risk <= 4 lambda, by the first line.
3. No model, ANY pool, also one that T has helped to make, and the larger of two views (u = E(P, T)):
       E(Q_s, T) = (1 - s)^2 u <= min(u, sigma^2/u) <= sigma,
       sqrt E(Q_s, truth) <= sqrt sigma + sqrt E(T, truth):  mean at most 4 sigma, for ever (sigma-hat is unbiased).
4. Greedy herding of N rows that may be had again: a_t = t |herd_t - Q|. The pick is no worse than one drawn from any
   law w on the pool. With e = E(w, Q), V = E_w|x - x'|,
       a_{t+1}^2 <= a_t^2 + 2 a_t sqrt e + V + e,   so a_t <= t sqrt e + sqrt(t V):
       sqrt E(herd_N, Q) <= sqrt e + sqrt(V/N).
   Each row once, Q = P: what is left has the mean -a_t/(n - t), |a_{t+1}|^2 <= (1 - 2/(n-t)) |a_t|^2 + n V/(n - t), so
       E(herd_N, P) <= V (2n - N - 1)/(2 N (n - 1)).
   (Each row once and another Q: no such bound, the best rows may be used up; N = n is the counterexample.)
5. Loop: the pool holds a real block R of N_0 rows. In 4 take w = R, sqrt e <= sqrt E(R, T) + sqrt sigma by 3: at every
   generation, whatever the generator adds, for rows that may be had again,
       sqrt E(kept, truth) <= sqrt E(T, truth) + 2 sqrt sigma + sqrt E(R, T) + sqrt(Delta_R/N).
   No runaway and no collapse, as the energy distance sees it.
6. A generator that multiplies variances by lam, all generations pooled, infinite samples, the kept law Q_s* itself
   (mean over T; T fresh at every generation: an approximation, in fact T stays):
       P_k = (N(0, 1) + sum_{j<k} N(0, lam v_j))/(k + 1),   v_k = (1 - s_k) var P_k + s_k,   s_k = s*(delta_k).
   In any dimension, as delta/sigma is free of it. In the end var P = lam v, one normal: lam ((1 - s) p + s) = p.

Source: own derivation but for Stein (1981), Baranchik (1964) and, for herding, Chen, Welling and Smola (2010) and Bach,
Lacoste-Julien and Obozinski (2012), whose bounds need the target inside the hull; kernel means shrunk: Muandet et al.
(2016).
"""

from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import gammaln, ive

from theory.checks import Array, Real, bisect, non_negative, plain, positive, whole
from theory.energy import length_energy, length_spread, scale_energy

__all__ = [
    "target_risk",
    "best_share",
    "shrunk_risk_bound",
    "shrunk_risk",
    "herding_gap",
    "herding_gap_once",
    "no_runaway",
    "shrunk_accumulation",
    "shrunk_limit",
]

NODES, NODE_WEIGHTS = leggauss(200)


def target_risk(share: Any, drift: Any, error: Any) -> Real:
    """(1-s)^2 delta + s^2 sigma: mean E(Q_s, truth) over trusted samples apart from the pool.

    `share` s, `drift` delta = E(P, truth), `error` sigma = Delta/m.

    Raises
    ------
    ValueError
        if an argument is negative, or `share` above 1
    """
    s, delta, sigma = (non_negative(*pair) for pair in (("share", share), ("drift", drift), ("error", error)))
    if (s > 1).any():
        raise ValueError(f"share holds {s.max()}: give numbers within [0, 1]")
    return plain((1 - s) ** 2 * delta + s**2 * sigma)


def best_share(drift: Any, error: Any) -> Real:
    """s* = delta/(delta + sigma).

    Raises
    ------
    ValueError
        if `drift` is negative or `error` not above zero
    """
    delta, sigma = non_negative("drift", drift), positive("error", error)
    return plain(delta / (delta + sigma))


def shrunk_risk_bound(drift: Any, error: Any, top: Any) -> Real:
    """(delta + 4 lambda) sigma/(delta + sigma), at least the risk of the estimated share; 4 lambda if sigma < 4 lambda.

    `top` lambda, the largest eigenvalue of the trusted mean's covariance, whose trace is `error` sigma.

    Raises
    ------
    ValueError
        if `drift` is negative, `error` or `top` not above zero, or `top` above `error`
    """
    delta, sigma, lam = non_negative("drift", drift), positive("error", error), positive("top", top)
    if (lam > sigma * (1 + 1e-12)).any():
        raise ValueError(f"top holds {lam.max()}, more than the trace: give an eigenvalue")
    return plain(np.where(sigma >= 4 * lam, (delta + 4 * lam) * sigma / (delta + sigma), 4 * lam))


def shrunk_risk(drift: float, dim: int) -> float:
    """Risk of the estimated share where T - truth is N(0, I) in `dim` dimensions: sigma = dim, lambda = 1.

    Point 2's expectation over u ~ noncentral chi^2_dim(delta), by Gauss's rule; about 1e-9 of it.

    Raises
    ------
    ValueError
        if `drift` is negative, or `dim` no whole number from 1
    """
    delta, sigma = float(non_negative("drift", drift)), float(whole("dim", dim))
    width = 12 * np.sqrt(2 * (sigma + 2 * delta)) + 60
    mean = sigma + delta

    def part(f: Any, low: float, high: float) -> float:
        if high <= low:
            return 0.0
        a, b = np.sqrt(low), np.sqrt(high)  # in sqrt u: the density of u may be infinite at 0
        r = (b - a) / 2 * NODES + (a + b) / 2
        return float((b - a) / 2 * NODE_WEIGHTS @ (_density(r, np.sqrt(delta), sigma) * f(r * r)))

    inside = part(lambda u: u - 2 * sigma, max(0.0, mean - width), sigma)
    outside = part(lambda u: -sigma * (sigma - 4) / u, max(sigma, mean - width), mean + width)
    return sigma + inside + outside


def _density(r: Array, theta: float, dim: float) -> Array:
    """Density at r > 0 of |X|, X ~ N(theta e_1, I): r (r/theta)^nu e^{-(r^2 + theta^2)/2} I_nu(theta r)."""
    nu = dim / 2 - 1
    if theta * r.max() < 1e-6:  # I_nu by its first term
        return np.exp((dim - 1) * np.log(r) - r * r / 2 - nu * np.log(2) - gammaln(dim / 2))
    return r * (r / theta) ** nu * np.exp(-((r - theta) ** 2) / 2) * ive(nu, theta * r)


def herding_gap(miss: Any, spread: Any, number: Any) -> Real:
    """(sqrt e + sqrt(V/N))^2 >= E(herd_N, Q), rows to be had again; `miss` e = E(w, Q), `spread` V = E_w|x - x'|.

    Raises
    ------
    ValueError
        if `miss` or `spread` is negative, or `number` N no whole number from 1
    """
    e, V, N = non_negative("miss", miss), non_negative("spread", spread), whole("number", number)
    return plain((np.sqrt(e) + np.sqrt(V / N)) ** 2)


def herding_gap_once(spread: Any, number: Any, pool: Any) -> Real:
    """V (2n - N - 1)/(2 N (n - 1)) >= E(herd_N, P), N of the n rows of the pool P itself, each once.

    Raises
    ------
    ValueError
        if `spread` V is negative, `pool` n no whole number from 2, or `number` N none from 1 to n
    """
    V, N, n = non_negative("spread", spread), whole("number", number), whole("pool", pool, 2)
    if (n < N).any():
        raise ValueError(f"number holds {N.max():.0f}, more than the pool's {n.min():.0f}: keep n at most")
    return plain(V * (2 * n - N - 1) / (2 * N * (n - 1)))


def no_runaway(trusted_error: Any, believed_error: Any, real_error: Any, spread: Any, number: Any) -> Real:
    """(sqrt E(T, truth) + 2 sqrt sigma-hat + sqrt E(R, T) + sqrt(Delta_R/N))^2 >= E(kept, truth), of any generator.

    `trusted_error` E(T, truth), `believed_error` sigma-hat, `real_error` E(R, T), `spread` Delta_R of the real block R,
    `number` N kept.

    Raises
    ------
    ValueError
        if an argument is negative, or `number` no whole number from 1
    """
    to_truth = np.sqrt(non_negative("trusted_error", trusted_error))
    root = np.sqrt(non_negative("believed_error", believed_error))
    miss = np.sqrt(non_negative("real_error", real_error)) + root
    gap = np.sqrt(herding_gap(miss**2, spread, number))
    return plain((to_truth + root + gap) ** 2)


def shrunk_accumulation(
    shrink: float, generations: int, trusted: float, dim: int | None = None
) -> tuple[Array, Array, Array]:
    """(v, s, risk), each (K + 1,): kept variances, shares believed, E(kept, truth)/Delta, generations 0..K; point 6.

    `shrink` lam; `trusted` m: inf is herding to the truth, 0 random choice (s = 0). With `dim` s is the larger of the
    latents' s* and of their lengths' in that dimension. risk (1-s)^2 delta/Delta + s^2/m; plain herding's is 1/m.

    Raises
    ------
    ValueError
        if `shrink` is not above zero, `generations` no whole number from 0, `trusted` negative, or `dim` none from 1
    """
    lam, m = float(positive("shrink", shrink)), _trusted(trusted)
    blocks, v, s, risk = [1.0], [], [], []
    for _ in range(int(whole("generations", generations, 0)) + 1):
        delta = _drift(blocks)
        s.append(_believed(delta if dim is None else max(delta, _length_drift(blocks, dim)), m))
        risk.append((1 - s[-1]) ** 2 * delta + (s[-1] ** 2 / m if m else 0.0))
        v.append(float((1 - s[-1]) * np.mean(blocks) + s[-1]))
        blocks.append(lam * v[-1])
    return np.array(v), np.array(s), np.array(risk)


def shrunk_limit(shrink: float, trusted: float) -> tuple[float, float]:
    """(v, s) of `shrunk_accumulation` after infinitely many generations: lam ((1 - s) p + s) = p, v = p/lam.

    Random choice (m = 0) has none: 0 or infinity. The generations come near like 1/k.

    Raises
    ------
    ValueError
        if `shrink` or `trusted` is not above zero
    """
    lam, m = float(positive("shrink", shrink)), _trusted(trusted)
    if m == 0:
        raise ValueError("trusted is 0: random choice has no limit, give m above zero")

    def excess(log_p: Array) -> Array:
        p = float(np.exp(log_p))
        s = _believed(_drift([p]), m)
        return np.asarray(np.log(lam * ((1 - s) * p + s)) - log_p)

    p = float(np.exp(bisect(excess, np.asarray(-50.0), np.asarray(50.0))))
    return p / lam, _believed(_drift([p]), m)


def _drift(variances: list[float]) -> float:
    """delta/Delta of the equal mixture of N(0, v_j I); the same in every dimension."""
    return scale_energy(variances) / (2 / np.sqrt(np.pi))


def _length_drift(variances: list[float], dim: int) -> float:
    return length_energy(variances, dim) / length_spread(dim)


def _believed(delta: float, m: float) -> float:
    """delta/(delta + 1/m), delta over Delta; 0 at delta = 0."""
    if delta == 0 or m == 0:
        return 0.0
    return 1.0 if np.isinf(m) else float(delta * m / (delta * m + 1))


def _trusted(value: Any) -> float:
    m = float(np.asarray(value, dtype=float))
    if not m >= 0:
        raise ValueError(f"trusted is {value}: give a number of samples, zero or more")
    return m
