"""Filters without labels: they remove contamination where there is some, find the subspaces, and keep the laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.metrics import adjusted_rand_score

from lsf import DensityRatioFilter, Matched, SubspaceFilter, UnlabelledRatioFilter
from lsf.testing import check_filter
from lsf.unlabelled import affinity, spectrum, widest_gap
from tests.tolerances import FALSE_ALARM, close

FILTERS = [UnlabelledRatioFilter(), SubspaceFilter(rank=2, random_state=0)]


def _name(value: Any) -> str:
    return type(value).__name__


def _subspaces(rng: np.random.Generator, n: int, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples near k random planes of twelve dimensions, and which plane each is of."""
    y = rng.integers(len(frames), size=n)
    x = np.einsum("nr,ndr->nd", rng.standard_normal((n, 2)), frames[y])
    return x + 0.15 * rng.standard_normal(x.shape), y


def _frames(rng: np.random.Generator, k: int = 3) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((12, 2 * k)))[0].reshape(12, k, 2).transpose(1, 0, 2)


def _excess(prototype: Any, rng: np.random.Generator, contaminated: bool) -> float:
    """Share of marked samples kept, less their share of the pool; marked are noise in no plane, or nothing at all."""
    frames = _frames(rng)
    x_real, x = _subspaces(rng, 200, frames)[0], _subspaces(rng, 300, frames)[0]
    marked = rng.random(300) < 0.4
    if contaminated:
        x[marked] = rng.standard_normal((marked.sum(), 12)) / np.sqrt(6)  # of the same mean energy
    return float(marked[prototype.fit(x_real).select(x, 100)].mean() - marked.mean())


@pytest.mark.parametrize("prototype", FILTERS, ids=_name)
def test_contamination_is_removed_better_than_by_chance(prototype: Any, rng: np.random.Generator) -> None:
    """t-intervals over 25 worlds, level FALSE_ALARM: below 0; control, a pool without contamination: 0 inside."""
    low, high = np.array([_interval(prototype, rng, contaminated) for contaminated in (True, False)]).T
    assert high[0] < 0
    assert low[1] < 0 < high[1]


def _interval(prototype: Any, rng: np.random.Generator, contaminated: bool) -> tuple[float, float]:
    found = np.array([_excess(prototype, rng, contaminated) for _ in range(25)])
    half = student.isf(FALSE_ALARM / 2, 24) * found.std(ddof=1) / 5
    return found.mean() - half, found.mean() + half


# --- laws ---


def test_they_keep_the_laws() -> None:
    by_sample = check_filter(SubspaceFilter(random_state=0), labels=False, examples=3)
    assert "scores_ignore_neighbours" in by_sample
    of_pool = check_filter(UnlabelledRatioFilter(), labels=False, examples=4, rounding=1e-7)
    assert "scores_follow_samples" in of_pool
    assert "scores_ignore_neighbours" not in of_pool
    with pytest.raises(AssertionError, match="scores_ignore_neighbours"):
        check_filter(_PoolScoresAsSamples, ["scores_ignore_neighbours"], labels=False, examples=5)


class _PoolScoresAsSamples(UnlabelledRatioFilter):
    score_samples = UnlabelledRatioFilter.score_pool


# --- the ratio ---


def test_the_ratio_is_that_of_one_class(rng: np.random.Generator) -> None:
    x_real, x = rng.standard_normal((40, 1, 2, 2)), rng.standard_normal((60, 1, 2, 2)) + 0.5
    fitted, ratio = UnlabelledRatioFilter(C=0.3).fit(x_real), DensityRatioFilter(C=0.3)
    ratio.fit(x_real, np.zeros(40, int))
    np.testing.assert_array_equal(fitted.score_pool(x), ratio.score_pool(x, np.zeros(60, int)))
    np.testing.assert_array_equal(fitted.select(x, 20), ratio.select(x, np.zeros(60, int), 20))
    assert fitted.report(x, fitted.select(x, 20)).kept.tolist() == [20]


# --- subspaces ---


@pytest.mark.parametrize("k", [2, 3, 5])
def test_subspaces_and_their_number_are_found(k: int, rng: np.random.Generator) -> None:
    x, y = _subspaces(rng, 80 * k, _frames(rng, k))
    fitted = SubspaceFilter(rank=2, random_state=0).fit(3 + x)
    assert fitted.n_subspaces_ == k
    assert adjusted_rand_score(y, fitted.labels_) > 0.8
    assert (fitted.predict(3 + x) == fitted.labels_).mean() > 0.9, "the probe has learned the parts"
    assert SubspaceFilter(4, rank=2, random_state=0).fit(x).n_subspaces_ == 4, "the number given is kept to"


def test_joined_are_the_nearest_directions() -> None:
    h = np.array([[1.0, 0], [-2, 0], [0, 3], [0, -1], [1, 1]])  # opposite directions are one
    joined = affinity(h, 1)
    assert close(joined, joined.T)
    assert close(joined[0, 1], 2)
    assert close(joined[2, 3], 2)
    assert close(joined[0, 2], 0)
    assert joined[4].max() < 1, "the nearest, at 45 degrees"
    assert close(affinity(np.zeros((3, 2)), 1).max(), 2 * np.exp(-np.pi)), "no direction: near nothing"


def test_the_gap_is_a_ratio() -> None:
    two_blocks = np.kron(np.eye(2), np.ones((3, 3)) - np.eye(3))
    values, vectors = spectrum(two_blocks, 4)
    assert vectors.shape == (6, 5)
    assert widest_gap(values) == 2
    assert widest_gap(np.array([0, 1e-17, 1e-16, 0.01, 0.5])) == 3
    assert widest_gap(np.array([0, 0.01, 0.02, 0.2, 0.9])) == 3  # by difference it would be 4


def test_scores_are_those_of_the_likeliest_part_and_rules_go_by_part(rng: np.random.Generator) -> None:
    x, _ = _subspaces(rng, 240, _frames(rng))
    fitted = SubspaceFilter(rank=2, rule=Matched(shortfall="fill"), random_state=0).fit(x)
    p = fitted.predict_proba(x)
    assert close(fitted.score_samples(x), np.log(p.max(axis=1)), condition=100)
    kept = fitted.select(x, 90)
    assert np.bincount(fitted.predict(x)[kept]).tolist() == [30, 30, 30]
    told = fitted.report(x, kept, real=_subspaces(rng, 50, _frames(rng))[0])
    assert told.kept.tolist() == [30, 30, 30]
    assert told.accuracy is None
    assert told.quantiles.keys() == {"real", "pool", "kept"}


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_subspaces": 1}, "n_subspaces must be at least 2"),
        ({"n_subspaces": 30}, "n_subspaces must be at least 2 and less than 30"),
        ({"max_subspaces": 1}, "max_subspaces must be at least 2"),
        ({"neighbours": 0}, "neighbours must be at least 1 and less than 30"),
        ({"neighbours": 30}, "neighbours must be at least 1 and less than 30"),
        ({"random_state": -1}, "random_state must not be negative"),
        ({"rank": 9}, "rank is 9"),
    ],
)
def test_parameters_out_of_range(parameters: Any, match: str, rng: np.random.Generator) -> None:
    fresh = SubspaceFilter(**parameters)
    with pytest.raises(ValueError, match=match):
        fresh.fit(rng.standard_normal((30, 4)))
    assert not [name for name in vars(fresh) if name.endswith("_")], "nothing is half fitted"


@pytest.mark.parametrize("prototype", FILTERS, ids=_name)
def test_bad_samples_are_refused(prototype: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((40, 4))
    bad = np.where(np.arange(40)[:, None] == 7, np.nan, x)
    with pytest.raises(ValueError, match="x_real has 4 NaN"):
        prototype.fit(bad)
    fitted = prototype.fit(x)
    with pytest.raises(ValueError, match="x has 4 NaN"):
        fitted.select(bad, 5)
    with pytest.raises(ValueError, match="3 features, fit saw 4"):
        fitted.select(x[:, :3], 5)
    with pytest.raises(ValueError, match="budget is 41"):
        fitted.select(x, 41)
