"""One optimum in the timestep: enclosures against other quadrature, the lemma's polynomials, two maxima seen."""

import mpmath as mp
import numpy as np
import pytest
from flint import acb, arb, ctx

from paper_checks.open_questions import csnr as table
from tests.tolerances import FLOAT64, INTEGRAL, LAW, VIOLATION
from theory import csnr_enclosures
from theory.csnr_enclosures import (
    certify_unimodal,
    decided,
    enclose_csnr,
    enclose_start,
    moments,
    polynomials,
)
from theory.timestep import csnr, optimal_time, small_floor_law


@pytest.mark.parametrize(("rank", "dim", "floor"), [(1, 2, 0.1), (2, 9, 0.3), (5, 64, 0.7), (30, 100, 2.0)])
def test_the_ball_holds_the_other_quadrature(rank, dim, floor):
    for w in (0.0, 1e-3, 0.5, 3.0, 40.0):
        ball, value = enclose_csnr(w, dim, rank, floor), csnr(w, dim, rank, floor)
        wide = ball * arb(1, FLOAT64)
        assert wide.contains(value)
        assert not wide.overlaps(value * (1 + arb(10 * INTEGRAL)))


@pytest.mark.parametrize(("u", "rank"), [(0.02, 1), (0.7, 4), (1.9, 9)])
def test_moments_against_adaptive_integration(u, rank):
    """K(k, p + j) by the trapezoidal rule and by acb.integral."""
    K = moments(u, rank)
    for (k, j), ball in K.items():

        def integrand(v, analytic, k=k, two_q=rank + 2 + 2 * j):
            base = (1 + arb(u) ** 2 * v * v).rsqrt(analytic=analytic)
            return (acb.pi() * v).sech() * v ** (2 * k) * base**two_q

        with ctx.workprec(80):
            other = acb.integral(integrand, 0, 25).real
        assert (ball + arb(0, 1e-15)).overlaps(other)
        assert not ball.overlaps(other * (1 + VIOLATION))


def curve(t, c, rank):
    """S and L at 16 digits, from moments of the posterior on the real line of log-odds' transform."""
    p, u, kappa = mp.mpf(rank) / 2 + 1, 1 / (t + mp.mpf(1) / 2), c * t / (1 + t) - 1
    a, b = 1 - u / 2, 1 + u / 2

    def K(k):
        return mp.quad(lambda v: mp.sech(mp.pi * v) * v ** (2 * k) * (1 + (u * v) ** 2) ** -p, [0, 1, 4, 12])

    scale = a ** (p - 1) * b**p
    f_1, f_2 = scale * K(0), scale * (K(0) / 2 + u * K(1))
    y = 1 + kappa
    return y**2 * (1 + t) / t - (y**2 - 1) * f_1 - kappa**2 * f_2, 1 + 2 * kappa * f_1 + kappa**2 * f_2


@pytest.mark.parametrize(("t", "kappa", "rank"), [(0.4, 0.3, 1), (3.0, 1.5, 4)])
def test_polynomials_are_the_derivatives(t, kappa, rank):
    """b tau^2 S', tau a/h L', b tau^4 a/h W by numerical differentiation at a fixed floor."""
    with mp.workdps(16):
        t, kappa = mp.mpf(t), mp.mpf(kappa)
        tau = t / (1 + t)
        c = (1 + kappa) / tau
        S, L = (lambda x, i=i: curve(x / (1 - x), c, rank)[i] for i in (0, 1))
        (S1, S2), (L1, L2) = ([mp.diff(f, tau, k) for k in (1, 2)] for f in (S, L))
        u = 1 / (t + mp.mpf(1) / 2)
        a, b = 1 - u / 2, 1 + u / 2
        h = (a * b) ** (mp.mpf(rank) / 2 + 1) / a
        want = [b * tau**2 * S1, tau / h * L1, b * tau**4 / h * (S1 * L2 - L1 * S2)]
    ball = arb(float(u))
    power = (1 - ball**2 / 4).sqrt() ** (rank + 2)
    found = polynomials(ball, arb(rank) / 2 + 1, moments(ball, rank), power, 1 + ball / 2)
    for poly, value in zip(found, want, strict=True):
        total = sum(float(x) * float(kappa) ** k for k, x in enumerate(poly))
        assert abs(total / float(value) - 1) < INTEGRAL


@pytest.mark.parametrize("rank", [1, 2, 7])
def test_unimodality_is_certified(rank):
    found = certify_unimodal(rank)
    assert found.rank == rank
    assert found.boxes >= 32


def test_a_wrong_sign_is_refused(monkeypatch):
    """Controls: W or S' of the wrong sign, and posteriors spread twice as wide, must not pass."""
    u = arb(0.1)
    power = (1 - u**2 / 4).sqrt() ** 4
    S1, L1, W = polynomials(u, arb(2), moments(u, 2), power, 1 + u / 2)
    assert decided(S1, L1, W)
    assert not decided(S1, L1, [-x for x in W])
    assert not decided([-x for x in S1], L1, W)

    def wide(x, r):
        return {key: ball * (2 if key[0] else 1) for key, ball in moments(x, r).items()}

    monkeypatch.setattr(csnr_enclosures, "moments", wide)
    with pytest.raises(ArithmeticError, match="not certified: box"):
        certify_unimodal(2)


@pytest.mark.parametrize(("rank", "floor"), [(1, 0.3), (4, 1.0), (8, 2.0)])
def test_the_start_decides(rank, floor):
    """enclose_start has the sign of CSNR's change at w = 0, and `optimal_time` finds an optimum there or none."""
    for dim in (2 * rank, 4 * rank, 50 * rank):
        start = enclose_start(dim, rank, floor)
        rise = enclose_csnr(floor / 50, dim, rank, floor) - enclose_csnr(0.0, dim, rank, floor)
        assert (start > 0 and rise > 0) or (start < 0 and rise < 0)
        assert (optimal_time(dim, rank, floor) > 0) == (start > 0)


def test_the_small_floor_law_has_d_minus_r():
    """Enclosed: at d = 2r, where d - 2r gives w* = 0, CSNR at the law with d - r tops both 2% sides."""
    law = small_floor_law(8, 4, 1e-4)
    low, top, high = (enclose_csnr(law * x, 8, 4, 1e-4) for x in (1 - LAW, 1.0, 1 + LAW))
    assert top > low
    assert top > high
    assert top > enclose_csnr(0.0, 8, 4, 1e-4)
    other = small_floor_law(16, 4, 1e-4) * (8 / 12) ** (1 / 8)  # d - 2r in place of d - r
    assert enclose_csnr(other, 16, 4, 1e-4) < enclose_csnr(small_floor_law(16, 4, 1e-4), 16, 4, 1e-4)


def test_two_maxima_are_seen():
    w = np.linspace(0, 3 * np.pi, 40)
    two = [arb(float(x), 1e-9) for x in -np.cos(2 * w / 1.5)]
    assert table.turns(two) == "+-+-"
    assert table.verdict(True, arb(1), table.turns(two)) == table.TWO
    one = [enclose_csnr(x, 8, 2, 0.1) for x in (0.0, 0.1, 0.3, 1.0, 3.0)]
    assert table.turns(one) == "+-"
    bump = [ball * (1 + 9 * (k == 4)) for k, ball in enumerate([*one, one[-1] / 2])]
    assert table.turns(bump) == "+-+-"
    assert table.turns([arb(1, 2), arb(1.1, 2)]) == ""
    assert table.verdict(False, arb(1), "+-") == table.UNDECIDED
    assert table.verdict(True, arb(0, 1), "-") == table.UNDECIDED


def test_rows_of_the_table():
    assert len(table.jobs()) >= 2000
    rows = [table.row(job) for job in (table.Job(2, 8, 0.1), table.Job(2, 5, 3.0))]
    assert [r["verdict"] for r in rows] == [table.ONE, table.NONE]
    assert float(rows[0]["w_low"]) < optimal_time(8, 2, 0.1) < float(rows[0]["w_high"])
    assert tuple(rows[0]) == table.COLUMNS
    assert "1 none; 1 one" in table.summary(rows)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: enclose_csnr(0.1, 3, 2, 0.1), "dim"),
        (lambda: enclose_csnr(-1.0, 8, 2, 0.1), "w"),
        (lambda: enclose_csnr(0.1, 8, 2, 0.0), "floor"),
        (lambda: enclose_start(8, 2, 0.0), "floor"),
        (lambda: certify_unimodal(0), "rank"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
