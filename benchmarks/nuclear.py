"""How much faster is OLE of a large pool in one pass than by singular value decompositions, and how far off?

Latents of 10 classes of rank 8 with noise 1e-3 are made block by block as they are read, float32; ours is one pass over
all rows through float64 Gram matrices. Decompositions of all rows do not fit: those of float64 rows are timed at
two sizes that do, and the line through them is drawn to the whole, which a tall matrix's time follows. The error is
that of ours on the larger of the two. Making the latents is not counted on either side.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from benchmarks.timing import Result, fastest
from lsf import stream
from lsf.blocks import BLOCK
from sims import progress

__all__ = ["ole_vs_svd"]

CLASSES, RANK, NOISE = 10, 8, 1e-3


def by_svd(latents: np.ndarray, labels: np.ndarray) -> float:
    """sum_c |M_c|_* - |M|_* from singular values."""
    parts = [np.linalg.svd(latents[labels == c], compute_uv=False).sum() for c in np.unique(labels)]
    return float(sum(parts) - np.linalg.svd(latents, compute_uv=False).sum())


@dataclass
class LowRank:
    """The first `rows` of a pool without end, in blocks, each made from its own seed; `made`: seconds that took."""

    rows: int
    features: int
    made: float = field(default=0.0, init=False)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        frames = np.random.default_rng(0).standard_normal((CLASSES, RANK, self.features), np.float32)
        for start in range(0, self.rows, BLOCK):
            progress.tick("OLE", start, self.rows)
            began = time.perf_counter()
            block = self._block(frames, start)
            self.made += time.perf_counter() - began
            yield block

    def _block(self, frames: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([1, start])
        y = rng.integers(CLASSES, size=BLOCK)
        x = np.float32(NOISE) * rng.standard_normal((BLOCK, self.features), np.float32)
        for c in range(CLASSES):
            x[y == c] += rng.standard_normal((np.count_nonzero(y == c), RANK), np.float32) @ frames[c]
        return x[: self.rows - start], y[: self.rows - start]


def seconds_of_svd(small: int, large: int, rows: int, features: int) -> tuple[float, float]:
    """Seconds at `rows` on the line through those at `small` and `large` rows, and those at `large`."""
    x, y = (np.concatenate(part) for part in zip(*LowRank(large, features), strict=True))
    x = x.astype(np.float64)
    few, many = fastest(lambda: by_svd(x[:small], y[:small]), lambda: by_svd(x, y), repeats=2)
    return many + (many - few) / (large - small) * (rows - large), many


def ole_vs_svd(
    rows: int = 1_000_000, features: int = 512, fits: tuple[int, int] = (20_000, 40_000)
) -> Result:
    """512 features, 1,000,000 latents; error on the 40,000 that fit."""
    pool = LowRank(rows, features)
    began = time.perf_counter()
    stream.ole(pool)
    ours = time.perf_counter() - began - pool.made
    svd, measured = seconds_of_svd(*fits, rows, features)
    x, y = (np.concatenate(part) for part in zip(*LowRank(fits[1], features), strict=True))
    off = abs(stream.ole([(x, y)]) / by_svd(x.astype(np.float64), y) - 1)
    return Result(
        "ole-vs-svd",
        svd / ours,
        f"{features} x {rows}: one pass {ours:.1f} s; SVD {svd:.0f} s, from {measured:.1f} s at {fits[1]}; "
        f"relative difference there {off:.0e}",
    )
