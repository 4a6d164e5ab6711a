"""Expected nuclear norms: the integral against mpmath, the value against simulation, the bound below both."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.tolerances import (
    BIAS_OLE,
    FLOAT64,
    INTEGRAL,
    ROUNDING,
    assert_asymptotic,
    assert_exact,
    at_most,
    close,
)
from theory.nuclear_norm import chi_mean, deterministic_equivalent, edge, triangular_bound

SPECTRA = [
    ([1.0] * 5, 20),
    ([1.0] * 5, 5),
    ([1.0] * 5, 3),
    ([2.0, 1.0, 1e-2, 1e-4, 1e-6], 3),
    ([2.0, 1.0, 1e-2, 1e-4, 1e-6], 5),
    ([1e3, 1e-3, 0.0, 0.0], 3),
    ([1.0] * 4 + [1e-4] * 60, 10),
]


def reference(sigma, n):
    """The integral in k = k0 + y^2, by tanh-sinh in 30 digits: another variable, another rule."""
    with mp.workdps(30):
        sigma = [mp.mpf(x) for x in sigma if x > 0]

        def df(k):
            return mp.fsum(x / (x + k) for x in sigma)

        k0 = (
            mp.findroot(lambda k: df(k) - n, (1e-14, 1e9), solver="anderson") if len(sigma) > n else mp.mpf(0)
        )

        def integrand(y):
            k = k0 + y * y
            left = max(n - len(sigma), 0) + y * y * mp.fsum(x / ((x + k0) * (x + k)) for x in sigma)
            return 2 * y * mp.sqrt(k * left) * mp.fsum(x / (x + k) ** 2 for x in sigma)

        return 2 / mp.pi * mp.quad(integrand, [0, *(mp.mpf(10) ** j for j in range(-5, 4)), mp.inf])


@pytest.mark.parametrize(("sigma", "n"), SPECTRA)
def test_integral(sigma, n):
    assert abs(deterministic_equivalent(sigma, n) / float(reference(sigma, n)) - 1) <= INTEGRAL


spectra = arrays(float, st.integers(1, 9), elements=st.floats(1e-6, 1e3))


@given(spectra, st.integers(1, 12), st.floats(1e-6, 1e6))
@settings(max_examples=40)
def test_scale_zeros_and_multiplicity(sigma, n, factor):
    value = deterministic_equivalent(sigma, n)
    assert close(deterministic_equivalent(sigma * factor, n) / (np.sqrt(factor) * value), 1)
    assert close(deterministic_equivalent(np.append(sigma, [0.0, 0.0]), n) / value, 1)
    twice = deterministic_equivalent(np.repeat(sigma, 2), n)
    assert close(deterministic_equivalent(sigma, n, 2) / twice, 1)


@given(st.integers(1, 40), st.integers(1, 40))
def test_white_matrices_may_be_transposed(r, n):
    assert close(deterministic_equivalent(np.ones(r), n) / deterministic_equivalent(np.ones(n), r), 1)


@given(spectra, st.integers(1, 12))
def test_below_the_concave_bound(sigma, n):
    """E||X||_* <= sum_j sqrt(n sigma_j) (Jensen), and E||X||_* <= sqrt(n rank tr Sigma) for rank <= n."""
    assert at_most(deterministic_equivalent(sigma, n), np.sqrt(n * sigma).sum(), np.sqrt(n * sigma).sum())


def test_fixed_rank_limit():
    assert abs(deterministic_equivalent([4.0, 1.0], 1e8) / (3 * 1e4) - 1) <= 1 / 1e7
    assert deterministic_equivalent([0.0, 0.0], 3) == 0


def draw_norm(sigma, n):
    root = np.sqrt(np.asarray(sigma))[:, None]

    def draw(rng, size):
        X = root * rng.standard_normal((size, root.size, n))
        return np.linalg.svd(X, compute_uv=False).sum(axis=-1)

    return draw


@pytest.mark.parametrize(("sigma", "n"), [([1.0] * 4 + [0.04] * 28, 60), ([1.0] * 20 + [0.1] * 20, 25)])
def test_against_simulation(sigma, n, rng):
    value = deterministic_equivalent(sigma, n)
    jensen = np.sqrt(n * np.asarray(sigma)).sum()
    assert_asymptotic(draw_norm(sigma, n), value, BIAS_OLE, rng, 2000, control=jensen)


def test_chi_mean(rng):
    assert chi_mean(1) == pytest.approx(np.sqrt(2 / np.pi), rel=FLOAT64)
    assert chi_mean(3) == pytest.approx(2 * np.sqrt(2 / np.pi), rel=FLOAT64)
    assert_exact(draw_norm([1.0], 7), chi_mean(7), rng, 200_000, control=np.sqrt(7))


@given(st.integers(1, 30), st.integers(1, 30))
def test_triangular_bound_is_below(r, n):
    bound = triangular_bound(r, n)
    assert at_most(bound, np.sqrt(n) * r, n * r)
    if min(r, n) == 1:
        longest = chi_mean(n)
        assert close(bound, longest, ROUNDING)
    elif min(r, n) >= 4:
        assert bound < deterministic_equivalent(np.ones(r), n)
    assert close(triangular_bound(r, n, 1) + chi_mean(n), bound)


def test_triangular_bound_holds_in_simulation(rng):
    norm = draw_norm([1.0] * 3, 5)(rng, 20_000)
    assert norm.mean() - 5 * norm.std() / np.sqrt(norm.size) > triangular_bound(3, 5)


def test_broadcasting():
    out = deterministic_equivalent(np.ones((4, 1, 6)), [3, 10])
    assert out.shape == (4, 2)
    assert close(out[2, 0], deterministic_equivalent(np.ones(6), 3))
    assert isinstance(deterministic_equivalent(1.0, 3), float)


@given(spectra, st.integers(1, 12))
def test_edge_is_where_the_degrees_of_freedom_are_n(sigma, n):
    """df(k0) = sum sigma/(sigma + k0) = N beyond rank N, else k0 = 0; a k0 a thousandth larger, the control, is not."""
    sigma = sigma / sigma.max()
    times, rank, N = np.ones_like(sigma), np.array([float(sigma.size)]), np.array([float(n)])
    k0 = edge(sigma, times, rank, N)
    if sigma.size <= n:
        assert k0 == 0
    else:
        assert close((sigma / (sigma + k0)).sum(), n, condition=10)
        assert not close((sigma / (sigma + 1.001 * k0)).sum(), n, condition=10)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: deterministic_equivalent([1.0, -1e-9], 3), "eigenvalues"),
        (lambda: deterministic_equivalent([1.0, np.nan], 3), "eigenvalues"),
        (lambda: deterministic_equivalent([1.0], 0), "n"),
        (lambda: deterministic_equivalent([1.0], 2, -1), "multiplicity"),
        (lambda: chi_mean(0), "degrees"),
        (lambda: triangular_bound(2, 2.5), "n"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
