"""A pool as a filter of the whole pool reads it: latents and labels, block by block, as often as it likes.

Samples are encoded once. Where they are latents themselves (encoder None) they are read anew each time and nothing is
held of them; else their latents are kept (`lsf.scratch`: in memory, or beyond its size in a temporary file). Memory is
that of a block and of the labels, 8 bytes and those of a label a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lsf import checks, scratch
from lsf.blocks import Blocks, slices
from lsf.encoders import as_encoder, holding
from lsf.filter import encoded

__all__ = ["Latents", "AreLatents"]


class Latents:
    """Iterated: (h (b, d) float64, own (b,)) for each block of b <= `BLOCK` samples; own: places of their labels.

    `blocks`: the pool, in memory (`Whole`) or not; `fitted`: a filter with `encoder`, `encoder_` and `classes_`.
    `y` (n,): labels; `own` (n,): their places in `classes_`.

    Raises ValueError on NaN or infinite x or latents, labels never seen in fit, a pool without samples, or chunks that
    give another number of samples when they are read again; errors of chunks as `Blocks`.
    """

    def __init__(self, fitted: Any, blocks: Blocks) -> None:
        self._blocks = blocks
        self._kept = None if fitted.encoder is None else scratch.Growing()

        def take(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            own = checks.known("y", y, fitted.classes_)
            h = encoded(fitted.encoder_, x)
            if self._kept is not None:
                self._kept.append(h)
            return own, y.copy()

        with holding(fitted.encoder_):
            own, y = zip(*self._blocks.map(take), strict=True)
        self.own, self.y = np.concatenate(own), np.concatenate(y)

    def __len__(self) -> int:
        return len(self.own)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        start = 0
        for h in self._again():
            own = self.own[start : start + len(h)]
            start += len(h)
            if len(own) < len(h):
                break
            yield h.astype(np.float64, copy=False), own
        if start != len(self):
            raise ValueError(f"chunks gave {len(self)} samples, and another number when read again")

    def by_class(self, scale: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[np.ndarray]:
        """z_k (n_k, d) = scale(h, own) of the samples of each class k, in their order; kept by `lsf.scratch`."""
        counts = np.bincount(self.own)
        ends = np.cumsum(counts)
        at, z = ends - counts, np.empty((0, 0))
        for h, own in self:
            standard = scale(h, own)
            z = z if len(z) else scratch.room((len(self), standard.shape[1]))
            for k in np.unique(own):
                rows = standard[own == k]
                z[at[k] : at[k] + len(rows)] = rows
                at[k] += len(rows)
        return np.split(z, ends[:-1])

    def _again(self) -> Iterator[np.ndarray]:
        if self._kept is None:
            return self._blocks.map(lambda x, y: checks.flat("latents", x))
        rows = self._kept.array()
        return (rows[part] for part in slices(len(rows)))


@dataclass(frozen=True)
class AreLatents:
    """Stands for a filter of `classes_` whose samples are encoded already."""

    classes_: np.ndarray
    encoder: None = None
    encoder_: Any = field(default_factory=lambda: as_encoder(None))
