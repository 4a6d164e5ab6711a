"""Gaussian refit loops: each formula against a simulated loop, limits, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tolerances import INTEGRAL, LIMIT, assert_exact, at_most, close
from theory.gaussian_loop import (
    accumulated_spread,
    accumulated_variance,
    biased_accumulation,
    expected_log_det,
    expected_variance,
    fresh_data_drift,
    fresh_data_spread,
    lyapunov_exponents,
    noisy_accumulation,
)


def draw_refit(dim, n, generations, unbiased, what):
    """`size` loops at once: fit mean and covariance to n samples, K times over, from N(0, I)."""

    def draw(rng, size):
        root = np.broadcast_to(np.eye(dim), (size, dim, dim))
        for _ in range(generations):
            x = root @ rng.standard_normal((size, dim, n))
            x = x - x.mean(axis=-1, keepdims=True)
            S = x @ x.swapaxes(-1, -2) / (n - 1 if unbiased else n)
            root = np.linalg.cholesky(S)
        return np.linalg.slogdet(S)[1] if what == "log_det" else np.trace(S, axis1=1, axis2=2) / dim

    return draw


@pytest.mark.parametrize("unbiased", [False, True])
def test_log_det_against_simulation(unbiased, rng):
    value, control = (expected_log_det(3, 12, 4, u) for u in (unbiased, not unbiased))
    assert_exact(draw_refit(3, 12, 4, unbiased, "log_det"), value, rng, 20_000, control)


def test_expected_variance_against_simulation(rng):
    value = expected_variance(12, 4)[-1]
    assert_exact(draw_refit(3, 12, 4, False, "trace"), value, rng, 20_000, control=1.0)


@given(st.integers(1, 20), st.integers(1, 30))
def test_every_exponent_is_negative_and_they_descend(dim, more):
    for unbiased in (False, True):
        exponents = lyapunov_exponents(dim, dim + more, unbiased)
        assert (exponents < 0).all()
        assert (np.diff(exponents) < 0).all()
        assert close(expected_log_det(dim, dim + more, 7, unbiased), 7 * exponents.sum())


def simulate_means(n, fraction, generations, rng, loops):
    """One dimension, fresh real data: fitted mean and variance after many generations."""
    mean, variance, real = np.zeros(loops), np.ones(loops), round(n * fraction)
    for _ in range(generations):
        x = mean[:, None] + np.sqrt(variance)[:, None] * rng.standard_normal((loops, n))
        x[:, :real] = rng.standard_normal((loops, real))
        mean, variance = x.mean(axis=1), x.var(axis=1)
    return mean


def test_fresh_data_drift_against_simulation(rng):
    value = fresh_data_drift(10, 0.3)
    control = (0.3 / 10 + 0.7 / 10) / (1 - 0.7**2)  # forgets that the variance has shrunk
    assert_exact(lambda g, k: simulate_means(10, 0.3, 30, g, k) ** 2, value, rng, 100_000, control)


def test_fresh_data_spread_against_simulation(rng):
    def draw(rng, size):
        variance = np.ones(size)
        for _ in range(30):
            variance = (rng.chisquare(10, size) + variance * rng.chisquare(10, size)) / 20
        return (variance - 1) ** 2

    # n = 20: below about 10 the eighth moment is infinite, and standard errors mean nothing
    value = fresh_data_spread(20, 0.5)
    assert_exact(draw, value, rng, 400_000, control=(2 / 20) / (1 - 0.5**2))
    assert fresh_data_spread(10, 0.0) == np.inf


def test_fresh_data_limits():
    assert fresh_data_drift(10, 0.0) == 1
    assert fresh_data_drift(10, 1.0) == 0.1
    assert close(fresh_data_spread(10, 1.0), 0.2)


def accumulate(n, generations, rng, loops, known_mean):
    """Fit j sees j blocks of n points, the first of them real; returns the last fitted variance."""
    pool = rng.standard_normal((loops, n))
    for j in range(1, generations + 1):
        mean = np.zeros(loops) if known_mean else pool.mean(axis=1)
        variance = ((pool - mean[:, None]) ** 2).mean(axis=1)
        if j < generations:
            new = mean[:, None] + np.sqrt(variance)[:, None] * rng.standard_normal((loops, n))
            pool = np.concatenate([pool, new], axis=1)
    return variance


def test_accumulation_against_simulation(rng):
    value = accumulated_variance(4, 5)
    control = expected_variance(4, 5)[-1]
    assert_exact(lambda g, k: accumulate(4, 5, g, k, False), value, rng, 40_000, control)
    value = accumulated_spread(6, 5)
    assert_exact(lambda g, k: (accumulate(6, 5, g, k, True) - 1) ** 2, value, rng, 100_000, control=2 / 6)


def test_accumulation_limits():
    n = np.array([2, 5, 100])
    assert close(accumulated_variance(n), np.sin(np.pi / np.sqrt(n)) / (np.pi / np.sqrt(n)))
    assert np.abs(accumulated_variance(n, 100_000) - accumulated_variance(n)).max() <= LIMIT
    assert np.abs(accumulated_spread(n, 100_000) - accumulated_spread(n)).max() <= LIMIT
    assert accumulated_variance(1) == accumulated_variance(1, 3) == 0
    assert accumulated_variance(7, 0) == 1
    assert abs(accumulated_spread(10**8) / (np.pi**2 * 2 / 6e8) - 1) <= INTEGRAL * 10  # no cancellation
    assert accumulated_variance([[2], [3]], [1, 2, 3]).shape == (2, 3)


@given(st.floats(0, 2), st.integers(0, 40))
def test_biased_and_noisy_accumulation_are_their_recursions(rate, generations):
    biased, noisy = biased_accumulation(rate, generations), noisy_accumulation(rate, generations)
    P = N = 1.0
    for k in range(generations + 1):
        assert close(biased[k], P)
        assert close(noisy[k], N)
        P = ((k + 1) * P + rate * P) / (k + 2)
        N = ((k + 1) * N + N + rate) / (k + 2)


def test_biased_accumulation_is_a_power_law():
    lam = 0.4
    path = biased_accumulation(lam, 100_000)
    slope = np.log(path[-1] / path[-1 - 50_000]) / np.log(100_000 / 50_000)
    assert abs(slope + (1 - lam)) <= LIMIT
    assert at_most(path[1:], path[:-1])
    assert biased_accumulation([0.2, 0.3], 6).shape == (2, 7)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: lyapunov_exponents(5, 5), "n"),
        (lambda: expected_log_det(5, 9, -1), "generations"),
        (lambda: expected_log_det(0, 9, 1), "dim"),
        (lambda: fresh_data_drift(10, 1.1), "fraction"),
        (lambda: fresh_data_spread(0, 0.5), "n"),
        (lambda: accumulated_variance(0), "n"),
        (lambda: biased_accumulation(-0.1, 3), "shrink"),
        (lambda: noisy_accumulation(np.nan, 3), "added"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
