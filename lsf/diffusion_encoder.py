"""What does the middle of a diffusion model say about a sample?

    h_t = e0(z, t, c),   or noised   h_t = e0(sqrt(abar_t) z + sqrt(1 - abar_t) eps, t, c),

the output of a layer in the middle of the model trained on real data, at one or several timesteps t: the paper's
latent, for three kinds of diffusers models. z is the sample itself or, for latent diffusion, what a VAE makes of it.
The class c is "no class" for every sample, since its own would leak into the latent, and the noised form uses one
fixed eps for all samples (drawn in fit, one a timestep), so that a score belongs to a sample. Needs torch (extra
"image").
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from lsf import checks
from lsf.architectures import architecture_of, fed, null_inputs, own_classes
from lsf.hooks import device_named, dtype_named, layer_of, one_copy
from lsf.model_folders import BATCH, parts_in, settings_of
from lsf.reading import POOLINGS, Reading, images_of
from lsf.timestep_choice import CANDIDATES, Trial, trials, whole_timesteps

__all__ = ["DiffusionEncoder"]

LEAKS = (
    "label='own' puts each sample's label into its latent: a probe reads it back, and its confidence then says nothing "
    "about the sample; for experiments on that leakage only"
)
UNSTEADY = (
    "batch_size={} lets a latent depend on its place in the batch, by rounding on this machine; {} is used"
)


class DiffusionEncoder(TransformerMixin, BaseEstimator):
    """Frozen features of a diffusers `UNet2DModel`, `UNet2DConditionModel` or `DiTTransformer2DModel`.

    Samples are NCHW, in the scale the model (or the VAE) was trained on. Make one by `from_model` or `from_pretrained`.

    Parameters
    - model: kept as it is (also by `clone`, which shares it) and never changed: training modes come back and the hook
      goes, also after an exception.
    - layer: dotted name of the module whose output is the latent; the forward pass stops there. None: `mid_block` of
      a U-Net, the middle transformer block of a DiT.
    - timesteps: whole numbers; features of several are concatenated in the order given. None: that one of `candidates`
      at which a probe does best on held-out samples of fit, which then needs y (`lsf.timestep_choice`).
    - vae: an `AutoencoderKL`, also never changed, where the model works on its latents: z is its mean, scaled.
    - noised, alphas_cumprod: noise z to level t, with abar_t = alphas_cumprod[t], the scheduler's.
    - pooling: "flatten" (the paper's), "mean" or "max" over space or tokens.
    - label: "null": no class. "mean": h averaged over all classes, for a model without a null class; as many forward
      passes as classes. "own": the sample's own label y, which `transform` then needs: it leaks into the latent.
    - null_label: the class embedding that stands for "no class"; None: the last, which a DiT has for that, and a U-Net
      if it was trained so. "mean" leaves it out.
    - null_embedding: what a `UNet2DConditionModel` reads for "no text", (tokens, width); where it asks for more, a
      mapping of `encoder_hidden_states`, `text_embeds`, `time_ids`, ... each of one sample. Never guessed.
    - candidates: timesteps to choose from.
    - batch_size: every forward pass has this many samples, the last one padded; fewer, with a warning, where on this
      machine a sample's latent would depend on its place in so large a batch.
    - device, dtype: run on copies of the weights, made once a call, and once a stream (None: where and as the model
      is; the VAE keeps its own dtype). To spare the copies, move the model yourself.
    - random_state: integer, Generator or None, for the noise and for the samples held out.

    Fitted: `shape_` (C, H, W) of samples, `timesteps_` (list), `noise_` (timesteps, c, h, w) or None, `trials_` (list
    of `Trial`, one a candidate) or None, and `reading_`, all that is settled (a `Reading`): parameters set after fit
    change nothing before the next fit.
    """

    def __init__(
        self,
        model: Any,
        layer: str | None = None,
        timesteps: Sequence[int] | int | None = None,
        vae: Any = None,
        noised: bool = False,
        alphas_cumprod: Any = None,
        pooling: str = "flatten",
        label: str = "null",
        null_label: int | None = None,
        null_embedding: Any = None,
        candidates: Sequence[int] = CANDIDATES,
        batch_size: int = BATCH,
        device: Any = None,
        dtype: Any = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.layer = layer
        self.timesteps = timesteps
        self.vae = vae
        self.noised = noised
        self.alphas_cumprod = alphas_cumprod
        self.pooling = pooling
        self.label = label
        self.null_label = null_label
        self.null_embedding = null_embedding
        self.candidates = candidates
        self.batch_size = batch_size
        self.device = device
        self.dtype = dtype
        self.random_state = random_state

    @classmethod
    def from_model(
        cls,
        model: Any,
        layer: str | None = None,
        timesteps: Any = None,
        scheduler: Any = None,
        **settings: Any,
    ) -> DiffusionEncoder:
        """An encoder of a model, or of a diffusers pipeline: of its unet or transformer, vae and scheduler.

        `settings` are parameters of the class; what is not given is filled in: alphas_cumprod from the scheduler, a
        batch_size of 256, with a VAE of 16. Raises TypeError for a model of another kind.
        """
        parts = getattr(model, "components", {"unet": model})
        given = {} if scheduler is None else {"scheduler": scheduler}
        return cls(layer=layer, timesteps=timesteps, **settings_of({**parts, **given}, settings))

    @classmethod
    def from_pretrained(
        cls, path: Any, layer: str | None = None, timesteps: Any = None, **settings: Any
    ) -> DiffusionEncoder:
        """As `from_model`, of a diffusers model or pipeline folder on this disk, read from safetensors only.

        The model is brought to `device` and `dtype` once. Raises ValueError for a folder that cannot be read.
        """
        device, dtype = device_named(settings.get("device")), dtype_named(settings.get("dtype"))
        parts = parts_in(path, dtype)
        for name in {"unet", "transformer", "vae"} & set(parts):
            parts[name].to(device=device)
        return cls(layer=layer, timesteps=timesteps, **settings_of(parts, settings))

    def __sklearn_clone__(self) -> DiffusionEncoder:
        # scikit-learn would copy the weights; the encoder is frozen, so one model serves all
        return type(self)(**self.get_params(deep=False))

    @one_copy()
    def fit(self, x: Any, y: Any = None) -> DiffusionEncoder:
        """Notes the shape of samples x (n, C, H, W), checks every parameter, tries the model on one sample, draws
        the noise and, where timesteps is None, chooses one by labels y (n,), which are not used otherwise.

        Raises TypeError on a model or VAE of another kind; ValueError on a missing layer (lists those there are) or
        one the pooling cannot use, parameters out of range or that the model cannot use, noised without
        alphas_cumprod, x the model cannot take, or y that is missing, or holds the class taken for "no class".
        A fit that raises changes nothing.
        """
        images = images_of(x)
        if self.random_state is not None:
            checks.generator("random_state", self.random_state)
        reading = self._reading(y)
        z = reading.encoded(images[:1])
        reading.try_on(z)
        reading = reading.steady(images[:1])
        if reading.batch_size < self.batch_size:
            warnings.warn(UNSTEADY.format(self.batch_size, reading.batch_size), stacklevel=3)
        count = 1 if self.timesteps is None else len(reading.timesteps)
        noise = self._draw_noise((count, *z.shape[1:]))
        if self.timesteps is None:  # one noise for all candidates: the choice is then as if it had been given
            reading, tried = self._best(reading.one_by_one(noise), images, y)
        else:
            reading, tried = replace(reading, noise=noise), None
        self.shape_, self.reading_, self.trials_ = images.shape[1:], reading, tried
        self.timesteps_, self.noise_ = list(reading.timesteps), noise
        return self

    def fit_transform(self, x: Any, y: Any = None) -> np.ndarray:
        """`fit(x, y)`, then `transform(x, y)`."""
        return self.fit(x, y).transform(x, y)

    def transform(self, x: Any, y: Any = None) -> np.ndarray:
        """(n, timesteps * features) float32: for each timestep in turn its features, channel by channel of a U-Net,
        token by token of a transformer. Labels y (n,) are used for label="own" only. Errors as `latents`.
        """
        return np.concatenate(list(self.latents(x, y)), axis=1)

    def latents(self, x: Any, y: Any = None) -> np.ndarray:
        """(timesteps, n, features) float32, for those who want each timestep apart.

        Raises NotFittedError before fit; ValueError on NaN or infinite x or latents, samples of another shape than
        in fit, or, for label="own", labels that are missing or no classes of the model.
        """
        checks.fitted(self, "reading_")
        images = images_of(x)
        if images.shape[1:] != self.shape_:
            cure = ": channels come first, x.transpose(0, 3, 1, 2)" * (_channels_last(images) == self.shape_)
            raise ValueError(f"x has samples of shape {images.shape[1:]}, fit saw {self.shape_}{cure}")
        own = None if self.reading_.classes else self._own_labels(y, len(images))
        return self.reading_.latents(self.reading_.encoded(images), own)

    def holding(self) -> AbstractContextManager[None]:
        """Within it the weights are copied once, where device or dtype ask for copies; see `lsf.encoders.holding`."""
        return one_copy()

    def _reading(self, y: Any) -> Reading:
        """All that is settled before the model runs; every parameter is checked."""
        kind, null = architecture_of(self.model), null_inputs(self.null_embedding)
        kind.check_null(null)
        layer = kind.layer if self.layer is None else self.layer
        layer_of(self.model, layer)
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {POOLINGS}, found {self.pooling!r}")
        batch_size = checks.whole("batch_size", self.batch_size)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {self.batch_size}")
        device_named(self.device), dtype_named(self.dtype)  # refuse what is no such thing
        classes, steps = fed(kind.classes, self.label, self.null_label, y), self._steps()
        if not classes:
            self._warn_of_leakage()
        return Reading(
            kind=kind,
            layer=layer,
            timesteps=steps,
            classes=classes,
            null=null,
            vae=self.vae,
            pooling=self.pooling,
            batch_size=batch_size,
            device=self.device,
            dtype=self.dtype,
            abar=self._abar(steps),
        )

    def _best(self, readings: list[Reading], images: np.ndarray, y: Any) -> tuple[Reading, list[Trial]]:
        # a child stream, so that the split and the noise from one seed are independent
        tried = trials(readings, images, y, np.random.default_rng(self.random_state).spawn(1)[0])
        return readings[int(np.argmin([trial.log_loss for trial in tried]))], tried

    def _warn_of_leakage(self) -> None:
        if self.timesteps is None:
            raise ValueError(
                "timesteps must be given for label='own': a probe would choose by the leaked labels"
            )
        warnings.warn(LEAKS, stacklevel=5)

    def _own_labels(self, y: Any, count: int) -> np.ndarray:
        if y is None:
            raise ValueError(
                "y must be given for label='own': transform(x, y); a filter gives its encoder no labels, so give it "
                "these latents as x"
            )
        return own_classes(self.reading_.kind.classes, checks.labels_for("y", y, count, "x"))

    def _steps(self) -> tuple[int, ...]:
        if self.timesteps is None:
            return whole_timesteps("candidates", self.candidates, self.alphas_cumprod)
        return whole_timesteps("timesteps", self.timesteps, self.alphas_cumprod)

    def _abar(self, steps: tuple[int, ...]) -> np.ndarray | None:
        if self.noised and self.alphas_cumprod is None:
            raise ValueError("noised=True needs alphas_cumprod, the scheduler's; found None")
        return np.asarray(self.alphas_cumprod)[list(steps)] if self.noised else None

    def _draw_noise(self, shape: tuple[int, ...]) -> np.ndarray | None:
        if not self.noised:
            return None
        return np.random.default_rng(self.random_state).standard_normal(shape).astype(np.float32)


def _channels_last(images: np.ndarray) -> tuple[int, ...]:
    """What a sample's shape would be if its channels were last."""
    height, width, channels = images.shape[1:]
    return (channels, height, width)
