"""What is read off each generation, and with which instruments?

All instruments of a run are made once, from real data and the generation-0 model, and never change: the fitted
filter (frozen latents and probe), the feature space, the judge of labels, and the latents for OLE at several
timesteps. `measure` gives one flat set of numbers for a pool; applied to real data it gives every number's floor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lsf.filter import LatentSpaceFilter
from lsf.ole import nuclear_norms
from lsf.pool import Pool
from lsf.rules import Top
from sims.curation import composition
from sims.features import Judge
from sims.metrics import class_retention, frechet_distance, neighbour_metrics, within_class_variance

__all__ = ["Instruments", "log_odds", "first_per_class"]


@dataclass(frozen=True)
class Instruments:
    """Everything a run measures with. `latents(x, inputs)` gives rows of (convention, latents) of samples, fed "clean"
    or "noised"."""

    filter: LatentSpaceFilter
    features: Callable[[np.ndarray], np.ndarray]
    judge: Judge
    latents: Callable[[np.ndarray, tuple[str, ...]], list[tuple[dict[str, Any], np.ndarray]]]
    reference: Pool
    ole_per_class: int

    def measure(self, made: Pool) -> dict[str, Any]:
        """Every metric of `made` against the reference, with the n of both sides."""
        f_ref, f_made = self.features(self.reference.x), self.features(made.x)
        shown = self.judge.labels(made.x)
        spread = within_class_variance(f_made, made.y) / within_class_variance(f_ref, self.reference.y)
        scores = self.filter.score_samples(made.x, made.y)
        return {
            "n": len(made),
            "n_reference": len(self.reference),
            "frechet": frechet_distance(f_ref, f_made),
            **neighbour_metrics(f_ref, f_made),
            "accuracy": float(np.mean(shown == made.y)),
            "retention": class_retention(self.reference.y, shown),
            "variance_ratio": spread,
            "log_odds": float(log_odds(scores).mean()),
            "confidence": float(np.exp(scores).mean()),
            "ole": self.oles(made),
        }

    def distance(self, made: Pool) -> float:
        """The Frechet distance of `measure` alone."""
        return frechet_distance(self.features(self.reference.x), self.features(made.x))

    def floor(self, train: Pool, n: int) -> dict[str, Any]:
        """Every metric for real data: `n` of the training part against the reference, as if a generator had made them.

        Confidence and OLE are those of the reference, which neither the probe nor the network has seen.
        """
        unseen = self.filter.score_samples(self.reference.x, self.reference.y)
        return {
            **self.measure(first_per_class(train, n // len(train.classes))),
            "log_odds": float(log_odds(unseen).mean()),
            "confidence": float(np.exp(unseen).mean()),
            "ole": self.oles(self.reference, ("clean", "noised")),
        }

    def oles(self, made: Pool, inputs: tuple[str, ...] = ("clean",)) -> list[dict[str, Any]]:
        """OLE, raw and normalised, of the same number of samples of each class, one row a convention."""
        part = first_per_class(made, self.ole_per_class)
        return [{**convention, **ole_row(h, part.y)} for convention, h in self.latents(part.x, inputs)]

    def choices(self, pool: Pool, budget: int) -> dict[str, dict[str, float]]:
        """What the most confident `budget` of `pool` are made of, by a global quota and by equal class quotas."""
        scores = self.filter.score_samples(pool.x, pool.y)
        rules = {"global": Top(), "class": Top(quota="class", shortfall="fill")}
        parts = {"pool": pool} | {k: pool.take(rule(scores, pool.y, budget)) for k, rule in rules.items()}
        return {name: composition(part, pool.classes) for name, part in parts.items()}


def ole_row(latents: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """OLE = sum_c |M_c|_* - |M|_* and OLE / sum_c |M_c|_*, from the same nuclear norms."""
    by_class, whole = nuclear_norms(latents, labels)
    raw = float(by_class.sum() - whole)
    return {"raw": raw, "normalised": raw / float(by_class.sum())}


def log_odds(scores: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)) from log-confidences log p, without saturation: log p - log(1 - p)."""
    s = np.clip(scores, None, -1e-300)
    return s - np.log(-np.expm1(s))


def first_per_class(pool: Pool, n: int) -> Pool:
    """The first `n` samples of each class; a class with fewer raises ValueError."""
    rows = [np.flatnonzero(pool.y == c)[:n] for c in pool.classes]
    if min(map(len, rows)) < n:
        raise ValueError(
            f"{n} samples of each class are asked for (budget or ole_per_class), the smallest has {min(map(len, rows))}"
        )
    return pool.take(np.concatenate(rows))
