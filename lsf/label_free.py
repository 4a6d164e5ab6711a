"""How does a filter without labels go through a pool in chunks?

    labelled(fitted, chunks) -> (filter, chunks):      stream.select(*labelled(fitted, chunks), budget, rng)
                                                       == fitted.select(x, budget, rng), to the last bit.

It is one with labels inside: the density ratio of one class, or LSF whose label of a sample is its likely subspace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsf.blocks import Blocks, Chunk
from lsf.unlabelled import SubspaceFilter, UnlabelledRatioFilter

__all__ = ["labelled"]


def labelled(fitted: Any, chunks: Any) -> tuple[Any, Any]:
    """A fitted filter that uses labels, and the chunks it takes; a filter that uses labels and `chunks` as they are.

    Raises as `lsf.blocks.Blocks` while the chunks are read.
    """
    if isinstance(fitted, UnlabelledRatioFilter):
        return fitted.ratio_, _Made(chunks, lambda x: (x, np.zeros(len(x), dtype=np.int64)))
    if isinstance(fitted, SubspaceFilter):
        # in blocks, as `transform` of the whole pool would encode it
        return fitted.filter_, _Made(Blocks(chunks), lambda x: _likely(fitted, x))
    return fitted, chunks


@dataclass(frozen=True, eq=False)
class _Made:
    """Chunks made of the samples of others, whose labels are not used."""

    chunks: Any
    make: Callable[[np.ndarray], Chunk]

    def __iter__(self) -> Iterator[Chunk]:
        return (self.make(x) for x, _ in self.chunks)


def _likely(fitted: SubspaceFilter, x: np.ndarray) -> Chunk:
    """Latents (k, d), and the most probable subspace (k,) of each."""
    h = fitted.transform(x)
    return h, fitted.filter_.predict_proba(h).argmax(axis=1)
