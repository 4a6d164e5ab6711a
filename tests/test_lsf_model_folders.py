"""Encoders from diffusers folders: the same latents as from the model, and what cannot be trusted is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler
from safetensors.torch import load_file, save_file

from lsf.diffusion_encoder import DiffusionEncoder
from tests import tiny_models
from tests.tolerances import FLOAT32, HALF, close

SCHEDULER = DDPMScheduler(num_train_timesteps=400)
TEXT = np.linspace(-1, 1, 24).reshape(3, 8)
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((3, 1, 8, 8))


def latent_pipeline(folder: Path, seed: int) -> dict[str, Any]:
    """A pipeline folder as of Stable Diffusion, whose text parts are never read; its models."""
    models = {"unet": tiny_models.conditional(seed), "vae": tiny_models.vae(seed)}
    for name, part in {**models, "scheduler": SCHEDULER}.items():
        part.save_pretrained(folder / name)
    index = {name: ["diffusers", type(part).__name__] for name, part in models.items()}
    more = {"scheduler": ["diffusers", "DDPMScheduler"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    named = {"_class_name": "StableDiffusionPipeline", "safety_checker": [None, None], **index, **more}
    (folder / "model_index.json").write_text(json.dumps(named))
    return models


def test_folders_give_the_latents_of_their_models(tmp_path: Path, seed: int, x: np.ndarray) -> None:
    dit = tiny_models.dit(seed)
    dit.save_pretrained(tmp_path / "dit")
    found = DiffusionEncoder.from_pretrained(tmp_path / "dit", timesteps=7, batch_size=8)
    assert (found.alphas_cumprod, found.batch_size) == (None, 8)
    expected = DiffusionEncoder.from_model(dit, timesteps=7, batch_size=8).fit_transform(x)
    assert close(found.fit_transform(x), expected, FLOAT32, 100)  # not the same bits: weights lie elsewhere

    models = latent_pipeline(tmp_path / "sd", seed)
    settings: dict[str, Any] = {"timesteps": 7, "null_embedding": TEXT, "noised": True, "random_state": 1}
    settings["batch_size"] = 1
    found = DiffusionEncoder.from_pretrained(str(tmp_path / "sd"), **settings)
    np.testing.assert_array_equal(found.alphas_cumprod, SCHEDULER.alphas_cumprod)
    made = DiffusionEncoder.from_model(models["unet"], vae=models["vae"], scheduler=SCHEDULER, **settings)
    assert close(found.fit_transform(x), made.fit_transform(x), FLOAT32, 100)
    assert not close(
        found.set_params(null_embedding=-TEXT).fit_transform(x), made.transform(x), FLOAT32, 1000
    ), "control"


def test_dtype_is_that_of_the_loaded_model(tmp_path: Path, seed: int, x: np.ndarray) -> None:
    models = latent_pipeline(tmp_path, seed)
    settings: dict[str, Any] = {"timesteps": 7, "null_embedding": TEXT, "dtype": "bfloat16", "batch_size": 1}
    found = DiffusionEncoder.from_pretrained(tmp_path, device="cpu", **settings)
    assert {found.model.dtype, found.vae.dtype} == {torch.bfloat16, torch.float32}
    made = DiffusionEncoder.from_model(models["unet"], vae=models["vae"], **settings)
    assert close(found.fit_transform(x), made.fit_transform(x), HALF)


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "diffusion_pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def cut_short(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def with_weights(change: Any) -> Any:
    def changed(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        change(weights)
        save_file(weights, folder / WEIGHTS)

    return changed


def of_class(name: str) -> Any:
    def changed(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"_class_name": name}))

    return changed


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (as_pickle, "path holds no model that can be read from safetensors"),
        (cut_short, "path holds no model that can be read from safetensors"),
        (with_weights(lambda w: w.pop("conv_in.weight")), r"path lacks weights of the model .*'conv_in.weight'"),
        (with_weights(lambda w: w.update({"conv_in.bias": torch.zeros(9)})), "path holds no model"),
        (of_class("UNet3DConditionModel"), "path must hold a model of UNet2DModel, .*, found 'UNet3DConditionModel'"),
        (of_class("os"), "path must hold a model of UNet2DModel, .*, found 'os'"),
        (lambda folder: (folder / "config.json").write_text("{"), "path holds no readable config.json"),
        (lambda folder: (folder / "config.json").write_text("[]"), "path holds no readable config.json"),
        (shutil.rmtree, "path must be a diffusers model or pipeline folder, found no config.json"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_trusted(tmp_path: Path, spoil: Any, match: str, seed: int) -> None:
    folder = tmp_path / "model"
    tiny_models.unet(seed).save_pretrained(folder)
    DiffusionEncoder.from_pretrained(folder)  # control
    spoil(folder)
    with pytest.raises(ValueError, match=match):
        DiffusionEncoder.from_pretrained(folder)


def test_a_pipeline_that_cannot_be_used(tmp_path: Path, seed: int) -> None:
    DDPMPipeline(tiny_models.unet(seed), SCHEDULER).save_pretrained(tmp_path)
    assert DiffusionEncoder.from_pretrained(tmp_path).vae is None  # control
    index = json.loads((tmp_path / "model_index.json").read_text())
    scheduler = tmp_path / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(ValueError, match="path must hold a scheduler of diffusers, found 'UNet2DModel'"):
        DiffusionEncoder.from_pretrained(tmp_path)
    for change in (
        {"vqvae": ["diffusers", "VQModel"]},
        {"unet": [None, None]},
        {"transformer": index["unet"]},
    ):
        (tmp_path / "model_index.json").write_text(json.dumps(index | change))
        with pytest.raises(ValueError, match="path holds a pipeline of"):
            DiffusionEncoder.from_pretrained(tmp_path)


def test_nothing_is_fetched() -> None:
    """A name that is no folder here is no name to look up elsewhere."""
    with pytest.raises(ValueError, match="path must be a diffusers model or pipeline folder"):
        DiffusionEncoder.from_pretrained("google/ddpm-cifar10-32")
