"""The best timestep: CSNR against simulation and quadrature, the optimum, the law and its rate."""

import numpy as np
import pytest
from scipy.integrate import dblquad

from tests.tolerances import (
    BATCHES,
    CONTROL,
    EXPONENT_SHARP,
    INTEGRAL,
    LAW,
    LAW_SMALL,
    NEAR_LIMIT,
    STANDARD_ERRORS,
    close,
)
from theory.timestep import _wrong, csnr, optimal_time, small_floor_law


def simulate(w, dim, rank, floor, rng, size):
    """|P_0 h|^2 and |(I - P_0) h|^2 of posterior means of class-0 samples, from Bayes' rule itself."""
    x_0 = floor * rng.standard_normal((size, dim))
    x_0[:, :rank] += rng.standard_normal((size, rank))
    x = x_0 + w * rng.standard_normal((size, dim))
    variances = np.full((2, dim), floor**2)
    variances[0, :rank] += 1
    variances[1, rank : 2 * rank] += 1
    log_p = -0.5 * np.stack([(x**2 / (v + w**2) + np.log(v + w**2)).sum(axis=1) for v in variances])
    p = np.exp(log_p - np.logaddexp(*log_p))
    h = sum(p[c][:, None] * variances[c] / (variances[c] + w**2) * x for c in (0, 1))
    return (h[:, :rank] ** 2).sum(axis=1).mean(), (h[:, rank:] ** 2).sum(axis=1).mean()


@pytest.mark.parametrize(
    ("w", "dim", "rank", "floor"), [(0.3, 8, 2, 0.1), (1.0, 8, 3, 0.05), (2.0, 6, 1, 0.3)]
)
def test_csnr_against_simulation(w, dim, rank, floor, rng):
    """A ratio of means: tested as signal - CSNR * leak = 0, which has a standard error."""
    parts = np.array([simulate(w, dim, rank, floor, rng, 3000) for _ in range(BATCHES)])

    def off(value):
        gap = parts[:, 0] - value * parts[:, 1]
        return abs(gap.mean()) / (gap.std(ddof=1) / np.sqrt(BATCHES))

    value = csnr(w, dim, rank, floor)
    assert off(value) <= STANDARD_ERRORS
    assert off(1.2 * value) >= CONTROL


@pytest.mark.parametrize("s_2", [0.04, 1.0])
def test_wrong_posterior_against_quadrature(s_2):
    def integrand(X, Y):  # r = 2: X exponential, Y gamma of shape 2
        density = s_2 * np.exp(-s_2 * X) * (1 + s_2) ** 2 * Y * np.exp(-(1 + s_2) * Y)
        return density / (1 + np.exp(X - Y)) ** 2

    value = dblquad(integrand, 0, 45, 0, 90, epsabs=1e-11)[0]
    assert abs(_wrong(2, 4, s_2)[1] - value) <= INTEGRAL


def test_limits():
    r, d, delta = 2, 9, 0.1
    assert close(csnr(0.0, d, r, delta), r * (1 + delta**2) / ((d - r) * delta**2))  # h = x_0
    assert close(csnr(1e4, d, r, delta), 1, NEAR_LIMIT)  # the posterior is even, and the floor has gone
    assert csnr([0.1, 1.0], [[8], [9]], r, delta).shape == (2, 2)
    assert isinstance(csnr(0.1, 8, 2, 0.1), float)


@pytest.mark.parametrize(("dim", "rank", "floor"), [(32, 2, 0.1), (64, 4, 0.01), (10, 1, 0.05)])
def test_there_is_an_interior_maximum(dim, rank, floor):
    best = optimal_time(dim, rank, floor)
    top = csnr(best, dim, rank, floor)
    for factor in (0.0, 0.5, 0.99, 1.01, 2.0, 50.0):
        assert csnr(best * factor, dim, rank, floor) < top


def test_no_interior_maximum():
    assert optimal_time(32, 2, 3.0) == 0  # a large floor: noise never helps
    w = np.geomspace(1e-4, 10, 30)
    assert (np.diff(csnr(w, 8, 2, 0.0)) < 0).all()  # no floor: nothing to average away


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_law_and_its_rate(rank):
    """Relative error of order delta^{2r/(r+4)} at dim = 2r, where w*^2 does not compete."""
    floors = np.array([1e-3, 1e-4, 1e-5])
    error = np.log(optimal_time(2 * rank, rank, floors) / small_floor_law(2 * rank, rank, floors))
    slopes = np.diff(np.log(np.abs(error))) / np.diff(np.log(floors))
    assert np.abs(slopes - 2 * rank / (rank + 4)).max() <= EXPONENT_SHARP


def test_law_counts_the_floor_in_the_other_plane():
    """d - r, not d - 2r: the control is the law as first written down."""
    value, law = optimal_time(16, 4, 1e-4), small_floor_law(16, 4, 1e-4)
    without = law * (8 / 12) ** (1 / 8)
    assert abs(value / law - 1) < LAW_SMALL
    assert abs(value / without - 1) > 100 * LAW_SMALL


def test_law_is_near_at_small_floors():
    for rank in (1, 2, 4):
        assert abs(optimal_time(64, rank, 0.01) / small_floor_law(64, rank, 0.01) - 1) <= LAW


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: csnr(0.1, 3, 2, 0.1), "dim"),
        (lambda: csnr(-0.1, 8, 2, 0.1), "w"),
        (lambda: csnr(0.1, 8, 2, np.nan), "floor"),
        (lambda: csnr(0.0, 8, 2, 0.0), "floor"),
        (lambda: optimal_time(8, 2, 0.0), "floor"),
        (lambda: small_floor_law(8, 0, 0.1), "rank"),
        (lambda: small_floor_law(7, 4, 0.1), "dim"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
