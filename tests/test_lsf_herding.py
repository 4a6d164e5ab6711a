"""Trim, then herd: each part against its definition, and what it does to drifted and sound pools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lsf import LatentSpaceFilter, Random, Top, herding, laws
from lsf.density_ratio import ClassScale, RankSumFilter
from lsf.herding import (
    TrimHerdFilter,
    excess,
    herd,
    left_out_confidences,
    left_out_energies,
    mean_distance,
    shares_of,
)
from tests.tolerances import FALSE_ALARM, STANDARD_ERRORS, close


def energy_distance(a: np.ndarray, b: np.ndarray) -> float:
    """2 E|a - b| - E|a - a'| - E|b - b'| of two samples (n, d), (m, d)."""
    return float(2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean())


# --- herding ---


@pytest.mark.parametrize("d", [1, 3])
def test_herd_is_greedy_in_the_energy_distance(d: int, rng: np.random.Generator) -> None:
    x, real = 2 * rng.standard_normal((40, d)), rng.standard_normal((15, d))
    picked: list[int] = []
    for _ in range(25):
        left = [i for i in range(len(x)) if i not in picked]
        picked.append(min(left, key=lambda i: energy_distance(x[[*picked, i]], real)))
    assert herd(x, mean_distance(x, real), 25).tolist() == picked
    assert herd(x, mean_distance(x, real + 1), 25).tolist() != picked


def test_herd_takes_all_and_ties_by_index(rng: np.random.Generator) -> None:
    x = rng.standard_normal((30, 2))
    assert np.array_equal(np.sort(herd(x, mean_distance(x, x), 30)), np.arange(30))
    order = herd(np.vstack([x, x]), np.tile(mean_distance(x, x), 2), 40).tolist()
    assert all(i - 30 not in order or order.index(i - 30) < order.index(i) for i in order if i >= 30)
    assert all(i - 30 in order for i in order if i >= 30)


def test_herd_in_blocks_is_herd(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, real = rng.standard_normal((100, 3)), rng.standard_normal((20, 3))
    whole = herd(x, mean_distance(x, real), 30)
    monkeypatch.setattr(herding, "BLOCK", 7)
    np.testing.assert_array_equal(herd(x, mean_distance(x, real), 30), whole)


@given(budget=st.integers(0, 60), have=st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_shares_are_as_equal_as_they_can_be(budget: int, have: list[int]) -> None:
    budget = min(budget, sum(have))
    shares = shares_of(budget, np.array(have))
    assert shares.sum() == budget
    assert (shares <= have).all()
    spare = shares < have
    assert not spare.any() or shares[spare].min() >= shares.max() - 1


# --- the trim ---


def test_excess_by_hand() -> None:
    mean = np.sqrt(np.pi / 8 * (1 / 4 + 1 / 4))
    assert close(excess(np.arange(4.0), np.full(4, -1.0)), 1 - mean)
    assert close(excess(np.arange(4.0), np.array([-1.0, -1.0, -1.0, 5.0])), 0.75 - mean)
    assert close(excess(np.arange(4.0), np.array([0.0, 1.0, 2.0, 3.0])), 0)  # equal scores are no excess
    assert close(excess(np.arange(4.0), np.full(4, 9.0)), 0)  # too good is not off


def test_excess_of_one_law_is_null_on_average(rng: np.random.Generator) -> None:
    """The Smirnov distance of two samples of one law has the mean that is taken off, and is never far above."""
    m, n = 400, 900
    error = np.sqrt(1 / m + 1 / n)
    found = np.array([excess(rng.random(m), rng.random(n)) for _ in range(400)])
    assert found.max() < np.sqrt(np.log(len(found) / FALSE_ALARM) / 2) * error
    above = (found > 0).mean()  # of a Rayleigh law, exp(-pi/4) = 0.456 lies above its mean
    assert abs(above - np.exp(-np.pi / 4)) < STANDARD_ERRORS * 0.5 / np.sqrt(len(found)) + 1 / np.sqrt(m)
    shifted = np.array([excess(rng.random(m), rng.random(n) - 0.2) for _ in range(100)])
    assert shifted.min() > 0


def test_left_out_energies_by_leaving_out(rng: np.random.Generator) -> None:
    h, y = rng.standard_normal((30, 4)) * [1, 5, 0.1, 0] + 3, np.arange(30) % 2
    z = ClassScale(h, y)(h, y)
    expected = np.empty(30)
    for i in range(30):
        others = h[(y == y[i]) & (np.arange(30) != i)]
        scale = np.where(others.std(axis=0) > 0, others.std(axis=0), 1)
        # as for the pool, 15 samples of a class tell nothing beyond sqrt(15) standard deviations
        expected[i] = np.minimum(np.square((h[i] - others.mean(axis=0)) / scale), 15).mean()
    assert close(left_out_energies(z, y), expected, condition=10)
    assert not close(left_out_energies(z, y), np.square(z).mean(axis=1), condition=10)


def test_left_out_confidences_are_not_those_of_samples_seen(rng: np.random.Generator) -> None:
    """Labels by coin: a probe that has seen a sample is sure of it, one that has not is no surer than of fresh."""
    h, y = rng.standard_normal((2, 600, 120)), rng.integers(0, 2, (2, 600))
    fitted = LatentSpaceFilter().fit(h[0], y[0])
    seen, fresh = fitted.score_samples(h[0], y[0]), fitted.score_samples(h[1], y[1])
    left_out = left_out_confidences(None, h[0], y[0])
    error = np.sqrt(left_out.var() / 600 + fresh.var() / 600)
    assert abs(left_out.mean() - fresh.mean()) < STANDARD_ERRORS * error
    assert seen.mean() > fresh.mean() + STANDARD_ERRORS * error


@pytest.mark.parametrize("eps", [0.0, 1.0])
def test_trim_goes_from_herding_alone_to_the_rank_sum(
    eps: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = laws.world_from(classes=3, features=3, per_class=15, share=0.5, seed=seed)
    monkeypatch.setattr(TrimHerdFilter, "_contamination", lambda self, *seen: np.full(3, eps))
    kept, alone, by_rank = (
        f.fit(world.x_real, world.y_real).select(world.x, world.y, world.budget)
        for f in (TrimHerdFilter(), TrimHerdFilter(trim=False), RankSumFilter())
    )
    np.testing.assert_array_equal(kept, by_rank if eps else alone)
    assert not np.array_equal(alone, by_rank)


@settings(max_examples=10)
@given(
    features=st.integers(2, 6),
    per_class=st.integers(6, 20),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_choice_does_not_depend_on_the_order(features: int, per_class: int, share: float, seed: int) -> None:
    """As sets of samples, for many are copies. Of herding alone, since whole ranks tie in the trim, and of
    two features or more: in one the energy distance has flat pieces, whose ties rounding breaks.
    """
    world = laws.world_from(2, features, per_class, share, seed)
    p = world.rng().permutation(len(world.x))
    fitted = TrimHerdFilter(trim=False).fit(world.x_real, world.y_real)
    kept = world.x[fitted.select(world.x, world.y, world.budget)]
    permuted = world.x[p][fitted.select(world.x[p], world.y[p], world.budget)]
    np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (kept, permuted)))


# --- what it is for ---


class Chance(LatentSpaceFilter):
    """Random choice, class by class."""

    def __init__(self) -> None:
        super().__init__(rule=Random("class"), random_state=0)


class Surest(LatentSpaceFilter):
    """The paper's rule with a quota."""

    def __init__(self) -> None:
        super().__init__(rule=Top("class"))


def _worlds(rng: np.random.Generator, off: float, count: int = 12) -> Any:
    """Trusted data, a pool of which the share `off` is wide and shifted, and fresh real data; d = 8."""
    y_real, y, y_fresh = (np.arange(n) % 2 for n in (300, 600, 1200))
    for _ in range(count):
        means = rng.standard_normal((2, 8))
        x_real, x, fresh = (means[t] + rng.standard_normal((len(t), 8)) for t in (y_real, y, y_fresh))
        bad = rng.random(len(y)) < off
        x[bad] = means[y[bad]] + 0.4 + 1.4 * (x[bad] - means[y[bad]])
        yield x_real, y_real, x, y, fresh, y_fresh, bad


def _distances(make: Any, rng: np.random.Generator, off: float) -> np.ndarray:
    """Rows: energy distances of fresh real data to what `make()` keeps, to a random choice, to trusted data."""
    rows = []
    for x_real, y_real, x, y, fresh, y_fresh, _ in _worlds(rng, off):
        kept = make().fit(x_real, y_real).select(x, y, 150, rng)
        chosen = Random("class")(np.zeros(len(y)), y, 150, rng=rng)
        sets = ((x[kept], y[kept]), (x[chosen], y[chosen]), (x_real, y_real))
        by_class = [[energy_distance(a[b == c], fresh[y_fresh == c]) for a, b in sets] for c in (0, 1)]
        rows.append(np.mean(by_class, axis=0))
    return np.array(rows)


def _surely(differences: np.ndarray) -> bool:
    """Is their mean positive by 5 standard errors?"""
    return differences.mean() > STANDARD_ERRORS * differences.std(ddof=1) / np.sqrt(len(differences))


def restores(make: Any, rng: np.random.Generator) -> None:
    """From a pool half of which is off, what is kept is nearer to reality than a random choice."""
    kept, by_chance, _ = _distances(make, rng, 0.5).T
    assert _surely(by_chance - kept)


def does_no_harm(make: Any, rng: np.random.Generator) -> None:
    """From a sound pool, what is kept is as near to reality as a random choice, or as trusted data are."""
    kept, by_chance, trusted = _distances(make, rng, 0.0).T
    assert not _surely(kept - np.maximum(by_chance, trusted))


@pytest.mark.parametrize("law", [restores, does_no_harm])
def test_kept_set_is_like_reality(law: Any, rng: np.random.Generator) -> None:
    law(TrimHerdFilter, rng)


@pytest.mark.parametrize(
    ("law", "make"),
    [(restores, Chance), (restores, Surest), (does_no_harm, Surest), (does_no_harm, RankSumFilter)],
)
def test_other_filters_are_not(law: Any, make: Any, rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError):
        law(make, rng)


def test_contamination_is_a_lower_bound_that_tells_foul_from_sound(rng: np.random.Generator) -> None:
    eps = {
        off: np.array(
            [TrimHerdFilter().fit(*world[:2]).contamination(*world[2:4]) for world in _worlds(rng, off)]
        ).ravel()
        for off in (0.0, 0.5, 1.0)
    }
    assert eps[0.5].mean() < 0.5
    assert _surely(eps[0.5][: len(eps[0.0])] - eps[0.0])
    assert _surely(eps[1.0] - eps[0.5])


def test_contamination_is_the_larger_of_two(rng: np.random.Generator) -> None:
    """Wrong labels of near classes are seen by confidence; a wrong spread in many features by energy."""
    y_real, y = np.arange(200) % 2, np.arange(600) % 2
    x_real, x = (
        3 * t[:, None] * (np.arange(40) == 0) + rng.standard_normal((len(t), 40)) for t in (y_real, y)
    )
    fitted = TrimHerdFilter().fit(x_real, y_real)
    larger = []
    for pool, labels in ((x, np.where(np.arange(600) < 300, 1 - y, y)), (1.3 * x, y)):
        z, confidence = fitted.rank_sum_.ratio_.scale_(pool, labels), fitted.rank_sum_.confidence_
        own, own_real = labels == 1, y_real == 1
        by_energy = excess(-fitted.reference_[0][own_real], -np.square(z[own]).mean(axis=1))
        by_confidence = excess(
            fitted.reference_[1][own_real], confidence.score_samples(pool[own], labels[own])
        )
        assert close(fitted.contamination(pool, labels)[1], max(by_energy, by_confidence))
        larger.append(bool(by_confidence > by_energy))
    assert larger == [True, False]


def test_wrong_labels_are_dropped(rng: np.random.Generator) -> None:
    """Half of the labels are wrong: none is kept, by confidence, though the pool as a whole has reality's law."""
    x_real, y_real, x, y, *_ = next(_worlds(rng, 0.0))
    x_real[:, 0] += 8 * y_real
    x[:, 0] += 8 * y
    wrong = rng.random(len(y)) < 0.5
    kept = TrimHerdFilter().fit(x_real, y_real).select(x, np.where(wrong, 1 - y, y), 100)
    assert not wrong[kept].any()
    assert wrong.any()
