"""Has CSNR(w) at most one interior optimum, for every floor and every dimension at once?

Write t = delta^2 + w^2, u = 1/(t + 1/2) in (0, 2), a = 1 - u/2, b = 1 + u/2, tau = t/(1+t) = a/b, p = r/2 + 1, and
    y = A/B = (1 + 1/delta^2) tau,   kappa = y - 1 >= 0,   m = d - 2r.
The densities of the classes are each other's mirror image, so E_0[q g(x, y)] = E_0[q g(y, x)], and of the four moments
of theory.timestep two are left: E_{r,r+2} q = E_{r+2,r} q/tau =: f_1, E_{r,r+2} q^2 = f_2, tau f_2 + E_{r+2,r} q^2 =
tau f_1. On the line Im = 1/2 of the characteristic function they are real one-dimensional integrals:
    f_1 = a^{p-1} b^p K(0, p),   f_2 = a^{p-1} b^p (K(0, p)/2 + u K(1, p)),
    K(k, q) = int_0^inf sech(pi v) v^{2k} (1 + u^2 v^2)^{-q} dv.
    CSNR = S/(L + m/r),   S = y^2/tau - (y^2 - 1) f_1 - kappa^2 f_2,   L = 1 + 2 kappa f_1 + kappa^2 f_2
(signal and leak over B^2 t r). y is proportional to tau: with ' = d/dtau at fixed floor the floor enters through kappa
only, and d through the constant m/r only. Hence LEMMA: if for every u in (0, 2) and kappa >= 0
    L' > 0,   and   S' > 0 implies W = S' L'' - S'' L' > 0,
then every stationary point of CSNR, for every floor and every d >= 2r, is a strict maximum; there is at most one.
(Stationary: L' S = S' (L + m/r), so S' > 0; there (1/CSNR)'' has the sign of S W/S'.) S', L', W are polynomials in
kappa of degree 2, 2, 4, whose coefficients depend on u alone: one line of boxes in u settles the rank r. A box is
proved by M(kappa) with coefficients >= 0 such that W - M S' has positive coefficients.

At w = 0 CSNR rises iff 2 f_1 < (1 - 2 tau f_1) (d - r)/r; at large w it falls, S' being 0 at tau = 1. So there is one
interior optimum if it rises at 0, else none.

The integrals: the trapezoidal rule of step h errs by at most 2 sqrt2 (4/3)^q/(e^{pi/2h} - 1), from the
strip |Im v| <= 1/4 (there |1 + u^2 v^2| >= 3/4, |cosh pi v| >= cosh(pi Re v)/sqrt2); the rest of the sum is below a
geometric series. Near u = 0 Taylor's polynomial in u^2, whose remainder alternates. Needs python-flint (extra
`certify`). Source: own derivation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from scipy.optimize import linprog

from theory.checks import fits, non_negative, positive, whole
from theory.enclosures import arb, ctx  # flint by way of there, where its absence is explained

from flint import arb_poly  # isort: skip

__all__ = [
    "Unimodal",
    "certify_unimodal",
    "decided",
    "enclose_csnr",
    "enclose_start",
    "moments",
    "polynomials",
]

BITS = 128
_H, _NODES = 20, 240  # step 1/20, up to v = 12
_NARROW = 1e-7  # a box of this width in u that still fails is given up

Poly = list[Any]
"""Coefficients of kappa^0, kappa^1, ...: balls, or polynomials in u."""


@dataclass(frozen=True)
class Unimodal:
    """Proved for `rank`: at most one interior optimum, every floor, every d. Taylor did it for u below `tail`."""

    rank: int
    boxes: int
    tail: float


def moments(u: Any, rank: int) -> dict[tuple[int, int], arb]:
    """K(k, p + j) by (k, j), p = rank/2 + 1, as far as `polynomials` needs them, at one exact u in (0, 2]: balls."""
    K = {(k, 2): _trapezium(k, rank + 6, arb(u)) for k in range(4)}
    for j in (1, 0):
        for k in range(2 + j):
            K[k, j] = K[k, j + 1] + arb(u) ** 2 * K[k + 1, j + 1]
    return K


def _trapezium(k: int, two_q: int, u: arb) -> arb:
    """K(k, q): the sum, its discretisation error and its rest."""
    first = arb(0.5 if k == 0 else 0)
    total = sum((weight * (1 + u**2 * v_2).rsqrt() ** two_q for v_2, weight in _nodes(k)), first)
    strip = 2 * arb(2).sqrt() * (arb(4) / 3).sqrt() ** two_q / ((arb.pi() * _H / 2).exp() - 1)
    v = arb(_NODES) / _H
    rest = 2 * v ** (2 * k) * (-arb.pi() * v).exp() / (1 - (-arb.pi() / _H + arb(2 * k) / _NODES).exp())
    return total / _H + arb(0, strip.upper()) + arb(0).union(rest / _H)


@lru_cache
def _nodes(k: int) -> tuple[tuple[arb, arb], ...]:
    """(v^2, v^{2k} sech(pi v)) at v = 1/20, 2/20, ..."""
    with ctx.workprec(BITS):
        grid = [arb(n) / _H for n in range(1, _NODES)]
        return tuple((v**2, v ** (2 * k) / (arb.pi() * v).cosh()) for v in grid)


def polynomials(
    u: Any, p: Any, K: dict[tuple[int, int], Any], power: Any, bottom: Any
) -> tuple[Poly, Poly, Poly]:
    """S', L', W as polynomials in kappa, up to positive factors; u, K and power either balls or polynomials in u.

    f_i = h P_i/a with h = (ab)^p; D = tau d/dtau acts on P by LP = E P + lam P, E u = -ab, E K(k, q) =
    2 q u ab K(k+1, q+1). `power` / `bottom` = theta = h/b = tau h/a; S' and W are multiplied by `bottom`.
    """
    a, b = 1 - u * 0.5, 1 + u * 0.5
    ab, lam = a * b, u * (p / 2 - 0.25) - 0.5
    E_lam, E_uab, E_u2ab = -ab * (p / 2 - 0.25), -ab * (1 - u * u * 0.75), -ab * (u * 2 - u * u * u)
    e0 = u * ab * K[1, 1] * (2 * p)  # E K(0, p)
    P1, P2 = K[0, 0], K[0, 0] * 0.5 + u * K[1, 0]
    e1 = e0
    e2 = e0 * 0.5 - ab * K[1, 0] + u * u * ab * K[2, 1] * (2 * p)
    g1 = (E_uab * K[1, 1] + u * u * ab * ab * K[2, 2] * (2 * p + 2)) * (2 * p)  # E e1
    g2 = (
        g1 * 0.5
        - (ab * u * 0.5 * K[1, 0] + ab * ab * u * K[2, 1] * (2 * p))
        + (E_u2ab * K[2, 1] + u * u * u * ab * ab * K[3, 2] * (2 * p + 2)) * (2 * p)
    )
    al, al1, al2 = _derivatives(P1, e1, g1, lam, E_lam)
    be, be1, be2 = _derivatives(P2, e2, g2, lam, E_lam)
    L1 = [al * 2, (al + al1 + be) * 2, be * 2 + be1]
    S0 = [al * 2, (al * 2 + al1 + be) * 2, al * 2 + al1 + be * 2 + be1]
    S2 = [
        (al + al1 * 2 + be) * -2,
        (al * 2 + al1 * 4 + al2 + be * 2 + be1 * 2) * -2,
        -(al * 2 + al1 * 4 + al2 + be * 2 + be1 * 4 + be2),
    ]
    L2 = [
        al1 * 4 + be * 2,
        (al1 * 2 + al2 + be * 2 + be1 * 2) * 2,
        be * 2 + be1 * 4 + be2,
    ]
    S1 = [bottom * n - power * s for n, s in zip((1, 2, 1), S0, strict=True)]
    W = [x - power * y for x, y in zip(_times(S1, L2), _times(L1, S2), strict=True)]
    return S1, L1, W


def _derivatives(P: Any, E_P: Any, EE_P: Any, lam: Any, E_lam: Any) -> tuple[Any, Any, Any]:
    """f, tau f', tau^2 f'' over h/a: P, LP, L(LP) - LP."""
    LP = E_P + lam * P
    return P, LP, EE_P + E_lam * P + lam * E_P + lam * LP - LP


def _times(x: Poly, y: Poly) -> Poly:
    out: Poly = [0] * (len(x) + len(y) - 1)
    for i, s in enumerate(x):
        for j, t in enumerate(y):
            out[i + j] = out[i + j] + s * t
    return out


def enclose_csnr(w: float, dim: int, rank: int, floor: float) -> arb:
    """A ball around CSNR(w), the numbers given taken as exact; w, floor > 0 (theory.timestep.csnr is the float).

    Raises
    ------
    ValueError
        if 2*rank > dim, `w` is negative, or `floor` not above zero
    """
    r, d = _sizes(dim, rank)
    non_negative("w", w)
    positive("floor", floor)
    with ctx.workprec(BITS):
        signal, leak = _curve(float(w), r, float(floor))
        return signal / (leak + arb(d - 2 * r) / r)


@lru_cache(4096)
def _curve(w: float, r: int, floor: float) -> tuple[arb, arb]:
    """S and L."""
    delta_2 = arb(floor) ** 2
    t = delta_2 + arb(w) ** 2
    tau, (f_1, f_2) = t / (1 + t), _wrong(t, r)
    y = (1 + 1 / delta_2) * tau
    kappa = arb(w) ** 2 / (delta_2 * (1 + t))
    return (
        y**2 / tau - kappa * (y + 1) * f_1 - kappa**2 * f_2,
        1 + 2 * kappa * f_1 + kappa**2 * f_2,
    )


def _wrong(t: arb, r: int) -> tuple[arb, arb]:
    """f_1 and f_2, the mean of the wrong posterior and of its square under chi^2_r, chi^2_{r+2}."""
    u = 1 / (t + 0.5)
    K, scale = moments(u, r), t.sqrt() ** r * (1 + t).sqrt() ** (r + 2) * u ** (r + 1)
    return scale * K[0, 0], scale * (K[0, 0] / 2 + u * K[1, 0])


def enclose_start(dim: int, rank: int, floor: float) -> arb:
    """(1 - 2 tau f_1) (d - r)/r - 2 f_1 at w = 0: above zero iff CSNR rises there. Errors of `enclose_csnr`."""
    r, d = _sizes(dim, rank)
    with ctx.workprec(BITS):
        t = arb(float(positive("floor", floor))) ** 2
        f_1, _ = _wrong(t, r)
        return (1 - 2 * t / (1 + t) * f_1) * (d - r) / r - 2 * f_1


def _sizes(dim: int, rank: int) -> tuple[int, int]:
    """r and d as whole numbers, 2r <= d."""
    r = int(whole("rank", rank))
    return r, int(fits(dim, r))


def certify_unimodal(rank: int) -> Unimodal:
    """Prove that CSNR has at most one interior optimum at this rank, for every floor > 0 and every dim >= 2 rank.

    Half a second a rank; up to rank 128 (beyond, the step 1/20 is too coarse at t = 0).

    Raises
    ------
    ArithmeticError
        if a box of u can not be certified: it is named
    ValueError
        if `rank` is not a whole number from 1
    """
    r = int(whole("rank", rank))
    with ctx.workprec(BITS):
        tail = _tail(r)
        edges = [tail * (2 / tail) ** (i / 32) for i in range(32)] + [2.0]
        ends = {u: moments(u, r) for u in edges}
        todo, boxes = list(pairwise(edges)), 0
        while todo:
            low, high = todo.pop()
            if _box(r, low, high, ends[low], ends[high]):
                boxes += 1
                continue
            if high - low < _NARROW:
                raise ArithmeticError(f"not certified: box [{low}, {high}] of u, rank {r}")
            middle = (low + high) / 2
            ends[middle] = moments(middle, r)
            todo += [(low, middle), (middle, high)]
    return Unimodal(r, boxes, tail)


def _box(r: int, low: float, high: float, at_low: dict, at_high: dict) -> bool:
    """Is the lemma's condition certain at every u of [low, high] (t = 0, the end u = 2, included)?"""
    u, p = arb(low).union(high), arb(r) / 2 + 1
    K = {key: at_low[key].union(at_high[key]) for key in at_low}  # each K falls in u
    powers = [(1 - arb(x) ** 2 / 4).sqrt() ** (r + 2) for x in (low, high)]  # falls in u
    return decided(*polynomials(u, p, K, powers[0].union(powers[1]), 1 + u / 2))


def decided(S1: Poly, L1: Poly, W: Poly) -> bool:
    """Is certain, coefficient by coefficient: L' > 0, and W - M S' > 0 for some M >= 0?"""
    if not all(x.is_finite() for x in (*S1, *W)):
        return False
    M = _multiplier([float(x.mid()) for x in W], [float(x.mid()) for x in S1])
    left = [w - x for w, x in zip(W, _times([arb(c) for c in M], S1), strict=True)]
    return all(x > 0 for x in (*left, *L1))


def _multiplier(W: Sequence[float], S: Sequence[float], free: bool = False) -> list[float]:
    """M of degree 2 that makes the least coefficient of W - M S large; M >= 0 unless `free`."""
    scale = max(map(abs, W))
    rows = [[S[k - j] if 0 <= k - j <= 2 else 0.0 for j in range(3)] + [scale] for k in range(5)]
    bounds = [(None if free else 0, None)] * 3 + [(None, 1)]
    found = linprog([0, 0, 0, -1], A_ub=rows, b_ub=W, bounds=bounds).x
    return [0.0] * 3 if found is None else [float(m) for m in found[:3]]


def _tail(r: int) -> float:
    """A u_0 such that the lemma's condition is certain on (0, u_0].

    Taylor in u: S' = u s + ..., W = u (kappa/2 + 1)^2 s/u + ...: with M = (kappa/2 + 1)^2/u + M_1 the leading terms
    cancel exactly (dyadic numbers), and (W - M S')/u must be positive.
    """
    S1, L1, W = polynomials(*_taylor(r))
    S1 = [_over_u(x) for x in S1]
    left = [_over_u(w - x) for w, x in zip(W, _times(_LEADING, S1), strict=True)]
    M = _multiplier([float(x[0].mid()) for x in left], [float(x[0].mid()) for x in S1], free=True)
    left = [x - y for x, y in zip(left, _times([arb(m) for m in M], S1), strict=True)]
    for halvings in range(_FIRST, _LAST):
        top = arb(2) ** -halvings
        whole_M = [m + lead / top for m, lead in zip(M, _LEADING, strict=True)]
        if all(x(arb(0).union(top)) > 0 for x in (*left, *L1)) and all(m > 0 for m in whole_M):
            return float(top)
    raise ArithmeticError(f"not certified: small u, rank {r}")


_LEADING = [arb(1), arb(1), arb(0.25)]  # (1 + kappa/2)^2
_FIRST, _LAST = 5, 24  # u_0 = 2^-5, 2^-6, ...


def _over_u(x: arb_poly) -> arb_poly:
    """x/u, where the constant term is exactly zero."""
    if not (x[0].is_zero() and x[0].is_exact()):
        raise ArithmeticError(f"the leading terms do not cancel: {x[0]}")
    return arb_poly(x.coeffs()[1:])


def _taylor(r: int) -> tuple[arb_poly, arb, dict[tuple[int, int], arb_poly], arb_poly, arb_poly]:
    """The arguments of `polynomials` as polynomials in u, the last coefficient a ball that holds all the rest."""
    p, u = arb(r) / 2 + 1, arb_poly([0, 1])
    need = ((0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (3, 2))
    K = {(k, j): _alternating(k, p + j) for k, j in need}
    rest = p * (p - 1) / 2 * ((1 - arb(2) ** -10) ** p).union(arb(1.001))  # (1-z)^{p-2}, z = u^2/4 < 2^-10
    return u, p, K, arb_poly([1, 0, -p / 4, 0, rest / 16]), arb_poly([1, 0.5])


def _alternating(k: int, q: arb) -> arb_poly:
    """K(k, q) to u^4 and a ball for u^6: int sech(pi v) v^{2k} dv = |E_{2k}|/2^{2k+1}, Euler's numbers."""
    euler = (1, 1, 5, 61, 1385, 50521, 2702765)
    mu = [arb(euler[k + i]) / 2 ** (2 * (k + i) + 1) for i in range(4)]
    rest = arb(0).union(q * (q + 1) * (q + 2) / 6 * mu[3])
    return arb_poly([mu[0], 0, -q * mu[1], 0, q * (q + 1) / 2 * mu[2], 0, -rest])
