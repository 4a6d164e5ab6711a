"""Shrunk herding: laws of selection, its target and share against their definitions, and what it does to pools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from lsf import laws
from lsf.herding import TrimHerdFilter, herd
from lsf.shrunk_herding import ShrunkHerdFilter, believed, target_distances
from tests.test_lsf_herding import Chance, Surest, does_no_harm, energy_distance, restores
from tests.tolerances import STANDARD_ERRORS, close

Y = np.repeat([0, 1], 10)
X = np.random.default_rng(0).standard_normal((20, 3)) + 3 * Y[:, None]
FITTED = ShrunkHerdFilter().fit(X, Y)


class BelievesAll(ShrunkHerdFilter):
    """Plain herding: what is believed is not asked."""

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        share = budget // len(self.classes_)
        kept = []
        for k, c in enumerate(self.classes_):
            among = np.flatnonzero(y == c)
            z = self.scale_(x[among], np.full(len(among), k))
            kept.append(among[herd(z, cdist(z, self._real(k)).mean(axis=1), share)])
        return np.sort(np.concatenate(kept))


# --- laws ---


@pytest.mark.parametrize(
    "law",
    [
        *laws.LAWS_OF_SELECTION,
        laws.reads_no_provenance,
        laws.recognises_nothing_of_fit,
        laws.equal_shares_by_class,
    ],
    ids=lambda f: f.__name__,
)
@settings(max_examples=15)
@given(world=laws.worlds())
def test_law_of_selection(law: Any, world: laws.World) -> None:
    law(ShrunkHerdFilter, world)


class Global(ShrunkHerdFilter):
    """Unsorted, one sample too few, and other shares: what the laws must see."""

    def select(self, x: Any, y: Any, budget: int, rng: Any = None) -> np.ndarray:
        return super().select(x, y, budget, rng)[::-1][1 if budget > 1 else 0 :]


@pytest.mark.parametrize(
    "law", [laws.budget_is_exact, laws.indices_are_sorted_and_unique, laws.equal_shares_by_class]
)
def test_control_of_the_laws(law: Any, seed: int) -> None:
    with pytest.raises(AssertionError):
        law(Global, laws.world_from(3, 3, 12, 0.5, seed))


@settings(max_examples=10)
@given(features=st.integers(2, 6), per_class=st.integers(6, 20), seed=st.integers(0, 2**32 - 1))
def test_choice_does_not_depend_on_the_order(features: int, per_class: int, seed: int) -> None:
    """As sets of samples: many are copies."""
    world = laws.world_from(2, features, per_class, 0.5, seed)
    p = world.rng().permutation(len(world.x))
    fitted = ShrunkHerdFilter().fit(world.x_real, world.y_real)
    kept = world.x[fitted.select(world.x, world.y, world.budget)]
    permuted = world.x[p][fitted.select(world.x[p], world.y[p], world.budget)]
    np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (kept, permuted)))


def test_units_do_not_matter(seed: int) -> None:
    """Latents times powers of two in each feature, and moved: the same choice."""
    world = laws.world_from(3, 4, 15, 0.5, seed)
    plain = ShrunkHerdFilter().fit(world.x_real, world.y_real).select(world.x, world.y, world.budget)
    units = lambda x: x * np.array([2.0**-20, 1.0, 4.0, 2.0**30])  # noqa: E731
    kept = ShrunkHerdFilter(units).fit(world.x_real, world.y_real).select(world.x, world.y, world.budget)
    np.testing.assert_array_equal(kept, plain)


def test_shares_of_what_classes_have() -> None:
    """Three of class 1 in the pool: all kept, class 0 gives the rest; class 1 absent: class 0 gives all."""
    x, y = np.concatenate([X[:10], X[10:13]]), np.array([0] * 10 + [1] * 3)
    kept = FITTED.select(x, y, 10)
    assert np.bincount(y[kept]).tolist() == [7, 3]
    kept = FITTED.select(X[:10], Y[:10], 6)
    assert len(kept) == 6
    assert FITTED.believed(X[:10] + 5, Y[:10])[1] == 0
    assert FITTED.believed(X[:10] + 5, Y[:10])[0] > 0
    assert np.array_equal(FITTED.select(x, y, 13), np.arange(13))


def test_one_sample_of_a_class_in_the_pool() -> None:
    """Kept where it is asked for; a share of it is believed like of any pool."""
    x, y = np.concatenate([X[:10], X[10:11]]), np.array([0] * 10 + [1])
    assert 10 in FITTED.select(x, y, 2)
    s = FITTED.believed(x, y)
    assert ((s >= 0) & (s < 1)).all()


# --- the target ---


@pytest.mark.parametrize("d", [1, 3])
def test_target_by_definition(d: int, rng: np.random.Generator) -> None:
    """Mean distances to (1 - s) pool + s trusted, s the larger of two shares; the smaller one is the control."""
    z, real = 1.5 * rng.standard_normal((40, d)) + 0.5, rng.standard_normal((15, d))
    shares = []
    for pool, trusted in (
        (z, real),
        (np.linalg.norm(z, axis=1)[:, None], np.linalg.norm(real, axis=1)[:, None]),
    ):
        sigma = cdist(trusted, trusted)[np.triu_indices(15, 1)].mean() / 15
        shares.append(max(0.0, 1 - sigma / energy_distance(pool, trusted)))
    far, s = target_distances(z, real)
    assert close(s, max(shares))
    assert close(far, (1 - s) * cdist(z, z).mean(axis=1) + s * cdist(z, real).mean(axis=1))
    other = min(shares)
    assert not close(far, (1 - other) * cdist(z, z).mean(axis=1) + other * cdist(z, real).mean(axis=1))


def test_believed_by_hand() -> None:
    """Two trusted at distance 1: sigma = 1/2."""
    assert (
        believed(2.0, 0.5, 2) == 0.75
    )  # the mean of all four distances, those of a sample to itself as well
    assert believed(0.5, 0.5, 2) == 0.0
    assert believed(0.1, 0.5, 2) == 0.0
    assert believed(0.0, 0.0, 2) == 0.0


def test_select_is_the_herd_to_the_target(seed: int) -> None:
    world = laws.world_from(2, 3, 15, 0.5, seed)
    fitted = ShrunkHerdFilter().fit(world.x_real, world.y_real)
    kept = fitted.select(world.x, world.y, 20)
    plain = []
    for c in fitted.classes_:
        own, trusted = world.y == c, world.x_real[world.y_real == c]
        centre, scale = trusted.mean(axis=0), trusted.std(axis=0)
        z, real = (world.x[own] - centre) / scale, (trusted - centre) / scale
        z = np.clip(z, -np.sqrt(len(real)), np.sqrt(len(real)))
        picked = herd(z, target_distances(z, real)[0], 10)
        np.testing.assert_array_equal(np.sort(np.flatnonzero(own)[picked]), kept[world.y[kept] == c])
        plain.append(np.array_equal(picked, herd(z, cdist(z, real).mean(axis=1), 10)))
    assert not all(plain)  # the control: herding to the trusted sample


# --- what is believed ---


@settings(max_examples=25)
@given(world=laws.worlds())
def test_believed_is_a_share(world: laws.World) -> None:
    s = ShrunkHerdFilter().fit(world.x_real, world.y_real).believed(world.x, world.y)
    assert s.shape == (len(np.unique(world.y_real)),)
    assert ((s >= 0) & (s < 1)).all()


def test_trusted_sample_as_pool_is_no_drift() -> None:
    assert (FITTED.believed(X, Y) == 0).all()


def drifted(rng: np.random.Generator, make: Any, m: int = 100, classes: int = 12) -> np.ndarray:
    """Shares believed, one a class, of pools of 300 in 6 dimensions."""
    y_real, y = np.repeat(np.arange(classes), m), np.repeat(np.arange(classes), 300)
    fitted = ShrunkHerdFilter().fit(rng.standard_normal((len(y_real), 6)), y_real)
    return fitted.believed(make(rng.standard_normal((len(y), 6))), y)


def test_believed_rises_with_the_drift(rng: np.random.Generator) -> None:
    """Real pools: below one half in the mean; a move, a scale up and one down: towards 1, step by step."""
    sound = drifted(rng, lambda x: x).mean()
    assert sound < 1 / 2
    for make in (
        lambda a: lambda x: x + a,
        lambda a: lambda x: x * (1 + a),
        lambda a: lambda x: x / (1 + a),
    ):
        means = [drifted(rng, make(a)).mean() for a in (0.2, 0.6, 2.0)]
        assert sound < means[0] < means[1] < means[2]
        assert means[2] > 0.9


def test_believed_rises_with_what_is_trusted(rng: np.random.Generator) -> None:
    means = [drifted(rng, lambda x: 0.8 * x, m).mean() for m in (10, 40, 300)]
    assert means[0] < means[1] < means[2]


# --- what it is for ---


@pytest.mark.parametrize("law", [restores, does_no_harm])
def test_kept_set_is_like_reality(law: Any, rng: np.random.Generator) -> None:
    law(ShrunkHerdFilter, rng)


@pytest.mark.parametrize(("law", "make"), [(restores, Chance), (restores, Surest), (does_no_harm, Surest)])
def test_other_filters_are_not(law: Any, make: Any, rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError):
        law(make, rng)


def against_chance(make: Any, rng: np.random.Generator, m: int, worlds: int = 30) -> np.ndarray:
    """Sound pools, m trusted samples a class: energy distance to fresh data of what is kept, less a random choice's."""
    rows = []
    for _ in range(worlds):
        x_real, x, fresh = (rng.standard_normal((2 * n, 8)) for n in (m, 150, 300))
        y_real, y = (np.arange(len(a)) % 2 for a in (x_real, x))
        kept = make().fit(x_real, y_real).select(x, y, 150)
        by_chance = rng.permutation(len(x))[:150]
        rows.append(energy_distance(x[kept], fresh) - energy_distance(x[by_chance], fresh))
    return np.array(rows)


def test_a_small_trusted_sample_does_no_harm_to_a_sound_pool(seed: int) -> None:
    """30 trusted samples: no further than random choice, and nearer than plain herding, the control, on the same pools.

    Of 8 neither is safe: units of the trusted sample (theory.energy, point 4).
    """

    def of(make: Any, m: int) -> np.ndarray:
        return against_chance(make, np.random.default_rng(seed), m)

    surely = lambda a: a.mean() > STANDARD_ERRORS * a.std() / np.sqrt(len(a))  # noqa: E731
    shrunk, plain = of(ShrunkHerdFilter, 30), of(BelievesAll, 30)
    assert not surely(shrunk)
    assert surely(plain - shrunk)
    assert surely(of(ShrunkHerdFilter, 8))


# --- refusals ---


def with_nan(x: np.ndarray) -> np.ndarray:
    bad = x.copy()
    bad[7, 1] = np.nan
    return bad


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: ShrunkHerdFilter().fit(with_nan(X), Y), "x_real .*the first in sample 7"),
        (lambda: ShrunkHerdFilter().fit(X, Y[:-1]), "y_real has 19 labels, but x_real has 20"),
        (lambda: ShrunkHerdFilter().fit(X[9:], Y[9:]), "one sample of class 0"),
        (lambda: ShrunkHerdFilter().fit(X * 1e200, Y), "variance overflows: rescale x_real"),
        (lambda: FITTED.select(with_nan(X), Y, 3), "x .*the first in sample 7"),
        (lambda: FITTED.believed(with_nan(X), Y), "x .*the first in sample 7"),
        (lambda: FITTED.select(X, Y[:-1], 3), "y has 19 labels, but x has 20"),
        (lambda: FITTED.select(X, Y + 1, 3), "y has labels never seen in fit"),
        (lambda: FITTED.select(X[:, :2], Y, 3), "2 features, fit saw 3"),
        (lambda: FITTED.select(X, Y, 21), "budget is 21, but the pool has only 20"),
        (lambda: FITTED.select(X, Y, 0), "budget must be positive, found 0"),
    ],
)
def test_refused(call: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()


def test_not_fitted_and_half_done() -> None:
    with pytest.raises(NotFittedError):
        ShrunkHerdFilter().select(X, Y, 3)
    fitted = clone(FITTED).fit(X, Y)
    before = fitted.select(X, Y, 5)
    with pytest.raises(ValueError, match="x_real"):
        fitted.fit(with_nan(X), Y)
    np.testing.assert_array_equal(fitted.select(X, Y, 5), before)


def test_target_is_not_trim_herds(rng: np.random.Generator) -> None:
    """The two filters are different rules on a sound pool."""
    x, y = rng.standard_normal((200, 3)), np.arange(200) % 2
    kept = [make().fit(X[:, :3], Y).select(x, y, 50) for make in (ShrunkHerdFilter, TrimHerdFilter)]
    assert not np.array_equal(*kept)
