"""Which worlds does the one loop run in?

A world is a value, a row of settings. `build(seed)` gives what the loop needs: real data in disjoint parts, a
generator, and the instruments that a generation-0 model is measured with. Image worlds: sims.image_worlds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from lsf.encoders import EnergyFeatures
from lsf.filter import LatentSpaceFilter
from lsf.pool import Pool
from sims.features import Identity, Judge
from sims.filters import Kit
from sims.gaussian import ClassGaussians
from sims.generator import Generator, Sampler
from sims.instruments import Instruments
from sims.lowrank import ClassSubspaces, TwoSubspaces
from sims.seeds import stream

__all__ = ["World", "Built", "Subspaces"]


@dataclass(frozen=True)
class Built:
    """One seed's world: real pools, the generator, and the instruments for a generation-0 model; `refits`: are
    readings taken that train something anew (sims.refits)?"""

    train: Pool
    reference: Pool
    generator: Generator
    instruments: Callable[[Sampler], Instruments]
    notes: dict[str, Any] = field(default_factory=dict)
    refits: bool = False


class World(Protocol):
    """A row of settings from which a seed's world is built."""

    def build(self, seed: int) -> Built: ...


@dataclass(frozen=True)
class Subspaces:
    """Two classes on subspaces; a Gaussian generator refitted each generation. Energy features carry the probe: the
    classes differ in no mean, so a linear probe on coordinates has no power."""

    truth: TwoSubspaces
    generator: ClassGaussians | ClassSubspaces
    per_class: int
    reference_per_class: int = 200

    def build(self, seed: int) -> Built:
        """Real data of this seed: frames, training part, reference and the judge's part from streams of their own."""
        frames = self.truth.frames(stream(seed, "frames"))
        n = self.per_class
        sizes = {"train": n, "reference": self.reference_per_class, "judge": 5 * n, "trusted": n}
        real = {part: self.truth.draw(frames, n, stream(seed, "real", part)) for part, n in sizes.items()}
        judge = Judge(real["judge"], kind="quadratic")

        def instruments(generation0: Sampler) -> Instruments:
            encoder = EnergyFeatures(rank=self.truth.rank)
            lsf = LatentSpaceFilter(encoder, random_state=0).fit(real["train"].x, real["train"].y)
            kit = Kit(lsf, real["train"], real["trusted"], encoder, None, encoder)
            return Instruments(kit, Identity(), judge, coordinates, real["reference"], self.per_class)

        notes = {"feature_space": Identity().name, "judge_accuracy": judge.accuracy(real["reference"])}
        return Built(real["train"], real["reference"], self.generator, instruments, notes, refits=True)


def coordinates(x: np.ndarray, inputs: tuple[str, ...]) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The latents of an analytic world: the samples themselves, whatever the input is called."""
    return [({"latent": "coordinates"}, x)]
