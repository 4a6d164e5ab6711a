"""The models of the paper's size start at the first try: one step of each on the CPU, and the sizes it states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lsf.diffusion_encoder import DiffusionEncoder
from lsf.pool import Pool
from sims import image_worlds
from sims.denoising import architecture
from sims.diffusion import Diffusion
from sims.loop import run
from sims.paper_size import PAPER
from sims.presets import AT_PAPER_SIZE, Preset
from sims.seeds import stream


def on_cpu(family: Diffusion) -> Diffusion:
    """One step of it, two images at a time; in float32, as many a CPU has bfloat16 by emulation only."""
    return replace(
        family,
        device="cpu",
        compile=False,
        steps=1,
        epochs=1,
        batch=2,
        warmup=0,
        sampling_steps=1,
        precision="float32",
    )


def parameters(family: Diffusion) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in architecture(family).parameters())


@pytest.mark.parametrize("name", PAPER)
def test_one_step_of_training_and_of_sampling(name: str, rng: np.random.Generator) -> None:
    family = on_cpu(PAPER[name])
    shape = (family.image_channels, family.size, family.size)
    pool = Pool(rng.uniform(-1, 1, (2, *shape)).astype(np.float32), np.array([0, 1]), 0)
    x = family.fit(pool, stream(0)).sample(np.array([0, family.classes - 1]), stream(1))
    assert x.shape == (2, *shape)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()


def write_images(folder: Path, classes: int, size: int, mode: str, rng: np.random.Generator) -> None:
    """Twenty-four images of noise a class."""
    shape = (size, size) if mode == "L" else (size, size, 3)
    for c in range(classes):
        (folder / str(c)).mkdir(parents=True)
        for i in range(24):
            Image.fromarray(rng.integers(256, size=shape, dtype=np.uint8)).save(folder / str(c) / f"{i}.png")


@pytest.mark.slow
@pytest.mark.parametrize("row", AT_PAPER_SIZE, ids=lambda row: row.name)
def test_a_generation_of_every_preset_starts_at_the_first_try(
    row: Preset, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole loop: generation 0, the filter's latents, one more generation, all the metrics."""
    monkeypatch.setattr(image_worlds, "ENCODED", 2)
    family = replace(on_cpu(row.world.generator), classes=2)  # type: ignore[union-attr]
    mode, kind = ("L", "grey") if family.image_channels == 1 else ("RGB", "rgb")
    write_images(tmp_path / "images", family.classes, family.size, mode, rng)
    world = replace(
        row.world,
        generator=family,
        data=f"folder:{family.size}:{kind}",
        folder=str(tmp_path / "images"),
        ole_timesteps=(200,),
        ole_per_class=1,
        spaces=(),
        slow_spaces=(),
    )
    small = replace(row, world=world, budget=2, evaluated=8, generations=1)
    records = run(small, 0, tmp_path / "run", ["ACU-LSF"]).records()
    assert [r["metrics"]["n"] for r in records] == [8, 8]
    assert all(np.isfinite(r["metrics"]["frechet"]) for r in records)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_stay_float32_in_either_precision(precision: str, rng: np.random.Generator) -> None:
    family = replace(on_cpu(PAPER["mnist"]), precision=precision)
    pool = Pool(rng.uniform(-1, 1, (2, 1, 28, 28)).astype(np.float32), np.array([0, 1]), 0)
    model = family.fit(pool, stream(0))
    assert {str(w.dtype) for w in model.state().values()} == {"float32"}
    assert np.isfinite(model.sample(np.array([0, 9]), stream(1))).all()


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
    for weights in unet.parameters():  # empty memory may hold NaN, which the encoder refuses
        torch.nn.init.zeros_(weights)
    encoder = DiffusionEncoder.from_model(unet, timesteps=200, batch_size=1)
    assert encoder.fit_transform(np.zeros((1, 3, 64, 64), np.float32)).shape == (1, 16_384)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_at_once() -> None:
    pool = Pool(np.zeros((2, 1, 28, 28), np.float32), np.array([0, 1]), 0)
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds no GPU here"):
        PAPER["mnist"].fit(pool, stream(0))
