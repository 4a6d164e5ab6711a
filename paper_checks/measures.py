"""Which number does a claim stand on? The statistic D of every claim about loops, computed from records alone.

`statistics_of(claim, runs)` gives one D a seed and the noise of the REAL arm; K is the last generation of a run.
Metrics are named as in the records ("spaces/SPACE/METRIC" in another feature space); "log METRIC" is a logarithm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np
from scipy import stats

from paper_checks.image_claims import CORRECTED, SPACES
from paper_checks.register import Claim
from sims.record import RunFolder, model_seed

__all__ = ["Run", "statistics_of", "turning", "Turn"]


@dataclass(frozen=True)
class Run:
    """The records of one seed, by policy and generation; `model` is the seed of the generation-0 model it starts from
    (None: its own). Seeds that share a model are no replicates of it."""

    seed: int
    floor: dict[str, Any]
    records: dict[tuple[str | None, int], dict[str, Any]]
    model: int | None = None

    @classmethod
    def read(cls, folder: RunFolder) -> "Run":
        """All records of a run folder."""
        records = {(r["policy"], r["generation"]): r for r in folder.records()}
        return cls(folder.settings["seed"], folder.floor, records, model_seed(folder.settings))

    @property
    def last(self) -> int:
        """K."""
        return max(k for _, k in self.records)

    def of(self, policy: str, generation: int) -> dict[str, Any]:
        """One record; generation 0 is shared by the policies."""
        return self.records[(None if generation == 0 else policy, generation)]

    def value(self, policy: str, generation: int, metric: str) -> float:
        """A metric; "log frechet" is the logarithm of the Frechet distance, "spaces/S/frechet" that in the space S."""
        name = metric.removeprefix("log ")
        value = self.of(policy, generation)["metrics"]
        for key in name.split("/"):
            value = value[key]
        return log(value) if metric != name else value


def slope(y: Sequence[float]) -> float:
    """Least-squares slope of y over 0, 1, 2, ..."""
    return float(np.polyfit(np.arange(len(y)), y, 1)[0])


def ole_at(rows: list[dict[str, Any]], kind: str, **convention: Any) -> float:
    """OLE ("raw" or "normalised") of the row with that convention; analytic worlds have one row."""
    found = [r for r in rows if len(rows) == 1 or all(r[k] == v for k, v in convention.items())]
    if len(found) != 1:
        raise ValueError(f"{len(found)} rows of latents have the convention {convention}")
    return float(found[0][kind])


def words(convention: str) -> dict[str, str]:
    """Latent and input named in a convention such as "raw, noised, mean-pooled"."""
    return {
        "kind": "normalised" if "normalised" in convention else "raw",
        "latent": "pooled" if "mean-pooled" in convention else "flattened",
        "input": "noised" if "noised" in convention else "clean",
    }


def degradation(run: Run, policy: str, convention: str, timestep: int = 200) -> float:
    """Slope over k = 0..K of OLE_k / OLE_real."""
    at = words(convention) | {"timestep": timestep}
    real = ole_at(run.floor["ole"], **at)  # type: ignore[arg-type]
    values = [ole_at(run.of(policy, k)["metrics"]["ole"], **at) for k in range(run.last + 1)]  # type: ignore[arg-type]
    return slope([v / real for v in values])


def confidence_fall(run: Run, policy: str, convention: str = "fixed") -> float:
    """Mean log-odds of generation 1 minus that of generation K, by the fixed probe or by re-trained ones."""
    first, last = (run.of(policy, k) for k in (1, run.last))
    if "re-trained" in convention:
        return first["retrained_log_odds"] - last["retrained_log_odds"]
    return first["metrics"]["log_odds"] - last["metrics"]["log_odds"]


def tracking(run: Run, convention: str, timestep: int = 200) -> float:
    """Fisher's z of the mean over k = 1..K of Spearman's correlation, across policies, of OLE_k and log distance.

    Ranks within a generation are those of the changes since generation 0, which the policies share. Equal values share
    their rank; a generation in which all are equal shows no order, and counts 0. A perfect 1 stands for half the step
    of the mean below 1, 6 / (P (P^2 - 1) K) for P policies.
    """
    at = words(convention) | {"timestep": timestep}
    policies = sorted({p for p, k in run.records if p is not None})
    found = []
    for k in range(1, run.last + 1):
        ole = [ole_at(run.of(p, k)["metrics"]["ole"], **at) for p in policies]  # type: ignore[arg-type]
        found.append(spearman(ole, [run.value(p, k, "log frechet") for p in policies]))
    P = len(policies)
    limit = 1 - 6 / (P * (P**2 - 1) * run.last)
    return float(np.arctanh(np.clip(np.mean(found), -limit, limit)))


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Correlation of the ranks of `a` and `b`, equal values sharing theirs; 0 where all of one are equal."""
    u, v = (stats.rankdata(x) - (len(x) + 1) / 2 for x in (a, b))
    size = sqrt(float(u @ u) * float(v @ v))
    return float(u @ v) / size if size else 0.0


def spread(run: Run, policy: str) -> float:
    """Standard deviation over k = 1..K of the log distance."""
    return float(np.std([run.value(policy, k, "log frechet") for k in range(1, run.last + 1)], ddof=1))


def gain_by_pool(run: Run) -> float:
    """Slope, in log pool size, of log distance after a random choice minus after the filter's."""
    rows = run.of("ACUR", run.last)["pools"]
    gains = [log(row["random"]) - log(row["top"]) for row in rows]
    return float(np.polyfit([log(row["n"]) for row in rows], gains, 1)[0])


def growth(run: Run, policy: str, first: int = 1) -> float:
    """Log distance of generation K minus that of generation `first`."""
    return run.value(policy, run.last, "log frechet") - run.value(policy, first, "log frechet")


def lead(metric: str, winner: str, other: str) -> Callable[[Run], float]:
    """At generation K: the metric of `winner` minus that of `other`."""
    return lambda run: run.value(winner, run.last, metric) - run.value(other, run.last, metric)


def kept_real(run: Run, history: str, quota: str, name: str = "share_real") -> float:
    """What the N most confident hold beyond the pool, same pools, mean over generations 2..K."""
    choices = [run.of(history, k)["choices"] for k in range(2, run.last + 1)]
    return float(np.mean([c[quota][name] - c["pool"][name] for c in choices]))


def starved(run: Run) -> float:
    """Half the fair share minus the share of the smallest class kept, mean over generations 2..K."""
    fair = 1 / len(run.floor["retention"])
    return float(
        np.mean(
            [fair / 2 - run.of("ACU-LSF", k)["trained_on"]["smallest_class"] for k in range(2, run.last + 1)]
        )
    )


def smallest_kept(run: Run) -> float:
    """Share of the smallest class ACUR is trained on minus ACU-LSF's, mean over generations 2..K."""

    def share(policy: str, k: int) -> float:
        return float(run.of(policy, k)["trained_on"]["smallest_class"])

    return float(np.mean([share("ACUR", k) - share("ACU-LSF", k) for k in range(2, run.last + 1)]))


def rarest(run: Run, policy: str) -> float:
    """The least share of a class among what is made at generation K, in units of its real share."""
    return float(min(run.of(policy, run.last)["metrics"]["retention"]))


def memorised(run: Run, policy: str) -> float:
    """- log of the mean distance to the nearest training image over that of unseen real images, at generation K."""
    return -run.value(policy, run.last, "log nearest")


def stability(run: Run, policy: str) -> float:
    """ln 1.1 minus the slope of log distance over k = 1..K."""
    return log(1.1) - slope([run.value(policy, k, "log frechet") for k in range(1, run.last + 1)])


def cost_margin(run: Run, convention: str) -> float:
    """1.10 minus network evaluations of ACU-LSF over those of ACUR at generation K: training, sampling, scoring.

    Cached latents: only the last generation's samples are new to the filter; re-scored: the whole pool is.
    """

    def spent(policy: str) -> float:
        cost = run.of(policy, run.last)["cost"]
        return cost["training_evaluations"] + cost["sampling_evaluations"]

    pool = run.of("ACU-LSF", run.last)["choices"]["pool"]["n"]
    scored = run.of("ACU-LSF", run.last)["trained_on"]["n"] if "cached" in convention else pool
    return 1.10 - (spent("ACU-LSF") + scored) / spent("ACUR")


def u_shapes(runs: Sequence[Run], convention: str) -> list[float]:
    """min(OLE at both ends) / OLE(t*) - 1 of real latents, t* the minimum of the mean over the OTHER seeds."""
    at = words(convention)
    curves = np.array(
        [
            [
                r[at["kind"]]
                for r in run.floor["ole"]
                if r["input"] == at["input"] and r["latent"] == at["latent"]
            ]
            for run in runs
        ]
    )
    return u_depths(curves)


def u_depths(curves: np.ndarray) -> list[float]:
    """D of curves (seeds, timesteps), each against the t* of the others."""
    D = []
    for i, curve in enumerate(curves):
        best = int(np.argmin(np.delete(curves, i, axis=0).mean(axis=0)))
        D.append(float(min(curve[0], curve[-1]) / curve[best] - 1))
    return D


def rival_of(convention: str) -> str:
    """The policy after "against"; score extrapolation and self-correction work on ACUR's pool."""
    rival = convention.rsplit("against ", 1)[-1]
    return f"ACUR-{rival}" if rival in ("SIMS", "SC") else rival


def distance_of(convention: str) -> str:
    """The distance that a convention names: of another feature space, the kernel distance, or the project's own."""
    for space in SPACES:
        if space in convention:
            return f"log spaces/{space}/frechet"
    return "kernel" if "kernel distance" in convention else "log frechet"


def metric_lead(claim: Claim) -> tuple[str, Callable[[Run], float]] | None:
    """For claims that compare two policies at generation K: the metric, and D as a function of a run."""
    found = paper_lead(claim) or rule_lead(claim)
    if found is None:
        return None
    metric, winner, other = found
    return metric, lead(metric, winner, other)


def paper_lead(claim: Claim) -> tuple[str, str, str] | None:
    """Metric, policy and policy such that D is the difference: claims about the paper's policies."""
    rival = rival_of(claim.convention)
    accuracy = "accuracy" if "accuracy" in claim.convention else "precision"
    table = {
        "lsf-best-fid": (distance_of(claim.convention), rival, "ACU-LSF"),
        "lsf-harms": ("log frechet", "ACU-LSF", "ACUR"),
        "lsf-best-precision": (accuracy, "ACU-LSF", rival),
        "lsf-recall-near-acu": ("recall", "ACU-LSF", "ACU"),
        "syn-add-mitigates": ("log frechet", "SYN", "SYN-ADD"),
        "acur-near-acu": ("log frechet", "ACUR", "ACU"),
        "sc-loses-recall": ("recall", "ACUR", "ACUR-SC"),
        "top-n-inflates": ("log variance_ratio", "ACU-LSF", "ACUR"),
        "top-n-narrows": ("log variance_ratio", "ACUR", "ACU-LSF"),
    }
    return table.get(claim.id)


def rule_lead(claim: Claim) -> tuple[str, str, str] | None:
    """... claims of ours about other rules, other latents and other budgets, and about the cost of top-N."""
    rule = next((f"ACU-{R}" for R in ("LSF", *CORRECTED) if claim.convention.split(", ")[-1] == R), "")
    table = {
        "rule-not-worse": ("log frechet", "ACUR", rule),
        "rule-beats-top-n": ("log frechet", "ACU-LSF", rule),
        "rule-keeps-recall": ("recall", rule, "ACUR"),
        "latent-is-better": ("log frechet", f"ACU-LSF-{rival_of(claim.convention)}", "ACU-LSF"),
        "oracle-beats-random": ("log frechet", "ACUR", "ORACLE"),
        "equal-steps": {
            "against ACU": ("log frechet", "ACU-EQUAL-STEPS", "ACU"),
            "against ACUR": ("log frechet", "ACUR", "ACU-EQUAL-STEPS"),
        }.get(claim.convention),
        "top-n-costs": {name: (name, "ACUR", "ACU-LSF") for name in ("recall", "coverage")}.get(
            claim.convention.split(", ")[-1]
        ),
    }
    return table.get(claim.id)


def arm_statistic(claim: Claim) -> tuple[str, Callable[[Run, str], float]] | None:
    """For claims about one policy over the generations: that policy, and D as a function of a run and an arm."""
    table: dict[str, tuple[str, Callable[[Run, str], float]]] = {
        "latent-degrades": ("SYN", lambda run, arm: degradation(run, arm, claim.convention)),
        "confidence-falls": ("SYN", lambda run, arm: confidence_fall(run, arm, claim.convention)),
        "syn-collapses": ("SYN", growth),
        "lsf-fid-stable": ("ACU-LSF", stability),
        "fine-tuning-harms": ("REAL", lambda run, arm: growth(run, arm, first=0)),
        "memorises": (claim.convention, memorised),
    }
    return table.get(claim.id)


def between_seeds(values: Sequence[float]) -> float:
    """S.d. of the difference of two seeds: sqrt 2 times the s.d. over seeds (infinite for one seed)."""
    return sqrt(2) * float(np.std(values, ddof=1)) if len(values) > 1 else np.inf


def statistics_of(claim: Claim, runs: Sequence[Run]) -> tuple[list[float], float]:
    """D for each run, and the noise of the REAL arm in units of D (0 where the arm has no such statistic)."""
    if (pair := metric_lead(claim)) is not None:
        metric, D = pair
        noise = between_seeds([run.value("REAL", run.last, metric) for run in runs])
        return [D(run) for run in runs], noise
    if claim.name == "top-n-costs [rarest class made]":
        noise = between_seeds([rarest(run, "REAL") for run in runs])
        return [rarest(run, "ACUR") - rarest(run, "ACU-LSF") for run in runs], noise
    if (single := arm_statistic(claim)) is not None:
        arm, statistic = single
        noise = between_seeds([statistic(run, "REAL") for run in runs]) if arm != "REAL" else 0.0
        return [statistic(run, arm) for run in runs], noise
    if claim.id == "ole-u-shape":
        return u_shapes(runs, claim.convention), 0.0
    if claim.id == "filter-keeps-real":
        return [keeps_real(run, claim.convention) for run in runs], 0.0
    others: dict[str, Callable[[Run], float]] = {
        "top-n-starves-classes": starved,
        "top-n-costs": smallest_kept,
        "no-extra-cost": lambda run: cost_margin(run, claim.convention),
        "degradation-tracks-collapse": lambda run: tracking(run, claim.convention),
        "sims-unstable": lambda run: spread(run, "ACUR-SIMS") - spread(run, "ACUR"),
        "bigger-pool-filters-better": gain_by_pool,
    }
    return [others[claim.id](run) for run in runs], 0.0


def keeps_real(run: Run, convention: str) -> float:
    """D of a row of filter-keeps-real."""
    history = "ACUR" if "ACUR's pool" in convention else "ACU-LSF"
    quota = "class" if "class quota" in convention else "global"
    if convention.startswith("mean generation"):
        return -kept_real(run, history, quota, "mean_generation")
    return kept_real(run, history, quota)


@dataclass(frozen=True)
class Turn:
    """Where does a gain turn to harm? `gains`: D by seed at each generation-0 length; `crossing`: the length at which
    the mean of D first falls through 0 and `accuracy`, generation 0's label accuracy there (None: it does not)."""

    gains: dict[int, list[float]]
    crossing: float | None
    accuracy: float | None


def turning(by_length: dict[int, Sequence[Run]]) -> Turn:
    """D = log distance(ACUR) - log distance(ACU-LSF) by generation-0 steps; between lengths, linear in log steps."""
    steps = sorted(by_length)
    gains = {n: [lead("log frechet", "ACUR", "ACU-LSF")(run) for run in by_length[n]] for n in steps}
    accuracy = [float(np.mean([run.value("", 0, "accuracy") for run in by_length[n]])) for n in steps]
    D = [float(np.mean(gains[n])) for n in steps]
    for i in range(len(steps) - 1):
        if D[i] > 0 >= D[i + 1]:
            u = D[i] / (D[i] - D[i + 1])
            crossing = float(np.exp((1 - u) * log(steps[i]) + u * log(steps[i + 1])))
            return Turn(gains, crossing, (1 - u) * accuracy[i] + u * accuracy[i + 1])
    return Turn(gains, None, None)
