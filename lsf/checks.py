"""What may enter the library?

Every border of `lsf` passes through these checks: a bad argument is refused before any work is done, with
an error that names the argument and what was found. Nothing is repaired silently.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import check_is_fitted

__all__ = [
    "Unusable",
    "located",
    "samples",
    "finite",
    "labels_for",
    "classes_of",
    "known",
    "features_of",
    "as_in_fit",
    "rows",
    "flat",
    "whole",
    "budget_for",
    "fitted",
    "generator",
]


class Unusable(ValueError):
    """`what` is wrong with some samples, the first of which is number `sample`; `cure` ends the message."""

    def __init__(self, what: str, sample: int, cure: str = "", where: str = "") -> None:
        super().__init__(f"{what}, the first in {where or f'sample {sample}'}{cure and f': {cure}'}")
        self.what, self.sample, self.cure = what, sample, cure

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.sample, self.cure)


@contextmanager
def located(start: int, name: Callable[[int], str] | None = None) -> Iterator[None]:
    """Within it a sample named `Unusable` is counted from `start`, and called `name(its number)`."""
    try:
        yield
    except Unusable as error:
        sample = start + error.sample
        raise Unusable(error.what, sample, error.cure, name(sample) if name else "") from None


def samples(name: str, values: Any) -> np.ndarray:
    """`values` as an array with samples on its first axis; ValueError if it has none, TypeError: complex or sparse."""
    if values is None:
        raise ValueError(f"{name} is missing. Expected array-like (array or non-string sequence), got None")
    if issparse(values):
        raise TypeError(f"{name} is sparse, which is not taken: give {name}.toarray()")
    array = np.asarray(values)
    if array.ndim == 0:
        raise ValueError(f"{name} must have samples on its first axis, found a scalar")
    if np.issubdtype(array.dtype, np.complexfloating):
        raise TypeError(f"{name} must be real, found dtype {array.dtype}")
    return array


def finite(name: str, values: Any) -> np.ndarray:
    """`values` as an array with samples on its first axis.

    Raises ValueError if it has no first axis, or a NaN or infinite entry (how many, and the first sample);
    TypeError if it is complex or sparse.
    """
    array = samples(name, values)
    if np.issubdtype(array.dtype, np.inexact) and not _surely_finite(array):
        bad = ~np.isfinite(array.reshape(len(array), -1))
        if bad.any():
            first = int(np.argmax(bad.any(axis=1)))
            raise Unusable(f"{name} has {int(bad.sum())} NaN or infinite values", first)
    return array


def _surely_finite(array: np.ndarray) -> bool:
    """One sum in place of an array of answers, as in scikit-learn; False also where the sum overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum()))


def rows(name: str, values: Any) -> np.ndarray:
    """Numbers, finite or not, one sample a row: trailing axes are flattened, a 1-D array is one feature."""
    return _as_rows(name, samples(name, values))


def flat(name: str, values: Any) -> np.ndarray:
    """Finite numbers, one sample a row: trailing axes are flattened, a 1-D array is one feature."""
    return _as_rows(name, finite(name, values))


def _as_rows(name: str, array: np.ndarray) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.number) and array.dtype != bool:
        raise ValueError(f"{name} must be numbers, found dtype {array.dtype}")
    if array.size == 0:
        raise ValueError(f"{name} must hold at least one number, found shape {array.shape}")
    return array.reshape(len(array), -1)


def labels_for(name: str, labels: Any, count: int, of: str) -> np.ndarray:
    """Labels as a 1-D array of length `count`, the number of samples of the argument called `of`.

    Raises TypeError on an array of objects that are not all strings.
    """
    array = finite(name, labels)
    objects = array.flat if array.dtype == object else ()
    strange = sorted({type(label).__name__ for label in objects if not isinstance(label, str)})
    if strange:
        raise TypeError(f"{name} must be integers or strings, found dtype object with {', '.join(strange)}")
    if array.ndim != 1:
        raise ValueError(f"{name} must be one label a sample (1-D), found shape {array.shape}")
    if len(array) != count:
        raise ValueError(f"{name} has {len(array)} labels, but {of} has {count} samples")
    return array


def classes_of(name: str, labels: np.ndarray) -> np.ndarray:
    """The sorted classes of checked labels (n,); raises ValueError on fractions, which are no classes."""
    if np.issubdtype(labels.dtype, np.floating) and (labels != np.floor(labels)).any():
        raise ValueError(f"{name} must be class labels, found fractions. Unknown label type: continuous")
    return np.unique(labels)


def known(name: str, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Position of each label in the sorted `classes`; raises ValueError naming labels never seen in fit."""
    where = np.searchsorted(classes, labels)
    strange = classes[np.minimum(where, len(classes) - 1)] != labels
    if strange.any():
        unseen = np.unique(np.asarray(labels)[strange]).tolist()
        raise ValueError(f"{name} has labels never seen in fit: {unseen}; seen: {classes.tolist()}")
    return where


def features_of(x: np.ndarray) -> int:
    """Numbers a sample of x (n, ...): what scikit-learn calls n_features_in_."""
    return math.prod(x.shape[1:])


def as_in_fit(name: str, x: np.ndarray, features: int) -> np.ndarray:
    """x (n, ...) itself; raises ValueError if its samples do not have as many features as those of fit."""
    if features_of(x) != features:
        raise ValueError(f"{name} has {features_of(x)} features, fit saw {features}")
    return x


def whole(name: str, value: Any) -> int:
    """`value` as an int; TypeError if it is no integer."""
    try:
        if not isinstance(value, bool | np.bool_):
            return operator.index(value)
    except TypeError:
        pass
    raise TypeError(f"{name} must be an integer, found {value!r}")


def budget_for(budget: Any, count: int) -> int:
    """`budget` as an int with 1 <= budget <= count; TypeError if no integer, ValueError if out of range."""
    number = whole("budget", budget)
    if number < 1:
        raise ValueError(f"budget must be positive, found {number}")
    if number > count:
        raise ValueError(f"budget is {number}, but the pool has only {count} samples")
    return number


def generator(name: str, rng: Any) -> np.random.Generator:
    """A Generator from a Generator or an integer seed; None is refused, for nothing could be repeated."""
    if rng is None:
        raise ValueError(f"this rule draws at random and needs {name}: a numpy Generator or an integer seed")
    if isinstance(rng, np.random.Generator):
        return rng
    try:
        seed = operator.index(rng)
    except TypeError:
        raise TypeError(f"{name} must be a numpy Generator or an integer seed, found {rng!r}") from None
    if seed < 0:
        raise ValueError(f"{name} must not be negative, found {seed}")
    return np.random.default_rng(seed)


def fitted(estimator: Any, attribute: str) -> None:
    """Raises scikit-learn's NotFittedError unless `estimator` has `attribute`."""
    check_is_fitted(estimator, attribute)
