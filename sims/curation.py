"""What is the next generation trained on?

A policy is a value, called as `policy(history, budget, rng)` on the pools made so far (the real one first) and gives
the pool to train on. All keep to one budget N but ACU, which grows and is marked so in every table.
  REAL     N real samples: the control, which tells self-consumption from damage done by fine-tuning
  SYN      the last generation's samples only
  SYN-ADD  the last generation's samples, 30% of them replaced by real ones drawn afresh
  ACU      everything so far
  ACUR     a random N of everything so far
  ACU-LSF  the N of everything so far that the fitted filter is most confident of (the paper's)
  ACU-LSF-CLASS, -THRESHOLD, ...; ACU-RATIO, -RANKSUM, -HERD, -SHRUNK; ACU-LSF-PIXELS, ...   other filters: sims.filters
  ACU-EQUAL-STEPS  everything so far, but no more gradient steps than a budget of N takes
  ORACLE   the real data of everything so far, at most N: the one choice that looks at provenance (SIMS and
           self-correction are told what is synthetic, as in their papers)
  ACUR-SIMS  ACUR's pool; what is trained on it is score extrapolation away from its synthetic part (`trained_by`)
  ACUR-SC    ACUR's pool, synthetic samples moved to cluster centres of the real training data
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from lsf.pool import Pool, concat
from sims.filters import FILTERS, Kit, fitted
from sims.rivals import ScoreExtrapolation, SelfCorrection

__all__ = [
    "Policy",
    "POLICIES",
    "RIVALS",
    "NAMES",
    "Real",
    "Syn",
    "SynAdd",
    "Acu",
    "Acur",
    "Oracle",
    "Filter",
    "AcuFilter",
    "policy",
    "trained_by",
    "composition",
]

History = Sequence[Pool]
Source = Callable[[int, np.random.Generator], Pool]
"""(n, rng) -> n fresh real samples, classes in equal shares."""


class Policy(Protocol):
    """(history, budget, rng) -> the pool to train on."""

    def __call__(self, history: History, budget: int, rng: np.random.Generator) -> Pool: ...


def draw(pool: Pool, n: int, rng: np.random.Generator) -> Pool:
    """`n` samples of the pool without replacement, in the pool's order."""
    if not 0 <= n <= len(pool):
        raise ValueError(f"budget asks for {n} samples of a pool of {len(pool)}")
    return pool.take(np.sort(rng.permutation(len(pool))[:n]))


@dataclass(frozen=True)
class Real:
    """Real data alone: from the real pool, or fresh ones of a `source` that has no end."""

    source: Source | None = None

    def __call__(self, history: History, budget: int, rng: np.random.Generator) -> Pool:
        return draw(history[0], budget, rng) if self.source is None else self.source(budget, rng)


@dataclass(frozen=True)
class Syn:
    """The last generation alone."""

    def __call__(self, history: History, budget: int, rng: np.random.Generator) -> Pool:
        return draw(history[-1], budget, rng)


@dataclass(frozen=True)
class SynAdd:
    """The last generation, a share `fresh` of it replaced by real data."""

    fresh: float = 0.3
    source: Source | None = None

    def __call__(self, history: History, budget: int, rng: np.random.Generator) -> Pool:
        real = round(self.fresh * budget)
        return concat([Real(self.source)(history, real, rng), draw(history[-1], budget - real, rng)])


@dataclass(frozen=True)
class Acu:
    """Everything: the one policy whose pool grows."""

    def __call__(self, history: History, budget: int, rng: np.random.Generator) -> Pool:
        return concat(history)


@dataclass(frozen=True)
class Acur:
    """A random part of everything."""

    def __call__(self, history: History, budget: int, rng: np.random.Generator) -> Pool:
        return draw(concat(history), budget, rng)


@dataclass(frozen=True)
class Oracle:
    """The real data of everything so far, at most the budget: the one choice that looks at provenance."""

    def __call__(self, history: History, budget: int, rng: np.random.Generator) -> Pool:
        return draw(history[0], min(budget, len(history[0])), rng)


class Filter(Protocol):
    """Fitted on real data; says which of a pool to keep. The filters of lsf are of this kind."""

    def select(self, x: np.ndarray, y: np.ndarray, budget: int, rng: Any = None) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class AcuFilter:
    """What a fitted filter keeps of everything. The filter is given x and y, never `born`."""

    filter: Filter

    def __call__(self, history: History, budget: int, rng: np.random.Generator) -> Pool:
        pool = concat(history)
        return pool.take(self.filter.select(pool.x, pool.y, budget, rng=rng))


POLICIES = ("REAL", "SYN", "SYN-ADD", "ACU", "ACUR", "ACU-LSF")
"""Those that a preset runs unless it says otherwise."""
RIVALS = ("ACUR-SIMS", "ACUR-SC")
NAMES = (*dict.fromkeys((*POLICIES, *RIVALS, "ACU-EQUAL-STEPS", "ORACLE", *FILTERS)),)
"""Every policy that can be asked for by name."""


def policy(name: str, kit: Kit) -> Policy:
    """The policy of that name, its filter made from `kit`; self-correction's centres are those of the training data.

    Raises ValueError on an unknown name, and lists those there are, or on a filter that the world cannot have.
    """
    plain: dict[str, Policy] = {
        "REAL": Real(),
        "ORACLE": Oracle(),
        "SYN": Syn(),
        "SYN-ADD": SynAdd(),
        "ACU": Acu(),
        "ACU-EQUAL-STEPS": Acu(),
        "ACUR": Acur(),
        "ACUR-SIMS": Acur(),
        "ACUR-SC": SelfCorrection(Acur(), kit.train),
    }
    if name in FILTERS:
        return AcuFilter(fitted(name, kit))
    if name not in plain:
        raise ValueError(f"policy must be one of {', '.join(NAMES)}, found {name!r}")
    return plain[name]


def trained_by(name: str, generator: Any, budget: int) -> Any:
    """What the policy of that name trains: the world's generator; score extrapolation with it; or the generator with
    the gradient steps of a pool of `budget`, however large the pool.

    Raises ValueError, naming the policy, if the generator cannot do what the policy needs.
    """
    try:
        if name == "ACUR-SIMS":
            return ScoreExtrapolation(generator)
        if name == "ACU-EQUAL-STEPS":
            return with_steps_of(generator, budget)
    except ValueError as error:
        raise ValueError(f"policy {name} cannot be run here: {error}") from error
    return generator


def with_steps_of(generator: Any, budget: int) -> Any:
    """The generator, fine-tuned for the gradient steps that a pool of `budget` takes; ValueError if it has none."""
    if not hasattr(generator, "finetune_steps"):
        raise ValueError(f"generator must train by gradient steps, found {type(generator).__name__}")
    return replace(generator, finetune_steps=generator.steps_over(budget))


def composition(pool: Pool, classes: np.ndarray) -> dict[str, float]:
    """Size of a pool, its share of real samples, mean generation (0 = real), and the share of the smallest of `classes`
    (0 if one is gone)."""
    counts = [np.sum(pool.y == c) for c in classes]
    return {
        "n": len(pool),
        "share_real": float(np.mean(pool.born == 0)),
        "mean_generation": float(np.mean(pool.born)),
        "smallest_class": float(min(counts) / len(pool)),
    }
