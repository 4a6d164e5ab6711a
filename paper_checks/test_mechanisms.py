"""What selection and refitting do: closed forms beside the simulators that never saw them."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import LogisticRegression

from lsf.encoders import EnergyFeatures
from lsf.rules import Matched, Top
from paper_checks.claims import claim
from paper_checks.measures import Run
from paper_checks.simulated import QUARTER, kept_second_moments
from paper_checks.statistics import FAILS, HOLDS, interval
from paper_checks.verdicts import Evidence
from sims.lowrank import ClassSubspaces, TwoSubspaces
from tests.tolerances import CONTROL, STANDARD_ERRORS, Estimate, agrees_within_bias, estimate
from theory import alignment, selection, timestep


def test_linear_probe_is_blind(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Held-out accuracy of softmax regression on coordinates, and on energy features as the control."""
    truth = TwoSubspaces(16, 4, QUARTER, 0.3)
    U = truth.frames(rng)
    train, test = truth.draw(U, 1000, rng), truth.draw(U, 5000, rng)
    linear = LogisticRegression(max_iter=1000).fit(train.x, train.y).score(test.x, test.y)
    energy = EnergyFeatures(rank=4).fit(train.x, train.y)
    control = LogisticRegression(max_iter=1000).fit(energy.transform(train.x), train.y)
    assert control.score(energy.transform(test.x), test.y) > 0.95, "the control has no power either"
    error = 0.5 / np.sqrt(len(test.y))
    blind = abs(linear - 0.5) <= STANDARD_ERRORS * error
    around = Estimate(linear, error)
    conclude("linear-probe-is-blind", HOLDS if blind else FAILS, linear, around=around, world="low-rank")


def test_kept_moments(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """lsf.rules.Top on samples against the exact moments; value: m_A at r = 2, q = .25."""
    worst = 0.0
    for rank in (1, 2, 4):
        for q in (0.25, 0.6):
            truth = TwoSubspaces(2 * rank, rank, QUARTER, 0.3)
            _, m_A, m_B = selection.kept_moments(QUARTER, 0.3, rank, q)
            keep = lambda z, q=q: Top()(z, np.zeros(len(z), int), int(q * len(z)))  # noqa: E731
            drawn = np.array([kept_second_moments(truth, keep, 2000, rng) for _ in range(100)])
            error = drawn.std(axis=0, ddof=1) / 10
            off = np.abs(drawn.mean(axis=0) - [m_A, m_B]) / (
                error + 0.002 * np.array([m_A, m_B]) / STANDARD_ERRORS
            )
            assert (np.abs(drawn.mean(axis=0) - 1) > CONTROL * error).all(), (
                "the control, no change, was accepted"
            )
            worst = max(worst, off.max())
    conclude("kept-moments", HOLDS if worst <= STANDARD_ERRORS else FAILS, worst, world="low-rank")


def test_matched_is_fixed_point(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """From a pool of the truth, matched selection keeps the truth's moments; top-N, the control, does not."""
    truth = TwoSubspaces(4, 2, QUARTER, 0.3)

    def matched(z: np.ndarray) -> np.ndarray:
        U = truth.frames(rng)
        real = truth.draw(U, 2000, rng).x[2000:]
        reference = np.square(real @ U[1]).sum(axis=1) - np.square(real @ U[0]).sum(axis=1)
        y = np.zeros(len(z), int)
        return Matched(shortfall="fill")(
            z, y, len(z) // 4, reference=(reference, np.zeros(2000, int)), rng=rng
        )

    top = lambda z: Top()(z, np.zeros(len(z), int), len(z) // 4)  # noqa: E731
    kept, control = (
        np.array([kept_second_moments(truth, rule, 4000, rng)[0] for _ in range(100)])
        for rule in (matched, top)
    )
    error = kept.std(ddof=1) / 10
    found = Estimate(float(kept.mean()), float(error))
    assert control.mean() - 1 > CONTROL * error, "the control, top-N, was accepted"
    stays = agrees_within_bias(found, 1.0, 0.005)
    conclude("matched-is-fixed-point", HOLDS if stays else FAILS, found.mean, around=found, world="low-rank")


def test_minority_loss(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Share of the minority mode in the top half by x."""

    def share(rng: np.random.Generator, size: int) -> np.ndarray:
        minority = rng.random((size, 2000)) < 0.1
        x = rng.standard_normal((size, 2000)) + np.where(minority, 0.5, 3.0)
        kept = np.argsort(-x, axis=1)[:, :1000]
        return np.take_along_axis(minority, kept, axis=1).mean(axis=1)

    found = estimate(share, rng, 1000)
    value = float(selection.kept_minority_share(0.5))
    assert not agrees_within_bias(found, 0.1, 0.02), "the control, no loss, was accepted"
    verdict = HOLDS if agrees_within_bias(found, value, 0.02) else FAILS
    conclude("minority-loss", verdict, found.mean, around=found)


@pytest.mark.parametrize("world", ["runaway"])
@pytest.mark.parametrize("what", ["share of real data kept", "variance"])
def test_runaway(
    what: str, world: str, runs: dict[str, list[Run]], report: list[Evidence], smoke: bool
) -> None:
    """The loop with a learned probe against the recursion for infinite samples; stated bias 10% (n = 500 a class).

    Shares are compared as long as the recursion keeps at least ten real samples of the budget. Value: the largest
    relative deviation, with the interval at that generation.
    """
    rows = runs[world]
    v, share = (np.asarray(a) for a in selection.runaway(0.8, rows[0].last))
    last = rows[0].last
    if what != "variance":
        last = int(np.sum(share * rows[0].value("ACU-LSF", 1, "n") >= 10)) - 1
    if what == "variance":
        theory = v[1 : last + 1]
        seen = np.array(
            [[r.value("ACU-LSF", k, "variance_ratio") / 0.8 for k in range(1, last + 1)] for r in rows]
        )
    else:
        theory = share[1 : last + 1]
        seen = np.array(
            [[r.of("ACU-LSF", k)["trained_on"]["share_real"] for k in range(1, last + 1)] for r in rows]
        )
    error = seen.std(axis=0, ddof=1) / np.sqrt(len(rows))
    off = np.abs(seen.mean(axis=0) - theory)
    worst = int(np.argmax(off / theory))
    ci = interval(seen[:, worst] / theory[worst] - 1)
    chance = (
        1.0 if what == "variance" else 1 / (last + 1)
    )  # what random choice would give: it must be told apart
    assert smoke or abs(seen[:, -1].mean() - chance) > CONTROL * error[-1], "the control was accepted"
    verdict = HOLDS if (off <= 0.10 * theory + STANDARD_ERRORS * error).all() else FAILS
    name = f"top-n-runaway [{what}]"
    report.append(
        Evidence(claim(name), "low-rank", verdict, ci.mean, (ci.low, ci.high), tuple(r.seed for r in rows))
    )
    assert smoke or verdict == HOLDS, f"{seen.mean(axis=0)} against {theory}"


def batch_means(draw: Callable[[], float], size: int = 8) -> Estimate:
    """Mean and standard error from 100 batches."""
    means = np.array([np.mean([draw() for _ in range(size)]) for _ in range(100)])
    return Estimate(float(means.mean()), float(means.std(ddof=1) / 10))


def turned_onto(U: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The orthonormal frame of `columns` that lies closest to the frame U (orthogonal Procrustes)."""
    F = np.linalg.qr(columns)[0]
    return F @ orthogonal_procrustes(F, U)[0]


def test_refit_orthogonalises(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Mean cosine of fitted subspaces over the true one after one refit, against c2 (stated bias 3%)."""
    truth, n = TwoSubspaces(64, 2, 1.0, 0.6), 100

    def shrunk_cosine() -> float:
        U = truth.frames(rng)
        sampler = ClassSubspaces(rank=2).fit(truth.draw(U, n, rng), rng)
        fitted = [turned_onto(u, root[:, -2:]) for u, root in zip(U, sampler.roots, strict=True)]
        return float(np.trace(fitted[0].T @ fitted[1]) / 2 / np.cos(truth.angle))

    found = batch_means(shrunk_cosine, 1)
    c2 = float(alignment.pca_overlap(64, n, 0.6))
    assert not agrees_within_bias(found, 1.0, 0.03), "the control, no turning, was accepted"
    verdict = HOLDS if agrees_within_bias(found, c2, 0.03) else FAILS
    conclude("refit-orthogonalises", verdict, found.mean, around=found, world="low-rank")


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
        assert agrees_within_bias(found, float(timestep.csnr(w, dim, rank, floor)), 0.002), (w, found)
        means.append(found.mean)
    peaked = means[1] > 1.1 * max(means[0], means[2])
    conclude("u-shape-csnr", HOLDS if peaked else FAILS, best)
