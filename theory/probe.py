"""How confident is a FIXED probe on data that have drifted, and how confident is one among C classes?

    E sg(Z) = 1/2 + int_0^inf Im phi(u)/sinh(pi u) du,   phi(u) = E e^{iuZ},
    Z = x^T Q x / 2,   x ~ N(mu, Sigma),
    phi(u) = prod_j (1 - i u m_j)^{-1/2} exp(i u m_j nu_j^2 / (2 (1 - i u m_j))),
    m_j the eigenvalues of Q Sigma,
    nu = V^T Sigma^{-1/2} mu,   V the eigenvectors of Sigma^{1/2} Q Sigma^{1/2};
    roots factor by factor.

The two-subspace probe has Q = 2 kappa_0 (P_1 - P_0), 2 kappa_0 = 1/(s^2(1+s^2)) with the ORIGINAL s. In the
plane of one principal pair the two factors of phi make 1 - i u T + u^2 D, whose real part is never below 1:
no branch to watch.
    drifted noise s':  T = 2 kappa_0 sin^2,   D = (2 kappa_0)^2 sin^2 s'^2 (1 + s'^2).
C orthogonal subspaces, by the Gumbel trick (xi = P(X + G_1 > max_c (W_c + G_c)), G independent Gumbel):
    1 - xi_C = int a(y) (1 - B(y)^{C-1}) dy,   a = density of X + G_1,   B(y) = E exp(-e^{W-y}),
    X = chi^2_r/(2 s^2),   W = chi^2_r/(2(1+s^2)).

Source: own derivation, from sg(z) = 1/2 + int_0^inf sin(uz)/sinh(pi u) du. With u = e^x all singularities lie
on |Im x| = pi/2, so the trapezoidal rule errs by exp(-pi^2/h).
"""

from typing import Any

import numpy as np

from theory.checks import Array, Real, finite, plain, positive, right_angles, whole
from theory.gamma_rules import gamma_rule, gamma_top

__all__ = ["probe_confidence", "gaussian_probe_confidence", "plane_confidence", "multiclass_confidence"]

_STEP = 0.1  # exp(-pi^2/h) = 1e-43, times a constant that grows like 2^r


def probe_confidence(angles: Any, noise: Any, drifted_noise: Any) -> Real:
    """E sg(Z) of class-1 data whose noise s.d. is `drifted_noise`, under the probe made for `noise`.

    Shape of the leading axes; equals `expected_confidence` where the two noises agree. Own derivation.

    Raises
    ------
    ValueError
        if a noise is not above zero, or an angle is not in [0, pi/2]
    """
    theta = np.atleast_1d(right_angles(angles))
    s, t = positive("noise", noise)[..., None], positive("drifted_noise", drifted_noise)[..., None]
    sin_2, two_kappa = np.sin(theta) ** 2, 1 / (s**2 * (1 + s**2))
    return plane_confidence(two_kappa * sin_2, two_kappa**2 * sin_2 * t**2 * (1 + t**2))


def plane_confidence(T: Any, D: Any) -> Real:
    """1/2 + int_0^inf Im prod_i (1 - i u T_i + u^2 D_i)^{-1/2}/sinh(pi u) du, i on the last axis, D >= 0."""
    T, D = np.broadcast_arrays(np.atleast_1d(finite("T", T)), np.atleast_1d(finite("D", D)))
    scale = 1 + np.abs(T).sum(axis=-1) + np.sqrt(D).sum(axis=-1)
    total = np.zeros(scale.shape)
    for u in _frequencies(float(scale.max())):
        phi = np.exp(-np.log(1 - 1j * u * T + u**2 * D).sum(axis=-1) / 2)
        total += phi.imag * (u / np.sinh(np.pi * u))
    return plain(0.5 + _STEP * total)


def _frequencies(scale: float, step: float = _STEP) -> Array:
    """u = e^x from 1e-17 of the largest eigenvalue's frequency up to where sinh(pi u) has won."""
    return np.exp(np.arange(np.log(1e-17 / scale), np.log(13.0), step))


def gaussian_probe_confidence(quadratic: Any, covariance: Any, mean: Any = None) -> float:
    """E sg(x^T Q x / 2) for x ~ N(mean, covariance): any quadratic probe on any Gaussian data.

    `quadratic` Q and `covariance` are symmetric d x d, `mean` has d entries (zero if left out). About 1e-10
    accurate while the mean's own log-odds stay below a hundred or so. Own derivation.

    Raises
    ------
    ValueError
        if the shapes do not match, Q is not symmetric, or the covariance is not symmetric positive definite
    """
    Q, S = _symmetric("quadratic", quadratic), _symmetric("covariance", covariance)
    if Q.shape != S.shape:
        raise ValueError(f"covariance has shape {S.shape} but quadratic {Q.shape}: give equal ones")
    values, vectors = np.linalg.eigh(S)
    if values.min() <= 0:
        raise ValueError(f"covariance has the eigenvalue {values.min()}: give a positive definite matrix")
    root = (vectors * np.sqrt(values)) @ vectors.T
    m, V = np.linalg.eigh(root @ Q @ root)
    mu = np.zeros(len(m)) if mean is None else finite("mean", mean)
    if mu.shape != m.shape:
        raise ValueError(f"mean has shape {mu.shape}: give {m.size} entries")
    nu = V.T @ ((vectors / np.sqrt(values)) @ (vectors.T @ mu))
    return _integral(m, nu)


def _integral(m: Array, nu: Array) -> float:
    u = _frequencies(float(1 + np.abs(m).sum() + np.abs(m) @ nu**2), 0.02 if nu.any() else _STEP)[:, None]
    factor = 1 - 1j * u * m
    log_phi = (-np.log(factor) / 2 + 1j * u * m * nu**2 / (2 * factor)).sum(axis=-1)
    x = u[:, 0]
    return float(0.5 + np.log(x[1] / x[0]) * (np.exp(log_phi).imag * x / np.sinh(np.pi * x)).sum())


def _symmetric(name: str, matrix: Any) -> Array:
    array = finite(name, matrix)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not np.allclose(array, array.T):
        raise ValueError(f"{name} has shape {array.shape}: give a symmetric square matrix")
    return (array + array.T) / 2


def multiclass_confidence(classes: Any, rank: Any, noise: Any) -> Real:
    """Expected confidence xi_C of the Bayes classifier of C = `classes` orthogonal subspaces of dimension r = `rank`.

        xi_C = int_0^inf E[L_1 e^{-t L_1}] (E e^{-t L_0})^{C-1} dt,
        L_1 = exp(chi^2_r/(2 s^2)),   L_0 = exp(chi^2_r/(2(1+s^2))).

    Arguments broadcast; C = 2 gives `expected_confidence` at 90 degrees. Own derivation (module docstring).

    Raises
    ------
    ValueError
        if `classes` is below 2, `rank` below 1, or `noise` not above zero
    """
    C, r, s = whole("classes", classes, 2), whole("rank", rank), positive("noise", noise)
    return plain(np.vectorize(_one_multiclass, otypes=[float])(C, r, s))


def _one_multiclass(C: float, r: float, s: float) -> float:
    high = gamma_top(r / 2, 1 + s**2) + 45
    y = np.arange(-5.0, high, 0.2)
    W, w = gamma_rule(r / 2, 1 + s**2)
    X, x = gamma_rule(r / 2, s**2, high + 45)
    missing = w @ -np.expm1(-np.exp(np.minimum(W[:, None] - y, 700)))  # 1 - B(y)
    gap = np.minimum(X[:, None] - y, 700)
    a = x @ np.exp(gap - np.exp(gap))
    return float(1 - 0.2 * (a * -np.expm1((C - 1) * np.log1p(-np.minimum(missing, 1 - 1e-16)))).sum())
