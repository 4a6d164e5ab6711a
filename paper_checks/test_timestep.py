"""At which timestep do latents separate the classes best, which latents show it, and what else looks like it?

Features of x_w = x + w e: "posterior" E[x | x_w] of the two-class model, "wiener" the best linear map, which knows the
pooled covariance alone. Sampled with sims.lowrank and measured with lsf.ole; no formula of theory/ is used for them.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from lsf.ole import normalised_ole, ole
from paper_checks.agreement import against, all_hold, batched
from paper_checks.simulated import QUARTER
from paper_checks.statistics import FAILS, HOLDS
from sims.lowrank import TwoSubspaces
from tests.tolerances import (
    BIAS_LAW,
    BIAS_POOL,
    CONTROL,
    STANDARD_ERRORS,
    U_DEPTH,
    Estimate,
    agrees_within_bias,
)
from theory import confidence, timestep


def simulated_csnr(
    w: float, dim: int, rank: int, floor: float, size: int, rng: np.random.Generator
) -> np.ndarray:
    """(signal, leak) energies (size, 2) of the posterior mean of class-0 samples, 90 degrees."""
    x = floor * rng.standard_normal((size, dim))
    x[:, :rank] += rng.standard_normal((size, rank))
    x += w * rng.standard_normal(x.shape)
    s2 = floor**2 + w**2
    a, b = np.square(x[:, :rank]).sum(axis=1), np.square(x[:, rank : 2 * rank]).sum(axis=1)
    p = 1 / (1 + np.exp(-(a - b) * (1 / s2 - 1 / (1 + s2)) / 2))[:, None]
    A, B = (1 + floor**2) / (1 + s2), floor**2 / s2
    h = B * x
    h[:, :rank] += (A - B) * p * x[:, :rank]
    h[:, rank : 2 * rank] += (A - B) * (1 - p) * x[:, rank : 2 * rank]
    energy = np.square(h)
    return np.stack([energy[:, :rank].sum(axis=1), energy[:, rank:].sum(axis=1)], axis=1)


def test_u_shape(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Simulated CSNR peaks at the predicted time: it agrees there and at a third and thrice of it. Value: w*."""
    dim, rank, floor = 16, 2, 0.1
    best = float(timestep.optimal_time(dim, rank, floor))
    means = []
    for w in (best / 3, best, 3 * best):
        energy = np.array([simulated_csnr(w, dim, rank, floor, 2000, rng).mean(axis=0) for _ in range(100)])
        ratio = energy[:, 0] / energy[:, 1]
        found = Estimate(float(ratio.mean()), float(ratio.std(ddof=1) / 10))
        assert agrees_within_bias(found, float(timestep.csnr(w, dim, rank, floor)), BIAS_POOL), (w, found)
        means.append(found.mean)
    peaked = means[1] > 1.1 * max(means[0], means[2])
    conclude("u-shape-csnr", HOLDS if peaked else FAILS, best)


def energies(
    w: np.ndarray, dim: int, rank: int, floor: float, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Signal over leak at every w, from the same draws: chi-square energies stand for the three parts of x_w."""
    a, b = rng.chisquare(rank, (2, size))
    c = rng.chisquare(dim - 2 * rank, size) if dim > 2 * rank else np.zeros(size)
    out = []
    for time in w:
        s2 = floor**2 + time**2
        A, B = (1 + floor**2) / (1 + s2), floor**2 / s2
        p = expit((a * (1 + s2) - b * s2) * (1 / s2 - 1 / (1 + s2)) / 2)
        signal = a * (1 + s2) * (B + (A - B) * p) ** 2
        leak = b * s2 * (B + (A - B) * (1 - p)) ** 2 + c * s2 * B**2
        out.append(signal.mean() / leak.mean())
    return np.array(out)


def sampled_optimum(dim: int, rank: int, floor: float, near: float, rng: np.random.Generator) -> Estimate:
    """log of the best time over `near`: the top of a quartic through log CSNR, from 100 batches."""
    x = np.linspace(-0.5, 0.5, 9)
    fine = np.linspace(-0.5, 0.5, 2001)

    def top() -> float:
        curve = np.log(energies(near * np.exp(x), dim, rank, floor, 40_000, rng))
        return float(fine[np.argmax(np.polyval(np.polyfit(x, curve, 4), fine))])

    mean, error = batched(top)
    return Estimate(float(mean), float(error))


def test_small_floor_law(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Sampled best time over the law's, floor .01, with the stated biases 2% at d = 64, 11% at d = 2r; value: d = 64.

    The control forgets the r + 2 of the derivative. (At d = 2r a law in d - 2r, as once noted, would have no optimum.)
    """
    parts = []
    for dim in (4, 64):
        law = float(timestep.small_floor_law(dim, 2, 0.01))
        found = sampled_optimum(dim, 2, 0.01, law, rng)
        slack = np.log1p(BIAS_LAW[dim]) + STANDARD_ERRORS * found.error
        parts.append(abs(found.mean) <= slack)
        assert abs(found.mean - np.log(4) / 6) > slack, "the control was accepted"
    around = Estimate(float(np.exp(found.mean)), found.error)
    conclude("small-floor-law", all_hold(parts), around.mean, around=around)


def features(x: np.ndarray, U: np.ndarray, floor: float, w: float, kind: str) -> np.ndarray:
    """Denoised x_w (n, d), by the posterior mean or the best linear map of the model with that floor."""
    s2 = floor**2 + w**2
    P = [u @ u.T for u in U]
    if kind == "wiener":
        S = (P[0] + P[1]) / 2 + floor**2 * np.eye(x.shape[1])
        return x @ np.linalg.solve(S + w**2 * np.eye(len(S)), S)
    p = expit(fixed_log_odds(x, U, np.sqrt(s2)))[:, None]
    A, B = (1 + floor**2) / (1 + s2), floor**2 / s2
    return B * x + (A - B) * ((1 - p) * (x @ P[0]) + p * (x @ P[1]))


def fixed_log_odds(x: np.ndarray, U: np.ndarray, s: float) -> np.ndarray:
    """log p_1/p_0 by the probe of the noise s."""
    energy = [np.square(x @ u).sum(axis=1) for u in U]
    return (energy[1] - energy[0]) / (2 * s**2 * (1 + s**2))


TIMES = np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0, 8.0])


def curve(
    truth: TwoSubspaces, kind: str, measure: Callable[..., float], rng: np.random.Generator
) -> np.ndarray:
    """OLE of the features at every time of TIMES, 150 samples a class, the same data and noise throughout."""
    U = truth.frames(rng)
    pool = truth.draw(U, 150, rng)
    e = rng.standard_normal(pool.x.shape)
    return np.array([measure(features(pool.x + w * e, U, truth.noise, w, kind), pool.y) for w in TIMES])


def depth(truth: TwoSubspaces, kind: str, rng: np.random.Generator) -> Estimate:
    """Of the U in normalised OLE: the lower end over the value at t* less 1, t* from other draws."""
    pilot = np.mean([curve(truth, kind, normalised_ole, rng) for _ in range(8)], axis=0)
    best = 1 + int(np.argmin(pilot[1:-1]))
    curves = np.array([curve(truth, kind, normalised_ole, rng) for _ in range(100)])
    D = np.minimum(curves[:, 0], curves[:, -1]) / curves[:, best] - 1
    return Estimate(float(D.mean()), float(D.std(ddof=1) / 10))


def is_u(found: Estimate) -> bool | None:
    """Is the U at least 5% deep? None where it cannot be told."""
    if abs(found.mean - U_DEPTH) <= STANDARD_ERRORS * found.error:
        return None
    return found.mean > U_DEPTH


def test_u_needs_the_posterior(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Where the classes fill the space (d = 2r) linear features show no U and posterior-mean features do, normalised
    OLE; value: the linear features' depth. The posterior mean is the control that must be seen."""
    linear, posterior = (
        depth(TwoSubspaces(8, 4, QUARTER, 0.1), kind, rng) for kind in ("wiener", "posterior")
    )
    verdict = all_hold([is_u(linear) is False, is_u(posterior) is True])
    conclude("u-shape-needs-posterior [d = 2r]", verdict, linear.mean, around=linear, world="low-rank")


def test_linear_features_show_a_u_too(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Refuted for d far above 2r at a low floor: the best linear map suppresses the floor's many directions first, and
    OLEn dips before it rises. Value: depth of the linear U. The control is d = 2r at the same floor."""
    found = depth(TwoSubspaces(64, 1, QUARTER, 0.02), "wiener", rng)
    assert is_u(depth(TwoSubspaces(2, 1, QUARTER, 0.02), "wiener", rng)) is False, "the control shows a U"
    verdict = FAILS if is_u(found) else HOLDS
    conclude("u-shape-needs-posterior [d >> 2r]", verdict, found.mean, FAILS, found, "low-rank")


def test_raw_ole_turns_down(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Posterior mean: raw OLE falls, rises and falls again, below its minimum; value: end over interior minimum.

    The control, normalised OLE, ends above it.
    """
    truth = TwoSubspaces(32, 2, QUARTER, 0.1)
    mean, error = batched(lambda: curve(truth, "posterior", ole, rng))
    control = np.mean([curve(truth, "posterior", normalised_ole, rng) for _ in range(10)], axis=0)
    low = 1 + int(np.argmin(mean[1:8]))
    high = low + int(np.argmax(mean[low:]))
    steps = [mean[0] - mean[low], mean[high] - mean[low], mean[low] - mean[-1]]
    assert control[-1] > control[low], "the control, normalised OLE, turns down too"
    turns = min(steps) > CONTROL * np.hypot(error[low], error.max()) and low < high < len(TIMES) - 1
    around = Estimate(float(mean[-1] / mean[low]), float(error[low] / mean[low]))
    conclude("raw-ole-turns-down", HOLDS if turns else FAILS, around.mean, around=around, world="low-rank")


def through_denoiser(truth: TwoSubspaces, w: float, real: float, rng: np.random.Generator) -> np.ndarray:
    """(OLEn of posterior-mean features, fixed confidence), both by the model of the floor `real`; 300 a class."""
    U = truth.frames(rng)
    pool = truth.draw(U, 300, rng)
    x = pool.x + w * rng.standard_normal(pool.x.shape)
    z = fixed_log_odds(x[300:], U, np.hypot(real, w))
    return np.array([normalised_ole(features(x, U, real, w, "posterior"), pool.y), expit(z).mean()])


def test_floor_explains_both(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Floors .1, .2, .3 seen through the denoiser and the probe of floor .1, at and around the best time: OLEn rises
    and confidence falls with every step, from the first to the last by more than 5 standard errors.
    Value: confidence at the last floor, best time.

    Confidence agrees exactly with theory.probe; the control is the first floor's, no growth.
    """
    best = float(timestep.optimal_time(16, 2, 0.1))
    angles, parts = np.full(2, QUARTER), []
    for w in (best / 2, best, 2 * best):
        floors = [TwoSubspaces(16, 2, QUARTER, s) for s in (0.1, 0.2, 0.3)]
        rows = [batched(lambda t=t, w=w: through_denoiser(t, w, 0.1, rng)) for t in floors]  # type: ignore[misc]
        seen, errors = (np.array([row[i] for row in rows]) for i in (0, 1))
        assert (np.diff(seen[:, 0]) > 0).all()
        assert (np.diff(seen[:, 1]) < 0).all()
        moved = np.abs(seen[-1] - seen[0]) / np.hypot(errors[-1], errors[0])
        parts.append(moved.min() > STANDARD_ERRORS)
    first, last = (
        float(confidence.probe_confidence(angles, np.hypot(0.1, best), np.hypot(s, best))) for s in (0.1, 0.3)
    )
    grown = TwoSubspaces(16, 2, QUARTER, 0.3)
    draw = lambda g, size: np.array([through_denoiser(grown, best, 0.1, g)[1] for _ in range(size)])  # noqa: E731
    verdict, found = against(draw, last, rng, 100, control=first)
    conclude("floor-explains-both", all_hold([*parts, verdict]), found.mean, around=found, world="low-rank")
