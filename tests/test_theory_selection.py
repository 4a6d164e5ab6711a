"""What selection does: kept moments by simulation and in closed form, the runaway, its growth, minorities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tolerances import (
    BIAS_POOL,
    BIAS_QUANTILE,
    CONTROL,
    EXPONENT_SHARP,
    FLOAT64,
    INTEGRAL,
    NEAR_LIMIT,
    STANDARD_ERRORS,
    as_printed,
    assert_asymptotic,
    close,
)
from theory.gaussian_loop import biased_accumulation
from theory.selection import (
    _geometric,
    boundary_fraction,
    kept_minority_share,
    kept_moments,
    kept_recursion,
    neutral_fraction,
    runaway,
    runaway_growth,
    top_beats_random,
)
from theory.subspaces import class_covariance, frames


def draw_kept(angle, noise, rank, fraction, which):
    """Kept second moments of samples of class 1 along the whitened eigenvectors (own first, other last)."""
    dim = 2 * rank + 1
    S_0, S_1 = (class_covariance(U, noise) for U in frames(np.full(rank, angle), dim))
    half = np.linalg.cholesky(S_1)
    K = half.T @ (np.linalg.inv(S_0) - np.linalg.inv(S_1)) @ half
    vectors = np.linalg.eigh(K)[1]
    own, other = vectors[:, -rank:], vectors[:, :rank]

    def draw(rng, size):
        w = rng.standard_normal((size * 2000, dim))
        Z = np.einsum("ni,ij,nj->n", w, K, w) / 2
        kept = w[np.quantile(Z, 1 - fraction) <= Z]
        return np.mean((kept @ (own if which == "own" else other)) ** 2)

    return draw


@pytest.mark.parametrize(
    ("angle", "noise", "rank", "fraction"), [(np.pi / 2, 0.3, 2, 0.3), (0.6, 0.5, 3, 0.7), (1.0, 1.0, 1, 0.1)]
)
def test_kept_moments_against_simulation(angle, noise, rank, fraction, rng):
    # the sample's own quantile biases a batch of 2000: by far less than 1%
    _, own, other = kept_moments(angle, noise, rank, fraction)
    draw = draw_kept(angle, noise, rank, fraction, "own")
    assert_asymptotic(
        draw, own, BIAS_QUANTILE, rng, 400, control=kept_moments(angle, noise, rank, fraction**2)[1]
    )
    draw = draw_kept(angle, noise, rank, fraction, "other")
    assert_asymptotic(draw, other, BIAS_QUANTILE, rng, 400, control=2 - other)


@given(st.floats(0.05, np.pi / 2), st.floats(0.02, 3), st.floats(1e-6, 0.5))
def test_kept_moments_in_closed_form(angle, noise, q):
    """r = 2, q < 1/(1+c): exact at every angle and noise."""
    rho = np.sin(angle) ** 2 / (noise**2 * (1 + noise**2))
    root = np.sqrt(rho**2 + 4 * rho)
    c = (root - rho) ** 2 / (4 * rho)
    _, own, other = kept_moments(angle, noise, 2, q)
    assert close(own, 1 + np.log(1 / q) - np.log(1 + c) + c / (1 + c), INTEGRAL)
    assert close(other, 1 / (1 + c), INTEGRAL)


def test_kept_moments_low_noise_at_right_angles():
    s, q = 0.01, 0.25
    _, own, other = kept_moments(np.pi / 2, s, 2, q)
    assert abs(own - (1 + np.log(1 / q))) <= 2 * s**2
    assert close(other, (1 + s**2) / (1 + 2 * s**2), INTEGRAL)


@given(st.floats(0.2, np.pi / 2), st.floats(0.05, 2), st.integers(1, 6), st.floats(0.01, 0.99))
@settings(max_examples=40)
def test_selection_stretches_own_and_shrinks_other(angle, noise, rank, fraction):
    _, own, other = kept_moments(angle, noise, rank, fraction)
    assert own >= 1 - FLOAT64
    assert other <= 1 + FLOAT64
    stricter = kept_moments(angle, noise, rank, fraction / 2)
    assert stricter[1] >= own - INTEGRAL


def test_keeping_all_changes_nothing():
    t, own, other = kept_moments(1.0, 0.3, 3, 1.0)
    assert (t, own, other) == (-np.inf, 1.0, 1.0)
    t, own, other = kept_moments([[1.0], [0.5]], 0.3, 3, [0.2, 0.999, 1.0])
    assert t.shape == own.shape == other.shape == (2, 3)
    assert close(own[:, 1], 1, NEAR_LIMIT)
    assert (np.diff(t, axis=1) < 0).all()


def simulate_runaway(shrink, generations, rng, size=400_000):
    """Top-N of a growing pool of scores: exponential energies, the low-noise limit."""
    pool, real = rng.exponential(size=size), np.ones(size, bool)
    variance, shares = [1.0], [1.0]
    for _ in range(generations):
        pool = np.append(pool, shrink * variance[-1] * rng.exponential(size=size))
        real = np.append(real, np.zeros(size, bool))
        keep = np.argsort(pool)[-size:]
        variance.append(pool[keep].mean())
        shares.append(real[keep].sum() / size)
    return variance, shares


@pytest.mark.parametrize("shrink", [1.0, 0.6])
def test_runaway_against_simulation(shrink, rng):
    variances, shares = runaway(shrink, 4)
    found = np.array([simulate_runaway(shrink, 4, rng, 4000) for _ in range(100)])
    mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / 10
    for k in range(1, 5):
        assert abs(mean[0, k] - variances[k]) <= STANDARD_ERRORS * error[0, k] + BIAS_POOL * variances[k]
        assert abs(mean[1, k] - shares[k]) <= STANDARD_ERRORS * error[1, k] + BIAS_POOL
        unselected = shrink**k  # what the generator alone would do: the control
        assert abs(mean[0, k] - unselected) > CONTROL * error[0, k] + BIAS_POOL * variances[k]


def test_runaway_first_step():
    variances, shares = runaway(1.0, 1)
    assert close(variances, [1, 1 + np.log(2)])
    assert close(shares, [1, 0.5])


@pytest.mark.parametrize("shrink", [0.3, 0.5, 1.0, 2.0])
def test_growth_is_the_limit_of_the_runaway(shrink):
    variances, _ = runaway(shrink, 300)
    assert abs(variances[-1] / variances[-2] / runaway_growth(shrink) - 1) <= INTEGRAL


def test_growth_known_values():
    assert as_printed(runaway_growth(1.0), "1.527")
    slow = runaway(0.3, 15)[0]
    assert slow[-1] < 2.1  # strong contraction: hardly visible in 15 generations, and yet growing
    assert 1.02 < runaway_growth(0.3) < 1.03


@pytest.mark.parametrize("e", [0.0029, 0.0031, 0.5])
@pytest.mark.parametrize("power", [0, 1])
def test_geometric_sums(e, power):
    """sum_i g^{-power i} e^{-x g^i} on both sides of the switch to Euler-Maclaurin."""
    x, i = 4.0, np.arange(20_000)
    direct = np.exp(-power * e * i - x * np.exp(np.minimum(e * i, 50))).sum()
    assert close(_geometric(x, e, power), direct, FLOAT64, condition=10)


def test_runaway_shapes():
    variances, shares = runaway([0.5, 1.0], 7)
    assert variances.shape == shares.shape == (2, 8)
    assert close(variances[1], runaway(1.0, 7)[0])
    assert runaway(1.0, 0)[0].shape == (1,)


def simulate_kept_fraction(shrink, fraction, generations, rng, size=4000):
    """Top `fraction` of the whole growing pool of energies of two Gaussian coordinates."""

    def energies(variance):
        return variance * np.square(rng.standard_normal((size, 2))).sum(axis=1) / 2

    pool, variance, shares = energies(1.0), [1.0], [1.0]
    for _ in range(generations):
        pool = np.append(pool, energies(shrink * variance[-1]))
        keep = np.argsort(pool)[-round(fraction * len(pool)) :]
        variance.append(pool[keep].mean())
        shares.append((keep < size).mean())
    return variance, shares


@pytest.mark.parametrize(("shrink", "fraction"), [(0.6, 0.3), (0.8, 0.5), (1.2, 0.5)])
def test_kept_recursion_against_simulation(shrink, fraction, rng):
    """Controls: random choice's variance; the pool's share of real data."""
    variances, shares = kept_recursion(shrink, fraction, 4)
    found = np.array([simulate_kept_fraction(shrink, fraction, 4, rng) for _ in range(100)])
    mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / 10
    random = biased_accumulation(shrink, 4)
    for k in range(1, 5):
        slack = BIAS_POOL * variances[k]
        assert abs(mean[0, k] - variances[k]) <= STANDARD_ERRORS * error[0, k] + slack
        assert abs(mean[1, k] - shares[k]) <= STANDARD_ERRORS * error[1, k] + BIAS_POOL
        assert abs(mean[0, k] - random[k]) > CONTROL * error[0, k] + slack
    told = np.abs(mean[1] - 1 / np.arange(1, 6)) > CONTROL * error[1] + BIAS_POOL
    assert told.any()


def test_kept_recursion_joins_runaway_and_random_choice():
    lam = np.array([0.4, 1.0, 1.5])
    v, share = kept_recursion(lam, 1.0, 9)
    assert close(v, biased_accumulation(lam, 9))
    assert close(share, 1 / np.arange(1, 11))
    v, share = kept_recursion(lam, 1 / 2, 1)  # the runaway keeps one block of two
    assert close(v, runaway(lam, 1)[0])
    assert close(share, runaway(lam, 1)[1])
    assert not close(kept_recursion(lam, 1 / 2, 2)[0], runaway(lam, 2)[0], NEAR_LIMIT)
    v, _ = kept_recursion(lam[:, None], [0.1, 0.5], 3)
    assert v.shape == (3, 2, 4)
    assert close(v[1, 1], kept_recursion(1.0, 0.5, 3)[0])
    v, share = kept_recursion(1.0, 1e-200, 2)  # no underflow
    assert close(v[1], 1 + 200 * np.log(10))
    assert np.isfinite(share).all()


def kl(v):
    return (1 / v - 1 + np.log(v)) / 2


@given(st.floats(0.2, 1.5), st.floats(0.01, 0.99), st.booleans())
@settings(max_examples=40)
def test_top_beats_random_is_two_divergences(shrink, fraction, made):
    scale = shrink if made else 1.0
    v, w = kept_recursion(shrink, fraction, 6)[0], biased_accumulation(shrink, 6)
    clear = np.abs(kl(scale * v) - kl(scale * w)) > INTEGRAL
    found = top_beats_random(shrink, fraction, 6, made)
    assert found.dtype == bool
    assert (found == (kl(scale * v) < kl(scale * w)))[clear].all()
    assert shrink <= 1 or not found.any()


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("generation", [1, 2, 6])
def test_boundary_fraction(made, generation):
    """Equal divergences there, top-N nearer above and further below; none without contraction."""
    lam = np.array([0.3, 0.6, 0.9, 0.99])
    q = np.asarray(boundary_fraction(lam, generation, made))
    scale = lam if made else np.ones(4)
    v, w = kept_recursion(lam, q, generation)[0][:, -1], biased_accumulation(lam, generation)[:, -1]
    assert close(kl(scale * v), kl(scale * w), INTEGRAL)
    assert (scale * v > 1).all()
    above, below = (top_beats_random(lam, part, generation, made)[:, -1] for part in ((q + 1) / 2, q / 1.1))
    assert above.all()
    assert not below.any()
    assert np.isnan(boundary_fraction([1.0, 1.3], generation, made)).all()
    assert close(boundary_fraction(0.6, generation, made), q[1])


def test_boundary_known_values():
    assert as_printed(boundary_fraction(0.8, 5), "0.675")
    assert as_printed(boundary_fraction(0.8, 5, made=True), "0.464")


@pytest.mark.parametrize("shrink", [0.6, 0.8])
def test_neutral_fraction(shrink):
    """Late generations: variance still at the neutral part, a power of k up or down on either side."""
    q = neutral_fraction(shrink)
    assert close(shrink * (1 + np.log(1 / q)), 1)
    v = kept_recursion(shrink, [0.8 * q, q, 1.2 * q], 400)[0]
    slope = np.log(v[:, 400] / v[:, 200]) / np.log(2)
    assert abs(slope[1]) < EXPONENT_SHARP
    assert slope[0] > EXPONENT_SHARP
    assert slope[2] < -EXPONENT_SHARP
    assert np.isnan(neutral_fraction(1.1))


def test_minority_share():
    assert as_printed(100 * kept_minority_share(0.5), "0.18")
    share = kept_minority_share(np.linspace(0.05, 1, 20))
    assert (np.diff(share) > 0).all()
    assert close(share[-1], 0.1)
    assert close(kept_minority_share(0.3, 0.2, 1.0, 1.0), 0.2)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: kept_moments(0.0, 0.1, 2, 0.5), "angle"),
        (lambda: kept_moments(2.0, 0.1, 2, 0.5), "angle"),
        (lambda: kept_moments(1.0, 0.0, 2, 0.5), "noise"),
        (lambda: kept_moments(1.0, 0.1, 0, 0.5), "rank"),
        (lambda: kept_moments(1.0, 0.1, 2, 1.5), "fraction"),
        (lambda: kept_moments(1.0, 0.1, 2, 0.0), "fraction"),
        (lambda: runaway(0.0, 5), "shrink"),
        (lambda: runaway(1.0, -1), "generations"),
        (lambda: runaway_growth(0.001), "shrink"),
        (lambda: kept_recursion(1.0, 0.0, 5), "fraction"),
        (lambda: kept_recursion(1.0, 1.1, 5), "fraction"),
        (lambda: kept_recursion(0.0, 0.5, 5), "shrink"),
        (lambda: kept_recursion(1.0, 0.5, -1), "generations"),
        (lambda: top_beats_random(0.5, 2.0, 5), "fraction"),
        (lambda: boundary_fraction(0.5, 0), "generation"),
        (lambda: boundary_fraction(0.0, 1), "shrink"),
        (lambda: neutral_fraction(0.0), "shrink"),
        (lambda: kept_minority_share(1.2), "fraction"),
        (lambda: kept_minority_share(0.5, weight=-0.1), "weight"),
        (lambda: kept_minority_share(0.5, minority_mean=np.nan), "minority_mean"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
