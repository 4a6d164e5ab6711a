"""Confidence and the Bayes error bound each other, as Cover and Hart's risk of the nearest neighbour does."""

from collections.abc import Callable

import numpy as np

from paper_checks.hunt import Interval, Whole, hunt
from paper_checks.statistics import FAILS, HOLDS
from theory.confidence import expected_confidence, nearest_neighbour_bounds

DOMAIN: dict[str, Interval | Whole] = {"rank": Whole(1, 12), "rho": Interval(1e-8, 1e3, log=True)}


def bound(side: int, share: float = 1.0) -> Callable[..., float]:
    return lambda rank, rho: 1 - share * (1 - float(nearest_neighbour_bounds([rho] * rank)[side]))


def test_nearest_neighbour_bounds(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The worst relative violation a search finds (none: 0); controls: either bound a twentieth sharper."""
    xi: Callable[..., float] = lambda rank, rho: float(expected_confidence([rho] * rank))  # noqa: E731
    found = [hunt(xi, bound(0), DOMAIN, rng), hunt(bound(1), xi, DOMAIN, rng)]
    controls = [hunt(xi, bound(0, 0.95), DOMAIN, rng), hunt(bound(1, 1.05), xi, DOMAIN, rng)]
    assert all(controls), "a control was not found: the check could not fail"
    worst = max((met.violation for met in found if met), default=0.0)
    conclude("nearest-neighbour-bounds", HOLDS if worst == 0 else FAILS, worst)
