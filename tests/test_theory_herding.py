"""Shrunk herding and the energy distance: the formulas against samples, special cases, and each other."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import ndtri

from tests.tolerances import (
    FLOAT64,
    INTEGRAL,
    LIMIT,
    NEAR_LIMIT,
    POINT,
    VIOLATION,
    assert_exact,
    at_most,
    close,
)
from theory.energy import (
    effective_dimension,
    energy_spectrum,
    false_belief,
    false_belief_bound,
    length_energy,
    length_spread,
    mean_length,
    scale_energy,
)
from theory.gaussian_loop import biased_accumulation
from theory.herding import (
    best_share,
    herding_gap,
    herding_gap_once,
    no_runaway,
    shrunk_accumulation,
    shrunk_limit,
    shrunk_risk,
    shrunk_risk_bound,
    target_risk,
)

drifts, errors = st.floats(0, 100), st.floats(1e-3, 100)

# --- energy distances ---


@pytest.mark.parametrize("d", [1, 2, 5])
def test_scale_energy_by_simulation(d, rng):
    """N(0, 16 I)/2 + N(0, I)/2 against N(0, I); control: all of it 16 times."""
    v, w = np.array([16.0, 1.0]), np.array([0.5, 0.5])

    def draw(rng, size):
        x, a = (np.sqrt(rng.choice(v, (size, 1), p=w)) * rng.standard_normal((size, d)) for _ in range(2))
        y, b = rng.standard_normal((2, size, d))
        far = lambda p, q: np.linalg.norm(p - q, axis=1)  # noqa: E731
        return far(x, y) + far(a, b) - far(x, a) - far(y, b)

    assert_exact(draw, scale_energy(v, w, d), rng, 200_000, scale_energy(v, [1.0, 0.0], d))


def test_units_of_the_trusted_sample(rng):
    """E z^2 of a new sample is (m + 1)/(m - 3); control: 1 + 4/m."""
    m = 10

    def draw(rng, size):
        T, x = rng.standard_normal((size, m)), rng.standard_normal(size)
        return ((x - T.mean(axis=1)) / T.std(axis=1)) ** 2

    assert_exact(draw, (m + 1) / (m - 3), rng, 400_000, 1 + 4 / m)


def test_mean_length():
    assert close(mean_length([1, 2, 3]), np.sqrt([2 / np.pi, np.pi / 2, 8 / np.pi]))
    assert close(mean_length(10_000), np.sqrt(10_000), LIMIT)
    assert close(scale_energy(1.0, dim=7), 0)
    assert close(scale_energy([0.0]), 2 * np.sqrt(2 / np.pi) - 2 / np.sqrt(np.pi))  # all at one point


@pytest.mark.parametrize("d", [1, 3, 30])
def test_length_energy_by_simulation(d, rng):
    """A pair of each: 2|x - y| - |x - x'| - |y - y'|; control: twice the drift."""

    def draw(rng, size):
        x, a = (
            np.sqrt(np.where(rng.random(size) < 0.5, 2.0, 1.0) * rng.chisquare(d, size)) for _ in range(2)
        )
        y, b = np.sqrt(rng.chisquare(d, (2, size)))
        return np.abs(x - y) + np.abs(a - b) - np.abs(x - a) - np.abs(y - b)

    assert_exact(draw, length_energy([2.0, 1.0], d), rng, 400_000, length_energy([2.0, 2.0], d))


def test_length_spread(rng):
    """Half normal: E|x| and |x'| apart by 2 (2 - sqrt 2)/sqrt pi; many dimensions: N(., 1/2), 2/sqrt(2 pi)."""
    assert close(length_spread(1), 2 * (2 - np.sqrt(2)) / np.sqrt(np.pi), INTEGRAL)
    assert close(length_spread(10_000), np.sqrt(2 / np.pi), LIMIT)
    assert close(length_energy(1.0, 5), 0)


def normal_spectrum(n=400):
    x = ndtri((np.arange(n) + 0.5) / n)
    return energy_spectrum(np.abs(x[:, None] - x))


def test_spectrum_by_hand(rng):
    """Two points of weights p, 1 - p, one apart: one eigenvalue, 2 p (1 - p); the trace in general."""
    spectrum = energy_spectrum([[0.0, 1.0], [1.0, 0.0]], [0.3, 0.7])
    assert close(spectrum, [0.42, 0])
    assert close(effective_dimension(spectrum), 1)
    x, w = rng.standard_normal((20, 3)), rng.dirichlet(np.ones(20))
    assert close(energy_spectrum(cdist(x, x), w).sum(), w @ cdist(x, x) @ w)
    assert not close(energy_spectrum(cdist(x, x)).sum(), w @ cdist(x, x) @ w)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_effective_dimension_of_a_normal(d, rng):
    """At most 2d, up to sampling, and near it; control: d."""
    x = rng.standard_normal((800, d)) if d > 1 else ndtri((np.arange(800) + 0.5) / 800)[:, None]
    D = effective_dimension(energy_spectrum(cdist(x, x)))
    assert 1.7 * d < D < 2 * d


def test_false_belief_of_known_laws():
    """Two equal eigenvalues: chi^2_2/2 is exponential, P = e^{-1/(1-b)}; the bound; more dimensions, fewer errors."""
    b = np.array([0.0, 0.3, 0.5, 0.8])
    assert close([false_belief([0.2, 0.2], x) for x in b], np.exp(-1 / (1 - b)), VIOLATION)
    assert close(false_belief([1.0], 0.5), 0.1572992, VIOLATION)  # P(chi^2_1 > 2)
    l = normal_spectrum()  # noqa: E741
    seen = [false_belief(l, x) for x in b]
    assert at_most(seen, [false_belief_bound(effective_dimension(l), x) for x in b])
    assert close(false_belief_bound(4, 0.5), 1 / 3)
    assert close(false_belief_bound(2, 0.75), 0.1)
    assert false_belief(np.ones(64), 0.5) < 1e-4 < 0.09 < seen[2]


# --- the target ---


@given(drifts, errors, st.floats(0, 1))
def test_best_share_is_best(delta, sigma, s):
    best = best_share(delta, sigma)
    least = target_risk(best, delta, sigma)
    assert close(least, delta * sigma / (delta + sigma))
    assert at_most(least, target_risk(s, delta, sigma), delta + sigma)
    assert at_most(least, min(delta, sigma), delta + sigma)
    assert close(target_risk([0, 1], delta, sigma), [delta, sigma])


def test_fixed_points():
    """The truth at every m; a drift is not one, and more so the more is trusted."""
    assert best_share(0.0, 0.1) == 0.0
    shares = best_share(0.01, 1.0 / np.array([1, 10, 1000, 10**6]))
    assert (np.diff(shares) > 0).all()
    assert close(shares[-1], 1, LIMIT)


@pytest.mark.parametrize(("dim", "drift"), [(1, 3.0), (2, 0.0), (4, 4.0), (20, 9.0)])
def test_shrunk_risk_by_simulation(dim, drift, rng):
    """The positive-part estimator itself; control: the risk without the truth's place."""

    def draw(rng, size):
        theta = np.sqrt(drift) * np.eye(dim)[0]
        X = theta + rng.standard_normal((size, dim))
        kept = np.maximum(0, 1 - dim / np.square(X).sum(axis=1))[:, None] * X
        return np.square(kept - theta).sum(axis=1)

    assert_exact(draw, shrunk_risk(drift, dim), rng, 100_000, shrunk_risk(drift + 2, dim))


@given(st.floats(0, 1e4), st.integers(1, 60))
def test_shrunk_risk_is_bounded(drift, dim):
    """By the bound, by 4 lambda in all; from four dimensions on by sigma. It is above the best of all shares."""
    risk = shrunk_risk(drift, dim)
    assert risk <= float(shrunk_risk_bound(drift, dim, 1.0)) * (1 + FLOAT64)
    assert risk <= max(4, dim) * (1 + FLOAT64)
    if drift > dim:
        assert risk >= float(target_risk(best_share(drift, dim), drift, dim)) * (1 - FLOAT64)


def test_control_below_four_dimensions():
    """Shrinking loses against the trusted sample itself."""
    assert shrunk_risk(4.0, 1) > 1.4
    assert shrunk_risk(9.0, 2) > 2.3


# --- the herd ---


def test_gaps():
    """No miss: V/N, as of N draws; no spread: the miss; the whole pool but one; all of two."""
    assert close(herding_gap(0.0, 2.0, 8), 0.25)
    assert close(herding_gap(0.3, 0.0, 8), 0.3)
    assert close(herding_gap_once(2.0, 1, 50), 2.0)
    assert close(herding_gap_once(2.0, 3, 10**9), 2 / 3, INTEGRAL)
    assert close(herding_gap_once(2.0, 2, 2), 0.5)
    assert close(no_runaway(0.04, 0.01, 0.09, 4.0, 100), (0.2 + 0.1 + 0.3 + 0.1 + 0.2) ** 2)


# --- the loop ---


@pytest.mark.parametrize("lam", [0.3, 0.9, 1.3])
def test_loop_between_random_choice_and_the_truth(lam):
    """m = 0 is random choice, m = inf the truth; in between the kept variance is between, and nearer with m."""
    random = biased_accumulation(lam, 30)
    assert close(shrunk_accumulation(lam, 30, 0)[0], random)
    v, s, _ = shrunk_accumulation(lam, 30, np.inf)
    assert close(v, 1)
    assert close(s[1:], 1)
    off = [np.abs(shrunk_accumulation(lam, 30, m)[0] - 1) for m in (0, 10, 100, 1000)]
    assert all((less[1:] < more[1:]).all() for more, less in pairwise(off))


@pytest.mark.parametrize("dim", [None, 4])
def test_loop_risk(dim):
    """At the latents' own s* no further than either rule; the larger share of two views may be, but not than 2/m."""
    for lam in (0.5, 1.5):
        v, s, risk = shrunk_accumulation(lam, 10, 40, dim)
        latents = shrunk_accumulation(lam, 10, 40)[1]
        drift = scale_energy(np.append(1.0, lam * v[:-1])) / (2 / np.sqrt(np.pi))
        assert (s[1:] > latents[1:]).all() == (dim is not None)
        assert close(risk[-1], target_risk(s[-1], drift, 1 / 40))
        assert risk[-1] <= 2 / 40
        if dim is None:
            assert at_most(risk, 1 / 40)


@pytest.mark.parametrize("lam", [0.2, 0.8, 1.0, 1.3, 3.0])
def test_loop_limit(lam):
    v, s = shrunk_limit(lam, 50)
    assert close(lam * ((1 - s) * lam * v + s), lam * v)
    assert close(shrunk_accumulation(lam, 600, 50)[0][-1], v, NEAR_LIMIT)
    if lam == 1.0:
        assert close(v, 1, POINT)
        return
    assert abs(v - 1) <= (lam - 1 if lam > 1 else 1 - lam) * (1 - s) / (1 - (1 - s) * lam) + FLOAT64
    assert not close(shrunk_limit(lam, 5)[0], v, NEAR_LIMIT)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: mean_length(0), "dim"),
        (lambda: scale_energy(-1.0), "variances"),
        (lambda: scale_energy([1.0, 2.0], [0.5, 0.6]), "weights"),
        (lambda: length_energy(0.0, 2), "variances"),
        (lambda: length_spread(0), "dim"),
        (lambda: energy_spectrum([[0.0, 1.0]]), "distance"),
        (lambda: energy_spectrum([[0.0, 1.0], [1.0, 0.0]], [0.5, 0.6]), "weights"),
        (lambda: effective_dimension([0.0]), "spectrum"),
        (lambda: false_belief([1.0], 1.0), "share"),
        (lambda: false_belief_bound(0.0, 0.5), "dimension"),
        (lambda: target_risk(1.1, 1.0, 1.0), "share"),
        (lambda: best_share(1.0, 0.0), "error"),
        (lambda: shrunk_risk_bound(1.0, 1.0, 2.0), "top"),
        (lambda: shrunk_risk(-1.0, 3), "drift"),
        (lambda: herding_gap(0.1, 1.0, 0), "number"),
        (lambda: herding_gap_once(1.0, 5, 4), "number"),
        (lambda: no_runaway(-1.0, 1.0, 1.0, 1.0, 1), "trusted_error"),
        (lambda: shrunk_accumulation(0.0, 3, 10), "shrink"),
        (lambda: shrunk_accumulation(1.0, -1, 10), "generations"),
        (lambda: shrunk_accumulation(1.0, 3, -10), "trusted"),
        (lambda: shrunk_limit(0.5, 0), "trusted"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
