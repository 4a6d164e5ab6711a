"""What may be asked of the formulas: every refusal of theory/, in one place.

Conventions: angles in radians; `noise` and `floor` are standard deviations; the last axis of `angles` and
`rho` holds the r principal angles, a scalar means r = 1; scalars in, a float out.
A ValueError names the argument, says what was found, and how to cure it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Array",
    "Real",
    "finite",
    "non_negative",
    "positive",
    "right_angles",
    "whole",
    "fits",
    "plain",
    "bisect",
]

Array = NDArray[np.float64]
Real = float | Array


def finite(name: str, value: Any) -> Array:
    """`value` as a float64 array; ValueError unless every entry is a finite number."""
    array = np.asarray(value, dtype=np.float64)
    if array.size == 0:
        raise ValueError(f"{name} is empty, shape {array.shape}: give at least one number")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds {array[~np.isfinite(array)].flat[0]}: give finite numbers")
    return array


def non_negative(name: str, value: Any) -> Array:
    """`value` as a float64 array of finite numbers >= 0."""
    array = finite(name, value)
    if (array < 0).any():
        raise ValueError(f"{name} holds {array.min()}: give numbers that are zero or more")
    return array


def positive(name: str, value: Any) -> Array:
    """`value` as a float64 array of finite numbers > 0."""
    array = finite(name, value)
    if (array <= 0).any():
        raise ValueError(f"{name} holds {array.min()}: give numbers above zero")
    return array


def whole(name: str, value: Any, least: int = 1) -> Array:
    """`value` as a float64 array of whole numbers >= least."""
    array = finite(name, value)
    if (array < least).any() or (array != np.floor(array)).any():
        bad = array[(array < least) | (array != np.floor(array))].flat[0]
        raise ValueError(f"{name} holds {bad}: give whole numbers, at least {least}")
    return array


def right_angles(value: Any, name: str = "angles") -> Array:
    """Principal angles as a float64 array; radians within [0, pi/2], one rounding error beyond allowed."""
    array = finite(name, value)
    if (array < 0).any() or (array > np.pi / 2 * (1 + 1e-15)).any():
        bad = array[(array < 0) | (array > np.pi / 2)].flat[0]
        raise ValueError(f"{name} holds {bad}: give radians within [0, pi/2]")
    return array


def fits(dim: Any, rank: Any, least: int = 0) -> Array:
    """`dim` as an array; ValueError unless two subspaces of dimension `rank` fit without a forced overlap."""
    array = whole("dim", dim)
    if (2 * np.asarray(rank) > array).any():
        raise ValueError(f"dim is {array.min():.0f} but rank is {np.max(rank)}: need 2*rank <= dim")
    if (array < least).any():
        raise ValueError(f"dim is {array.min():.0f}: give at least {least}")
    return array


def plain(value: Any) -> Real:
    """A Python float for a zero-dimensional result, else the array itself."""
    array = np.asarray(value, dtype=np.float64)
    return float(array) if array.ndim == 0 else array


def bisect(falling: Callable[[Array], Array], low: Array, high: Array, steps: int = 200) -> Array:
    """The zero of a non-increasing function, elementwise in [low, high], to the last float64."""
    low, high = np.broadcast_arrays(low, high)
    for _ in range(steps):
        middle = low + (high - low) / 2
        if ((middle == low) | (middle == high)).all():
            break
        above = falling(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low + (high - low) / 2
