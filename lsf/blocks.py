"""How can a sample's result not depend on the samples beside it, to the last bit?

A matrix product rounds a row differently when the number of rows changes, since other kernels run, and when threads
share the rows out. So every row-wise map here runs on blocks of one fixed size, the last one padded, and on one BLAS
thread: a sample alone, or among a million, in memory or in a stream, gives equal bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from sklearn.utils import gen_batches
from threadpoolctl import ThreadpoolController

from lsf import checks

__all__ = [
    "BLOCK",
    "in_blocks",
    "one_blas_thread",
    "slices",
    "Blocks",
    "Whole",
    "Chunk",
    "pair",
    "re_iterable",
]

BLOCK = 4096
"""Rows a block; a compromise between the padding of a small call and the speed of a large one."""

Chunk = tuple[np.ndarray, np.ndarray]
"""Samples x (k, ...) and their labels y (k,)."""


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


def re_iterable(chunks: Any) -> Iterable[Any]:
    """`chunks`, or a TypeError with the cure if they can be read once only, or not at all."""
    cure = "give a list of pairs (x, y), a reader of lsf.chunks, or an object whose __iter__ starts anew"
    if not hasattr(chunks, "__iter__") or isinstance(chunks, np.ndarray | str | bytes | dict):
        raise TypeError(
            f"chunks must be a re-iterable of pairs (x, y), found {type(chunks).__name__}: {cure}"
        )
    if iter(chunks) is chunks:
        raise TypeError(f"chunks can be read once only, being a {type(chunks).__name__}: {cure}")
    return chunks


class Blocks:
    """Chunks cut anew: each iteration gives (x, y) of exactly `size` rows, the last block fewer, none empty.

    Raises TypeError on chunks that cannot be read again or are no pairs, ValueError naming the chunk where x and y
    differ in length, or samples or labels in kind from those before; ValueError if there is no row at all.
    """

    def __init__(self, chunks: Any, size: int = BLOCK) -> None:
        self.chunks, self.size = re_iterable(chunks), size
        self._starts: list[int] = []

    def __iter__(self) -> Iterator[Chunk]:
        held: list[Chunk] = []
        missing = self.size
        for x, y in self._checked():
            start = 0
            while len(x) - start >= missing:
                yield _joined([*held, (x[start : start + missing], y[start : start + missing])])
                start, held, missing = start + missing, [], self.size
            if start < len(x):
                # a copy: the chunk may be a buffer that is filled anew
                held.append((x[start:].copy(), y[start:].copy()))
                missing -= len(x) - start
        if held:
            yield _joined(held)
        elif not any(self._starts):
            raise ValueError("chunks hold no sample")

    def map(self, row_map: Callable[[np.ndarray, np.ndarray], Any]) -> Iterator[Any]:
        """`row_map(x, y)` of every block; a sample that it finds unusable is named by its chunk and row."""
        start = 0
        for x, y in self:
            with checks.located(start, self.where):
                result = row_map(x, y)
            yield result
            start += len(x)

    def where(self, sample: int) -> str:
        """In words, where a sample that has been read stands."""
        chunk = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return f"row {sample - self._starts[chunk]} of chunk {chunk}"

    def _checked(self) -> Iterator[Chunk]:
        self._starts = [0]
        kind: Any = None
        for number, chunk in enumerate(self.chunks):
            x, y = pair(number, chunk)
            found = (x.shape[1:], _kind(y)) if len(x) else kind
            if kind is not None and found != kind:
                this, before = (
                    f"samples of shape {shape} and {of} for labels" for shape, of in (found, kind)
                )
                raise ValueError(f"chunk {number} has {this}, those before it {before}")
            kind = found
            yield x, y
            self._starts.append(self._starts[-1] + len(x))


class Whole(Blocks):
    """A pool in memory, x (n, ...) and y (n,): a stream of one chunk, whose samples go by their numbers alone."""

    def __init__(self, x: Any, y: Any) -> None:
        samples = checks.samples("x", x)
        if not len(samples):
            raise ValueError(f"x must hold at least one sample, found shape {samples.shape}")
        super().__init__([(samples, checks.labels_for("y", y, len(samples), "x"))])

    def where(self, sample: int) -> str:
        """In words, which sample that is."""
        return f"sample {sample}"


def pair(number: int, chunk: Any) -> Chunk:
    """Checked x (k, ...) and y (k,) of the chunk of that number; errors as `Blocks`."""
    try:
        x, y = chunk
    except (TypeError, ValueError):
        raise TypeError(f"chunk {number} must be a pair (x, y), found {type(chunk).__name__}") from None
    samples = checks.samples(f"x of chunk {number}", x)
    return samples, checks.labels_for(f"y of chunk {number}", y, len(samples), "x")


def _kind(y: np.ndarray) -> str:
    """What labels are, widths apart: joining words and numbers would make words of the numbers."""
    return "words" if y.dtype.kind in "OUST" else "truth values" if y.dtype.kind == "b" else "numbers"


def _joined(parts: list[Chunk]) -> Chunk:
    if len(parts) == 1:
        return parts[0]
    xs, ys = zip(*parts, strict=True)
    return np.concatenate(xs), np.concatenate(ys)
