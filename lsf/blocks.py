"""How can a sample's result not depend on the samples beside it, to the last bit?

A matrix product rounds a row differently when the number of rows changes, since other kernels run. So every
row-wise map here runs on blocks of one fixed size, the last one padded: a sample alone, or among a million,
gives equal bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["BLOCK", "in_blocks"]

BLOCK = 1024
"""Rows a block; a compromise between the padding of a small call and the speed of a large one."""


def in_blocks(row_map: Callable[[np.ndarray], np.ndarray], x: np.ndarray, size: int = BLOCK) -> np.ndarray:
    """`row_map` on consecutive blocks of exactly `size` samples; the last is padded by zeros, then cut.

    x has shape (n, ...) with n >= 1, the result (n, ...). `row_map` must treat samples one by one.
    """
    parts = [row_map(_padded(x[start : start + size], size)) for start in range(0, len(x), size)]
    return np.concatenate(parts)[: len(x)]


def _padded(block: np.ndarray, size: int) -> np.ndarray:
    if len(block) == size:
        return block
    padding = np.zeros((size - len(block), *block.shape[1:]), dtype=block.dtype)
    return np.concatenate([block, padding])
