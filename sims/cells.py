"""What happens in one analytic world, under one mechanism, one policy and one seed?

A cell is a row of settings that decides every number; `run_cell` gives one flat row a generation, the lines of a tidy
table. Seeds are paired: worlds, real data and the streams of each generation are the same under every policy.

Filters are fitted once, on `trusted` real samples that never enter the pool, the same for every rule. They see latents
and labels, never provenance. `retrained`: a second probe is fitted to each generation's training pool.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from lsf.checks import whole
from lsf.encoders import EnergyFeatures
from lsf.filter import LatentSpaceFilter
from lsf.ole import nuclear_norms
from lsf.pool import Pool
from lsf.rules import Top
from sims.analytic import ClassFit, Model, World
from sims.curation import Acu, AcuFilter, Acur, Oracle, Policy, Real, Syn, SynAdd, composition
from sims.distances import aligned_cosine, law_measures
from sims.exact_score import PosteriorMean
from sims.filters import RULES, TRUSTING, Kit, fitted
from sims.instruments import log_odds
from sims.mechanisms import NONE, Mechanisms
from sims.rivals import ScoreExtrapolation, SelfCorrection
from sims.seeds import stream
from sims.statistics import EXACT_MEASURES, EXACT_POLICIES, run_statistics
from sims.turn import draw_made, equal_labels, turn

__all__ = ["Cell", "Lab", "run_cell", "POLICIES"]

Row = dict[str, Any]
ENGINES = ("sampling", "law-exact")
HYPERGEOMETRIC, COUNTED = (
    10**9 - 1,
    10**15,
)  # numpy's limit; counts that float64 holds exactly, generations together

PLAIN = ("REAL", "SYN", "SYN-ADD", "ACU", "ACUR", "ACUR-SIMS", "ACUR-SC", "ORACLE")
POLICIES = (*PLAIN, *RULES, *TRUSTING)
"""Every policy of the analytic worlds."""


@dataclass(frozen=True)
class Cell:
    """One loop: `n` real samples at the start, and as many made and kept a generation (classes in equal shares), for
    `generations` after generation 0; with `kept`, that share of the pool is kept in place of n.

    `measures`: "laws" (distances, energies and angles, in closed form), "samples" (OLE, fixed-probe confidence, modes),
    "alignment" (signed cosine of the fitted subspaces), "retrained". `engine`: "sampling" draws every point,
    "law-exact" their sufficient statistics, where the policy looks at no single one (sims.statistics).

    Raises ValueError, naming the setting, before anything runs.
    """

    world: World
    policy: str
    seed: int
    mechanisms: Mechanisms = NONE
    n: int = 400
    generations: int = 10
    trusted: int = 100
    kept: float | None = None
    measures: tuple[str, ...] = ("laws", "samples")
    engine: str = "sampling"

    def __post_init__(self) -> None:
        for name, kind in (("world", World), ("mechanisms", Mechanisms)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be a {kind.__name__}, found {getattr(self, name)!r}")
        if self.policy not in POLICIES:
            raise ValueError(f"policy must be one of {', '.join(POLICIES)}, found {self.policy!r}")
        for name in self.measures:
            if name not in MEASURES:
                raise ValueError(f"measures must be of {', '.join(MEASURES)}, found {name!r}")
        if self.engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, found {self.engine!r}")
        if self.engine == "law-exact":
            self._check_exact()
        if whole("seed", self.seed) < 0:
            raise ValueError(f"seed must be 0 or more, found {self.seed}")
        if whole("generations", self.generations) < 0:
            raise ValueError(f"generations must be 0 or more, found {self.generations}")
        C, least = self.world.classes, self.world.least
        if whole("n", self.n) // C < least:
            raise ValueError(f"n must be at least {C * least}: {least} samples of each class, found {self.n}")
        enough = max(
            10, 2 * self.world.rank
        )  # a fifth is held out by some rules, the rest spans the subspace
        if whole("trusted", self.trusted) < enough:
            raise ValueError(f"trusted must be at least {enough}, found {self.trusted}")
        if self.kept is not None and not (0 < self.kept <= 1 and self.kept * 2 * self.n >= C * least):
            raise ValueError(f"kept must be a share in (0, 1] that a fit can live on, found {self.kept}")
        self._check_policy(C, least)

    def _check_policy(self, C: int, least: int) -> None:
        """What a policy, a mechanism or a measure cannot do in this world."""
        if self.kept is not None and self.policy in ("REAL", "SYN", "SYN-ADD", "ACU", "ORACLE"):
            raise ValueError(
                f"kept must be None with {self.policy}, which does not choose from the whole pool"
            )
        if self.policy == "SYN-ADD" and round(0.7 * self.n) // C < least:
            raise ValueError(f"n is too small for SYN-ADD, found {self.n}")
        if self.policy == "ACUR-SIMS" and self.world.minority:
            raise ValueError(
                "ACUR-SIMS needs minority 0: the extrapolated score of a mixture is no mixture's"
            )
        if C < 2 and self.policy in (*RULES, *TRUSTING) and self.policy not in ("ACU-SHRUNK", "ACU-RATIO"):
            raise ValueError(f"policy {self.policy} needs two classes: its probe tells them apart")
        m, d = self.mechanisms, self.world.dim
        if m.capacity is not None and m.capacity > d:
            raise ValueError(f"capacity must be at most dim = {d}, found {m.capacity}")
        if m.rotation and d < 2:
            raise ValueError(f"rotation needs dim >= 2, found {m.rotation} in one dimension")
        if C < 2 and self.mechanisms.leakage:
            raise ValueError(f"leakage needs two classes, found {self.mechanisms.leakage} in a world of one")
        if C < 2 and "retrained" in self.measures:
            raise ValueError("measures: 'retrained' needs two classes, which its probe tells apart")

    def _check_exact(self) -> None:
        """What the law-exact engine has no statistics for is refused."""
        if self.policy not in EXACT_POLICIES:
            allowed = ", ".join(EXACT_POLICIES)
            raise ValueError(f"engine 'law-exact' runs the policies {allowed}, found {self.policy!r}")
        if self.world.minority or self.world.shape != "normal":
            raise ValueError("engine 'law-exact' needs one normal mode a class: minority 0, shape 'normal'")
        if self.n > (HYPERGEOMETRIC if self.policy == "SYN-ADD" else COUNTED):
            raise ValueError(f"n is more than the law-exact engine can count, found {self.n}")
        if not set(self.measures) <= set(EXACT_MEASURES) or self.kept is not None:
            raise ValueError(
                f"engine 'law-exact' has the measures {', '.join(EXACT_MEASURES)} and no `kept`, found "
                f"measures={self.measures}, kept={self.kept}"
            )


def run_cell(cell: Cell) -> list[Row]:
    """One row a generation, 0 to the last."""
    if cell.engine == "law-exact":
        return run_statistics(cell)
    lab = Lab(cell)
    model = lab.generator.fit(lab.real, stream(cell.seed, "train", 0))
    lab.start(model)
    history = [lab.real, draw_made(model, lab.truth.classes, cell.n, cell.seed, 0)]
    rows = [lab.measure(0, lab.real, model, history[-1])]
    policy, generator = lab.policy(cell.policy), lab.generator_of(cell.policy)
    for k in range(1, cell.generations + 1):
        keep = None if cell.kept is None else round(cell.kept * sum(map(len, history)))
        pool, model, made = turn(policy, generator, history, model, cell.n, cell.seed, k, keep)
        history.append(made)
        rows.append(lab.measure(k, pool, model, made))
    return rows


class Lab:
    """What the generations of a cell share: truth, real data, generator, filters and instruments."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.world = cell, cell.world
        self.truth = cell.world.truth(cell.seed)
        self.real = self.fresh(cell.n, stream(cell.seed, "real"))
        labels = np.repeat(self.truth.classes, cell.trusted)
        self.trusted = Pool(self.truth.sample(labels, stream(cell.seed, "trusted")), labels, 0)
        d = self.world.dim
        planes = np.linalg.qr(stream(cell.seed, "planes").standard_normal((d, d)))[0]
        self.generator = ClassFit(self.world, self.truth, cell.mechanisms, planes)
        self.generation0: Model | None = None

    def fresh(self, n: int, rng: np.random.Generator) -> Pool:
        """n new real samples, classes in equal shares."""
        labels = equal_labels(self.truth.classes, n)
        return Pool(self.truth.sample(labels, rng), labels, 0)

    def start(self, model: Model) -> None:
        """The generation-0 model, whose latents the filters see where the world has a timestep."""
        self.generation0 = model

    @cached_property
    def latents(self) -> Any:
        """Coordinates, or the posterior mean at the world's timestep."""
        if self.world.timestep is None:
            return None
        assert self.generation0 is not None
        return PosteriorMean(self.generation0.fitted, self.world.timestep)

    @cached_property
    def probed(self) -> Any:
        """Latents as a linear probe needs them: class energies, with the coordinates where class means differ."""
        energies: Any = EnergyFeatures(rank=self.world.rank)
        if self.world.separation:
            energies = FeatureUnion([("x", FunctionTransformer()), ("energies", energies)])
        return energies if self.latents is None else Pipeline([("h", self.latents), ("probed", energies)])

    @cached_property
    def kit(self) -> Kit:
        """What filters are made from; all of them are fitted on the trusted data."""
        return Kit(None, self.trusted, self.trusted, self.probed, self.latents, self.probed)

    @cached_property
    def instrument(self) -> LatentSpaceFilter | None:
        """The fixed probe that confidence is read with; none for a single class."""
        if self.world.classes < 2:
            return None
        return self.kit.probe_filter(Top()).fit(self.trusted.x, self.trusted.y)

    def policy(self, name: str) -> Policy:
        """The policy of that name; filters are fitted on the trusted data."""
        if name in (*RULES, *TRUSTING):
            return AcuFilter(fitted(name, self.kit))
        plain: dict[str, Policy] = {
            "REAL": Real(self.fresh),
            "SYN": Syn(),
            "SYN-ADD": SynAdd(source=self.fresh),
            "ACU": Acu(),
            "ACUR": Acur(),
            "ACUR-SIMS": Acur(),
            "ACUR-SC": SelfCorrection(Acur(), self.trusted),
            "ORACLE": Oracle(),
        }
        return plain[name]

    def generator_of(self, name: str) -> Any:
        """The generator that the policy of that name trains."""
        return ScoreExtrapolation(self.generator) if name == "ACUR-SIMS" else self.generator

    def measure(self, k: int, pool: Pool, model: Model, made: Pool) -> Row:
        """The row of generation k: what it was trained on, what its laws say, what its samples say."""
        row: Row = {"generation": k, **composition(pool, self.truth.classes)}
        for name in self.cell.measures:
            row |= MEASURES[name](self, pool, model, made)
        return row

    def law_measures(self, model: Model) -> Row:
        """Distances, energies, angles: sims.distances."""
        return law_measures(model.law, self.truth, self.world.rank)

    def alignment(self, model: Model) -> Row:
        """The signed cosine between the fitted subspaces."""
        return {"aligned_cosine": aligned_cosine(model.fitted, self.truth, self.world.rank)}

    def sample_measures(self, made: Pool) -> dict[str, float]:
        """OLE, fixed-probe confidence, and the shares of the true modes among the samples."""
        h = made.x if self.latents is None else self.latents.fit(made.x).transform(made.x)
        by_class, whole_norm = nuclear_norms(h, made.y)
        found = {
            "ole": float(by_class.sum() - whole_norm),
            "ole_normalised": float(1 - whole_norm / by_class.sum()),
            **(self.retention(made) if self.world.minority else {}),
        }
        if self.instrument is None:
            return found
        scores = self.instrument.score_samples(made.x, made.y)
        return found | {
            "log_odds": float(log_odds(scores).mean()),
            "confidence": float(np.exp(scores).mean()),
        }

    def retention(self, made: Pool) -> Row:
        """Share of each true mode among the samples, by Bayes' rule, over its share among real ones: the smallest, and
        that of the minority modes together."""
        kept = self.shown(made.x) / self.fair
        odd = (
            np.arange(len(kept)) % 2 == 1
        )  # (class 0, majority), (class 0, minority), (class 1, majority), ...
        return {"least_mode": kept.min(), "minority": (kept * self.fair)[odd].sum() / self.fair[odd].sum()}

    def shown(self, x: np.ndarray) -> np.ndarray:
        """Shares (C J,) of the modes."""
        return np.bincount(self.truth.modes(x), minlength=self.truth.weights.size) / len(x)

    @cached_property
    def fair(self) -> np.ndarray:
        """`shown` of real data in expectation: Bayes' rule takes modes that overlap for one another.

        So a mode that is gone does not read 0 but what its neighbours are taken for: .2 in the named world.
        """
        fair = self.shown(self.fresh(20_000, stream(self.cell.seed, "fair")).x)
        if not fair.all():
            raise ValueError("minority and shift make a mode that Bayes' rule never tells from the others")
        return fair

    def retrained(self, pool: Pool, made: Pool) -> Row:
        """Mean log-odds of the samples' own labels by a probe fitted to this generation's training pool; NaN where a
        filter has starved a class of the samples that the probe's features need."""
        counts = [np.sum(pool.y == c) for c in self.truth.classes]
        if min(counts) < max(2, self.world.rank):
            return {"retrained_log_odds": float("nan")}
        own = self.kit.probe_filter(Top()).fit(pool.x, pool.y)
        return {"retrained_log_odds": float(log_odds(own.score_samples(made.x, made.y)).mean())}


MEASURES: dict[str, Callable[[Lab, Pool, Model, Pool], Row]] = {
    "laws": lambda lab, pool, model, made: lab.law_measures(model),
    "samples": lambda lab, pool, model, made: lab.sample_measures(made),
    "alignment": lambda lab, pool, model, made: lab.alignment(model),
    "retrained": lambda lab, pool, model, made: lab.retrained(pool, made),
}
"""Groups of measures, by name."""
