"""Which law under a cap, with moments in a box, is nearest to a given law? The numerical part of theory.calibration.

    min sum_i q_i log(q_i/p_i),   sum_i q_i = 1,   |sum_i q_i phi_ij| <= beta_j,   q_i <= c p_i.

A primal-dual interior-point method (Mehrotra 1992 without his corrector; the cap's barrier weighted by p; prices
start at 1, so that letters far in a tail meet the cap together, not one after the other). With D the
diagonal 1/q + price/(c p - q), a step solves

    D dq + R^T dy = g,   R dq - E dy = k,

R the rows of the mass, the exact moments (beta_j = 0, and E = 0) and both sides of the others (E = room/y): a system of
1 + 2J equations, whatever the number of letters.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.checks import Array

__all__ = ["project"]


class _Point(NamedTuple):
    """The law, what the cap leaves of it, the cap's price, and each row's multiplier and room (1 where exact)."""

    q: Array
    spare: Array
    price: Array
    y: Array
    room: Array


def project(p: Array, phi: Array, beta: Array, cap: float) -> Array:
    """The nearest law q, shape (m,); p > 0 (m,), phi (m, J) of about size 1, beta (J,), cap above 1.

    Checks nothing, not even that there is such a law: see `theory.calibration.calibrate`.
    """
    thin = beta <= 1e-12  # exact to rounding
    exact, wide = phi[:, thin].T, phi[:, ~thin].T
    R = np.concatenate([np.ones((1, len(p))), exact, wide, -wide])
    b = np.concatenate([[1.0], np.zeros(len(exact)), np.tile(beta[~thin], 2)])
    boxed = np.arange(len(b)) > len(exact)
    room = np.where(boxed, np.maximum(b - R @ p, 0.1), 1.0)
    at = _Point(p, (cap - 1) * p, np.ones(len(p)), np.where(boxed, 1.0, 0.0), room)
    mu = max(1.0, cap - 1)
    for _ in range(200):
        step = _newton(at, p, R, b, boxed, mu)
        length = _length(at, step, boxed)
        at = _Point(*(now + length * move for now, move in zip(at, step, strict=True)))
        gap = float(at.price @ at.spare + at.room[boxed] @ at.y[boxed]) / (1 + boxed.sum())
        if gap < 1e-15 and length > 0.9:
            break
        mu = max(gap * (0.1 if length > 0.9 else 0.5), 1e-16)
    return at.q


def _newton(at: _Point, p: Array, R: Array, b: Array, boxed: NDArray[np.bool_], mu: float) -> _Point:
    """The step towards price (c p - q) = mu p and room y = mu, the equations met."""
    q, spare, price, y, room = at
    own = np.where(boxed, y, 1.0)
    with np.errstate(over="ignore"):
        D = 1 / q + price / spare  # a letter at 0 stays there
    g = -np.log(q / p) - R.T @ y - mu * p / spare
    k = b - R @ q - np.where(boxed, mu / own, 0.0)
    dy = np.linalg.lstsq(R / D @ R.T + np.diag(np.where(boxed, room / own, 0.0)), R / D @ g - k, rcond=None)[
        0
    ]
    dq = (g - R.T @ dy) / D
    dprice = (mu * p - price * spare + price * dq) / spare
    return _Point(dq, -dq, dprice, dy, np.where(boxed, (mu - room * y - room * dy) / own, 0.0))


def _length(at: _Point, step: _Point, boxed: NDArray[np.bool_]) -> float:
    """1, or nearly as far as nothing that must stay above zero reaches it."""
    held, moves = (np.concatenate([z.q, z.spare, z.price, z.y[boxed], z.room[boxed]]) for z in (at, step))
    return min(1.0, 0.99 / max(float((-moves / held).max()), 0.99))
