"""What is measured on real images, and with which networks?

An image world: a data set in four parts, a diffusion generator, the filter's latents (the paper's: generation-0
bottleneck, flattened, clean x, null label, at one timestep), the latents that OLE is read from, and feature spaces.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lsf.diffusion_encoder import DiffusionEncoder
from lsf.encoders import FlattenedPCA
from lsf.filter import LatentSpaceFilter
from lsf.pool import Pool
from sims.denoising import device_of
from sims.diffusion import Diffusion, noise_schedule
from sims.features import ClassifierFeatures, ImageNetFeatures, Judge, space
from sims.filters import Kit, Pooled, Remembered
from sims.images import Split, load
from sims.instruments import Instruments, Latents
from sims.record import device_name
from sims.worlds import Built

__all__ = ["Images", "RefittedImages", "classifiers"]

ENCODED = 200
"""Samples of a forward pass of the encoders."""


@dataclass(frozen=True)
class Images:
    """Real images of a data set (`folder`: where its files lie, if not in the usual place).

    The filter's latents are read at `timestep`; OLE at `ole_timesteps`, flattened and mean-pooled. `spaces` are feature
    spaces beside the project's own classifier, read every generation; `slow_spaces` at generations 0, 5, 10, ...
    """

    generator: Diffusion
    data: str = "digits"
    folder: str | None = None
    timestep: int = 200
    ole_timesteps: tuple[int, ...] = (10, 100, 200, 300, 500, 700, 900)
    ole_per_class: int = 40
    spaces: tuple[str, ...] = ("pixels-pca",)
    slow_spaces: tuple[str, ...] = ("imagenet",)

    def build(self, seed: int) -> Built:
        """The one split of the data set; only the models depend on the seed.

        Raises ValueError, before any work, if the data, the packages of a feature space or a GPU are not there.
        """
        device = device_of(self.generator)
        split = load(self.data, self.folder)
        check_fits(self.generator, split.train)
        spaces, slow = (
            tuple(space(name, split.classifiers, of=self.data) for name in names)
            for names in (self.spaces, self.slow_spaces)
        )
        features, judge = classifiers(self.data, self.folder)

        def instruments(generation0: Any) -> Instruments:
            kit = filters(self, split, generation0, seed)
            latents = ole_latents(self, split, generation0, seed)
            return Instruments(
                kit, features, judge, latents, split.reference, self.ole_per_class, spaces, slow
            )

        notes = {
            "feature_space": features.name,
            "feature_space_accuracy": features.accuracy(split.reference),
            "judge_accuracy": judge.accuracy(split.reference),
            "ids": split.ids,
            "device": device_name(str(device)),
            "sampler": f"{self.generator.sampler_name}, no guidance",
        }
        return Built(split.train, split.reference, self.generator, instruments, notes)


@dataclass(frozen=True)
class RefittedImages(Images):
    """The same world, where readings are taken too that train the network anew (sims.refits)."""

    def build(self, seed: int) -> Built:
        """As of `Images`."""
        return replace(super().build(seed), refits=True)


def check_fits(generator: Diffusion, train: Pool) -> None:
    """ValueError if the images are of another shape, or of other classes in number, than the generator's."""
    made = (generator.image_channels, generator.size, generator.size)
    if train.x.shape[1:] != made:
        raise ValueError(f"generator makes images of shape {made}, the data have {train.x.shape[1:]}")
    if len(train.classes) != generator.classes:
        raise ValueError(f"generator has {generator.classes} classes, the data have {len(train.classes)}")


@cache
def classifiers(data: str, folder: str | None = None) -> tuple[ClassifierFeatures, Judge]:
    """The feature space and the judge, trained once a process on the part that nobody else sees."""
    part = load(data, folder).classifiers
    return ClassifierFeatures(part, of=data), Judge(part)


def bottleneck(generation0: Any, timesteps: tuple[int, ...], **options: Any) -> Any:
    """The encoder of images at the middle of the generation-0 network, frozen."""
    return DiffusionEncoder.from_model(generation0.unet(), timesteps=timesteps, batch_size=ENCODED, **options)


def noising(generation0: Any, seed: int) -> dict[str, Any]:
    """What makes a bottleneck's input noised, by the noise of a seed."""
    abar = noise_schedule(generation0.family).alphas_cumprod.numpy()
    return {"noised": True, "alphas_cumprod": abar, "random_state": seed}


def filters(world: Images, split: Split, generation0: Any, seed: int) -> Kit:
    """What the filters are made from: flattened latents for the probe, pooled ones to compare with trusted data.

    `other`: besides the ablation's, the other conventions of a latent, which paper_checks.image_theory reads.
    """
    to_net = FunctionTransformer(generation0.family.to_net)
    probed = Remembered(make_pipeline(to_net, bottleneck(generation0, (world.timestep,))))
    noised = Remembered(
        make_pipeline(to_net, bottleneck(generation0, (world.timestep,), **noising(generation0, seed)))
    )
    pooling = Pooled(generation0.family.channels[-1])
    pooled = make_pipeline(probed, pooling)
    paper = LatentSpaceFilter(probed, random_state=0).fit(split.train.x, split.train.y)
    other: dict[str, Callable[[], Any]] = {
        "pixels": lambda: None,
        "pca": lambda: FlattenedPCA(min(30, split.train.x[0].size)),
        "classifier": lambda: FunctionTransformer(ClassifierFeatures(split.train)),
        "imagenet": lambda: Remembered(FunctionTransformer(ImageNetFeatures())),
        "clean, pooled": lambda: pooled,
        "noised, flattened": lambda: noised,
        "noised, pooled": lambda: make_pipeline(noised, pooling),
    }
    return Kit(paper, split.train, split.trusted, probed, pooled, None, other)


def ole_latents(world: Images, split: Split, generation0: Any, seed: int) -> Latents:
    """Latents of samples fed clean or noised, at every timestep, flattened and mean-pooled."""
    family = generation0.family
    modes: dict[str, dict[str, Any]] = {"clean": {}, "noised": noising(generation0, seed)}
    encoders = {
        mode: bottleneck(generation0, world.ole_timesteps, **options).fit(family.to_net(split.train.x))
        for mode, options in modes.items()
    }
    pooling = Pooled(family.channels[-1])

    def latents(x: np.ndarray, inputs: tuple[str, ...]) -> list[tuple[dict[str, Any], np.ndarray]]:
        rows = []
        for mode in inputs:
            for t, h in zip(world.ole_timesteps, encoders[mode].latents(family.to_net(x)), strict=True):
                for shape, latent in (("flattened", h), ("pooled", pooling.transform(h))):
                    rows.append(({"timestep": t, "input": mode, "latent": shape}, latent))
        return rows

    return latents
