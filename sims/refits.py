"""What can be read off a generation only by training something anew? Taken in worlds where that costs nothing.

re-trained confidence  the log-odds of a generation's samples, by a probe fitted to the pool that made them
pool sizes             pools of 1.5 N, 2 N, 4 N drawn from one history, each holding the smaller ones; of each the
                       filter's N and a random N, the generator refitted on either: how far is what it makes?
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from lsf.filter import LatentSpaceFilter
from lsf.pool import Pool, concat
from sims.curation import AcuFilter, Acur, Policy
from sims.generator import Learner
from sims.instruments import log_odds
from sims.seeds import stream
from sims.turn import turn

__all__ = ["POOLS", "retrained_log_odds", "pool_sizes"]

POOLS = (1.5, 2.0, 4.0)
"""Sizes of the pools, in budgets."""


def retrained_log_odds(fitted: LatentSpaceFilter, pool: Pool, made: Pool) -> float:
    """Mean log-odds of the own labels of `made`, by encoder and probe of `fitted` trained again on `pool`."""
    own = clone(fitted).fit(pool.x, pool.y)
    return float(log_odds(own.score_samples(made.x, made.y)).mean())


def pool_sizes(
    history: Sequence[Pool],
    generator: Learner,
    fitted: LatentSpaceFilter,
    distance: Callable[[Pool], float],
    start: Any,
    budget: int,
    seed: int,
    k: int,
) -> list[dict[str, float]]:
    """One row a pool of `POOLS`: its size `n`, and the distance of what is made after a `random` and a `top` choice.

    Every refit is generation k's, from the model `start` and in its streams, so that all of them are paired. Sizes
    that the history has not reached are left out.
    """
    everything = concat(history)
    order = stream(seed, "pools", k).permutation(len(everything))
    choices: dict[str, Policy] = {"random": Acur(), "top": AcuFilter(fitted)}
    rows = []
    for size in (round(times * budget) for times in POOLS):
        if size > len(everything):
            break
        part = everything.take(np.sort(order[:size]))
        row: dict[str, float] = {"n": size}
        for name, policy in choices.items():
            made = turn(policy, generator, [part], start, budget, seed, k)[2]
            row[name] = distance(made)
        rows.append(row)
    return rows
