"""Does the two-subspace model, fitted to a generation's samples, say what the simulation shows of it?

Worlds and mechanisms are those of sims/sweeps.py; 200 samples a class are made and fitted each generation, 0 to 5
(top-N: 1 to 4). What is observed comes from fresh samples of the same generation's law (top-N: from what the lab's own
filter kept of the pool), what is predicted from the fit alone. D is their paired difference, one number a seed; a row
holds iff at every generation |mean D| is within the stated relative bias of the prediction + 5 standard errors,
confidences being judged by their shortfall from 1. Value: mean D over the prediction, where it is largest. A row that
fails is evidence, not an error; red is a control that is accepted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

from lsf.ole import nuclear_norms
from lsf.pool import Pool
from paper_checks.claims import claim
from paper_checks.statistics import FAILS, HOLDS, interval
from paper_checks.two_subspace import TwoSubspaceModel, fit, keep_top, predicted_ole
from paper_checks.verdicts import Evidence
from sims.analytic import Model, World
from sims.cells import Cell, Lab
from sims.curation import composition
from sims.mechanisms import NONE, Mechanisms
from sims.seeds import stream
from sims.sweeps import FULL, LOW_RANK, PLANES
from sims.turn import draw_made, equal_labels, turn
from tests.tolerances import BIAS_FITTED, CONTROL, Estimate, agrees_within_bias

PLACES = {"gaussian": FULL, "low-rank": LOW_RANK}
MECHANISMS = {
    "no mechanism": NONE,
    "noise floor": Mechanisms(floor=0.15),
    "leakage": Mechanisms(leakage=0.1),
    "contraction": Mechanisms(temperature=0.85),
}
SYN = ("Bayes confidence", "fixed-probe confidence", "raw OLE", "normalised OLE")
UNMOVED = {("contraction", "Bayes confidence"), ("contraction", "normalised OLE")}
"""What a mechanism does not move: there, as without any, the control is a model with half as much noise again."""
GENERATIONS = {"SYN": 5, "ACU-LSF-CLASS": 4}

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Observed, predicted, control."""


def seeds_of(seed: int, smoke: bool) -> range:
    return range(3000 + 1000 * seed, 3000 + 1000 * seed + (3 if smoke else 100))


def generations(cell: Cell) -> Iterator[tuple[Lab, Pool, list[Pool], Model]]:
    """The loop of the cell, generation by generation: lab, pool trained on, history (its own samples last), model."""
    lab = Lab(cell)
    model, pool = lab.generator.fit(lab.real, stream(cell.seed, "train", 0)), lab.real
    lab.start(model)
    history = [lab.real, draw_made(model, lab.truth.classes, cell.n, cell.seed, 0)]
    yield lab, pool, history, model
    policy = lab.policy(cell.policy)
    for k in range(1, cell.generations + 1):
        pool, model, made = turn(policy, lab.generator, history, model, cell.n, cell.seed, k)
        history.append(made)
        yield lab, pool, history, model


def seen(model: Model, Q: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Of fresh samples: shortfall of their law's Bayes probe and of the fixed one, OLE and OLEn of n a class."""
    y = equal_labels(model.law.classes, 4 * n)
    x = model.law.sample(y, rng)
    z = (x @ Q * x).sum(axis=1) / 2 * np.where(y == 1, 1, -1)
    parts = [nuclear_norms(x[i::2], y[i::2]) for i in range(2)]
    ole = np.mean([[c.sum() - whole, 1 - whole / c.sum()] for c, whole in parts], axis=0)
    return np.array([expit(-model.law.log_odds(x, y)).mean(), expit(-z).mean(), *ole])


def said(models: Sequence[TwoSubspaceModel], Qs: Sequence[np.ndarray], n: int) -> np.ndarray:
    """The same (models, measures), by the fitted models."""
    unsure = [[1 - m.confidence, 1 - m.probe_confidence(Q)] for m, Q in zip(models, Qs, strict=True)]
    return np.column_stack([np.array(unsure), *predicted_ole(models, n)])


def of_syn(cell: Cell) -> tuple[list[np.ndarray], list[TwoSubspaceModel], np.ndarray]:
    """(what is seen, the fitted model) of each generation; and the fixed probe, fitted to trusted real data."""
    observed, models, rank = [], [], cell.world.rank
    for k, (lab, _, history, model) in enumerate(generations(cell)):
        if k == 0:
            Q = fit(lab.trusted.x, lab.trusted.y, rank).probe
        models.append(fit(history[-1].x, history[-1].y, rank))
        observed.append(seen(model, Q, cell.n // 2, stream(cell.seed, "fresh", k)))
    return observed, models, Q


def syn(cells: Sequence[Cell], moved: np.ndarray) -> Triple:
    """Each (seeds, generations, measures), the control for the last generation alone: the fit of generation 0 where the
    measure has `moved`."""
    observed, models, Qs = zip(*map(of_syn, cells), strict=True)
    n = cells[0].n // 2
    predicted = np.stack([said(now, Qs, n) for now in zip(*models, strict=True)], axis=1)
    wrong = said([replace(path[-1], noise=1.5 * path[-1].noise) for path in models], Qs, n)
    return np.array(observed), predicted, np.where(moved, predicted[:, 0], wrong)[:, None]


def energies(M: Sequence[np.ndarray], probe: TwoSubspaceModel) -> np.ndarray:
    """Mean squares along the own and along the other fitted subspace, means over classes, from second moments M."""
    F, rank = probe.frames, probe.frames.shape[2]
    along = [[np.trace(F[i].T @ M[c] @ F[i]) / rank for i in (c, 1 - c)] for c in (0, 1)]
    return np.mean(along, axis=0)


def of_top(cell: Cell) -> tuple[list[np.ndarray], ...]:
    """Observed, predicted and control (random choice), generations 1 to the last: share of real data kept, mean squares
    along own and other."""
    found, models, rank = [], [], cell.world.rank
    for k, (lab, pool, history, _) in enumerate(generations(cell)):
        if k == 0:
            probe = fit(lab.trusted.x, lab.trusted.y, rank)
            models.append(fit(lab.real.x, lab.real.y, rank))
        else:
            share = composition(pool, lab.truth.classes)["share_real"]
            kept = [pool.x[pool.y == c] for c in (0, 1)]
            seen = [share, *energies([x.T @ x / len(x) for x in kept], probe)]
            found.append((seen, foretold(models, probe), indifferent(models, probe)))
        models.append(fit(history[-1].x, history[-1].y, rank))
    return tuple(map(list, zip(*found, strict=True)))


def foretold(models: Sequence[TwoSubspaceModel], probe: TwoSubspaceModel) -> list[float]:
    """What top-N keeps of blocks of these models."""
    Q = -probe.probe, probe.probe
    share = 1 / len(models)
    kept = [keep_top(Q[c], [m.covariances[c] for m in models], share) for c in (0, 1)]
    return [float(np.mean([parts[0] for parts, _ in kept])), *energies([M for _, M in kept], probe)]


def indifferent(models: Sequence[TwoSubspaceModel], probe: TwoSubspaceModel) -> list[float]:
    """What random choice keeps."""
    pooled = np.mean([m.covariances for m in models], axis=0)
    return [1 / len(models), *energies(pooled, probe)]


def of_runaway(cell: Cell) -> tuple[list[np.ndarray], ...]:
    """Share of real data kept, observed and e^-t with sum_j e^(-t/p_j) = 1; control as above."""
    found, rank = [], cell.world.rank
    p: list[float] = []
    for k, (lab, pool, history, _) in enumerate(generations(cell)):
        if k:
            ratio = np.array(p) / p[0]
            t = brentq(lambda t, ratio=ratio: np.exp(-t / ratio).sum() - 1, 0, 50 * ratio.max())
            found.append(([composition(pool, lab.truth.classes)["share_real"]], [np.exp(-t)], [1 / (k + 1)]))
        for block in history if k == 0 else history[-1:]:
            model = fit(block.x, block.y, rank)
            p.append(model.scale**2 * (1 + model.noise**2))
    return tuple(map(list, zip(*found, strict=True)))


def over_seeds(of: Callable[[Cell], tuple[list[np.ndarray], ...]], cells: Sequence[Cell]) -> Triple:
    """Each (seeds, generations, numbers)."""
    observed, predicted, control = (np.array(part) for part in zip(*map(of, cells), strict=True))
    return observed, predicted, control


def judged(
    name: str, where: str, triple: Triple, columns: slice, seeds: Sequence[int], smoke: bool
) -> Evidence:
    """Evidence from these columns; the control must be rejected at the last generation."""
    observed, predicted, control = (part[:, :, columns] for part in triple)
    target = predicted.mean(axis=0)
    for e, value in differences(observed[:, -1:], control[:, -1:]):
        powerful = abs(e.mean - value) > BIAS_FITTED * abs(value) + CONTROL * e.error
        assert smoke or powerful, f"{name}, {where}: {e} accepts the control {value}"
    good = all(agrees_within_bias(e, value, BIAS_FITTED) for e, value in differences(observed, predicted))
    D = ((observed - predicted) / target).reshape(len(observed), -1)
    ci = interval(D[:, np.abs(D.mean(axis=0)).argmax()])
    verdict = HOLDS if good else FAILS
    return Evidence(claim(name), where, verdict, ci.mean, (ci.low, ci.high), tuple(seeds))


def differences(observed: np.ndarray, said: np.ndarray) -> Iterator[tuple[Estimate, float]]:
    """For each number: the mean of what is said, and that plus the paired difference, with its error over seeds."""
    D = (observed - said).reshape(len(said), -1)
    for d, value in zip(D.T, said.reshape(len(said), -1).mean(axis=0), strict=True):
        yield Estimate(float(value + d.mean()), float(d.std(ddof=1) / np.sqrt(len(d)))), float(value)


def cells_of(
    world: World, policy: str, mechanism: Mechanisms, seeds: Sequence[int], n: int = 400
) -> list[Cell]:
    return [Cell(world, policy, s, mechanism, n=n, generations=GENERATIONS[policy]) for s in seeds]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("kind", MECHANISMS)
def test_syn(kind: str, where: str, report: list[Evidence], seed: int, smoke: bool) -> None:
    """Confidences and OLE of SYN."""
    moved = np.array([kind != "no mechanism" and (kind, measure) not in UNMOVED for measure in SYN])
    seeds = seeds_of(seed, smoke)
    triple = syn(cells_of(PLACES[where], "SYN", MECHANISMS[kind], seeds), moved)
    for i, measure in enumerate(SYN):
        name = f"two-subspace-model-syn [{measure}, {kind}]"
        report.append(judged(name, where, triple, slice(i, i + 1), seeds, smoke))


@pytest.mark.parametrize("where", PLACES)
def test_known_means(where: str, report: list[Evidence], seed: int, smoke: bool) -> None:
    """Bayes confidence of SYN without a mechanism, where class means cannot drift: is it they that the model lacks?"""
    seeds = seeds_of(seed, smoke)
    cells = cells_of(replace(PLACES[where], known_mean=True), "SYN", NONE, seeds)
    triple = syn(cells, np.zeros(len(SYN), dtype=bool))
    name = "two-subspace-model-syn [Bayes confidence, known means]"
    report.append(judged(name, where, triple, slice(0, 1), seeds, smoke))


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("kind", MECHANISMS)
def test_top_n(kind: str, where: str, report: list[Evidence], seed: int, smoke: bool) -> None:
    """What the lab's filter keeps of the pool, by class, half the first pool and a fifth of the last."""
    seeds = seeds_of(seed, smoke)
    cells = cells_of(PLACES[where], "ACU-LSF-CLASS", MECHANISMS[kind], seeds)
    triple = over_seeds(of_top, cells)
    for measure, columns in (
        ("share of real data kept", slice(0, 1)),
        ("kept second moments", slice(1, 3)),
    ):
        name = f"two-subspace-model-top-n [{measure}, {kind}]"
        report.append(judged(name, where, triple, columns, seeds, smoke))


def test_runaway_limit(report: list[Evidence], seed: int, smoke: bool) -> None:
    """The closed form of low noise, from fitted variances alone; a generator that contracts variance to 0.8."""
    seeds = seeds_of(seed, smoke)
    cells = cells_of(PLANES, "ACU-LSF-CLASS", Mechanisms(temperature=0.8), seeds, n=1000)
    name = "two-subspace-model-top-n [share of real data kept, runaway limit]"
    report.append(judged(name, "low-rank", over_seeds(of_runaway, cells), slice(0, 1), seeds, smoke))
