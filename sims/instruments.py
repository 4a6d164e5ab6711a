"""What is read off each generation, and with which instruments?

All instruments of a run are made once, from real data and the generation-0 model, and never change: the fitted
filter (frozen latents and probe), the feature space, the judge of labels, and the latents for OLE at several
timesteps. `measure` gives one flat set of numbers for a pool; applied to real data it gives every number's floor.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from lsf.ole import nuclear_norms
from lsf.pool import Pool
from lsf.rules import Top
from sims.curation import composition
from sims.features import Judge
from sims.filters import Kit
from sims.metrics import Within, class_retention, frechet_distance, nearest_distance, space_metrics, within

__all__ = ["Instruments", "Latents", "class_geometry", "log_odds", "first_per_class"]


Latents = Callable[[np.ndarray, tuple[str, ...]], list[tuple[dict[str, Any], np.ndarray]]]
"""(x, inputs) -> rows of (convention, latents) of samples, fed "clean" or "noised"."""


@dataclass(frozen=True)
class Instruments:
    """Everything a run measures with. `kit` holds the filter and what other filters are made from; `features` is the
    feature space of the headline numbers, `spaces` are those beside it, `slow_spaces` read in thorough measurements."""

    kit: Kit
    features: Any
    judge: Judge
    latents: Latents
    reference: Pool
    ole_per_class: int
    spaces: tuple[Any, ...] = ()
    slow_spaces: tuple[Any, ...] = ()
    known: dict[str, tuple[np.ndarray, Within]] = field(default_factory=dict)

    @property
    def filter(self) -> Any:
        """The paper's, fitted."""
        return self.kit.paper

    def measure(self, made: Pool, thorough: bool = False) -> dict[str, Any]:
        """Every metric of `made` against the reference, with the n of both sides.

        `thorough` adds the slow feature spaces, OLE of noised samples, and the geometry of the classes' latents.
        """
        shown = self.judge.labels(made.x)
        scores = self.filter.score_samples(made.x, made.y)
        spaces = (*self.spaces, *self.slow_spaces) if thorough else self.spaces
        rows = self.labelled_latents(made, ("clean", "noised") if thorough else ("clean",))
        return {
            "n": len(made),
            "n_reference": len(self.reference),
            **self.in_space(self.features, made),
            "accuracy": float(np.mean(shown == made.y)),
            "retention": class_retention(self.reference.y, shown),
            "log_odds": float(log_odds(scores).mean()),
            "confidence": float(np.exp(scores).mean()),
            "nearest": nearest_distance(
                *(p.x.reshape(len(p), -1) for p in (self.kit.train, self.reference, made))
            ),
            "spaces": {s.name: self.in_space(s, made) for s in spaces},
            "ole": [{**convention, **ole_row(h, y)} for convention, h, y in rows],
            "geometry": geometry_rows(rows) if thorough else [],
        }

    def in_space(self, features: Any, made: Pool) -> dict[str, float]:
        """Distances, precision, recall, density, coverage and spread in one feature space."""
        of_reference, known = self.of_reference(features)
        return space_metrics(of_reference, features(made.x), self.reference.y, made.y, known=known)

    def of_reference(self, features: Any) -> tuple[np.ndarray, Within]:
        """Features of the reference, and what they say of themselves: computed once."""
        if features.name not in self.known:
            own = features(self.reference.x)
            self.known[features.name] = own, within(own)
        return self.known[features.name]

    def distance(self, made: Pool) -> float:
        """The Frechet distance of `measure` alone."""
        return frechet_distance(self.of_reference(self.features)[0], self.features(made.x))

    def floor(self, train: Pool, n: int) -> dict[str, Any]:
        """Every metric for real data: `n` of the training part against the reference, as if a generator had made them.

        Confidence, OLE, geometry and distance to the nearest training image (1, by definition) are those of the
        reference, which neither the probe nor the network has seen.
        """
        unseen = self.filter.score_samples(self.reference.x, self.reference.y)
        rows = self.labelled_latents(self.reference, ("clean", "noised"))
        return {
            **self.measure(first_per_class(train, n // len(train.classes)), thorough=True),
            "log_odds": float(log_odds(unseen).mean()),
            "confidence": float(np.exp(unseen).mean()),
            "nearest": 1.0,
            "ole": [{**convention, **ole_row(h, y)} for convention, h, y in rows],
            "geometry": geometry_rows(rows),
        }

    def labelled_latents(
        self, made: Pool, inputs: tuple[str, ...]
    ) -> list[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
        """(convention, latents, labels) of the same number of samples of each class."""
        part = first_per_class(made, self.ole_per_class)
        return [(convention, h, part.y) for convention, h in self.latents(part.x, inputs)]

    def choices(self, pool: Pool, budget: int) -> dict[str, dict[str, float]]:
        """What the most confident `budget` of `pool` are made of, by a global quota and by equal class quotas."""
        scores = self.filter.score_samples(pool.x, pool.y)
        rules = {"global": Top(), "class": Top(quota="class", shortfall="fill")}
        parts = {"pool": pool} | {k: pool.take(rule(scores, pool.y, budget)) for k, rule in rules.items()}
        return {name: composition(part, pool.classes) for name, part in parts.items()}


RANK = 4
"""Dimension of the class subspaces whose angles are read."""


def geometry_rows(rows: list[tuple[dict[str, Any], np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
    """`class_geometry` of each convention, of the latents as OLE sees them and centred class by class."""
    return [
        {**convention, "centred": centred, **class_geometry(h, y, RANK, centred)}
        for convention, h, y in rows
        for centred in (False, True)
    ]


def class_geometry(h: np.ndarray, y: np.ndarray, rank: int, centred: bool) -> dict[str, float]:
    """How the classes' subspaces lie: top `rank` right singular vectors V_c of each class's latents h (n, p).

    `cosines`: mean over pairs of classes of the mean cosine of the principal angles of V_a, V_b; `noise_floor`: mean
    over classes of the share of the squared singular values beyond the top `rank`.
    """
    frames, floors = [], []
    for c in np.unique(y):
        own = h[y == c].astype(np.float64)
        own = own - own.mean(axis=0) if centred else own
        s, V = np.linalg.svd(own, full_matrices=False)[1:]
        frames.append(V[:rank])
        floors.append(1 - np.square(s[:rank]).sum() / np.square(s).sum())
    cosines = [np.linalg.svd(a @ b.T, compute_uv=False).mean() for a, b in combinations(frames, 2)]
    return {"cosines": float(np.mean(cosines)), "noise_floor": float(np.mean(floors))}


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
