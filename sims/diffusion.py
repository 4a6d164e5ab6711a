"""How is a class-conditional diffusion model trained, fine-tuned and sampled?

Denoising diffusion (Ho et al., NeurIPS 2020) with diffusers' parts: x_t = sqrt(abar_t) x + sqrt(1 - abar_t) eps, a
UNet2DModel trained on |eps - eps_theta(x_t, t, y)|^2, the label replaced by a null class now and then (Ho and
Salimans 2022), weights averaged over the steps; sampling by DPM-Solver++ (Lu et al. 2022), no guidance.
With `patch` p the network sees each p x p square of pixels as channels: (C p^2, H/p, W/p), and a step costs 1/p^2.
Generation 0 takes `steps` steps from scratch; generation k fine-tunes the weights of k-1 for `epochs` epochs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel

from lsf.pool import Pool
from sims import progress
from sims.seeds import torch_seed

__all__ = ["Diffusion", "DiffusionSampler", "ExtrapolatedSampler", "build_unet", "noise_schedule"]

Predictor = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""eps(x_t, t, y): the noise that a network, or several, see in x_t."""


@dataclass(frozen=True)
class Diffusion:
    """A family of class-conditional diffusion models of images (n, image_channels, size, size) in [-1, 1].

    Raises ValueError if `size` is no multiple of `patch`.
    """

    size: int
    classes: int
    channels: tuple[int, ...]
    steps: int
    lr: float
    finetune_lr: float = 3e-4
    epochs: int = 3
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

    def __post_init__(self) -> None:
        if self.patch < 1 or self.size % self.patch:
            raise ValueError(f"patch must divide size, {self.size}, found {self.patch}")

    def to_net(self, x: np.ndarray) -> np.ndarray:
        """Images (n, C, H, W) as the network sees them: (n, C p^2, H/p, W/p)."""
        return torch.nn.functional.pixel_unshuffle(torch.from_numpy(x), self.patch).numpy()

    def fit(
        self,
        pool: Pool,
        rng: np.random.Generator,
        start: "DiffusionSampler | ExtrapolatedSampler | None" = None,
    ) -> "DiffusionSampler":
        """Train from scratch on `pool`, or fine-tune the model `start` (the base of an extrapolated one) on it.

        Raises ArithmeticError on a NaN loss.
        """
        generator = torch.Generator().manual_seed(torch_seed(rng))
        unet = build_unet(self, generator)
        if start is not None:
            unet.load_state_dict(start.weights)
        steps = self.gradient_steps(pool, first=start is None)
        train(unet, self, pool, steps, self.lr if start is None else self.finetune_lr, generator)
        return DiffusionSampler(self, {k: v.detach().clone() for k, v in unet.state_dict().items()})

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
        """`steps` for generation 0; `epochs` passes over the pool, rounded up to whole batches, for the others."""
        return self.steps if first else self.epochs * -(-len(pool) // self.batch)

    def evaluations(self, pool: Pool, first: bool) -> dict[str, int]:
        """Gradient steps and network evaluations (a step is three forwards a sample) of `fit` on `pool`."""
        steps = self.gradient_steps(pool, first)
        return {"gradient_steps": steps, "training_evaluations": 3 * steps * min(self.batch, len(pool))}


@dataclass(frozen=True)
class DiffusionSampler:
    """A trained model: its family and its weights."""

    family: Diffusion
    weights: dict[str, torch.Tensor]

    def unet(self) -> UNet2DModel:
        """The network itself, in evaluation mode."""
        unet = build_unet(self.family, torch.Generator())
        unet.load_state_dict(self.weights)
        return unet.eval()

    def state(self) -> dict[str, np.ndarray]:
        """The weights as arrays."""
        return {k: v.numpy() for k, v in self.weights.items()}

    def predictor(self) -> Predictor:
        """The network as a function of x_t, t and y."""
        unet = self.unet()
        return lambda x, t, y: unet(x, t, class_labels=y).sample

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


def sample(
    predict: Predictor, f: Diffusion, labels: np.ndarray, rng: np.random.Generator, block: int
) -> np.ndarray:
    """One image for each label, from noise that depends on `rng` alone, `block` at a time."""
    generator = torch.Generator().manual_seed(torch_seed(rng))
    noise = torch.randn(len(labels), *net_shape(f), generator=generator)
    y = torch.as_tensor(labels)
    with torch.inference_mode():
        parts = [denoise(predict, f, x, c) for x, c in zip(noise.split(block), y.split(block), strict=True)]
        images = torch.nn.functional.pixel_shuffle(torch.cat(parts), f.patch)
    return images.clamp(-1.0, 1.0).numpy()


def net_shape(f: Diffusion) -> tuple[int, int, int]:
    """(C p^2, H/p, W/p): what the network takes and gives."""
    return (f.image_channels * f.patch**2, f.size // f.patch, f.size // f.patch)


def build_unet(f: Diffusion, generator: torch.Generator) -> UNet2DModel:
    """A diffusers U-Net without attention; label `f.classes` is the null class. Its weights come from `generator`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            generator.initial_seed()
        )  # diffusers takes its first weights from the global stream
        return UNet2DModel(
            sample_size=net_shape(f)[1],
            in_channels=net_shape(f)[0],
            out_channels=net_shape(f)[0],
            layers_per_block=1,
            block_out_channels=f.channels,
            down_block_types=("DownBlock2D",) * len(f.channels),
            up_block_types=("UpBlock2D",) * len(f.channels),
            norm_num_groups=8,
            num_class_embeds=f.classes + 1,
            add_attention=False,
        )


def noise_schedule(f: Diffusion) -> DDPMScheduler:
    """abar_0 .. abar_999 of the family."""
    return DDPMScheduler(num_train_timesteps=1000, beta_schedule=f.beta_schedule)


def denoise(predict: Predictor, f: Diffusion, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """From noise to images by `f.sampling_steps` steps of DPM-Solver++."""
    solver = DPMSolverMultistepScheduler.from_config(noise_schedule(f).config, final_sigmas_type="zero")
    solver.set_timesteps(f.sampling_steps)
    for t in solver.timesteps:
        x = solver.step(predict(x, t, y), t, x).prev_sample
    return x


def batches(n: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Endless shuffled epochs over 0..n-1 in batches of min(size, n) indices; an epoch's last batch is filled up."""
    size = min(size, n)
    while True:
        order = torch.randperm(n, generator=generator)
        short = -n % size
        yield from torch.cat([order, torch.randperm(n, generator=generator)[:short]]).split(size)


def train(
    unet: UNet2DModel, f: Diffusion, pool: Pool, steps: int, lr: float, generator: torch.Generator
) -> None:
    """`steps` steps of AdamW on the denoising loss, in place; the averaged weights stay in `unet`."""
    x, y = torch.from_numpy(f.to_net(pool.x)), torch.from_numpy(pool.y)
    abar = noise_schedule(f).alphas_cumprod
    optimiser = torch.optim.AdamW(unet.parameters(), lr=lr, fused=True)
    schedule = get_scheduler("linear", optimiser, num_warmup_steps=f.warmup, num_training_steps=steps)
    average = EMAModel(unet.parameters(), decay=f.ema, foreach=True)
    unet.train()
    for step, batch in zip(range(steps), batches(len(pool), f.batch, generator), strict=False):
        progress.tick("training", step, steps)
        loss = denoising_loss(unet, f, x[batch], y[batch], abar, generator)
        if not torch.isfinite(loss):
            raise ArithmeticError(f"denoising loss is {loss.item()} at step {step} of {steps} (lr {lr})")
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), f.clip, error_if_nonfinite=True)
        optimiser.step()
        schedule.step()
        average.step(unet.parameters())
    average.copy_to(unet.parameters())


def denoising_loss(
    unet: UNet2DModel,
    f: Diffusion,
    x: torch.Tensor,
    y: torch.Tensor,
    abar: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """mean |eps - eps_theta(sqrt(abar_t) x + sqrt(1 - abar_t) eps, t, y)|^2, y dropped with p = label_dropout."""
    t = torch.randint(len(abar), (len(x),), generator=generator)
    eps = torch.randn(x.shape, generator=generator)
    drop = torch.rand(len(x), generator=generator) < f.label_dropout
    a = abar[t].view(-1, 1, 1, 1)
    prediction = unet(
        a.sqrt() * x + (1 - a).sqrt() * eps, t, class_labels=torch.where(drop, f.classes, y)
    ).sample
    return torch.nn.functional.mse_loss(prediction, eps)
