"""Every false statement is refuted by one point, certainly; a point where it is true is refused."""

import mpmath as mp
import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tolerances import (
    CONTROL,
    FLOAT64,
    POINT,
    STANDARD_ERRORS,
    VIOLATION,
    assert_exact,
    close,
    estimate,
)
from theory.confidence import bayes_error, expected_confidence, multiclass_confidence, snr, theorem2_bound
from theory.counterexamples import counterexamples, one_sided_bound, scale_confidence
from theory.enclosures import (
    enclose_chi_mean,
    enclose_largest_posterior,
    enclose_ole_rank_one,
    enclose_scale_confidence,
)
from theory.nuclear_norm import chi_mean
from theory.ole import exact_ole_rank_one, theorem1_bound
from theory.refutations import (
    REFUTED,
    Violation,
    enclose_violation_informative,
    enclose_violation_largest_posterior,
    enclose_violation_literal,
    enclose_violation_multiclass,
    enclose_violation_one_sided,
    enclose_violation_phi,
    enclose_violation_theorem1,
    white_norm_above,
)


def holds(ball: arb, value: float) -> bool:
    """The float64 `value` is that in the ball, to FLOAT64, and the ball is no wider than would be seen."""
    near = arb(value, FLOAT64 * max(1, abs(value)))
    return near.contains(ball) and not (near + 3 * near.rad()).overlaps(ball)


CASES = {case.id: case for case in counterexamples()}


def test_every_counterexample_is_certain():
    assert set(REFUTED) == set(CASES)


@pytest.mark.parametrize("id", sorted(REFUTED))
def test_the_enclosed_point_is_the_one_listed(id):
    found, case = REFUTED[id](), CASES[id]
    assert found.excess > VIOLATION
    if (
        id == "theorem-1-informative"
    ):  # C1 from above, rigorous: below the asymptotic value by a relative r/(8n)
        assert case.violation < found.excess < case.violation + 0.1
        return
    assert holds(found.excess, case.violation)
    if id != "phi-monotone":  # there C1 falls out of both sides
        assert holds(found.left, case.smaller)
        assert holds(found.right, case.larger)


@given(st.floats(0.001, 1000))
@settings(max_examples=30)
def test_scale_confidence_is_enclosed(scale):
    assert holds(enclose_scale_confidence(scale), scale_confidence(scale))


def test_scale_confidence_against_mpmath():
    with mp.workdps(30):
        xi = mp.quad(lambda x: mp.npdf(x) ** 2 / (mp.npdf(x) + mp.npdf(x, 0, 1.5)), [-40, -3, 0, 3, 40])
        digits = arb(mp.nstr(xi, 20))
    ball = enclose_scale_confidence(1.5)
    assert ball.overlaps(digits)
    assert not ball.overlaps(digits + arb("1e-14"))
    assert not enclose_scale_confidence(1.5 * (1 + POINT)).overlaps(digits)


@given(st.floats(0, 1e4))
def test_largest_posterior_is_enclosed(rho):
    assert holds(enclose_largest_posterior(rho), 1 - bayes_error(rho))


@given(st.integers(1, 60), st.floats(0, np.pi / 2))
@settings(max_examples=30)
def test_ole_of_two_lines_is_enclosed(n, theta):
    assert holds(enclose_ole_rank_one(n, max(0.0, np.cos(theta))), exact_ole_rank_one(n, theta))
    assert holds(enclose_chi_mean(n), chi_mean(n))


def test_one_column_a_class_at_right_angles(rng):
    ole = enclose_ole_rank_one(1, 0.0)
    assert ole.contains(0)
    assert not ole.overlaps(arb("1e-15"))
    a, b = rng.standard_normal(2)
    assert close(abs(a) + abs(b) - np.linalg.norm(np.array([[a, 0], [0, b]]), "nuc"), 0)
    tilted = np.array([[a, b * np.cos(1)], [0, b * np.sin(1)]])
    assert abs(a) + abs(b) - np.linalg.norm(tilted, "nuc") > FLOAT64


@pytest.mark.parametrize(("n", "rank"), [(1, 1), (2, 2), (3, 20), (10, 10), (100, 4)])
def test_white_norm_is_bounded_from_above(n, rank, rng):
    def draw(rng, size):
        return np.linalg.svd(rng.standard_normal((size, rank, n)), compute_uv=False).sum(axis=-1)

    found, bound = estimate(draw, rng, 4000), float(white_norm_above(n, rank))
    assert found.mean <= bound + STANDARD_ERRORS * found.error
    assert found.mean > 0.6 * bound + CONTROL * found.error, "the control, 0.6 of the bound, was accepted"


def test_white_norm_bound_from_its_moments(rng):
    """E tr y, y^2, y^3 of y = G G^T/N - 1, of which the bound is made."""
    p, N = 3, 7

    def draw(power):
        def values(rng, size):
            G = rng.standard_normal((size, p, N))
            return ((np.linalg.eigvalsh(G @ G.swapaxes(-1, -2) / N) - 1) ** power).sum(axis=-1)

        return values

    second, third = p * (p + 1) / N, p * (p**2 + 3 * p + 4) / N**2
    assert_exact(draw(2), second, rng, 200_000, control=p * p / N)
    assert_exact(draw(3), third, rng, 400_000, control=p * p**2 / N**2)
    assert close(float(white_norm_above(N, p)), np.sqrt(N) * (p - second / 8 + third / 16))


def test_the_literal_form_is_refuted():
    found = enclose_violation_literal(0.05, 1.0, 1)
    sin_2 = np.sin(0.05) ** 2
    assert close(float(found.left), expected_confidence(snr(0.05, 1.0)))
    assert close(float(found.right), theorem2_bound(2 * sin_2) / 4)
    assert found.excess > 0.37
    assert not found.excess > 0.38


def test_three_classes_refute_the_natural_extension():
    found = enclose_violation_multiclass()
    assert arb(multiclass_confidence(3, 2, 2), FLOAT64).contains(found.left)
    assert not arb(multiclass_confidence(3, 2, 2) + 1e-8, FLOAT64).overlaps(found.left)
    assert close(float(found.right), 1 / (1 + 2 * np.exp(-0.05)))
    assert found.excess > 3e-4


@pytest.mark.parametrize(
    "point",
    [
        lambda: enclose_violation_literal(0.05, 0.1),  # 2 s^2 (1+s^2) = 0.02: the right side is 25
        lambda: enclose_violation_one_sided(1.0),  # one law, twice: 1/2 and 1/2
        lambda: enclose_violation_one_sided(0.5),
        lambda: enclose_violation_one_sided(3.0),
        lambda: enclose_violation_multiclass(2),  # Theorem 2
        lambda: enclose_violation_multiclass(3, 1.0),
        lambda: enclose_violation_largest_posterior(0.0),
        lambda: enclose_violation_largest_posterior(5.0),
        lambda: enclose_violation_theorem1(2),  # true from n = 2 on
        lambda: enclose_violation_theorem1(1, 0.5),
        lambda: enclose_violation_phi(wide=0.5, narrow=0.9),  # cos >= l/(l+2n-1) = 1/2
        lambda: enclose_violation_phi(wide=0.25, narrow=0.75),  # sqrt c + sqrt(1-c) is equal at both
        lambda: enclose_violation_informative(theta=0.05),
        lambda: enclose_violation_informative(1, 1, 1.0),  # below zero at 1, not at 90 degrees
    ],
)
def test_a_point_that_is_no_violation_is_refused(point):
    with pytest.raises(ArithmeticError, match=r"^no certain violation of "):
        point()


def test_where_the_one_sided_bound_fails():
    """Refused and granted as the float64 formulas say, on a grid across both edges."""
    for scale in np.geomspace(0.3, 5, 24):
        try:
            certain = enclose_violation_one_sided(float(scale)).excess > 0
        except ArithmeticError:
            certain = False
        assert certain == (scale_confidence(scale) > one_sided_bound(scale))


@pytest.mark.parametrize(("rank", "degrees"), [(4, 4.69), (10, 7.28)])
def test_from_which_angle_theorem_1_is_empty(rank, degrees):
    found = enclose_violation_informative(100, rank, float(np.radians(degrees)))
    angles = np.radians(np.linspace(degrees, 90, 200))
    values = [theorem1_bound(100, np.full(rank, angle)) for angle in angles]
    assert max(values) - 0.1 < float(found.right) < 0  # 0.1: C1 is asymptotic there, a little too high
    with pytest.raises(ArithmeticError):
        enclose_violation_informative(100, rank, float(np.radians(degrees - 0.02)))


def test_an_excess_that_may_be_zero_is_no_violation():
    assert Violation("x <= y", arb(1), arb(0.5)).excess > 0
    assert not Violation("x <= y", arb(1), arb(1, 1e-9)).excess > 0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: enclose_violation_literal(2.0), "theta"),
        (lambda: enclose_violation_literal(noise=0.0), "noise"),
        (lambda: enclose_violation_literal(rank=0), "rank"),
        (lambda: enclose_violation_one_sided(0.0), "scale"),
        (lambda: enclose_violation_largest_posterior(-1.0), "rho"),
        (lambda: enclose_violation_theorem1(0), "n"),
        (lambda: enclose_violation_theorem1(1, -0.1), "cos"),
        (lambda: enclose_violation_theorem1(1, float("nan")), "cos"),
        (lambda: enclose_violation_phi(n=1.5), "n"),
        (lambda: enclose_violation_phi(rank=0), "rank"),
        (lambda: enclose_violation_phi(wide=0.5, narrow=0.5), "wide"),
        (lambda: enclose_violation_phi(narrow=1.1), "cos"),
        (lambda: enclose_violation_informative(0), "n"),
        (lambda: enclose_violation_informative(rank=0), "rank"),
        (lambda: enclose_violation_informative(theta=-0.1), "theta"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
