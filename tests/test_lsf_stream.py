"""A stream gives what memory gives, to the last bit, for every rule and filter and any cut into chunks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from lsf import (
    DensityRatioFilter,
    EnergyFeatures,
    FlattenedPCA,
    LatentSpaceFilter,
    Matched,
    Random,
    RankSumFilter,
    ShrunkHerdFilter,
    Threshold,
    Top,
    TrimHerdFilter,
    laws,
    scratch,
    stream,
)
from lsf.blocks import BLOCK, Blocks
from lsf.candidates import lowest
from lsf.density_ratio import features
from lsf.latents import Latents
from lsf.ole import Norms, normalised_ole, ole
from lsf.rules import equal_shares
from tests.tolerances import POINT, close

RULES = [
    Top(),
    Top("class"),
    Random(),
    Random("class"),
    Threshold(shortfall="fill"),
    Threshold(quota="class", shortfall="fill"),
    Matched(shortfall="fill"),
    Matched(quota="global", shortfall="fill"),
]
FILTERS = [
    *[LatentSpaceFilter(rule=rule, random_state=0) for rule in RULES],
    LatentSpaceFilter(EnergyFeatures(1), Matched(shortfall="fill"), 0),
    LatentSpaceFilter(FlattenedPCA(1)),
    LatentSpaceFilter(np.tanh),
    DensityRatioFilter(),
    DensityRatioFilter(np.tanh, quota="class"),
    RankSumFilter(confidence_encoder=EnergyFeatures(1)),
    TrimHerdFilter(),
    ShrunkHerdFilter(),
    ShrunkHerdFilter(FlattenedPCA(1)),
]
Y = np.repeat([0, 1], 10)
X = np.random.default_rng(0).standard_normal((20, 3)) + 3 * Y[:, None]


@dataclass(frozen=True, eq=False)
class Cut:
    """Rows in chunks of sizes that come round again; 0 is an empty chunk."""

    x: np.ndarray
    y: np.ndarray
    sizes: tuple[int, ...]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        start, turn = 0, 0
        while start < len(self.x):
            rows = slice(start, start + self.sizes[turn % len(self.sizes)])
            yield self.x[rows], self.y[rows]
            start, turn = rows.stop, turn + 1


class Reused(Cut):
    """The same, from one buffer that is filled anew, as readers do."""

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        x, y = (
            np.empty((max(self.sizes), *self.x.shape[1:]), self.x.dtype),
            np.empty(max(self.sizes), self.y.dtype),
        )
        for part, labels in super().__iter__():
            x[: len(part)], y[: len(part)] = part, labels
            yield x[: len(part)], y[: len(part)]
        x[:], y[:] = np.nan, y[:1]


cuts = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(lambda sizes: (*sizes, 1)) | st.sampled_from(
    [(1,), (10_000,), (0, 7)]
)
tiny = st.builds(
    laws.world_from,
    classes=st.integers(2, 4),
    features=st.integers(1, 5),
    per_class=st.integers(6, 15),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)


def _name(value: Any) -> str:
    return getattr(value, "__name__", repr(value))


# --- the law ---


def a_stream_is_memory(fitted: Any, world: laws.World, chunks: Any) -> None:
    """Equal scores and indices, whether rows come whole or cut."""
    if hasattr(fitted, "score_samples") or hasattr(fitted, "score_pool"):
        scores, y = stream.score_samples(fitted, chunks)
        whole = getattr(fitted, "score_samples", getattr(fitted, "score_pool", None))(world.x, world.y)
        np.testing.assert_array_equal(scores, whole)
        np.testing.assert_array_equal(y, world.y)
    for budget in (world.budget, world.larger):
        kept = stream.select(fitted, chunks, budget, world.rng())
        np.testing.assert_array_equal(kept, fitted.select(world.x, world.y, budget, world.rng()))


@pytest.mark.parametrize("prototype", FILTERS, ids=_name)
@settings(max_examples=8)
@given(world=tiny, sizes=cuts, kind=st.sampled_from([Cut, Reused]))
def test_a_stream_is_memory(prototype: Any, world: laws.World, sizes: tuple[int, ...], kind: Any) -> None:
    fitted = clone(prototype).fit(world.x_real, world.y_real)
    a_stream_is_memory(fitted, world, kind(world.x, world.y, sizes))


def large(seed: int) -> laws.World:
    """A pool of more than two blocks."""
    world = laws.world_from(classes=3, features=3, per_class=1450, share=0.03, seed=seed)
    real = np.arange(0, len(world.x_real), 20)
    return replace(world, x_real=world.x_real[real], y_real=world.y_real[real], larger=300)


LARGE = [FILTERS[0], FILTERS[7], *FILTERS[9:16], DensityRatioFilter(np.asarray)]


@pytest.mark.parametrize("prototype", LARGE, ids=_name)
def test_a_stream_of_many_blocks_is_memory(prototype: Any, seed: int) -> None:
    world = large(seed)
    fitted = clone(prototype).fit(world.x_real, world.y_real)
    for chunks in (Cut(world.x, world.y, (3000, 1, 999)), Reused(world.x, world.y, (5000,))):
        a_stream_is_memory(fitted, world, chunks)


def test_one_row_at_a_time(seed: int) -> None:
    world = large(seed)
    a_stream_is_memory(
        LatentSpaceFilter(FlattenedPCA(2)).fit(world.x_real, world.y_real), world, Cut(world.x, world.y, (1,))
    )


def test_encoder_that_rounds_by_its_company(seed: int) -> None:
    """Here by far more than rounding: blocks are the same in memory and in a stream, chunks are not."""
    world = large(seed)
    for fitted in (LatentSpaceFilter(Company()), DensityRatioFilter(Company())):
        fitted.fit(world.x_real, world.y_real)
        a_stream_is_memory(fitted, world, Cut(world.x, world.y, (700,)))
        company = np.repeat(
            [BLOCK, BLOCK, len(world.x) - 2 * BLOCK], [BLOCK, BLOCK, len(world.x) - 2 * BLOCK]
        )
        np.testing.assert_array_equal(fitted.transform(world.x), world.x + 1e-3 * company[:, None])


class Company(TransformerMixin, BaseEstimator):
    """An encoder whose result tells how many rows it is given."""

    def fit(self, x: Any, y: Any = None) -> Company:
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        return x + 1e-3 * len(x)

    def __sklearn_is_fitted__(self) -> bool:
        return True


def test_passes_over_blocks_are_whole(seed: int) -> None:
    """What all of these filters read is the pool: each block once, classes in their order."""
    world = large(seed)
    fitted = ShrunkHerdFilter().fit(world.x_real, world.y_real)
    latents = Latents(fitted, Blocks(Cut(world.x, world.y, (5000,))))
    h, own = (np.concatenate(part) for part in zip(*latents, strict=True))
    np.testing.assert_array_equal(h, world.x)
    np.testing.assert_array_equal(fitted.classes_[own], world.y)
    for k, z in enumerate(latents.by_class(fitted.scale_)):
        np.testing.assert_array_equal(z, fitted.scale_(h, own)[own == k])


def test_ratio_of_many_blocks_is_that_of_scikit_learn(seed: int) -> None:
    """Weights are of the pool, not of a block."""
    world = large(seed)
    fitted = DensityRatioFilter(C=0.5).fit(world.x_real, world.y_real)
    z_real = fitted.real_[0]
    z = np.concatenate([z_real, fitted.scale_(world.x, np.searchsorted(fitted.classes_, world.y))])
    positive = np.arange(len(z)) < len(z_real)
    weights = np.where(positive, 1, len(z_real) / len(world.x))
    oracle = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-12, solver="newton-cholesky")
    oracle.fit(features(z).T, positive, sample_weight=weights)
    expected = features(z[len(z_real) :]).T @ oracle.coef_[0]
    assert close(fitted.score_pool(world.x, world.y), expected, condition=1000)


@pytest.mark.parametrize("prototype", [FILTERS[12], FILTERS[14], FILTERS[16]], ids=_name)
def test_latents_on_disk_are_those_in_memory(
    prototype: Any, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary file: another size of memory, the same choice; nothing is left behind."""
    world = large(seed)
    fitted = clone(prototype).fit(world.x_real, world.y_real)
    kept = fitted.select(world.x, world.y, 50)
    monkeypatch.setattr(scratch, "MEMORY", 40_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mapped = []
    monkeypatch.setattr(np, "memmap", lambda *a, memmap=np.memmap, **k: mapped.append(1) or memmap(*a, **k))
    np.testing.assert_array_equal(stream.select(fitted, Cut(world.x, world.y, (1000,)), 50), kept)
    assert mapped
    assert not any(tmp_path.iterdir())


def test_threads_of_the_caller_do_not_show(seed: int) -> None:
    """One BLAS thread, whatever the process has; afterwards it has its own again."""
    world, seen = large(seed), []

    def spy(x: np.ndarray) -> np.ndarray:
        seen.extend(i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas")
        return x

    fitted = LatentSpaceFilter(spy).fit(world.x_real, world.y_real)
    with threadpool_limits(2, user_api="blas"):
        fitted.select(world.x, world.y, 5)
        stream.select(fitted, [(world.x, world.y)], 5)
        assert {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"} == {2}
    assert set(seen) == {1}


# --- wrong streams ---


def by_chunk(fitted: Any, chunks: Any, budget: int, rng: Any) -> np.ndarray:
    """Standardises every chunk by itself."""
    parts = [(fitted.score_samples(StandardScaler().fit_transform(x), y), y) for x, y in chunks]
    scores, y = (np.concatenate(part) for part in zip(*parts, strict=True))
    return fitted.select_scored(scores, y, budget, rng)


def share_of_each(fitted: Any, chunks: Any, budget: int, rng: Any) -> np.ndarray:
    """Gives every chunk a part of the budget."""
    parts, start = [], 0
    for (x, y), share in zip(chunks, equal_shares(budget, sum(1 for _ in chunks)), strict=True):
        parts.append(start + fitted.select(x, y, max(1, share), rng))
        start += len(x)
    return np.concatenate(parts)


def new_keys_each(fitted: Any, chunks: Any, budget: int, rng: Any) -> np.ndarray:
    """Draws keys for each chunk from the seed: the first samples of all chunks have one key."""
    parts = [(np.random.default_rng(7).random(len(y)), y) for _, y in chunks]
    return np.sort(np.argsort(np.concatenate([keys for keys, _ in parts]), kind="stable")[:budget])


def ratio_by_chunk(fitted: Any, chunks: Any, budget: int, rng: Any) -> np.ndarray:
    """Compares each chunk with the trusted data, in the place of the pool."""
    scores = np.concatenate([fitted.score_pool(x, y) for x, y in chunks])
    return np.sort(np.argsort(-scores, kind="stable")[:budget])


@pytest.mark.parametrize(
    ("wrong", "prototype"),
    [
        (by_chunk, FILTERS[0]),
        (share_of_each, FILTERS[0]),
        (share_of_each, FILTERS[2]),
        (new_keys_each, FILTERS[2]),
        (ratio_by_chunk, DensityRatioFilter()),
    ],
    ids=_name,
)
def test_law_rejects(wrong: Any, prototype: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    world = laws.world_from(classes=3, features=4, per_class=40, share=0.4, seed=seed)
    fitted = clone(prototype).fit(world.x_real, world.y_real)
    monkeypatch.setattr(stream, "select", wrong)
    with pytest.raises(AssertionError):
        a_stream_is_memory(fitted, world, Cut(world.x, world.y, (100, 40)))


# --- OLE ---


@settings(max_examples=30)
@given(world=tiny, sizes=cuts, exponent=st.sampled_from([0, 700, -700]))
def test_ole_of_a_stream_is_ole(world: laws.World, sizes: tuple[int, ...], exponent: int) -> None:
    latents = np.ldexp(world.x, exponent)
    assert stream.ole(Cut(latents, world.y, sizes)) == ole(latents, world.y)
    assert stream.normalised_ole(Reused(latents, world.y, sizes)) == normalised_ole(latents, world.y)


@pytest.mark.parametrize(("features", "many", "scale"), [(40, 2500, 8), (1030, 1200, 1)])
def test_ole_in_one_pass_is_that_of_svd(
    features: int, many: int, scale: float, rng: np.random.Generator
) -> None:
    """Rank 8 with noise 1e-3, float32, more rows of one class than are held, fewer of another; scales that grow."""
    y = np.repeat([0, 1, 2], [many, 60, 4])
    frames = rng.standard_normal((3, 8, features))
    x = np.einsum("nr,nrp->np", rng.standard_normal((len(y), 8)), frames[y])
    x = np.float32(x + 1e-3 * rng.standard_normal(x.shape))
    x[many - 50 :] *= scale
    exact = x.astype(np.float64)
    by_class = sum(np.linalg.svd(exact[y == c], compute_uv=False).sum() for c in range(3))
    expected = by_class - np.linalg.svd(exact, compute_uv=False).sum()
    found = stream.ole(Once([(x[:900], y[:900]), (x[900:], y[900:])]))
    assert found == ole(x, y)
    assert abs(found / expected - 1) < POINT
    grams = [x[y == c].T @ x[y == c] for c in range(3)]
    norms = [np.sqrt(np.abs(np.linalg.eigvalsh(gram))).sum() for gram in [*grams, sum(grams)]]
    assert abs((sum(norms[:-1]) - norms[-1]) / expected - 1) > 100 * POINT, "control: float32 Gram matrices"


def test_ole_holds_no_more_rows_than_it_says(rng: np.random.Generator) -> None:
    norms = Norms()
    for _ in range(5):
        norms.add(rng.standard_normal((700, 3)), np.zeros(700, int))
    (one,) = norms._classes.values()
    assert len(one.held()) == 5 * 700 % 1024


class Once(list[Any]):
    """Chunks that complain when they are read a second time."""

    reads = 0

    def __iter__(self) -> Iterator[Any]:
        self.reads += 1
        assert self.reads < 3, "read more than once"  # the first is the look whether they can be read again
        return super().__iter__()


# --- refusals ---

FITTED = LatentSpaceFilter().fit(X, Y)
RATIO = DensityRatioFilter().fit(X, Y)


def _with(value: float, at: int = 7) -> np.ndarray:
    bad = X.copy()
    bad[at, 1] = value
    return bad


def _halves(x: np.ndarray, y: np.ndarray = Y) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(x[:15], y[:15]), (x[:0], y[:0]), (x[15:], y[15:])]


class Shrinking:
    """Gives a row fewer each time it is read."""

    reads = 0

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        self.reads += 1
        yield X[self.reads :], Y[self.reads :]


@pytest.mark.parametrize("fitted", [FITTED, RATIO, ShrunkHerdFilter(np.tanh).fit(X, Y)], ids=_name)
@pytest.mark.parametrize(
    ("chunks", "error", "match"),
    [
        (
            _halves(_with(np.nan, 17)),
            ValueError,
            "x has 1 NaN or infinite values, the first in row 2 of chunk 2$",
        ),
        (
            _halves(_with(np.nan, 15)),
            ValueError,
            "x has 1 NaN or infinite values, the first in row 0 of chunk 2$",
        ),
        (
            _halves(_with(-np.inf)),
            ValueError,
            "x has 1 NaN or infinite values, the first in row 7 of chunk 0$",
        ),
        (_halves(X, np.where(np.arange(20) == 17, 5, Y)), ValueError, r"labels never seen in fit: \[5\]"),
        ([(X, Y), (X[:, :2], Y)], ValueError, r"chunk 1 has samples of shape \(2,\)"),
        (
            [(X, Y), (X, Y.astype(str))],
            ValueError,
            "chunk 1 has .* words for labels, those before it .* numbers",
        ),
        ([(X, Y), (X, Y[:-1])], ValueError, "y of chunk 1 has 19 labels, but x has 20"),
        ([(X[:0], Y[:0])], ValueError, "chunks hold no sample"),
        ([], ValueError, "chunks hold no sample"),
        ([(X, Y, Y)], TypeError, "chunk 0 must be a pair"),
        (((x, Y) for x in [X]), TypeError, "read once only, being a generator: give a list of pairs"),
        (X, TypeError, "re-iterable of pairs .*, found ndarray"),
        (3, TypeError, "re-iterable of pairs .*, found int"),
    ],
)
def test_bad_chunks_are_named(fitted: Any, chunks: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        stream.select(fitted, chunks, 3)


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="samples overflow, the first in row 1 of chunk 1: rescale x"):
        stream.score_samples(FITTED, [(X, Y), (np.full((2, 3), 1.7e308) * [[0], [1]], Y[:2])])
    with pytest.raises(ValueError, match="x has 1 NaN or infinite values, the first in row 2 of chunk 2"):
        stream.ole(_halves(_with(np.nan, 17)))
    for budget, error in ((0, "must be positive"), (21, "the pool has only 20")):
        for fitted in (FITTED, RATIO):
            with pytest.raises(ValueError, match=error):
                stream.select(fitted, [(X, Y)], budget)
    with pytest.raises(ValueError, match="gave 19 samples, and another number when read again"):
        stream.select(RATIO, Shrinking(), 3)
    with pytest.raises(TypeError, match="ShrunkHerdFilter gives a sample no score: use lsf"):
        stream.score_samples(ShrunkHerdFilter().fit(X, Y), [(X, Y)])
    with pytest.raises(TypeError, match="StandardScaler chooses from a pool in memory only"):
        stream.select(StandardScaler(), [(X, Y)], 3)
    for prototype in (LatentSpaceFilter(), DensityRatioFilter(), ShrunkHerdFilter()):
        with pytest.raises(NotFittedError):
            stream.select(prototype, [(X, Y)], 3)


# --- parts ---


@given(values=st.lists(st.integers(-3, 3), max_size=30), count=st.integers(0, 35))
def test_partition_is_the_stable_sort(values: list[int], count: int) -> None:
    array = np.array(values, dtype=float)
    stable = np.sort(np.argsort(array, kind="stable")[:count])
    np.testing.assert_array_equal(lowest(array, count), stable)


def test_keys_are_a_function_of_seed_and_index() -> None:
    """A worker that starts at the i-th sample draws the i-th key: one 64-bit number of the generator each."""
    keys = np.random.default_rng(5).random(100)
    for start in (0, 1, 37):
        there = np.random.Generator(np.random.PCG64(5).advance(start)).random(3)
        np.testing.assert_array_equal(there, keys[start : start + 3])


@pytest.mark.parametrize("budget", [0, -3])
def test_no_row_is_read_for_a_budget_that_cannot_be(budget: int) -> None:
    class Never:
        def __iter__(self) -> Iterator[Any]:
            raise AssertionError("read")
            yield

    world = laws.world_from(classes=2, features=2, per_class=6, share=0.5, seed=0)
    fitted = LatentSpaceFilter().fit(world.x, world.y)
    with pytest.raises(ValueError, match="budget must be positive"):
        stream.select(fitted, Never(), budget)
    with pytest.raises(AssertionError, match="read"):
        stream.select(fitted, Never(), 1)  # control
