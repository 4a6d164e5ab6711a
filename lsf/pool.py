"""What does a self-consuming loop hand from one generation to the next?

A `Pool`: samples, their labels, and which generation made each of them. It is a value: nothing changes it
in place, a subset or a union is a new one. Filters are given `x` and `y`, never `born`: they cannot peek at
provenance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsf import checks

__all__ = ["Pool", "concat"]


@dataclass(frozen=True, eq=False)
class Pool:
    """Samples `x` (n, ...), integer labels `y` (n,), birth `born` (n,): 0 = real, k >= 1 = made by the k-th
    model of the loop (model k - 1, if the one trained on real data is called generation 0); a scalar `born`
    holds for every sample.

    Raises ValueError if lengths differ, x is not finite, or born is negative; TypeError if y or born are no
    integers.
    """

    x: np.ndarray
    y: np.ndarray
    born: np.ndarray | int = 0

    def __post_init__(self) -> None:
        x = checks.finite("x", self.x)
        y = _integers("y", checks.labels_for("y", self.y, len(x), "x"))
        born = _integers("born", np.asarray(self.born))
        if born.ndim == 0:
            born = np.full(len(x), born)
        born = checks.labels_for("born", born, len(x), "x")
        if (born < 0).any():
            raise ValueError(f"born must be 0 (real) or a generation, found {int(born.min())}")
        for name, value in (("x", x), ("y", y), ("born", born)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def classes(self) -> np.ndarray:
        """The labels that occur, sorted."""
        return np.unique(self.y)

    def take(self, indices: Any) -> Pool:
        """The samples at `indices` (integers or a boolean mask), in that order."""
        born = np.asarray(self.born)
        index = np.asarray(indices)
        if index.size == 0:
            index = index.astype(np.int64)
        return Pool(self.x[index], self.y[index], born[index])

    @staticmethod
    def concat(pools: Iterable[Pool]) -> Pool:
        """One pool after the other, as `concat`."""
        return concat(pools)


def concat(pools: Iterable[Pool]) -> Pool:
    """The pools one after the other; raises ValueError if there is none, or sample shapes differ."""
    parts = list(pools)
    if not parts:
        raise ValueError("pools must hold at least one Pool, found none")
    shapes = {pool.x.shape[1:] for pool in parts}
    if len(shapes) > 1:
        raise ValueError(f"pools must have one sample shape, found {sorted(shapes)}")
    return Pool(
        np.concatenate([pool.x for pool in parts]),
        np.concatenate([pool.y for pool in parts]),
        np.concatenate([np.asarray(pool.born) for pool in parts]),
    )


def _integers(name: str, values: np.ndarray) -> np.ndarray:
    if not np.issubdtype(values.dtype, np.integer):
        raise TypeError(f"{name} must be integers, found dtype {values.dtype}")
    return values.astype(np.int64)
