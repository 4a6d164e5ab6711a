"""A search that is told no point rediscovers every counterexample, and finds none where a bound is true.

Each true bound stands beside its control: the same hunt, the bound sharpened by a twentieth or so, must find.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.special import expit, logit

from paper_checks.hunt import Domain, Found, Interval, Side, Whole, hunt
from paper_checks.simulated import QUARTER
from paper_checks.statistics import FAILS, HOLDS
from theory import confidence, counterexamples, ole
from theory.nuclear_norm import chi_mean

ANGLE, NOISE = Interval(0.0, QUARTER), Interval(0.03, 10.0, log=True)
RHO = Interval(1e-8, 1e3, log=True)
RANK, COUNT = Whole(1, 12), Whole(1, 1000, log=True)


def effort(dear: bool) -> dict[str, Any]:
    """Fewer points where one costs 5 ms or more: xi among C classes, Theorem 1's bound."""
    return {"points": 120, "starts": 2} if dear else {}


def equal(rank: int, value: float) -> np.ndarray:
    return np.full(rank, value)


def xi_of(rank: int, angle: float, noise: float) -> Any:
    return confidence.expected_confidence(equal(rank, float(confidence.snr(angle, noise))))


class False_(NamedTuple):
    """`smaller` <= `larger` as theory.counterexamples states it, on a domain that nobody chose for its violations."""

    domain: Domain
    smaller: Side
    larger: Side
    dear: bool = False


FALSE = {
    "literal-theorem-2": False_(
        {"rank": RANK, "angle": ANGLE, "noise": NOISE}, xi_of, counterexamples.literal_theorem2
    ),
    "one-sided-divergence": False_(
        {"scale": Interval(0.02, 50.0, log=True)},
        counterexamples.scale_confidence,
        counterexamples.one_sided_bound,
    ),
    "natural-multiclass": False_(
        {"classes": Whole(2, 12), "rank": Whole(1, 8), "noise": NOISE},
        confidence.multiclass_confidence,
        counterexamples.natural_multiclass_bound,
        dear=True,
    ),
    "largest-posterior": False_(
        {"rank": RANK, "rho": RHO},
        lambda rank, rho: counterexamples.largest_posterior(equal(rank, rho)),
        lambda rank, rho: confidence.theorem2_bound(equal(rank, rho)),
    ),
    "theorem-1": False_(
        {"n": COUNT, "angle": ANGLE},
        lambda n, angle: ole.theorem1_bound(n, angle),
        ole.exact_ole_rank_one,
        dear=True,
    ),
    "phi-monotone": False_(
        {"n": COUNT, "rank": RANK, "angle": ANGLE, "share": Interval(0.0, 1.0)},
        lambda n, rank, angle, share: ole.theorem1_bound(n, equal(rank, angle)),
        lambda n, rank, angle, share: ole.theorem1_bound(n, equal(rank, share * angle)),
        dear=True,
    ),
    "theorem-1-informative": False_(
        {"n": COUNT, "rank": RANK, "angle": ANGLE},
        lambda **_: 0.0,
        lambda n, rank, angle: ole.theorem1_bound(n, equal(rank, angle)),
        dear=True,
    ),
}


def test_every_counterexample_is_rediscovered(
    conclude: Callable[..., None], rng: np.random.Generator
) -> None:
    """The smallest of the relative violations found, one for each false statement."""
    assert set(FALSE) == {case.id for case in counterexamples.counterexamples()}
    found = {
        name: hunt(case.larger, case.smaller, case.domain, rng, **effort(case.dear))
        for name, case in FALSE.items()
    }
    least = min(0.0 if met is None else met.violation for met in found.values())
    conclude("counterexamples-rediscovered", HOLDS if least > 0 else FAILS, least)


class True_(NamedTuple):
    """smaller <= larger everywhere in `domain` at factor 1, and not at the factor `sharp`."""

    domain: Domain
    smaller: Callable[..., Any]
    larger: Callable[..., Any]
    sharp: float = 0.95
    size: Side | None = None
    dear: bool = False

    def hunt(self, factor: float, rng: np.random.Generator) -> Found | None:
        """A point where smaller > larger, the bound taken at `factor`."""
        larger, smaller = partial(self.larger, factor), partial(self.smaller, factor)
        return hunt(larger, smaller, self.domain, rng, size=self.size, **effort(self.dear))


RHOS: dict[str, Interval | Whole] = {"rank": RANK, "rho": RHO, "other": RHO}  # rank equal rho and one more
CLASSES: dict[str, Interval | Whole] = {"classes": Whole(2, 12), "rank": Whole(1, 8), "noise": NOISE}
LINES: dict[str, Interval | Whole] = {"n": COUNT, "angle": ANGLE}
QUADRATURE = 10.0  # xi among C classes, by another quadrature than xi of a pair: 1.5e-14 apart at C = 2


def rhos(factor: float, rank: int, rho: float, other: float) -> np.ndarray:
    return factor * np.append(equal(rank, rho), other)


def order_1(share: float, factor: float, **point: Any) -> float:
    """(1/2) prod(1 + share rho)^{-1/2}: with 1 - xi on the other side nothing is lost where xi rounds to 1."""
    return float(np.exp(-np.log1p(share * rhos(factor, **point)).sum() / 2) / 2)


def missing(factor: float, **point: Any) -> Any:
    return confidence.shortfall(rhos(1, **point))


def order_m(side: int, factor: float, order: int, **point: Any) -> Any:
    return confidence.confidence_bounds(rhos(factor, **point), order)[side]


def xi(factor: float, order: int, **point: Any) -> Any:
    return confidence.expected_confidence(rhos(1, **point))


def pair(factor: float, rank: int, noise: float) -> float:
    """xi between two orthogonal subspaces, rho times `factor`."""
    return float(confidence.expected_confidence(equal(rank, factor * float(confidence.snr(QUARTER, noise)))))


def pooled(factor: float, n: int, angle: float) -> float:
    """E||M||_* of two lines without noise, exact."""
    return 2 * float(chi_mean(n)) - float(ole.exact_ole_rank_one(n, angle))


def pooled_bound(ole_bound: Callable[[int, float], Any], factor: float, n: int, angle: float) -> float:
    """What a lower bound on E OLE says of E||M||_*, times `factor`: no difference of large numbers is left."""
    return factor * (2 * float(chi_mean(n)) - float(ole_bound(n, angle)))


def corrected(n: int, angle: float) -> Any:
    return ole.corrected_bound(2, n, angle, 0.0, rigorous=True)


TRUE = {
    "theorem-2": True_(RHOS, lambda f, **point: expit(-rhos(f, **point).sum() / 2), missing),
    "order-1-above": True_(RHOS, partial(order_1, 1 / 2), missing),
    "order-1-below": True_(RHOS, missing, partial(order_1, 1 / 4), 2.1),  # below 2: slack at every rho
    "order-m-above": True_(RHOS | {"order": Whole(1, 6)}, xi, partial(order_m, 1)),
    "order-m-below": True_(RHOS | {"order": Whole(2, 6)}, partial(order_m, 0), xi, 1 / 0.95),
    "two-sided-divergence": True_(
        {"scale": Interval(0.02, 50.0, log=True)},
        lambda f, scale: counterexamples.scale_confidence(scale),
        lambda f, scale: expit(f * logit(counterexamples.two_sided_bound(scale))),
    ),
    "classes-above": True_(
        CLASSES,
        lambda f, **point: confidence.multiclass_confidence(**point),
        lambda f, classes, rank, noise: pair(f, rank, noise),
        size=lambda **_: QUADRATURE,
        dear=True,
    ),
    "classes-below": True_(
        CLASSES,
        lambda f, classes, rank, noise: 1 - (classes - 1) * (1 - pair(f, rank, noise)),
        lambda f, **point: confidence.multiclass_confidence(**point),
        1 / 0.95,
        size=lambda classes, **_: QUADRATURE * classes,
        dear=True,
    ),
    "corrected-theorem-1": True_(LINES, pooled, partial(pooled_bound, corrected)),
    "theorem-1-from-two-columns": True_(
        LINES | {"n": Whole(2, 1000, log=True)},
        pooled,
        partial(pooled_bound, ole.theorem1_bound),
        dear=True,
    ),
}


@pytest.mark.parametrize("name", TRUE)
def test_true_bounds_stand(name: str, rng: np.random.Generator) -> None:
    found = TRUE[name].hunt(1.0, rng)
    assert found is None, found


@pytest.mark.parametrize("name", TRUE)
def test_control_a_sharper_bound_is_violated(name: str, rng: np.random.Generator) -> None:
    assert TRUE[name].hunt(TRUE[name].sharp, rng) is not None
