"""What does the bottleneck of a diffusion U-Net say about a sample?

    h_t = e0(x, t),   or noised   h_t = e0(sqrt(abar_t) x + sqrt(1 - abar_t) eps, t),

the output of the encoder half of the generation-0 model, the paper's latent, at one or several timesteps t.
Every sample is given the same null label, since its own would leak into the latent, and the noised form
uses one fixed eps for all samples (drawn in fit, one a timestep), so that a score belongs to a sample.
Needs torch (extra "image").
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin

from lsf import checks
from lsf.blocks import in_blocks

__all__ = ["UNetEncoder"]


class UNetEncoder(TransformerMixin, BaseEstimator):
    """Frozen bottleneck features of a diffusers `UNet2DModel` (or any model called as one), NCHW samples.

    Parameters
    - model: kept as it is (also by `clone`, which shares it); it is never changed: training modes come back
      and the hook goes, also after an exception, and it runs in its own dtype and on its own device.
    - timesteps: whole numbers; features of several are concatenated in the order given.
    - layer: dotted name of the module whose output is the latent; the forward pass stops there.
    - noised, alphas_cumprod: noise samples to level t, with abar_t = alphas_cumprod[t].
    - pooling: "flatten" (the paper's) or "mean" over space.
    - null_label: fed for every sample; None: the last class embedding if the model has class embeddings.
    - batch_size: every forward pass has this many samples, the last one padded.
    - random_state: integer, Generator or None, for the noise.

    Fitted: `shape_` (C, H, W), `null_label_` (int or None), `noise_` (timesteps, C, H, W) or None.
    """

    def __init__(
        self,
        model: Any,
        timesteps: Sequence[int] | int = (200,),
        layer: str = "mid_block",
        noised: bool = False,
        alphas_cumprod: Any = None,
        pooling: str = "flatten",
        null_label: int | None = None,
        batch_size: int = 256,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.timesteps = timesteps
        self.layer = layer
        self.noised = noised
        self.alphas_cumprod = alphas_cumprod
        self.pooling = pooling
        self.null_label = null_label
        self.batch_size = batch_size
        self.random_state = random_state

    def __sklearn_clone__(self) -> UNetEncoder:
        # scikit-learn would copy the weights; the encoder is frozen, so one model serves all
        return type(self)(**self.get_params(deep=False))

    def fit(self, x: Any, y: Any = None) -> UNetEncoder:
        """Notes the shape of samples x (n, C, H, W), checks every parameter and draws the noise; y is not
        used.

        Raises ValueError on a missing layer (lists those there are), pooling, timesteps, labels or batch
        size out of range, or noised without alphas_cumprod.
        """
        shape = _images(x).shape[1:]
        _layer(self.model, self.layer)
        self._check_parameters()
        null_label = _null_label(self.model, self.null_label)
        self.shape_, self.null_label_, self.noise_ = shape, null_label, self._draw_noise(shape)
        return self

    def transform(self, x: Any) -> np.ndarray:
        """(n, timesteps * features) float32: for each timestep in turn its features, channel by channel."""
        return np.concatenate(list(self.latents(x)), axis=1)

    def latents(self, x: Any) -> np.ndarray:
        """(timesteps, n, features) float32, for those who want each timestep apart.

        Raises NotFittedError before fit; ValueError on NaN or infinite x, or samples of another shape than
        in fit.
        """
        checks.fitted(self, "shape_")
        images = _images(x)
        if images.shape[1:] != self.shape_:
            raise ValueError(f"x has samples of shape {images.shape[1:]}, fit saw {self.shape_}")
        with _evaluating(self.model), _stopping_at(_layer(self.model, self.layer)), torch.inference_mode():
            return np.stack([self._at(k, images) for k in range(len(self._timesteps()))])

    def _at(self, k: int, images: np.ndarray) -> np.ndarray:
        """Features (n, features) at the k-th timestep."""
        return in_blocks(lambda block: self._features(k, self._noised(k, block)), images, self.batch_size)

    def _noised(self, k: int, block: np.ndarray) -> np.ndarray:
        if self.noise_ is None:
            return block
        abar = float(np.asarray(self.alphas_cumprod)[self._timesteps()[k]])
        return np.float32(abar**0.5) * block + np.float32((1 - abar) ** 0.5) * self.noise_[k]

    def _features(self, k: int, block: np.ndarray) -> np.ndarray:
        weights = next(self.model.parameters())
        sample = torch.from_numpy(block).to(weights.device, weights.dtype)
        labels = None
        if self.null_label_ is not None:
            labels = torch.full((len(block),), self.null_label_, device=weights.device)
        hidden = _run(self.model, sample, self._timesteps()[k], labels).float()
        if self.pooling == "mean":
            hidden = hidden.flatten(2).mean(dim=2)
        return hidden.flatten(1).cpu().numpy()

    def _timesteps(self) -> list[int]:
        steps = np.atleast_1d(np.asarray(self.timesteps))
        if steps.ndim > 1 or not len(steps) or not np.issubdtype(steps.dtype, np.integer) or steps.min() < 0:
            raise ValueError(
                f"timesteps must be whole numbers, at least one, not negative; found {self.timesteps}"
            )
        return [int(t) for t in steps]

    def _check_parameters(self) -> None:
        steps = self._timesteps()
        if self.pooling not in ("flatten", "mean"):
            raise ValueError(f"pooling must be 'flatten' or 'mean', found {self.pooling!r}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {self.batch_size}")
        if self.noised and self.alphas_cumprod is None:
            raise ValueError("noised=True needs alphas_cumprod, the scheduler's; found None")
        if self.noised and max(steps) >= len(self.alphas_cumprod):
            raise ValueError(f"timesteps reach {max(steps)}, alphas_cumprod has {len(self.alphas_cumprod)}")

    def _draw_noise(self, shape: tuple[int, ...]) -> np.ndarray | None:
        if not self.noised:
            return None
        rng = np.random.default_rng(self.random_state)
        return rng.standard_normal((len(self._timesteps()), *shape)).astype(np.float32)


class _Reached(Exception):
    """Carries the latent out of the forward pass: the other half of the model need not run."""

    def __init__(self, output: Any) -> None:
        self.output = output[0] if isinstance(output, tuple) else output


def _run(model: Any, sample: torch.Tensor, timestep: int, labels: torch.Tensor | None) -> torch.Tensor:
    """The output of the layer that `_stopping_at` watches."""
    extra = {} if labels is None else {"class_labels": labels}
    try:
        model(sample, timestep, **extra)
    except _Reached as reached:
        return reached.output
    raise ValueError("layer was not reached in the model's forward pass")


@contextmanager
def _stopping_at(module: torch.nn.Module) -> Iterator[None]:
    def stop(_module: torch.nn.Module, _inputs: Any, output: Any) -> None:
        raise _Reached(output)

    hook = module.register_forward_hook(stop)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each module's own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _layer(model: Any, name: str) -> torch.nn.Module:
    try:
        module = model.get_submodule(name)
    except AttributeError:
        module = model
    if module is model:  # also for the empty name
        there = [child for child, _ in model.named_children()]
        raise ValueError(f"layer {name!r} is not in the model; at its top level are {there}")
    return module


def _null_label(model: Any, given: int | None) -> int | None:
    """The label fed for every sample; None for a model without class embeddings."""
    embedding = getattr(model, "class_embedding", None)
    if embedding is None:
        if given is not None:
            raise ValueError(f"null_label is {given}, but the model has no class embeddings")
        return None
    count = getattr(embedding, "num_embeddings", None)
    if given is None and count is None:
        raise ValueError("null_label must be given: the model's class embedding is no table with a last row")
    label = operator.index(given if given is not None else count - 1)  # type: ignore[operator]
    if count is not None and not 0 <= label < count:
        raise ValueError(f"null_label is {label}, but the model has class embeddings 0 to {count - 1}")
    return label


def _images(x: Any) -> np.ndarray:
    array = checks.finite("x", x)
    if array.ndim != 4 or array.size == 0:
        raise ValueError(f"x must be images (n, C, H, W), found shape {array.shape}")
    return array.astype(np.float32)
