"""Which experiments are there? One row each.

`digits-weak` and `digits-strong` differ in how good generation 0 is, which decides what the filter does; `gaussian`
and `low-rank` are analytic; the `-smoke` rows go the whole way in seconds and prove nothing; the `-paper` rows
need a GPU.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sims.curation import POLICIES, RIVALS
from sims.diffusion import Diffusion, LogSnrDiffusion, StochasticDiffusion
from sims.gaussian import ClassGaussians
from sims.image_worlds import Images, RefittedImages
from sims.lowrank import ClassSubspaces, TwoSubspaces
from sims.paper_size import PAPER
from sims.worlds import Subspaces

__all__ = ["Preset", "PRESETS", "preset", "evidence_preset"]


@dataclass(frozen=True)
class Preset:
    """One experiment: a world, the budget N of every generation, how many generations follow generation 0, policies,
    and the seeds that the verdicts are drawn from.

    `models`: so many generation-0 models, the run of seed s starting from that of seed s mod `models` (None: one a
    seed). `evaluated`: so many further samples of each generation are drawn for the metrics (None: the N that the loop
    goes on with are measured).
    """

    name: str
    world: Images | Subspaces
    budget: int
    generations: int = 5
    policies: tuple[str, ...] = POLICIES
    seeds: tuple[int, ...] = (0, 1, 2)
    checkpoints: bool = (
        True  # keep samples and models, to resume between generations and to draw sample sheets
    )
    models: int | None = None
    evaluated: int | None = None


def digits(channels: tuple[int, ...], steps: int, **options: Any) -> Images:
    """8x8 digits and a U-Net of their size."""
    return Images(Diffusion(size=8, classes=10, channels=channels, steps=steps, lr=2e-3, **options))


BEST = "ACU-SHRUNK"
"""The rule that was best in the analytic worlds."""
SEVEN = ("REAL", "SYN", "SYN-ADD", "ACU", "ACUR", "ACUR-SIMS", "ACUR-SC", "ACU-LSF")
"""The seven policies of the paper, and the control."""
CORRECTED = (
    "ACU-LSF-CLASS",
    "ACU-LSF-THRESHOLD",
    "ACU-LSF-MATCHED",
    "ACU-RATIO-CLASS",
    "ACU-RANKSUM-CLASS",
    "ACU-HERD",
    BEST,
)
ABLATION = ("ACU-LSF-PIXELS", "ACU-LSF-PCA", "ACU-LSF-CLASSIFIER", "ACU-LSF-IMAGENET")
EVERY = (*SEVEN, "ORACLE", "ACU-EQUAL-STEPS", *CORRECTED, *ABLATION)
LEADING = ("REAL", "SYN", "ACUR", "ACU-LSF", BEST)

WEAK = Preset("digits-weak", digits((16, 32), steps=500), budget=500, seeds=(0, 1, 2, 3, 4), policies=EVERY)
STRONG = Preset(
    "digits-strong",
    digits((24, 48), steps=1300, channels_last=True),
    budget=500,
    seeds=(0, 1, 2, 3, 4),
    models=3,
    policies=EVERY,
)


def long(row: Preset) -> Preset:
    """The leading policies over fifteen generations."""
    return replace(row, name=f"{row.name}-long", generations=15, policies=LEADING)


LENGTHS = tuple(
    replace(
        WEAK,
        name=f"digits-length-{steps}",
        world=digits((16, 32), steps),
        policies=("REAL", "ACUR", "ACU-LSF", BEST),
        seeds=(0, 1, 2),
    )
    for steps in (60, 125, 250, 500, 1000, 2000)
)
"""From hardly trained to well trained: where does the filter turn from help to harm?"""


def sampled(row: Preset, name: str, kind: type[Diffusion], steps: int) -> Preset:
    """The leading policies on the row's networks, sampled by another solver."""
    world: Any = row.world
    generator = kind(**vars(world.generator) | {"sampling_steps": steps})
    return replace(
        row, name=f"{row.name}-{name}", world=replace(world, generator=generator), policies=LEADING
    )


SOLVERS = (
    sampled(WEAK, "stochastic", StochasticDiffusion, 20),
    sampled(WEAK, "stochastic-10", StochasticDiffusion, 10),
    sampled(WEAK, "20-steps", Diffusion, 20),
    sampled(STRONG, "log-snr", LogSnrDiffusion, 10),
)
"""How much of what the filter does is the solver's doing? In the weak regime, noise and number of steps apart; in the
strong one, steps that do not narrow what is sampled."""


NOISY_LENGTHS = tuple(
    replace(sampled(row, "stochastic-10", StochasticDiffusion, 10), policies=row.policies) for row in LENGTHS
)
"""The same networks, where what the filter gains is not what the solver spoils."""


def refitted(row: Preset) -> Preset:
    """ACUR alone, and what pools of several sizes give at its end."""
    world: Any = row.world
    return replace(row, name=f"{row.name}-pools", world=RefittedImages(**vars(world)), policies=("ACUR",))


POOLS = (refitted(WEAK), refitted(STRONG))
"""Does the filter gain from a larger pool?"""

FASHION_NET: dict[str, Any] = {"size": 28, "classes": 10, "channels": (32, 64), "lr": 1.5e-3, "patch": 2}


def fashion(name: str, generator: Diffusion) -> Preset:
    """The leading policies on Fashion-MNIST, the network on 2 x 2 patches."""
    world = Images(generator, data="fashion-mnist", ole_per_class=100)
    return Preset(name, world, budget=1000, policies=LEADING)


FASHION = fashion("fashion-mnist", Diffusion(**FASHION_NET, steps=1200, channels_last=True))
FASHION_STRONG = fashion(
    "fashion-mnist-strong",
    StochasticDiffusion(**FASHION_NET, steps=5000, sampling_steps=20, precision="bfloat16"),
)
"""Trained four times as long and sampled with noise, both chosen on seed 900: distance 2.7 (ten steps without noise
3.9; 2,000 training steps 4.4), labels .83 right. bfloat16: many times slower on a CPU without its instructions."""


def paper_size(name: str, data: str) -> Preset:
    """The experiment at the paper's size, on a GPU: N = 1000, and 10,000 further samples for the metrics."""
    world = Images(PAPER[name], data=data, ole_per_class=100)
    return Preset(f"{name}-paper", world, budget=1000, evaluated=10_000, policies=(*SEVEN, BEST), models=1)


AT_PAPER_SIZE = tuple(
    paper_size(name, data)
    for name, data in (
        ("mnist", "mnist"),
        ("fashion-mnist", "fashion-mnist-large"),
        ("cifar-10", "cifar-10"),
        ("celeba", "celeba"),
    )
)

GAUSSIAN = Preset(
    "gaussian",
    Subspaces(TwoSubspaces(dim=8, rank=2, angle=np.pi / 3, noise=0.3), ClassGaussians(), per_class=100),
    budget=200,
    policies=(*POLICIES, *RIVALS),
    seeds=tuple(range(100)),
    checkpoints=False,
)
LOW_RANK = Preset(
    "low-rank",
    Subspaces(
        TwoSubspaces(dim=32, rank=4, angle=np.pi / 3, noise=0.3), ClassSubspaces(rank=4), per_class=100
    ),
    budget=200,
    policies=(*POLICIES, *RIVALS),
    seeds=tuple(range(100)),
    checkpoints=False,
)
RUNAWAY = Preset(
    "runaway",
    Subspaces(TwoSubspaces(4, 2, np.pi / 2, noise=0.02), ClassSubspaces(rank=2, shrink=0.8), 500, 500),
    budget=1000,
    generations=12,
    policies=("ACUR", "ACU-LSF"),
    seeds=tuple(range(10)),
    checkpoints=False,
)

EVIDENCE = (WEAK, STRONG, GAUSSIAN, LOW_RANK, RUNAWAY)
LONG = (long(WEAK), long(STRONG), long(SOLVERS[-1]))
STUDY = (WEAK, STRONG, *LONG, *LENGTHS, *NOISY_LENGTHS, *SOLVERS, *POOLS, FASHION, FASHION_STRONG)
"""The rows of `make images`."""


def smoke(row: Preset) -> Preset:
    """The same experiment in seconds: hardly trained, two generations, two seeds. It decides nothing."""
    if isinstance(row.world, Images):
        steps = max(30, row.world.generator.steps // 16)
        world = replace(
            digits((16, 32), steps, sampling_steps=5), ole_timesteps=(10, 200, 900), ole_per_class=10
        )
        row = replace(row, world=world, budget=100, generations=2, models=None)
    return replace(row, name=f"{row.name}-smoke", seeds=row.seeds[:2])


PRESETS = {
    **{row.name: row for row in (*EVIDENCE, *STUDY, *AT_PAPER_SIZE)},
    **{row.name: row for row in map(smoke, EVIDENCE)},
    "digits-smoke": replace(smoke(WEAK), name="digits-smoke", policies=POLICIES),
}


def evidence_preset(name: str, smoke: bool) -> Preset:
    """The row that a world's verdicts are drawn from."""
    return preset(f"{name}-smoke" if smoke else name)


def preset(name: str) -> Preset:
    """The row of that name; raises ValueError on an unknown one, and lists those there are."""
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, found {name!r}")
    return PRESETS[name]
