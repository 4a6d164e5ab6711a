"""Which diffusion models does the experiment have at the paper's size, on a GPU?

Of the paper's models only CelebA's is known, from secondary notes: 32 M parameters, 16,384 bottleneck features (here
256 channels x 8 x 8), so that a probe of 4 classes has 65 K weights. The others are of the same build, smaller as
their images are. Generation k is fine-tuned for 3 epochs; the budget of 1,000 samples is the preset's.
Settings that the notes do not tell (steps, learning rates, solver steps) are Ho et al.'s (NeurIPS 2020) order of size,
and not yet tried on a GPU.
"""

from typing import Any

from sims.diffusion import Diffusion

__all__ = ["PAPER"]

GPU: dict[str, Any] = {
    "device": "cuda",
    "precision": "bfloat16",
    "compile": True,
    "channels_last": True,
    "attention": True,
    "layers_per_block": 2,
    "lr": 2e-4,
    "finetune_lr": 1e-4,
    "warmup": 500,
    "ema": 0.9999,
    "epochs": 3,
    "sampling_steps": 20,
}
GREY = Diffusion(size=28, classes=10, channels=(64, 128, 128), steps=20_000, batch=256, **GPU)

PAPER = {
    "mnist": GREY,
    "fashion-mnist": GREY,
    "cifar-10": Diffusion(
        size=32, classes=10, channels=(128, 256, 256), steps=60_000, batch=256, image_channels=3, **GPU
    ),
    "celeba": Diffusion(
        size=64, classes=4, channels=(128, 192, 256, 256), steps=60_000, batch=128, image_channels=3, **GPU
    ),
}
"""The families by data set."""
