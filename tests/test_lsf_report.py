"""The report counts right, and each warning fires where it should and stays silent where it should not."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, hypergeom, norm
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

from lsf import (
    DensityRatioFilter,
    LatentSpaceFilter,
    Matched,
    Random,
    RankSumFilter,
    ShrunkHerdFilter,
    Threshold,
    Top,
    TrimHerdFilter,
)
from lsf.report import LEVEL, PROBABILITIES, Report, above_real, report
from lsf.spread import Spread
from tests.tolerances import FALSE_ALARM, close

CLASSES, FEATURES = 3, 4
PAPER = Top()
Samples = tuple[np.ndarray, np.ndarray]


def _drawn(rng: np.random.Generator, n: int, spread: float = 1.0) -> Samples:
    """n samples a class about corners, `spread` times as far from them as real data."""
    y = np.repeat(np.arange(CLASSES), n)
    return 2 * np.eye(CLASSES, FEATURES)[y] + spread * rng.standard_normal((len(y), FEATURES)), y


def _reported(rng: np.random.Generator, pool: Samples, rule: Any = PAPER, budget: int = 300) -> Report:
    fitted = LatentSpaceFilter(rule=rule, random_state=0).fit(*_drawn(rng, 200))
    kept = fitted.select(*pool, budget, rng)
    return fitted.report(*pool, kept, real=_drawn(rng, 200))


def _fired(found: Report, words: str) -> bool:
    return any(words in warning for warning in found.warnings)


# --- what it says ---


def test_figures_are_those_of_the_definition(rng: np.random.Generator) -> None:
    x, y = _drawn(rng, 50)
    labels = 3 * y - 1
    x_real, y_real = _drawn(rng, 80)
    fitted = LatentSpaceFilter().fit(x_real, 3 * y_real - 1)
    kept = fitted.select(x, labels, 60)
    x_held, y_held = _drawn(rng, 40)
    found = fitted.report(x, labels, kept, real=(x_held, 3 * y_held - 1))
    assert found.classes.tolist() == [-1, 2, 5]
    assert found.in_pool.tolist() == [50, 50, 50]
    assert found.kept.tolist() == np.bincount(y[kept]).tolist()
    for k in range(CLASSES):
        mine = kept[y[kept] == k]
        traces = [np.trace(np.cov(part, rowvar=False)) for part in (x[mine], x[y == k])]
        assert close(found.spread[k], traces[0] / traces[1])
    scores = fitted.score_samples(x, labels)
    assert close(found.quantiles["pool"], np.quantile(scores, PROBABILITIES))
    assert close(found.quantiles["kept"], np.quantile(scores[kept], PROBABILITIES))
    right = (fitted.predict_proba(x_held).argmax(axis=1) == y_held).sum()
    assert found.accuracy is not None
    assert found.accuracy[0] == right / 120
    assert found.accuracy[1] < found.accuracy[0] < found.accuracy[2]
    assert close(found.chance, 1 / 3)


def test_spread_of_parts_is_that_of_the_whole(rng: np.random.Generator) -> None:
    """Far from the origin too, where a sum of squares would lose every digit; control: parts that are not joined."""
    h, own = 1e6 + rng.standard_normal((300, 4)), rng.integers(0, 3, 300)
    h[own == 1] += 5 * np.arange(300)[own == 1, None]  # parts differ in their means
    parts, whole, one = Spread(4), Spread(4), Spread(4)
    whole.add(h, own)
    for rows in np.split(np.arange(300), [1, 7, 150]):
        parts.add(h[rows], own[rows])
    one.add(h[:150], own[:150])
    target = [np.trace(np.cov(h[own == k], rowvar=False)) for k in range(3)]
    for found in (parts, whole):
        assert close(found.traces()[:3], target, condition=1e3)
        assert np.isnan(found.traces()[3]), "of a class without samples"
    assert not close(one.traces()[:3], target, condition=1e3)
    assert np.isnan(parts.over(whole)[3])


def test_the_rank_test_is_its_definition(rng: np.random.Generator) -> None:
    """Of one class, with ties, against all ways to call 4 of 9 the pool's: its mean and variance over them."""
    values = np.array([1.0, 2, 2, 2, 3, 4, 5, 5, 6])
    a = -np.log(np.arange(1, 10) / 10)
    a[1:4], a[6:8] = a[1:4].mean(), a[6:8].mean()
    sums = np.array([a[list(chosen)].sum() for chosen in combinations(range(9), 4)])
    pool = np.array([3, 5, 7, 8])
    oracle = norm.sf((sums.mean() - a[pool].sum()) / sums.std())
    found = above_real(np.delete(values, pool), np.zeros(5, int), values[pool], np.zeros(4, int))
    assert close(found, oracle)
    assert not close(
        above_real(values[pool], np.zeros(4, int), np.delete(values, pool), np.zeros(5, int)), oracle
    )
    assert above_real(values, np.zeros(9, int), values, np.ones(9, int)) == 1, "no class has both"


def test_it_reads_well(rng: np.random.Generator) -> None:
    text = str(_reported(rng, _drawn(rng, 300, 0.7)))
    assert "kept 300 of 900 samples" in text
    for word in ("class", "real", "pool", "kept", "held-out real data", "warning: pool scores lie above"):
        assert word in text
    assert max(map(len, text.splitlines()[:10])) <= 80


@pytest.mark.parametrize(
    "prototype", [DensityRatioFilter(), RankSumFilter(), TrimHerdFilter(), ShrunkHerdFilter()], ids=repr
)
def test_every_filter_reports(prototype: Any, rng: np.random.Generator) -> None:
    fitted, (x, y) = prototype.fit(*_drawn(rng, 30)), _drawn(rng, 40)
    found = fitted.report(x, y, fitted.select(x, y, 60))
    assert found.kept.sum() == 60
    assert ("pool" in found.quantiles) == hasattr(fitted, "score_pool")
    assert found.accuracy is found.above is None
    assert "compare with the pool" in found.unchecked[0]


def test_held_out_data_of_the_rule_serve_too(rng: np.random.Generator) -> None:
    fitted = LatentSpaceFilter(rule=Matched(shortfall="fill"), random_state=0).fit(*_drawn(rng, 100))
    x, y = _drawn(rng, 60)
    kept = fitted.select(x, y, 60)
    found = fitted.report(x, y, kept)
    x_all, y_all = _drawn(rng, 100)
    assert found.quantiles.keys() == {"real", "pool", "kept"}
    assert not found.unchecked
    assert found.accuracy is not None
    assert found.accuracy[0] == fitted.held_out_right_.mean()
    without = LatentSpaceFilter().fit(x_all, y_all)
    assert "give real=(x, y)" in without.report(x, y, kept).unchecked[0]


# --- pool scores above real ones ---


@pytest.mark.parametrize("kind", ["narrow", "inward"])
def test_a_pool_easier_than_reality_is_warned_of(kind: str, rng: np.random.Generator) -> None:
    """A generator that contracts classes, and one that only makes what a filter would keep anyway."""
    pool = _drawn(rng, 300, 0.7)
    if kind == "inward":
        x, y = _drawn(rng, 600)
        sure = LatentSpaceFilter(rule=Top("class")).fit(*_drawn(rng, 200)).select(x, y, 900)
        pool = x[sure], y[sure]
    found = _reported(rng, pool)
    assert _fired(found, "pool scores lie above")
    assert (found.spread < 1).all(), "and the most confident narrow it"


def test_a_sound_or_a_noisy_pool_is_not(rng: np.random.Generator) -> None:
    sound, noisy = (
        sum(_fired(_reported(rng, _drawn(rng, 300, spread)), "pool scores lie") for _ in range(10))
        for spread in (1.0, 1.5)
    )
    assert binomtest(sound, 10, LEVEL, "greater").pvalue > FALSE_ALARM
    assert noisy == 0


def test_a_sound_pool_is_warned_of_as_often_as_stated(rng: np.random.Generator) -> None:
    """Values below .05 come to a twentieth of sound pools, sizes of classes unequal; control: a shifted pool."""

    def alarms(shift: float, rounds: int = 300) -> int:
        y_real, y = np.repeat([0, 1, 2], [10, 60, 30]), np.repeat([0, 1, 2], [200, 40, 90])
        level = np.array([0.0, 5.0, -3.0])  # classes differ in score: strata must not be mixed
        draws = (
            (rng.standard_normal(100) + level[y_real], rng.standard_normal(330) + level[y] + shift)
            for _ in range(rounds)
        )
        return sum(above_real(real, y_real, pool, y) < 0.05 for real, pool in draws)

    assert binomtest(alarms(0.0), 300, 0.05).pvalue > FALSE_ALARM
    assert binomtest(alarms(0.3), 300, 0.05).pvalue < FALSE_ALARM


def test_the_same_on_handwritten_digits(rng: np.random.Generator) -> None:
    """Real digits as a pool: silent. Drawn to their class mean by three tenths: warned of. With noise: silent."""
    x, y = load_digits(return_X_y=True)
    order = rng.permutation(len(x))
    real, held, pool = order[:700], order[700:1200], order[1200:]
    mean = np.stack([x[real][y[real] == c].mean(axis=0) for c in range(10)])[y[pool]]
    fitted = LatentSpaceFilter().fit(x[real], y[real])
    for x_pool, warned in (
        (x[pool], None),
        (mean + 0.7 * (x[pool] - mean), True),
        (x[pool] + 3 * rng.standard_normal(x[pool].shape), False),
    ):
        kept = fitted.select(x_pool, y[pool], 300)
        found = fitted.report(x_pool, y[pool], kept, real=(x[held], y[held]))
        assert found.above is not None
        if warned is None:
            assert found.above > FALSE_ALARM
        else:
            assert _fired(found, "pool scores lie above") == warned
        assert not _fired(found, "chance")


# --- a class starved ---


def test_a_starved_class_is_named(rng: np.random.Generator) -> None:
    """The pool's class 2 is blurred: a global top leaves it out, a quota does not."""
    x, y = _drawn(rng, 300)
    x[y == 2] += rng.standard_normal((300, FEATURES)) - 2 * np.eye(CLASSES, FEATURES)[2]
    found = _reported(rng, (x, y))
    assert _fired(found, "class 2 is starved")
    assert not _fired(found, "class 0 is starved")
    assert not _fired(_reported(rng, (x, y), Top("class")), "starved")


def test_levels_of_starving_are_shared_by_the_classes(rng: np.random.Generator) -> None:
    """Kept 5 of a class of ten, fair share 20: chance gives so few in 1 of 6,000, more than LEVEL / 10."""
    y = np.repeat(np.arange(10), 100)
    fitted = LatentSpaceFilter().fit(y[:, None] + rng.standard_normal((1000, 1)), y)
    p = {n: hypergeom.cdf(n, 1000, 100, 200) for n in range(12)}
    between = [n for n in p if LEVEL / 10 < p[n] < LEVEL]
    below = [n for n in p if p[n] < LEVEL / 10]
    for n, fires in [(between[-1], False), (below[-1], True)]:
        others = np.flatnonzero(y > 0)
        kept = np.sort(np.concatenate([np.arange(n), rng.permutation(others)[: 200 - n]]))
        found = fitted.report(y[:, None].astype(float), y, kept)
        assert _fired(found, "class 0 is starved") == fires, n


def test_an_absent_class_is_named(rng: np.random.Generator) -> None:
    x, y = _drawn(rng, 300)
    found = _reported(rng, (x[y != 2], y[y != 2]), Top("class", "fill"), budget=45)
    assert _fired(found, "class 2 is absent")
    assert not _fired(found, "starved")


def test_equal_shares_starve_nobody(rng: np.random.Generator) -> None:
    """Of a pool in which fifteen of class 0 come to one of the others, a third is no starvation."""
    x, y = _drawn(rng, 900)
    rare = (y == 0) | (np.arange(2700) % 15 == 0)
    found = _reported(rng, (x[rare], y[rare]), Top("class"), budget=60)
    assert found.kept.tolist() == [20, 20, 20]
    assert not _fired(found, "starved")


def test_random_choice_starves_nobody(rng: np.random.Generator) -> None:
    """Also at small budgets, where a class often goes empty."""
    fitted, (x, y) = LatentSpaceFilter().fit(*_drawn(rng, 50)), _drawn(rng, 60)
    found = [
        report(fitted, x, y, Random()(np.zeros(180), y, n, rng=rng)) for n in (5, 20, 60) for _ in range(40)
    ]
    fired = sum(_fired(one, "starved") for one in found)
    assert binomtest(fired, len(found), LEVEL, "greater").pvalue > FALSE_ALARM
    assert any((one.kept == 0).any() for one in found)


# --- a probe no better than chance ---


def test_a_blind_probe_is_warned_of(rng: np.random.Generator) -> None:
    x, y = _drawn(rng, 100)
    shuffled = rng.permutation(y)
    fitted = LatentSpaceFilter(rule=Threshold(shortfall="fill"), random_state=0).fit(x, shuffled)
    pool = _drawn(rng, 60)
    blind = fitted.report(
        *pool, np.arange(30), real=(lambda a: (a[0], rng.permutation(a[1])))(_drawn(rng, 100))
    )
    assert _fired(blind, "no better than chance")
    assert not _fired(_reported(rng, pool, budget=60), "chance")


def test_chance_is_the_largest_class(rng: np.random.Generator) -> None:
    """Nine tenths in one class: 90% right is no better than chance."""
    y = (np.arange(400) % 10 == 0).astype(int)
    x = rng.standard_normal((400, 3))
    fitted = LatentSpaceFilter().fit(x[:200], y[:200])
    found = fitted.report(x, y, np.arange(30), real=(x[200:], y[200:]))
    assert found.accuracy is not None
    assert found.accuracy[0] > 0.8
    assert _fired(found, "no better than chance")


def test_too_few_to_tell_is_no_warning(rng: np.random.Generator) -> None:
    """A fair probe, beside 12 held-out samples: its interval holds chance and much else. Beside 300 it does not."""
    y = np.arange(660) % 2
    x = rng.standard_normal((660, 2)) + 0.45 * np.array([[1, 0], [-1, 0]])[y]
    fitted = LatentSpaceFilter().fit(x[:300], y[:300])
    for few in range(300, 420, 12):
        found = fitted.report(x, y, np.arange(30), real=(x[few : few + 12], y[few : few + 12]))
        assert not _fired(found, "no better than chance")
        assert found.accuracy is not None
        told = any("too few to tell" in text for text in found.unchecked)
        assert told == (found.accuracy[1] <= 0.5)
    assert not fitted.report(x, y, np.arange(30), real=(x[360:], y[360:])).unchecked


# --- what is refused ---


@pytest.mark.parametrize(
    ("kept", "error", "match"),
    [
        ([0.5], TypeError, "kept must be indices"),
        (np.ones(30, bool), TypeError, "kept must be indices"),
        ([30], ValueError, "from 0 to 29"),
        ([-1], ValueError, "from 0 to 29"),
        (np.zeros(0, int), ValueError, "at least one"),
        ([1, 1], ValueError, "twice"),
    ],
)
def test_bad_indices(kept: Any, error: type[Exception], match: str, rng: np.random.Generator) -> None:
    fitted, (x, y) = LatentSpaceFilter().fit(*_drawn(rng, 20)), _drawn(rng, 10)
    with pytest.raises(error, match=match):
        fitted.report(x, y, kept)


def test_other_bad_arguments(rng: np.random.Generator) -> None:
    fitted, (x, y) = LatentSpaceFilter().fit(*_drawn(rng, 20)), _drawn(rng, 10)
    with pytest.raises(TypeError, match="real must be a pair"):
        fitted.report(x, y, [0], real=x)
    with pytest.raises(ValueError, match="never seen"):
        fitted.report(x, y + 1, [0])
    with pytest.raises(ValueError, match="real x has 1 NaN"):
        fitted.report(x, y, [0], real=(np.where(np.arange(30)[:, None] + np.arange(4) == 0, np.nan, x), y))
    with pytest.raises(NotFittedError):
        LatentSpaceFilter().report(x, y, [0])
