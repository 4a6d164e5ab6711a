"""Does a simulation agree with a formula, and would it have noticed another one? Rules: tests/tolerances.py."""

from collections.abc import Callable, Iterable

import numpy as np

from paper_checks.statistics import FAILS, HOLDS
from tests.tolerances import BATCHES, CONTROL, Draw, Estimate, agrees_within_bias, estimate

__all__ = ["Found", "against", "all_hold", "batched", "ratio"]

Found = tuple[str, Estimate]
"""A verdict and what it rests on."""


def against(
    draw: Draw, value: float, rng: np.random.Generator, samples: int, control: float, bias: float = 0.0
) -> Found:
    """Does the mean of `draw` agree with `value`: exactly, or within the relative `bias` of an asymptotic value?

    A miss is repeated once with a fresh stream and 4 times the samples. AssertionError if the wrong value `control`
    is not 12 standard errors away, or is accepted: then the check has no power.
    """
    found = estimate(draw, rng, samples)
    if not agrees_within_bias(found, value, bias):
        found = estimate(draw, rng, 4 * samples)
    gap = abs(control - value) - bias * (abs(value) + abs(control))
    assert gap >= CONTROL * found.error, f"control {control} is too near {value}: {found.error} s.e."
    assert not agrees_within_bias(found, control, bias), f"{found} accepts the control {control}"
    return HOLDS if agrees_within_bias(found, value, bias) else FAILS, found


def all_hold(parts: Iterable[object]) -> str:
    """Holds iff every part does."""
    return HOLDS if all(part in (HOLDS, True) for part in parts) else FAILS


def batched(draw: Callable[[], object], batches: int = BATCHES) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of a number or an array over at least 100 independent batches."""
    values = np.array([draw() for _ in range(max(batches, BATCHES))])
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


def ratio(a: Estimate, b: Estimate) -> Estimate:
    """a/b with the error of both, to first order; a and b independent."""
    value = a.mean / b.mean
    return Estimate(value, abs(value) * float(np.hypot(a.error / a.mean, b.error / b.mean)))
