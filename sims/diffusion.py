"""How is a class-conditional diffusion model trained, fine-tuned and sampled?

Denoising diffusion (Ho et al., NeurIPS 2020) with diffusers' parts: x_t = sqrt(abar_t) x + sqrt(1 - abar_t) eps, a
UNet2DModel trained on |eps - eps_theta(x_t, t, y)|^2, the label replaced by a null class now and then (Ho and
Salimans 2022), weights averaged over the steps; sampling by DPM-Solver++ (Lu et al. 2022), no guidance.
Generation 0 takes `steps` steps from scratch; generation k fine-tunes the weights of k-1 for `epochs` epochs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel

from lsf.pool import Pool
from sims import progress
from sims.seeds import torch_seed

__all__ = ["Diffusion", "DiffusionSampler", "build_unet", "noise_schedule"]


@dataclass(frozen=True)
class Diffusion:
    """A family of class-conditional diffusion models of images (n, channels, size, size) in [-1, 1]."""

    size: int
    classes: int
    channels: tuple[int, ...]
    steps: int
    lr: float
    finetune_lr: float = 3e-4
    epochs: int = 3
    batch: int = 128
    image_channels: int = 1
    sampling_steps: int = 10
    label_dropout: float = 0.1
    warmup: int = 20
    clip: float = 1.0
    ema: float = 0.995
    beta_schedule: str = (
        "linear"  # a cosine schedule under 10 solver steps left ten times the Frechet distance
    )

    def fit(
        self, pool: Pool, rng: np.random.Generator, start: "DiffusionSampler | None" = None
    ) -> "DiffusionSampler":
        """Train from scratch on `pool`, or fine-tune the model `start` on it. Raises ArithmeticError on a NaN loss."""
        generator = torch.Generator().manual_seed(torch_seed(rng))
        unet = build_unet(self, generator)
        if start is not None:
            unet.load_state_dict(start.weights)
        steps = self.gradient_steps(pool, first=start is None)
        train(unet, self, pool, steps, self.lr if start is None else self.finetune_lr, generator)
        return DiffusionSampler(self, {k: v.detach().clone() for k, v in unet.state_dict().items()})

    def restore(self, state: dict[str, np.ndarray]) -> "DiffusionSampler":
        """The model with these weights."""
        return DiffusionSampler(
            self, {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}
        )

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

    def sample(self, labels: np.ndarray, rng: np.random.Generator, block: int = 256) -> np.ndarray:
        """One image for each label (n,): (n, channels, size, size) float32 in [-1, 1]."""
        f, unet = self.family, self.unet()
        generator = torch.Generator().manual_seed(torch_seed(rng))
        noise = torch.randn(len(labels), f.image_channels, f.size, f.size, generator=generator)
        y = torch.as_tensor(labels)
        with torch.inference_mode():
            parts = [denoise(unet, f, x, c) for x, c in zip(noise.split(block), y.split(block), strict=True)]
        return torch.cat(parts).clamp(-1.0, 1.0).numpy()


def build_unet(f: Diffusion, generator: torch.Generator) -> UNet2DModel:
    """A diffusers U-Net without attention; label `f.classes` is the null class. Its weights come from `generator`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            generator.initial_seed()
        )  # diffusers takes its first weights from the global stream
        return UNet2DModel(
            sample_size=f.size,
            in_channels=f.image_channels,
            out_channels=f.image_channels,
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


def denoise(unet: UNet2DModel, f: Diffusion, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """From noise to images by `f.sampling_steps` steps of DPM-Solver++."""
    solver = DPMSolverMultistepScheduler.from_config(noise_schedule(f).config, final_sigmas_type="zero")
    solver.set_timesteps(f.sampling_steps)
    for t in solver.timesteps:
        x = solver.step(unet(x, t, class_labels=y).sample, t, x).prev_sample
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
    x, y = torch.from_numpy(pool.x), torch.from_numpy(pool.y)
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
