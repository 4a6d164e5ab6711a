"""Rules on pools small enough to read, what they do where too little is there, and a fixed point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from lsf import Matched, Random, Threshold, Top
from lsf.candidates import matched_shares, spread
from lsf.rules import equal_shares
from tests.tolerances import FALSE_ALARM

SCORES = np.array([-1.0, -5.0, -2.0, -4.0, -3.0, -2.0])
LABELS = np.array([0, 0, 0, 1, 1, 2])
REAL = (np.array([-3.0, -2.0, -1.0, -4.0, -3.0, -2.0]), np.array([0, 0, 0, 1, 1, 2]))
BY_CLASS = [Top("class"), Random("class"), Threshold(quota="class", quantile=0.0), Matched(bins=1)]


@pytest.mark.parametrize(
    ("rule", "budget", "kept"),
    [
        (Top(), 1, [0]),
        (Top(), 2, [0, 2]),  # 2 and 5 tie: the lower index
        (Top(), 3, [0, 2, 5]),
        (Top(), 6, [0, 1, 2, 3, 4, 5]),
        (Top("class"), 2, [0, 4]),  # the remainder to classes in label order
        (Top("class"), 3, [0, 4, 5]),
        (Top("class"), 5, [0, 2, 3, 4, 5]),
        (Top("class", "fill"), 6, [0, 1, 2, 3, 4, 5]),
        (Threshold(quantile=0.0), 5, [0, 2, 3, 4, 5]),  # only -5 lies below the least real score of its class
        (Threshold(quantile=0.0, shortfall="fill"), 6, [0, 1, 2, 3, 4, 5]),
        (Threshold(quantile=1.0, shortfall="fill"), 3, [0, 4, 5]),  # survivors before higher scores
        (Threshold(quantile=1.0, shortfall="fill"), 4, [0, 2, 4, 5]),  # then the most confident
        (Threshold(quantile=1.0, quota="class", shortfall="fill"), 5, [0, 2, 3, 4, 5]),
        (Matched(bins=1), 5, None),
    ],
)
def test_by_hand(rule: Any, budget: int, kept: list[int] | None) -> None:
    found = rule(SCORES, LABELS, budget, reference=REAL, rng=0)
    assert found.dtype == np.int64
    assert len(found) == budget
    assert kept is None or found.tolist() == kept


@pytest.mark.parametrize("rule", BY_CLASS)
def test_short_class_is_named(rule: Any) -> None:
    with pytest.raises(ValueError, match=r"class 2 has 1 samples, needs 2"):
        rule(SCORES, LABELS, 6, reference=REAL, rng=0)


@pytest.mark.parametrize("rule", BY_CLASS)
def test_absent_class_is_named(rule: Any) -> None:
    with pytest.raises(ValueError, match=r"class 3 has 0 samples, needs 1"):
        rule(SCORES, LABELS, 4, reference=REAL, rng=0, classes=[0, 1, 2, 3])


@pytest.mark.parametrize(
    "rule", [Top("class", "fill"), Random("class", "fill"), Threshold(quota="class", shortfall="fill")]
)
def test_short_and_absent_classes_are_filled_from_the_rest(rule: Any) -> None:
    kept = rule(SCORES, LABELS, 5, reference=REAL, rng=0, classes=[0, 1, 2, 3])
    assert len(np.unique(kept)) == 5
    assert np.bincount(LABELS[kept]).tolist() == [2, 2, 1] or np.bincount(LABELS[kept]).tolist() == [3, 1, 1]
    if isinstance(rule, Top):
        assert kept.tolist() == [0, 2, 3, 4, 5]


def test_too_few_survivors_are_named() -> None:
    with pytest.raises(ValueError, match=r"class 0 has 1 samples above the real cutoff, needs 2"):
        Threshold(quantile=1.0, quota="class")(SCORES, LABELS, 4, reference=REAL, rng=0)
    with pytest.raises(ValueError, match=r"the pool has 3 samples above the real cutoff, needs 4"):
        Threshold(quantile=1.0)(SCORES, LABELS, 4, reference=REAL, rng=0)


def test_short_bin_is_named() -> None:
    with pytest.raises(ValueError, match=r"class 0 has 0 samples in confidence bin 0 of 2, needs 2"):
        Matched(bins=2)([-2.0] * 4, [0] * 4, 4, reference=([-3.0, -2.5, -1.5, -1.0], [0] * 4), rng=0)


def test_threshold_cuts_class_by_class(rng: np.random.Generator) -> None:
    """Class 1 scores far lower than class 0, in the pool as in reality: it loses no more."""
    y = np.repeat([0, 1], 1000)
    scores, real = rng.standard_normal(2000) - 50 * y, rng.standard_normal(2000) - 50 * y
    kept = Threshold(quantile=0.5, shortfall="fill")(scores, y, 800, reference=(real, y), rng=rng)
    assert (scores[kept] >= np.array([np.median(real[y == c]) for c in (0, 1)])[y[kept]]).all()
    assert abs((y[kept] == 1).mean() - 0.5) < 0.25  # 14 standard errors


# --- shares and bins ---


@given(budget=st.integers(0, 1000), parts=st.integers(1, 30))
def test_equal_shares(budget: int, parts: int) -> None:
    shares = equal_shares(budget, parts)
    assert shares.sum() == budget
    assert shares.max() - shares.min() <= 1
    assert (np.diff(shares) <= 0).all()


@given(
    bins=st.integers(1, 12),
    count=st.integers(0, 200),
    u=st.floats(0, 1, exclude_max=True),
    real=st.lists(st.integers(-5, 5), min_size=1, max_size=40),
)
def test_matched_shares_sum_to_the_count_and_are_right_within_one(
    bins: int, count: int, u: float, real: list[int]
) -> None:
    scores = np.array(real, dtype=float)
    edges, shares = matched_shares(scores, bins, count, u)
    assert shares.sum() == count
    assert (shares >= 0).all()
    if len(set(real)) == len(real) > bins:
        assert (np.abs(shares - count / bins) < 1 + 1e-9).all()
    else:  # no share where no real score is
        mass = np.bincount(np.searchsorted(edges, scores, side="right"), minlength=bins) / len(scores)
        ties = len(np.unique(edges)) < len(edges)
        assert not ties or (np.abs(shares - count * mass) < 1 + 1e-9).all()


def test_matched_shares_are_right_on_average() -> None:
    """Bins that do not divide the count take turns, so that none is favoured."""
    shares = [matched_shares(np.arange(20.0), 4, 3, u)[1] for u in (np.arange(8) + 0.5) / 8]
    assert np.mean(shares, axis=0).tolist() == [0.75] * 4


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_spread_takes_what_there_is(pairs: list[tuple[int, int]]) -> None:
    want, have = np.array(pairs).T
    taken = spread(want, have)
    assert (taken <= have).all()
    assert taken.sum() == min(want.sum(), have.sum())
    assert (taken >= np.minimum(want, have)).all()


def test_spread_goes_to_the_nearest_and_then_up() -> None:
    assert spread(np.array([1, 2, 1]), np.array([5, 0, 5])).tolist() == [1, 0, 3]
    assert spread(np.array([1, 2, 1]), np.array([5, 0, 2])).tolist() == [2, 0, 2]


# --- the truth is the fixed point of Matched ---


def _real(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Log-confidences with a long tail, a harder class 1."""
    y = rng.integers(0, 2, n)
    return -np.logaddexp(0, -(4 - 3 * y) * (1 + rng.standard_normal(n))), y


def the_truth_is_kept(rule: Any, rng: np.random.Generator) -> None:
    """From a pool of real scores, what is kept has the law of real scores, class by class."""
    scores, y = _real(4000, rng)
    kept = rule(scores, y, 1000, reference=_real(2000, rng), rng=rng)
    fresh, labels = _real(2000, rng)
    for c in (0, 1):
        assert ks_2samp(scores[kept][y[kept] == c], fresh[labels == c]).pvalue > FALSE_ALARM


def the_truth_is_restored(rule: Any, rng: np.random.Generator) -> None:
    """From a pool half of which is over-confident, what is kept has the law of real scores again."""
    scores, y = _real(6000, rng)
    scores[::2] /= 5
    kept = rule(scores, y, 1000, reference=_real(2000, rng), rng=rng)
    fresh, labels = _real(2000, rng)
    for c in (0, 1):
        assert ks_2samp(scores[kept][y[kept] == c], fresh[labels == c]).pvalue > FALSE_ALARM


@pytest.mark.parametrize("law", [the_truth_is_kept, the_truth_is_restored])
def test_matched_has_the_truth_as_fixed_point(law: Any, rng: np.random.Generator) -> None:
    law(Matched(bins=20), rng)
    law(Matched(bins=20, shortfall="fill"), rng)


@pytest.mark.parametrize(
    ("law", "rule"),
    [
        (the_truth_is_kept, Top()),
        (the_truth_is_kept, Top("class")),
        (the_truth_is_kept, Threshold(quantile=0.3)),
        (the_truth_is_restored, Top("class")),
        (the_truth_is_restored, Random("class")),
    ],
)
def test_other_rules_do_not(law: Any, rule: Any, rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError):
        law(rule, rng)


def test_random_keeps_the_truth_too(rng: np.random.Generator) -> None:
    the_truth_is_kept(Random(), rng)
