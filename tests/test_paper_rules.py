"""The rules of verdict, on numbers whose verdict is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from paper_checks.measures import between_seeds, slope
from paper_checks.statistics import (
    FAILS,
    HOLDS,
    UNDECIDED,
    equivalent,
    interval,
    superior,
)
from tests.tolerances import assert_exact, close

# --- rules ---


def test_interval_by_hand() -> None:
    """t_{.975,2} = 4.30265, s = 1."""
    found = interval([1.0, 2.0, 3.0])
    assert close(
        [found.mean, found.low, found.high], [2, 2 - 4.302652729911 / 3**0.5, 2 + 4.302652729911 / 3**0.5]
    )
    assert found.n == 3
    normal = 2 - 1.96 / 3**0.5
    assert not close(found.low, normal)  # control: three seeds are few


def test_interval_of_one_seed_is_infinite_and_of_equal_ones_a_point() -> None:
    assert (interval([1.5]).low, interval([1.5]).high) == (-np.inf, np.inf)
    assert (interval([1.5] * 4).low, interval([1.5] * 4).high) == (1.5, 1.5)


@pytest.mark.parametrize("D", [[1.0, np.nan], [np.inf, 1.0], []])
def test_interval_refuses_what_is_no_number(D: list[float]) -> None:
    with pytest.raises(ValueError, match="D must hold finite numbers, found"):
        interval(D)


@pytest.mark.parametrize(
    ("D", "margin", "noise", "agree", "verdict"),
    [
        ([1.0, 1.1, 0.9], 0.5, 0.0, True, HOLDS),
        ([1.0, 1.1, 0.9], 1.0, 0.0, True, UNDECIDED),  # the margin is inside the interval
        ([1.0, 1.1, 0.9], 2.0, 0.0, True, FAILS),  # positive, but not by as much as was claimed
        ([-1.0, -1.1, -0.9], 0.0, 0.0, True, FAILS),
        ([1.0, 1.1, 0.9], 0.5, 0.49, True, HOLDS),
        ([1.0, 1.1, 0.9], 0.5, 0.51, True, UNDECIDED),  # below 2 s.d. of the REAL arm
        ([1.0, 1.1, 0.9], 0.5, np.inf, True, UNDECIDED),
        ([-1.0, -1.1, -0.9], 0.0, 9.0, True, FAILS),  # noise only ever withholds a verdict of "holds"
        ([2.0] * 60 + [-0.1], 0.5, 0.0, True, UNDECIDED),  # one seed disagrees in sign
        ([2.0] * 60 + [-0.1], 0.5, 0.0, False, HOLDS),
        ([3.0, -3.0, 0.1], 0.0, 0.0, False, UNDECIDED),
        ([5.0], 0.0, 0.0, False, UNDECIDED),  # one seed decides nothing
        ([-0.01, -0.02, -0.015], -0.05, 0.0, False, HOLDS),  # no worse than the margin allows
        ([-0.06, -0.07, -0.065], -0.05, 0.0, False, FAILS),
    ],
)
def test_superior(D: list[float], margin: float, noise: float, agree: bool, verdict: str) -> None:
    assert superior(D, margin, noise, agree) == verdict


@pytest.mark.parametrize(
    ("D", "verdict"),
    [
        ([0.0, 0.01, -0.01], HOLDS),
        ([0.19, 0.2, 0.21], HOLDS),
        ([0.9, 1.0, 1.1], FAILS),
        ([-0.9, -1.0, -1.1], FAILS),
        ([0.1, 0.4, -0.2], UNDECIDED),  # no difference shown is not equivalence shown
        ([0.24, 0.25, 0.26], UNDECIDED),
        ([0.0], UNDECIDED),
    ],
)
def test_equivalent(D: list[float], verdict: str) -> None:
    assert equivalent(D, 0.25) == verdict


def test_a_claim_at_its_margin_is_decided_wrongly_in_one_of_forty(rng: np.random.Generator) -> None:
    """D about the margin: 2.5% a side, as the table prints. Control: 1.96 instead of Student's quantile."""

    def holds(rng: np.random.Generator, size: int) -> np.ndarray:
        return np.array([superior(D, 0.3) == HOLDS for D in 0.3 + rng.standard_normal((size, 5))])

    assert_exact(holds, 0.025, rng, 8000, control=float(stats.t.sf(1.96, 4)))


def test_a_claim_fails_just_where_its_opposite_holds(rng: np.random.Generator) -> None:
    """So the other side of the false alarms is as large."""
    mirrored = {HOLDS: FAILS, FAILS: HOLDS, UNDECIDED: UNDECIDED}
    found = [(superior(D, 0.3), superior(-D, -0.3)) for D in rng.standard_normal((300, 4)) * 2 + 0.3]
    assert all(mirrored[a] == b for a, b in found)
    assert {a for a, _ in found} == set(mirrored)


def test_noise_and_agreement_only_withhold(rng: np.random.Generator) -> None:
    for D in rng.standard_normal((400, 4)) + 1:
        plain, strict = superior(D, 0.2), superior(D, 0.2, noise=0.3, agree=True)
        assert strict == plain or (plain, strict) == (HOLDS, UNDECIDED)


def test_slope_and_noise_by_hand() -> None:
    assert close(slope([1.0, 3.0, 5.0]), 2.0)
    assert close(slope([1.0, 2.0, 1.0]), 0.0)
    assert close(between_seeds([0.0, 2.0]), 2.0)  # s.d. sqrt 2, and of a difference sqrt 2 times that
    assert between_seeds([1.0]) == np.inf
