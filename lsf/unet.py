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

    Fitted: `shape_` (C, H, W), `timesteps_` (list), `null_label_` (int or None), `noise_` (timesteps, C, H, W)
    or None.
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
        """Notes the shape of samples x (n, C, H, W), checks every parameter, tries the model on one sample
        and draws the noise; y is not used.

        Raises ValueError on a missing layer (lists those there are) or one the pooling cannot use, pooling,
        timesteps, labels or batch size out of range, noised without alphas_cumprod, or x the model cannot
        take.
        """
        images = _images(x)
        _layer(self.model, self.layer)
        steps = self._whole_timesteps()
        self._check_parameters(max(steps))
        null_label = _null_label(self.model, self.null_label)
        noise = self._draw_noise((len(steps), *images.shape[1:]))
        self._try(images[:1], max(steps), null_label)
        self.shape_, self.timesteps_, self.null_label_, self.noise_ = (
            images.shape[1:],
            steps,
            null_label,
            noise,
        )
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
            return np.stack([self._at(k, images) for k in range(len(self.timesteps_))])

    def _at(self, k: int, images: np.ndarray) -> np.ndarray:
        """Features (n, features) at the k-th timestep."""
        return in_blocks(lambda block: self._features(k, self._noised(k, block)), images, self.batch_size)

    def _noised(self, k: int, block: np.ndarray) -> np.ndarray:
        if self.noise_ is None:
            return block
        abar = float(np.asarray(self.alphas_cumprod)[self.timesteps_[k]])
        return np.float32(abar**0.5) * block + np.float32((1 - abar) ** 0.5) * self.noise_[k]

    def _features(self, k: int, block: np.ndarray) -> np.ndarray:
        hidden = _run(self.model, block, self.timesteps_[k], self.null_label_).float()
        if self.pooling == "mean":
            hidden = hidden.flatten(2).mean(dim=2)
        return hidden.flatten(1).cpu().numpy()

    def _try(self, sample: np.ndarray, timestep: int, null_label: int | None) -> None:
        """One sample through the model, so that what cannot work is refused in fit."""
        try:
            with (
                _evaluating(self.model),
                _stopping_at(_layer(self.model, self.layer)),
                torch.inference_mode(),
            ):
                hidden = _run(self.model, sample, timestep, null_label)
        except _Unreached:
            raise ValueError(f"layer {self.layer!r} is never reached in the model's forward pass") from None
        except (RuntimeError, IndexError) as error:
            at = f"shape {sample.shape[1:]} at timestep {timestep}"
            raise ValueError(f"x has samples that the model cannot take, of {at}: {error}") from error
        if not isinstance(hidden, torch.Tensor) or not hidden.ndim or len(hidden) != 1:
            raise ValueError(f"layer {self.layer!r} does not give one latent a sample")
        if self.pooling == "mean" and hidden.ndim < 3:
            raise ValueError(
                f"pooling='mean' needs a layer with space, {self.layer!r} gives {tuple(hidden.shape)}"
            )

    def _whole_timesteps(self) -> list[int]:
        steps = np.atleast_1d(np.asarray(self.timesteps))
        if steps.ndim > 1 or not len(steps) or not np.issubdtype(steps.dtype, np.integer) or steps.min() < 0:
            raise ValueError(
                f"timesteps must be whole numbers, at least one, not negative; found {self.timesteps}"
            )
        return [int(t) for t in steps]

    def _check_parameters(self, last: int) -> None:
        if self.pooling not in ("flatten", "mean"):
            raise ValueError(f"pooling must be 'flatten' or 'mean', found {self.pooling!r}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {self.batch_size}")
        if self.noised and self.alphas_cumprod is None:
            raise ValueError("noised=True needs alphas_cumprod, the scheduler's; found None")
        if self.alphas_cumprod is not None and last >= len(self.alphas_cumprod):
            raise ValueError(f"timesteps reach {last}, alphas_cumprod has {len(self.alphas_cumprod)}")

    def _draw_noise(self, shape: tuple[int, ...]) -> np.ndarray | None:
        if not self.noised:
            return None
        if self.random_state is not None:
            checks.generator("random_state", self.random_state)
        return np.random.default_rng(self.random_state).standard_normal(shape).astype(np.float32)


class _Reached(Exception):
    """Carries the latent out of the forward pass: the other half of the model need not run."""

    def __init__(self, output: Any) -> None:
        self.output = output[0] if isinstance(output, tuple) else output


class _Unreached(Exception):
    """The forward pass ended without the latent."""


def _run(model: Any, block: np.ndarray, timestep: int, null_label: int | None) -> torch.Tensor:
    """The output of the layer that `_stopping_at` watches, on a block of samples."""
    weights = next(model.parameters())
    sample = torch.from_numpy(block).to(weights.device, weights.dtype)
    extra = {}
    if null_label is not None:
        extra["class_labels"] = torch.full((len(block),), null_label, device=weights.device)
    try:
        model(sample, timestep, **extra)
    except _Reached as reached:
        return reached.output
    raise _Unreached


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
    with np.errstate(over="ignore"):
        images = array.astype(np.float32)
    if not np.isfinite(images).all():
        raise ValueError("x has values beyond float32, in which the model runs: rescale x")
    return images
