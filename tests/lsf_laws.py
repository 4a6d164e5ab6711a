"""Laws every filter must keep, each a function of (make, world) that raises AssertionError where broken.

`make()` gives a fresh, unfitted filter with `fit(x_real, y_real)`, `score_samples(x, y)` and
`select(x, y, budget, rng)`. A `World` is real data, a pool with ties in it, and what to ask. The laws know
nothing of how a filter works, so that they can be run on anyone's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

__all__ = ["LAWS_OF_SCORES", "LAWS_OF_SELECTION", "World", "worlds", "world_from"]

Make = Callable[[], Any]


@dataclass(frozen=True, eq=False)
class World:
    """Real data and a pool, a smaller and a larger budget that every class can fill, and a seed."""

    x_real: np.ndarray
    y_real: np.ndarray
    x: np.ndarray
    y: np.ndarray
    budget: int
    larger: int
    seed: int

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


def world_from(classes: int, features: int, per_class: int, share: float, seed: int) -> World:
    """Noisy corners of a simplex; the pool is noisier, half of it exact copies, and out of order."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((classes, features))
    labels = np.repeat(np.arange(classes) * 3 - 1, per_class)  # labels need not be 0..C-1
    x_real, originals = (
        np.repeat(centres, per_class, axis=0) + s * rng.standard_normal((classes * per_class, features))
        for s in (1.0, 1.5)
    )
    order = rng.permutation(np.r_[np.arange(len(labels)), np.arange(len(labels))])
    larger = classes * per_class
    budget = 1 + int(share * (larger - 2))
    return World(x_real, labels, originals[order], labels[order], budget, larger, seed)


def worlds() -> st.SearchStrategy[World]:
    return st.builds(
        world_from,
        classes=st.integers(2, 5),
        features=st.integers(1, 6),
        per_class=st.integers(6, 20),
        share=st.floats(0, 1),
        seed=st.integers(0, 2**32 - 1),
    )


# --- scores ---


def one_number_a_sample(make: Make, world: World) -> None:
    scores = make().fit(world.x_real, world.y_real).score_samples(world.x, world.y)
    assert scores.shape == (len(world.x),)
    assert scores.dtype == np.float64
    assert (scores <= 0).all(), "a log-confidence is at most 0"


def scores_follow_samples(make: Make, world: World) -> None:
    """score(x[p], y[p]) = score(x, y)[p] for every permutation p."""
    fitted = make().fit(world.x_real, world.y_real)
    p = world.rng().permutation(len(world.x))
    scores = fitted.score_samples(world.x, world.y)
    np.testing.assert_array_equal(fitted.score_samples(world.x[p], world.y[p]), scores[p])


def scores_ignore_neighbours(make: Make, world: World) -> None:
    """A sample alone, in a part of the pool and in the pool scores the same, bit for bit."""
    fitted = make().fit(world.x_real, world.y_real)
    scores = fitted.score_samples(world.x, world.y)
    for part in (slice(0, 1), slice(0, world.budget), slice(world.budget, None)):
        np.testing.assert_array_equal(fitted.score_samples(world.x[part], world.y[part]), scores[part])


def scores_do_not_saturate(make: Make, world: World) -> None:
    """A sample deeper in its class is more certain, also where float32 would say 1.0 of both."""
    x_real = np.array([[-1.0], [-0.9], [0.9], [1.0]]).repeat(10, axis=0)
    y_real = np.array([0, 0, 1, 1]).repeat(10)
    depths = np.linspace(0.5, 40, 20)[:, None]
    scores = make().fit(x_real, y_real).score_samples(depths, np.ones(20, dtype=int))
    assert (np.diff(scores) > 0).all()


# --- selection ---


def _select(make: Make, world: World, budget: int) -> np.ndarray:
    fitted = make().fit(world.x_real, world.y_real)
    return fitted.select(world.x, world.y, budget, np.random.default_rng(world.seed))


def budget_is_exact(make: Make, world: World) -> None:
    for budget in (1, world.budget, world.larger):
        assert len(_select(make, world, budget)) == budget


def indices_are_sorted_and_unique(make: Make, world: World) -> None:
    kept = _select(make, world, world.budget)
    assert np.issubdtype(kept.dtype, np.integer)
    assert (np.diff(kept) > 0).all()
    assert kept[0] >= 0
    assert kept[-1] < len(world.x)


def same_seed_same_choice(make: Make, world: World) -> None:
    np.testing.assert_array_equal(*(_select(make, world, world.budget) for _ in range(2)))


def leaves_arguments_and_global_state_alone(make: Make, world: World) -> None:
    arrays = (world.x_real, world.y_real, world.x, world.y)
    before = [array.copy() for array in arrays]
    state = np.random.get_state()[1].copy()  # noqa: NPY002 (this is what must not change)
    _select(make, world, world.budget)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def nested_in_budget(make: Make, world: World) -> None:
    """What is kept at a budget is kept at every larger one."""
    for small, large in ((world.budget, world.budget + 1), (world.budget, world.larger)):
        lost = np.setdiff1d(_select(make, world, small), _select(make, world, large))
        assert len(lost) == 0


def equal_shares_by_class(make: Make, world: World) -> None:
    """budget // C of each class, one more of the first budget % C in label order."""
    labels = np.unique(world.y_real)
    for budget in (world.budget, world.larger):
        kept = world.y[_select(make, world, budget)]
        for rank, c in enumerate(labels):
            assert (kept == c).sum() == budget // len(labels) + (rank < budget % len(labels))


def ties_go_to_the_lower_index(make: Make, world: World) -> None:
    """Of two samples of one score and label, the later is kept only if the earlier is, at every budget."""
    fitted = make().fit(world.x_real, world.y_real)
    scores = fitted.score_samples(world.x, world.y)
    _, alike = np.unique(np.stack([scores, world.y]), axis=1, return_inverse=True)
    order = np.argsort(alike, kind="stable")
    tied = np.diff(alike[order]) == 0
    for budget in range(1, world.larger + 1):
        kept = np.zeros(len(world.x), dtype=int)
        kept[fitted.select(world.x, world.y, budget, np.random.default_rng(world.seed))] = 1
        assert (np.diff(kept[order])[tied] <= 0).all()


def keeps_the_most_confident(make: Make, world: World) -> None:
    """Nothing left out scores higher than anything kept."""
    scores = make().fit(world.x_real, world.y_real).score_samples(world.x, world.y)
    kept = _select(make, world, world.budget)
    assert scores[kept].min() >= np.delete(scores, kept).max()


LAWS_OF_SCORES = (
    one_number_a_sample,
    scores_follow_samples,
    scores_ignore_neighbours,
    scores_do_not_saturate,
)
LAWS_OF_SELECTION = (
    budget_is_exact,
    indices_are_sorted_and_unique,
    same_seed_same_choice,
    leaves_arguments_and_global_state_alone,
)
