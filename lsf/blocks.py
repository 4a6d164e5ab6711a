"""How can a sample's result not depend on the samples beside it, to the last bit?

A matrix product rounds a row differently when the number of rows changes, since other kernels run, and when threads
share the rows out. So every row-wise map here runs on blocks of one fixed size, the last one padded, and on one BLAS
thread: a sample alone, or among a million, in memory or in a stream, gives equal bits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
from sklearn.utils import gen_batches
from threadpoolctl import ThreadpoolController

__all__ = ["BLOCK", "in_blocks", "one_blas_thread", "slices"]

BLOCK = 4096
"""Rows a block; a compromise between the padding of a small call and the speed of a large one."""


def slices(count: int, size: int = BLOCK) -> list[slice]:
    """Consecutive blocks of `count` rows, the last one shorter; one empty block where there are no rows."""
    return list(gen_batches(count, size)) or [slice(0, 0)]


def in_blocks(row_map: Callable[[np.ndarray], np.ndarray], x: np.ndarray, size: int = BLOCK) -> np.ndarray:
    """`row_map` on consecutive blocks of exactly `size` samples; the last is padded by zeros, then cut.

    x has shape (n, ...) with n >= 1, the result (n, ...). `row_map` must treat samples one by one.
    """
    with one_blas_thread():
        parts = [row_map(_padded(x[start : start + size], size)) for start in range(0, len(x), size)]
    return np.concatenate(parts)[: len(x)] if len(parts) > 1 else parts[0][: len(x)]


def one_blas_thread() -> AbstractContextManager[object]:
    """Within it numpy's and scipy's matrix products run on one thread, so that their rounding is fixed."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> ThreadpoolController:
    # looking the libraries up takes milliseconds, and they are those that numpy and scipy came with
    return ThreadpoolController()


def _padded(block: np.ndarray, size: int) -> np.ndarray:
    if len(block) == size:
        return block
    padding = np.zeros((size - len(block), *block.shape[1:]), dtype=block.dtype)
    return np.concatenate([block, padding])
