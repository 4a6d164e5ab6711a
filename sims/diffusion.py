"""How is a class-conditional diffusion model trained, fine-tuned and sampled?

Denoising diffusion (Ho et al., NeurIPS 2020): the network, its loss and the solver are in sims.denoising, the steps
in sims.training.
With `patch` p the network sees each p x p square of pixels as channels: (C p^2, H/p, W/p), and a step costs 1/p^2.
Generation 0 takes `steps` steps from scratch; generation k fine-tunes the weights of k-1 for `epochs` epochs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from diffusers import UNet2DModel

from lsf.pool import Pool
from sims.denoising import (
    Predictor,
    architecture,
    build_unet,
    device_of,
    laid_out,
    noise_schedule,
    precision_of,
    sample,
)
from sims.seeds import torch_seed
from sims.training import train, training_device

__all__ = [
    "Diffusion", "DiffusionSampler", "ExtrapolatedSampler", "LogSnrDiffusion", "StochasticDiffusion", "build_unet",
    "noise_schedule",
]  # fmt: skip


@dataclass(frozen=True)
class Diffusion:
    """A family of class-conditional diffusion models of images (n, image_channels, size, size) in [-1, 1].

    - device, precision ("float32" or "bfloat16", by autocast), channels_last, accelerate (each batch split over the
      processes that `accelerate launch` starts): how it runs. compile: generation 0's training is compiled; the
      others are too short to earn that back.
    - attention: at the lowest resolution.
    Raises ValueError if `size` is no multiple of `patch`, or `precision` is unknown.
    """

    resumable: ClassVar[bool] = True  # fit takes `keep`
    solver: ClassVar[str] = "dpmsolver++"  # diffusers' name of it; of a probability-flow equation: no noise
    log_snr_steps: ClassVar[bool] = False  # evenly spaced in t, or in log-SNR

    size: int
    classes: int
    channels: tuple[int, ...]
    steps: int
    lr: float
    finetune_lr: float = 3e-4
    epochs: int = 3
    finetune_steps: int | None = None
    batch: int = 128
    image_channels: int = 1
    patch: int = 1
    sampling_steps: int = 10
    label_dropout: float = 0.1
    warmup: int = 20
    clip: float = 1.0
    ema: float = 0.995
    beta_schedule: str = (
        "linear"  # a cosine schedule under 10 solver steps left ten times the Frechet distance
    )
    attention: bool = False
    layers_per_block: int = 1
    device: str = "cpu"
    precision: str = "float32"
    compile: bool = False
    channels_last: bool = False
    accelerate: bool = False

    def __post_init__(self) -> None:
        if self.patch < 1 or self.size % self.patch:
            raise ValueError(f"patch must divide size, {self.size}, found {self.patch}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision must be 'float32' or 'bfloat16', found {self.precision!r}")

    @property
    def sampler_name(self) -> str:
        """Solver and steps, in words; SDE: with noise in every step."""
        kind = "SDE-DPM-Solver++" if self.solver.startswith("sde") else "DPM-Solver++"
        spaced = " evenly spaced in log-SNR" if self.log_snr_steps else ""
        return f"{kind}, {self.sampling_steps} steps{spaced}"

    def to_net(self, x: np.ndarray) -> np.ndarray:
        """Images (n, C, H, W) as the network sees them: (n, C p^2, H/p, W/p)."""
        return torch.nn.functional.pixel_unshuffle(torch.from_numpy(x), self.patch).numpy()

    def fit(
        self,
        pool: Pool,
        rng: np.random.Generator,
        start: "DiffusionSampler | ExtrapolatedSampler | None" = None,
        keep: Path | None = None,
    ) -> "DiffusionSampler":
        """Train from scratch on `pool`, or fine-tune the model `start` (the base of an extrapolated one) on it.

        A training cut short goes on from the file `keep`, bit for bit; it is deleted at the end.
        Raises ArithmeticError on a NaN loss, ValueError if `keep` is damaged or of another training.
        """
        generator = torch.Generator(training_device(self)).manual_seed(torch_seed(rng))
        unet = build_unet(self, generator)
        if start is not None:
            unet.load_state_dict(start.weights)
        first = start is None
        steps, lr = self.gradient_steps(pool, first), self.lr if first else self.finetune_lr
        train(unet, self, pool, steps, lr, generator, keep, compiled=self.compile and first)
        weights = {k: v.detach().cpu().contiguous().clone() for k, v in unet.state_dict().items()}
        return DiffusionSampler(self, weights)

    def extrapolated(
        self, base: "DiffusionSampler", aux: "DiffusionSampler", strength: float
    ) -> "ExtrapolatedSampler":
        """The model of score (1 + strength) s_base - strength s_aux; see sims.rivals."""
        return ExtrapolatedSampler(base, aux, strength)

    def restore(self, state: dict[str, np.ndarray]) -> "DiffusionSampler | ExtrapolatedSampler":
        """The model, of either kind, whose `state()` this is."""
        if "strength" in state:
            base, aux = (restored(self, unprefixed(state, name)) for name in ("base.", "aux."))
            return ExtrapolatedSampler(base, aux, float(state["strength"][0]))
        return restored(self, state)

    def gradient_steps(self, pool: Pool, first: bool) -> int:
        """`steps` for generation 0; `epochs` passes over the pool for the others, or `finetune_steps`."""
        return self.steps if first else self.finetune_steps or self.steps_over(len(pool))

    def steps_over(self, n: int) -> int:
        """Gradient steps of `epochs` passes over n samples, rounded up to whole batches."""
        return self.epochs * -(-n // self.batch)

    def evaluations(self, pool: Pool, first: bool) -> dict[str, int]:
        """Gradient steps and network evaluations (a step is three forwards a sample) of `fit` on `pool`."""
        steps = self.gradient_steps(pool, first)
        return {"gradient_steps": steps, "training_evaluations": 3 * steps * min(self.batch, len(pool))}


@dataclass(frozen=True)
class StochasticDiffusion(Diffusion):
    """The same models, sampled with fresh noise in every step (SDE-DPM-Solver++, second order).

    Noise lets later steps undo what earlier ones did wrong, which the probability-flow equation hands on: a network
    trained for 500 steps leaves a few images far outside the data there; here, about a tenth of the Frechet distance.
    """

    solver: ClassVar[str] = "sde-dpmsolver++"


@dataclass(frozen=True)
class LogSnrDiffusion(Diffusion):
    """The same models, sampled without noise at steps evenly spaced in the logarithm of signal to noise.

    The last of ten steps evenly spaced in t starts where noise is still large and ends in a posterior mean: what
    varies little is narrowed to a quarter of its variance. These end where little noise is left, and narrow nothing.
    """

    log_snr_steps: ClassVar[bool] = True


@dataclass(frozen=True)
class DiffusionSampler:
    """A trained model: its family and its weights."""

    family: Diffusion
    weights: dict[str, torch.Tensor]

    def unet(self) -> UNet2DModel:
        """The network itself, in evaluation mode, on the family's device; do not train it."""
        f = self.family
        with torch.device("meta"):  # no time for first weights that nobody needs
            unet = architecture(f)
        unet.load_state_dict(self.weights, assign=True)
        return unet.to(device=device_of(f), memory_format=laid_out(f)).eval()

    def state(self) -> dict[str, np.ndarray]:
        """The weights as arrays."""
        return {k: v.numpy() for k, v in self.weights.items()}

    def predictor(self) -> Predictor:
        """The network as a function of x_t, t and y."""
        unet, f = self.unet(), self.family

        def noise(x: torch.Tensor, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            with precision_of(f, x.device):
                return unet(x, t, class_labels=y).sample.float()

        return noise

    def sample(self, labels: np.ndarray, rng: np.random.Generator, block: int = 256) -> np.ndarray:
        """One image for each label (n,): (n, image_channels, size, size) float32 in [-1, 1]."""
        return sample(self.predictor(), self.family, labels, rng, block)


@dataclass(frozen=True)
class ExtrapolatedSampler:
    """Two models of one family as one: eps = (1 + w) eps_base - w eps_aux at every call of the solver."""

    base: DiffusionSampler
    aux: DiffusionSampler
    strength: float

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The base's: what fine-tuning starts from."""
        return self.base.weights

    def state(self) -> dict[str, np.ndarray]:
        """Both models' weights, prefixed "base." and "aux.", and "strength"."""
        pairs = (("base.", self.base), ("aux.", self.aux))
        weights = {name + k: v for name, model in pairs for k, v in model.state().items()}
        return weights | {"strength": np.array([self.strength])}

    def predictor(self) -> Predictor:
        """The extrapolated noise as a function of x_t, t and y."""
        base, aux, w = self.base.predictor(), self.aux.predictor(), self.strength
        return lambda x, t, y: (1 + w) * base(x, t, y) - w * aux(x, t, y)

    def sample(self, labels: np.ndarray, rng: np.random.Generator, block: int = 256) -> np.ndarray:
        """One image for each label (n,): (n, image_channels, size, size) float32 in [-1, 1]."""
        return sample(self.predictor(), self.base.family, labels, rng, block)


def restored(f: Diffusion, weights: dict[str, np.ndarray]) -> DiffusionSampler:
    """The model of these weights."""
    return DiffusionSampler(f, {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in weights.items()})


def unprefixed(state: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
