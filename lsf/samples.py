"""How does a pool that lies in files reach a filter, chunk by chunk, and what happens to what cannot be read?

    for x, y in samples: ...      x (k, ...) and y (k,) of the next k <= chunk samples; any number of times.

A reader (`lsf.pool_files` has the table) gives a `Source`: labels, names of samples, and blocks in which bad samples
are marked with a reason. `Samples` decides, the same for every format: the first bad sample raises, or all are left
out and listed. Leaving out costs one more reading of everything, when `Samples` is made: from then on length,
labels and numbers are fixed, and every pass gives the same samples.

Memory: a chunk, 1 to 8 bytes a label and number, and what the source keeps of each sample (a path, for image files).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Source", "Samples", "Block", "not_finite"]

Block = tuple[np.ndarray, dict[int, str]]
"""Samples (k, ...) that follow one another, and the reason for each bad one, by its place in the block."""

CURE = "on_error='skip' leaves such samples out and lists them"


@dataclass(frozen=True)
class Source:
    """What a reader knows of a pool.

    y (n,): labels, anything where a label is bad; where(i): the name of sample i; blocks(size): all samples in order,
    at most `size` at a time; refused: names and reasons of what cannot become a sample at all.
    """

    y: np.ndarray
    where: Callable[[int], str]
    blocks: Callable[[int], Iterator[Block]]
    refused: tuple[tuple[str, str], ...] = ()


class Samples:
    """The good samples of a source, re-iterable in chunks (x, y).

    `y` (n,): all labels; `classes`: those that occur, sorted; `where(i)`: path, or file and row, of sample i;
    `skipped`: names and reasons of what was left out.

    Raises ValueError: with on_error="raise", naming what cannot become a sample, here or while iterating; with "skip",
    if nothing is left, or a sample that was good is so no longer.
    """

    def __init__(self, source: Source, chunk: int = 1024, on_error: str = "raise") -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', found {on_error!r}")
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1 sample, found {chunk}")
        if source.refused and on_error == "raise":
            raise _refusal(*source.refused[0], more=len(source.refused) - 1)
        self._source, self.chunk, self._skips = source, chunk, on_error == "skip"
        everything: tuple[np.ndarray, list[tuple[str, str]]] = (np.arange(len(source.y)), [])
        self._kept, bad = self._sifted() if self._skips else everything
        self.skipped: tuple[tuple[str, str], ...] = (*source.refused, *bad)
        self.y = source.y[self._kept] if bad else source.y
        if not len(self.y):
            first = ": {}".format(": ".join(self.skipped[0])) if self.skipped else ""
            raise ValueError(f"no sample is left, {len(self.skipped)} were skipped{first}")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def classes(self) -> np.ndarray:
        """The labels that occur, sorted."""
        return np.unique(self.y)

    def where(self, i: int) -> str:
        """The path of sample i, or its file and row as "file:row"; IndexError if there is none."""
        return self._source.where(int(self._kept[i]))

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        good = np.zeros(len(self._source.y), dtype=bool)
        good[self._kept] = True
        for start, x, reasons in self._blocks():
            for place, reason in reasons.items():
                if good[start + place]:
                    raise self._lost(start + place, reason)
            own = good[start : start + len(x)]
            if own.any():
                labels = self._source.y[start : start + len(x)]
                yield (x, labels) if own.all() else (x[own], labels[own])

    def _blocks(self) -> Iterator[tuple[int, np.ndarray, dict[int, str]]]:
        start = 0
        for x, reasons in self._source.blocks(self.chunk):
            yield start, x, reasons
            start += len(x)
        if start != len(self._source.y):
            raise ValueError(
                f"{len(self._source.y)} samples were listed, {start} were read: did the files change?"
            )

    def _sifted(self) -> tuple[np.ndarray, list[tuple[str, str]]]:
        """Numbers of the good samples of the source, and names and reasons of the others."""
        bad = {start + place: reason for start, _, found in self._blocks() for place, reason in found.items()}
        good = np.ones(len(self._source.y), dtype=bool)
        good[list(bad)] = False
        return np.flatnonzero(good), [(self._source.where(i), reason) for i, reason in sorted(bad.items())]

    def _lost(self, i: int, reason: str) -> ValueError:
        where = self._source.where(i)
        if self._skips:
            return ValueError(f"{where}: {reason}; it was good when it was first read: did the files change?")
        return _refusal(where, reason)


def _refusal(where: str, reason: str, more: int = 0) -> ValueError:
    others = f" (and {more} more)" if more else ""
    return ValueError(f"{where}: {reason}{others}; {CURE}")


def not_finite(x: np.ndarray) -> dict[int, str]:
    """The rows of x (k, ...) that hold a NaN or infinite value, with the reason."""
    if not len(x) or not np.issubdtype(x.dtype, np.inexact):
        return {}
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    return {int(i): "it has NaN or infinite values" for i in np.flatnonzero(bad)}
