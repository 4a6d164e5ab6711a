"""What does a diffusers folder on this disk, or a pipeline, hold for an encoder, and how is it read without trust?

A model folder has config.json, a pipeline folder model_index.json and a folder for each part. Weights are read from
safetensors files only, nothing is fetched, no code in the folder is run, and a model whose weights are not all there
is refused: diffusers would draw the missing ones at random. Needs diffusers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lsf.architectures import KINDS, architecture_of

__all__ = ["BATCH", "parts_in", "settings_of"]

BATCH, LATENT_BATCH = 256, 16
"""Samples of a forward pass; of images large enough to need a VAE, fewer."""
NETS = ("unet", "transformer")


def settings_of(parts: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of an encoder from the parts of a pipeline, beside those given, which come first.

    Raises TypeError for a pipeline without a model of a known kind, or with a vqvae.
    """
    model = parts["unet"] if "unet" in parts else parts.get("transformer")
    architecture_of(model)
    if "vqvae" in parts:
        raise TypeError("model is a pipeline with a vqvae: give its unet, and x as the vqvae encodes images")
    abar = getattr(parts.get("scheduler"), "alphas_cumprod", None)
    found = {"vae": parts.get("vae"), "alphas_cumprod": None if abar is None else np.asarray(abar)}
    settings: dict[str, Any] = {"model": model, **found, **given}
    return {"batch_size": BATCH if settings["vae"] is None else LATENT_BATCH, **settings}


def parts_in(path: Any, dtype: Any = None) -> dict[str, Any]:
    """The parts of the diffusers folder `path`: the denoiser as "unet" or "transformer", with "vae" and "scheduler"
    where a pipeline has them. `dtype` is for the denoiser (None: float32).

    Raises ValueError if it is no such folder, has a part of no known kind, no safetensors files, damaged ones, or
    weights that are missing or of other shapes.
    """
    folder = Path(path)
    if (folder / "config.json").is_file():
        return {"unet": _model(folder, tuple(KINDS), dtype)}
    if not (folder / "model_index.json").is_file():
        raise ValueError(
            f"path must be a diffusers model or pipeline folder, found no config.json in {folder}"
        )
    index = _json(folder / "model_index.json")
    named = {name for name, value in index.items() if isinstance(value, list) and None not in value}
    nets = [name for name in NETS if name in named]
    if len(nets) != 1 or "vqvae" in named:
        raise ValueError(
            f"path holds a pipeline of {sorted(named)}: it needs one of {NETS}, alone or with a vae"
        )
    parts = {nets[0]: _model(folder / nets[0], tuple(KINDS), dtype)}
    if "vae" in named:
        parts["vae"] = _model(folder / "vae", ("AutoencoderKL",))
    if "scheduler" in named:
        parts["scheduler"] = _scheduler(folder / "scheduler")
    return parts


def _model(folder: Path, allowed: tuple[str, ...], dtype: Any = None) -> Any:
    import diffusers

    name = _json(folder / "config.json").get("_class_name")
    if name not in allowed:
        raise ValueError(f"path must hold a model of {', '.join(allowed)}, found {name!r} in {folder}")
    safe = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    try:
        model, told = getattr(diffusers, name).from_pretrained(folder, torch_dtype=dtype, **safe)
    except Exception as error:  # of many kinds: of files, of safetensors, of shapes
        raise ValueError(
            f"path holds no model that can be read from safetensors, {folder}: {error}"
        ) from error
    if told["missing_keys"]:
        raise ValueError(
            f"path lacks weights of the model in {folder}: {sorted(told['missing_keys'])[:5]}, ..."
        )
    return model


def _scheduler(folder: Path) -> Any:
    import diffusers

    name = _json(folder / "scheduler_config.json").get("_class_name", "")
    kind = getattr(diffusers, name, None) if name.endswith("Scheduler") else None
    if kind is None:
        raise ValueError(f"path must hold a scheduler of diffusers, found {name!r} in {folder}")
    return kind.from_pretrained(folder, local_files_only=True)


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"path holds no readable {file.name}, {file}: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"path holds no readable {file.name}, {file}: it is no object")
    return content
