"""What must every filter keep, whatever it does?

Each law is a function of (make, world) that raises AssertionError where it is broken; its docstring says what it means.
`make()` gives a fresh, unfitted filter with `fit(x_real, y_real)`, `select(x, y, budget, rng)` and, if it has scores,
`score_samples(x, y)` (`score_pool` where they depend on the pool). A `World` is real data, a pool with ties in it, and
what to ask. The laws know nothing of how a filter works: `lsf.testing.check_filter` runs them on anyone's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hypothesis import strategies as st

__all__ = [
    "LAWS",
    "LAWS_OF_SCORES",
    "LAWS_OF_CONFIDENCE",
    "LAWS_OF_SELECTION",
    "LAWS_OF_PROVENANCE",
    "LAWS_OF_RULES",
    "Law",
    "Make",
    "World",
    "worlds",
    "world_from",
    "has_scores",
]

Make = Callable[[], Any]
Law = Callable[[Make, "World"], None]

PROVENANCE = ("born", "generation", "provenance", "origin", "source", "is_real", "synthetic", "generated")
"""Names under which arrays may carry where samples come from."""
NUDGES = {1e-9: 1e-3, 1e-6: 1e-3, 1e-3: 0.1}
"""Over the spread of a feature: another sample to what remembers bits or looks closely, the same one to what is smooth;
and how far scores may then move, relative to the larger of 1 and the score: more than slopes make, less than a bonus.
"""
FLOAT32 = 1e-3
"""How far scores may move, likewise, where an encoder computes in float32."""
MANY = 4200
"""Samples: more than `lsf.blocks.BLOCK`, and no round number."""


@dataclass(frozen=True, eq=False, repr=False)
class World:
    """Real data and a pool, a smaller and a larger budget that every class can fill, and a seed.

    rounding: how far apart, relatively, scores may be that should be equal; told: the call that made the world.
    """

    x_real: np.ndarray
    y_real: np.ndarray
    x: np.ndarray
    y: np.ndarray
    budget: int
    larger: int
    seed: int
    rounding: float = 0.0
    told: str = ""

    def __repr__(self) -> str:
        return (
            self.told
            or f"World of {len(self.x_real)} real samples, a pool of {len(self.x)}, seed {self.seed}"
        )

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
    told = f"world_from({classes=}, {features=}, {per_class=}, {share=}, {seed=})"
    return World(x_real, labels, originals[order], labels[order], budget, larger, seed, told=told)


def worlds() -> st.SearchStrategy[World]:
    """What hypothesis draws: the arguments of `world_from`, never data."""
    from hypothesis import strategies as st

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
    """There is one finite float64 for each sample."""
    scores = _scores(_fitted(make, world), world.x, world.y)
    _demand(
        np.shape(scores) == (len(world.x),), f"scores of {len(world.x)} samples have shape {np.shape(scores)}"
    )
    _demand(scores.dtype == np.float64, f"scores are {scores.dtype}")
    _demand(np.isfinite(scores).all(), "a score is NaN or infinite")


def scores_follow_samples(make: Make, world: World) -> None:
    """Scores do not depend on the order: score(x[p], y[p]) = score(x, y)[p] for every permutation p."""
    fitted = _fitted(make, world)
    p = world.rng().permutation(len(world.x))
    _equal(world, _scores(fitted, world.x[p], world.y[p]), _scores(fitted, world.x, world.y)[p])


def scores_ignore_neighbours(make: Make, world: World) -> None:
    """A score belongs to a sample: alone, in a part of the pool and in the pool it is the same, bit for bit."""
    fitted = _fitted(make, world)
    scores = _scores(fitted, world.x, world.y)
    for part in (slice(0, 1), slice(0, world.budget), slice(world.budget, None)):
        _equal(world, _scores(fitted, world.x[part], world.y[part]), scores[part])


def scores_ignore_how_many(make: Make, world: World) -> None:
    """A score belongs to a sample also among thousands: in the pool repeated it is the same, bit for bit."""
    fitted = _fitted(make, world)
    scores, rows = _scores(fitted, world.x, world.y), np.arange(MANY) % len(world.x)
    _equal(world, _scores(fitted, world.x[rows], world.y[rows]), scores[rows])


def scores_are_log_confidences(make: Make, world: World) -> None:
    """The log of a probability is at most 0."""
    scores = _scores(_fitted(make, world), world.x, world.y)
    _demand((scores <= 0).all(), f"a score is {np.max(scores)}")


def scores_do_not_saturate(make: Make, world: World) -> None:
    """A sample deeper in its class is more certain, also where float32 would say 1.0 of both."""
    x_real = np.array([[-1.0], [-0.9], [0.9], [1.0]]).repeat(10, axis=0)
    y_real = np.array([0, 0, 1, 1]).repeat(10)
    depths = np.linspace(0.5, 40, 20)[:, None]
    scores = _scores(make().fit(x_real, y_real), depths, np.ones(20, dtype=int))
    _demand(
        (np.diff(scores) > 0).all(), "two samples of other depth have one score, or the deeper has the lower"
    )


# --- selection ---


def budget_is_exact(make: Make, world: World) -> None:
    """As many are kept as were asked for, be it one or all."""
    for budget in (1, world.budget, world.larger, len(world.x)):
        kept = _select(make, world, budget)
        _demand(len(kept) == budget, f"{len(kept)} kept, {budget} asked for")


def indices_are_sorted_and_unique(make: Make, world: World) -> None:
    """What is kept is a set of the pool's indices, in order: each once, an integer."""
    kept = np.asarray(_select(make, world, world.budget))
    _demand(np.issubdtype(kept.dtype, np.integer), f"indices are {kept.dtype}")
    _demand((np.diff(kept) > 0).all(), "indices are not in rising order, or one is there twice")
    _demand(kept.min() >= 0 and kept.max() < len(world.x), "an index lies outside the pool")


def same_seed_same_choice(make: Make, world: World) -> None:
    """With the same rng the choice is the same, in two fits, whatever the global random state."""
    first, second = (_select_seeded(make, world, number) for number in (0, 1))
    _demand(np.array_equal(first, second), "two fits and choices from one seed differ")


def leaves_arguments_and_global_state_alone(make: Make, world: World) -> None:
    """The arrays given are not changed, in double or single precision, nor the global states of numpy and random."""
    for kind in (np.float64, np.float32):
        given = replace(world, x_real=world.x_real.astype(kind), x=world.x.astype(kind))
        arrays = (given.x_real, given.y_real, given.x, given.y)
        before, state = [array.copy() for array in arrays], _global_state()
        _answers(_fitted(make, given), given)
        for array, copy in zip(arrays, before, strict=True):
            _demand(np.array_equal(array, copy), "an array that was given has changed")
        _demand(_global_state() == state, "the global random state of numpy or random has changed")


def same_question_same_answer(make: Make, world: World) -> None:
    """A fitted filter remembers no call: asked again, with another pool between, it scores and keeps the same."""
    fitted = _fitted(make, world)
    other = replace(world, x=world.x[::-1] + 3 * world.x.std(axis=0), y=world.y[::-1], budget=world.larger)
    kept, scores = _answers(fitted, world)
    for _ in range(2):
        _answers(fitted, other)
        kept_too, scores_too = _answers(fitted, world)
        _equal(world, scores_too, scores, "scores of one pool, asked for again,")
        _demand(np.array_equal(kept, kept_too), "the choice from one pool, asked for again, differs")


def only_numbers_count(make: Make, world: World) -> None:
    """Arrays of equal numbers are one pool: in other memory order, strided, read-only or in float32.

    But for rounding, which may turn one choice a class and a tenth of all.
    """
    x = world.x.astype(np.float32).astype(np.float64)
    strided, read_only = np.repeat(x, 2, axis=0)[::2], x.copy()
    read_only.flags.writeable = False
    fitted, given = _fitted(make, world), replace(world, x=x)
    kept, scores = _answers(fitted, given)
    copies: dict[str, np.ndarray] = {
        "in Fortran order": np.asfortranarray(x),
        "strided": strided,
        "read-only": read_only,
        "in float32": x.astype(np.float32),
    }
    for how, copy in copies.items():
        kept_too, scores_too = _answers(fitted, replace(given, x=copy))
        off = np.abs(scores_too - scores) > FLOAT32 * np.maximum(1, np.abs(scores))
        _demand(not off.any(), f"{off.sum()} scores change where x is {how}")
        lost = len(np.setdiff1d(kept, kept_too))
        _demand(lost <= _few(world), f"{lost} of {len(kept)} choices change where x is {how}")


def labels_are_names(make: Make, world: World) -> None:
    """Labels that are strings, of the same order, are refused in fit or give the same scores and choice."""
    names = np.array([f"class {rank}" for rank in range(len(np.unique(world.y_real)))])
    y_real, y = (names[np.searchsorted(np.unique(world.y_real), of)] for of in (world.y_real, world.y))
    fitted, named = _fitted(make, world), replace(world, y_real=y_real, y=y)
    try:
        fitted_too = _fitted(make, named)
    except (TypeError, ValueError):
        return
    (kept, scores), (kept_too, scores_too) = _answers(fitted, world), _answers(fitted_too, named)
    _equal(world, scores_too, scores, "scores with labels that are strings")
    _demand(np.array_equal(kept, kept_too), "the choice with labels that are strings differs")


def nested_in_budget(make: Make, world: World) -> None:
    """What is kept at a budget is kept at every larger one."""
    for small, large in ((world.budget, world.budget + 1), (world.budget, world.larger)):
        lost = np.setdiff1d(_select(make, world, small), _select(make, world, large))
        _demand(len(lost) == 0, f"{len(lost)} kept at budget {small} are not kept at {large}")


def equal_shares_by_class(make: Make, world: World) -> None:
    """budget // C of each class, one more of the first budget % C in label order."""
    labels = np.unique(world.y_real)
    for budget in (world.budget, world.larger):
        kept = world.y[_select(make, world, budget)]
        for rank, c in enumerate(labels):
            count, share = (kept == c).sum(), budget // len(labels) + (rank < budget % len(labels))
            _demand(count == share, f"class {c} has {count} of {budget} kept, its share is {share}")


def ties_go_to_the_lower_index(make: Make, world: World) -> None:
    """Of two samples of one score and label, the later is kept only if the earlier is, at every budget."""
    fitted = _fitted(make, world)
    _, alike = np.unique(np.stack([_scores(fitted, world.x, world.y), world.y]), axis=1, return_inverse=True)
    order = np.argsort(alike, kind="stable")
    tied = np.diff(alike[order]) == 0
    for budget in range(1, world.larger + 1):
        kept = np.zeros(len(world.x), dtype=int)
        kept[fitted.select(world.x, world.y, budget, np.random.default_rng(world.seed))] = 1
        _demand(
            (np.diff(kept[order])[tied] <= 0).all(),
            f"the later of two tied samples is kept at budget {budget}",
        )


def keeps_the_most_confident(make: Make, world: World) -> None:
    """Nothing left out scores higher than anything kept."""
    scores = _scores(_fitted(make, world), world.x, world.y)
    kept = _select(make, world, world.budget)
    _demand(
        scores[kept].min() >= np.delete(scores, kept).max(), "a sample left out scores higher than one kept"
    )


# --- provenance ---


def reads_no_provenance(make: Make, world: World) -> None:
    """What arrays may carry beside their numbers, as x.born or y.source, changes nothing: a filter sees x and y."""
    real = world.rng().random(len(world.x)) < 0.5
    fitted = _fitted(make, world)
    seen = [_answers(fitted, world, tag) for tag in (None, real, ~real)]
    for other in seen[1:]:
        _demand(
            np.array_equal(seen[0][0], other[0]), f"the choice changes with one of {', '.join(PROVENANCE)}"
        )
        _demand(np.array_equal(seen[0][1], other[1]), f"scores change with one of {', '.join(PROVENANCE)}")


def recognises_nothing_of_fit(make: Make, world: World) -> None:
    """Real data of fit, met again in a pool, count as any sample: moved a little as many of them are kept.

    A little is a billionth, a millionth and a thousandth of their spread. As many: but for one a class and a tenth of
    all, since a rule may have its cutoff at a score of real data. Worlds of one feature say nothing here: there many
    samples are equally far from each other.
    """
    if math.prod(world.x_real.shape[1:]) < 2:
        return
    fitted, m, few = _fitted(make, world), len(world.x_real), _few(world)
    kept, scores = _met_again(fitted, world, 0)
    for nudge, tolerance in NUDGES.items():
        kept_too, scores_too = _met_again(fitted, world, nudge)
        moved = (np.abs(scores_too - scores) > tolerance * np.maximum(1, np.abs(scores))).sum()
        _demand(moved <= few, f"{moved} scores change when the samples of fit are moved by {nudge:g}")
        _demand(
            abs(kept - kept_too) <= few,
            f"of {m} samples of fit {kept} are kept, moved by {nudge:g} {kept_too}",
        )


def choice_follows_samples(make: Make, world: World) -> None:
    """Where nothing is drawn from rng the choice does not depend on the order, which may tell real from generated.

    Samples of equal score stand for each other; without scores, equal samples do.
    """
    fitted, p, rng = _fitted(make, world), world.rng().permutation(len(world.x)), world.rng()
    before = _state(rng)
    kept = fitted.select(world.x, world.y, world.budget, rng)
    if _state(rng) != before:
        return
    x, y = world.x[p], world.y[p]
    kept_too = fitted.select(x, y, world.budget, world.rng())
    by = _scores(fitted, world.x, world.y) if has_scores(fitted) else world.x.reshape(len(world.x), -1)
    first, second = (_rows(world.y[i], by[i]) for i in (kept, p[kept_too]))
    _equal(world, first, second, "kept samples, in another order,")


LAWS_OF_SCORES: tuple[Law, ...] = (
    one_number_a_sample,
    scores_follow_samples,
    scores_ignore_neighbours,
    scores_ignore_how_many,
)
LAWS_OF_CONFIDENCE: tuple[Law, ...] = (scores_are_log_confidences, scores_do_not_saturate)
LAWS_OF_SELECTION: tuple[Law, ...] = (
    budget_is_exact,
    indices_are_sorted_and_unique,
    same_seed_same_choice,
    leaves_arguments_and_global_state_alone,
    same_question_same_answer,
    only_numbers_count,
    labels_are_names,
)
LAWS_OF_PROVENANCE: tuple[Law, ...] = (reads_no_provenance, recognises_nothing_of_fit, choice_follows_samples)
LAWS_OF_RULES: tuple[Law, ...] = (
    nested_in_budget,
    equal_shares_by_class,
    ties_go_to_the_lower_index,
    keeps_the_most_confident,
)
LAWS = {
    law.__name__: law
    for law in LAWS_OF_SCORES + LAWS_OF_CONFIDENCE + LAWS_OF_SELECTION + LAWS_OF_PROVENANCE + LAWS_OF_RULES
}
"""All laws by name."""


# --- what laws share ---


def _demand(holds: Any, found: str) -> None:
    if not holds:  # no assert statement: python -O would leave it out
        raise AssertionError(found)


def _equal(world: World, found: Any, expected: Any, what: str = "scores") -> None:
    """Equal within the world's rounding, relative to the larger of 1 and what is expected."""
    found, expected = np.asarray(found), np.asarray(expected)
    _demand(found.shape == expected.shape, f"{what} have shape {found.shape} and {expected.shape}")
    off = float(np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected)), initial=0.0))
    _demand(off <= world.rounding, f"{what} differ by {off:.3g}, allowed is {world.rounding:g}")


def _fitted(make: Make, world: World) -> Any:
    fresh = make()
    fresh.fit(world.x_real, world.y_real)
    return fresh


def _select(make: Make, world: World, budget: int) -> np.ndarray:
    return _fitted(make, world).select(world.x, world.y, budget, world.rng())


def _select_seeded(make: Make, world: World, number: int) -> np.ndarray:
    with _global_seed(number):
        return _select(make, world, world.budget)


@contextmanager
def _global_seed(number: int) -> Iterator[None]:
    """Within it the global generators of numpy and random are seeded; after it they are as before."""
    of_numpy, of_random = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002 (what filters may misuse)
    np.random.seed(number)  # noqa: NPY002
    random.seed(number)
    try:
        yield
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_random)


def _global_state() -> tuple[str, str]:
    return repr(np.random.get_state(legacy=False)), repr(random.getstate())  # noqa: NPY002 (what must not change)


def _few(world: World) -> float:
    """As many choices may turn on rounding or a nudge."""
    return len(np.unique(world.y_real)) + world.larger / 10


def _met_again(fitted: Any, world: World, nudge: float) -> tuple[int, np.ndarray]:
    """In the pool, copies left out, and the real data of fit moved by `nudge`: how many of these are kept; scores."""
    x_real, rng, m = world.x_real.astype(np.float64), world.rng(), len(world.x_real)
    _, once = np.unique(world.x.reshape(len(world.x), -1), axis=0, return_index=True)
    nudged = x_real + nudge * x_real.std(axis=0) * rng.choice([-1, 1], x_real.shape)
    p = rng.permutation(m + len(once))
    x, y = np.concatenate([nudged, world.x[once]])[p], np.concatenate([world.y_real, world.y[once]])[p]
    kept, scores = _answers(fitted, replace(world, x=x, y=y, budget=world.larger))
    return int((p[kept] < m).sum()), scores


def has_scores(fitted: Any) -> bool:
    """Has the filter `score_samples` or `score_pool`?"""
    return hasattr(fitted, "score_samples") or hasattr(fitted, "score_pool")


def _scores(fitted: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (fitted.score_samples if hasattr(fitted, "score_samples") else fitted.score_pool)(x, y)


def _answers(fitted: Any, world: World, real: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The choice and the scores (none: no numbers), of arrays that say which samples are real where that is given."""
    x, y = (world.x, world.y) if real is None else (_tagged(world.x, real), _tagged(world.y, real))
    kept = fitted.select(x, y, world.budget, world.rng())
    return np.asarray(kept), np.asarray(_scores(fitted, x, y) if has_scores(fitted) else [])


class _Tagged(np.ndarray):
    """An array that carries attributes."""


def _rows(y: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Labels and what stands for a sample, a row each, in rising order."""
    rows = np.column_stack([y, by])
    return rows[np.lexsort(rows.T[::-1])]


def _tagged(array: np.ndarray, real: np.ndarray) -> np.ndarray:
    tagged = array.view(_Tagged)
    for name in PROVENANCE:
        setattr(tagged, name, real if name == "is_real" else (~real).astype(int))
    return tagged


def _state(rng: np.random.Generator) -> tuple[str, int]:
    return repr(rng.bit_generator.state), rng.bit_generator.seed_seq.n_children_spawned  # type: ignore[attr-defined]
