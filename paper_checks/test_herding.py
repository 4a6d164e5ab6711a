"""Shrunk herding: its target's risk, the herd's gap, its loop beside simulated ones, and what its two views see."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import ndtr, ndtri

from lsf.herding import herd
from lsf.shrunk_herding import ShrunkHerdFilter, believed, target_distances
from paper_checks.agreement import against, all_hold, batched
from paper_checks.hunt import Domain, Interval, Whole, hunt
from paper_checks.statistics import FAILS, HOLDS
from tests.tolerances import CONTROL, FLOAT64, NEAR_LIMIT, SHRUNK_VARIANCE, STANDARD_ERRORS
from theory.energy import (
    energy_spectrum,
    false_belief,
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
    shrunk_risk,
    shrunk_risk_bound,
    target_risk,
)

DELTA = 2 / np.sqrt(np.pi)  # E|x - x'| of N(0, 1)


def to_normal(x: np.ndarray) -> np.ndarray:
    """E|x - y|, y ~ N(0, 1), of each x."""
    return x * (2 * ndtr(x) - 1) + np.sqrt(2 / np.pi) * np.exp(-x * x / 2)


def energy(points: np.ndarray, weights: np.ndarray, others: np.ndarray, other: np.ndarray) -> float:
    """E of two weighted samples: points (n, d), weights (n,)."""
    across, within = weights @ cdist(points, others) @ other, weights @ cdist(points, points) @ weights
    return float(2 * across - within - other @ cdist(others, others) @ other)


def even(x: np.ndarray) -> np.ndarray:
    return np.full(len(x), 1 / len(x))


def from_normal(x: np.ndarray, weights: np.ndarray) -> float:
    """E of a weighted sample, x (n, 1), and N(0, 1): exact."""
    return float(2 * weights @ to_normal(x[:, 0]) - weights @ cdist(x, x) @ weights - DELTA)


# --- the target ---


def test_target_risk(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Trusted samples of 10, a pool of 40 of N(.5, 1.5^2). Controls: delta and sigma mixed in shares s; no sigma."""
    P, m = 0.5 + 1.5 * rng.standard_normal(40), 10
    delta, sigma = from_normal(P[:, None], even(P)), DELTA / m
    s = float(best_share(delta, sigma))

    def seen(rng: np.random.Generator, size: int) -> tuple[np.ndarray, ...]:
        T = rng.standard_normal((size, m))
        within = np.abs(T[:, :, None] - T[:, None]).mean(axis=(1, 2))
        return T, np.abs(T[:, :, None] - P).mean(axis=(1, 2)), within

    within_pool, of_pool = np.abs(P[:, None] - P).mean(), to_normal(P).mean()

    def off_truth(rng: np.random.Generator, size: int) -> np.ndarray:
        T, across, within = seen(rng, size)
        to_truth = (1 - s) * of_pool + s * to_normal(T).mean(axis=1)
        return 2 * to_truth - (1 - s) ** 2 * within_pool - 2 * s * (1 - s) * across - s**2 * within - DELTA

    def off_trusted(rng: np.random.Generator, size: int) -> np.ndarray:
        _, across, within = seen(rng, size)
        return 2 * across - within_pool - within

    mixed = (1 - s) * delta + s * sigma
    risk, found = against(off_truth, float(target_risk(s, delta, sigma)), rng, 20_000, mixed)
    sight, _ = against(off_trusted, delta + sigma, rng, 20_000, delta)
    conclude("shrunk-target", all_hold([risk, sight]), found.mean, around=found)


def stein_risk(
    spectrum: np.ndarray, theta: np.ndarray, rng: np.random.Generator, size: int = 20_000
) -> tuple[float, float]:
    """Mean square error of (1 - sigma/|X|^2)_+ X, X ~ N(theta, diag(spectrum)), and its standard error."""
    X = theta + np.sqrt(spectrum) * rng.standard_normal((size, len(theta)))
    kept = np.maximum(0.0, 1 - spectrum.sum() / np.square(X).sum(axis=1))
    loss = np.square(kept[:, None] * X - theta).sum(axis=1)
    return float(loss.mean()), float(loss.std() / np.sqrt(size))


def test_estimated_share(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Equal eigenvalues: the worst violation a search finds (none: 0); others: 20 random spectra, within 5 standard
    errors. Controls: lambda a twentieth smaller; a bound without its price."""
    domain: Domain = {"drift": Interval(1e-3, 1e4, log=True), "dim": Whole(4, 60)}
    bound: Callable[..., Callable[..., float]] = lambda top: (  # noqa: E731
        lambda drift, dim: float(shrunk_risk_bound(drift, dim, top)) * (1 + FLOAT64)
    )
    found = hunt(bound(1.0), shrunk_risk, domain, rng, points=200)
    assert hunt(bound(0.95), shrunk_risk, domain, rng, points=200), "the control was not found"
    below, control = [], []
    for _ in range(20):
        l = np.sort(rng.exponential(size=12))[::-1]  # noqa: E741
        l[0] = min(l[0], l[1:].sum() / 3)  # sigma >= 4 lambda
        theta = (
            rng.standard_normal(12) * rng.choice([0.1, 1.0, 3.0]) * np.roll(np.eye(12)[0], rng.integers(12))
        )
        risk, error = stein_risk(l, theta, rng)
        delta, sigma = float(theta @ theta), float(l.sum())
        below.append(risk <= float(shrunk_risk_bound(delta, sigma, l.max())) + STANDARD_ERRORS * error)
        control.append(risk > delta * sigma / (delta + sigma) + CONTROL * error)
    assert any(control), "the control, no price, was accepted"
    holds = found is None and all(below)
    worst = found.violation if found else 0.0
    conclude("shrunk-target [estimated share]", HOLDS if holds else FAILS, worst)


def test_estimated_share_of_few_dimensions(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Risk over sigma beyond 1, the most a search finds in one to three dimensions; 4 lambda stands."""
    domain: Domain = {"drift": Interval(1e-2, 1e2, log=True), "dim": Whole(1, 3)}
    found = hunt(lambda drift, dim: float(dim), shrunk_risk, domain, rng, points=100)
    assert hunt(lambda drift, dim: 4.0, shrunk_risk, domain, rng, points=100) is None
    conclude(
        "shrunk-target [estimated share, any spectrum]",
        FAILS if found else HOLDS,
        found.violation if found else 0.0,
        FAILS,
    )


def adversary(T: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A pool (80, d) chosen in the knowledge of T: T's mirror image, part of it, far off, at a point, or too wide."""
    pick = T[rng.integers(0, len(T), 80)]
    return [-2 * pick, np.maximum(pick, 0), pick + 5, 0 * pick, 4 * rng.standard_normal(pick.shape)][
        rng.integers(5)
    ]


def test_any_pool(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """lsf's target: the largest E(Q_s, T)/sigma-hat of 300 pools, and the mean of E(Q_s, truth)/sigma in one dimension.

    Controls: the pool itself, in both.
    """
    ratio, control, off = [], [], []
    for i in range(300):
        m, d = int(rng.integers(3, 30)), 1 + i % 3
        T = rng.standard_normal((m, d))
        P = adversary(T, rng)
        s = target_distances(P, T)[1]
        points, weights = np.concatenate([P, T]), np.concatenate([(1 - s) * even(P), s * even(T)])
        sigma = cdist(T, T).sum() / (m * (m - 1) * m)
        ratio.append(energy(points, weights, T, even(T)) / sigma)
        control.append(energy(P, even(P), T, even(T)) / sigma)
        if d == 1:
            off.append([m / DELTA * from_normal(points, weights), m / DELTA * from_normal(P, even(P))])
    mean = np.mean(off, axis=0)
    assert max(control) > 1 + FLOAT64, "the control was accepted"
    assert mean[1] > 4, "the control was accepted"
    holds = max(ratio) <= 1 + FLOAT64 and mean[0] <= 4
    conclude("shrunk-target [any pool]", HOLDS if holds else FAILS, mean[0])


# --- the herd ---


def herds(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
    """Rows (n, 2), targets as weighted points (their own, or others), and how many to keep."""
    for i in range(300):
        n = int(rng.integers(2, 15))
        x = rng.standard_normal((n, 2))
        q = x if i % 2 else rng.standard_normal((6, 2)) + rng.normal(0, 1, 2)
        w = even(q) if i % 4 == 1 else rng.dirichlet(np.ones(len(q)))
        yield x, q, w, int(rng.integers(1, n + 1))


def least_bound(
    x: np.ndarray, q: np.ndarray, target: np.ndarray, N: int, rng: np.random.Generator
) -> list[float]:
    """The least bound of 60 laws w on the rows, the target itself among them where it is one; and with 0.9 V."""
    laws = [even(x), *rng.dirichlet(np.full(len(x), 0.5), 60)] + ([target] if q is x else [])
    seen = [(max(0.0, energy(x, w, q, target)), float(w @ cdist(x, x) @ w)) for w in laws]
    return [min(float(herding_gap(e, part * V, N)) for e, V in seen) for part in (1.0, 0.9)]


@pytest.mark.parametrize("once", [False, True])
def test_herding_gap(once: bool, conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The largest E(herd, Q) less its bound, of 300 herds by lsf. Control: 0.9 of the spread."""
    over, control = [], []
    for x, q, target, N in herds(rng):
        rows = x if once else np.repeat(x, N, axis=0)
        kept = rows[herd(rows, cdist(rows, q) @ target, N)]
        E = energy(kept, even(kept), q, target)
        bound, sharper = least_bound(x, q, target, N, rng)
        over.append(E - bound)
        control.append(E - sharper)
    assert max(control) > FLOAT64, "the control was accepted"
    verdict = HOLDS if max(over) <= FLOAT64 else FAILS
    name = "herding-gap [each row once, to any target]" if once else "herding-gap"
    conclude(name, verdict, max(over), FAILS if once else HOLDS)


def test_herding_gap_to_the_pool(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The largest ratio of E(herd, P) to its bound, every row once, 300 pools. Control: nine tenths of it."""
    ratio = []
    for x, _, _, N in herds(rng):
        if len(x) > N:  # all of them: 0
            kept = x[herd(x, cdist(x, x).mean(axis=1), N)]
            V = float(cdist(x, x).mean())
            ratio.append(energy(kept, even(kept), x, even(x)) / float(herding_gap_once(V, N, len(x))))
    assert max(ratio) > 0.9, "the control was accepted"
    conclude(
        "herding-gap [each row once, to the pool]", HOLDS if max(ratio) <= 1 + FLOAT64 else FAILS, max(ratio)
    )


# --- the loop ---

GENERATORS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "one point": lambda kept, rng: np.full_like(kept, 4.0),
    "wild": lambda kept, rng: 2 + 3 * rng.permutation(kept),
}


def run_away(name: str, rng: np.random.Generator, N: int = 60, m: int = 30) -> np.ndarray:
    """Rows: shrunk herding, random choice. Largest over 5 generations of E(kept, truth); and the bound, once."""
    R, T = rng.standard_normal((N, 1)), rng.standard_normal((m, 1))
    worst = []
    for rule in (
        lambda pool: pool[herd(pool, target_distances(pool, T)[0], N)],
        lambda pool: pool[rng.permutation(len(pool))[:N]],
    ):
        pool, kept, off = R, R, 0.0
        for _ in range(5):
            pool = np.concatenate([pool, GENERATORS[name](kept, rng)])
            kept = rule(pool)
            off = max(off, from_normal(kept, even(kept)))
        worst.append(off)
    sigma = cdist(T, T).sum() / (m * (m - 1) * m)
    apart = energy(R, even(R), T, even(T))
    bound = float(no_runaway(from_normal(T, even(T)), sigma, apart, cdist(R, R).mean(), N))
    return np.array([*worst, bound])


def test_no_runaway(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Worst generation of five, mean of 100 loops, over the mean bound; control: random choice is above it."""
    ratios = []
    for name in GENERATORS:
        mean, error = batched(partial(run_away, name, rng))
        assert mean[1] > mean[2] + CONTROL * error[1], "random choice was accepted"
        ratios.append(float(mean[0] / mean[2]))
    conclude("shrunk-loop [no runaway]", HOLDS if max(ratios) <= 1 else FAILS, max(ratios), world="gaussian")


def loop(
    shrink: float, m: int, rng: np.random.Generator, n: int = 200, d: int = 2, generations: int = 4
) -> np.ndarray:
    """Mean squares kept, generations 1 to the last; the generator: normal, its variance that kept times `shrink`."""
    real = rng.standard_normal((m, d))
    chooser = ShrunkHerdFilter().fit(real, np.zeros(m, int))
    pool = kept = rng.standard_normal((n, d))
    squares = []
    for _ in range(generations):
        made = np.sqrt(shrink * np.square(kept).mean()) * rng.standard_normal((n, d))
        pool = np.concatenate([pool, made])
        kept = pool[chooser.select(pool, np.zeros(len(pool), int), n)]
        squares.append(np.square(kept).mean())
    return np.array(squares)


@pytest.fixture
def looped(rng: np.random.Generator) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    """Mean and error of `loop` by lam, 50 trusted samples."""
    return lambda lam: batched(partial(loop, lam, 50, rng))


@pytest.mark.parametrize("views", [1, 2])
def test_loop_variance(
    views: int, conclude: Callable[..., None], looped: Callable[[float], tuple[np.ndarray, np.ndarray]]
) -> None:
    """Kept variance, generations 1 to 4 at lam = .6 and 1.4; value: the worst deviation, relative. Control: random
    choice's, at the last."""
    off, holds = [], []
    for lam in (0.6, 1.4):
        v = shrunk_accumulation(lam, 4, 50, 2 if views == 2 else None)[0][1:]
        mean, error = looped(lam)
        random = float(biased_accumulation(lam, 4)[-1])
        assert abs(mean[-1] / random - 1) > SHRUNK_VARIANCE + CONTROL * error[-1], (
            "random choice was accepted"
        )
        off.append(np.abs(mean / v - 1).max())
        holds.append((np.abs(mean / v - 1) <= SHRUNK_VARIANCE + STANDARD_ERRORS * error).all())
    name = "shrunk-loop [variance, both views]" if views == 2 else "shrunk-loop [variance]"
    verdict = HOLDS if all(holds) else FAILS
    conclude(name, verdict, max(off), HOLDS if views == 2 else FAILS, world="gaussian")


def seen_over_expected(
    rng: np.random.Generator, lam: float = 1.0, n: int = 40, m: int = 20, last: int = 7
) -> np.ndarray:
    """E(P, T) - E(P, truth) - E(T, truth), over sigma, at the first selection and at the eighth, in one dimension."""
    T = rng.standard_normal((m, 1))
    pool = kept = rng.standard_normal((n, 1))
    gaps = []
    for k in range(last + 1):
        made = np.sqrt(lam * np.square(kept).mean()) * rng.standard_normal((n, 1))
        pool = np.concatenate([pool, made])
        if k in (0, last):
            sight = energy(pool, even(pool), T, even(T))
            gaps.append((sight - from_normal(pool, even(pool)) - from_normal(T, even(T))) * m / DELTA)
        kept = pool[herd(pool, target_distances(pool, T)[0], n)]
    return np.array(gaps)


def test_later_pools(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The bias at the eighth selection, in sigmas; control: none at the first."""
    mean, error = batched(partial(seen_over_expected, rng), 800)
    assert abs(mean[0]) <= STANDARD_ERRORS * error[0], "the first selection is biased"
    verdict = HOLDS if abs(mean[1]) <= STANDARD_ERRORS * error[1] else FAILS
    conclude("shrunk-loop [later pools]", verdict, mean[1], FAILS, world="gaussian")


# --- the two views ---


def test_scale(conclude: Callable[..., None]) -> None:
    """The worst relative deviation from eta^2/16 (d = 1 to 10^4) and from d eta^2/4 (d = 10^4), eta = 10^-3.

    Controls: either constant in place of the other; in one dimension lengths do not follow it.
    """
    eta = 1e-3
    latents = [
        scale_energy([1 + eta], dim=d) / (np.sqrt(2) * mean_length(d)) * 16 / eta**2 for d in (1, 10, 10_000)
    ]
    lengths = {d: length_energy(1 + eta, d) / length_spread(d) * 4 / (d * eta**2) for d in (1, 10_000)}
    off = max(*(abs(r - 1) for r in latents), abs(lengths[10_000] - 1))
    assert abs(latents[0] / 4 - 1) > NEAR_LIMIT, "the control was accepted"
    assert abs(lengths[1] - 1) > NEAR_LIMIT, "the control was accepted"
    conclude("shrunk-views [scale]", HOLDS if off <= NEAR_LIMIT else FAILS, off)


def test_false_belief(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """P(s > 1/2), lsf's s of 400 trusted normal numbers and their law by 2000 quantiles. Control: P(s > 0)."""
    P = ndtri((np.arange(2000) + 0.5) / 2000)
    l = energy_spectrum(np.abs(P[::5, None] - P[::5]))  # noqa: E741
    cumulated = np.cumsum(P)

    def once(T: np.ndarray) -> bool:
        below = np.searchsorted(P, T)
        sums = np.concatenate([[0.0], cumulated])
        across = (T * (2 * below - 2000) + sums[-1] - 2 * sums[below]).mean() / 2000
        within_pool = 2 * ((2 * np.arange(2000) - 1999) @ P) / 2000**2
        among = np.abs(T[:, None] - T).mean()
        return believed(2 * across - within_pool - among, among, len(T)) > 0.5

    def draw(rng: np.random.Generator, size: int) -> np.ndarray:
        return np.array([once(rng.standard_normal(400)) for _ in range(size)], dtype=float)

    value, control = false_belief(l, 0.5), false_belief(l, 0.0)
    verdict, found = against(draw, value, rng, 2500, control)
    conclude("shrunk-views [false belief]", verdict, found.mean, around=found)


def believes(rng: np.random.Generator, own: bool, d: int = 16, m: int = 40, n: int = 500) -> bool:
    """Is s > 1/2 of a real pool, in lsf's units or, else, in the true ones?"""
    T, P = rng.standard_normal((m, d)), rng.standard_normal((n, d))
    if own:
        return bool(ShrunkHerdFilter().fit(T, np.zeros(m, int)).believed(P, np.zeros(n, int))[0] > 0.5)
    return target_distances(P, T)[1] > 0.5


def test_false_belief_in_own_units(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """lsf's share of s > 1/2, no drift; control: in the true units it is below the sum of both views'.

    Both spectra by 800 points, of the latents and of their lengths; the pool being of 500, delta = 0.08 sigma: 1/2
    counts as 0.45.
    """
    x = rng.standard_normal((800, 16))
    r = np.linalg.norm(x, axis=1)
    both = sum(false_belief(energy_spectrum(D), 0.45) for D in (cdist(x, x), np.abs(r[:, None] - r)))
    own, true = (np.array([believes(rng, units) for _ in range(150)]) for units in (True, False))
    error = np.sqrt(both * (1 - both) / 150)
    assert true.mean() <= both + STANDARD_ERRORS * error, "the true units fail as well"
    verdict = FAILS if own.mean() > both + CONTROL * error else HOLDS
    conclude("shrunk-views [false belief, units of the trusted sample]", verdict, own.mean(), FAILS)
