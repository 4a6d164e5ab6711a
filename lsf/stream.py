"""How is a pool filtered that does not fit into memory? In chunks, with the very indices that memory would give.

    scores, y = score_samples(fitted, chunks)
    kept = select(fitted, chunks, budget, rng)          sorted indices into all rows of all chunks, in their order
    ole(chunks), normalised_ole(chunks)                 of latents, in one pass

`chunks` is any re-iterable of pairs (x, y): a list, a reader of `lsf.chunks`, an object of yours. Equal to the last bit
to `fitted.score_samples` and `fitted.select` of the whole, whatever the sizes of chunks: chunks are cut anew into
blocks of 4,096 rows, sums run over blocks in their order, products on one BLAS thread, and the i-th sample's key is the
i-th number of the generator, a function of seed and index. A pool in memory goes the same way, as one chunk.

Of n samples, d latents, C classes, labels of L bytes, beside one chunk and a block of 4096 (x + 8 d) bytes:

    filter                  passes over the chunks          memory, bytes                   temporary file, bytes
    LatentSpaceFilter       1                               (40 + L) n, Threshold (60 + L) n   none
    DensityRatio, RankSum   about 10; with an encoder 1     (50 + L) n + 24 (1 + 2d)(4097 + 2d)   4 or 8 n d, if encoded
    TrimHerd, ShrunkHerd    3 to 13, 2; with an encoder 1   (60 + L) n and up to 128 MiB    8 n d, and 4 or 8 n d
    ole                     1                               8 C d (d + max(d, 1024))        none

Time is that of the encoder and of the products named in the modules of the filters; docs/at_size.md has an example.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lsf import checks
from lsf.blocks import Blocks
from lsf.encoders import holding
from lsf.latents import Latents
from lsf.ole import Norms

__all__ = ["score_samples", "select", "ole", "normalised_ole"]


def score_samples(fitted: Any, chunks: Any) -> tuple[np.ndarray, np.ndarray]:
    """(scores (n,) float64, labels (n,)) of all rows of all chunks, in their order; higher is kept first.

    `fitted`: any filter whose `score_samples(x, y)` gives a sample its score whatever is beside it, or one of this
    library's that score a pool as a whole. Raises TypeError for a filter that gives no scores, chunks that can be read
    once only or are no pairs; ValueError as `fitted`, naming row and chunk; NotFittedError.
    """
    if hasattr(fitted, "score_latents"):
        latents = _latents(fitted, chunks)
        return fitted.score_latents(latents), latents.y
    if not hasattr(fitted, "score_samples"):
        raise TypeError(f"{type(fitted).__name__} gives a sample no score: use lsf.stream.select")
    parts = Blocks(chunks).map(lambda x, y: (fitted.score_samples(x, y), y.copy()))
    with holding(getattr(fitted, "encoder_", None)):
        scores, y = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(y)


def select(fitted: Any, chunks: Any, budget: int, rng: Any = None) -> np.ndarray:
    """Sorted int64 indices (budget,) of the rows kept: those of `fitted.select` of all chunks joined, bit for bit.

    rng as in `fitted.select`. Errors as `score_samples` and `fitted.select`; TypeError for a filter that can only
    choose from a pool in memory.
    """
    number = checks.whole("budget", budget)
    if number < 1:
        raise ValueError(f"budget must be positive, found {number}")
    if hasattr(fitted, "select_latents"):
        return fitted.select_latents(_latents(fitted, chunks), number)
    if not hasattr(fitted, "select_scored"):
        raise TypeError(
            f"{type(fitted).__name__} chooses from a pool in memory only: it has neither select_scored(scores, y, "
            "budget, rng), which suffices where scores belong to samples, nor select_latents(latents, budget)"
        )
    scores, y = score_samples(fitted, chunks)
    return fitted.select_scored(scores, y, number, rng)


def ole(chunks: Any) -> float:
    """OLE of latents x (k, ...) by labels y (k,), in the units of the latents: `lsf.ole.ole` of all chunks joined.

    One pass, time n d^2. Raises ValueError on NaN or infinite latents, naming row and chunk; errors of chunks as
    `score_samples`.
    """
    return _norms(chunks).ole()


def normalised_ole(chunks: Any) -> float:
    """`lsf.ole.normalised_ole` of all chunks joined, in [0, 1 - 1/sqrt C]; errors as `ole`, or all latents 0."""
    return _norms(chunks).normalised_ole()


def _latents(fitted: Any, chunks: Any) -> Latents:
    checks.fitted(fitted, "classes_")
    return Latents(fitted, Blocks(chunks))


def _norms(chunks: Any) -> Norms:
    norms = Norms()
    for _ in Blocks(chunks).map(lambda x, y: norms.add(checks.flat("x", x), y)):
        pass
    return norms
