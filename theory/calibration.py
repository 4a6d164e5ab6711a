"""What does matched selection keep, and is it ever further from the truth than what random choice keeps?

Keep N of n rows of law p (a share q_0 = N/n) so that trusted moments t of features phi are met, and no more. Matched
selection (`lsf.rules.Matched`) is the instance with the indicators of bins of confidence as phi and their mass in real
data as t, beta = 0: q = p t_b/p_b in bin b.

    q = argmin { KL(q || p) : q in E },   E = { q : q <= p/q_0,  |E_q phi_j - t_j| <= beta_j },
    q = p min(1/q_0, e^{a + theta . phi}),   inclusion probability of row i   pi_i = q_0 q_i/p_i <= 1,

the I-projection of p on a convex set. For EVERY r in E (Csiszar 1975; the derivative of KL(q + eps (r - q) || p)
at 0, sum (r - q) log(q/p), is not negative at a minimum):

    KL(r || q) <= KL(r || p) - KL(q || p).

1. r the truth: what is kept is never further from it than the pool, if t +- beta covers its moments and p >= q_0 r
   (the pool holds N real rows at least).
2. r the empirical law of the pool's m >= N real rows, t their own moments: surely in E, so E is not empty, and
       (prod over real rows of pi_i)^{1/m} >= q_0 e^{KL(q||p)},
   so the expected share of the real rows that is kept is q_0 e^{KL(q||p)} at least; random choice keeps q_0.
3. q = p iff p is in E. E is empty iff, for some theta, the mean of the top q_0 of theta . phi is below
   theta . t - beta . |theta|.
4. ANY clipped tilt q = p min(1/q_0, e^{a + theta . phi}), whatever it aims at, and any r <= p/q_0:
       KL(r || q) <= KL(r || p) - KL(q || p) + theta . (E_q phi - E_r phi),
   as log(q/p) is a + theta . phi, less something where q is at its cap and r - q <= 0. A target that is off by less
   than about half of the correction made does no harm: KL(q || p) ~ theta . V theta/2, V the pool's covariance.

Loop (x in one dimension, phi = x^2, t = 1, a generator that multiplies the variance by lam, all generations pooled):
    v_k = clip(P_k, 1 - beta, 1 + beta),   P_k = (1 + lam sum_{j<k} v_j)/(k + 1);   random choice: v_k = P_k.
Without the cap, what is kept of a mixture of N(0, v_j) is one again:
    v_j -> v_j/(1 - 2 theta v_j),   weights proportional to w_j (1 - 2 theta v_j)^{-1/2}.
With the cap of one block (q_0 = 1/(k+1)) and beta = 0, KL(truth || kept) -> 0 for EVERY lam > 0. By 1 and as
KL(truth || p_k) -> D = (1/lam - 1 + log lam)/2, it suffices that liminf KL(q_k || p_k) >= D: Donsker and Varadhan's
E_q f - log E_p e^f with f = (1/lam - 1) x^2/2 on |x| <= R_k (lam > 1: everywhere), R_k^2 = 2 (1+eps) lam log k:
the cap leaves q no second moment beyond R_k, and E_p e^f -> lam^{-1/2} as the real block adds k^{(1+eps)(1-2lam)-1}
at most. Without the cap it holds for lam >= 1/2 only: below, rare far real rows make up the moment, theta -> 1/2, and
the bulk that is kept tends to N(0, lam/(1-lam)).

Source: own derivation but for Csiszar, 'I-divergence geometry of probability distributions and minimization
problems' (1975).
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.special import rel_entr

from theory.checks import Array, Real, bisect, finite, non_negative, plain, positive, whole
from theory.projection import project

__all__ = [
    "divergence",
    "calibrate",
    "least_slack",
    "tilted_mixture",
    "calibrated_accumulation",
]


def _law(name: str, value: Any) -> Array:
    p = non_negative(name, value)
    if p.ndim != 1 or abs(p.sum() - 1) > 1e-9:
        raise ValueError(
            f"{name} has shape {p.shape} and sum {p.sum()}: give one axis of probabilities, sum 1"
        )
    return p / p.sum()


def _share(fraction: Any) -> float:
    q_0 = positive("fraction", fraction)
    if q_0.ndim or q_0 > 1:
        raise ValueError(f"fraction is {fraction}: give one part to keep, within (0, 1]")
    return float(q_0)


def divergence(law: Any, other: Any) -> float:
    """KL(law || other) of two laws on one finite alphabet, shape (m,); inf where `other` lacks a letter of `law`.

    Raises
    ------
    ValueError
        if either is no law, or their lengths differ
    """
    p, q = _law("law", law), _law("other", other)
    if p.shape != q.shape:
        raise ValueError(f"other has {len(q)} letters but law has {len(p)}: give two laws on one alphabet")
    return float(rel_entr(p, q).sum())


class _Box(NamedTuple):
    """A pool's law, centred features (m, J), half-widths (J,) and the cap 1/q_0: the set E."""

    p: Array
    phi: Array
    beta: Array
    cap: float


def _box(pool: Any, features: Any, target: Any, slack: Any, fraction: Any) -> _Box:
    p, phi = positive("pool", _law("pool", pool)), finite("features", features)
    phi = phi[:, None] if phi.ndim == 1 else phi
    if phi.ndim != 2 or len(phi) != len(p):
        raise ValueError(f"features has shape {phi.shape} but pool {p.shape}: give one row a letter")
    t, beta = np.atleast_1d(finite("target", target)), non_negative("slack", slack)
    if t.shape != phi.shape[1:]:
        raise ValueError(f"target has shape {t.shape}: give one number for each of {phi.shape[1]} features")
    if beta.shape not in ((), t.shape):
        raise ValueError(f"slack has shape {beta.shape}: give one number for each of {len(t)} features")
    return _Box(p, phi - t, np.broadcast_to(beta, t.shape), 1 / _share(fraction))


def least_slack(pool: Any, features: Any, target: Any, errors: Any, fraction: Any) -> float:
    """The least z >= 0 with a q <= pool/fraction such that |E_q phi_j - t_j| <= z e_j for all j; inf if there is none.

    E with slack z e is empty iff z is below it. Arguments of `calibrate`; `errors` e (J,), where 0 is exact. A
    linear program, accurate to about 1e-7 of the features' range. Own derivation.

    Raises
    ------
    ValueError
        as `calibrate`, but never for an empty set
    """
    p, phi, e, cap = _box(pool, features, target, errors, fraction)
    rows = np.block([[phi.T, -e[:, None]], [-phi.T, -e[:, None]]])
    total = np.append(np.ones(len(p)), 0.0)[None]
    bounds = [*((0, cap * w) for w in p), (0, None)]
    found = linprog(
        np.append(np.zeros(len(p)), 1.0), rows, np.zeros(len(rows)), total, [1.0], bounds, method="highs"
    )
    return float(found.fun) if found.status == 0 else np.inf


def calibrate(pool: Any, features: Any, target: Any, slack: Any, fraction: Any) -> Array:
    """The law q kept by selection to trusted moments, (m,); row i is included with probability fraction q_i/pool_i.

    Parameters
    ----------
    pool
        law p of the pool's letters (1/n each: the rows themselves), shape (m,)
    features
        phi, (m, J) or (m,)
    target, slack
        trusted moments t and half-widths beta >= 0, (J,) or numbers
    fraction
        q_0 = N/n, the part kept, in (0, 1]

    Exactly p where p is in E. Moments and mass to about 1e-10 of the features' range. Csiszar (1975).

    Raises
    ------
    ValueError
        if an argument is no law, does not fit or is out of range; if E is empty, or has no inner point
    """
    box = _box(pool, features, target, slack, fraction)
    if (np.abs(box.p @ box.phi) <= box.beta).all():
        return box.p
    scale = np.maximum(np.abs(box.phi).max(axis=0), np.finfo(float).tiny)
    phi, beta = box.phi / scale, box.beta / scale
    q = project(box.p, phi, beta, box.cap) if box.cap > 1 else box.p
    off = np.append(np.abs(q @ phi) - beta, abs(q.sum() - 1))
    if not (off <= 1e-9).all():
        raise ValueError(
            f"target is out of reach by {off.max()} of the features' range, or on its border: "
            "give a wider slack or a smaller fraction"
        )
    return q


def tilted_mixture(variances: Any, target: Any, weights: Any = None) -> tuple[Real, Array, Array]:
    """(theta, weights, variances) of the mixture of N(0, v_j) tilted by e^{theta x^2} to E x^2 = `target`.

        v_j' = v_j/(1 - 2 theta v_j),   w_j' proportional to w_j (1 - 2 theta v_j)^{-1/2},   sum w_j' v_j' = target.

    `variances` (J,), `weights` (J,) equal if left out; the cap is ignored (`calibrate` on a grid has it). Real data of
    variance 1 being component 0, weights[0] is their share of what is kept. Own derivation.

    Raises
    ------
    ValueError
        if a variance, a weight or the target is not above zero, or the lengths differ
    """
    v, T = positive("variances", variances), positive("target", target)
    w = np.full(v.shape, 1 / v.size) if weights is None else positive("weights", weights)
    if v.ndim != 1 or w.shape != v.shape or T.ndim:
        raise ValueError(
            f"weights has shape {w.shape}, variances {v.shape}, target {T.shape}: give (J,), (J,), ()"
        )

    def tilt(gap: Array) -> tuple[Array, Array]:
        """By gap = 1/max v - 2 theta > 0, the precision left to the widest component: no cancellation there."""
        precision = (1 / v - 1 / v.max()) + gap
        raw = w * np.sqrt(1 / (v * precision))
        return raw / raw.sum(), 1 / precision

    def excess(log_gap: Array) -> Array:
        weight, variance = tilt(np.exp(log_gap))
        return np.asarray(weight @ variance - T)

    part = w / np.sqrt(v)
    widest = (
        part[v.argmax()] / part.sum()
    )  # at most the widest component's weight: widest/gap <= E x^2 <= 1/gap
    gap = np.exp(bisect(excess, np.log(widest / T), -np.log(T)))
    return plain((1 / v.max() - gap) / 2), *tilt(gap)


def calibrated_accumulation(shrink: Any, generations: int, slack: Any = 0.0) -> tuple[Array, Array]:
    """(v, P): variances kept, by selection to the trusted E x^2 +- beta, and pooled; generations 0..K, (..., K + 1).

    1-D refit loop, infinite sample, phi = x^2, true variance 1, slack beta, all generations pooled:

        P_k = (1 + lam sum_{j<k} v_j)/(k + 1),   v_k = clip(P_k, 1 - beta, 1 + beta).

    KL's minimum given E_q x^2 is convex in that moment and 0 at the pool's, so the nearer face binds. `shrink` lam;
    `slack` inf is random choice, `theory.gaussian_loop.biased_accumulation`. In the end v_K = 1 - beta (lam < 1) or
    1 + beta (lam > 1). Own derivation.

    Raises
    ------
    ValueError
        if `shrink` or `slack` is negative, or `generations` not a whole number from 0
    """
    lam, beta = non_negative("shrink", shrink), np.asarray(slack, dtype=float)
    if not (beta >= 0).all():
        raise ValueError(f"slack holds {beta.min()}: give numbers that are zero or more")
    kept: list[Array] = []
    pools: list[Array] = []
    for k in range(int(whole("generations", generations, 0)) + 1):
        pools.append((1 + lam * sum(kept, np.zeros(()))) / (k + 1))
        kept.append(np.clip(pools[-1], 1 - beta, 1 + beta))
    return np.stack(kept, axis=-1), np.stack(np.broadcast_arrays(*pools), axis=-1)
