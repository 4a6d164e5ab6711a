"""Which experiments are there? One row each.

`digits-weak` and `digits-strong` differ in how good generation 0 is, which decides what the filter does; `gaussian`
and `low-rank` are analytic; the `-smoke` rows go the whole way in seconds and prove nothing.
"""

from dataclasses import dataclass, replace

import numpy as np

from sims.curation import POLICIES, RIVALS
from sims.diffusion import Diffusion
from sims.gaussian import ClassGaussians
from sims.lowrank import ClassSubspaces, TwoSubspaces
from sims.worlds import Digits, Subspaces

__all__ = ["Preset", "PRESETS", "preset", "evidence_preset"]


@dataclass(frozen=True)
class Preset:
    """One experiment: a world, the budget N of every generation, how many generations follow generation 0, policies,
    and the seeds that the verdicts are drawn from."""

    name: str
    world: Digits | Subspaces
    budget: int
    generations: int = 5
    policies: tuple[str, ...] = POLICIES
    seeds: tuple[int, ...] = (0, 1, 2)
    checkpoints: bool = (
        True  # keep samples and models, to resume between generations and to draw sample sheets
    )


def unet(channels: tuple[int, ...], steps: int) -> Diffusion:
    """A U-Net for 8x8 digits."""
    return Diffusion(size=8, classes=10, channels=channels, steps=steps, lr=2e-3)


WEAK = Preset("digits-weak", Digits(unet((16, 32), steps=500)), budget=500, seeds=(0, 1, 2, 3, 4))
STRONG = Preset("digits-strong", Digits(unet((24, 48), steps=1300)), budget=500)
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


def smoke(row: Preset) -> Preset:
    """The same experiment in seconds: hardly trained, two generations, two seeds. It decides nothing."""
    if isinstance(row.world, Digits):
        world = replace(
            row.world, generator=unet((16, 32), steps=row.world.generator.steps // 16), ole_per_class=20
        )
        row = replace(row, world=world, budget=200, generations=2)
    return replace(row, name=f"{row.name}-smoke", seeds=row.seeds[:2])


PRESETS = {
    **{row.name: row for row in EVIDENCE},
    **{row.name: row for row in map(smoke, EVIDENCE)},
    "digits-smoke": replace(smoke(WEAK), name="digits-smoke"),
}


def evidence_preset(name: str, smoke: bool) -> Preset:
    """The row that a world's verdicts are drawn from."""
    return preset(f"{name}-smoke" if smoke else name)


def preset(name: str) -> Preset:
    """The row of that name; raises ValueError on an unknown one, and lists those there are."""
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, found {name!r}")
    return PRESETS[name]
