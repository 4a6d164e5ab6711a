"""Every claim on records in which it is clearly true or clearly false: is D what the claim says?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest

from paper_checks.claims import CLAIMS, FROM_RUNS, LOOPS, Claim, claim
from paper_checks.image_claims import CORRECTED, OTHER_LATENTS, SPACES
from paper_checks.measures import Run, between_seeds, spearman, statistics_of, turning, u_shapes
from paper_checks.register import IMAGES
from paper_checks.statistics import (
    FAILS,
    HOLDS,
    UNDECIDED,
    interval,
)
from paper_checks.verdicts import (
    evidence_from_runs,
    evidence_of_turn,
)
from sims.curation import POLICIES, RIVALS
from tests.tolerances import CONTROL, STANDARD_ERRORS, close

# --- records in which a claim is clearly true, and clearly false ---

K, N = 5, 200
SIZES = (300, 400, 800)
TIMESTEPS = (10, 100, 200, 300, 500, 700, 900)
Tweak = Callable[[dict[str, Any], str | None, int], None]
"""Changes the record of a policy and generation; "floor" stands for the policy of the floor."""


def ole_rows(
    world: str, inputs: tuple[str, ...], timesteps: tuple[int, ...] = TIMESTEPS
) -> list[dict[str, Any]]:
    if world not in IMAGES:
        return [{"latent": "coordinates", "raw": 10.0, "normalised": 0.2}]
    return [
        {"timestep": t, "input": i, "latent": shape, "raw": 10.0, "normalised": 0.2}
        for i in inputs
        for t in timesteps
        for shape in ("flattened", "pooled")
    ]


def neutral(world: str, policy: str | None, k: int) -> dict[str, Any]:
    """A record of a loop in which nothing happens."""
    made_of = {"n": N, "share_real": 0.5, "mean_generation": 1.0, "smallest_class": 0.1}
    record: dict[str, Any] = {
        "policy": policy,
        "generation": k,
        "metrics": {
            "n": N,
            **dict.fromkeys(("precision", "recall", "coverage", "accuracy"), 0.7),
            **dict.fromkeys(("frechet", "variance_ratio", "log_odds"), 1.0),
            "retention": [1.0] * 10,
            "spaces": {space: {"frechet": 1.0} for space in SPACES},
            **dict.fromkeys(("kernel", "nearest"), 1.0),
            "ole": ole_rows(world, ("clean", "noised"))
            if policy == "floor"
            else ole_rows(world, ("clean",), (100, 200)),
        },
        "cost": {"gradient_steps": 3, "training_evaluations": 20 * N, "sampling_evaluations": 10 * N},
        "trained_on": dict(made_of),
    }
    if policy in ("ACUR", "ACU-LSF"):
        pool = {**made_of, "n": 100}
        record["choices"] = {"pool": pool, "global": dict(made_of), "class": dict(made_of)}
    record["pools"] = [{"n": n, "random": 1.0, "top": 1.0} for n in SIZES]
    if world not in IMAGES:
        record["retrained_log_odds"] = 1.0
    return record


def policies_of(world: str) -> tuple[str, ...]:
    """What runs there."""
    if world not in IMAGES:
        return (*POLICIES, *RIVALS)
    others = ("ORACLE", "ACU-EQUAL-STEPS", *(f"ACU-{R}" for R in CORRECTED))
    return (*POLICIES, *RIVALS, *others, *(f"ACU-LSF-{latent}" for latent in OTHER_LATENTS))


def shaken(value: Any, rng: np.random.Generator) -> Any:
    """Every fraction a little off, as between seeds."""
    if isinstance(value, dict):
        return {k: shaken(v, rng) for k, v in value.items()}
    if isinstance(value, list):
        return [shaken(v, rng) for v in value]
    return value * float(1 + 0.002 * rng.standard_normal()) if isinstance(value, float) else value


def synthetic(world: str, tweak: Tweak, rng: np.random.Generator, seeds: int = 5) -> list[Run]:
    """`seeds` runs of a loop in which what `tweak` says happens, and nothing else."""

    def record(policy: str | None, k: int) -> dict[str, Any]:
        out = neutral(world, policy, k)
        tweak(out, policy, k)
        return shaken(out, rng)

    places = [(None, 0), *((p, k) for p in policies_of(world) for k in range(1, K + 1))]
    return [
        Run(s, record("floor", 0)["metrics"], {place: record(*place) for place in places})
        for s in range(seeds)
    ]


def metric(name: str, **values: Callable[[int], float] | float) -> Tweak:
    """That metric of those policies (REAL_ for "REAL", ACU_LSF for "ACU-LSF"), a number or a function of k."""

    *way, last = name.split("/")

    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        value = values.get(str(policy).replace("-", "_"))
        if value is not None:
            place = record["metrics"]
            for key in way:
                place = place[key]
            place[last] = value(k) if callable(value) else value

    return tweak


def against(metric_name: str, a: str, b: str, high: float, low: float) -> tuple[Tweak, Tweak]:
    """`a` high and `b` low, and the other way round."""
    a, b = a.replace("-", "_"), b.replace("-", "_")
    return metric(metric_name, **{a: high, b: low}), metric(metric_name, **{a: low, b: high})


def trend(name: str, policy: str, rate: float) -> tuple[Tweak, Tweak]:
    """Growth by `rate` a generation, and fall."""
    key = policy.replace("-", "_")
    return tuple(metric(name, **{key: lambda k, r=r: float(np.exp(r * k))}) for r in (rate, -rate))  # type: ignore


def fits(row: dict[str, Any], convention: str) -> bool:
    """Is this the row of latents that the convention names? Analytic worlds have one."""
    latent, fed = (
        "pooled" if "mean-pooled" in convention else "flattened",
        "noised" if "noised" in convention else "clean",
    )
    return "timestep" not in row or (row["latent"] == latent and row["input"] == fed)


def degrades(convention: str, sign: int) -> Tweak:
    """What the convention names goes one way at t = 200; everything else that could be read goes the other."""

    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        if policy != "SYN":
            return
        for row in record["metrics"]["ole"]:
            for kind in ("raw", "normalised"):
                meant = (
                    fits(row, convention) and row.get("timestep", 200) == 200 and convention.startswith(kind)
                )
                row[kind] *= 1 + 0.1 * k * (sign if meant else -sign)

    return tweak


def bends(convention: str, sign: int) -> Tweak:
    """Real latents: the named curve is a valley (or a hill), every other one is the opposite."""

    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        if policy != "floor":
            return
        for row in record["metrics"]["ole"]:
            height = abs(TIMESTEPS.index(row["timestep"]) - 3) / 3  # 1 at both ends, 0 in the middle
            for kind in ("raw", "normalised"):
                valley = (fits(row, convention) and convention.startswith(kind)) == (sign > 0)
                row[kind] *= 1 + (height if valley else 1 - height)

    return tweak


def keeps(convention: str, sign: int) -> Tweak:
    """What the convention names is kept (or not); the other quota, history and number say the opposite."""
    history = "ACUR" if "ACUR's pool" in convention else "ACU-LSF"
    quota = "class" if "class quota" in convention else "global"
    name = "mean_generation" if "mean generation" in convention else "share_real"

    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        for q in ("global", "class") if k >= 2 and "choices" in record else ():
            for n, towards_real in (("share_real", 1), ("mean_generation", -1)):
                meant = (policy, q, n) == (history, quota, name)
                record["choices"][q][n] += 0.2 * towards_real * (sign if meant else -sign)

    return tweak


def starves(share: float) -> Tweak:
    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        if policy == "ACU-LSF":
            record["trained_on"]["smallest_class"] = share

    return tweak


def costs(convention: str, sign: int) -> Tweak:
    """Cached latents: only the new samples are scored, however large the pool; re-scored: all of it."""

    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        if policy == "ACU-LSF":
            record["choices"]["pool"]["n"] = 100 if sign > 0 and "re-scored" in convention else 100 * N
            record["cost"]["training_evaluations"] += 0 if sign > 0 or "re-scored" in convention else 10 * N

    return tweak


def retrained(sign: int) -> Tweak:
    """Re-trained confidence of SYN falls (or rises); the fixed probe says the opposite."""

    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        if policy == "SYN":
            record["retrained_log_odds"] = 9.0 - sign * k
            record["metrics"]["log_odds"] = 9.0 + sign * k

    return tweak


def tracks(sign: int) -> Tweak:
    """Across policies OLEn goes with the distance (or against it); over generations, and in raw OLE, the opposite."""

    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        place = policies_of("digits-weak").index(policy) if policy not in (None, "floor") else 0
        record["metrics"]["frechet"] = float(np.exp(0.3 * place + 3.0 * k))
        for row in record["metrics"]["ole"]:
            meant = fits(row, "normalised") and row.get("timestep", 200) == 200
            row["normalised"] = 0.5 + sign * (0.02 * place - 0.05 * k) * (1 if meant else -1)
            row["raw"] = 10.0 - sign * place

    return tweak


def gains(sign: int) -> Tweak:
    """The filter's choice is ever better (or worse) with the pool, for ACUR at the end; elsewhere the opposite."""

    def tweak(record: dict[str, Any], policy: str | None, k: int) -> None:
        meant = (policy, k) == ("ACUR", K)
        for row in record.get("pools", ()):
            row["top"] = float(row["n"] ** (-0.5 * (sign if meant else -sign)))

    return tweak


def swings(unsteady: str, steady: str) -> Tweak:
    """One policy's distance goes up and down; the other's is as large, and still."""
    up_and_down: Callable[[int], float] = lambda k: 3.0 if k % 2 else 1.0  # noqa: E731
    return metric("frechet", **{unsteady.replace("-", "_"): up_and_down, steady.replace("-", "_"): 3.0})


def poorer(name: str, poor: str, rich: str) -> tuple[Tweak, Tweak]:
    """The smallest class kept, or the rarest made: one policy's is small and the other's is not; and the reverse."""

    def tweak(less: str) -> Tweak:
        def change(record: dict[str, Any], policy: str | None, k: int) -> None:
            if policy in (poor, rich):
                share = 0.01 if policy == less else 0.1
                record["trained_on"]["smallest_class"] = share if name == "kept" else 0.1
                record["metrics"]["retention"][7] = 10 * share if name == "made" else 1.0

        return change

    return tweak(poor), tweak(rich)


def costs_of(convention: str) -> tuple[Tweak, Tweak]:
    """What top-N is said to cost."""
    if "class" in convention:
        return poorer("kept" if "kept" in convention else "made", "ACU-LSF", "ACUR")
    return against(convention.split(", ")[-1], "ACUR", "ACU-LSF", 0.9, 0.5)


def distance_named(convention: str) -> str:
    """The distance that a convention names, as a metric; the others stay equal."""
    space = next((f"spaces/{s}/frechet" for s in SPACES if s in convention), "frechet")
    return "kernel" if "kernel" in convention else space


def worlds_of(row: Claim) -> tuple[Tweak, Tweak]:
    """A loop in which the claim is clearly true, one in which it is clearly false."""
    c = row.convention
    rival = c.rsplit("against ", 1)[-1].replace("SIMS", "ACUR-SIMS").replace("SC", "ACUR-SC")
    rule = "ACU-" + c.rsplit(", ", 1)[-1]
    table: dict[str, Callable[[], tuple[Tweak, Tweak]]] = {
        "latent-degrades": lambda: (degrades(c, 1), degrades(c, -1)),
        "ole-u-shape": lambda: (bends(c, 1), bends(c, -1)),
        "confidence-falls": lambda: (
            (retrained(1), retrained(-1))
            if "re-trained" in c
            else (metric("log_odds", SYN=lambda k: 9.0 - k), metric("log_odds", SYN=lambda k: 1.0 + k))
        ),
        "degradation-tracks-collapse": lambda: (tracks(1), tracks(-1)),
        "bigger-pool-filters-better": lambda: (gains(1), gains(-1)),
        "sims-unstable": lambda: (swings("ACUR-SIMS", "ACUR"), swings("ACUR", "ACUR-SIMS")),
        "sc-loses-recall": lambda: against("recall", "ACUR", "ACUR-SC", 0.9, 0.5),
        "filter-keeps-real": lambda: (keeps(c, 1), keeps(c, -1)),
        "lsf-best-fid": lambda: against(distance_named(c), rival, "ACU-LSF", 2.0, 1.0),
        "rule-not-worse": lambda: (
            against("frechet", "ACUR", rule, 1.05, 1.0)[:1] + against("frechet", rule, "ACUR", 1.5, 1.0)[:1]
        ),
        "rule-beats-top-n": lambda: against("frechet", "ACU-LSF", rule, 2.0, 1.0),
        "rule-keeps-recall": lambda: (
            against("recall", rule, "ACUR", 0.7, 0.69)[:1] + against("recall", "ACUR", rule, 0.8, 0.7)[:1]
        ),
        "latent-is-better": lambda: against("frechet", f"ACU-LSF-{rival}", "ACU-LSF", 2.0, 1.0),
        "oracle-beats-random": lambda: against("frechet", "ACUR", "ORACLE", 2.0, 1.0),
        "equal-steps": lambda: (
            against("frechet", "ACUR", "ACU-EQUAL-STEPS", 2.0, 1.0)
            if rival == "ACUR"
            else against("frechet", "ACU-EQUAL-STEPS", "ACU", 2.0, 1.0)
        ),
        "top-n-costs": lambda: costs_of(c),
        "memorises": lambda: (
            against("nearest", c, "floor", 0.5, 1.0)[:1] + against("nearest", c, "floor", 1.5, 1.0)[:1]
        ),
        "lsf-fid-stable": lambda: trend("frechet", "ACU-LSF", -0.2),
        "lsf-best-precision": lambda: against(
            "accuracy" if "accuracy" in c else "precision", "ACU-LSF", rival, 0.9, 0.5
        ),
        "lsf-recall-near-acu": lambda: (
            metric("recall", ACU_LSF=0.69, ACU=0.7),
            metric("recall", ACU_LSF=0.6, ACU=0.7),
        ),
        "syn-collapses": lambda: trend("frechet", "SYN", 0.2),
        "syn-add-mitigates": lambda: against("frechet", "SYN", "SYN-ADD", 2.0, 1.0),
        "acur-near-acu": lambda: (metric("frechet", ACUR=1.1, ACU=1.0), metric("frechet", ACUR=2.0, ACU=1.0)),
        "no-extra-cost": lambda: (costs(c, 1), costs(c, -1)),
        "top-n-inflates": lambda: against("variance_ratio", "ACU-LSF", "ACUR", 1.5, 1.0),
        "top-n-narrows": lambda: against("variance_ratio", "ACUR", "ACU-LSF", 1.0, 0.5),
        "top-n-starves-classes": lambda: (starves(0.0), starves(0.1)),
        "lsf-harms": lambda: against("frechet", "ACU-LSF", "ACUR", 2.0, 1.0),
        "fine-tuning-harms": lambda: trend("frechet", "REAL", 0.2),
    }
    return table[row.id]()


EVERY_RIVAL = "lsf-best-fid [against every rival at hand]"
CELLS = [(c, w) for c in CLAIMS if c.rule in FROM_RUNS and not c.summarises for w in c.worlds]
cells = pytest.mark.parametrize(("row", "world"), CELLS, ids=[f"{c.name}-{w}" for c, w in CELLS])


@cells
def test_claim_that_is_true_holds_and_one_that_is_false_fails(
    row: Claim, world: str, rng: np.random.Generator
) -> None:
    true, false = (evidence_from_runs(row, world, synthetic(world, t, rng)) for t in worlds_of(row))
    assert (true.verdict, false.verdict) == (HOLDS, FAILS)
    assert true.seeds == (0, 1, 2, 3, 4)
    assert true.value is not None
    assert false.value is not None
    if row.rule != "equivalent":
        assert true.value > row.margin > false.value


DIFFERENCES = [(c, w) for c, w in CELLS if c.rule == "superior" and c.margin > 0]


@pytest.mark.parametrize(("row", "world"), DIFFERENCES, ids=[f"{c.name}-{w}" for c, w in DIFFERENCES])
def test_nothing_happening_shows_no_effect(row: Claim, world: str, rng: np.random.Generator) -> None:
    """Where a claim asks for a difference beyond a margin, a loop in which nothing happens is no evidence for it."""
    found = evidence_from_runs(row, world, synthetic(world, lambda *_: None, rng))
    assert found.verdict == FAILS
    assert found.value is not None
    assert abs(found.value) < row.margin


@pytest.mark.parametrize("world", LOOPS)
def test_noise_of_the_real_arm_withholds_the_verdict_on_images(world: str, rng: np.random.Generator) -> None:
    """The same lead of ACU-LSF, where the REAL control differs as much from seed to seed: digits cannot tell."""
    row = claim("lsf-best-fid [against ACUR]")
    runs = synthetic(world, worlds_of(row)[0], rng)
    for i, r in enumerate(runs):
        r.records["REAL", K]["metrics"]["frechet"] = float(np.exp(i))
    assert statistics_of(row, runs)[1] > 1
    assert evidence_from_runs(row, world, runs).verdict == (UNDECIDED if world in IMAGES else HOLDS)


def test_noise_is_in_the_units_of_the_claim(rng: np.random.Generator) -> None:
    """REAL's own growth for a claim about growth, REAL's own metric for a comparison."""
    runs = synthetic("digits-weak", lambda *_: None, rng)
    for i, r in enumerate(runs):
        r.records["REAL", 1]["metrics"]["frechet"] = 1.0
        r.records["REAL", K]["metrics"]["frechet"] = float(np.exp(0.1 * i))
    expected = between_seeds(list(0.1 * np.arange(5)))
    for name in ("syn-collapses", "syn-add-mitigates", "lsf-harms [against ACUR]"):
        assert close(statistics_of(claim(name), runs)[1], expected)
    assert (
        statistics_of(claim("fine-tuning-harms [REAL]"), runs)[1] == 0.0
    )  # its own arm is no control of itself


def test_statistics_by_hand(rng: np.random.Generator) -> None:
    (one,) = synthetic("digits-weak", lambda *_: None, rng, seeds=1)
    for place, value in {("SYN", 1): 2.0, ("SYN", K): 6.0, ("ACU-LSF", K): 3.0, ("ACUR", K): 1.5}.items():
        one.records[place]["metrics"]["frechet"] = value
    one.records[None, 0]["metrics"]["frechet"] = 1.0
    one.records["REAL", K]["metrics"]["frechet"] = 0.5
    by_hand = {
        "lsf-best-fid [against SYN]": log(6 / 3),
        "lsf-best-fid [against ACUR]": log(1.5 / 3),
        "lsf-harms [against ACUR]": log(3 / 1.5),
        "syn-collapses": log(6 / 2),
        "fine-tuning-harms [REAL]": log(0.5 / 1),
    }
    for name, D in by_hand.items():
        assert close(statistics_of(claim(name), [one])[0], [D])


def test_statistics_of_the_rivals_by_hand(rng: np.random.Generator) -> None:
    (one,) = synthetic("gaussian", lambda *_: None, rng, seeds=1)
    for k, value in enumerate((1.0, 2.0, 4.0, 8.0, 16.0), start=1):
        one.records["ACUR-SIMS", k]["metrics"]["frechet"] = value
        one.records["ACUR", k]["metrics"]["frechet"] = value**0.5
    one.records["ACU-LSF", K]["metrics"]["frechet"] = 3.0
    one.records["ACUR-SC", K]["metrics"]["frechet"] = 5.0
    rows = [{"n": 300, "random": 2.0, "top": 1.0}, {"n": 400, "random": 2.0, "top": 4.0}]
    one.records["ACUR", K]["pools"] = rows
    by_hand = {
        "sims-unstable": log(2)
        * (2.5**0.5 - 0.625**0.5),  # of 0, 1, 2, 3, 4 the s.d. is sqrt 2.5; of halves, half
        "lsf-best-fid [against SIMS]": log(16 / 3),
        "lsf-best-fid [against SC]": log(5 / 3),
        "bigger-pool-filters-better": -2 * log(2) / log(4 / 3),
    }
    for name, D in by_hand.items():
        assert close(statistics_of(claim(name), [one])[0], [D])


def test_missing_convention_is_an_error_not_another_row(rng: np.random.Generator) -> None:
    runs = synthetic("digits-weak", lambda *_: None, rng)
    for r in runs:
        r.records["SYN", 3]["metrics"]["ole"] = [
            o for o in ole_rows("digits-weak", ("clean",)) if o["timestep"] != 200
        ]
    with pytest.raises(ValueError, match="0 rows of latents have the convention"):
        statistics_of(claim("latent-degrades [raw]"), runs)


# --- tracking is of policies, not of time ---

TRACKS = "degradation-tracks-collapse [normalised]"


def test_spearman_by_hand() -> None:
    assert close(spearman([1.0, 5.0, 9.0], [2.0, 3.0, 8.0]), 1.0)
    assert close(spearman([1.0, 5.0, 9.0], [8.0, 3.0, 2.0]), -1.0)
    assert close(spearman([1.0, 1.0, 2.0], [1.0, 2.0, 3.0]), 0.75**0.5)  # ranks 1.5, 1.5, 3
    assert close(spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), 0.0)  # no order, no evidence
    assert not close(spearman([1.0, 5.0, 90.0], [2.0, 8.0, 3.0]), np.corrcoef([1, 5, 90], [2, 8, 3])[0, 1])


def test_perfect_order_is_the_largest_finite_value(rng: np.random.Generator) -> None:
    """Eight policies, five generations: the mean correlation moves in steps of 12 / (8 * 63 * 5)."""
    found = statistics_of(claim(TRACKS), synthetic("gaussian", tracks(1), rng))[0]
    assert close(found, [float(np.arctanh(1 - 6 / (8 * 63 * 5)))] * 5)


def test_control_trends_that_all_policies_share_are_no_tracking(rng: np.random.Generator) -> None:
    """OLEn and distance rise together over the generations, as they would by chance across policies; correlation over
    the generations would call it perfect."""

    def rises(record: dict[str, Any], policy: str | None, k: int) -> None:
        if policy != "floor":
            record["metrics"]["frechet"] = float(np.exp(k))
            record["metrics"]["ole"][0]["normalised"] = 0.2 + 0.1 * k

    runs = synthetic("gaussian", rises, rng, seeds=100)
    D = np.array(statistics_of(claim(TRACKS), runs)[0])
    assert abs(D.mean()) < STANDARD_ERRORS * D.std() / 10
    over_time = [
        spearman(
            [r.value("SYN", k, "frechet") for k in range(K + 1)],
            [r.of("SYN", k)["metrics"]["ole"][0]["normalised"] for k in range(K + 1)],
        )
        for r in runs
    ]
    assert close(over_time, [1.0] * 100)
    true = statistics_of(claim(TRACKS), synthetic("gaussian", tracks(1), rng, seeds=100))[0]
    assert np.mean(true) > CONTROL * D.std() / 10  # control: what does track is seen


# --- the U-shape's minimum is not chosen on the curve it is judged by ---


def curves(values: np.ndarray) -> list[Run]:
    rows = [{"input": "clean", "latent": "flattened"} | {"timestep": t} for t in TIMESTEPS]
    return [
        Run(i, {"ole": [r | {"raw": v} for r, v in zip(rows, c, strict=True)]}, {})
        for i, c in enumerate(values)
    ]


def test_minimum_comes_from_the_other_seeds() -> None:
    values = np.full((4, 7), 10.0)
    values[:, 3] = 5.0
    values[0, 5] = 1.0  # this seed's own minimum, and nobody else's
    values[1, 0] = 8.0  # a lower end
    assert close(u_shapes(curves(values), "raw, clean"), [10 / 5 - 1, 8 / 5 - 1, 1.0, 1.0])


def test_control_flat_curves_with_noise_are_no_valley(rng: np.random.Generator) -> None:
    """A minimum chosen on the very curve would always find one."""
    values = 10 + 0.5 * rng.standard_normal((200, 7))
    honest = interval(u_shapes(curves(values), "raw, clean"))
    own = np.minimum(values[:, 0], values[:, -1]) / values.min(axis=1) - 1
    assert honest.high < 0
    assert own.mean() > CONTROL * own.std() / 200**0.5 > 0
    assert honest.mean < -STANDARD_ERRORS * 0.5 / 10 / 200**0.5


# --- where help turns to harm ---


def lengths(gains: dict[int, float], accuracy: dict[int, float]) -> dict[int, list[Run]]:
    """Runs in which log distance of ACUR - of ACU-LSF is as given at every length, and generation 0's accuracy."""

    def run(seed: int, steps: int) -> Run:
        off = 0.02 * (seed - 1)
        distances = {"ACUR": float(np.exp(gains[steps] + off)), "ACU-LSF": 1.0}
        records: dict[Any, Any] = {(p, K): {"metrics": {"frechet": v}} for p, v in distances.items()}
        return Run(seed, {}, {(None, 0): {"metrics": {"accuracy": accuracy[steps]}}, **records})

    return {steps: [run(seed, steps) for seed in range(3)] for steps in gains}


def test_crossing_by_hand() -> None:
    """From .3 at 250 steps to -.1 at 1000: three quarters of the way in log steps."""
    accuracy = {60: 0.5, 250: 0.6, 1000: 0.8}
    turn = turning(lengths({1000: -0.1, 60: 0.4, 250: 0.3}, accuracy))
    assert turn.crossing is not None
    assert close(turn.crossing, 250 * 4**0.75)
    assert not close(turn.crossing, 250 + 0.75 * 750)  # control: linear in steps
    assert close(turn.accuracy, 0.75)
    assert close(turn.gains[60], [0.38, 0.4, 0.42])


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [(0.4, -0.4, HOLDS), (0.4, 0.3, FAILS), (-0.2, -0.4, FAILS), (-0.2, 0.4, FAILS), (0.01, -0.4, UNDECIDED)],
)
def test_turn_must_be_from_help_to_harm(first: float, last: float, verdict: str) -> None:
    turn = turning(lengths({60: first, 250: -0.01, 1000: last}, dict.fromkeys((60, 250, 1000), 0.7)))
    for row in (c for c in CLAIMS if c.rule == "turn"):
        found = evidence_of_turn(row, "digits-weak", turn)
        assert (found.verdict, found.interval) == (verdict, None)
        assert found.seeds == (0, 1, 2)
    assert (turn.crossing is None) == (first < 0)  # some fall through 0, if there is any


# --- seeds that share a model ---


def test_seeds_that_share_a_generation_0_model_are_marked(rng: np.random.Generator) -> None:
    row = claim("syn-collapses")
    runs = synthetic("digits-strong", worlds_of(row)[0], rng)
    assert evidence_from_runs(row, "digits-strong", runs).models == ()
    shared = [replace(r, model=r.seed % 3) for r in runs]
    assert evidence_from_runs(row, "digits-strong", shared).models == (0, 1, 2)
    own = [replace(r, model=r.seed) for r in runs]
    assert evidence_from_runs(row, "digits-strong", own).models == ()
