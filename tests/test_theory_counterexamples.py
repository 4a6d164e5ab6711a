"""Every statement listed as false is violated by far more than rounding; its true neighbour is not."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tolerances import VIOLATION, assert_exact, at_most, close
from theory.confidence import expected_confidence, multiclass_confidence, snr, theorem2_bound
from theory.counterexamples import (
    counterexamples,
    largest_posterior,
    literal_theorem2,
    natural_multiclass_bound,
    one_sided_bound,
    scale_confidence,
    two_sided_bound,
)


@pytest.mark.parametrize("case", counterexamples(), ids=lambda case: case.id)
def test_violated(case):
    assert case.violation > VIOLATION


def test_ids_are_unique():
    assert len({case.id for case in counterexamples()}) == len(counterexamples()) >= 6


def test_scale_confidence_against_mpmath_and_simulation(rng):
    for scale in (0.3, 1.5, 8.0):

        def integrand(x, scale=scale):
            p1, p0 = mp.npdf(x), mp.npdf(x, 0, scale)
            return p1**2 / (p0 + p1)

        assert close(scale_confidence(scale), float(mp.quad(integrand, [-40, -3, 0, 3, 40])))

    def draw(rng, size):
        x = rng.standard_normal(size)
        return 1 / (1 + np.exp(-(np.log(1.5) - x**2 / 2 * (1 - 1 / 2.25))))

    assert_exact(draw, scale_confidence(1.5), rng, 1_000_000, control=one_sided_bound(1.5))


@given(st.floats(0.1, 10))
def test_two_sided_bound_is_true(scale):
    assert at_most(scale_confidence(scale), two_sided_bound(scale))


@given(st.floats(1e-3, np.pi / 2), st.floats(0.75, 5), st.integers(1, 5))
def test_literal_form_fails_wherever_its_factor_is_below_a_half(angle, noise, rank):
    """sg < 1, so the literal form is below 1/2 <= xi once 2 s^2(1+s^2) >= 2 (s >= 0.79)."""
    if 2 * noise**2 * (1 + noise**2) >= 2:
        assert literal_theorem2(rank, angle, noise) < expected_confidence([snr(angle, noise)] * rank)


def test_multiclass_form_is_theorem2_for_two_classes():
    assert close(natural_multiclass_bound(2, 3, 0.7), theorem2_bound([snr(np.pi / 2, 0.7)] * 3))
    assert multiclass_confidence(2, 3, 0.7) < natural_multiclass_bound(2, 3, 0.7)


def test_largest_posterior_violates_only_where_rho_is_small():
    rho = np.geomspace(1e-8, 50, 60)[:, None]
    violated = largest_posterior(rho) > theorem2_bound(rho)
    assert violated[0]
    assert not violated[-1]
    assert (np.diff(violated.astype(int)) <= 0).all()


def test_largest_posterior_against_simulation(rng):
    """E max(p, 1 - p) from log-odds of samples, r = 2, right angles; the control is that of the true label."""
    s = 0.8
    two_kappa = 1 / (s**2 * (1 + s**2))

    def draw(rng, size):
        a, b = rng.chisquare(2, (2, size))
        return 1 / (1 + np.exp(-np.abs(two_kappa / 2 * ((1 + s**2) * a - s**2 * b))))

    rho = [two_kappa] * 2
    assert_exact(draw, largest_posterior(rho), rng, 400_000, control=expected_confidence(rho))
