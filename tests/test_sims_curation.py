"""Streams of one seed, and what each policy trains the next generation on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from lsf.filter import LatentSpaceFilter
from lsf.pool import Pool, concat
from lsf.rules import Matched, Top
from sims import curation
from sims.curation import POLICIES, AcuFilter, SynAdd, composition, draw, policy, trained_by
from sims.filters import RULES, TRUSTING, Kit, Pooled, Remembered
from sims.seeds import stream, torch_seed
from tests.tolerances import assert_exact, close

N = 40
KNOWN = [903, 275, 286, 908]  # of stream(5, "train", 3)


# --- streams ---


def first(*path: Any) -> tuple[int, ...]:
    return tuple(stream(*path).integers(2**63, size=3).tolist())


def test_same_path_same_numbers() -> None:
    assert first(5, "train", 3) == first(5, "train", 3)
    assert torch_seed(stream(5, "train", 3)) == torch_seed(stream(5, "train", 3))


def test_stream_is_the_same_on_every_machine() -> None:
    """The numbers themselves: hash() would give others in every process."""
    assert stream(5, "train", 3).integers(1000, size=4).tolist() == KNOWN


def test_other_paths_other_numbers() -> None:
    """Also where one path is the other with zeros behind it, and where a large root could be read as root and path."""
    paths = [
        (root, *rest)
        for root in (0, 1, 5, 2**32 + 5, 2**64 + 1)
        for rest in [
            (),
            (0,),
            (1,),
            (0, 0),
            (1, 0),
            (0, 1),
            ("train",),
            ("train", 0),
            ("train", 1),
            ("sample", 1),
        ]
    ]
    assert len({first(*path) for path in paths}) == len(paths)


def test_control_the_entropy_of_a_list_does_collide() -> None:
    """What the test above must be able to see."""
    a, b = np.random.default_rng([5, 7]), np.random.default_rng([5, 7, 0])
    assert a.integers(2**63) == b.integers(2**63)


def test_parts_do_not_disturb_each_other() -> None:
    before = stream(0, "sample", 1).random(5)
    stream(0, "train", 1).random(1000)
    np.random.default_rng(0).random(1000)
    assert (stream(0, "sample", 1).random(5) == before).all()


def test_negative_root_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        stream(-1, "train")


# --- policies ---


def history(rng: np.random.Generator, generations: int = 3, real: int = 60) -> list[Pool]:
    """Real data and `generations` pools of N made ones; x holds a sample's own number."""
    pools, number = [], 0
    for born in range(generations + 1):
        n = real if born == 0 else N
        y = np.arange(n) % 2
        x = np.stack([number + np.arange(n), rng.standard_normal(n) + 2 * y], axis=1)
        pools.append(Pool(x, y, born))
        number += n
    return pools


def numbers(pool: Pool) -> list[int]:
    return pool.x[:, 0].astype(int).tolist()


@pytest.fixture
def pools(rng: np.random.Generator) -> list[Pool]:
    return history(rng)


def last_coordinate(x: np.ndarray) -> np.ndarray:
    return x[:, 1:]


@pytest.fixture
def kit(pools: list[Pool], rng: np.random.Generator) -> Kit:
    """Filters see a latent that does not know the sample's number; the trusted data are in no pool."""
    trusted = history(rng)[0]
    paper = LatentSpaceFilter(last_coordinate, random_state=0).fit(pools[0].x, pools[0].y)
    return Kit(
        paper, pools[0], trusted, last_coordinate, last_coordinate, None, {"pixels": lambda: last_coordinate}
    )


SOURCES = {
    "REAL": {0},
    "SYN": {3},
    "SYN-ADD": {0, 3},
    "ACU": {0, 1, 2, 3},
    "ACUR": {0, 1, 2, 3},
    "ACU-LSF": {0, 1, 2, 3},
}


@pytest.mark.parametrize("name", POLICIES)
def test_budget_source_and_no_sample_twice(
    name: str, pools: list[Pool], kit: Kit, rng: np.random.Generator
) -> None:
    pool = policy(name, kit)(pools, N, rng)
    assert len(pool) == (sum(map(len, pools)) if name == "ACU" else N)
    assert len(set(numbers(pool))) == len(pool)
    assert set(pool.born.tolist()) <= SOURCES[name]
    everything = concat(pools)
    rows = numbers(pool)  # a sample's number is its place in everything
    assert (everything.x[rows] == pool.x).all()
    assert (everything.y[rows] == pool.y).all()
    assert (everything.born[rows] == pool.born).all()


@pytest.mark.parametrize("name", POLICIES)
def test_policy_is_a_function_of_its_arguments(name: str, pools: list[Pool], kit: Kit) -> None:
    draws = [numbers(policy(name, kit)(pools, N, np.random.default_rng(s))) for s in (1, 1, 2)]
    assert draws[0] == draws[1]
    fixed = name in ("ACU", "ACU-LSF", "SYN")  # SYN's last generation is its budget
    assert (draws[0] == draws[2]) == fixed


@pytest.mark.parametrize(("fresh", "real"), [(0.3, 12), (0.0, 0), (1.0, 40), (0.5, 20)])
def test_fresh_share(fresh: float, real: int, pools: list[Pool], rng: np.random.Generator) -> None:
    pool = SynAdd(fresh)(pools, N, rng)
    assert (pool.born == 0).sum() == real
    assert (pool.born == 3).sum() == N - real


def test_syn_add_is_thirty_percent(pools: list[Pool], kit: Kit) -> None:
    """Redrawn afresh each generation."""
    shares, reals = [], []
    for k in range(3):
        pool = policy("SYN-ADD", kit)(pools, N, stream(0, "select", k))
        shares.append(composition(pool, np.array([0, 1]))["share_real"])
        reals.append(tuple(numbers(pool.take(pool.born == 0))))
    assert shares == [0.3] * 3
    assert len(set(reals)) == 3


def test_acu_grows_and_is_the_only_one(pools: list[Pool], kit: Kit, rng: np.random.Generator) -> None:
    for name in POLICIES:
        sizes = [len(policy(name, kit)(pools[:k], N, rng)) for k in (2, 3, 4)]
        assert sizes == ([100, 140, 180] if name == "ACU" else [N] * 3)


@pytest.mark.parametrize("rule", [Top(), Top("class"), Matched(shortfall="fill")])
def test_acu_lsf_is_the_filter_on_everything(rule: Any, pools: list[Pool]) -> None:
    fitted = LatentSpaceFilter(last_coordinate, rule, random_state=0).fit(pools[0].x, pools[0].y)
    everything = concat(pools)
    kept = AcuFilter(fitted)(pools, N, np.random.default_rng(7))
    expected = fitted.select(everything.x, everything.y, N, rng=np.random.default_rng(7))
    assert numbers(kept) == expected.tolist()
    assert numbers(kept) != numbers(draw(everything, N, np.random.default_rng(7)))  # control


class Spy:
    """A filter that remembers what it was shown, and keeps the first of it."""

    def __init__(self) -> None:
        self.shown: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def select(self, *args: Any, **kwargs: Any) -> np.ndarray:
        self.shown.append((args, kwargs))
        return np.arange(args[2])


def test_filter_never_sees_provenance(pools: list[Pool], rng: np.random.Generator) -> None:
    spy = Spy()
    AcuFilter(spy)(pools, N, rng)  # type: ignore[arg-type]
    ((args, kwargs),) = spy.shown
    everything = concat(pools)
    assert [type(a) for a in args] == [np.ndarray, np.ndarray, int]
    assert np.array_equal(args[0], everything.x)
    assert np.array_equal(args[1], everything.y)
    assert args[2] == N
    assert set(kwargs) == {"rng"}
    assert kwargs["rng"] is rng
    assert not any(np.array_equal(a, everything.born) for a in args)


def test_provenance_changes_nothing(pools: list[Pool], kit: Kit) -> None:
    lied_to = [Pool(p.x, p.y, 9 - int(p.born[0])) for p in pools]
    assert numbers(AcuFilter(kit.paper)(pools, N, stream(0))) == numbers(
        AcuFilter(kit.paper)(lied_to, N, stream(0))
    )


def test_draw_is_uniform(rng: np.random.Generator) -> None:
    pool = Pool(np.arange(10.0)[:, None], np.zeros(10, int), 0)

    def holds_the_last(rng: np.random.Generator, size: int) -> np.ndarray:
        return np.array([9 in numbers(draw(pool, 5, rng)) for _ in range(size)])

    with_replacement = 1 - 0.9**5
    assert_exact(holds_the_last, 0.5, rng, 10_000, control=with_replacement)


def test_draw_keeps_the_order_of_the_pool(pools: list[Pool], rng: np.random.Generator) -> None:
    assert numbers(draw(pools[1], N, rng)) == numbers(pools[1])
    kept = numbers(draw(pools[1], 20, rng))
    assert kept == sorted(kept)


@pytest.mark.parametrize("budget", [61, -1])
def test_budget_beyond_the_pool_is_refused(budget: int, pools: list[Pool], rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=f"budget asks for {budget} samples of a pool of 60"):
        draw(pools[0], budget, rng)


@pytest.mark.parametrize("fresh", [1.5, -0.1])
def test_fresh_share_out_of_range_is_refused(
    fresh: float, pools: list[Pool], rng: np.random.Generator
) -> None:
    with pytest.raises(ValueError, match="budget asks for"):
        SynAdd(fresh)(pools, N, rng)


def test_unknown_policy_is_refused_and_the_known_are_listed(pools: list[Pool], kit: Kit) -> None:
    with pytest.raises(ValueError, match=r"policy must be one of REAL, SYN, .*ACU-LSF.*, found 'SIN'"):
        policy("SIN", kit)


def test_every_policy_of_the_list_exists(pools: list[Pool], kit: Kit) -> None:
    kinds = {type(policy(name, kit)) for name in POLICIES}
    assert len(kinds) == len(POLICIES) == len(set(POLICIES))


@pytest.mark.parametrize("name", [*RULES, *TRUSTING, "ACU-LSF-PIXELS"][1:])
def test_every_filter_has_its_budget_and_choice(
    name: str, pools: list[Pool], kit: Kit, rng: np.random.Generator
) -> None:
    """Each keeps other samples than the paper's but the one that sees the same latents; the paper's stays as it was."""
    top = numbers(policy("ACU-LSF", kit)(pools, N, rng))
    made = policy(name, kit)
    assert isinstance(made, AcuFilter)
    assert made.filter is not kit.paper
    kept = numbers(made(pools, N, np.random.default_rng(1)))
    assert len(kept) == len(set(kept)) == N
    assert (set(kept) == set(top)) == (name == "ACU-LSF-PIXELS")
    if name in RULES:
        assert made.filter.rule == RULES[name] != kit.paper.rule  # type: ignore[union-attr]


@pytest.mark.parametrize("name", TRUSTING)
def test_filters_of_trusted_data_are_not_fitted_on_the_pool(name: str, pools: list[Pool], kit: Kit) -> None:
    one, other = (policy(name, replace(kit, train=pools[k]))(pools, N, stream(0)) for k in (0, 1))
    assert numbers(one) == numbers(other)
    moved = replace(kit.trusted, x=kit.trusted.x + np.array([0.0, 3.0]))
    assert numbers(policy(name, replace(kit, trusted=moved))(pools, N, stream(0))) != numbers(one)  # control


def test_ablation_that_a_world_lacks_is_refused(kit: Kit) -> None:
    with pytest.raises(ValueError, match="ACU-LSF-IMAGENET cannot be run here: the world has no imagenet"):
        policy("ACU-LSF-IMAGENET", kit)


def test_oracle_keeps_the_real_data_alone(pools: list[Pool], kit: Kit, rng: np.random.Generator) -> None:
    few, many = (policy("ORACLE", kit)(pools, n, rng) for n in (10, 1000))
    assert len(few) == 10
    assert len(many) == len(pools[0])
    assert (np.asarray(many.born) == 0).all()


@dataclass(frozen=True)
class Steps:
    finetune_steps: int | None = None

    def steps_over(self, n: int) -> int:
        return 3 * n


def test_equal_steps_are_those_of_the_budget() -> None:
    assert trained_by("ACU-EQUAL-STEPS", Steps(), N) == Steps(3 * N)
    assert trained_by("ACU", Steps(), N) == Steps()
    with pytest.raises(
        ValueError, match="ACU-EQUAL-STEPS cannot be run here: generator must train by gradient"
    ):
        trained_by("ACU-EQUAL-STEPS", object(), N)


class Counting:
    def __init__(self) -> None:
        self.seen = 0

    def fit(self, x: Any, y: Any = None) -> Counting:
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        self.seen += len(x)
        return 2 * x.reshape(len(x), -1)


def test_remembered_encodes_each_sample_once(rng: np.random.Generator) -> None:
    x = rng.standard_normal((9, 1, 2, 2)).astype(np.float32)
    counting = Counting()
    memory = Remembered(counting).fit(x)
    shared = clone(memory).fit(x)
    for encoder, part in ((memory, x[:6]), (memory, x[2:]), (shared, x[::-1]), (memory, x[[0, 0, 3]])):
        assert np.array_equal(encoder.transform(part), 2 * part.reshape(len(part), -1))
    assert counting.seen == 9
    memory.transform(x + 1)
    assert counting.seen == 18  # control


def test_pooled_is_the_mean_over_space(rng: np.random.Generator) -> None:
    h = rng.standard_normal((5, 3, 2, 2))
    assert close(Pooled(3).fit(h).transform(h.reshape(5, -1)), h.mean(axis=(2, 3)))


def test_policies_are_values() -> None:
    assert curation.Syn() == curation.Syn()
    assert SynAdd(0.3) == SynAdd()
    assert SynAdd(0.3) != SynAdd(0.4)


def test_composition() -> None:
    pool = Pool(np.zeros((8, 1)), np.array([0, 0, 0, 0, 1, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2, 3, 3]))
    assert composition(pool, np.array([0, 1, 2])) == {
        "n": 8,
        "share_real": 0.25,
        "mean_generation": 1.5,
        "smallest_class": 0.125,
    }


def test_class_that_is_gone_is_the_smallest() -> None:
    pool = Pool(np.zeros((4, 1)), np.array([0, 0, 2, 2]), 0)
    assert composition(pool, np.array([0, 1, 2]))["smallest_class"] == 0.0
