"""Selection to trusted moments: its inequality hunted for violations, its rows, its loop by simulation.

The instance that lsf has, matched selection, beside it."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pytest

from lsf.pool import Pool
from lsf.rules import Matched, Rule, Top
from paper_checks.agreement import batched
from paper_checks.hunt import Domain, Interval, hunt
from paper_checks.statistics import FAILS, HOLDS
from sims.lowrank import ClassSubspaces
from tests.tolerances import CONTROL, FLOAT64, KEPT_LAW, KEPT_VARIANCE, STANDARD_ERRORS
from theory.calibration import calibrate, calibrated_accumulation, divergence, tilted_mixture
from theory.gaussian_loop import biased_accumulation

DOMAIN: Domain = {
    "z_0": Interval(-4.0, 4.0),
    "z_1": Interval(-4.0, 4.0),
    "d_0": Interval(-4.0, 4.0),
    "d_1": Interval(-4.0, 4.0),
    "middle": Interval(0.0, 1.0),
    "fraction": Interval(0.05, 0.9),
    "slack": Interval(0.0, 0.2),
    "off": Interval(-0.9, 0.9),
}
"""Three letters (two logits each for the truth and the drift), a feature 0, `middle`, 1, and a trusted moment off by
`off` slacks."""


@cache
def laws(
    z_0: float, z_1: float, d_0: float, d_1: float, middle: float, fraction: float, slack: float, off: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, pool, kept; a moment out of reach keeps the pool."""
    truth, drift = (np.exp([a, b, 0.0]) / np.exp([a, b, 0.0]).sum() for a, b in ((z_0, z_1), (d_0, d_1)))
    pool = fraction * truth + (1 - fraction) * drift
    phi = np.array([0.0, middle, 1.0])
    try:
        return truth, pool, calibrate(pool, phi, truth @ phi + off * slack, slack, fraction)
    except ValueError:
        assert abs(off) > 1, "the truth is in the box, and yet nothing is"
        return truth, pool, pool


def test_never_further(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The worst violation a search finds (none: 0), beyond 1e-10; control: a gain of 1.25 KL(kept|pool)."""

    def further(**at: float) -> float:
        truth, _, kept = laws(**at)
        return divergence(truth, kept)

    def bound(share: float) -> Callable[..., float]:
        def allowed(**at: float) -> float:
            truth, pool, kept = laws(**at)
            return divergence(truth, pool) - share * divergence(kept, pool) + FLOAT64

        return allowed

    found = hunt(bound(1.0), further, DOMAIN, rng, points=300)
    assert hunt(bound(1.25), further, DOMAIN, rng, points=300), "the control was not found"
    worst = found.violation if found else 0.0
    conclude("calibration-never-further", HOLDS if found is None else FAILS, worst)


def test_reverse_direction(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """KL(kept|truth) <= KL(pool|truth): the violation found, of a moment met exactly."""
    exact = {**DOMAIN, "slack": Interval(0.0, 1e-9)}

    def law(which: int) -> Callable[..., float]:
        return lambda **at: divergence(laws(**at)[which], laws(**at)[0])

    found = hunt(law(1), law(2), exact, rng, points=300)
    conclude(
        "calibration-never-further [reverse direction]",
        FAILS if found else HOLDS,
        found.violation if found else 0.0,
        FAILS,
    )


def test_truth_outside_the_box(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """A trusted moment off by up to three slacks: the violation found."""
    wide = {**DOMAIN, "off": Interval(-3.0, 3.0)}

    def law(which: int) -> Callable[..., float]:
        return lambda **at: divergence(laws(**at)[0], laws(**at)[which])

    found = hunt(law(1), law(2), wide, rng, points=300)
    conclude(
        "calibration-never-further [truth outside the box]",
        FAILS if found else HOLDS,
        found.violation if found else 0.0,
        FAILS,
    )


def test_unseen_moments(conclude: Callable[..., None]) -> None:
    """Two bits, the second a feature: the first's mean is moved away from the truth's; value: by how much.

    Nearer in KL for all that.
    """
    truth, pool = np.full(4, 0.25), np.array([0.4, 0.05, 0.3, 0.25])  # 00, 01, 10, 11
    kept = calibrate(pool, [0.0, 1.0, 0.0, 1.0], 0.5, 0.0, 0.1)
    away = abs(kept[2:].sum() - 0.5) - abs(pool[2:].sum() - 0.5)
    assert divergence(truth, kept) < divergence(truth, pool)
    conclude("calibration-never-further [unseen moments]", FAILS if away > 0 else HOLDS, away, FAILS)


def clipped_tilt(pool: np.ndarray, slope: np.ndarray, cap: float) -> np.ndarray:
    """p min(c, e^{a + slope}) of mass 1: a by bisection."""
    low, high = -np.abs(slope).max() - 1.0, np.log(cap) + np.abs(slope).max() + 1.0
    for _ in range(200):
        a = (low + high) / 2
        kept = pool * np.minimum(cap, np.exp(a + slope))
        low, high = (a, high) if kept.sum() < 1 else (low, a)
    return kept


def test_any_clipped_tilt(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Random laws and tilts: the least slack. Control: the bound without the last term is violated."""
    slack, control = [], []
    for _ in range(2000):
        truth, drift = rng.dirichlet(np.ones(6), 2)
        q_0, phi, theta = rng.uniform(0.05, 0.9), rng.standard_normal((6, 2)), rng.standard_normal(2)
        pool = q_0 * truth + (1 - q_0) * drift
        kept = clipped_tilt(pool, phi @ theta, 1 / q_0)
        gain = divergence(truth, pool) - divergence(kept, pool) - divergence(truth, kept)
        slack.append(gain + float((kept - truth) @ phi @ theta))
        control.append(gain)
    assert min(control) < -FLOAT64, "the control, no term for the moments, was accepted"
    holds = min(slack) >= -FLOAT64
    conclude("calibration-never-further [any clipped tilt]", HOLDS if holds else FAILS, min(slack))


def rows_kept(rng: np.random.Generator) -> tuple[float, float, float]:
    """Of 60 real rows among 240, in two dimensions: their geometric mean inclusion, its floor, and random choice's."""
    scale = rng.uniform(0.3, 1.6)
    x = np.concatenate(
        [rng.standard_normal((60, 2)), scale * rng.standard_normal((180, 2)) + rng.normal(0, 0.3, 2)]
    )
    phi = np.column_stack([x, x**2, x[:, 0] * x[:, 1]])
    pool = np.full(240, 1 / 240)
    kept = calibrate(pool, phi, phi[:60].mean(axis=0), rng.uniform(0, 0.1), 60 / 240)
    inclusion = 60 / 240 * kept / pool
    real = float(np.exp(np.log(inclusion[:60]).mean()))
    return (
        real,
        float(60 / 240 * np.exp(divergence(kept, pool))),
        float(np.exp(np.log(inclusion[60:]).mean())),
    )


def test_keeps_real(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The least ratio of the real rows' geometric mean inclusion to its floor; control: synthetic rows are below it."""
    real, floor, made = np.array([rows_kept(rng) for _ in range(200)]).T
    assert (made < floor).any(), "the control, synthetic rows, was accepted"
    assert (floor > 1.01 * 60 / 240).any(), "no power: the floor is random choice's"
    least = float((real / floor).min())
    conclude("calibration-keeps-real", HOLDS if least >= 1 - FLOAT64 else FAILS, least)


def test_matched_is_projection(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Rows kept by lsf of a pool of 20000 scores, in 40 cells, against `calibrate` with the indicators of the rule's
    own ten bins; value: the largest deviation in standard errors (of independent draws: more than there are). Control:
    top-N."""
    real, y = rng.standard_normal(2000), np.zeros(2000, int)
    pool = np.concatenate([rng.standard_normal(8000), 0.7 * rng.standard_normal(12_000) + 0.5])
    edges = np.quantile(real, np.arange(1, 10) / 10)
    inner = np.sort(np.concatenate([edges, np.quantile(pool, (np.arange(30) + 0.5) / 30)]))
    cell = np.searchsorted(inner, pool, side="right")
    p = np.bincount(cell, minlength=len(inner) + 1) / len(pool)
    bins = np.searchsorted(edges, np.append(inner - 1e-12, np.inf), side="left")
    indicators = (bins[:, None] == np.arange(9)).astype(float)  # the tenth is what the mass leaves
    law, N = calibrate(p, indicators, np.full(9, 0.1), 0.0, 0.1), 2000

    def off(rule: Rule) -> float:
        kept = rule(pool, np.zeros(len(pool), int), N, reference=(real, y), rng=rng)
        found = np.bincount(cell[kept], minlength=len(law)) / N
        return float((np.abs(found - law) / np.sqrt(law * (1 - law) / N)).max())

    assert off(Top()) > CONTROL, "the control was accepted"
    worst = off(Matched(quota="global"))
    truth = np.diff(np.concatenate([[0.0], np.searchsorted(np.sort(real), inner) / len(real), [1.0]]))
    nearer = divergence(truth, law) <= divergence(truth, p) - divergence(law, p) + FLOAT64
    conclude("matched-is-projection", HOLDS if worst <= STANDARD_ERRORS and nearer else FAILS, worst)


def tilted_rows(energy: np.ndarray, number: int, target: float) -> np.ndarray:
    """pi = min(1, e^{a + theta energy}) of sum `number` and mean energy `target`: nested bisection, not theory's."""

    def inclusion(theta: float) -> np.ndarray:
        low, high = -50.0 - max(theta, 0.0) * energy.max(), max(-theta, 0.0) * energy.max()
        for _ in range(40):
            a = (low + high) / 2
            pi = np.exp(np.minimum(a + theta * energy, 0.0))
            low, high = (a, high) if pi.sum() < number else (low, a)
        return pi

    low, high = -5.0, 5.0
    for _ in range(30):
        theta = (low + high) / 2
        low, high = (theta, high) if inclusion(theta) @ energy / number < target else (low, theta)
    return inclusion(theta)


def loop(
    shrink: float, slack: float, rng: np.random.Generator, generations: int = 4, n: int = 200
) -> np.ndarray:
    """Mean squares kept and in the pool, last of several generations of n rows in two dimensions."""
    model, y = ClassSubspaces(shrink=shrink, rank=1), np.zeros(n, int)
    pool = kept = rng.standard_normal((n, 2))
    for _ in range(generations):
        made = model.fit(Pool(kept, np.zeros(len(kept), int), 0), rng).sample(y, rng)
        pool = np.concatenate([pool, made])
        energy = np.square(pool).mean(axis=1)
        aim = float(np.clip(energy.mean(), 1 - slack, 1 + slack))
        kept = pool[rng.random(len(pool)) < tilted_rows(energy, n, aim)]
    return np.array([np.square(kept).mean(), energy.mean()])


def test_loop_variance(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Kept and pool variance after 4 generations at lam = .6 and 1.4, beta = .1, within a stated 1%; value: the worst
    deviation, relative. Control: random choice's variance."""
    worst = 0.0
    holds = []
    for lam in (0.6, 1.4):
        v, P = (float(a[-1]) for a in calibrated_accumulation(lam, 4, 0.1))
        mean, error = batched(partial(loop, lam, 0.1, rng))
        random = float(biased_accumulation(lam, 4)[-1])
        assert (np.abs(mean - random) > CONTROL * error + KEPT_VARIANCE).all(), "random choice was accepted"
        off = np.abs(mean / np.array([v, P]) - 1)
        holds.append(bool((off <= KEPT_VARIANCE + STANDARD_ERRORS * error).all()))
        worst = max(worst, float(off.max()))
    conclude("calibration-loop [variance]", HOLDS if all(holds) else FAILS, worst, world="gaussian")


def kept_losses(lam: float, blocks: int) -> tuple[float, float, float]:
    """KL(truth|.) of the kept law with the cap of one block, of the kept law without it, of the pool: on a grid."""
    x = np.linspace(-12, 12, 1201)
    density = lambda v: np.exp(-(x[:, None] ** 2) / (2 * v)) / np.sqrt(v)  # noqa: E731
    v = np.array([1.0, lam])
    w = np.array([1, blocks]) / (blocks + 1)
    pool, truth = (density(v) @ w), density(np.ones(1))[:, 0]
    pool, truth = pool / pool.sum(), truth / truth.sum()
    kept = calibrate(pool, x**2, 1.0, 0.0, 1 / (blocks + 1))
    _, weights, variances = tilted_mixture(v, 1.0, w)
    free = density(variances) @ weights
    return divergence(truth, kept), divergence(truth, free / free.sum()), divergence(truth, pool)


@pytest.mark.parametrize("cap", [True, False])
def test_kept_law(cap: bool, conclude: Callable[..., None]) -> None:
    """lam = .1 to 1.5, 10^2 to 10^6 blocks: each hundredfold takes a third off KL(truth|kept); value: the least share
    taken off. Control: the pool's grows, but where it hardly changes."""
    taken = []
    for lam in (0.1, 0.3, 0.7, 1.5):
        capped, free, pool = np.array([kept_losses(lam, b) for b in (100, 10_000, 1_000_000)]).T
        assert (np.diff(pool) > 0).all(), "the control, the pool, was accepted"
        loss = capped if cap else free
        taken += list(1 - loss[1:] / loss[:-1])
    least = float(min(taken))
    verdict = HOLDS if least >= KEPT_LAW else FAILS
    conclude(f"calibration-loop [law{'' if cap else ', no cap'}]", verdict, least, HOLDS if cap else FAILS)
