"""Selection to trusted moments: the projection and its inequality, rows that are kept, the loop of Gaussians."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tolerances import (
    FLOAT64,
    GRID,
    INTEGRAL,
    LINEAR_PROGRAM,
    NEAR_LIMIT,
    VIOLATION,
    close,
)
from theory.calibration import (
    calibrate,
    calibrated_accumulation,
    divergence,
    least_slack,
    tilted_mixture,
)
from theory.gaussian_loop import biased_accumulation

SEEDS = st.integers(0, 2**32 - 1)


def instance(seed, letters=8, features=3, slack=0.1):
    """A truth, a pool that holds it `fraction` times, features, and a box around the truth's moments."""
    rng = np.random.default_rng(seed)
    truth, drift = rng.dirichlet(np.ones(letters)), rng.dirichlet(np.ones(letters))
    fraction = rng.uniform(0.05, 0.9)
    phi = rng.standard_normal((letters, features))
    beta = slack * rng.random(features)
    target = truth @ phi + beta * rng.uniform(-1, 1, features)
    return truth, fraction * truth + (1 - fraction) * drift, phi, target, beta, fraction


@given(SEEDS, st.sampled_from([0.0, 0.01, 0.3]), st.integers(1, 4), st.integers(5, 12))
@settings(max_examples=200)
def test_never_further(seed, slack, features, letters):
    """The inequality at a truth in the set, and that what is kept is in the set."""
    truth, pool, phi, target, beta, fraction = instance(seed, letters, features, slack)
    kept = calibrate(pool, phi, target, beta, fraction)
    gap = divergence(truth, pool) - divergence(truth, kept) - divergence(kept, pool)
    assert gap >= -FLOAT64
    assert close(kept.sum(), 1)
    assert (kept <= pool / fraction * (1 + FLOAT64)).all()
    assert (np.abs(kept @ phi - target) <= beta + FLOAT64 * np.abs(phi).max()).all()


@given(SEEDS)
@settings(max_examples=100)
def test_clipped_exponential_tilt(seed):
    """log(q/p) is a + theta . phi where the cap does not bind, and at most that where it does."""
    _, pool, phi, target, _, fraction = instance(seed, 10, 2, 0.0)
    ratio = calibrate(pool, phi, target, 0.0, fraction) / pool
    free = ratio < (1 - VIOLATION) / fraction
    if free.sum() < 4:  # two moments and the mass fit three letters whatever they are
        return
    B = np.column_stack([np.ones(10), phi])
    tilt = np.linalg.lstsq(B[free], np.log(ratio[free]), rcond=None)[0]
    assert close(B[free] @ tilt, np.log(ratio[free]), INTEGRAL, condition=np.abs(tilt).max())
    wrong = np.column_stack([np.ones(10), phi**2])  # the control: a tilt by other features
    off = np.linalg.lstsq(wrong[free], np.log(ratio[free]), rcond=None)
    assert off[1].size == 0 or off[1][0] > 0


def test_control_outside_the_box_it_fails():
    """Two letters, a trusted moment that is off: further from the truth than the pool."""
    truth, pool = [0.5, 0.5], [0.4, 0.6]
    kept = calibrate(pool, [1.0, 0.0], 0.2, 0.0, 0.5)
    assert close(kept, [0.2, 0.8])
    assert divergence(truth, kept) > divergence(truth, pool) + VIOLATION


def test_control_the_other_direction_fails():
    """KL(kept || truth) may be larger than KL(pool || truth): three letters, one feature, the truth in the box."""
    rng = np.random.default_rng(1)
    worse = 0
    for _ in range(200):
        truth, pool, phi, _, _, fraction = instance(rng.integers(2**32), 3, 1, 0.0)
        kept = calibrate(pool, phi, truth @ phi, 0.0, fraction)
        worse += divergence(kept, truth) > divergence(pool, truth) + VIOLATION
    assert worse > 0


def test_what_no_feature_sees():
    """A pool of equal moments is kept as it is; and a moment outside the features may leave the truth."""
    x = np.linspace(-8, 8, 801)
    truth, drifted = np.exp(-(x**2) / 2), np.exp(-((x - 0.9) ** 2) / 0.38) + np.exp(-((x + 0.9) ** 2) / 0.38)
    truth, drifted = truth / truth.sum(), drifted / drifted.sum()
    phi = np.column_stack([x, x**2])
    pool = 0.5 * truth + 0.5 * drifted
    kept = calibrate(pool, phi, truth @ phi, INTEGRAL, 0.5)
    assert (kept == pool).all()
    assert divergence(truth, kept) > VIOLATION
    two_bits = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    truth, pool = np.full(4, 0.25), np.array([0.45, 0.15, 0.05, 0.35])
    kept = calibrate(pool, two_bits[:, 1], 0.5, FLOAT64, 0.25)
    assert close(pool @ two_bits[:, 1], 0.5)
    assert (kept == pool).all()
    pool = np.array([0.4, 0.05, 0.3, 0.25])
    kept = calibrate(pool, two_bits[:, 1], 0.5, 0.0, 0.1)
    first = [abs(law @ two_bits[:, 0] - 0.5) for law in (pool, kept)]
    assert first[1] > first[0] + VIOLATION
    assert divergence(truth, kept) < divergence(truth, pool)


@given(SEEDS, st.integers(1, 3), st.sampled_from([0.0, 0.05]))
@settings(max_examples=60)
def test_real_rows_are_kept(seed, features, slack):
    """The pool's own real rows being the trusted sample, the geometric mean of their pi is at least the bound."""
    rng = np.random.default_rng(seed)
    n, m = 60, 15
    phi = np.concatenate([rng.standard_normal((m, features)), rng.normal(0.7, 0.6, (n - m, features))])
    fraction = rng.integers(5, m + 1) / n
    rows = np.full(n, 1 / n)
    kept = calibrate(rows, phi, phi[:m].mean(axis=0), slack, fraction)
    pi = fraction * kept * n
    floor = fraction * np.exp(divergence(kept, rows))
    assert np.exp(np.log(pi[:m]).mean()) >= floor * (1 - FLOAT64)
    assert pi[:m].mean() >= floor * (1 - FLOAT64)
    assert (pi <= 1 + FLOAT64).all()
    others = np.exp(np.log(np.maximum(pi[m : 2 * m], 1e-300)).mean())
    assert others < np.exp(np.log(pi[:m]).mean())  # the control: synthetic rows have no such floor


@given(SEEDS)
@settings(max_examples=60)
def test_least_slack_is_a_trimmed_mean(seed):
    """One feature: the highest moment in reach is the mean of the top fraction; beyond, E is empty."""
    rng = np.random.default_rng(seed)
    n, kept = 20, rng.integers(2, 20)
    rows, phi = np.full(n, 1 / n), np.sort(rng.standard_normal(n))
    top = phi[-kept:].mean()
    assert close(least_slack(rows, phi, top + 1.5, 1.0, kept / n), 1.5, LINEAR_PROGRAM)
    assert close(least_slack(rows, phi, top, 1.0, kept / n), 0.0, LINEAR_PROGRAM)
    with pytest.raises(ValueError, match=r"^target "):
        calibrate(rows, phi, top + 1.5, 1.499, kept / n)
    inner = 0.01 * (top - phi.mean())
    assert close(calibrate(rows, phi, top + 1.5, 1.5 + inner, kept / n) @ phi, top - inner)


def test_least_slack_without_any():
    assert least_slack([0.5, 0.5], [0.0, 1.0], 2.0, 0.0, 0.5) == np.inf
    assert close(least_slack([0.5, 0.5], [0.0, 1.0], 2.0, 0.5, 0.5), 2.0, LINEAR_PROGRAM)


@given(
    st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.floats(0.01, 100), st.integers(0, 2**32 - 1)
)
def test_tilted_mixture(variances, target, seed):
    """The target is met, weights and variances are those of e^{theta x^2}, and nothing changes at the pool's own."""
    v, w = np.array(variances), np.random.default_rng(seed).dirichlet(np.ones(len(variances))) + 0.01
    theta, weights, tilted = tilted_mixture(v, target, w)
    assert close(weights.sum(), 1)
    assert close(weights @ tilted, target)
    assert close(1 / tilted + 2 * theta, 1 / v, condition=np.max(1 / v))
    raw = w * np.sqrt(tilted / v)
    assert close(weights, raw / raw.sum())
    theta, weights, _ = tilted_mixture(v, float(w @ v / w.sum()), w)
    assert abs(theta) <= INTEGRAL / v.max()
    assert close(weights, w / w.sum(), INTEGRAL)


def capped(lam, blocks, x):
    """Pool, kept law on a grid, truth: one real block and `blocks` of variance lam; as many rows as one block kept."""
    laws = np.exp(-(x[:, None] ** 2) / (2 * np.array([1.0, lam])))
    laws /= laws.sum(axis=0)
    pool = laws @ [1 / (blocks + 1), blocks / (blocks + 1)]
    return pool, calibrate(pool, x**2, 1.0, 0.0, 1 / (blocks + 1)), laws[:, 0]


def test_tilted_mixture_is_calibration_without_cap():
    """On a grid, where the cap hardly binds; a contraction to 0.3 is the control, where it does."""
    x = np.linspace(-9, 9, 1001)
    for lam, agrees in ((0.9, True), (1.3, True), (0.3, False)):
        _, kept, _ = capped(lam, 5, x)
        _, weights, v = tilted_mixture(np.append(1.0, np.full(5, lam)), 1.0)
        law = (weights / np.sqrt(v) * np.exp(-(x[:, None] ** 2) / (2 * v))).sum(axis=1)
        assert (np.abs(law / law.sum() - kept).sum() <= GRID) == agrees


@pytest.mark.parametrize("lam", [0.3, 0.7, 1.5])
def test_kept_law_tends_to_the_truth(lam):
    """With the cap of one block, at every lam."""
    x = np.linspace(-12, 12, 1201)
    loss = []
    for blocks in (100, 10_000, 1_000_000):
        pool, kept, truth = capped(lam, blocks, x)
        loss.append(divergence(truth, kept))
        assert loss[-1] <= divergence(truth, pool) - divergence(kept, pool) + FLOAT64
    assert loss[1] < 0.25 * loss[0]
    assert loss[2] < 0.25 * loss[1]


@pytest.mark.parametrize("lam", [0.1, 0.4, 0.6, 1.5])
def test_bulk_without_cap(lam):
    """The bulk tends to N(0, 1) for lam >= 1/2, to N(0, lam/(1-lam)) below: there the truth is the control."""
    _, weights, v = tilted_mixture([1.0, lam], 1.0, [1e-12, 1.0])
    assert weights[1] > 1 - NEAR_LIMIT
    assert close(v[1], lam / (1 - lam) if lam < 0.5 else 1.0, NEAR_LIMIT)
    assert close(v[1], 1.0, NEAR_LIMIT) == (lam > 0.5)


def test_calibrated_accumulation():
    v, P = calibrated_accumulation([0.5, 0.9, 1.2], 400, 0.1)
    assert v.shape == P.shape == (3, 401)
    assert close(v[:, -1], [0.9, 0.9, 1.1])
    assert close(P[0, 1:3], [0.75, (1 + 0.5 * 1 + 0.5 * 0.9) / 3])
    free, pool = calibrated_accumulation([0.5, 1.2], 50, np.inf)
    assert close(free, pool)
    assert close(free, biased_accumulation([0.5, 1.2], 50))
    assert not close(free[:, -1], v[[0, 2], 50], 0.1)  # the control: random choice drifts
    assert close(calibrated_accumulation(0.7, 30)[0], 1)
    assert close(calibrated_accumulation(0.7, 30)[1][1:], 0.7 + 0.3 / np.arange(2, 32))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: divergence([0.5, 0.6], [0.5, 0.5]), "law"),
        (lambda: divergence([0.5, 0.5], [0.2, 0.3, 0.5]), "other"),
        (lambda: calibrate([0.0, 1.0], [0.0, 1.0], 0.5, 0.1, 0.5), "pool"),
        (lambda: calibrate([0.5, 0.5], [0.0, 1.0, 2.0], 0.5, 0.1, 0.5), "features"),
        (lambda: calibrate([0.5, 0.5], [0.0, 1.0], [0.5, 0.5], 0.1, 0.5), "target"),
        (lambda: calibrate([0.5, 0.5], [0.0, 1.0], 0.5, -0.1, 0.5), "slack"),
        (lambda: calibrate([0.5, 0.5], [0.0, 1.0], 0.5, [0.1, 0.1], 0.5), "slack"),
        (lambda: calibrate([0.5, 0.5], [0.0, 1.0], 0.5, 0.1, 1.5), "fraction"),
        (lambda: calibrate([0.5, 0.5], [0.0, 1.0], 0.7, 0.1, 1.0), "target"),
        (lambda: calibrate([0.5, 0.5], [0.0, 1.0], 1.0, 0.0, 0.6), "target"),
        (lambda: tilted_mixture([1.0, 0.0], 1.0), "variances"),
        (lambda: tilted_mixture([1.0, 2.0], 1.0, [1.0]), "weights"),
        (lambda: tilted_mixture([1.0, 2.0], 0.0), "target"),
        (lambda: calibrated_accumulation(-1.0, 3), "shrink"),
        (lambda: calibrated_accumulation(1.0, 3, -0.1), "slack"),
        (lambda: calibrated_accumulation(1.0, -1), "generations"),
    ],
)
def test_refused(call, name):
    with pytest.raises(ValueError, match=f"^{name} "):
        call()
