"""What will it take to filter a pool? The formulas of `lsf.stream`, with numbers.

Of n samples of `row` bytes, d latents a sample and labels of L bytes: passes over the pool, bytes of memory beside a
chunk, and of the temporary file. Upper ends, where the table gives a range.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from lsf.blocks import BLOCK
from lsf.density_ratio import DensityRatioFilter, RankSumFilter
from lsf.filter import LatentSpaceFilter
from lsf.herding import TrimHerdFilter
from lsf.rules import Threshold
from lsf.scratch import MEMORY
from lsf.unlabelled import SubspaceFilter, UnlabelledRatioFilter

__all__ = ["Cost", "cost"]


class Cost(NamedTuple):
    """In words how often the pool is read; bytes of memory, and of a temporary file."""

    passes: str
    memory: int
    file: int

    def __str__(self) -> str:
        file = f", and up to {_bytes(self.file)} in a temporary file" if self.file else ""
        return f"{self.passes} over the pool; about {_bytes(self.memory)} of memory beside a chunk{file}"


def cost(fitted: Any, n: int, row: int, label: int) -> Cost:
    """Of selecting from a pool of n samples of `row` bytes, with labels of `label` bytes."""
    d, encoded = _latents_of(fitted), fitted.encoder is not None
    passes, memory, file = _of_kind(fitted, n, d, label)
    if encoded and passes != "1 pass":
        passes, file = "1 pass", file + 8 * n * d
    # what is encoded counts towards the file only beyond what memory holds
    return Cost(passes, memory + BLOCK * (row + 8 * d) + min(file, MEMORY), file if file > MEMORY else 0)


def _of_kind(fitted: Any, n: int, d: int, label: int) -> tuple[str, int, int]:
    """Passes, memory and temporary file where samples are latents."""
    if isinstance(fitted, UnlabelledRatioFilter | DensityRatioFilter | RankSumFilter):
        return "about 10 passes", (50 + label) * n + 24 * (1 + 2 * d) * (BLOCK + 1 + 2 * d), 0
    if isinstance(fitted, LatentSpaceFilter | SubspaceFilter):
        each = 60 if isinstance(fitted.rule, Threshold) else 40
        return "1 pass", (each + label) * n, 0
    passes = "3 to 13 passes" if isinstance(fitted, TrimHerdFilter) else "2 passes"
    return passes, (60 + label) * n, 8 * n * d


def _latents_of(fitted: Any) -> int:
    """d, numbers a latent."""
    if isinstance(fitted, LatentSpaceFilter):
        return fitted.probe_.n_features_in_
    if isinstance(fitted, SubspaceFilter):
        return len(fitted.mean_)
    if isinstance(fitted, UnlabelledRatioFilter | RankSumFilter):
        return _latents_of(fitted.ratio_)
    return (
        _latents_of(fitted.rank_sum_) if isinstance(fitted, TrimHerdFilter) else fitted.scale_.mean.shape[1]
    )


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{max(1, round(count / 1000))} kB"
