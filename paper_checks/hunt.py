"""Is a bound violated anywhere in a domain? A search that is not told where.

    Statement: exact(point) <= bound(point) at every point. (A lower bound: hand the two over the other way round.)
    Excess: (exact - bound)/size, less rounding, size = max(|exact|, |bound|): a violation where above zero.

Three nets: every corner of the domain, random points, and from the best of them uphill in the excess: differential
evolution, which crosses valleys and moves whole numbers, then Nelder-Mead, which ends on the last digit. Being
relative, the excess sees a violation of 1e-200 where both sides are of that size. Rounding is
ROUNDING (1 + |ln size|): a number that is the exponential of -500 carries 500 times the rounding of its exponent.

None means "not found", never "true": proofs are elsewhere (theory.certificates), and a violation narrower than the nets
is missed, above all one whose surroundings do not rise towards it. Every None of a check stands beside a control: the
same hunt on a bound slightly sharpened must find. Source: own; scipy.optimize.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import exp, floor, isfinite, log, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution, minimize

from tests.tolerances import ROUNDING
from theory.checks import whole

__all__ = ["hunt", "Found", "Interval", "Whole", "Choice"]

CORNERS = 4096  # more would be a search of their own
TINY = 1e-300  # below it float64 loses digits

Side = Callable[..., Any]
"""One side of the statement: keywords by the domain's names in, a number out."""


@dataclass(frozen=True)
class Interval:
    """Real numbers from `low` to `high`, both included; drawn evenly in the logarithm if `log`."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _ordered(self.low, self.high, self.log)

    def at(self, u: float) -> float:
        """The number a share `u` of the way up."""
        if u <= 0 or u >= 1:  # the ends themselves, not what rounding makes of them
            return float(self.low if u <= 0 else self.high)
        if self.log:
            return min(max(exp((1 - u) * log(self.low) + u * log(self.high)), self.low), self.high)
        return min(max((1 - u) * self.low + u * self.high, self.low), self.high)

    def ends(self) -> tuple[float, ...]:
        """The shares `u` at which a corner lies."""
        return 0.0, 1.0


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `low` to `high`, both included; drawn about evenly in the logarithm if `log`."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _ordered(self.low, self.high, self.log)
        if self.low != floor(self.low) or self.high != floor(self.high):
            raise ValueError(f"low is {self.low} and high {self.high}: give whole numbers")

    def at(self, u: float) -> int:
        """The number whose cell holds the share `u`."""
        return min(floor(Interval(self.low, self.high + 1, self.log).at(u)), int(self.high))

    def ends(self) -> tuple[float, ...]:
        """The shares `u` at which a corner lies."""
        return 0.0, 1.0


@dataclass(frozen=True)
class Choice:
    """One of `values`, of any kind, without order: each counts as an end."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple) or not self.values:
            raise ValueError(f"values is {self.values!r}: give a tuple of at least one")

    def at(self, u: float) -> Any:
        """The value whose cell holds the share `u`."""
        return self.values[min(floor(u * len(self.values)), len(self.values) - 1)]

    def ends(self) -> tuple[float, ...]:
        """The middle of every cell."""
        return tuple((i + 0.5) / len(self.values) for i in range(len(self.values)))


Domain = Mapping[str, Interval | Whole | Choice]


@dataclass(frozen=True)
class Found:
    """exact > bound at `point`: `violation` is the relative excess beyond rounding, above zero."""

    point: dict[str, Any]
    exact: float
    bound: float
    violation: float


def hunt(
    bound: Side,
    exact: Side,
    domain: Domain,
    rng: np.random.Generator,
    points: int = 500,
    starts: int = 4,
    size: Side | None = None,
) -> Found | None:
    """The worst violation of exact <= bound met in `domain`, or None if none was.

    About (2 + (starts + 1)/2) `points` evaluations at most, besides the corners; one `rng` state gives one answer.

    Parameters
    ----------
    bound, exact
        the two sides: called with one keyword for each name of `domain`, return a finite number
    domain
        name -> Interval, Whole or Choice
    points
        how many random points; the optimisers' effort grows with it
    starts
        from how many of the best points to climb; 0: corners and random points alone
    size
        how large the numbers are that a side is the small difference of (same keywords): their rounding counts as
        rounding, and the excess is taken relative to them. If left out, the sides alone set the size

    Raises
    ------
    ValueError
        if the domain is empty, has another kind of entry or more than 4096 corners, `rng` is no Generator, `points` is
        not a whole number from 5 or `starts` from 0, or a side is not finite somewhere (the point is named: a hole
        would look like a bound that holds)
    """
    corners = _corners(domain)
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng is {rng!r}: give a numpy Generator")
    whole("points", points, 5), whole("starts", starts, 0)
    met: list[Found] = []

    def loss(u: NDArray[np.float64]) -> float:
        point = {name: part.at(float(x)) for (name, part), x in zip(domain.items(), u, strict=True)}
        met.append(_judge(point, bound, exact, size))
        return -met[-1].violation

    tried = np.concatenate([corners, rng.random((points, len(domain)))])
    order = np.argsort([loss(u) for u in tried], kind="stable")
    if starts:
        _climb(loss, tried[order], rng, points, starts)
    worst = max(met, key=lambda found: found.violation)
    return worst if worst.violation > 0 else None


def _climb(
    loss: Callable[[NDArray[np.float64]], float],
    best_first: NDArray[np.float64],
    rng: np.random.Generator,
    points: int,
    starts: int,
) -> None:
    """Differential evolution from the best points, then Nelder-Mead from its end and from the best points."""
    k = best_first.shape[1]
    crowd = best_first[: max(5, min(10 * k, points // 5))]
    evolved = differential_evolution(
        loss, [(0, 1)] * k, init=crowd, maxiter=max(1, points // len(crowd)), tol=0, polish=False, seed=rng
    )
    for u in (evolved.x, *best_first[:starts]):
        inward = np.where(u < 0.5, 0.1, -0.1)
        simplex = np.concatenate([[u], u + np.diag(inward)])
        options = {"initial_simplex": simplex, "maxfev": max(50, points // 2), "xatol": 1e-12, "fatol": 1e-15}
        minimize(loss, u, method="Nelder-Mead", bounds=[(0, 1)] * k, options=options)


def _judge(point: dict[str, Any], bound: Side, exact: Side, size: Side | None) -> Found:
    """Both sides at a point, and the relative excess beyond rounding."""
    sides = {"exact": exact, "bound": bound, **({} if size is None else {"size": size})}
    values = {name: float(side(**point)) for name, side in sides.items()}
    for name, value in values.items():
        if not isfinite(value):
            raise ValueError(
                f"{name} is {value} at {point}: give a function that is finite on the whole domain"
            )
    scale = max(TINY, *map(abs, values.values()))
    excess = values["exact"] / scale - values["bound"] / scale  # divided first: no overflow
    return Found(point, values["exact"], values["bound"], excess - ROUNDING * (1 + abs(log(scale))))


def _corners(domain: Domain) -> NDArray[np.float64]:
    """All corners in shares, one a row."""
    if not isinstance(domain, Mapping) or not domain:
        raise ValueError(
            f"domain is {domain!r}: give a mapping from at least one name to an Interval, Whole or Choice"
        )
    for name, part in domain.items():
        if not isinstance(part, Interval | Whole | Choice):
            raise ValueError(f"domain holds {part!r} at {name!r}: give an Interval, Whole or Choice")
    ends = [part.ends() for part in domain.values()]
    if prod(map(len, ends)) > CORNERS:
        raise ValueError(
            f"domain has {prod(map(len, ends))} corners: give fewer names or choices, at most {CORNERS}"
        )
    return np.array(list(product(*ends)))


def _ordered(low: float, high: float, logarithmic: bool) -> None:
    """ValueError unless low < high are finite, and above zero if a logarithm is taken."""
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ValueError(f"low is {low} and high {high}: give finite numbers, low < high")
    if logarithmic and low <= 0:
        raise ValueError(f"low is {low}: give a number above zero, or log=False")
