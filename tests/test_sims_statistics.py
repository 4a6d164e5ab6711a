"""The law-exact engine of the worlds: the law of the engine that draws every point, its pooling exact, its refusals."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from lsf.pool import Pool
from sims import statistics
from sims.analytic import WORLDS, ClassFit, World
from sims.cells import Cell, run_cell
from sims.mechanisms import Mechanisms
from sims.seeds import stream
from sims.statistics import EXACT_POLICIES, Statistics, drawn, pooled
from tests.tolerances import CONTROL, FLOAT64, STANDARD_ERRORS, close

WORLD = World(dim=5, rank=2, noise=0.2, angles=90.0, fit="ppca")
EVERYTHING = Mechanisms(leakage=0.5, temperature=0.9, floor=0.2, rotation=3.0)
READ = ("kl", "bures", "energy_own", "energy_off", "smallest_class")
SEEDS = 60


@cache
def readings(engine: str, policy: str, first: int, n: int = 60, world: World = WORLD) -> np.ndarray:
    """(seeds, measures) of generation 2; logarithms, so that a mean over seeds has a variance to speak of."""
    cells = [
        Cell(world, policy, first + s, EVERYTHING, n, 2, measures=("laws",), engine=engine)
        for s in range(SEEDS)
    ]
    return np.log(np.array([[run_cell(cell)[-1][name] for name in READ] for cell in cells]))


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Differences of means and of standard deviations over their standard errors; 0 where neither varies."""
    error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / SEEDS)
    spread = np.log(a.std(axis=0) + 1e-12) - np.log(b.std(axis=0) + 1e-12)
    means = np.abs(a.mean(axis=0) - b.mean(axis=0)) / np.maximum(error, 1e-12)
    # s.d. of a log standard deviation, normal: sqrt(1/(2 n)); these have heavier tails
    return np.concatenate([means, np.abs(spread) / np.sqrt(2 / SEEDS)])


@pytest.mark.parametrize("policy", EXACT_POLICIES)
def test_both_engines_have_one_law(policy: str, seed: int) -> None:
    a = readings("sampling", policy, 10_000 * seed)
    b = readings("law-exact", policy, 10_000 * seed + 5_000)
    assert (apart(a, b) < STANDARD_ERRORS).all()


def test_control_fewer_points_are_another_law(seed: int) -> None:
    """A quarter of the points: the mistake of a wrong count shows."""
    a = readings("sampling", "SYN", 10_000 * seed)
    b = readings("law-exact", "SYN", 10_000 * seed + 5_000, n=14)
    assert apart(a, b).max() > CONTROL


def test_control_a_lost_component_is_another_law(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leak that is forgotten shows: only the class's own component is drawn."""
    real = statistics.drawn

    def purer(law: Any, c: int, *rest: Any) -> Statistics:
        own = np.zeros_like(law.weights)
        own[np.arange(len(own)), np.arange(len(own)) * (law.weights.shape[1] // len(own))] = 1
        return real(replace(law, weights=own), c, *rest)

    a = readings("sampling", "SYN", 10_000 * seed)
    monkeypatch.setattr(statistics, "drawn", purer)
    b = readings.__wrapped__("law-exact", "SYN", 10_000 * seed + 5_000)
    assert apart(a, b).max() > CONTROL


def test_pooling_is_exact(rng: np.random.Generator) -> None:
    x = rng.standard_normal((50, 4)) * [1, 2, 3, 4] + 5
    parts = [x[:7], x[7:8], x[8:]]
    of = [Statistics(len(p), p.mean(0), (p - p.mean(0)).T @ (p - p.mean(0)), len(p), 0.0) for p in parts]
    whole = pooled([*of, Statistics(0, np.zeros(4), np.zeros((4, 4)))])
    assert (whole.count, whole.real) == (50, 50)
    assert close(whole.mean, x.mean(0))
    assert close(whole.scatter, (x - x.mean(0)).T @ (x - x.mean(0)), condition=1e3)


def test_fit_of_statistics_is_the_fit_of_their_points(rng: np.random.Generator) -> None:
    for world in (WORLD, replace(WORLD, known_mean=True), replace(WORLD, fit="full", unbiased=True)):
        truth = world.truth(0)
        generator = ClassFit(world, truth)
        y = np.repeat(truth.classes, 40)
        x = truth.sample(y, rng)
        points = generator.fit(Pool(x, y, 0), rng).fitted
        by_class = [x[y == c] for c in truth.classes]
        known = generator.fit_statistics(
            [(len(p), p.mean(0), (p - p.mean(0)).T @ (p - p.mean(0))) for p in by_class]
        ).fitted
        assert close(known.means, points.means)
        assert close(known.covariances, points.covariances)


def test_time_does_not_grow_with_n(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand million points a class: nothing of that size is drawn, and the truth comes back."""
    cell = Cell(WORLD, "SYN", 0, n=2 * 10**10, generations=2, measures=("laws",), engine="law-exact")
    assert run_cell(cell)[-1]["kl"] < FLOAT64 * 1e4


def test_drawn_counts(rng: np.random.Generator) -> None:
    law = Mechanisms(leakage=0.3).apply(WORLD.truth(0))
    assert drawn(law, 0, 17, rng, 2).count == 17
    assert drawn(law, 1, 0, rng, 2).count == 0


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"policy": "ACUR"}, "ACUR"),
        ({"policy": "ACU-LSF"}, "ACU-LSF"),
        ({"world": WORLDS["curved"]}, "sphere|normal"),
        ({"world": WORLDS["minority"]}, "minority"),
        ({"measures": ("samples",)}, "measures"),
        ({"kept": 0.5}, "kept"),
        ({"engine": "quick"}, "engine"),
    ],
)
def test_what_has_no_statistics_is_refused(settings: dict[str, Any], word: str) -> None:
    good: dict[str, Any] = {"world": WORLD, "policy": "SYN", "seed": 0, "measures": ("laws",)}
    with pytest.raises(ValueError, match=word):
        Cell(**{**good, "engine": "law-exact", **settings})


def test_streams_are_the_seeds_own() -> None:
    a, b = (Cell(WORLD, "ACU", s, generations=2, measures=("laws",), engine="law-exact") for s in (1, 2))
    assert run_cell(a) == run_cell(a)
    assert run_cell(a) != run_cell(b)
    assert stream(1, "statistics", 1).random() != stream(2, "statistics", 1).random()
