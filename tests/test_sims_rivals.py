"""Score extrapolation, self-correction, and the readings that refit: by their definitions, beside wrong ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lsf.encoders import EnergyFeatures
from lsf.filter import LatentSpaceFilter
from lsf.pool import Pool, concat
from sims.analytic import ClassFit, World
from sims.curation import NAMES, POLICIES, RIVALS, AcuFilter, Acur, policy, trained_by
from sims.extrapolation import extrapolated
from sims.filters import Kit
from sims.gaussian import ClassGaussians, GaussianSampler
from sims.loop import run
from sims.lowrank import ClassSubspaces
from sims.record import RunFolder
from sims.refits import POOLS, pool_sizes, retrained_log_odds
from sims.rivals import ScoreExtrapolation, SelfCorrection
from sims.seeds import stream
from sims.turn import turn
from tests.run_folders import KEPT, UNKEPT, WORLD, Killed, contents
from tests.tolerances import close

N, D = 60, 4


def law(rng: np.random.Generator, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A mean and a root of full rank, not far from standard."""
    A = 0.2 * rng.standard_normal((D, D))
    return rng.standard_normal(D), scale * (np.eye(D) + A)


def score(x: np.ndarray, mean: np.ndarray, root: np.ndarray) -> np.ndarray:
    """-S^-1 (x - m) at the rows of x."""
    return -np.linalg.solve(root @ root.T, (x - mean).T).T


def two_classes(rng: np.random.Generator, born: int, scale: float = 1.0, n: int = N) -> Pool:
    """Classes 2 and 7, whose axes differ."""
    y = np.repeat([2, 7], n)
    axes = np.where(y[:, None] == 2, [2.0, 1.0, 0.5, 0.5], [0.5, 0.5, 1.0, 2.0])
    return Pool(scale * axes * rng.standard_normal((2 * n, D)), y, born)


def variances(sampler: GaussianSampler) -> np.ndarray:
    """Total variance of each class."""
    return np.square(sampler.roots).sum(axis=(1, 2))


# --- the law of an extrapolated score ---


@pytest.mark.parametrize("w", [0.1, 0.5])
def test_its_score_is_the_extrapolated_one(w: float, rng: np.random.Generator) -> None:
    base, aux = law(rng), law(rng, scale=1.2)  # a wider aux: every precision stays far above the bound
    m, R = extrapolated(base, aux, w)
    x = rng.standard_normal((20, D))
    expected = (1 + w) * score(x, *base) - w * score(x, *aux)
    assert close(score(x, m, R), expected, condition=10)
    assert not close(score(x, m, R), (1 - w) * score(x, *base) + w * score(x, *aux))  # control: towards aux


def test_nothing_to_move_away_from_changes_nothing(rng: np.random.Generator) -> None:
    base, aux = law(rng), law(rng)
    for w, other in ((0.0, aux), (0.7, base)):
        m, R = extrapolated(base, other, w)
        assert close(m, base[0], condition=10)
        assert close(R @ R.T, base[1] @ base[1].T, condition=10)


def test_precision_that_would_be_negative_is_held(rng: np.random.Generator) -> None:
    """A narrow aux: 1.5 - 0.5 * 100 < 0, so the variance is ten times the base's and not infinite."""
    base = (np.zeros(D), np.eye(D))
    narrow = (np.zeros(D), np.diag([0.1, 1.0, 1.0, 1.0]))
    _, R = extrapolated(base, narrow, 0.5)
    assert close(R @ R.T, np.diag([10.0, 1.0, 1.0, 1.0]))
    _, R = extrapolated(base, narrow, 0.5, least=0.25)
    assert close(R @ R.T, np.diag([4.0, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize("place", ["base", "aux"])
def test_flat_laws_are_refused(place: str, rng: np.random.Generator) -> None:
    flat = (np.zeros(D), np.diag([1.0, 1.0, 1.0, 0.0]))
    laws = (flat, law(rng)) if place == "base" else (law(rng), flat)
    with pytest.raises(ValueError, match=f"{place} must have a covariance of full rank"):
        extrapolated(*laws, 0.5)


# --- the SIMS arm ---


@pytest.mark.parametrize("generator", [ClassGaussians(), ClassSubspaces(rank=2)])
def test_both_families_extrapolate_class_by_class(generator: Any, rng: np.random.Generator) -> None:
    real, made = two_classes(rng, 0), two_classes(rng, 1, scale=0.8)
    arm = ScoreExtrapolation(generator, 0.5)
    pool = concat([real, made])
    found = arm.fit(pool, rng)
    base, aux = generator.fit(pool, rng), generator.fit(made, rng)
    for i in range(2):
        m, R = extrapolated((base.means[i], base.roots[i]), (aux.means[i], aux.roots[i]), 0.5)
        assert close(found.means[i], m)
        assert close(found.roots[i] @ found.roots[i].T, R @ R.T)
    assert found.classes.tolist() == [2, 7]
    assert (variances(found) > variances(base)).all()  # away from the narrower
    assert (variances(base) > variances(aux)).all()


def test_the_laboratory_and_the_presets_extrapolate_alike(rng: np.random.Generator) -> None:
    """ClassFit on laws, ClassGaussians on samplers: the same moments from the same pool."""
    world = World(dim=D, rank=1, noise=0.3)
    truth = world.truth(0)
    y = np.repeat(truth.classes, N)
    pool = concat([Pool(truth.sample(y, rng), y, 0), Pool(0.9 * truth.sample(y, rng), y, 1)])
    laws = ScoreExtrapolation(ClassFit(world, truth)).fit(pool, rng).law
    sampler = ScoreExtrapolation(ClassGaussians()).fit(pool, rng)
    assert close(laws.means[:, 0], sampler.means)
    assert close(laws.covariances[:, 0], sampler.roots @ sampler.roots.swapaxes(1, 2))
    plain = ClassGaussians().fit(pool, rng)
    assert not close(plain.roots @ plain.roots.swapaxes(1, 2), laws.covariances[:, 0])  # control


def test_real_data_alone_give_the_base(rng: np.random.Generator) -> None:
    real = two_classes(rng, 0)
    found, base = (g.fit(real, rng) for g in (ScoreExtrapolation(ClassGaussians()), ClassGaussians()))
    assert np.array_equal(found.roots, base.roots)


def test_a_class_that_nobody_made_is_refused(rng: np.random.Generator) -> None:
    made = two_classes(rng, 1)
    pool = concat([two_classes(rng, 0), made.take(made.y == 2)])
    with pytest.raises(ValueError, match=r"aux must have the classes of base, \[2, 7\], found \[2\]"):
        ScoreExtrapolation(ClassGaussians()).fit(pool, rng)


@dataclass(frozen=True)
class Counting(ClassGaussians):
    """As expensive as its pool is large, and three steps a sample."""

    sampling_steps: int = 3

    def evaluations(self, pool: Pool, first: bool) -> dict[str, int]:
        return {"gradient_steps": 1, "training_evaluations": len(pool)}


def test_both_models_are_paid_for(rng: np.random.Generator) -> None:
    real, made = two_classes(rng, 0), two_classes(rng, 1, n=10)
    arm = ScoreExtrapolation(Counting())
    assert arm.evaluations(concat([real, made]), False) == {
        "gradient_steps": 2,
        "training_evaluations": 4 * N - 2 * N + 40,
    }
    assert arm.evaluations(real, True) == {"gradient_steps": 1, "training_evaluations": 2 * N}
    assert arm.sampling_steps == 6


NEEDY = ("ACUR-SIMS", "ACU-EQUAL-STEPS")


class Plain:
    """A generator that cannot extrapolate."""


def test_a_generator_that_cannot_extrapolate_is_refused_by_the_policys_name() -> None:
    with pytest.raises(ValueError, match=r"policy ACUR-SIMS cannot be run here: .* found Plain"):
        trained_by("ACUR-SIMS", Plain(), 8)
    assert all(isinstance(trained_by(name, Plain(), 8), Plain) for name in NAMES if name not in NEEDY)


@dataclass(frozen=True)
class Tracing:
    """Models that say what they came from."""

    def fit(self, pool: Pool, rng: np.random.Generator, start: Any = None) -> str:
        return f"({start} on {sorted(set(np.asarray(pool.born).tolist()))})"

    def extrapolated(self, base: str, aux: str, strength: float) -> str:
        return f"{base} from {aux}"


def test_the_auxiliary_model_is_the_base_fine_tuned_on_synthetic_data(rng: np.random.Generator) -> None:
    pool = concat([two_classes(rng, 0), two_classes(rng, 1)])
    found = ScoreExtrapolation(Tracing()).fit(pool, rng, "before")
    assert found == "(before on [0, 1]) from ((before on [0, 1]) on [1])"


@pytest.mark.parametrize("strength", [-0.1, np.nan, np.inf])
def test_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="strength must be 0 or more"):
        ScoreExtrapolation(ClassGaussians(), strength)


# --- the SC arm ---


def test_self_correction_moves_synthetic_samples_to_real_centres(rng: np.random.Generator) -> None:
    real, made = two_classes(rng, 0), two_classes(rng, 1)
    arm = policy("ACUR-SC", Kit(None, real, real))
    assert isinstance(arm, SelfCorrection)
    pool = arm([real, made], 2 * N, stream(0))
    plain = Acur()([real, made], 2 * N, stream(0))
    assert np.array_equal(pool.y, plain.y)
    assert np.array_equal(pool.born, plain.born)
    kept = np.asarray(pool.born) == 0
    assert np.array_equal(pool.x[kept], plain.x[kept])
    for c in (2, 7):
        own = ~kept & (pool.y == c)
        centres = arm.clusters[c].cluster_centers_
        gaps = np.linalg.norm(plain.x[own][:, None] - centres, axis=2)
        assert close(pool.x[own], centres[gaps.argmin(axis=1)])
        assert not close(pool.x[own], plain.x[own])  # control: not there before
    still = SelfCorrection(Acur(), real, strength=0.0)([real, made], 2 * N, stream(0))
    assert close(still.x, plain.x)


# --- the readings that refit ---


@pytest.fixture
def pools(rng: np.random.Generator) -> list[Pool]:
    """Real data and three generations, each narrower."""
    return [two_classes(rng, k, scale=0.9**k) for k in range(5)]


@pytest.fixture
def fitted(pools: list[Pool]) -> LatentSpaceFilter:
    return LatentSpaceFilter(EnergyFeatures(rank=1), random_state=0).fit(pools[0].x, pools[0].y)


def size(made: Pool) -> float:
    """Stands for a distance."""
    return float(np.square(made.x).mean())


class AtRandom:
    """A filter that chooses as ACUR does."""

    def select(self, x: np.ndarray, y: np.ndarray, budget: int, rng: Any = None) -> np.ndarray:
        return np.sort(rng.permutation(len(x))[:budget])


def sizes(pools: list[Pool], chosen_by: Any) -> list[dict[str, float]]:
    return pool_sizes(pools, ClassGaussians(), chosen_by, size, None, 2 * N, 0, 4)


def test_pools_grow_and_a_random_filter_gains_nothing(pools: list[Pool], fitted: LatentSpaceFilter) -> None:
    rows = sizes(pools, AtRandom())
    assert [row["n"] for row in rows] == [round(2 * N * times) for times in POOLS]
    assert all(row["random"] == row["top"] for row in rows)
    top = sizes(pools, fitted)
    assert [row["random"] for row in top] == [row["random"] for row in rows]
    assert all(row["random"] != row["top"] for row in top)  # control
    assert [row["n"] for row in sizes(pools[:2], fitted)] == [3 * N, 4 * N]  # the history holds no more


def test_smaller_pools_lie_within_larger_ones(pools: list[Pool]) -> None:
    shown: list[set[float]] = []

    class Spy(AtRandom):
        def select(self, x: np.ndarray, y: np.ndarray, budget: int, rng: Any = None) -> np.ndarray:
            shown.append(set(x[:, 0].tolist()))
            return super().select(x, y, budget, rng)

    sizes(pools, Spy())
    assert [len(s) for s in shown] == [3 * N, 4 * N, 8 * N]
    everything = concat(pools)
    born = dict(zip(everything.x[:, 0].tolist(), np.asarray(everything.born).tolist(), strict=True))
    assert shown[0] < shown[1] < shown[2] < set(born)
    assert {born[x] for x in shown[0]} == {0, 1, 2, 3, 4}  # at random, not the oldest first


def test_a_refit_is_the_loops_own_turn(pools: list[Pool], fitted: LatentSpaceFilter) -> None:
    """On the whole history the top choice is what ACU-LSF would make of it."""
    two = pools[:4]  # exactly four budgets
    made = turn(AcuFilter(fitted), ClassGaussians(), two, None, 2 * N, 0, 4)[2]
    (row,) = [r for r in sizes(two, fitted) if r["n"] == 8 * N]
    assert row["top"] == size(made)


def test_a_probe_trained_again_on_the_same_data_is_the_same(
    pools: list[Pool], fitted: LatentSpaceFilter
) -> None:
    fixed = sum(fitted.probe_.log_odds(fitted.transform(pools[2].x), pools[2].y)) / (2 * N)
    assert close(retrained_log_odds(fitted, pools[0], pools[2]), fixed)
    assert not close(retrained_log_odds(fitted, pools[3], pools[2]), fixed)  # control
    assert close(retrained_log_odds(fitted, pools[0], pools[2]), fixed)  # and nothing was changed


# --- in the loop ---


def test_readings_are_taken_where_they_are_asked_for(tmp_path: Path) -> None:
    folder = run(replace(UNKEPT, policies=(*POLICIES, *RIVALS)), 0, tmp_path / "a")
    records = folder.records()
    assert folder.policies() == [*POLICIES, *RIVALS]
    assert {r["policy"] for r in records if "retrained_log_odds" in r} == {"REAL", "SYN"}
    assert [(r["policy"], r["generation"]) for r in records if "pools" in r] == [("ACUR", 3)]
    assert {r["policy"] for r in records if "choices" in r} == {"ACUR", "ACU-LSF"}
    last = {r["policy"]: r for r in records if r["generation"] == 3}
    trained = [last[name]["trained_on"] for name in ("ACUR", *RIVALS)]
    assert trained[0] == trained[1] == trained[2]  # one pool, three uses of it
    assert len({last[name]["samples"] for name in ("ACUR", *RIVALS)}) == 3


@pytest.mark.parametrize("row", [KEPT, UNKEPT], ids=["checkpoints", "no checkpoints"])
def test_a_killed_rival_goes_on_to_the_same_bytes(row: Any, tmp_path: Path) -> None:
    row = replace(row, policies=RIVALS, world=replace(WORLD, generator=ClassSubspaces(rank=2)))
    run(row, 0, tmp_path / "whole")
    real = RunFolder.add

    def add(self: RunFolder, *args: Any) -> None:
        real(self, *args)
        if len(self.records()) == 3:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "add", add)
        with pytest.raises(Killed):
            run(row, 0, tmp_path / "killed")
    run(row, 0, tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
