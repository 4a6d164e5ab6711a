"""The first correction: its closed form, its rate against exact values, simulation, and the mode one may forget."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe

from tests.test_theory_ole import draw_ole
from tests.tolerances import (
    BIAS_FIRST_ORDER,
    EXPONENT,
    EXPONENT_SHARP,
    FLOAT64,
    INTEGRAL,
    NEXT_ORDER,
    assert_asymptotic,
    close,
)
from theory.finite_size import first_correction
from theory.nuclear_norm import chi_mean, deterministic_equivalent
from theory.ole import exact_ole_rank_one, expected_ole, normalised_ole
from theory.subspaces import pooled_spectrum


@given(st.integers(1, 50), st.integers(1, 50))
@settings(max_examples=30)
def test_white_matrices_in_closed_form(r, n):
    """delta = (sqrt max(r, n) - mean over the circle of |sqrt n + sqrt r e^{ip}|)/2 (Johansson's beta = 1 term)."""
    a, b = np.sqrt(n), np.sqrt(r)
    mean = 2 / np.pi * (a + b) * ellipe(4 * a * b / (a + b) ** 2)
    assert close(first_correction(np.ones(r), n), (max(a, b) - mean) / 2, INTEGRAL)


@given(st.lists(st.floats(1e-3, 10), min_size=1, max_size=8), st.integers(1, 12))
@settings(max_examples=30)
def test_the_equivalent_is_always_too_high(sigma, n):
    assert first_correction(sigma, n) < 0
    assert close(first_correction(np.array(sigma) * 4, n), 2 * first_correction(sigma, n), INTEGRAL)


def rates(error, n):
    return np.diff(np.log(np.abs(error))) / np.diff(np.log(n))


def test_rates_against_the_chi_mean():
    n = np.array([10, 20, 40, 80])
    first = deterministic_equivalent(1.0, n) / chi_mean(n) - 1
    second = (deterministic_equivalent(1.0, n) + first_correction(1.0, n)) / chi_mean(n) - 1
    assert np.abs(rates(first, n) + 1).max() <= EXPONENT_SHARP
    assert np.abs(rates(second, n) + 2).max() <= EXPONENT
    assert close(first * 8 * n, 1, NEXT_ORDER)


@pytest.mark.parametrize("theta", [0.1, 0.7, 1.4])
def test_rates_of_ole_against_the_exact_value(theta):
    n = np.array([10, 20, 40, 80, 160])
    exact = exact_ole_rank_one(n, theta)
    first, second = (expected_ole(2, n, theta, 0.0, first_order) / exact - 1 for first_order in (False, True))
    assert np.abs(rates(first, n)[1:] + 1).max() <= EXPONENT_SHARP
    assert np.abs(rates(second, n)[1:] + 2).max() <= EXPONENT
    assert np.abs(second[0]) <= BIAS_FIRST_ORDER[8]


@pytest.mark.parametrize(
    ("dim", "n", "angles", "noise"),
    [(12, 20, [1.0, 1.3], 0.1), (12, 8, [0.5, 1.2], 0.2), (12, 6, [0.8] * 3, 0.1)],
)
def test_against_simulation_with_the_odd_mode_left_out_as_control(dim, n, angles, noise, rng):
    value = expected_ole(dim, n, angles, noise, first_order=True)
    spectrum, times = pooled_spectrum(dim, angles, noise)
    s_2, theta = noise**2, np.asarray(angles)
    planes = (np.cos(theta / 2) ** 2 + s_2, np.sin(theta / 2) ** 2 + s_2, np.sin(theta) ** 2)
    odd = first_correction(spectrum, 2 * n, times, planes) - first_correction(spectrum, 2 * n, times)
    assert_asymptotic(
        draw_ole(dim, n, angles, noise), value, BIAS_FIRST_ORDER[n], rng, 60_000, control=value + odd
    )


def test_without_noise_right_angles_have_no_ole():
    assert abs(expected_ole(8, 20, [np.pi / 2] * 3, 0.0, first_order=True)) <= FLOAT64 * 100
    assert (
        normalised_ole(8, 20, [0.3] * 3, 0.1, first_order=True) < normalised_ole(8, 20, [0.3] * 3, 0.1) * 1.05
    )


def test_broadcasting():
    out = expected_ole([8, 9], np.array([[10], [20], [30]]), [0.3, 0.4], 0.1, first_order=True)
    assert out.shape == (3, 2)
    assert close(out[2, 1], expected_ole(9, 30, [0.3, 0.4], 0.1, first_order=True))
    assert isinstance(first_correction(1.0, 3), float)
    grid = expected_ole(8, 10, np.full((2, 1, 3), 0.3), [0.1, 0.2], first_order=True)
    assert grid.shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: first_correction([1.0, -1.0], 3), "eigenvalues"),
        (lambda: first_correction([1.0], 0), "n"),
        (lambda: first_correction([1.0], 2, -1), "multiplicity"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
