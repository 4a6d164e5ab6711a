"""Which of these inequalities are proved, to the last bit and on a whole interval?

    xi <= sg(r rho/2),   1 - (1/2)(1+rho/4)^{-r/2} <= xi <= 1 - (1/2)(1+rho/2)^{-r/2}   (r equal rho).

Every number is a ball that contains the true value (theory.enclosures; its names and the violations of
theory.refutations that belong to Theorems 1 and 2 are importable from here too). xi and the bounds rise in
rho, since the integrand of 1 - xi falls: on a box [a, b]
    xi(b) <= upper(a)  proves  xi <= upper,    lower(b) <= xi(a)  proves  lower <= xi,
at every rho of the box. Compared are 1 - xi and 1 - bound: at rho = 100, r = 10 Theorem 2 leaves e^{-500}.
All three bounds meet xi at rho = 0, the upper ones to first order: boxes shrink like rho^2 there, and below
`low` the proof of theory.confidence must do.

Needs python-flint (extra `certify`); a float argument stands for that exact binary number. Source: Theorem 2
of 'Stabilizing Self-Consuming Diffusion Models with Latent Space Filtering' (AAAI-26), as reported in
secondary notes; formulas: own derivation.
"""

import math
from dataclasses import dataclass

from theory.checks import positive, whole
from theory.enclosures import (
    BITS,
    arb,  # flint by way of there, where its absence is explained
    ctx,
    enclose_error,
    enclose_multiclass,
    order1_shortfall,
    theorem2_shortfall,
)
from theory.refutations import (
    Violation,
    enclose_violation_literal,
    enclose_violation_multiclass,
    enclose_violation_theorem1,
)

__all__ = [
    "Certificate",
    "Violation",
    "certify_theorem2",
    "enclose_error",
    "enclose_multiclass",
    "enclose_violation_literal",
    "enclose_violation_multiclass",
    "enclose_violation_theorem1",
]

_NARROW = 1e-6  # a box of this relative width that still fails is given up


@dataclass(frozen=True)
class Certificate:
    """Proved: Theorem 2 and both order-1 bounds at every rho in [low, high], for `rank` equal rho.

    `theorem2` and `above` are the least (1-xi)/(1-bound) - 1, `below` the least (1-bound)/(1-xi) - 1,
    each a certified lower end: at least half of the true least slack.
    """

    rank: int
    low: float
    high: float
    boxes: int
    theorem2: float
    above: float
    below: float

    @property
    def slack(self) -> float:
        """The least relative slack of the three."""
        return min(self.theorem2, self.above, self.below)


def certify_theorem2(
    rank: int,
    low: float = 0.02,
    high: float = 100.0,
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Certificate:
    """Prove xi <= sg(r rho/2) and 1 - (1/2)(1+rho/4)^{-r/2} <= xi <= 1 - (1/2)(1+rho/2)^{-r/2} on [low, high].

    For `rank` = r equal rho, on a cover by boxes cut adaptively; about 32/((rank+2) low) of them. `factors`
    multiply rho in Theorem 2, the upper and the lower order-1 bound: (1, 1, 1) is the claim, smaller numbers
    make the upper bounds sharper, a larger third one the lower.

    Raises
    ------
    ArithmeticError
        if a box can not be certified: it is named, and whether the bound is false at its lower end
    ValueError
        if `rank` is not a whole number from 1, a number is not above zero, or low >= high
    """
    r = int(whole("rank", rank))
    if not positive("low", low) < positive("high", high):
        raise ValueError(f"low is {low} but high is {high}: need low < high")
    positive("factors", factors)
    least, boxes = [math.inf] * 3, 0
    with ctx.workprec(BITS):
        todo = [((low, enclose_error(low, r)), (high, enclose_error(high, r)))]
        while todo:
            start, stop = todo.pop()
            slacks = _box(r, start, stop, factors)
            if slacks:
                least, boxes = [min(pair) for pair in zip(least, slacks, strict=True)], boxes + 1
                continue
            middle = math.sqrt(start[0] * stop[0])
            cut = (middle, enclose_error(middle, r))
            todo += [(cut, stop), (start, cut)]  # the lower half first
    return Certificate(r, low, high, boxes, *least)


Point = tuple[float, arb]
"""rho and the ball around 1 - xi there."""


def _box(r: int, start: Point, stop: Point, factors: tuple[float, float, float]) -> list[float] | None:
    """The three slacks on [a, b], None if the box must be cut; ArithmeticError if cutting can not help."""
    here, found = _slacks(r, start, start, factors), _slacks(r, start, stop, factors)
    a, b = start[0], stop[0]
    for name, at_a in zip(("Theorem 2", "order 1, above", "order 1, below"), here, strict=True):
        if at_a < 0:
            raise ArithmeticError(f"{name} is false at rho = {a}: box [{a}, {b}], rank {r}, slack {at_a}")
    lower = [_down(slack) for slack in found]
    if all(
        2 * whole_box >= _down(at_a) and whole_box > 0 for whole_box, at_a in zip(lower, here, strict=True)
    ):
        return lower
    if b <= a * (1 + _NARROW):
        raise ArithmeticError(f"not certified: box [{a}, {b}], rank {r}, slacks {lower}")
    return None


def _slacks(r: int, start: Point, stop: Point, factors: tuple[float, float, float]) -> tuple[arb, arb, arb]:
    """Relative slacks good for all of [a, b]: 1 - xi at one end, 1 - bound at the other."""
    (a, error_a), (b, error_b) = start, stop
    f_2, f_above, f_below = factors
    return (
        error_b / theorem2_shortfall(r, arb(f_2) * a / 2) - 1,
        error_b / order1_shortfall(r, arb(f_above) * a / 2) - 1,
        order1_shortfall(r, arb(f_below) * b / 4) / error_a - 1,
    )


def _down(ball: arb) -> float:
    """A float certainly not above the ball."""
    return math.nextafter(float(ball.lower()), -math.inf)
