"""Does my filter keep the laws that make it one?

    check_filter(my_filter):    for all worlds (real data, a pool, a budget)  law(my_filter, world)

as scikit-learn's `check_estimator` does for estimators. Hypothesis draws the worlds and shrinks what breaks a law
to the smallest example it finds; it is imported when a check runs (extra "testing"). The laws: `lsf.laws`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import clone

from lsf.laws import (
    LAWS,
    LAWS_OF_PROVENANCE,
    LAWS_OF_SCORES,
    LAWS_OF_SELECTION,
    Law,
    Make,
    World,
    has_scores,
    worlds,
)

__all__ = ["check_filter"]


def check_filter(
    my_filter: Any,
    laws: Iterable[str] | None = None,
    *,
    skip: Iterable[str] = (),
    labels: bool = True,
    examples: int = 25,
    seed: int = 0,
    rounding: float = 0.0,
) -> tuple[str, ...]:
    """Runs laws on a filter, in `examples` worlds each; gives the names of the laws it kept.

    - my_filter: an estimator of scikit-learn's kind (cloned), or a class or function that makes a fresh filter.
    - laws: names of `LAWS`; None: those of selection and provenance, and of scores if the filter has `score_samples`
      (if it has `score_pool`: those two of them that a score which depends on the pool can keep). skip: all but these.
    - labels: False for filters without labels: `fit(x_real)`, `score_samples(x)`, `select(x, budget, rng)`.
    - seed: of the worlds, the same every time.
    - rounding: how far apart, relatively, scores may be that should be equal. Products of matrices of other sizes round
      differently; `lsf.blocks` shows how to have 0.

    Raises AssertionError on the first law broken, with its name, what it means and the smallest example found, also
    where the filter raises; ValueError on a name that is no law's; TypeError if my_filter cannot be made afresh;
    ImportError without hypothesis.
    """
    make = _maker(my_filter) if labels else _without_labels(_maker(my_filter))
    names = tuple(
        name for name in (_default(make()) if laws is None else tuple(laws)) if name not in set(skip)
    )
    unknown = {*names, *skip} - LAWS.keys()
    if unknown:
        raise ValueError(
            f"laws and skip must be names of laws, found {sorted(unknown)}; there are {sorted(LAWS)}"
        )
    for name in names:
        _check(LAWS[name], make, examples, seed, rounding)
    return names


def _check(law: Law, make: Make, examples: int, seed: int, rounding: float) -> None:
    try:
        import hypothesis
    except ImportError:
        raise ImportError(
            "lsf.testing draws its worlds with hypothesis: install it (extra 'testing')"
        ) from None
    tried: list[World] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    @hypothesis.given(world=worlds())
    def holds(world: World) -> None:
        tried.append(replace(world, rounding=rounding))
        law(make, tried[-1])

    try:
        holds()
    except hypothesis.errors.Flaky as error:
        raise AssertionError(_broken(law, "Run again it may hold: its answers change.", tried[-1])) from error
    except AssertionError as error:
        raise AssertionError(_broken(law, f"{error}.", tried[-1])) from error
    except Exception as error:
        raise AssertionError(_broken(law, f"It raises {type(error).__name__}: {error}", tried[-1])) from error


def _broken(law: Law, found: str, world: World) -> str:
    meaning = " ".join((law.__doc__ or "").split("\n\n")[0].split())
    return f"the filter breaks the law {law.__name__}.\nThe law: {meaning}\nFound: {found}\nSmallest example: {world}"


def _default(fitted: Any) -> tuple[str, ...]:
    scores: tuple[Law, ...] = LAWS_OF_SCORES if hasattr(fitted, "score_samples") else LAWS_OF_SCORES[:2]
    laws = (scores if has_scores(fitted) else ()) + LAWS_OF_SELECTION + LAWS_OF_PROVENANCE
    return tuple(law.__name__ for law in laws)


def _maker(my_filter: Any) -> Make:
    if not isinstance(my_filter, type) and hasattr(my_filter, "get_params"):
        return lambda: clone(my_filter)
    if not callable(my_filter):
        raise TypeError("my_filter must be an estimator, or a class or function that makes a fresh filter")
    return my_filter


def _without_labels(make: Make) -> Make:
    """Makers of the same filters, to be given labels that they never see."""

    class Unlabelled:
        def __init__(self) -> None:
            self.own = make()
            for name in ("score_samples", "score_pool"):
                if hasattr(self.own, name):
                    setattr(self, name, lambda x, y, name=name: getattr(self.own, name)(x))

        def fit(self, x: Any, y: Any) -> Unlabelled:
            self.own.fit(x)
            return self

        def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
            return self.own.select(x, budget, rng)

    return Unlabelled
