"""How large is the expected OLE of two noisy subspaces, and which lower bounds on it are true?

    OLE = ||M_0||_* + ||M_1||_* - ||M||_*,   M_c: d x n columns of N(0, S_c),   M = [M_0, M_1],
    E OLE ~ 2 D({1+s^2 (r), s^2 (d-r)}, n) - D({(1 +- cos theta_i)/2 + s^2, s^2 (d-2r)}, 2n),
        D of theory.nuclear_norm,
    E||M||_* <= sqrt n { sum_i [sqrt(1+cos_i+2s^2) + sqrt(1-cos_i+2s^2)] + (d-2r) sqrt2 s }   (correct and tight),
    E OLE >= C1 - C2 phi(theta)   (Theorem 1),
        phi = sqrt(2n) sqrt(l cos theta) + sqrt(2n(2n-1)) sqrt(1 - cos theta).

Theorem 1: 'Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering' (AAAI-26), as reported in
secondary notes, which leave C1, C2, l unknown: not decidable as stated. Reconstruction:
    l = r,   s = 0,   C1 = 2 E||G_{r x n}||_*,   C2 = sqrt r.
All else is our own derivation: the upper bound on E||M||_* is
    tr f(A) <= sum_j f(u_j^T A u_j)
for the concave f = sqrt in the eigenbasis u_j of S_0 + S_1, then Jensen; sqrt(1+c) + sqrt(1-c) falls in c, so
the bound on OLE falls as any angle grows. So does E OLE itself: proved for s = 0, and with noise for d >= 2r+2,
d >= 2n+1, n = 1 or d = 2; for other d = 2r, 2r+1 mapped, not proved (docs/open_questions.md). The pooled columns
have two covariances, not one: the deterministic equivalent needs only their mean because the reflection that
swaps the subspaces makes both classes' corrections equal. For any matrices
    0 <= OLE <= (1 - 1/sqrt 2) sum_c ||M_c||_*:
divided by that sum, OLE is free of scale.
"""

from typing import Any

import numpy as np
from scipy.special import gamma, hyp2f1

from theory.checks import Real, fits, non_negative, plain, positive, right_angles, whole
from theory.finite_size import first_correction
from theory.nuclear_norm import chi_mean, deterministic_equivalent, triangular_bound
from theory.subspaces import class_spectrum, pooled_spectrum

__all__ = [
    "expected_ole",
    "normalised_ole",
    "theorem1_bound",
    "corrected_bound",
    "exact_ole_rank_one",
    "one_sample_slope",
]


def expected_ole(dim: Any, n: Any, angles: Any, noise: Any, first_order: bool = False) -> Real:
    """E OLE by the deterministic equivalent (asymptotic; any rank, any noise >= 0); shape of the leading axes.

    `n` columns per class, `noise` the s.d. s, the last axis of `angles` the r principal angles in radians.
    Within 0.5% of simulation from dim = 64, n = 100 on; 2.6% too high at r = 1, s = 0, n = 10. With
    `first_order` the correction of `theory.finite_size` is added and the error is of relative order 1/n^2:
    0.16% there. Own derivation.

    Raises
    ------
    ValueError
        if 2r > dim, `n` is below one, `noise` is negative, or an angle is not in [0, pi/2]
    """
    each, both = _norms(dim, n, angles, noise, first_order)
    return plain(2 * np.asarray(each) - both)


def normalised_ole(dim: Any, n: Any, angles: Any, noise: Any, first_order: bool = False) -> Real:
    """E OLE / E sum_c ||M_c||_*, in [0, 1 - 1/sqrt 2]: free of scale, unlike OLE. Arguments of `expected_ole`.

    A ratio of expectations, which is what a large sample shows.
    """
    each, both = _norms(dim, n, angles, noise, first_order)
    return plain(1 - np.asarray(both) / (2 * np.asarray(each)))


def _norms(dim: Any, n: Any, angles: Any, noise: Any, first_order: bool) -> tuple[Real, Real]:
    """(E||M_c||_*, E||M||_*), both asymptotic."""
    theta, count = np.atleast_1d(right_angles(angles)), whole("n", n)
    one, two = class_spectrum(dim, theta.shape[-1], noise), pooled_spectrum(dim, theta, noise)
    each, both = _equivalent(one, count), _equivalent(two, 2 * count)
    if not first_order:
        return each, both
    floor = non_negative("noise", noise)[..., None] ** 2
    planes = (np.cos(theta / 2) ** 2 + floor, np.sin(theta / 2) ** 2 + floor, np.sin(theta) ** 2)
    each = each + first_correction(one[0], count, one[1])
    return each, both + first_correction(two[0], 2 * count, two[1], planes)


def _equivalent(spectrum: tuple[Any, Any], n: Any) -> Real:
    values, multiplicity = spectrum
    return deterministic_equivalent(values, n, multiplicity)


def theorem1_bound(n: Any, angles: Any) -> Real:
    """C1 - C2 phi(theta), theta the largest angle: Theorem 1 (`ole-lower-bound`), reconstructed at s = 0, l = r.

    C1 = 2 E||G_{r x n}||_* is exact (a chi mean) if min(r, n) = 1, else the deterministic equivalent: not
    rigorous there. With the exact C1, and sharper than known before (own derivation), it is

    - true at every angle if 2n - 1 >= 2r;
    - true where cos theta >= l/(l + 2n - 1), the range in which phi falls with theta, for every n and r;
    - FALSE elsewhere: n = 1, r = 1, theta = pi/2 gives C1 - C2 sqrt 2 = 0.18 while OLE is 0;
    - negative, so empty, beyond 4.7 degrees at r = 4 and 7.3 at r = 10 (n = 100).

    Proof of the first two: C2 phi >= the subtracted part of `corrected_bound` at s = 0, which for 2n - 1 >= r
    needs only

        sqrt2 (sqrt c + sqrt(1-c)) >= sqrt(1+c) + sqrt(1-c),

    that is c >= 1/3 (for 2n - 1 >= 2r no condition); for r >= 2n, C2 phi is concave in c and at both ends of the
    range at least 2n sqrt r >= E||M||_*.

    Raises
    ------
    ValueError
        if `n` is below one, or an angle is not in [0, pi/2]
    """
    all_angles, count = np.atleast_1d(right_angles(angles)), whole("n", n)
    theta, r = all_angles.max(axis=-1), all_angles.shape[-1]
    l = r  # noqa: E741
    cos = np.sin(np.pi / 2 - theta)  # zero, not 6e-17, at right angles: its square root counts
    phi = np.sqrt(2 * count) * np.sqrt(l * cos) + np.sqrt(2 * count * (2 * count - 1)) * np.sqrt(1 - cos)
    C1, C2 = 2 * np.asarray(_white_norm(r, count)), np.sqrt(r)
    return plain(C1 - C2 * phi)


def _white_norm(r: int, n: Any) -> Real:
    """E||G_{r x n}||_*: exact if min(r, n) = 1, else asymptotic."""
    exact = chi_mean(np.maximum(r, n))
    return plain(np.where(np.minimum(r, n) == 1, exact, deterministic_equivalent(np.ones(r), n)))


def corrected_bound(dim: Any, n: Any, angles: Any, noise: Any, rigorous: bool = False) -> Real:
    """A lower bound on E OLE that is true, falls as any angle grows, and is tight as n -> inf at fixed dim.

        2 E||M_c||_* - sqrt n { sum_i [sqrt(1+cos_i+2s^2) + sqrt(1-cos_i+2s^2)] + (d-2r) sqrt2 s }

    The subtracted part is rigorous at every size; for n < d it is replaced by 2n sqrt(r + s^2 d) where that
    is smaller. E||M_c||_* is, by default, the deterministic equivalent: good to about 0.2%, NOT rigorous.
    With `rigorous` it is sqrt(1+s^2) sum_{j<r} E chi_{n-j} + s sum_{r<=j<d} E chi_{n-j} (`triangular_bound`):
    true at every size, less tight. Own derivation. Arguments and errors of `expected_ole`.
    """
    theta, s = np.atleast_1d(right_angles(angles)), non_negative("noise", noise)
    count, r = whole("n", n), theta.shape[-1]
    d, S, cos = fits(dim, r), s[..., None], np.cos(theta)
    planes = (np.sqrt(1 + cos + 2 * S**2) + np.sqrt(2 * np.sin(theta / 2) ** 2 + 2 * S**2)).sum(axis=-1)
    both = np.minimum(
        np.sqrt(count) * (planes + (d - 2 * r) * np.sqrt(2) * s),
        2 * count * np.sqrt(r + s**2 * d),
    )
    if rigorous:
        signal, floor = triangular_bound(r, count), triangular_bound(d, count, r)
        return plain(2 * (np.sqrt(1 + s**2) * signal + s * np.asarray(floor)) - both)
    return plain(2 * np.asarray(_equivalent(class_spectrum(dim, r, noise), count)) - both)


def exact_ole_rank_one(n: Any, angle: Any) -> Real:
    """E OLE, exact, for r = 1 and s = 0: 2 E chi_n - E sqrt(a^2 + b^2 + 2ab sin theta), a and b ~ chi_n independent.

    M M^T = a^2 u_0 u_0^T + b^2 u_1 u_1^T has trace a^2 + b^2 and second symmetric function a^2 b^2 sin^2 theta.
    In polar form a = R cos(psi/2), b = R sin(psi/2), R ~ chi_{2n} is independent of psi, of density
    ~ sin^{n-1} psi; with sin psi = sech t:

        E chi_{2n} int sech^n t sqrt(1 + sin theta sech t) dt / int sech^n t dt.

    Own derivation. `n` and `angle` broadcast; accurate to rounding.

    Raises
    ------
    ValueError
        if `n` is below one, or the angle is not in [0, pi/2]
    """
    theta, count = right_angles(angle, "angle"), whole("n", n)
    theta, count = np.broadcast_arrays(theta, count)
    tau = 0.25 * np.arange(171)
    t = tau / np.sqrt(count[..., None])
    log_cosh = np.logaddexp(t, -t) - np.log(2)
    weight = np.where(tau == 0, 0.5, 1) * np.exp(-count[..., None] * log_cosh)
    root = np.sqrt(1 + np.sin(theta)[..., None] * np.exp(-log_cosh))
    both = np.asarray(chi_mean(2 * count)) * (weight * root).sum(axis=-1) / weight.sum(axis=-1)
    return plain(2 * np.asarray(chi_mean(count)) - both)


def one_sample_slope(angle: Any, noise: Any, nodes: int = 400) -> Real:
    """(dE||M||_*/d theta) / sin 2 theta, exact, for d = 2, r = 1, one sample a class and noise s > 0.

    ||M||_* = R sqrt(1 + u |sin delta|) in polar coordinates: lengths R cos psi and R sin psi, u = sin 2 psi, delta
    the angle between the samples. Their common direction and R integrate in closed form: with q = 1/(1 + 2s^2),

        E||M||_* = C int_0^{pi/2} u int_0^pi sqrt(1 + u sin delta) 2F1(5/4, 7/4; 1; x) d delta d psi,
        x = q^2 (1 - u^2 sin^2(delta - theta)),   C = Gamma(5/2) (4 s^2 (1+s^2) q)^{3/2} q / pi,

    differentiated under the integral. Own derivation. `angle` and `noise` broadcast; Gauss-Legendre of `nodes` squared
    points, good to 1e-9 of the value at s >= 0.05 with 300; near 0 and 90 degrees, where the integral is small by
    cancellation, about 1e-16/sin(2 theta) is lost besides. Never negative: proved in docs/open_questions.md.

    Raises
    ------
    ValueError
        if an angle is not inside (0, pi/2), or `noise` is not above zero
    """
    theta, s = right_angles(positive("angle", angle), "angle"), positive("noise", noise)
    if (theta >= np.pi / 2).any():
        raise ValueError(f"angle holds {theta.max()}: give radians below pi/2, where the slope is 0/0")
    theta, s = (a[..., None, None] for a in np.broadcast_arrays(theta, s))
    t, weight = np.polynomial.legendre.leggauss(int(whole("nodes", nodes)))
    delta, u = np.pi / 2 * (1 + t), np.sin(np.pi / 2 * (1 + t))[:, None]
    q = 1 / (1 + 2 * s**2)
    m = s**2 * ((1 + s**2) * q)
    x = (q * u * np.cos(delta - theta)) ** 2 + q**2 * (1 - u) * (1 + u)
    rate = 35 / 16 * hyp2f1(9 / 4, 11 / 4, 2, x) * (q * u) ** 2 * np.sin(2 * (delta - theta))
    inner = ((u * np.sqrt(1 + u * np.sin(delta)) * rate) @ weight) @ weight * np.pi**2 / 8
    C = gamma(5 / 2) * (4 * m) ** (3 / 2) * q / np.pi
    return plain(C[..., 0, 0] * inner / np.sin(2 * theta[..., 0, 0]))
