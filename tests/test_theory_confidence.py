"""Exact confidence: against many digits, against simulation, between its bounds; its series; refusals."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import signals
from tests.tolerances import CONFIDENCE, FLOAT64, ORDER_40, ROUNDING, assert_exact, at_most, close
from theory.confidence import (
    bayes_error,
    confidence_bounds,
    expected_confidence,
    sech_rule,
    shortfall,
    snr,
    theorem2_bound,
)
from theory.subspaces import class_covariance, frames

CASES = [[1e-6], [0.3], [100.0], [0.0, 2.0], [1.0, 5.0, 20.0], [100.0] * 10, [0.1] * 64, [100.0] * 64]


def reference(rho, digits=30):
    """xi by mpmath from the integral in u: another variable, another rule."""
    with mp.workdps(digits):
        rho = [mp.mpf(x) for x in rho]

        def integrand(u):
            return mp.sech(mp.pi * u) * mp.fprod(1 / mp.sqrt(1 + x * (mp.mpf(1) / 4 + u * u)) for x in rho)

        return mp.quad(integrand, [0, 0.02, 0.05, 0.1, 0.2, 0.4, 1, 2, 4, 8, 16, 40])


@pytest.mark.parametrize("rho", CASES)
def test_against_thirty_digits(rho):
    missing = float(reference(rho, 80 if rho[0] * len(rho) > 1000 else 40))
    assert abs(expected_confidence(rho) - (1 - missing)) <= CONFIDENCE
    assert close(shortfall(rho) / missing, 1)


def draw_confidence(angles, noise, dim, error=False):
    """sg(log p1/p0) of samples of class 1, from the two densities themselves."""
    S_0, S_1 = (class_covariance(U, noise) for U in frames(angles, dim))
    half, gap = np.linalg.cholesky(S_1), np.linalg.inv(S_0) - np.linalg.inv(S_1)

    def draw(rng, size):
        x = rng.standard_normal((size, dim)) @ half.T
        Z = np.einsum("ni,ij,nj->n", x, gap, x) / 2
        return np.where(error, Z < 0, 1 / (1 + np.exp(-Z)))

    return draw


@pytest.mark.parametrize(("angles", "noise", "dim"), [([0.4], 0.5, 3), ([0.2, 0.9, 1.5], 0.4, 8)])
def test_against_simulation(angles, noise, dim, rng):
    rho = snr(angles, noise)
    wrong = np.sin(angles) ** 2 / noise**2  # forgets 1 + s^2
    draw = draw_confidence(angles, noise, dim)
    assert_exact(draw, expected_confidence(rho), rng, 400_000, control=expected_confidence(wrong))
    draw = draw_confidence(angles, noise, dim, error=True)
    assert_exact(draw, bayes_error(rho), rng, 400_000, control=1 - expected_confidence(rho))


@given(signals(), st.integers(1, 8))
def test_bounds_enclose_and_tighten(rho, order):
    xi, outer, inner = (
        expected_confidence(rho),
        confidence_bounds(rho, order),
        confidence_bounds(rho, order + 1),
    )
    assert at_most(outer[0], inner[0])
    assert at_most(inner[0], xi)
    assert at_most(xi, inner[1])
    assert at_most(inner[1], outer[1])
    assert at_most(outer[1], theorem2_bound(rho))


@given(signals(4, 5.0))
def test_bounds_close_in_where_rho_is_small(rho):
    low, high = confidence_bounds(rho, 40)
    assert high - low <= ORDER_40


@given(signals())
def test_order_one_is_the_product_bound(rho):
    low, high = confidence_bounds(rho)
    assert close(low, 1 - np.prod(1 + rho / 4) ** -0.5 / 2)
    assert close(high, 1 - np.prod(1 + rho / 2) ** -0.5 / 2)


@given(signals(), st.integers(0, 5), st.floats(0.01, 10))
def test_confidence_rises_and_error_falls_in_every_rho(rho, i, more):
    larger = rho.copy()
    larger[i % rho.size] += more
    assert at_most(expected_confidence(rho), expected_confidence(larger))
    assert at_most(bayes_error(larger), bayes_error(rho))
    assert at_most(bayes_error(rho), 1 - expected_confidence(rho))  # E min(p, 1-p) <= E 2p(1-p) = E_1[1 - p]


def test_error_of_one_angle_is_an_arctangent():
    rho = np.geomspace(1e-9, 1e12, 43)[:, None]
    assert np.abs(bayes_error(rho) / (np.arctan(2 / np.sqrt(rho[:, 0])) / np.pi) - 1).max() <= FLOAT64


def test_theorem2_is_a_bound_and_its_literal_transcription_is_not():
    theta, s = 0.05, 1.0
    inside = np.sin(theta) ** 2 / (2 * s**2 * (1 + s**2))
    literal = 1 / (1 + np.exp(-(np.sin(theta) ** 2))) / (2 * s**2 * (1 + s**2))
    xi = expected_confidence(snr(theta, s))
    assert xi <= theorem2_bound(snr(theta, s))
    assert close(theorem2_bound(snr(theta, s)), 1 / (1 + np.exp(-inside)))
    assert xi > literal + 0.2


def test_sech_rule_has_the_moments_of_sech():
    u, w = sech_rule(8)
    euler = [1, 1, 5, 61, 1385, 50521]  # E U^{2k} = |E_2k| / 4^k
    for k, number in enumerate(euler):
        assert close(w @ u ** (2 * k), number / 4**k)
        moment = mp.quad(lambda v, k=k: 2 * mp.sech(mp.pi * v) * v ** (2 * k), [0, 1, 3, 9, 27])
        assert close(float(moment), number / 4**k)


def test_small_rho_series_is_exact():
    """xi = 1/2 + r rho/8 - r(r+2) rho^2/32 + 5 r(r+2)(r+4) rho^3/384 + O(rho^4) (proved in tests/proofs)."""
    for rank in (1, 4):
        with mp.workdps(60):
            small = mp.mpf("1e-12")
            exact = 1 - reference([small] * rank, 60)
            series = mp.mpf(1) / 2 + rank * small / 8 - rank * (rank + 2) * small**2 / 32
            third = mp.mpf(5) * rank * (rank + 2) * (rank + 4) / 384
            assert abs((exact - series) / small**3 - third) <= FLOAT64  # the next term is about 1e-11


@pytest.mark.parametrize("r", [1, 2, 4, 5])
def test_large_rho_law(r):
    """1 - xi ~ a_r rho^{-r/2}, a_r = (1/2) E (1/4 + U^2)^{-r/2}: a power; Theorem 2 is exponential."""
    power = -r / 2
    a_r = float(mp.quad(lambda u: mp.sech(mp.pi * u) * (0.25 + u * u) ** power, [0, 0.2, 1, 3, 10]))
    closed = {2: 2 * np.log(2), 4: 4 * np.log(2) + np.pi**2 / 6}.get(r, a_r)
    assert close(a_r, closed)
    rho = 1e9
    assert abs(shortfall([rho] * r) * rho ** (r / 2) / a_r - 1) <= 20 / rho
    assert shortfall([1e4]) > 1e3 * (1 - theorem2_bound(1e4))


def test_shapes_and_broadcasting():
    assert isinstance(snr(0.3, 0.1), float)
    assert isinstance(expected_confidence(2.0), float)
    assert snr(0.3, [0.1, 0.2]).shape == (2, 1)
    assert snr([0.3, 0.2, 0.1], [0.1, 0.2]).shape == (2, 3)
    rho = np.random.default_rng(0).uniform(0, 50, (7, 1500, 3))  # crosses blocks
    xi = expected_confidence(rho)
    assert xi.shape == bayes_error(rho).shape == confidence_bounds(rho, 3)[0].shape == (7, 1500)
    assert close(xi[6, 1499], expected_confidence(rho[6, 1499]), ROUNDING)
    assert expected_confidence(0.0) == pytest.approx(0.5, abs=ROUNDING)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: snr(0.3, 0.0), "noise"),
        (lambda: snr(0.3, -0.1), "noise"),
        (lambda: snr(1.6, 0.1), "angles"),
        (lambda: snr(np.inf, 0.1), "angles"),
        (lambda: expected_confidence(-1.0), "rho"),
        (lambda: expected_confidence([]), "rho"),
        (lambda: bayes_error(np.nan), "rho"),
        (lambda: theorem2_bound([1.0, np.inf]), "rho"),
        (lambda: confidence_bounds(1.0, 0), "order"),
        (lambda: confidence_bounds(1.0, 1.5), "order"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
