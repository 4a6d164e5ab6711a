"""How far do the samples of each class lie from one another, when they come in parts?

    tr Cov_c = 1 / (n_c - 1) sum_i |h_i - mean_c|^2,

mean and sum brought up to date by each part (Chan, Golub and LeVeque, "Algorithms for computing the sample variance",
1983): one pass, and the memory of one latent a class.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Spread"]


class Spread:
    """Of `classes` classes, all empty at first; `n` (C,) counts their samples."""

    def __init__(self, classes: int) -> None:
        self.n = np.zeros(classes, dtype=np.int64)
        self._mean: list[Any] = [0.0] * classes
        self._squares = np.zeros(classes)

    def add(self, h: np.ndarray, own: np.ndarray) -> None:
        """Latents h (b, d) and the places own (b,) of their labels."""
        for k in np.unique(own):
            part = h[own == k].astype(np.float64)
            mean = part.mean(axis=0)
            step, total = mean - self._mean[k], self.n[k] + len(part)
            self._squares[k] += ((part - mean) ** 2).sum() + (step**2).sum() * self.n[k] * len(part) / total
            self._mean[k] = self._mean[k] + step * (len(part) / total)
            self.n[k] = total

    def traces(self) -> np.ndarray:
        """(C,), in the squared units of the latents; NaN where a class has fewer than two."""
        return np.where(self.n > 1, self._squares / np.maximum(self.n - 1, 1), np.nan)

    def over(self, other: Spread) -> np.ndarray:
        """The ratio of both traces (C,); NaN where one is unknown, or the other is 0."""
        ours, theirs = self.traces(), other.traces()
        return np.divide(ours, theirs, out=np.full(len(ours), np.nan), where=theirs > 0)
