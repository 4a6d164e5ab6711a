"""The law-exact refit loop: the law of a loop that draws its points, the exact values of theory, and refusals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from benchmarks.law_exact import drawn
from lsf.pool import Pool
from sims.exact import Block, Refit, Trajectory, bartlett, covariance, exact, lower_product, pooled, variances
from sims.gaussian import ClassGaussians
from tests.tolerances import BATCHES, CONTROL, FLOAT64, Estimate, agrees, assert_exact, close
from theory.gaussian_loop import (
    accumulated_spread,
    accumulated_variance,
    biased_accumulation,
    expected_log_det,
    expected_variance,
    fresh_data_drift,
)

DIM, N, K = 3, 12, 5
PLAIN, GROWING = Refit(DIM, N), Refit(DIM, N, "accumulate")


class OneFreedomMore(Refit):
    """The likely mistake: n degrees of freedom although the mean is estimated."""

    def freedom(self, count: int) -> int:
        return super().freedom(count) + 1


class OneFreedomLess(Refit):
    """Its opposite: n - 1 although the mean is known."""

    def freedom(self, count: int) -> int:
        return super().freedom(count) - 1


@dataclass(frozen=True)
class Family(ClassGaussians):
    """The generator of the loops, with the mean and the divisor of a `Refit`."""

    loop: Refit = PLAIN

    def mean(self, x: np.ndarray) -> np.ndarray:
        return np.zeros(x.shape[1]) if self.loop.known_mean else super().mean(x)

    def covariance(self, x: np.ndarray) -> np.ndarray:
        x = x - self.mean(x)
        return x.T @ x / self.loop.divisor(len(x))


def sampled(loop: Refit, rng: np.random.Generator, generations: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the last fit of one loop that draws its points and keeps them all."""
    family = Family(loop.shrink, loop)
    x = rng.standard_normal((loop.n, loop.dim))
    for _ in range(generations - 1):
        sampler = family.fit(Pool(x, np.zeros(len(x), int)), rng)
        made = sampler.sample(np.zeros(loop.n - loop.real, int), rng)
        parts = [x] if loop.policy == "accumulate" else []
        x = np.concatenate([*parts, made, rng.standard_normal((loop.real, loop.dim))])
    return family.mean(x), family.covariance(x)


def lean(loop: Refit, rng: np.random.Generator, generations: int) -> tuple[np.ndarray, np.ndarray]:
    """The same by the rival of the benchmark."""
    mean, L = drawn(loop, rng, generations)
    return mean, L @ L.T


def run(loop: Refit, rng: np.random.Generator, size: int, generations: int = K) -> Trajectory:
    return exact(loop, rng.integers(0, 2**62, size).tolist(), generations)


def numbers(means: np.ndarray, S: np.ndarray) -> np.ndarray:
    """(loops, 5): log det, the first and last variance, a covariance, the mean's square."""
    log_det, square = np.linalg.slogdet(S)[1], np.square(means).sum(axis=1)
    return np.stack([log_det, S[:, 0, 0], S[:, -1, -1], S[:, 1, 0], square], axis=1)


def moments(values: np.ndarray) -> list[Estimate]:
    """Mean and variance of each column of (loops, columns), with errors from independent batches."""
    batches = values.reshape(BATCHES, -1, values.shape[1])
    found = np.concatenate([batches.mean(axis=1), batches.var(axis=1, ddof=1)], axis=1)
    return [Estimate(v.mean(), v.std(ddof=1) / np.sqrt(BATCHES)) for v in found.T]


def of_exact(loop: Refit, rng: np.random.Generator, loops: int) -> list[Estimate]:
    t = run(loop, rng, loops)
    return moments(numbers(t.means[:, -1], covariance(t.factor)))


def of_points(engine, loop: Refit, rng: np.random.Generator, loops: int) -> list[Estimate]:
    return moments(numbers(*map(np.stack, zip(*(engine(loop, rng, K) for _ in range(loops)), strict=True))))


def differences(some: list[Estimate], others: list[Estimate]) -> list[Estimate]:
    return [
        Estimate(a.mean - b.mean, float(np.hypot(a.error, b.error)))
        for a, b in zip(some, others, strict=True)
    ]


LAWS = {
    "replace": (sampled, PLAIN, OneFreedomMore(DIM, N)),
    "accumulate": (sampled, GROWING, OneFreedomMore(DIM, N, "accumulate")),
    "replace, known mean": (
        sampled,
        replace(PLAIN, known_mean=True),
        OneFreedomLess(DIM, N, known_mean=True),
    ),
    "accumulate, known mean": (
        sampled,
        replace(GROWING, known_mean=True),
        OneFreedomLess(DIM, N, "accumulate", known_mean=True),
    ),
    "replace, unbiased": (sampled, replace(PLAIN, unbiased=True), PLAIN),
    "accumulate, unbiased": (
        sampled,
        replace(GROWING, unbiased=True),
        OneFreedomMore(DIM, N, "accumulate", unbiased=True),
    ),
    "replace, fresh data": (
        sampled,
        replace(PLAIN, fresh=0.25),
        PLAIN,
    ),  # 3 real points: their scatter is singular
    "accumulate, shrunk, fresh data": (
        sampled,
        replace(GROWING, shrink=0.6, fresh=0.5),
        replace(GROWING, shrink=0.6),
    ),
    "replace, shrunk": (sampled, replace(PLAIN, shrink=0.6), PLAIN),
    "the benchmark's replace": (lean, PLAIN, OneFreedomMore(DIM, N)),
    "the benchmark's accumulate": (lean, GROWING, OneFreedomMore(DIM, N, "accumulate")),
}


@pytest.mark.parametrize("law", LAWS)
def test_the_law_of_a_loop_that_draws_its_points(law: str, rng: np.random.Generator) -> None:
    """Means and variances of five numbers of the last fit; rejected as soon as the law is another."""
    engine, loop, other = LAWS[law]
    points = of_points(engine, loop, rng, 10 * BATCHES)
    gaps = differences(of_exact(loop, rng, 40 * BATCHES), points)
    if not all(agrees(gap, 0.0) for gap in gaps):
        gaps = differences(of_exact(loop, rng, 160 * BATCHES), of_points(engine, loop, rng, 40 * BATCHES))
    assert all(agrees(gap, 0.0) for gap in gaps), gaps
    wrong = differences(of_exact(other, rng, 40 * BATCHES), points)
    assert any(abs(gap.mean) >= CONTROL * gap.error > 0 for gap in wrong), wrong


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize(("dim", "n", "samples"), [(3, 12, 5_000), (64, 100, 1_000)])
def test_log_det(dim: int, n: int, samples: int, unbiased: bool, rng: np.random.Generator) -> None:
    value, control = (expected_log_det(dim, n, 4, u) for u in (unbiased, not unbiased))
    loop = Refit(dim, n, unbiased=unbiased)
    assert_exact(lambda g, k: run(loop, g, k, 4).log_dets[:, -1], value, rng, samples, control)


def test_variance_that_is_lost_turns_into_drift(rng: np.random.Generator) -> None:
    """E Sigma_K = (1 - 1/n)^K, and E m_K^2 is the rest of 1; a mean that forgets the loss has K/n."""
    left = expected_variance(N, 10)[-1]

    def spread(g: np.random.Generator, k: int) -> np.ndarray:
        return variances(run(PLAIN, g, k, 10).factor).mean(axis=1)

    assert_exact(spread, left, rng, 3_000, control=1.0)
    assert_exact(
        lambda g, k: np.square(run(PLAIN, g, k, 10).means[:, -1]).mean(axis=1), 1 - left, rng, 3_000, 10 / N
    )


def test_accumulation(rng: np.random.Generator) -> None:
    value, control = accumulated_variance(4, 5), expected_variance(4, 5)[-1]
    one, known = Refit(1, 4, "accumulate"), Refit(1, 6, "accumulate", known_mean=True)
    assert_exact(lambda g, k: variances(run(one, g, k).factor), value, rng, 10_000, control)
    value = accumulated_spread(6, 5)
    assert_exact(
        lambda g, k: (variances(run(known, g, k).factor) - 1) ** 2, value, rng, 12_000, control=2 / 6
    )


def test_biased_accumulation(rng: np.random.Generator) -> None:
    """Fit K sees K blocks, the first real and not shrunk: P_{K-1}; P_K if that one is shrunk too."""
    P = biased_accumulation(0.5, K)
    loop = Refit(DIM, N, "accumulate", known_mean=True, shrink=0.5)

    def spread(g: np.random.Generator, k: int) -> np.ndarray:
        return variances(run(loop, g, k).factor).mean(axis=1)

    assert_exact(spread, P[K - 1], rng, 4_000, control=P[K])


def test_fresh_data_bound_the_drift(rng: np.random.Generator) -> None:
    value, control = fresh_data_drift(10, 0.3), 0.1 / (1 - 0.7**2)  # forgets that the variance has shrunk
    loop = Refit(8, 10, fresh=0.3)
    assert_exact(
        lambda g, k: np.square(run(loop, g, k, 20).means[:, -1]).mean(axis=1), value, rng, 10_000, control
    )


@pytest.mark.parametrize("loop", [Refit(100, 200), Refit(100, 200, "accumulate", fresh=0.25), GROWING])
def test_a_seed_has_its_own_trajectory(loop: Refit) -> None:
    """To the last bit: whichever seeds share its batch, and however long the loop (100 dimensions: 6 a group)."""
    many, alone = exact(loop, range(8), 4, covariance), exact(loop, [7], 2, covariance)
    for name in ("means", "log_dets", "kept"):
        assert np.array_equal(getattr(many, name)[7:, :3], getattr(alone, name))
        assert not np.isclose(getattr(many, name)[6, 1:3], getattr(alone, name)[0, 1:]).all()  # control


def test_policies_of_a_seed_are_paired() -> None:
    a, b = exact(PLAIN, [3, 1], 2), exact(GROWING, [3, 1], 2)
    assert np.array_equal(a.log_dets[:, :2], b.log_dets[:, :2])
    assert (a.log_dets[:, 2] != b.log_dets[:, 2]).all()


@pytest.mark.parametrize("loop", [PLAIN, GROWING, replace(PLAIN, fresh=0.5), Refit(1, 2), Refit(5, 6)])
def test_what_a_trajectory_holds(loop: Refit) -> None:
    t = exact(loop, (4, 2), 3, covariance)
    assert t.seeds == (4, 2)
    assert t.means.shape == (2, 4, loop.dim)
    assert np.array_equal(t.kept[:, 0], np.tile(np.eye(loop.dim), (2, 1, 1)))
    assert not t.means[:, 0].any()
    assert np.array_equal(np.triu(t.factor, 1), np.zeros_like(t.factor))
    assert close(t.factor @ t.factor.swapaxes(1, 2), t.kept[:, -1])
    assert close(np.linalg.slogdet(t.kept)[1], t.log_dets, FLOAT64, np.linalg.cond(t.kept).max())
    assert close(exact(loop, (4, 2), 3, variances).kept, np.diagonal(t.kept, axis1=2, axis2=3))
    assert exact(loop, (4, 2), 3).kept is None
    assert exact(loop, (4, 2), 0).log_dets.shape == (2, 1)


def test_the_size_of_a_generation_costs_nothing() -> None:
    """10^15 points a generation: more than any memory holds, and hardly any noise."""
    t = exact(Refit(4, 10**15, "accumulate"), range(3), 4)
    assert np.abs(t.log_dets[:, 1:]).min() > 0
    assert np.abs(t.log_dets).max() < 1e-5


@pytest.mark.parametrize("freedom", [0, 1, 2, 9])
def test_bartlett_factor_is_triangular_and_has_the_rank_of_its_points(
    freedom: int, rng: np.random.Generator
) -> None:
    T = bartlett([rng] * 5, 4, freedom)
    assert np.array_equal(np.triu(T, 1), np.zeros_like(T))
    assert (np.linalg.matrix_rank(T) == min(4, freedom)).all()


@pytest.mark.parametrize("freedom", [2, 9])
def test_bartlett_scatter(freedom: int, rng: np.random.Generator) -> None:
    """E tr T T' = d freedom, and each diagonal entry is chi^2 of variance 2 freedom."""

    def scatter(g: np.random.Generator, k: int) -> np.ndarray:
        return variances(bartlett([g] * k, 4, freedom))

    assert_exact(lambda g, k: scatter(g, k).sum(axis=1), 4 * freedom, rng, 10_000, control=4 * (freedom + 1))
    assert_exact(
        lambda g, k: (scatter(g, k) - freedom) ** 2, 2 * freedom, rng, 20_000, control=2 * (freedom + 1)
    )


@pytest.mark.parametrize("dim", [1, 2, 7])
def test_lower_product(dim: int, rng: np.random.Generator) -> None:
    L, T = np.tril(rng.standard_normal((2, 3, dim, dim)))
    assert close(lower_product(L, T), L @ T, FLOAT64, 10)
    full = rng.standard_normal((3, dim, dim)) + 1
    assert dim == 1 or not close(lower_product(full, full), full @ full)  # control: what is not triangular


def test_pooled_blocks_are_the_pool_of_their_points(rng: np.random.Generator) -> None:
    """Blocks of 9, 5 and 2 points in 3 dimensions (the last has a singular scatter), one after the other."""
    points = [rng.standard_normal((n, 3)) + shift for n, shift in ((9, 0.0), (5, 1.0), (2, -3.0))]
    blocks = [Block(len(x), x.mean(axis=0)[None], (x - x.mean(axis=0)).T[None]) for x in points]
    at_once, twice = pooled(blocks), pooled([pooled(blocks[:2]), blocks[2]])
    x = np.concatenate(points)
    for pool in (at_once, twice):
        assert pool.count == len(x)
        assert close(pool.mean[0], x.mean(axis=0))
        assert close(covariance(pool.root)[0], len(x) * np.cov(x.T, bias=True), FLOAT64, 10)
    within = sum(len(y) * np.cov(y.T, bias=True) for y in points)
    assert not close(covariance(at_once.root)[0], within, FLOAT64, 10)  # control: means that differ count


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (lambda: Refit(0, 5), ValueError, "dim"),
        (lambda: Refit(2.0, 5), TypeError, "dim"),
        (lambda: Refit(5, 5), ValueError, "n"),
        (lambda: Refit(5, 4, known_mean=True), ValueError, "n"),
        (lambda: Refit(5, "9"), TypeError, "n"),
        (lambda: Refit(3, 12, "ACU"), ValueError, "policy"),
        (lambda: Refit(3, 12, known_mean=True, unbiased=True), ValueError, "unbiased"),
        (lambda: Refit(3, 12, shrink=0.0), ValueError, "shrink"),
        (lambda: Refit(3, 12, shrink=float("nan")), ValueError, "shrink"),
        (lambda: Refit(3, 12, fresh=0.3), ValueError, "fresh"),
        (lambda: Refit(3, 12, fresh=1.25), ValueError, "fresh"),
        (lambda: Refit(3, 12, fresh=float("nan")), ValueError, "fresh"),
        (lambda: exact(PLAIN, [], 2), ValueError, "seeds"),
        (lambda: exact(PLAIN, [1, 1], 2), ValueError, "seeds"),
        (lambda: exact(PLAIN, [-1], 2), ValueError, "seeds"),
        (lambda: exact(PLAIN, [0.5], 2), TypeError, "seeds"),
        (lambda: exact(PLAIN, [0], -1), ValueError, "generations"),
        (lambda: exact(Refit(1, 2), [0], 2000), FloatingPointError, "a variance vanished"),
        (lambda: exact(Refit(1, 50, shrink=1e300), [0], 5), FloatingPointError, "a variance overflowed"),
        (lambda: exact(Refit(3, 50, shrink=1e300), [0], 5), FloatingPointError, "a variance overflowed"),
    ],
)
def test_refused(call, error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=f"^{name} "):
        call()


def test_control_the_least_n_is_accepted() -> None:
    assert exact(Refit(5, 6), [0], 2).log_dets[0, 2] < 0
    assert exact(Refit(5, 5, known_mean=True, fresh=1.0), [0], 2).log_dets[0, 2] < 0
