"""What must one pass over samples see, for a report on them?

Of the pool, of what is kept of it and of real data: the spread of each class (`lsf.spread`) and nuclear norms of the
latents at each timestep (`lsf.ole`); and the pictures of a few. Memory beside a block: one latent a class, the
pictures, and 8 T C d (d + max(d, 1024)) bytes for the norms of each kind, d numbers at T timesteps, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lsf import checks
from lsf.blocks import Blocks
from lsf.ole import Norms
from lsf.pictures import thumbnail
from lsf.spread import Spread

__all__ = ["Part", "Seen", "MOST_OLE"]

MOST_OLE = 2**31
"""Bytes of norms of all three kinds, above which none is computed."""


@dataclass
class Part:
    """Sums over the latents of the pool, of the kept or of real samples; `norms`: at each timestep, or none."""

    spread: Spread
    norms: list[Norms]
    n: int = 0

    def add(self, h: np.ndarray, own: np.ndarray) -> None:
        """Latents h (b, d), and the places own (b,) of their labels."""
        if not len(h):
            return
        self.n += len(h)
        self.spread.add(h, own)
        for norms, latents in zip(self.norms, np.split(h, max(len(self.norms), 1), axis=1), strict=False):
            norms.add(latents, own)


@dataclass
class Seen:
    """What one pass over samples saw: sums, pictures by number, and the shape and latents of a sample."""

    steps: list[Any]
    parts: dict[str, Part] = field(default_factory=dict)
    pictures: dict[int, str | None] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    width: int = 0
    ole_bytes: int = 0

    @classmethod
    def of(cls, fitted: Any, chunks: Any, samples: Any, is_kept: np.ndarray, wanted: set[int]) -> Seen:
        """Of all rows of `chunks`, and of those kept; pictures of those `wanted` of `samples`.

        Both are one and the same, or `chunks` is made of `samples`, which are then read beside it.
        """
        raw = None if chunks is samples else iter(Blocks(samples))
        seen = cls(list(getattr(fitted.encoder_, "timesteps_", [None])))

        def take(x: np.ndarray, y: np.ndarray) -> None:
            h, own = fitted.transform(x), checks.known("y", y, fitted.classes_)
            x = x if raw is None else next(raw)[0]
            if not seen.parts:
                seen._begin(x, h, len(fitted.classes_))
            start = seen.parts["pool"].n
            here = is_kept[start : start + len(x)]
            seen.parts["pool"].add(h, own)
            seen.parts["kept"].add(h[here], own[here])
            for i in wanted.intersection(range(start, start + len(x))):
                seen.pictures[i] = thumbnail(x[i - start])

        for _ in Blocks(chunks).map(take):
            pass
        return seen

    def _begin(self, x: np.ndarray, h: np.ndarray, classes: int) -> None:
        self.shape, self.width = x.shape[1:], h.shape[1] // len(self.steps)
        d = self.width
        self.ole_bytes = 24 * len(self.steps) * classes * d * (d + max(d, 1024))
        steps = self.steps if self.ole_bytes <= MOST_OLE else []
        self.parts = {name: Part(Spread(classes), [Norms() for _ in steps]) for name in ("pool", "kept")}
