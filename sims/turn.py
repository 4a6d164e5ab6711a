"""What is one turn of the self-consuming loop?

    pool_k = policy(history, N);   model_k = fit(pool_k, start = model_{k-1});   made_k ~ model_k

The one loop body, of image loops and analytic worlds alike. Streams are named by the generation and not by the policy,
so policies of one seed are compared in pairs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lsf.pool import Pool
from sims.generator import Learner, Sampler
from sims.seeds import stream

__all__ = ["turn", "draw_made", "equal_labels"]

Policy = Callable[[Sequence[Pool], int, np.random.Generator], Pool]


def turn(
    policy: Policy,
    generator: Learner,
    history: Sequence[Pool],
    start: Any,
    budget: int,
    seed: int,
    k: int,
    keep: int | None = None,
) -> tuple[Pool, Any, Pool]:
    """(pool trained on, new model, its samples) of generation k >= 1, from the pools so far, real first.

    `budget` samples are made, and as many kept for training unless `keep` says another number.
    """
    pool = policy(history, budget if keep is None else keep, stream(seed, "select", k))
    sampler = generator.fit(pool, stream(seed, "train", k), start=start)
    return pool, sampler, draw_made(sampler, history[0].classes, budget, seed, k)


def draw_made(sampler: Sampler, classes: np.ndarray, budget: int, seed: int, k: int) -> Pool:
    """N samples of the model of generation k, classes in equal shares, born k + 1 (0 is real)."""
    labels = equal_labels(classes, budget)
    return Pool(sampler.sample(labels, stream(seed, "sample", k)), labels, k + 1)


def equal_labels(classes: np.ndarray, n: int) -> np.ndarray:
    """n labels in equal shares, the odd ones to the first classes, sorted."""
    return np.sort(classes[np.arange(n) % len(classes)])
