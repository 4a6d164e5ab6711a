"""How is each kind of diffusion model asked for a latent, and which class is "no class"?

    UNet2DModel              model(z, t, class)              middle block, (n, width, h, w)
    UNet2DConditionModel     model(z, t, text, class)        middle block, (n, width, h, w)
    DiTTransformer2DModel    model(z, (t, ..., t), class)    middle transformer block, (n, tokens, width)

and an `AutoencoderKL` before any of them: z = (mean(x) - shift) * scaling_factor, as diffusers' pipelines scale it
(Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022, section 4.3.2).
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lsf import checks
from lsf.hooks import Lent

__all__ = [
    "UNet",
    "ConditionalUNet",
    "DiT",
    "Classes",
    "MeanOfVAE",
    "architecture_of",
    "fed",
    "own_classes",
    "null_inputs",
]

LABELS = ("null", "mean", "own")


@dataclass(frozen=True)
class Classes:
    """Class embeddings of a model: rows 0 to `rows` - 1 (None: no table of rows), of which the first `named` may be
    classes and `null`, unless another is given, stands for "no class"."""

    rows: int | None
    named: int | None
    null: int | None

    def null_or(self, given: int | None) -> int:
        """The row fed for every sample; ValueError if there is none or it is out of range."""
        if given is None and self.null is None:
            raise ValueError("null_label must be given: no class embedding is known to stand for 'no class'")
        label = operator.index(self.null if given is None else given)  # type: ignore[arg-type]
        if self.rows is not None and not 0 <= label < self.rows:
            raise ValueError(
                f"null_label is {label}, but the model has class embeddings 0 to {self.rows - 1}"
            )
        return label

    def but(self, null_label: int | None) -> tuple[int, ...]:
        """Every class, without `null_label`; ValueError if there is no table of them."""
        if self.named is None:
            raise ValueError("label='mean' needs a table of class embeddings, which the model has not")
        left_out = None if null_label is None else self.null_or(null_label)
        return tuple(c for c in range(self.named) if c != left_out)


def fed(classes: Classes | None, label: str, null_label: int | None, y: Any = None) -> tuple[int | None, ...]:
    """The classes averaged over for `label`: one for "null" ((None,) without classes), () for "own".

    Raises ValueError on arguments the model's classes do not allow, or if the row taken for "no class", with none
    given, is a label in y (n,): the model then seems to have no such row.
    """
    if label not in LABELS:
        raise ValueError(f"label must be one of {LABELS}, found {label!r}")
    if classes is None:
        if label != "null":
            raise ValueError(f"label is {label!r}, but the model has no class embeddings: use 'null'")
        if null_label is not None:
            raise ValueError(f"null_label is {null_label}, but the model has no class embeddings")
        return (None,)
    if label == "null":
        null = classes.null_or(null_label)
        if null_label is None and y is not None and _has_no_row_to_spare(null, np.asarray(y)):
            raise ValueError(
                f"null_label must be given: the last class embedding, {null}, is taken for 'no class', but is a label "
                f"in y, or one of its classes must have it; null_label={null} says so all the same, label='mean' does "
                "without"
            )
        return (null,)
    return classes.but(null_label) if label == "mean" else ()


def _has_no_row_to_spare(null: int, y: np.ndarray) -> bool:
    """Is the last row a label, or are there as many classes, however they are called, as rows?"""
    return bool(np.any(y == null)) or len(np.unique(y)) > null


def own_classes(classes: Classes | None, y: np.ndarray) -> np.ndarray:
    """Labels y (n,) as rows of the class embedding; ValueError if one is no class of the model."""
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"y must be the model's own class numbers for label='own', found dtype {y.dtype}")
    most = np.inf if classes is None or classes.named is None else classes.named - 1
    if y.min() < 0 or y.max() > most:
        raise ValueError(f"y has labels {y.min()} to {y.max()}, but the model has classes 0 to {most}")
    return y


class UNet:
    """diffusers' `UNet2DModel`."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def layer(self) -> str:
        """Name of the layer in the middle."""
        return "mid_block"

    @property
    def classes(self) -> Classes | None:
        """None for a model without classes. Whether the last row is "no class" is not written in the model."""
        embedding = getattr(self.model, "class_embedding", None)
        if embedding is None:
            return None
        rows = getattr(embedding, "num_embeddings", None)
        return Classes(rows, rows, None if rows is None else rows - 1)

    def check_null(self, null: Mapping[str, np.ndarray]) -> None:
        """ValueError unless the model can take these inputs."""
        if null:
            raise ValueError(f"null_embedding is given, but a {type(self.model).__name__} takes none")

    def run(self, on: Lent, z: np.ndarray, t: int, label: int | None, null: Mapping[str, np.ndarray]) -> Any:
        """A forward pass of samples z (n, C, H, W) at timestep t, all of one class (None: of no class)."""
        return on.call(on.numbers(z), t, **self._inputs(on, len(z), label, null))

    def _inputs(self, on: Lent, n: int, label: int | None, null: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {} if label is None else {"class_labels": on.whole(label, n)}


class ConditionalUNet(UNet):
    """diffusers' `UNet2DConditionModel`: what its cross attention reads is the same for every sample."""

    def check_null(self, null: Mapping[str, np.ndarray]) -> None:
        """ValueError if cross attention has nothing to read."""
        reads = any(getattr(module, "has_cross_attention", False) for module in self.model.modules())
        if reads and "encoder_hidden_states" not in null:
            width = self.model.config.encoder_hid_dim or self.model.config.cross_attention_dim
            raise ValueError(
                f"null_embedding must be given, (tokens, width) with width {width}: what the model was trained to read "
                "for 'no text', as the text encoder's output for an empty prompt (zeros only if it was trained so)"
            )

    def _inputs(self, on: Lent, n: int, label: int | None, null: Mapping[str, np.ndarray]) -> dict[str, Any]:
        text: dict[str, Any] = {name: on.numbers(a).expand(n, *a.shape) for name, a in null.items()}
        first = {"encoder_hidden_states": text.pop("encoder_hidden_states", None)}
        return {**super()._inputs(on, n, label, null), **first, "added_cond_kwargs": text}


class DiT(UNet):
    """diffusers' `DiTTransformer2DModel`: its table has one row more than classes, for "no class"."""

    @property
    def layer(self) -> str:
        """The transformer block that ends the first half."""
        return f"transformer_blocks.{(len(self.model.transformer_blocks) - 1) // 2}"

    @property
    def classes(self) -> Classes:
        """Rows 0 to num_embeds_ada_norm - 1 are classes, the row after them is none."""
        rows = self.model.transformer_blocks[0].norm1.emb.class_embedder.embedding_table.num_embeddings
        named = self.model.config.num_embeds_ada_norm
        return Classes(rows, named, named if rows > named else None)

    def run(self, on: Lent, z: np.ndarray, t: int, label: int | None, null: Mapping[str, np.ndarray]) -> Any:
        """As a U-Net, with the timestep once a sample."""
        return on.call(on.numbers(z), on.whole(t, len(z)), **self._inputs(on, len(z), label, null))


KINDS = {"UNet2DModel": UNet, "UNet2DConditionModel": ConditionalUNet, "DiTTransformer2DModel": DiT}


def architecture_of(model: Any) -> UNet:
    """The way to run `model`; TypeError if its class comes from none of the three."""
    for base in type(model).__mro__:  # by name: a model need not drag in all of diffusers
        if base.__name__ in KINDS:
            return KINDS[base.__name__](model)
    raise TypeError(f"model must be a diffusers {', '.join(KINDS)}, found {type(model).__name__}")


class MeanOfVAE(torch.nn.Module):
    """x -> z (n, c, h, w): the mean an `AutoencoderKL` encodes x by, in the scale of its diffusion model."""

    def __init__(self, vae: Any) -> None:
        if "AutoencoderKL" not in {base.__name__ for base in type(vae).__mro__}:
            raise TypeError(f"vae must be a diffusers AutoencoderKL, found {type(vae).__name__}")
        super().__init__()
        self.vae = vae

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(mean - shift) * scaling_factor / spread; most autoencoders have shift 0 and spread 1."""
        config, mean = self.vae.config, self.vae.encode(x).latent_dist.mean
        shift, spread = config.get("shift_factor") or 0.0, 1.0
        if config.get("latents_mean") and config.get("latents_std"):
            both = config.latents_mean, config.latents_std
            shift, spread = (mean.new_tensor(numbers)[:, None, None] for numbers in both)
        return (mean - shift) * config.scaling_factor / spread


def null_inputs(null_embedding: Any) -> dict[str, np.ndarray]:
    """What a model is fed for "no text", for one sample, by the name of its input.

    An array (tokens, width) is `encoder_hidden_states`; a mapping names it, and what else the model asks for.
    """
    if null_embedding is None:
        return {}
    many = isinstance(null_embedding, Mapping)
    named = null_embedding if many else {"encoder_hidden_states": null_embedding}
    inputs = {name: checks.finite("null_embedding", a).astype(np.float32) for name, a in named.items()}
    text = inputs.get("encoder_hidden_states")
    if text is not None and text.ndim != 2:
        raise ValueError(f"null_embedding must be (tokens, width), of one sample, found shape {text.shape}")
    return inputs
