"""Which network sees which noise, at what loss, and how does noise become images?

    x_t = sqrt(abar_t) x + sqrt(1 - abar_t) eps,   loss |eps - eps_theta(x_t, t, y)|^2,   y sometimes the null class

(Ho et al., NeurIPS 2020; null class: Ho and Salimans 2022). A diffusers UNet2DModel; sampling by DPM-Solver++ (Lu et
al. 2022), of the probability-flow equation or of the stochastic one, no guidance. All draws are made on the device of
their generator.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel

from sims.seeds import torch_seed

if TYPE_CHECKING:
    from sims.diffusion import Diffusion

__all__ = [
    "Predictor", "architecture", "build_unet", "denoise", "denoising_loss", "device_of", "laid_out", "net_shape",
    "noise_schedule", "precision_of", "sample",
]  # fmt: skip

Predictor = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""eps(x_t, t, y): the noise that a network, or several, see in x_t."""


def net_shape(f: Diffusion) -> tuple[int, int, int]:
    """(C p^2, H/p, W/p): what the network takes and gives."""
    return (f.image_channels * f.patch**2, f.size // f.patch, f.size // f.patch)


def architecture(f: Diffusion) -> UNet2DModel:
    """A diffusers U-Net, attention at its lowest resolution or none; label `f.classes` is the null class."""
    channels, size, _ = net_shape(f)
    plain = ("",) * (len(f.channels) - 1)
    lowest = "Attn" if f.attention else ""
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=f.layers_per_block,
        block_out_channels=f.channels,
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in (*plain, lowest)),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in (lowest, *plain)),
        norm_num_groups=8,
        num_class_embeds=f.classes + 1,
        add_attention=f.attention,
    )


def build_unet(f: Diffusion, generator: torch.Generator) -> UNet2DModel:
    """The network with its first weights, which come from the seed of `generator`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            generator.initial_seed()
        )  # diffusers takes its first weights from the global stream
        return architecture(f)


def device_of(f: Diffusion) -> torch.device:
    """The device of the family; raises ValueError if it is not there."""
    device = torch.device(f.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {f.device!r}, but torch finds no GPU here: use a preset of CPU size")
    return device


def precision_of(f: Diffusion, device: torch.device) -> AbstractContextManager[Any]:
    """Within it the network runs in the family's precision; weights and loss stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=f.precision == "bfloat16")


def laid_out(f: Diffusion) -> torch.memory_format:
    """How four-dimensional tensors lie in memory."""
    return torch.channels_last if f.channels_last else torch.contiguous_format


def noise_schedule(f: Diffusion) -> DDPMScheduler:
    """abar_0 .. abar_999 of the family."""
    return DDPMScheduler(num_train_timesteps=1000, beta_schedule=f.beta_schedule)


def denoising_loss(
    unet: Callable[..., Any],
    f: Diffusion,
    x: torch.Tensor,
    y: torch.Tensor,
    abar: torch.Tensor,
    generator: torch.Generator,
    part: slice = slice(None),
) -> torch.Tensor:
    """mean |eps - eps_theta(sqrt(abar_t) x + sqrt(1 - abar_t) eps, t, y)|^2, y dropped with p = label_dropout.

    The mean over the rows `part`; the draws are those of the whole batch, whoever takes which part.
    """
    device = generator.device
    t = torch.randint(len(abar), (len(x),), generator=generator, device=device)
    eps = torch.randn(x.shape, generator=generator, device=device)
    drop = torch.rand(len(x), generator=generator, device=device) < f.label_dropout
    x, y, t, eps, drop = (a[part] for a in (x, y, t, eps, drop))
    a = abar[t].view(-1, 1, 1, 1)
    noisy = (a.sqrt() * x + (1 - a).sqrt() * eps).contiguous(memory_format=laid_out(f))
    with precision_of(f, device):
        prediction = unet(noisy, t, class_labels=torch.where(drop, f.classes, y)).sample
    return torch.nn.functional.mse_loss(prediction.float(), eps)


def denoise(
    predict: Predictor, f: Diffusion, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """From noise to images by `f.sampling_steps` steps of DPM-Solver++; a stochastic solver draws from `generator`."""
    solver = DPMSolverMultistepScheduler.from_config(
        noise_schedule(f).config,
        algorithm_type=f.solver,
        use_lu_lambdas=f.log_snr_steps,
        final_sigmas_type="zero",
    )
    solver.set_timesteps(f.sampling_steps, device=x.device)
    for t in solver.timesteps:
        x = solver.step(predict(x, t, y), t, x, generator=generator).prev_sample
    return x


def sample(
    predict: Predictor, f: Diffusion, labels: np.ndarray, rng: np.random.Generator, block: int
) -> np.ndarray:
    """One image for each label, from noise that depends on `rng` alone, `block` at a time.

    A stochastic solver draws block by block: other blocks, other images of the same law.
    """
    device = device_of(f)
    generator = torch.Generator(device).manual_seed(torch_seed(rng))
    noise = torch.randn(len(labels), *net_shape(f), generator=generator, device=device)
    noise, y = noise.contiguous(memory_format=laid_out(f)), torch.as_tensor(labels, device=device)
    with torch.inference_mode():
        blocks = zip(noise.split(block), y.split(block), strict=True)
        parts = [denoise(predict, f, x, c, generator) for x, c in blocks]
        images = torch.nn.functional.pixel_shuffle(torch.cat(parts), f.patch)
    return images.clamp(-1.0, 1.0).cpu().contiguous().numpy()
