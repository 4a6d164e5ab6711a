"""Cells: policies paired by seed, budgets, records; one law in two engines; turns; and the grids of the sweeps."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from lsf.ole import normalised_ole, ole
from lsf.pool import Pool
from sims import cells, filters
from sims.analytic import WORLDS, ClassFit, World
from sims.cells import MEASURES, PLAIN, POLICIES, Cell, Lab, run_cell
from sims.curation import Acu, AcuFilter, Acur, Syn
from sims.distances import kl
from sims.exact import Refit, covariance, exact
from sims.exact_score import PosteriorMean
from sims.instruments import log_odds
from sims.mechanisms import Mechanisms
from sims.seeds import stream
from sims.sweeps import HELD_OUT, RULES, SITUATIONS, SWEEPS, situation_of, sweep
from sims.turn import draw_made, equal_labels, turn
from tests.tolerances import ENGINES, LEAST_MODE, RETENTION, SHARE, close

LOW = WORLDS["low-rank"]
ONE = World(dim=3, rank=1, noise=0.5, classes=1)
SMALL: dict[str, Any] = {"n": 60, "generations": 2, "trusted": 12}
ALONE = {"REAL": 1.0, "SYN": 0.0, "SYN-ADD": 20 / 66, "ACU": 0.5, "ORACLE": 1.0}


def text(cell: Cell) -> str:
    """Its records as JSON: equal where every bit is, NaN too."""
    return json.dumps(run_cell(cell))


# --- every policy in every world ---


@pytest.mark.parametrize(
    ("world", "policy"), sorted({*product(WORLDS, POLICIES)} - {("minority", "ACUR-SIMS")})
)
def test_every_policy_runs_in_every_world(world: str, policy: str, seed: int) -> None:
    """Budgets, shares of real data, and flat records that JSON can hold. (The one pair left out is refused.)"""
    rows = run_cell(Cell(WORLDS[world], policy, seed, n=66, generations=1, trusted=12, measures=("laws",)))
    assert [row["generation"] for row in rows] == [0, 1]
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert all(isinstance(v, int | float) for row in rows for v in row.values())
    assert (rows[0]["n"], rows[0]["share_real"], rows[0]["mean_generation"]) == (66, 1.0, 0.0)
    assert rows[1]["n"] == (132 if policy == "ACU" else 66)
    assert close(rows[1]["share_real"], ALONE.get(policy, rows[1]["share_real"]))
    assert close(rows[1]["mean_generation"], 1 - rows[1]["share_real"])
    assert 0 < rows[1]["kl"] < np.inf
    assert rows[1]["bures"] > 0


def test_shares_of_real_data_by_generation(seed: int) -> None:
    """ACU has 1/(k+1), ACUR about that, SYN-ADD 30% always."""
    found = {
        p: [row["share_real"] for row in run_cell(Cell(LOW, p, seed, n=200, generations=3))] for p in PLAIN
    }
    assert found["REAL"] == found["ORACLE"] == [1.0] * 4
    assert found["SYN"] == [1.0, 0.0, 0.0, 0.0]
    assert found["SYN-ADD"] == [1.0, 0.3, 0.3, 0.3]
    assert close(found["ACU"], [1, 1 / 2, 1 / 3, 1 / 4])
    assert np.abs(np.array(found["ACUR"]) - found["ACU"]).max() < SHARE
    assert 0 < found["ACUR"][3] < 0.5
    assert found["ACUR-SC"] == found["ACUR-SIMS"] == found["ACUR"]  # the same draws of the pool


# --- pairs and determinism ---


@pytest.mark.parametrize("world", ["low-rank", "minority", "diffusion"])
def test_policies_of_a_seed_are_paired(world: str, seed: int) -> None:
    """Real data, generation 0, its record and its samples are the same to the bit; another seed has others."""
    labs = [Lab(Cell(WORLDS[world], p, seed, **SMALL)) for p in ("SYN", "ACU-LSF", "ACU-SHRUNK")]
    for lab in labs[1:]:
        assert np.array_equal(lab.real.x, labs[0].real.x)
        assert np.array_equal(lab.trusted.x, labs[0].trusted.x)
        assert np.array_equal(lab.truth.covariances, labs[0].truth.covariances)
        assert np.array_equal(lab.generator.planes, labs[0].generator.planes)
    mechanism = Mechanisms(rotation=5.0, leakage=0.1)
    first = [
        run_cell(Cell(WORLDS[world], p, s, mechanism, n=60, generations=0, trusted=12))[0]
        for p, s in (("SYN", seed), ("ACU-LSF", seed), ("SYN", seed + 1))
    ]
    assert json.dumps(first[0]) == json.dumps(first[1])
    assert first[0]["kl"] != first[2]["kl"]  # control


def test_records_do_not_depend_on_what_ran_before(seed: int) -> None:
    """Bit for bit, whichever policies and worlds ran in between, and whatever NumPy's global stream did."""
    asked = [Cell(LOW, p, seed, **SMALL) for p in ("ACUR", "ACU-LSF", "ACU-HERD", "ACUR-SC")]
    asked += [Cell(WORLDS[w], "ACU-SHRUNK", seed, **SMALL) for w in ("minority", "diffusion", "curved")]
    before = [text(cell) for cell in asked]
    np.random.default_rng(0).random(10)
    np.random.seed(7)  # noqa: NPY002
    assert [text(cell) for cell in reversed(asked)] == before[::-1]
    assert len(set(before)) == len(before)


def test_a_longer_loop_begins_as_the_shorter_one(seed: int) -> None:
    long = run_cell(Cell(LOW, "ACU-SHRUNK", seed, n=60, generations=3, trusted=12))
    assert json.dumps(long[:2]) == text(Cell(LOW, "ACU-SHRUNK", seed, n=60, generations=1, trusted=12))


def test_trusted_samples_stay_out_of_the_pool(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ACU, which holds everything; they are `trusted` of each class."""
    shown: list[tuple[Lab, Pool]] = []
    monkeypatch.setitem(MEASURES, "spy", lambda lab, pool, model, made: shown.append((lab, pool)) or {})
    run_cell(
        Cell(WORLDS["means"], "ACU", seed, n=60, generations=2, trusted=20, measures=("spy",))
    )  # as many each
    assert len(shown) == 3
    lab, pool = shown[-1]
    assert len(pool) == 180
    assert not np.isin(lab.trusted.x, pool.x).any()
    assert np.isin(lab.real.x, pool.x).all()  # control
    assert np.bincount(lab.trusted.y).tolist() == [20, 20, 20]


@pytest.mark.parametrize("name", [*filters.RULES, *filters.TRUSTING])
def test_filters_do_not_see_provenance(name: str, seed: int) -> None:
    """The same samples are kept of a pool whose births are told wrong."""
    lab = Lab(Cell(LOW, name, seed, **SMALL))
    made = lab.fresh(60, stream(seed, "other"))
    policy = lab.policy(name)
    assert isinstance(policy, AcuFilter)
    kept = [policy([lab.real, Pool(made.x, made.y, born)], 60, stream(0, "a")).x for born in (1, 5, 0)]
    assert len(kept[0]) == 60
    assert np.array_equal(kept[0], kept[1])
    assert np.array_equal(kept[0], kept[2])


# --- kept ---


@pytest.mark.parametrize("kept", [0.2, 0.35, 1.0])
@pytest.mark.parametrize("policy", ["ACUR", "ACUR-CLASS", "ACU-LSF-CLASS"])
def test_kept_is_a_share_of_the_pool(policy: str, kept: float, seed: int) -> None:
    """n samples are made whatever is kept: the pool grows by n."""
    cell = Cell(LOW, policy, seed, n=100, generations=3, trusted=12, kept=kept, measures=())
    assert [row["n"] for row in run_cell(cell)] == [100, *(round(kept * 100 * k) for k in (2, 3, 4))]
    assert {row["n"] for row in run_cell(replace(cell, kept=None))} == {100}  # control


# --- what is measured ---


def test_every_group_of_measures_has_its_columns(seed: int) -> None:
    cell = Cell(WORLDS["minority"], "ACUR", seed, n=60, generations=0, trusted=12)
    always = {"generation", "n", "share_real", "mean_generation", "smallest_class"}
    laws = {"kl", "bures", "cosine", "kept_subspace", "energy_own", "energy_other", "energy_off"}
    samples = {"ole", "ole_normalised", "log_odds", "confidence", "least_mode", "minority"}
    columns = {
        "laws": laws,
        "samples": samples,
        "alignment": {"aligned_cosine"},
        "retrained": {"retrained_log_odds"},
    }
    assert set(columns) == set(MEASURES)
    for name, own in columns.items():
        assert set(run_cell(replace(cell, measures=(name,)))[0]) == always | own
    assert set(run_cell(replace(cell, measures=tuple(MEASURES)))[0]) == always.union(*columns.values())
    assert set(run_cell(replace(cell, world=LOW, measures=("samples",)))[0]) == always | samples - {
        "least_mode",
        "minority",
    }


@pytest.mark.parametrize("world", ["means", "diffusion"])
def test_readings_of_samples_are_those_of_their_latents(world: str, seed: int) -> None:
    """OLE of the coordinates or the posterior means; confidence by the probe of the trusted samples."""
    lab = Lab(Cell(WORLDS[world], "SYN", seed, **SMALL))
    model = lab.generator.fit(lab.real, stream(0))
    lab.start(model)
    made = draw_made(model, lab.truth.classes, 60, seed, 0)
    found = lab.sample_measures(made)
    h = made.x
    if world == "diffusion":
        h = PosteriorMean(model.fitted, 100).fit(h).transform(h)
        assert not close(found["ole"], ole(made.x, made.y))  # control
    assert close(found["ole"], ole(h, made.y))
    assert close(found["ole_normalised"], normalised_ole(h, made.y))
    scores = lab.instrument.score_samples(made.x, made.y)  # type: ignore[union-attr]
    assert close(found["log_odds"], log_odds(scores).mean())
    assert close(found["confidence"], np.exp(scores).mean())
    assert found["log_odds"] > lab.sample_measures(Pool(made.x, made.y[::-1].copy(), 1))["log_odds"]


def test_retrained_probe_is_that_of_the_pool(seed: int) -> None:
    """Trained on samples whose labels are exchanged, it says the opposite of the fixed one."""
    lab = Lab(Cell(LOW, "SYN", seed, n=200))
    wrong = Pool(lab.real.x, 1 - lab.real.y, 0)
    right = lab.retrained(lab.real, lab.real)["retrained_log_odds"]
    own = lab.kit.probe_filter(cells.Top()).fit(lab.real.x, lab.real.y)
    assert close(right, log_odds(own.score_samples(lab.real.x, lab.real.y)).mean())
    assert right > 1
    assert lab.retrained(wrong, lab.real)["retrained_log_odds"] < -1


def test_retention_is_one_for_real_data_and_falls_with_the_modes(seed: int) -> None:
    """Majority samples alone: what Bayes' rule takes for minority ones is left, and the least mode is a minority's."""
    world = replace(WORLDS["minority"], separation=8.0, shift=6.0)
    lab = Lab(Cell(world, "SYN", seed, **SMALL))
    y = np.repeat([0, 1], 5000)
    found = lab.retention(Pool(lab.truth.sample(y, stream(seed, "a")), y, 0))
    assert close(found["minority"], 1, RETENTION)
    assert close(found["least_mode"], 1, LEAST_MODE)
    major = replace(lab.truth, weights=np.array([[1.0, 0.0]] * 2))
    lost = lab.retention(Pool(major.sample(y, stream(seed, "a")), y, 0))
    assert lost["minority"] < 0.05
    assert lost["least_mode"] <= lost["minority"]
    one = replace(lab.truth, weights=np.array([[0.9, 0.1], [1.0, 0.0]]))
    half = lab.retention(Pool(one.sample(y, stream(seed, "a")), y, 0))
    assert close(half["minority"], 0.5, RETENTION)  # of both classes together
    assert half["least_mode"] < 0.05


@pytest.mark.parametrize("policy", [*PLAIN, "ACU-SHRUNK", "ACU-RATIO"])
def test_a_world_of_one_class(policy: str, seed: int) -> None:
    """No probe, no angles: NaN in the laws, no confidence among the readings."""
    rows = run_cell(Cell(ONE, policy, seed, n=40, generations=1, trusted=12))
    assert np.isnan(rows[1]["cosine"])
    assert "log_odds" not in rows[1]
    assert close(rows[1]["ole"], 0)
    assert 0 < rows[1]["kl"] < np.inf


# --- refusals ---


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"policy": "SIN"}, "policy must be one of REAL"),
        ({"policy": "ACU-LSF", "world": ONE}, "policy ACU-LSF needs two classes"),
        ({"policy": "ACU-HERD", "world": ONE}, "policy ACU-HERD needs two classes"),
        ({"policy": "ACUR-SIMS", "world": WORLDS["minority"]}, "ACUR-SIMS needs minority 0"),
        ({"measures": ("laws", "angles")}, "measures must be of laws"),
        ({"measures": "laws"}, "measures must be of laws"),
        (
            {"measures": ("retrained",), "world": ONE, "policy": "SYN"},
            "measures: 'retrained' needs two classes",
        ),
        ({"world": ONE, "policy": "SYN", "mechanisms": Mechanisms(leakage=0.1)}, "leakage needs two classes"),
        ({"engine": "exact"}, "engine must be one of"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"generations": -1}, "generations must be 0 or more"),
        ({"n": 7}, "n must be at least 8: 4 samples of each class"),
        ({"n": 19, "world": WORLDS["gaussian"]}, "n must be at least 20: 10 samples of each class"),
        ({"n": 10, "policy": "SYN-ADD"}, "n is too small for SYN-ADD"),
        ({"trusted": 9}, "trusted must be at least 10"),
        ({"trusted": 11, "world": World(24, 12, 0.3, fit="ppca")}, "trusted must be at least 24"),
        ({"kept": 0.0}, "kept must be a share"),
        ({"kept": 1.1}, "kept must be a share"),
        ({"kept": np.nan}, "kept must be a share"),
        ({"kept": 0.03, "n": 100}, "kept must be a share"),  # 6 of 200: 3 a class
        ({"kept": 0.5, "policy": "SYN"}, "kept must be None with SYN"),
        ({"kept": 0.5, "policy": "SYN-ADD"}, "kept must be None with SYN-ADD"),
        ({"kept": 0.5, "policy": "ACU"}, "kept must be None with ACU"),
    ],
    ids=str,
)
def test_bad_cells_are_refused_by_name(change: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}"):
        Cell(**({"world": LOW, "policy": "ACUR", "seed": 0} | change))


@pytest.mark.parametrize("name", ["seed", "generations", "n", "trusted"])
@pytest.mark.parametrize("value", [20.0, "20"])
def test_whole_numbers_are_asked_for_by_name(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be an integer"):
        Cell(**{"world": LOW, "policy": "ACUR", "seed": 0, name: value})


def test_control_the_least_cells_are_accepted_and_run() -> None:
    least = Cell(LOW, "SYN", 0, n=8, generations=1, trusted=10, measures=("laws",))
    assert len(run_cell(least)) == 2
    assert len(run_cell(replace(least, policy="SYN-ADD", n=11, generations=0))) == 1
    assert len(run_cell(Cell(LOW, "ACUR-CLASS", 0, n=100, generations=1, trusted=10, kept=0.04))) == 2


# --- one law in two engines ---

DIM, N, K = 3, 5, 3
LAWS = {
    "replace": ("SYN", {}, 1.0, Refit(DIM, N), Refit(DIM, N, known_mean=True)),
    "replace, unbiased": ("SYN", {"unbiased": True}, 1.0, Refit(DIM, N, unbiased=True), Refit(DIM, N)),
    "replace, known mean, contraction": (
        "SYN",
        {"known_mean": True},
        0.6,
        Refit(DIM, N, known_mean=True, shrink=0.6),
        Refit(DIM, N, known_mean=True),
    ),
    "accumulate": ("ACU", {}, 1.0, Refit(DIM, N, "accumulate"), Refit(DIM, N)),
    "accumulate, contraction": (
        "ACU",
        {"unbiased": True},
        0.4,
        Refit(DIM, N, "accumulate", unbiased=True, shrink=0.4),
        Refit(DIM, N, "accumulate", unbiased=True),
    ),
}


def of_fit(lab: Lab, pool: Pool, model: Any, made: Pool) -> dict[str, float]:
    """Where the truth is N(0, I): log det, variance and squared mean along an axis, KL."""
    (m,), (S,) = model.fitted.moments()
    (m_0,), (S_0,) = lab.truth.moments()
    w, V = np.linalg.eigh(S_0)
    u = V[:, -1] / np.sqrt(w[-1])
    log_det = np.linalg.slogdet(S)[1] - np.log(w).sum()
    return {
        "log_det": log_det,
        "variance": u @ S @ u,
        "drift": (u @ (m - m_0)) ** 2,
        "fit_kl": kl(m_0, S_0, m, S),
    }


def of_exact(loop: Refit, seeds: list[int]) -> dict[str, np.ndarray]:
    """The same numbers of the law-exact engine, whose first fit is generation 0."""
    t = exact(loop, seeds, K + 1)
    S, m = covariance(t.factor), t.means[:, -1]
    zero, one = np.zeros(DIM), np.eye(DIM)
    divergence = [kl(zero, one, a, B) for a, B in zip(m, S, strict=True)]
    return {
        "log_det": t.log_dets[:, -1],
        "variance": S[:, 0, 0],
        "drift": m[:, 0] ** 2,
        "fit_kl": np.array(divergence),
    }


@pytest.mark.parametrize("law", LAWS)
def test_cells_have_the_law_of_the_exact_engine(
    law: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kolmogorov-Smirnov of drawn cells against 1500 exact loops: false alarm `ENGINES` a number; another law fails."""
    policy, setting, temperature, loop, other = LAWS[law]
    monkeypatch.setitem(MEASURES, "fit", of_fit)
    cell = Cell(
        replace(ONE, **setting),
        policy,
        0,
        Mechanisms(temperature=temperature),
        N,
        K,
        trusted=10,
        measures=("fit",),
    )
    drawn = rng.integers(
        2**62, size=400 if law == "replace, unbiased" else 240
    )  # n/(n-1) is the smallest step
    rows = [run_cell(replace(cell, seed=int(s)))[-1] for s in drawn]
    right, wrong = (of_exact(one, rng.integers(2**62, size=1500).tolist()) for one in (loop, other))
    names = [name for name in right if name != "drift" or not loop.known_mean]
    values = {name: [row[name] for row in rows] for name in names}
    p = {name: ks_2samp(values[name], right[name]).pvalue for name in names}
    assert min(p.values()) > ENGINES, p
    assert min(ks_2samp(values[name], wrong[name]).pvalue for name in names) < ENGINES


# --- turns ---


def test_a_turn_is_policy_fit_and_samples(rng: np.random.Generator) -> None:
    """By the streams of the generation: (seed, "select" | "train" | "sample", k)."""
    truth = LOW.truth(0)
    generator = ClassFit(LOW, truth)
    y = equal_labels(truth.classes, 50)
    history = [Pool(truth.sample(y, rng), y, 0), Pool(truth.sample(y, rng), y, 1)]
    start = generator.fit(history[0], rng)
    pool, model, made = turn(Acur(), generator, history, start, 40, 9, 2)
    assert np.array_equal(pool.x, Acur()(history, 40, stream(9, "select", 2)).x)
    assert np.array_equal(model.fitted.covariances, generator.fit(pool, rng).fitted.covariances)
    assert np.array_equal(made.x, model.sample(equal_labels(truth.classes, 40), stream(9, "sample", 2)))
    assert set(made.born.tolist()) == {3}  # type: ignore[union-attr]
    assert np.bincount(made.y).tolist() == [20, 20]
    kept = turn(Acur(), generator, history, start, 40, 9, 2, keep=70)
    assert (len(kept[0]), len(kept[2])) == (70, 40)


def test_a_turn_hands_on_the_last_model(rng: np.random.Generator) -> None:
    """And a training stream of the generation, the same under every policy."""
    seen: list[Any] = []

    class Learner:
        def fit(self, pool: Pool, rng: np.random.Generator, start: Any = None) -> Any:
            seen.append((start, rng.random()))
            return LOW.truth(0)

    y = np.repeat([0, 1], 5)
    history = [Pool(LOW.truth(0).sample(y, rng), y, 0)] * 2
    for policy in (Syn(), Acu()):
        turn(policy, Learner(), history, "the last", 10, 4, 1)
    assert seen == [("the last", stream(4, "train", 1).random())] * 2


@pytest.mark.parametrize(("n", "counts"), [(6, [2, 2, 2]), (7, [3, 2, 2]), (8, [3, 3, 2]), (2, [1, 1])])
def test_equal_labels(n: int, counts: list[int]) -> None:
    y = equal_labels(np.array([2, 5, 9]), n)
    assert np.unique(y, return_counts=True)[1].tolist() == counts
    assert (np.diff(y) >= 0).all()
    assert set(y.tolist()) <= {2, 5, 9}


# --- sweeps ---


@pytest.mark.parametrize("name", SWEEPS)
def test_full_grids_are_distinct_and_start_at_the_reports_seeds(name: str) -> None:
    """Every setting has the same seeds, 1000 and up (2000 in the sweep on fresh ones); smoke grids are smaller."""
    start = 2000 if name == "rules-again" else 1000
    full, smoke = sweep(name).cells(False), sweep(name).cells(True)
    settings: dict[Cell, list[int]] = {}
    for cell in full:
        settings.setdefault(replace(cell, seed=0), []).append(cell.seed)
    assert len(set(full)) == len(full)
    ((first, *_), *others) = map(sorted, settings.values())
    assert first == start
    assert all(seeds == list(range(start, start + len(seeds))) for seeds in settings.values())
    assert len({len(seeds) for seeds in settings.values()}) == 1
    assert len(others) > 0
    assert len(set(smoke)) == len(smoke) < 100 < len(full)
    assert {cell.seed for cell in smoke} == {start, start + 1, start + 2}
    assert max(c.generations for c in smoke) <= min(3, max(c.generations for c in full))


@pytest.mark.parametrize("name", SWEEPS)
def test_smoke_cells_run(name: str) -> None:
    """The first and the last of the grid, by the sweep's own function."""
    one = sweep(name)
    for cell in (one.cells(True)[0], one.cells(True)[-1]):
        rows = one.run(cell)
        assert {row["generation"] for row in rows} >= set(range(cell.generations + 1))
        json.dumps(rows)


def test_timesteps_have_a_row_for_generation_input_and_timestep() -> None:
    """Generation -1 is real data; generations share the frozen model's latents."""
    cell = replace(SWEEPS["timesteps"].cells(True)[0], generations=1, n=100)
    rows = SWEEPS["timesteps"].run(cell)
    keys = [(row["generation"], row["input"], row["timestep"]) for row in rows]
    assert len(set(keys)) == len(keys) == 3 * 2 * 12
    assert {k for k, _, _ in keys} == {-1, 0, 1}
    assert all(np.isfinite([row["csnr"], row["ole"], row["mean_norm"]]).all() for row in rows)


def test_situations_are_found_again() -> None:
    """Every cell of the map of mechanisms belongs to one, and has every rule in it; held-out ones are among them."""
    full = SWEEPS["mechanisms"].cells(False)
    names = situation_of(full)
    assert set(names) == set(SITUATIONS) > set(HELD_OUT)
    pairs = {(name, cell.policy) for name, cell in zip(names, full, strict=True)}
    assert {(name, rule) for name in SITUATIONS for rule in RULES} <= pairs
    assert set(RULES) <= set(POLICIES)
    assert len(set(SITUATIONS.values())) == len(SITUATIONS)
    assert situation_of([Cell(LOW, "SYN", 0)]) == [""]


def test_unknown_sweep_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(ValueError, match=r"sweep must be one of leakage-size, .*timesteps, found 'all'"):
        sweep("all")


# --- what is said late, or not at all, unless it is looked for ---


def test_a_probe_is_not_retrained_without_samples_of_a_class(seed: int) -> None:
    """NaN, and no crash, where a filter has starved a class; a number where it has not."""
    lab = Lab(Cell(LOW, "ACU-LSF", seed, n=60, generations=1, trusted=12, measures=("retrained",)))
    made = lab.fresh(20, stream(seed, "made"))
    starved = lab.real.take(np.r_[np.flatnonzero(lab.real.y == 0), np.flatnonzero(lab.real.y == 1)[:1]])
    assert np.isnan(lab.retrained(starved, made)["retrained_log_odds"])
    assert np.isfinite(lab.retrained(lab.real, made)["retrained_log_odds"])


def test_curves_over_timesteps_are_drawn_for_syn_alone() -> None:
    cell = sweep("timesteps").cells(True)[0]
    with pytest.raises(ValueError, match=r"^policy must be SYN"):
        sweep("timesteps").run(replace(cell, policy="ACUR-SIMS"))


def test_a_mode_that_is_never_told_apart_is_refused(seed: int) -> None:
    """Its share over a fair share of 0 would be NaN."""
    world = replace(WORLDS["minority"], minority=0.01, shift=0.3)
    with pytest.raises(ValueError, match=r"^minority and shift"):
        run_cell(Cell(world, "SYN", seed, n=60, generations=0, trusted=12))
