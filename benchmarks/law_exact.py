"""How much cheaper is a Gaussian refit loop that draws sufficient statistics than one that draws the points?

The slow side is as lean as we can make it, so that the ratio is no merit of a bad rival: one seed at a time, a matrix
product to colour the points, a Cholesky factor a generation, and under accumulation the pool's running mean and
scatter instead of a refit of all its points. It is timed on few seeds and generations, and scaled.
"""

import numpy as np

from benchmarks.timing import Result, fastest
from sims.exact import Refit, exact

__all__ = ["drawn", "law_exact_replace_1000", "law_exact_accumulate_1000", "law_exact_replace_100000"]

DIM, SEEDS, GENERATIONS = 64, 100, 100


def drawn(loop: Refit, rng: np.random.Generator, generations: int) -> tuple[np.ndarray, np.ndarray]:
    """Last mean (d,) and factor (d, d) of one seed, every point drawn; mean fitted, no fresh data, shrink 1."""
    mean, L = np.zeros(loop.dim), np.eye(loop.dim)
    count, total, scatter = 0, np.zeros(loop.dim), np.zeros((loop.dim, loop.dim))
    for _ in range(generations):
        x = rng.standard_normal((loop.n, loop.dim)) @ L.T
        x += mean
        m = x.mean(axis=0)
        x -= m
        S = x.T @ x
        if loop.policy == "accumulate" and count:
            gap = m - total / count
            S += scatter + loop.n * count / (loop.n + count) * np.outer(gap, gap)
            m, count = (total + loop.n * m) / (count + loop.n), count + loop.n
        else:
            count = loop.n
        mean, total, scatter = m, count * m, S
        L = np.linalg.cholesky(S / loop.divisor(count))
    return mean, L


def _against_drawing(policy: str, n: int, seeds: int, generations: int) -> Result:
    """Both sides for SEEDS x GENERATIONS x DIM; `seeds` and `generations` of the slow one are timed."""
    loop, few = Refit(DIM, n, policy), Refit(DIM, 100, policy)
    rng = np.random.default_rng(0)
    fast, at_100, slow = fastest(
        lambda: exact(loop, range(SEEDS), GENERATIONS),
        lambda: exact(few, range(SEEDS), GENERATIONS),
        lambda: [drawn(loop, rng, generations) for _ in range(seeds)],
    )
    slow *= SEEDS * GENERATIONS / (seeds * generations)
    detail = (
        f"{SEEDS} seeds x {GENERATIONS} generations x d = {DIM}: {fast:.2f} s, at n = 100 {at_100:.2f} s; drawing "
        f"n = {n} points a generation {slow:.1f} s, scaled from {seeds} seeds x {generations} generations"
    )
    return Result(f"law-exact-{policy}-{n}", slow / fast, detail)


def law_exact_replace_1000() -> Result:
    """Replacement, 1,000 points a generation."""
    return _against_drawing("replace", 1000, 5, 40)


def law_exact_accumulate_1000() -> Result:
    """Accumulation, blocks of 1,000 points."""
    return _against_drawing("accumulate", 1000, 5, 40)


def law_exact_replace_100000() -> Result:
    """Replacement, 100,000 points a generation."""
    return _against_drawing("replace", 100_000, 1, 4)
