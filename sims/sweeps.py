"""Which sweeps are there? Each answers one question, for a map drawn by figures/.

Report seeds begin at 1000: the rules of selection were designed on seeds below. `smoke` sweeps go the whole way in
seconds and decide nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from sims.analytic import WORLDS, World
from sims.cells import Cell, Lab, Row, run_cell
from sims.distances import subspaces
from sims.exact_score import latent_curve
from sims.mechanisms import NONE, Mechanisms
from sims.seeds import stream
from sims.turn import draw_made, turn

__all__ = ["Sweep", "SWEEPS", "sweep", "SITUATIONS", "HELD_OUT", "RULES"]

FIRST = 1000
LAWS = ("laws",)


@dataclass(frozen=True)
class Sweep:
    """`cells(smoke)` are run by `run`, one task each."""

    name: str
    question: str
    cells: Callable[[bool], list[Cell]]
    run: Callable[[Any], list[Row]] = run_cell


def seeds(smoke: bool, n: int = 100) -> range:
    """The report's seeds."""
    return range(FIRST, FIRST + (3 if smoke else n))


LOW_RANK = World(dim=12, rank=2, noise=0.3, angles=75.0, fit="ppca")
FULL = World(dim=8, rank=2, noise=0.3, angles=75.0)

SITUATIONS: dict[str, tuple[World, Mechanisms]] = {
    "sound": (LOW_RANK, NONE),
    "contraction": (LOW_RANK, Mechanisms(temperature=0.85)),
    "noise floor": (FULL, Mechanisms(floor=0.15)),
    "leakage": (LOW_RANK, Mechanisms(leakage=0.1)),
    "wrong labels and noise": (LOW_RANK, Mechanisms(leakage=0.25, floor=0.15)),
    "shrinkage": (LOW_RANK, Mechanisms(shrinkage=0.2)),
    "capacity": (LOW_RANK, Mechanisms(capacity=3)),
    "rotation": (LOW_RANK, Mechanisms(rotation=4.0)),
    "rotation and contraction": (FULL, Mechanisms(rotation=4.0, temperature=0.85)),
    "outliers": (LOW_RANK, Mechanisms(outliers=0.1)),
    "few sampling steps": (replace(LOW_RANK, score_steps=60), NONE),
}
"""World and mechanism, by name: what a rule has to cope with."""
HELD_OUT = ("outliers", "few sampling steps")
"""Not used in the design of any rule."""
RULES = (
    "ACUR",
    "ACU-LSF",
    "ACU-LSF-CLASS",
    "ACU-LSF-THRESHOLD-CLASS",
    "ACU-LSF-MATCHED",
    "ACU-RATIO-CLASS",
    "ACU-RANKSUM-CLASS",
    "ACU-HERD",
    "ACU-SHRUNK",
)
"""Equal budgets, one pool: random choice first."""
LEANING = ("ACUR", "ACU-RANKSUM-CLASS", "ACU-HERD", "ACU-SHRUNK")
PAPER = ("SYN", "SYN-ADD", "ACU", "ACUR", "ACU-LSF")
OTHERS = ("SYN", "SYN-ADD", "ACU", "ACUR-SIMS", "ACUR-SC", "ORACLE")


def leakage_size(smoke: bool) -> list[Cell]:
    """Map (a): SYN, PCA refit, leakage e and n a class."""
    leaks = (0.0, 0.2) if smoke else (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
    sizes = (50, 400) if smoke else (40, 60, 100, 160, 250, 400)
    world = World(dim=64, rank=2, noise=0.6, angles=75.0, fit="pca", known_mean=True)
    return [
        Cell(
            world,
            "SYN",
            s,
            Mechanisms(leakage=e),
            n=2 * n,
            generations=2,
            trusted=66,
            measures=("alignment",),
        )
        for n, e, s in product(sizes, leaks, seeds(smoke))
    ]


def trusted_size(smoke: bool) -> list[Cell]:
    """Map (d), second part: how many trusted samples of a class the rules that lean on them need."""
    sizes = (20, 100) if smoke else (20, 40, 100, 400)
    return [
        Cell(
            *SITUATIONS[name][:1],
            policy,
            s,
            SITUATIONS[name][1],
            generations=2 if smoke else 6,
            trusted=m,
            measures=LAWS,
        )
        for name, m, policy, s in product(("sound", "contraction"), sizes, LEANING, seeds(smoke, 50))
    ]


PLANES = World(dim=4, rank=2, noise=0.02, fit="ppca", known_mean=True)
KEPT = (0.1, 0.2, 0.35, 0.5, 0.7)
CONTRACTIONS = (0.3, 0.5, 0.7, 0.85, 1.0)


def contraction_kept(smoke: bool) -> list[Cell]:
    """Map (b): contraction of the variance and kept share of the pool, top-N against random choice."""
    shares, lams = (KEPT[1::2], CONTRACTIONS[1::3]) if smoke else (KEPT, CONTRACTIONS)
    K = 2 if smoke else 15
    return [
        Cell(PLANES, policy, s, Mechanisms(temperature=lam), n=400, generations=K, kept=q, measures=LAWS)
        for q, lam, policy, s in product(shares, lams, ("ACUR-CLASS", "ACU-LSF-CLASS"), seeds(smoke, 40))
    ]


def runaway(smoke: bool) -> list[Cell]:
    """Map (c): top-N at a fixed budget, where the generator multiplies the variance by lam."""
    lams = (0.8,) if smoke else (0.4, 0.6, 0.8, 1.0)
    return [
        Cell(
            PLANES,
            "ACU-LSF-CLASS",
            s,
            Mechanisms(temperature=lam),
            n=1000,
            generations=3 if smoke else 10,
            measures=LAWS,
        )
        for lam, s in product(lams, seeds(smoke))
    ]


def measured(policy: str) -> tuple[str, ...]:
    """A probe is re-trained (map f) for the policies of the paper only."""
    return ("laws", "samples") + (("retrained",) if policy in PAPER else ())


def mechanisms(smoke: bool) -> list[Cell]:
    """Maps (d) and (f): every rule and policy in every situation."""
    names = ("sound", "contraction") if smoke else tuple(SITUATIONS)
    return [
        Cell(world, policy, s, mechanism, generations=2 if smoke else 6, measures=measured(policy))
        for name, policy, s in product(names, (*RULES, *OTHERS), seeds(smoke))
        for world, mechanism in [SITUATIONS[name]]
    ]


def rules_again(smoke: bool) -> list[Cell]:
    """Map (d) once more for the rules alone, on a hundred seeds from 2000 on."""
    again = range(FIRST + 1000, FIRST + 1000 + (3 if smoke else 100))
    names = ("sound", "contraction") if smoke else tuple(SITUATIONS)
    return [
        Cell(world, policy, s, mechanism, generations=2 if smoke else 6, measures=LAWS)
        for name, policy, s in product(names, RULES, again)
        for world, mechanism in [SITUATIONS[name]]
    ]


def minority(smoke: bool) -> list[Cell]:
    """Map (e): a minority mode of 10% in every class, nearer to the other class."""
    return [
        Cell(WORLDS["minority"], policy, s, generations=2 if smoke else 6)
        for policy, s in product((*RULES, "ORACLE"), seeds(smoke))
    ]


TIMESTEPS = (5, 20, 50, 80, 120, 160, 220, 300, 400, 500, 650, 800)


def timesteps(smoke: bool) -> list[Cell]:
    """Map (g): the exact-score world under SYN, mechanism by mechanism."""
    world = World(dim=32, rank=4, noise=0.1, fit="ppca", known_mean=True, score_steps=1000, timestep=100)
    kinds = [NONE, Mechanisms(floor=0.1), Mechanisms(temperature=0.8), Mechanisms(leakage=0.1)]
    return [
        Cell(world, "SYN", s, kind, generations=2 if smoke else 5)
        for kind, s in product(kinds[:2] if smoke else kinds, seeds(smoke))
    ]


def run_timesteps(cell: Cell) -> list[Row]:
    """One row a generation, timestep and input (clean or noised): separation in the latents of the generation-0 model.

    Generation -1 is real data that no model has seen.
    """
    if cell.policy != "SYN":
        raise ValueError(f"policy must be SYN, which the curves are drawn for, found {cell.policy!r}")
    lab = Lab(cell)
    model = lab.generator.fit(lab.real, stream(cell.seed, "train", 0))
    frozen, frames = model.fitted, subspaces(lab.truth.moments()[1], cell.world.rank)
    history = [lab.real, draw_made(model, lab.truth.classes, cell.n, cell.seed, 0)]
    policy = lab.policy(cell.policy)
    shown = [(-1, lab.fresh(cell.n, stream(cell.seed, "unseen"))), (0, history[-1])]
    for k in range(1, cell.generations + 1):
        _, model, made = turn(policy, lab.generator, history, model, cell.n, cell.seed, k)
        history.append(made)
        shown.append((k, made))
    return [
        {"generation": k, "input": "noised" if noised else "clean", **row}
        for k, pool in shown
        for noised in (False, True)
        for row in latent_curve(frozen, pool.x, pool.y, frames, TIMESTEPS, noised)
    ]


SWEEPS = {
    s.name: s
    for s in (
        Sweep("leakage-size", "At which leakage do classes turn together, by sample size?", leakage_size),
        Sweep(
            "contraction-kept",
            "Where does top-N beat random choice, and where is it worse?",
            contraction_kept,
        ),
        Sweep("runaway", "How fast does top-N inflate the classes?", runaway),
        Sweep("mechanisms", "Which rule and policy copes with which mechanism?", mechanisms),
        Sweep("trusted-size", "How many trusted samples does a rule need?", trusted_size),
        Sweep("rules-again", "Do the ranks of the rules hold on fresh seeds?", rules_again),
        Sweep("minority", "What does each rule leave of a minority mode?", minority),
        Sweep("timesteps", "What becomes of the U-shape as generations pass?", timesteps, run_timesteps),
    )
}


def sweep(name: str) -> Sweep:
    """The sweep of that name; raises ValueError on an unknown one, and lists those there are."""
    if name not in SWEEPS:
        raise ValueError(f"sweep must be one of {', '.join(SWEEPS)}, found {name!r}")
    return SWEEPS[name]


def situation_of(cells: Sequence[Cell]) -> list[str]:
    """The name in SITUATIONS of each cell's world and mechanism ("" if it has none)."""
    names = {pair: name for name, pair in SITUATIONS.items()}
    return [names.get((cell.world, cell.mechanisms), "") for cell in cells]
