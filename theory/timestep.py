"""At which timestep do posterior-mean features separate two classes best, and why is there a best one?

x_w = x_0 + w e, x_0 of covariance S_c with floor s = delta, s_w^2 = delta^2 + w^2 (DDPM: w = sqrt((1-abar)/abar)):
    h = E[x_0 | x_w] = sum_c p_c D_c x_w,   D_c = A on span U_c and B off it,
    A = (1+delta^2)/(1+s_w^2),   B = delta^2/s_w^2.
Signal to noise at 90 degrees over class-0 samples, P_0 = U_0 U_0^T, q = 1 - p the posterior of the wrong class:
    CSNR(w) = E|P_0 h|^2 / E|(I-P_0) h|^2
      = r(1+s_w^2) E_{r+2,r}[(A - (A-B) q)^2] / ( r s_w^2 E_{r,r+2}[(B + (A-B) q)^2] + (d-2r) B^2 s_w^2 ),
    q = sg(Y - X),   X = a/(2 s_w^2),   Y = b/(2 (1+s_w^2)),   a and b chi-square of the degrees named.
Small floor: minimise r a_r w^{r+2} + (d - r) delta^4 / w^2, with E_{r,r+2} q^2 ~ a_r w^r:
    w*^{r+4} = 2 delta^4 (d - r) / (r (r+2) a_r),   a_r = (1/2) E (1/4 + U^2)^{-r/2},   U ~ sech(pi u).
(An earlier note of ours had d - 2r: it forgot the floor inside the other class's plane, the B^2 in
(B + (A-B) q)^2, which adds r.) Next terms: relative error of order delta^{2r/(r+4)} (the product 2 B q, and
s_w against w) and w*^2.

More noise averages the floor away (B falls), until the classes are confused (q rises): an interior maximum.
At delta = 0 there is nothing to average away, and none.

There is never more than one: proved for each rank up to 128, every floor and every d at once, by ball arithmetic
(theory.csnr_enclosures). With f_1 = E_{r,r+2} q at w = 0 there is one iff 2 f_1 < (1 - 2 tau f_1)(d - r)/r,
tau = delta^2/(1+delta^2); otherwise CSNR falls from w = 0 on. Open only: a proof for all r in one.

Source: own derivation; the paper ('Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering',
AAAI-26, as reported in secondary notes) observes a U-shape of OLE in the timestep. Linear (Wiener) features
do not show it.
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from theory.checks import Array, Real, fits, non_negative, plain, positive, whole
from theory.confidence import shortfall
from theory.gamma_rules import gamma_rule, gamma_top

__all__ = ["csnr", "optimal_time", "small_floor_law"]


def csnr(w: Any, dim: Any, rank: Any, floor: Any) -> Real:
    """CSNR(w) at 90 degrees, exact to about 1e-12; `floor` is delta, a s.d.; arguments broadcast.

    Raises
    ------
    ValueError
        if 2*rank > dim, `w` or `floor` is negative, or both are zero
    """
    time, delta, r = non_negative("w", w), non_negative("floor", floor), whole("rank", rank)
    if (time + delta <= 0).any():
        raise ValueError("floor is 0 where w is 0: x_w has no noise at all, give one of them above zero")
    return plain(np.vectorize(_csnr, otypes=[float])(time, fits(dim, r), r, delta))


def _csnr(w: float, d: float, r: float, delta: float) -> float:
    s_2 = delta**2 + w**2
    A, B = (1 + delta**2) / (1 + s_2), delta**2 / s_2
    q, q_2 = _wrong(r + 2, r, s_2)
    signal = r * (1 + s_2) * (A**2 - 2 * A * (A - B) * q + (A - B) ** 2 * q_2)
    q, q_2 = _wrong(r, r + 2, s_2)
    leak = r * s_2 * (B**2 + 2 * B * (A - B) * q + (A - B) ** 2 * q_2)
    return float(signal / (leak + (d - 2 * r) * B**2 * s_2))


def _wrong(m: float, k: float, s_2: float) -> tuple[float, float]:
    """E q and E q^2, q = sg(Y - X), with a ~ chi^2_m behind X and b ~ chi^2_k behind Y."""
    Y, y = gamma_rule(k / 2, 1 + s_2)
    X, x = gamma_rule(m / 2, s_2, gamma_top(k / 2, 1 + s_2) + 45)
    q = expit(Y[:, None] - X)
    return float(y @ q @ x), float(y @ (q * q) @ x)


def optimal_time(dim: Any, rank: Any, floor: Any) -> Real:
    """argmax_w CSNR(w): the exact optimum, to about 1e-7 relative; 0 where noise never helps (a large floor).

    Raises
    ------
    ValueError
        if 2*rank > dim, or `floor` is not above zero (at zero there is no maximum)
    """
    delta, r = positive("floor", floor), whole("rank", rank)
    return plain(np.vectorize(_optimal, otypes=[float])(fits(dim, r), r, delta))


def _optimal(d: float, r: float, delta: float) -> float:
    grid = np.geomspace(delta / 30, 30.0, 41)
    best = int(np.argmax([_csnr(w, d, r, delta) for w in grid]))
    if best == 0 and _csnr(0.0, d, r, delta) >= _csnr(grid[0], d, r, delta):
        return 0.0
    around = np.log(grid[[max(best - 1, 0), min(best + 1, 40)]])
    found = minimize_scalar(
        lambda x: -np.log(_csnr(np.exp(x), d, r, delta)), bounds=tuple(around), options={"xatol": 1e-9}
    )
    return float(np.exp(found.x))


def small_floor_law(dim: Any, rank: Any, floor: Any) -> Real:
    """w* of the small-floor law, w*^{r+4} = 2 delta^4 (d - r)/(r(r+2) a_r); asymptotic as delta -> 0.

    For delta <= 0.01 and r = 1..4 within 2% of `optimal_time` at d = 64, 11% at d = 2r. Own derivation.

    Raises
    ------
    ValueError
        if 2*rank > dim, or `floor` is not above zero
    """
    delta, r = positive("floor", floor), whole("rank", rank)
    d = fits(dim, r)
    return plain((2 * delta**4 * (d - r) / (r * (r + 2) * _a(r))) ** (1 / (r + 4)))


def _a(r: Any) -> Array:
    """a_r = (1/2) E (1/4 + U^2)^{-r/2} = lim rho^{r/2} (1 - xi), r equal angles."""
    rho = 1e18

    def one(rank: float) -> float:
        return float(np.asarray(shortfall(np.full(int(rank), rho)))) * rho ** (rank / 2)

    return np.asarray(np.vectorize(one, otypes=[float])(r))
