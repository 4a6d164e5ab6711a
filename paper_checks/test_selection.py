"""What keeping a part of the pool does: closed forms beside the rules of lsf and simulators that never saw them."""

from collections.abc import Callable

import numpy as np
import pytest

from lsf.ole import normalised_ole
from lsf.pool import Pool, concat
from lsf.rules import Matched, Random, Rule, Threshold, Top
from paper_checks.agreement import batched
from paper_checks.claims import claim
from paper_checks.measures import Run
from paper_checks.simulated import QUARTER, kept_second_moments
from paper_checks.statistics import FAILS, HOLDS, interval
from paper_checks.verdicts import Evidence
from sims.lowrank import ClassSubspaces, TwoSubspaces
from tests.tolerances import (
    CONTROL,
    KEEPS_TRUTH,
    KEPT_PART,
    STANDARD_ERRORS,
    Estimate,
    agrees_within_bias,
    estimate,
)
from theory import selection
from theory.gaussian_loop import biased_accumulation


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


def kept_part(rule: Rule, shrink: float, part: float, rng: np.random.Generator) -> np.ndarray:
    """(2, 3): variance along the own subspace and real share of what `rule` keeps, generations 1 to 3.

    Two classes of 500 at noise .05, r = 2; the most confident `part` of the whole pool; each model fitted to it.
    """
    truth = TwoSubspaces(4, 2, QUARTER, 0.05)
    U = truth.frames(rng)
    history = [truth.draw(U, 500, rng)]
    kept, found = history[0], []
    for k in range(3):
        model = ClassSubspaces(shrink=shrink, rank=2).fit(kept, rng)
        history.append(Pool(model.sample(history[0].y, rng), history[0].y, k + 1))
        pool = concat(history)
        z = own_log_odds(pool.x, pool.y, U)
        kept = pool.take(rule(z, pool.y, 2 * round(part * len(pool) / 2), rng=rng))
        own = np.mean([np.square(kept.x[kept.y == c] @ U[c]).mean() for c in (0, 1)])
        found.append((own / (1 + truth.noise**2), np.equal(kept.born, 0).mean()))
    return np.transpose(found)


MAP = ((0.6, 0.3), (0.6, 0.75), (0.9, 0.5))


def test_kept_fraction_map(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Loops of 500 a class, noise .05, against the recursion, within a stated 2%; value: the worst relative deviation.

    Control: random choice's variance, from which at least one cell's share of real data differs too.
    """
    worst, holds, told = 0.0, [], []
    for lam, q in MAP:
        mean, error = batched(lambda lam=lam, q=q: kept_part(Top("class"), lam, q, rng))  # type: ignore[misc]
        value = np.array([a[1:] for a in selection.kept_recursion(lam, q, 3)])
        random = np.array([biased_accumulation(lam, 3)[1:], 1 / np.arange(2.0, 5.0)])
        slack = KEPT_PART * value
        assert (np.abs(mean - random)[0] > CONTROL * error[0] + slack[0]).all(), "random choice was accepted"
        told.append((np.abs(mean - random)[1] > CONTROL * error[1] + slack[1]).any())
        holds.append((np.abs(mean - value) <= slack + STANDARD_ERRORS * error).all())
        worst = max(worst, float((np.abs(mean - value) / value).max()))
    assert any(told), "the control, the pool's share of real data, was accepted everywhere"
    verdict = HOLDS if all(holds) else FAILS
    conclude("kept-fraction-map [variance]", verdict, worst, world="low-rank")


def test_kept_fraction_boundary(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Generation 3, lam = .6: top-N and random choice, a quarter of the way from the boundary to 1 and as far below.

    KL per dimension from the mean variance; value: the boundary. Control: the two sides differ by 12 standard errors.
    """
    lam = 0.6
    q = float(selection.boundary_fraction(lam, 3))
    gaps = []
    for part in (q + 0.25 * (1 - q), q - 0.25 * (1 - q)):
        loss = []
        for rule in (Top("class"), Random("class")):
            drawn = batched(lambda rule=rule, part=part: kept_part(rule, lam, part, rng)[0, -1])  # type: ignore[misc]
            v, error = (float(a) for a in drawn)
            loss.append(Estimate((1 / v - 1 + np.log(v)) / 2, abs(1 - 1 / v) / (2 * v) * error))
        gaps.append(Estimate(loss[1].mean - loss[0].mean, float(np.hypot(loss[0].error, loss[1].error))))
    above, below = gaps
    apart = above.mean - below.mean
    assert apart > CONTROL * np.hypot(above.error, below.error), "no power"
    holds = above.mean > STANDARD_ERRORS * above.error and below.mean < -STANDARD_ERRORS * below.error
    conclude("kept-fraction-map [boundary]", HOLDS if holds else FAILS, q, world="low-rank")


def own_log_odds(x: np.ndarray, y: np.ndarray, U: np.ndarray) -> np.ndarray:
    """Log-odds of each sample's own label, up to the factor kappa, which no rule sees."""
    energy = [np.square(x @ u).sum(axis=1) for u in U]
    return (energy[1] - energy[0]) * np.where(y == 1, 1, -1)


def test_top_n_lowers_ole(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """OLEn of 60 of 240 real samples a class, random less most confident, over the random; value: the least such cell.

    Control: one random choice against another, which must not differ.
    """
    labels = np.repeat([0, 1], 60)
    gains = []
    for angle, noise in ((QUARTER, 0.1), (QUARTER, 0.3), (1.0, 0.1)):
        truth = TwoSubspaces(16, 2, angle, noise)

        def oles(truth: TwoSubspaces = truth) -> list[float]:
            U = truth.frames(rng)
            pool = truth.draw(U, 240, rng)
            z = own_log_odds(pool.x, pool.y, U)
            chosen = (
                rule(z, pool.y, 120, rng=rng) for rule in (Top("class"), Random("class"), Random("class"))
            )
            return [normalised_ole(pool.x[kept], labels) for kept in chosen]

        top, one, other = np.array([oles() for _ in range(200)]).T
        D, null = 1 - top / one, 1 - other / one
        gains.append(Estimate(float(D.mean()), float(D.std(ddof=1) / np.sqrt(200))))
        assert abs(null.mean()) <= STANDARD_ERRORS * null.std(ddof=1) / np.sqrt(200), (
            "random against random differs"
        )
    least = min(gains, key=lambda g: g.mean)
    holds = all(g.mean > CONTROL * g.error for g in gains)
    conclude("top-n-lowers-ole", HOLDS if holds else FAILS, least.mean, around=least, world="low-rank")


def kept_variance(rule: Rule, shrink: float, rng: np.random.Generator, generations: int = 6) -> float:
    """Variance along the own subspace, per real variance, of what `rule` keeps in the last of several generations.

    The pool holds 300 real samples a class and all generations; each model is fitted to what was kept of it.
    """
    truth = TwoSubspaces(6, 2, QUARTER, 0.3)
    U = truth.frames(rng)
    real, held = truth.draw(U, 300, rng), truth.draw(U, 300, rng)
    reference = own_log_odds(held.x, held.y, U), held.y
    history, kept = [real], real
    for k in range(generations):
        model = ClassSubspaces(shrink=shrink, rank=2).fit(kept, rng)
        history.append(Pool(model.sample(real.y, rng), real.y, k + 1))
        pool = concat(history)
        z = own_log_odds(pool.x, pool.y, U)
        kept = pool.take(rule(z, pool.y, len(real), reference=reference, rng=rng))
    own = [np.square(kept.x[kept.y == c] @ U[c]).mean() for c in (0, 1)]
    return float(np.mean(own) / (1 + truth.noise**2))


def last_variance(rule: Rule, shrink: float, rng: np.random.Generator) -> Estimate:
    """Of 100 loops."""
    mean, error = batched(lambda: kept_variance(rule, shrink, rng))
    return Estimate(float(mean), float(error))


def near_truth(found: Estimate) -> bool:
    """Within the stated 15% of the real variance?"""
    return agrees_within_bias(found, 1.0, KEEPS_TRUTH)


def test_threshold_cures_the_runaway(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Rejecting below the real 5% quantile, an unbiased generator, 6 generations: variance within 15% of the truth.

    Value: that variance. Control: top-N on the same loops runs away. One step from the truth inflates by m_A at
    q = .95, exactly as the kept moments say.
    """
    found, top = (last_variance(rule, 1.0, rng) for rule in (Threshold("class"), Top("class")))
    assert not near_truth(top), "the control, top-N, was accepted"
    m_A = float(selection.kept_moments(QUARTER, 0.3, 2, 0.95)[1])
    assert 1 + STANDARD_ERRORS * found.error < m_A + KEEPS_TRUTH, "no power"
    verdict = HOLDS if near_truth(found) else FAILS
    conclude("threshold-cures [runaway]", verdict, found.mean, around=found, world="low-rank")


def test_threshold_does_not_cure_contraction(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """A generator that contracts variance to .8: what is rejected lies in the wrong tail, and variance falls as it does
    under random choice; value: variance. The control, matched selection, stays within 15%."""
    found = last_variance(Threshold("class"), 0.8, rng)
    matched = last_variance(Matched(shortfall="fill"), 0.8, rng)
    assert near_truth(matched), "the control, matched selection, was rejected"
    verdict = HOLDS if near_truth(found) else FAILS
    conclude("threshold-cures [contraction]", verdict, found.mean, FAILS, found, "low-rank")


RULES = (Top("class"), Random("class"), Threshold("class"), Matched(shortfall="fill"))


def kept_drift(along: str, rng: np.random.Generator) -> list[float]:
    """What each of RULES changes in the mean square of the drifted directions: kept over pool, less 1.

    Half of the pool is real, half has drifted by N(0, 1) in two directions: "orthogonal" to both subspaces, which the
    probe does not see, or along the "other" class's.
    """
    truth = TwoSubspaces(8, 2, QUARTER, 0.3)
    U = truth.frames(rng)
    real, drifted, held = (truth.draw(U, 400, rng) for _ in range(3))
    away = np.linalg.qr(np.concatenate([*U, rng.standard_normal((8, 2))], axis=1))[0][:, 4:6]
    where = np.stack([away, away]) if along == "orthogonal" else U[::-1]
    x = drifted.x + np.einsum("ndr,nr->nd", where[drifted.y], rng.standard_normal((len(drifted), 2)))
    pool = concat([real, Pool(x, drifted.y, 1)])
    energy = np.square(np.einsum("ndr,nd->nr", where[pool.y], pool.x)).sum(axis=1)
    reference = own_log_odds(held.x, held.y, U), held.y
    z = own_log_odds(pool.x, pool.y, U)
    chosen = (rule(z, pool.y, 400, reference=reference, rng=rng) for rule in RULES)
    return [float(energy[kept].mean() / energy.mean() - 1) for kept in chosen]


def test_orthogonal_drift(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """No rule changes drift that the probe does not see; value: the largest change, relative to the pool's.

    Control: drift along the other class's subspace, which every rule but random choice removes in part.
    """
    mean, error = batched(lambda: kept_drift("orthogonal", rng), 200)
    seen, _ = batched(lambda: kept_drift("other", rng))
    assert (-np.delete(seen, 1) > CONTROL * np.delete(error, 1)).all(), (
        "the control, drift along the probe, is kept"
    )
    worst = int(np.argmax(np.abs(mean) / error))
    around = Estimate(float(mean[worst]), float(error[worst]))
    stays = bool((np.abs(mean) <= STANDARD_ERRORS * error).all())
    conclude("orthogonal-drift", HOLDS if stays else FAILS, around.mean, around=around, world="low-rank")
