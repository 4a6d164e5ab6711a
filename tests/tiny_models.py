"""Small diffusers models with random weights, one of each kind that `lsf` reads latents from; samples 1 x 8 x 8."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DiTTransformer2DModel, UNet2DConditionModel, UNet2DModel

__all__ = ["unet", "conditional", "vae", "dit"]

SMALL: dict[str, Any] = {"layers_per_block": 1, "norm_num_groups": 4}


def _drawn(make: Any, seed: int, **settings: Any) -> Any:
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make(**settings)
        for (
            weights
        ) in model.parameters():  # some layers start at zero, which would hide what comes before them
            torch.nn.init.normal_(weights, std=0.3)
    return model.train()


def unet(seed: int, classes: int | None = 4) -> Any:
    return _drawn(
        UNet2DModel,
        seed,
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(4, 8),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        num_class_embeds=classes,
        dropout=0.5,
        **SMALL,
    )


def conditional(seed: int, **settings: Any) -> Any:
    """Of latents 2 x 4 x 4; reads text (tokens, 8)."""
    own: dict[str, Any] = {
        "sample_size": 4,
        "in_channels": 2,
        "out_channels": 2,
        "block_out_channels": (4, 8),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": 2,
        "cross_attention_dim": 8,
        "dropout": 0.5,
    }
    return _drawn(UNet2DConditionModel, seed, **own | SMALL | settings)


def vae(seed: int, **settings: Any) -> Any:
    """1 x 8 x 8 to 2 x 4 x 4."""
    return _drawn(
        AutoencoderKL,
        seed,
        in_channels=1,
        out_channels=1,
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=2,
        sample_size=8,
        **SMALL,
        **settings,
    )


def dit(seed: int, channels: int = 1, size: int = 8) -> Any:
    """Three blocks, tokens of width 8, three classes and a row for none."""
    return _drawn(
        DiTTransformer2DModel,
        seed,
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=channels,
        num_layers=3,
        sample_size=size,
        patch_size=2,
        num_embeds_ada_norm=3,
        norm_num_groups=4,
        dropout=0.5,
    )
