"""Which samples does the report show, and as what?

Of a class: `EACH` kept and `EACH` dropped ones, drawn at random, so that they stand for the others, and the `EXTREME`
most and least confident, which do not. Of many classes the `CLASSES` of which the smallest share was kept. Images are
brought to `SIDE` pixels at most and written into the page as PNG. Needs Pillow (extra "report").
"""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

__all__ = ["Shown", "shown", "thumbnail", "EACH", "EXTREME", "CLASSES", "SIDE"]

EACH, EXTREME, CLASSES, SIDE = 12, 6, 12, 64
ROUNDING = 1e-6
"""By how much an image may leave [-1, 1]."""


class Shown(NamedTuple):
    """Samples of the class at place `k`, of which n are in the pool and n_kept kept: numbers into the pool."""

    k: int
    n: int
    n_kept: int
    kept: np.ndarray
    dropped: np.ndarray
    most: np.ndarray
    least: np.ndarray

    def all(self) -> np.ndarray:
        """Every number, each once."""
        return np.unique(np.concatenate(self[3:]))


def shown(own: np.ndarray, is_kept: np.ndarray, scores: np.ndarray | None, seed: int) -> list[Shown]:
    """What to show of a pool: places own (n,) of labels, is_kept (n,) and scores (n,), if any; class by class."""
    n, kept = np.bincount(own), np.bincount(own[is_kept], minlength=own.max() + 1)
    there = np.flatnonzero(n)
    order = there[np.argsort((kept / np.maximum(n, 1))[there], kind="stable")]
    rng = np.random.default_rng(seed)
    return [_of_class(int(k), own, is_kept, scores, rng) for k in np.sort(order[:CLASSES])]


def _of_class(
    k: int, own: np.ndarray, is_kept: np.ndarray, scores: np.ndarray | None, rng: np.random.Generator
) -> Shown:
    mine = np.flatnonzero(own == k)
    kept, dropped = (
        np.sort(rng.permutation(part)[:EACH]) for part in (mine[is_kept[mine]], mine[~is_kept[mine]])
    )
    order = mine[:0] if scores is None else mine[np.argsort(-scores[mine], kind="stable")]
    return Shown(
        k, len(mine), int(is_kept[mine].sum()), kept, dropped, order[:EXTREME], order[::-1][:EXTREME]
    )


def thumbnail(x: np.ndarray) -> str | None:
    """A `data:` URI of one sample: (channels, height, width), 1 or 3 channels, uint8 or in [-1, 1]; None of others."""
    if x.ndim != 3 or x.shape[0] not in (1, 3) or min(x.shape) < 1:
        return None
    if x.dtype != np.uint8 and (x.dtype.kind != "f" or np.abs(x).max() > 1 + ROUNDING):
        return None
    v = x if x.dtype == np.uint8 else np.clip(np.rint((x + 1) * 127.5), 0, 255).astype(np.uint8)
    v = v.transpose(1, 2, 0)
    image = Image.fromarray(v[:, :, 0] if v.shape[2] == 1 else np.ascontiguousarray(v))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
