"""How much cheaper is a solver of ten steps than stock 1000-step sampling?"""

import numpy as np
import torch
from diffusers import DDPMScheduler

from benchmarks.timing import Result, fastest
from sims.diffusion import DiffusionSampler, build_unet, noise_schedule
from sims.presets import preset

__all__ = ["sampling_vs_ddpm1000"]

IMAGES = 64


def ancestral(
    unet: torch.nn.Module, scheduler: DDPMScheduler, labels: torch.Tensor, steps: int
) -> torch.Tensor:
    """The first `steps` steps of diffusers' stock sampler."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(labels), 1, 8, 8, generator=generator)
    scheduler.set_timesteps(1000)
    with torch.inference_mode():
        for t in scheduler.timesteps[:steps]:
            x = scheduler.step(unet(x, t, class_labels=labels).sample, t, x, generator=generator).prev_sample
    return x


def sampling_vs_ddpm1000() -> Result:
    """64 digits from an untrained network of the digits-strong preset; 20 of the 1000 steps are timed and scaled."""
    family = preset("digits-strong").world.generator
    unet = build_unet(family, torch.Generator().manual_seed(0)).eval()
    sampler = DiffusionSampler(family, dict(unet.state_dict()))
    labels = np.arange(IMAGES) % 10
    ours, stock = fastest(
        lambda: sampler.sample(labels, np.random.default_rng(0)),
        lambda: ancestral(unet, noise_schedule(family), torch.from_numpy(labels), 20),
    )
    steps = family.sampling_steps
    detail = f"{steps} steps of DPM-Solver++ {ours:.2f} s, 1000 ancestral steps {50 * stock:.1f} s (scaled)"
    return Result("sampling-vs-ddpm1000", 50 * stock / ours, detail)
