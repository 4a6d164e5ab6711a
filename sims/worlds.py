"""Which worlds does the one loop run in?

A world is a value, a row of settings. `build(seed)` gives what the loop needs: real data in disjoint parts, a
generator, and the instruments that a generation-0 model is measured with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import numpy as np

from lsf.encoders import EnergyFeatures
from lsf.filter import LatentSpaceFilter
from lsf.pool import Pool
from sims.features import ClassifierFeatures, Identity, Judge
from sims.gaussian import ClassGaussians
from sims.generator import Generator, Sampler
from sims.images import Split, digits
from sims.instruments import Instruments
from sims.lowrank import ClassSubspaces, TwoSubspaces
from sims.seeds import stream

__all__ = ["World", "Built", "Digits", "Subspaces"]


@dataclass(frozen=True)
class Built:
    """One seed's world: real pools, the generator, and the instruments for a generation-0 model; `refits` where
    training costs nothing, so that readings are taken that train something anew (sims.refits)."""

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
        sizes = {"train": self.per_class, "reference": self.reference_per_class, "judge": 5 * self.per_class}
        real = {part: self.truth.draw(frames, n, stream(seed, "real", part)) for part, n in sizes.items()}
        judge = Judge(real["judge"], kind="quadratic")

        def instruments(generation0: Sampler) -> Instruments:
            encoder = EnergyFeatures(rank=self.truth.rank)
            lsf = LatentSpaceFilter(encoder, random_state=0).fit(real["train"].x, real["train"].y)
            return Instruments(lsf, Identity(), judge, coordinates, real["reference"], self.per_class)

        notes = {"feature_space": Identity().name, "judge_accuracy": judge.accuracy(real["reference"])}
        return Built(real["train"], real["reference"], self.generator, instruments, notes, refits=True)


def coordinates(x: np.ndarray, inputs: tuple[str, ...]) -> list[tuple[dict[str, Any], np.ndarray]]:
    """The latents of an analytic world: the samples themselves, whatever the input is called."""
    return [({"latent": "coordinates"}, x)]


@dataclass(frozen=True)
class Digits:
    """Real 8x8 digits and a class-conditional diffusion U-Net.

    The filter's latents are the paper's: generation-0 bottleneck, flattened, clean x, null label, at `timestep`. OLE is
    read at `ole_timesteps`, flattened and mean-pooled, of clean x (of real data also of noised x).
    """

    generator: Any  # sims.diffusion.Diffusion; named there, so that analytic worlds need no torch
    timestep: int = 200
    ole_timesteps: tuple[int, ...] = (10, 100, 200, 300, 500, 700, 900)
    ole_per_class: int = 40

    def build(self, seed: int) -> Built:
        """The one split of the digits; only the models depend on the seed."""
        split = digits()
        features, judge = digit_classifiers()

        def instruments(generation0: Sampler) -> Instruments:
            return digit_instruments(self, split, generation0, seed)

        notes = {
            "feature_space": features.name,
            "feature_space_accuracy": features.accuracy(split.reference),
            "judge_accuracy": judge.accuracy(split.reference),
            "ids": split.ids,
        }
        return Built(split.train, split.reference, self.generator, instruments, notes)


@cache
def digit_classifiers() -> tuple[ClassifierFeatures, Judge]:
    """The feature space and the judge, trained once a process on the split that nobody else sees."""
    part = digits().classifiers
    return ClassifierFeatures(part), Judge(part)


def digit_instruments(world: Digits, split: Split, generation0: Any, seed: int) -> Instruments:
    """Filter and latents from the generation-0 network, frozen."""
    from lsf.unet import UNetEncoder
    from sims.diffusion import noise_schedule

    unet = generation0.unet()
    lsf = LatentSpaceFilter(UNetEncoder(unet, (world.timestep,), batch_size=200), random_state=0)
    lsf.fit(split.train.x, split.train.y)
    abar = noise_schedule(world.generator).alphas_cumprod.numpy()
    encoders = {
        mode: UNetEncoder(
            unet,
            world.ole_timesteps,
            noised=mode == "noised",
            alphas_cumprod=abar,
            batch_size=200,
            random_state=seed,
        ).fit(split.train.x)
        for mode in ("clean", "noised")
    }
    width = generation0.family.channels[-1]

    def latents(x: np.ndarray, inputs: tuple[str, ...]) -> list[tuple[dict[str, Any], np.ndarray]]:
        rows = []
        for mode in inputs:
            for t, h in zip(world.ole_timesteps, encoders[mode].latents(x), strict=True):
                pooled = h.reshape(len(h), width, -1).mean(axis=2)
                for shape, latent in (("flattened", h), ("pooled", pooled)):
                    rows.append(({"timestep": t, "input": mode, "latent": shape}, latent))
        return rows

    features, judge = digit_classifiers()
    return Instruments(lsf, features, judge, latents, split.reference, world.ole_per_class)
