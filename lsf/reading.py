"""What is the latent of a sample, once everything is settled?

    z = x, or what the VAE makes of it,
    z_t = z, or noised: sqrt(abar_t) z + sqrt(1 - abar_t) eps_t,
    h_t = 1/|C| sum_{c in C} e0(z_t, t, c),   pooled over space or tokens,

for samples in blocks of one fixed size, so that a latent does not depend on the samples beside it; nor on its place in
the block, for which the size must be right: the last rows of a matrix product may be rounded by another kernel, so that
twelve rows are not three times four. C is one class, as a rule "no class". Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import torch

from lsf import checks
from lsf.architectures import MeanOfVAE, UNet
from lsf.blocks import in_blocks
from lsf.hooks import Lent, Unreached, first_output, layer_of, lent

__all__ = ["Reading", "POOLINGS", "images_of", "pooled"]

POOLINGS = ("flatten", "mean", "max")


@dataclass(frozen=True, eq=False)
class Reading:
    """A layer of a model, read at `timesteps` for `classes` (averaged over; (None,): of a model without classes;
    (): each sample's own), with `null` inputs, on `device` and in `dtype`.

    abar (timesteps,) and noise (timesteps, c, h, w) are both None for clean samples.
    """

    kind: UNet
    layer: str
    timesteps: tuple[int, ...]
    classes: tuple[int | None, ...]
    null: Mapping[str, np.ndarray]
    vae: Any
    pooling: str
    batch_size: int
    device: Any
    dtype: Any
    abar: np.ndarray | None
    noise: np.ndarray | None = None

    def one_by_one(self, noise: np.ndarray | None) -> list[Reading]:
        """The same at each timestep by itself, all with one noise (1, c, h, w)."""
        return [
            replace(self, timesteps=(t,), noise=noise, abar=None if self.abar is None else self.abar[[k]])
            for k, t in enumerate(self.timesteps)
        ]

    def steady(self, sample: np.ndarray) -> Reading:
        """The same at the largest batch_size, of its own and the powers of two below, at which a sample (1, C, H, W)
        has the same latent, bit for bit, at every place of a batch; at 1 there is one place only.
        """
        # a sample may be one flat grey, at which roundings agree by chance: noise on it tells more
        noise = np.random.default_rng(0).standard_normal(sample.shape).astype(np.float32)
        rough = sample + (sample.std() or np.float32(1)) * noise
        below = [2**k for k in range(self.batch_size.bit_length()) if 2**k < self.batch_size]
        sizes = (self.batch_size, *reversed(below))
        return next(same for size in sizes if (same := replace(self, batch_size=size))._is_steady(rough))

    def encoded(self, images: np.ndarray) -> np.ndarray:
        """z (n, c, h, w) float32: the images (n, C, H, W) themselves, or their scaled means under the VAE."""
        if self.vae is None:
            return images
        try:
            with lent(MeanOfVAE(self.vae), self.device) as on:
                z = in_blocks(lambda part: _array(on.call(on.numbers(part))), images, self.batch_size)
        except RuntimeError as error:
            at = f"shape {images.shape[1:]}"
            raise ValueError(f"x has samples that the vae cannot take, of {at}: {error}") from error
        return checks.finite("the vae's latents of x", z)

    def latents(self, z: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """(timesteps, n, features) float32 of z (n, c, h, w); `own` (n,) are their classes where each has its own."""
        with lent(self.kind.model, self.device, self.dtype) as on:
            return np.stack([self._at(on, k, z, own) for k in range(len(self.timesteps))])

    def try_on(self, z: np.ndarray) -> None:
        """One sample z (1, c, h, w) through the model at the last timestep; ValueError if that does not work."""
        t, label = max(self.timesteps), self.classes[0] if self.classes else 0
        try:
            with lent(self.kind.model, self.device, self.dtype) as on:
                hidden = self._hidden(on, t, z, label)
        except Unreached:
            raise ValueError(f"layer {self.layer!r} is never reached in the model's forward pass") from None
        except (RuntimeError, IndexError, ValueError) as error:
            at = f"shape {z.shape[1:]} at timestep {t}"
            raise ValueError(f"x has samples that the model cannot take, of {at}: {error}") from error
        if not isinstance(hidden, torch.Tensor) or not hidden.ndim or len(hidden) != 1:
            raise ValueError(f"layer {self.layer!r} does not give one latent a sample")
        if self.pooling != "flatten" and hidden.ndim not in (3, 4):
            given = f"{self.layer!r} gives {tuple(hidden.shape)}"
            raise ValueError(f"pooling={self.pooling!r} needs a layer with space or tokens, {given}")

    def _is_steady(self, sample: np.ndarray) -> bool:
        last, first = max(self.timesteps), self.classes[:1] or (0,)
        once = replace(self, timesteps=(last,), classes=first, abar=None, noise=None)
        block = np.repeat(sample, self.batch_size, axis=0)
        h = once.latents(once.encoded(block))[0] if self.batch_size > 1 else block
        return bool((h == h[0]).all())

    def _at(self, on: Lent, k: int, z: np.ndarray, own: np.ndarray | None) -> np.ndarray:
        """Features (n, features) at the k-th timestep; class by class where each sample has its own."""
        if own is None:
            return self._of(on, k, z, self.classes)
        parts = [self._of(on, k, z[own == c], (int(c),)) for c in np.unique(own)]
        back = np.argsort(np.argsort(own, kind="stable"))
        return np.concatenate(parts)[back]

    def _of(self, on: Lent, k: int, z: np.ndarray, classes: tuple[int | None, ...]) -> np.ndarray:
        h = in_blocks(lambda block: self._features(on, k, block, classes), z, self.batch_size)
        return checks.finite(f"latents at timestep {self.timesteps[k]}, computed in {on.dtype},", h)

    def _features(self, on: Lent, k: int, block: np.ndarray, classes: tuple[int | None, ...]) -> np.ndarray:
        z, t = self._noised(k, block), self.timesteps[k]
        h = reduce(add, (self._hidden(on, t, z, label).float() for label in classes)) / len(classes)
        return _array(pooled(h, self.pooling))

    def _noised(self, k: int, block: np.ndarray) -> np.ndarray:
        if self.noise is None or self.abar is None:
            return block
        abar = float(self.abar[k])
        return np.float32(abar**0.5) * block + np.float32((1 - abar) ** 0.5) * self.noise[k]

    def _hidden(self, on: Lent, t: int, z: np.ndarray, label: int | None) -> Any:
        layer = layer_of(self.kind.model, self.layer)
        return first_output(layer, lambda: self.kind.run(on, z, t, label, self.null))


def images_of(x: Any) -> np.ndarray:
    """Samples (n, C, H, W) as float32; ValueError on other shapes, NaN, infinite or larger values."""
    array = checks.finite("x", x)
    if array.ndim != 4 or array.size == 0:
        raise ValueError(f"x must be images (n, C, H, W), found shape {array.shape}")
    with np.errstate(over="ignore"):
        images = array.astype(np.float32)
    if not np.isfinite(images).all():
        raise ValueError("x has values beyond float32, in which the model runs: rescale x")
    return images


def pooled(h: torch.Tensor, pooling: str) -> torch.Tensor:
    """(n, features) of a layer's output: over space of (n, width, h, w), over tokens of (n, tokens, width)."""
    if pooling == "flatten":
        return h.flatten(1)
    over, places = (2, h.flatten(2)) if h.ndim == 4 else (1, h)
    return places.mean(dim=over) if pooling == "mean" else places.amax(dim=over)


def _array(h: torch.Tensor) -> np.ndarray:
    return h.float().cpu().numpy()
