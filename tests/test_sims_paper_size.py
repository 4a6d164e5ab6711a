"""The models of the paper's size start at the first try: one step of each on the CPU, and the sizes it states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lsf.pool import Pool
from lsf.unet import UNetEncoder
from sims.denoising import architecture
from sims.diffusion import Diffusion
from sims.paper_size import PAPER
from sims.seeds import stream


def on_cpu(family: Diffusion) -> Diffusion:
    """One step of it, two images at a time."""
    return replace(
        family, device="cpu", compile=False, steps=1, epochs=1, batch=2, warmup=0, sampling_steps=1
    )


def parameters(family: Diffusion) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in architecture(family).parameters())


@pytest.mark.parametrize("name", PAPER)
def test_one_step_of_training_and_of_sampling(name: str, rng: np.random.Generator) -> None:
    """Channels last, as on a GPU, but in float32: many a CPU has bfloat16 by emulation only."""
    family = on_cpu(PAPER[name])
    shape = (family.image_channels, family.size, family.size)
    pool = Pool(rng.uniform(-1, 1, (2, *shape)).astype(np.float32), np.array([0, 1]), 0)
    model = family.fit(pool, stream(0))
    x = model.sample(np.array([0, family.classes - 1]), stream(1))
    assert x.shape == (2, *shape)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert {str(w.dtype) for w in model.state().values()} == {"float32"}


@pytest.mark.parametrize(("name", "size"), [("mnist", (28, 1, 10)), ("fashion-mnist", (28, 1, 10)),
                                            ("cifar-10", (32, 3, 10)), ("celeba", (64, 3, 4))])  # fmt: skip
def test_images_are_the_papers(name: str, size: tuple[int, int, int]) -> None:
    f = PAPER[name]
    assert (f.size, f.image_channels, f.classes, f.epochs) == (*size, 3)


def test_celebas_model_and_probe_are_of_the_stated_size() -> None:
    """32 M parameters; 16,384 features x 4 classes = 65 K."""
    family = on_cpu(PAPER["celeba"])
    assert 30e6 < parameters(family) < 34e6
    assert parameters(PAPER["mnist"]) < 10e6  # control
    with torch.device("meta"):
        unet = architecture(family)
    unet = unet.to_empty(device="cpu")
    encoder = UNetEncoder(unet, 200).fit(np.zeros((1, 3, 64, 64), np.float32))
    assert encoder.transform(np.zeros((1, 3, 64, 64), np.float32)).shape == (1, 16_384)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_at_once() -> None:
    pool = Pool(np.zeros((2, 1, 28, 28), np.float32), np.array([0, 1]), 0)
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds no GPU here"):
        PAPER["mnist"].fit(pool, stream(0))
