"""How confident can ANY classifier of C classes be, given how far apart the classes are?

C classes with any densities P_1 ... P_C, equal priors, posterior p; both numbers are means over the classes:
    xi = (1/C) sum_y E_y p_y = E sum_c p_c^2                     (confidence in the true label),
    J  = (1/C) sum_{y != c} KL(P_y||P_c) = E sum_c f(p_c),       f(p) = (C p - 1) log p.
With N = C - 1 and xi = (1 + N y)/C, the sharp bound on y inverts the lower convex envelope of
    Psi(y) = N v omega,   v = sqrt y,   omega = log((1 + N v)/(1 - v)),
which is sum f at p = (a, b, ..., b), log(a/b) = omega, v = a - b = (e^omega - 1)/(e^omega + N).

Proof. 1. Psi is the least sum f given sum p^2. A least point lies inside the simplex (f is infinite at 0), so
f'(p_c) = 2 lambda p_c + mu. f''' = -C/p^2 - 2/p^3 < 0: f' meets that line at most twice, in b < a, and
f''(a) < 2 lambda. Were two coordinates a, moving them apart would lower sum f: a stands once.
2. Hence J >= E Psi(Y) >= envelope(E Y), and E Y = y.
3. Psi'' = N K/(4 v^3), K = v^2 omega'' + v omega' - omega (derivatives in v), K(0) = 0, and
       K' = v ((3-v)/(1-v)^3 - N^2 (3+Nv)/(1+Nv)^3):
   the bracket rises from 3(1 - N^2) without end. So Psi is first concave, then convex; C = 2: convex.
4. So the envelope is straight from 0 to the point where Psi = y Psi', and Psi from there on. That point:
       T(omega) = e^omega + N - 1 - N e^-omega - C omega = 0,   T' = (e^omega - 1)(e^omega - N) e^-omega,
       T < 0 at log N,   T = C (N - 1/N - 2 log N) > 0 at 2 log N:   one root omega*, between these.
5. It is attained: with probability w the label is seen through a symmetric channel (N wrong labels of posterior
   b), else not at all.

Small J: y = J v*/(N omega*), more than J/(C N) for C >= 3, as Psi = C N (y - (C-2)/2 y^{3/2} + ...) bends down:
why 1/(1 + N e^{-J/N}), which starts like J/(C N), is no bound (theory.counterexamples, natural-multiclass).
Large J: 1 - xi ~ 2 N e^{-J/N} is possible, and no less: Theorem 2's form then loses a factor of 2, no more.

The bound is on the mean over classes; one class alone may exceed it if C >= 3. For one class, whatever the priors:
    1 - sum_{c != y} (1 - xi_yc) <= xi_C(y) <= min_c xi_yc       (xi_yc: the classes y and c alone).
Unequal priors are not treated. Source: own derivation (its algebra runs in tests/proofs/test_multiclass.py); step 1
is a case of Cirtoaje's equal variable theorem.
"""

from typing import Any

import numpy as np

from theory.checks import Array, Real, bisect, finite, non_negative, plain, whole

__all__ = [
    "sharp_confidence_bound",
    "sharp_shortfall",
    "attaining_channel",
    "mean_divergence",
    "pairwise_bounds",
]


def sharp_confidence_bound(divergence: Any, classes: Any) -> Real:
    """The largest mean confidence xi of any C = `classes` densities whose mean divergence is J = `divergence`.

    J = (1/C) sum_{y != c} KL(P_y||P_c) in nats. C = 2: J is half the sum of both divergences. C orthogonal
    subspaces: J = (C-1) r/(2 s^2 (1+s^2)). Arguments broadcast. Own derivation (module docstring).

    Raises
    ------
    ValueError
        if `divergence` is negative or not finite, or `classes` is not a whole number from 2
    """
    w, omega, N = _channel(divergence, classes)
    return plain((1 + N * w * _v(omega, N) ** 2) / (N + 1))


def sharp_shortfall(divergence: Any, classes: Any) -> Real:
    """1 - sharp_confidence_bound with full RELATIVE accuracy: N b (2 - C b) where the channel is always seen."""
    w, omega, N = _channel(divergence, classes)
    b = np.exp(-omega) / (1 + N * np.exp(-omega))
    return plain(w * N * b * (2 - (N + 1) * b) + (1 - w) * N / (N + 1))


def attaining_channel(divergence: Any, classes: Any) -> tuple[Real, Real]:
    """(w, omega): the classes that attain the bound, by their posterior.

    With probability w it is (a, b, ..., b) in any order, a = 1/(1 + N e^-omega), b = a e^-omega; with 1 - w it is
    uniform. omega, not a, since a rounds to 1. w = 1 for C = 2, and from J = N v* omega* on. Own derivation.

    Raises
    ------
    ValueError
        as `sharp_confidence_bound`
    """
    w, omega, _ = _channel(divergence, classes)
    return plain(w), plain(omega)


def _channel(divergence: Any, classes: Any) -> tuple[Array, Array, Array]:
    """w, omega and N, broadcast: omega = max(omega*, the root of N v omega = J), w = min(1, J/(N v* omega*))."""
    J, N = np.broadcast_arrays(non_negative("divergence", divergence), whole("classes", classes, 2) - 1)
    start = _tangency(N)
    least = N * _v(start, N) * start
    # v <= 1, and (1 - v) omega <= log C + 1
    root = bisect(lambda omega: J - N * _v(omega, N) * omega, J / N, J / N + np.log(N + 1) + 1)
    w = np.divide(J, least, out=np.ones(J.shape), where=least > J)
    return w, np.maximum(start, root), N


def _tangency(N: Array) -> Array:
    """omega*: T(omega) = e^omega + N - 1 - N e^-omega - C omega = 0 in (log N, 2 log N); 0 for two classes."""

    def falling(omega: Array) -> Array:
        return (N + 1) * omega - np.exp(omega) - (N - 1) + N * np.exp(-omega)

    return bisect(falling, np.log(N), 2 * np.log(N))


def _v(omega: Array, N: Array) -> Array:
    """a - b = (e^omega - 1)/(e^omega + N), for omega >= 0 of any size."""
    return -np.expm1(-omega) / (1 + N * np.exp(-omega))


def mean_divergence(means: Any, covariances: Any) -> Real:
    """J = (1/C) sum_{y != c} KL(P_y||P_c) of Gaussian classes N(mu_c, S_c), in nats.

        J = (1/2C) sum_{y != c} (tr S_c^{-1} (S_y + m m^T) - d),   m = mu_y - mu_c:   log det S_c cancels.

    `means` (..., C, d) and `covariances` (..., C, d, d) broadcast. Standard (both directions summed).

    Raises
    ------
    ValueError
        if the shapes do not match, there are fewer than two classes, or a covariance is not symmetric positive
        definite
    """
    mu, S = finite("means", means), finite("covariances", covariances)
    if mu.ndim < 2 or mu.shape[-2] < 2:
        raise ValueError(f"means has shape {mu.shape}: give (..., C, d) with at least two classes")
    C, d = mu.shape[-2:]
    if S.shape[-3:] != (C, d, d):
        raise ValueError(f"covariances has shape {S.shape} but means {mu.shape}: give (..., {C}, {d}, {d})")
    scale = np.abs(S).max(axis=(-1, -2), keepdims=True)  # symmetric at its own size, however small
    if (np.abs(S - np.swapaxes(S, -1, -2)) > 1e-8 * scale).any() or np.linalg.eigvalsh(S).min() <= 0:
        raise ValueError("covariances holds a matrix that is not symmetric positive definite")
    m = mu[..., :, None, :] - mu[..., None, :, :]
    spread = S[..., :, None, :, :] + m[..., :, None] * m[..., None, :]  # (..., y, c, d, d)
    traces = np.einsum("...cij,...ycji->...yc", np.linalg.inv(S), spread)
    return plain((traces - d).sum(axis=(-1, -2)) / (2 * C))


def pairwise_bounds(pairwise: Any) -> tuple[Real, Real]:
    """(lower, upper) on one class's confidence: 1 - sum_c (1 - xi_yc) <= xi_C(y) <= min_c xi_yc.

    `pairwise` (..., C-1) holds xi_yc = E_y[P_y/(P_y + P_c)], the confidence among y and c alone. True pointwise
    in x: sum_c P_c/P <= sum_c P_c/(P_y + P_c) with P = sum_c P_c, and P >= P_y + P_c. Own derivation.

    Raises
    ------
    ValueError
        if `pairwise` is not within [0, 1]
    """
    xi = np.atleast_1d(non_negative("pairwise", pairwise))
    if (xi > 1).any():
        raise ValueError(f"pairwise holds {xi.max()}: give confidences, at most 1")
    return plain(1 - (1 - xi).sum(axis=-1)), plain(xi.min(axis=-1))
