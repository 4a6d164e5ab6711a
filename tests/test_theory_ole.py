"""Expected OLE: against simulation, exact in rank one, bounds and laws; Theorem 1 where true and false."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import angle, noises, shapes, sizes
from tests.tolerances import (
    BIAS_NORMALISED,
    BIAS_OLE,
    EXPONENT,
    LIMIT,
    ROUNDING,
    TRIANGULAR_SLACK,
    as_printed,
    assert_asymptotic,
    assert_exact,
    at_most,
    close,
)
from theory.nuclear_norm import chi_mean
from theory.ole import corrected_bound, exact_ole_rank_one, expected_ole, normalised_ole, theorem1_bound
from theory.subspaces import frames

CEILING = 1 - 1 / np.sqrt(2)


def draw_ole(dim, n, angles, noise):
    """OLE of simulated latents, from the spectra of Gram matrices."""
    U = frames(angles, dim)
    rank = U[0].shape[-1]

    def norm(M):
        gram = M @ M.swapaxes(-1, -2) if M.shape[-2] < M.shape[-1] else M.swapaxes(-1, -2) @ M
        return np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0)).sum(axis=-1)

    def draw(rng, size):
        M = [
            u @ rng.standard_normal((size, rank, n)) + noise * rng.standard_normal((size, dim, n)) for u in U
        ]
        return norm(M[0]) + norm(M[1]) - norm(np.concatenate(M, axis=-1))

    return draw


@pytest.mark.parametrize(
    ("dim", "n", "angles", "noise"),
    [(64, 100, [0.3, 0.8, 1.2], 0.1), (32, 100, [0.5] * 4, 0.0), (40, 20, [0.7, 1.5], 0.3)],
)
def test_against_simulation(dim, n, angles, noise, rng):
    value = expected_ole(dim, n, angles, noise)
    wrong = expected_ole(dim, n, np.minimum(np.asarray(angles) + 0.4, np.pi / 2), noise)
    assert_asymptotic(draw_ole(dim, n, angles, noise), value, BIAS_OLE, rng, 400, control=wrong)


@pytest.mark.parametrize(("n", "theta"), [(1, 0.4), (3, 1.0), (10, 0.2)])
def test_rank_one_is_exact(n, theta, rng):
    value = exact_ole_rank_one(n, theta)
    assert_exact(draw_ole(2, n, theta, 0.0), value, rng, 100_000, control=expected_ole(2, n, theta, 0.0))


def test_rank_one_special_values():
    n = np.array([1, 2, 3, 10, 1000])
    assert close(exact_ole_rank_one(n, 0.0), 2 * chi_mean(n) - chi_mean(2 * n))
    flat = exact_ole_rank_one(1, np.pi / 2)
    assert abs(flat) <= ROUNDING  # one vector each, orthogonal: ||M||_* = a + b
    ratio = expected_ole(2, [10, 100, 1000], 0.7, 0.0) / exact_ole_rank_one([10, 100, 1000], 0.7) - 1
    assert as_printed(ratio[0], "0.026")
    assert (
        np.abs(ratio * [10, 100, 1000] / ratio[0] / 10 - 1).max() < EXPONENT
    )  # the error of the deterministic equivalent is of order 1/n


@given(shapes(), noises, sizes, st.integers(0, 5), st.floats(0, 1))
@settings(max_examples=40)
def test_ole_falls_as_an_angle_opens(shape, noise, n, i, part):
    dim, angles = shape
    wider = angles.copy()
    wider[i % angles.size] += part * (np.pi / 2 - wider[i % angles.size])
    scale = dim * np.sqrt(n) * (1 + noise)
    assert at_most(expected_ole(dim, n, wider, noise), expected_ole(dim, n, angles, noise), 10 * scale)
    assert at_most(corrected_bound(dim, n, wider, noise), corrected_bound(dim, n, angles, noise), 10 * scale)
    assert at_most(0, normalised_ole(dim, n, angles, noise))
    assert at_most(normalised_ole(dim, n, angles, noise), CEILING)


@given(st.integers(1, 300), angle, angle)
def test_exact_ole_falls_as_the_angle_opens(n, one, other):
    low, high = sorted([one, other])
    assert at_most(exact_ole_rank_one(n, high), exact_ole_rank_one(n, low), np.sqrt(n))


@given(shapes(), noises, sizes)
def test_bounds_are_ordered(shape, noise, n):
    """Rigorous <= tight: triangular values are below the deterministic equivalent, up to its own error."""
    dim, angles = shape
    value, tight = expected_ole(dim, n, angles, noise), corrected_bound(dim, n, angles, noise)
    scale = dim * np.sqrt(n) * (1 + noise)
    assert at_most(tight, value, 10 * scale)
    if n >= 4 * dim:
        assert corrected_bound(dim, n, angles, noise, rigorous=True) <= tight + TRIANGULAR_SLACK * scale


def test_corrected_bound_is_tight_in_the_limit():
    args = (10, 10**7, [0.4, 1.3], 0.3)
    assert abs(corrected_bound(*args) / expected_ole(*args) - 1) <= LIMIT
    assert abs(corrected_bound(*args, rigorous=True) / expected_ole(*args) - 1) <= LIMIT


@given(st.integers(1, 300), angle)
def test_rigorous_bound_is_below_the_exact_value(n, theta):
    bound = corrected_bound(2, n, theta, 0.0, rigorous=True)
    assert at_most(bound, exact_ole_rank_one(n, theta), 10 * np.sqrt(n))


@pytest.mark.parametrize(("dim", "n", "noise"), [(8, 3, 0.5), (8, 40, 0.2), (6, 1, 0.0)])
def test_rigorous_bound_holds_in_simulation(dim, n, noise, rng):
    for angles in ([0.1, 0.3], [1.4, 0.9], [np.pi / 2] * 2):
        ole = draw_ole(dim, n, angles, noise)(rng, 2000)
        low = ole.mean() - 5 * ole.std() / np.sqrt(ole.size)
        assert low >= corrected_bound(dim, n, angles, noise, rigorous=True) - ROUNDING


@given(st.integers(2, 300), angle)
def test_theorem1_is_true_at_every_angle_in_rank_one_from_two_samples(n, theta):
    assert at_most(theorem1_bound(n, theta), exact_ole_rank_one(n, theta), 10 * np.sqrt(n))


def test_theorem1_is_false_for_one_sample_at_right_angles():
    bound = theorem1_bound(1, np.pi / 2)
    assert close(bound, 2 * np.sqrt(2 / np.pi) - np.sqrt(2))
    assert bound > exact_ole_rank_one(1, np.pi / 2) + 0.1


def theorem1_subtracts(n, r, theta):
    """C2 phi(theta), written apart from theory.ole."""
    c = np.cos(theta)
    return np.sqrt(r * 2 * n * r * c) + np.sqrt(r * 2 * n * (2 * n - 1) * (1 - c))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_theorem1_follows_from_the_corrected_bound(n, r, part):
    """C2 phi >= the bound on E||M||_*: at every angle if 2n-1 >= 2r, else where phi falls with theta."""
    least = 0 if 2 * n - 1 >= 2 * r else r / (r + 2 * n - 1)
    theta = np.arccos(least + part * (1 - least))
    c = np.cos(theta)
    corrected = min(np.sqrt(n) * r * (np.sqrt(1 + c) + np.sqrt(1 - c)), 2 * n * np.sqrt(r))
    assert at_most(corrected, theorem1_subtracts(n, r, theta), 100 * n * r)


@pytest.mark.parametrize("r", [4, 10])
def test_theorem1_is_empty_beyond_a_few_degrees(r):
    degrees = np.linspace(0, 10, 201)
    bound = theorem1_bound(100, np.deg2rad(degrees)[:, None] * np.ones(r))
    zero = degrees[np.argmax(bound < 0)]
    assert as_printed(zero, {4: "4.7", 10: "7.3"}[r])
    assert (bound[degrees > zero] < 0).all()


def test_theorem1_needs_the_largest_angle():
    assert theorem1_bound(50, [0.1, 0.4]) == theorem1_bound(50, [0.4, 0.4])


@pytest.mark.parametrize(("angles", "noise"), [([0.3, 0.8, 1.2], 0.1), ([0.7] * 4, 0.4)])
def test_normalised_ole_against_simulation(angles, noise, rng):
    """The mean of the ratio is the ratio of the means to order 1/n; the control shifts every angle."""
    U = frames(angles, 48)

    def draw(rng, size):
        M = [
            u @ rng.standard_normal((size, len(angles), 80)) + noise * rng.standard_normal((size, 48, 80))
            for u in U
        ]
        norms = [np.linalg.svd(m, compute_uv=False).sum(axis=-1) for m in (*M, np.concatenate(M, axis=-1))]
        return 1 - norms[2] / (norms[0] + norms[1])

    value = normalised_ole(48, 80, angles, noise)
    wrong = normalised_ole(48, 80, np.minimum(np.asarray(angles) + 0.4, np.pi / 2), noise)
    assert_asymptotic(draw, value, BIAS_NORMALISED, rng, 200, control=wrong)


def test_shapes():
    assert isinstance(expected_ole(4, 10, 0.3, 0.1), float)
    assert isinstance(theorem1_bound(10, 0.3), float)
    out = expected_ole([8, 9], np.array([[10], [20], [30]]), [0.3, 0.4], 0.1)
    assert out.shape == corrected_bound([8, 9], np.array([[10], [20], [30]]), [0.3, 0.4], 0.1).shape == (3, 2)
    assert close(out[2, 1], expected_ole(9, 30, [0.3, 0.4], 0.1))


@pytest.mark.parametrize("formula", [expected_ole, normalised_ole, corrected_bound])
@pytest.mark.parametrize(
    ("args", "name"),
    [
        ((3, 10, [0.1, 0.2], 0.1), "dim"),
        ((4, 0, [0.1, 0.2], 0.1), "n"),
        ((4, 10, [0.1, 2.0], 0.1), "angles"),
        ((4, 10, [0.1, np.nan], 0.1), "angles"),
        ((4, 10, [0.1, 0.2], -0.1), "noise"),
    ],
)
def test_refused(formula, args, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        formula(*args)
