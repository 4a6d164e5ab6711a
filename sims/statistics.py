"""What does a loop do whose fits see counts, means and scatters only, so that no point need be drawn?

The law-exact engine of the analytic worlds: without a per-sample filter, a fit of normal classes sees the n points of a
class through their mean and scatter, whose law is known (`sims.exact`): for each component with n_j of the points,
n_1, n_2, ... multinomial,

    mean_j = m_j + R_j z / sqrt n_j,   scatter_j = (R_j T)(R_j T)',   T T' ~ Wishart(n_j - 1, I) by Bartlett,

and components, blocks and generations pool by adding scatters and what lies between their means. A generation costs
O(d^3) whatever n. It has the law of `run_cell`'s sampling engine, not its draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sims.analytic import ClassFit
from sims.distances import aligned_cosine, law_measures
from sims.exact import bartlett
from sims.laws import Laws
from sims.seeds import stream

__all__ = ["Statistics", "drawn", "pooled", "run_statistics", "EXACT_POLICIES", "EXACT_MEASURES"]

Block = list["Statistics"]
"""One block of data: the statistics of each class."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of `count` points, `real` of them real, of mean generation `born` (0: real): mean (d,) and scatter (d, d)."""

    count: int
    mean: np.ndarray
    scatter: np.ndarray
    real: int = 0
    born: float = 0.0


def drawn(law: Laws, c: int, count: int, rng: np.random.Generator, born: int) -> Statistics:
    """Statistics of `count` points of class number c of `law`, born in generation `born`."""
    counts = rng.multinomial(count, law.weights[c])
    parts = []
    for j in np.flatnonzero(counts):
        n, R = int(counts[j]), law.roots[c, j]
        RT = R @ bartlett([rng], law.dim, n - 1)[0]
        mean = law.means[c, j] + R @ rng.standard_normal(law.dim) / np.sqrt(n)
        parts.append(Statistics(n, mean, RT @ RT.T, n * (born == 0), float(born)))
    return pooled(parts) if parts else Statistics(0, np.zeros(law.dim), np.zeros((law.dim, law.dim)))


def pooled(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of all points together; raises ValueError if there is none."""
    parts = [p for p in parts if p.count]
    if not parts:
        raise ValueError("parts must hold at least one point")
    if len(parts) == 1:
        return parts[0]
    n = np.array([p.count for p in parts])
    means = np.stack([p.mean for p in parts])
    mean = n @ means / n.sum()
    between = (means - mean) * np.sqrt(n)[:, None]
    scatter = np.asarray(sum(p.scatter for p in parts)) + between.T @ between
    born = float(n @ [p.born for p in parts] / n.sum())
    return Statistics(int(n.sum()), mean, scatter, sum(p.real for p in parts), born)


def block(law: Laws, counts: np.ndarray, rng: np.random.Generator, born: int) -> Block:
    """counts (C,) points of each class."""
    return [drawn(law, c, int(n), rng, born) for c, n in enumerate(counts)]


def syn_add(truth: Laws, model: Laws, counts: np.ndarray, rng: np.random.Generator, k: int) -> list[Block]:
    """30% fresh real points, and a random 70% of the last ones."""
    made = rng.multivariate_hypergeometric(counts, counts.sum() - round(0.3 * counts.sum()))
    fresh = round(0.3 * counts.sum())
    each = fresh // len(counts) + (np.arange(len(counts)) < fresh % len(counts))
    return [block(truth, each, rng, 0), block(model, made, rng, k)]


EXACT_POLICIES: dict[str, Callable[..., list[Block]]] = {
    "REAL": lambda truth, model, counts, rng, k: [block(truth, counts, rng, 0)],
    "SYN": lambda truth, model, counts, rng, k: [block(model, counts, rng, k)],
    "SYN-ADD": syn_add,
    "ACU": lambda truth, model, counts, rng, k: [block(model, counts, rng, k)],
}
"""What generation k adds to its training data: (truth, last model's law, points of each class, rng, k) -> blocks."""
EXACT_MEASURES = ("laws", "alignment")


def run_statistics(cell: Any) -> list[dict[str, Any]]:
    """One row a generation, 0 to the last: `run_cell` of a cell whose `engine` is "law-exact"."""
    world, seed = cell.world, cell.seed
    truth = world.truth(seed)
    planes = np.linalg.qr(stream(seed, "planes").standard_normal((world.dim, world.dim)))[0]
    generator = ClassFit(world, truth, cell.mechanisms, planes)
    C = world.classes
    counts = cell.n // C + (np.arange(C) < cell.n % C)
    pool = block(truth, counts, stream(seed, "statistics", "real"), 0)
    rows: list[dict[str, Any]] = []
    for k in range(cell.generations + 1):
        model = generator.fit_statistics([(s.count, s.mean, s.scatter) for s in pool])
        row = {"generation": k, **composition(pool)}
        if "laws" in cell.measures:
            row |= law_measures(model.law, truth, world.rank)
        if "alignment" in cell.measures:
            row["aligned_cosine"] = aligned_cosine(model.fitted, truth, world.rank)
        rows.append(row)
        new = EXACT_POLICIES[cell.policy](truth, model.law, counts, stream(seed, "statistics", k + 1), k + 1)
        kept = [pool] if cell.policy == "ACU" else []
        pool = [pooled(parts) for parts in zip(*kept, *new, strict=True)]
    return rows


def composition(pool: Block) -> dict[str, Any]:
    """As `sims.curation.composition`, from counts."""
    n = np.array([s.count for s in pool])
    return {
        "n": int(n.sum()),
        "share_real": float(sum(s.real for s in pool) / n.sum()),
        "mean_generation": float(n @ [s.born for s in pool] / n.sum()),
        "smallest_class": float(n.min() / n.sum()),
    }
