"""Where do rows go that do not fit into memory?

Arrays that are read again and again are held in memory up to `MEMORY` bytes, and beyond that in a temporary file
(in the folder of `tempfile`, so that TMPDIR chooses it), mapped into memory: the same rows to whoever reads them. The
file has no name and is gone with the array, also after a crash.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

__all__ = ["MEMORY", "Growing", "room"]

MEMORY = 2**27
"""Bytes of one array that are held in memory."""


def room(shape: tuple[int, int]) -> np.ndarray:
    """An array of float64 zeros, to be filled."""
    if 8 * shape[0] * shape[1] <= MEMORY:
        return np.zeros(shape)
    with tempfile.TemporaryFile() as file:  # the mapping keeps it
        return np.memmap(file, np.float64, "w+", shape=shape)


class Growing:
    """Rows (n, d) of which nobody knows how many will come; all of one width and dtype."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []
        self._file: Any = None
        self._held = self._rows = self._width = 0
        self._dtype = np.dtype(np.float64)

    def append(self, rows: np.ndarray) -> None:
        """rows (b, d). Raises ValueError on another width or dtype than before."""
        if self._rows and (rows.shape[1], rows.dtype) != (self._width, self._dtype):
            found, before = f"{rows.shape[1]} {rows.dtype}", f"{self._width} {self._dtype}"
            raise ValueError(f"x has latents of {found} numbers, and of {before} before")
        self._width, self._dtype = rows.shape[1], rows.dtype
        self._parts.append(rows.copy())  # they may be a view of a buffer that is filled anew
        self._rows += len(rows)
        self._held += rows.nbytes
        if self._held > MEMORY:
            self._spill()

    def array(self) -> np.ndarray:
        """All rows, in the order they came."""
        if self._file is None:
            self._parts = [np.concatenate(self._parts)]
            return self._parts[0]
        self._spill()
        return np.memmap(self._file, self._dtype, "r", shape=(self._rows, self._width))

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this object)
        for part in self._parts:
            self._file.write(np.ascontiguousarray(part).data)
        self._file.flush()
        self._parts, self._held = [], 0
