"""Enclosures hold the value of other formulas and nothing beside it; certificates refuse sharper bounds."""

import importlib
import sys

import mpmath as mp
import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tolerances import CONFIDENCE, FLOAT64, ROUNDING
from theory.certificates import certify_theorem2, enclose_error, enclose_multiclass
from theory.confidence import confidence_bounds, expected_confidence, shortfall, theorem2_bound
from theory.enclosures import order1_shortfall, theorem2_shortfall
from theory.refutations import REFUTED

RANKS = [1, 2, 4, 10]


def digits(rho, rank):
    """1 - xi to 40 digits, in another variable and by another rule, as a ball of radius about 1e-40."""
    with mp.workdps(60):

        def integrand(t):
            weight = mp.cosh(t) / (2 * mp.cosh(mp.pi / 2 * mp.sinh(t)))
            return weight * (1 + mp.mpf(rho) / 4 * mp.cosh(t) ** 2) ** (-mp.mpf(rank) / 2)

        with ctx.workprec(200):
            return arb(mp.nstr(mp.quad(integrand, [0, 0.25, 0.5, 1, 1.5, 2, 3, 5]), 40))


@pytest.mark.parametrize(("rho", "rank"), [(0.02, 1), (1.0, 3), (37.5, 4), (100.0, 10), (1e5, 2)])
def test_the_ball_holds_forty_digits(rho, rank):
    ball, value = enclose_error(rho, rank), digits(rho, rank)
    with ctx.workprec(200):
        assert ball.contains(value)
        assert not ball.overlaps(value * (1 + arb(ROUNDING)))
        assert not ball.overlaps(value * (1 - arb(ROUNDING)))
        assert not ball.overlaps(digits(rho, rank + 1))
        assert not ball.overlaps(digits(np.nextafter(rho, np.inf) * (1 + ROUNDING), rank))


@settings(max_examples=50)
@given(st.floats(0, 1e4), st.integers(1, 20))
def test_the_ball_holds_the_float64_formula(rho, rank):
    ball, values = enclose_error(rho, rank), np.full(rank, rho)
    xi = arb(expected_confidence(values), CONFIDENCE)
    assert xi.contains(1 - ball)
    assert not (xi + 3 * CONFIDENCE).overlaps(1 - ball)
    relative = shortfall(values) / ball
    assert arb(1, FLOAT64).contains(relative)
    assert not arb(1, FLOAT64).overlaps(relative * (1 + 3 * FLOAT64))


@given(st.floats(0, 200), st.integers(1, 12))
@settings(max_examples=30)
def test_the_bounds_in_balls_are_those_in_floats(rho, rank):
    """x = rho/2 gives 1 - Theorem 2's bound and 1 - the order-1 upper bound; twice x, the control, does not."""
    values, x = np.full(rank, rho), arb(rho) / 2
    sharp = 1 - arb(confidence_bounds(values)[1], CONFIDENCE)
    loose = 1 - arb(float(theorem2_bound(values)), CONFIDENCE)
    assert sharp.contains(order1_shortfall(rank, x))
    assert loose.contains(theorem2_shortfall(rank, x))
    if 0.1 < rho < 10 / rank:
        assert not sharp.overlaps(order1_shortfall(rank, 2 * x))
        assert not loose.overlaps(theorem2_shortfall(rank, 2 * x))


def test_a_ball_of_rho_covers_its_points():
    wide = enclose_error(arb(1, 0.1), 2)
    assert all(wide.contains(enclose_error(rho, 2)) for rho in (0.9, 0.95, 1.0, 1.0999))
    assert not wide.overlaps(enclose_error(0.89, 2))
    assert not wide.overlaps(enclose_error(1.11, 2))
    assert enclose_error(0.0, 3).contains(0.5)


@pytest.mark.parametrize("rank", RANKS)
def test_theorem2_is_certified(rank):
    found = certify_theorem2(rank)
    assert (found.rank, found.low, found.high) == (rank, 0.02, 100.0)
    assert found.slack == min(found.theorem2, found.above, found.below) > 0
    rho = np.geomspace(0.02, 100, 300)[:, None] * np.ones(rank)
    missing, (lower, _) = shortfall(rho), confidence_bounds(rho)
    true = {
        "theorem2": missing * (1 + np.exp(rho.sum(axis=1) / 2)) - 1,
        "above": missing * 2 * (1 + rho[:, 0] / 2) ** (rank / 2) - 1,
        "below": (1 - lower) / missing - 1,
    }
    for name, slack in true.items():  # a certified lower end, and at least half of the truth
        assert slack.min() / 2 - FLOAT64 <= getattr(found, name) <= slack.min() + FLOAT64


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize(
    ("factors", "name"),
    [
        ((0.9, 1, 1), "Theorem 2"),
        ((1, 0.95, 1), "order 1, above"),
        ((1, 1, 2.1), "order 1, below"),
    ],
)
def test_a_sharper_bound_is_refused_by_name(rank, factors, name):
    with pytest.raises(ArithmeticError, match=rf"^{name} is false at rho = 0.02: box \[0.02, "):
        certify_theorem2(rank, factors=factors)


def test_a_bound_that_fails_inside_is_given_up_where_it_fails():
    """(1/2)(1 + 1.9 rho/4)^{-1/2} crosses 1 - xi once: certified up to there, never across."""
    rho = np.geomspace(0.02, 100, 20_001)[:, None]
    crossing = rho[np.argmax(0.5 * (1 + 1.9 * rho[:, 0] / 4) ** -0.5 < shortfall(rho)), 0]
    assert 0.1 < crossing < 50
    certify_theorem2(1, 0.02, 0.99 * crossing, factors=(1, 1, 1.9))
    with pytest.raises(ArithmeticError, match=r"^not certified: box ") as caught:
        certify_theorem2(1, factors=(1, 1, 1.9))
    a = float(str(caught.value).split("[")[1].split(",")[0])
    assert abs(a / crossing - 1) < 1e-3


def test_two_classes_agree_with_the_other_integral():
    for noise in (0.5, 1.0, 2.0, 3.0):
        s_2 = arb(noise) ** 2
        xi = 1 - enclose_error(1 / (s_2 * (1 + s_2)), 2)
        assert enclose_multiclass(2, noise).overlaps(xi)
        assert not enclose_multiclass(3, noise).overlaps(xi)
        assert not enclose_multiclass(2, noise * 1.01).overlaps(xi)


def test_precision_is_left_as_it_was():
    before = ctx.prec
    assert all(enclose().excess > 0 for enclose in REFUTED.values())
    certify_theorem2(4, 1.0, 2.0)
    assert ctx.prec == before


def test_a_missing_flint_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "theory.certificates")
    assert importlib.import_module("theory.certificates").enclose_error(0.0, 1).contains(0.5)
    monkeypatch.delitem(sys.modules, "theory.certificates")
    monkeypatch.delitem(sys.modules, "theory.enclosures")
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ImportError, match="extra `certify`"):
        importlib.import_module("theory.certificates")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: enclose_error(-1.0, 1), "rho"),
        (lambda: enclose_error(arb(0, 1e-9), 1), "rho"),
        (lambda: enclose_error(float("nan"), 1), "rho"),
        (lambda: enclose_error(float("inf"), 1), "rho"),
        (lambda: enclose_error(1.0, 0), "rank"),
        (lambda: certify_theorem2(1.5), "rank"),
        (lambda: certify_theorem2(1, 0.0), "low"),
        (lambda: certify_theorem2(1, 2.0, 1.0), "low"),
        (lambda: certify_theorem2(1, 2.0, np.inf), "high"),
        (lambda: certify_theorem2(1, factors=(1, 0, 1)), "factors"),
        (lambda: enclose_multiclass(1, 1.0), "classes"),
        (lambda: enclose_multiclass(3, -1.0), "noise"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
