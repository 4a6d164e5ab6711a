"""What do timestep, latent and sampler mean in a diffusion model that has learned its law without any error?

x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e, or x_w = x_t / sqrt(abar_t) = x_0 + w e with w = sqrt((1-abar)/abar). Data
of a Gaussian mixture, components k of weight p_k, mean m_k and covariance S_k = V_k diag(lam_k) V_k', have the denoiser

    E[x_0 | x_w] = sum_k r_k (m_k + V_k lam_k/(lam_k + w^2) V_k' (x_w - m_k)),   r_k ~ p_k N(x_w; m_k, S_k + w^2 I),

and score (E[x_0 | x_w] - x_w)/w^2 (Tweedie; Efron, JASA 2011). The null label stands for all classes alike. DDIM
(Song, Meng and Ermon, ICLR 2021; eta = 0) is Euler's method of the probability-flow ODE dx/dw = (x - E[x_0|x])/w:

    x_{w'} = x_w + (w' - w) (x_w - E[x_0 | x_w])/w,   w = w_999 > ... > w_0 > 0,   x_{w_999} = sqrt(1 + w_999^2) e.

For one Gaussian a step multiplies x - m along an axis by (lam + w w')/(lam + w^2), so that finite steps draw

    N(m - V F V' m, V lam^ V'),   F = prod (lam + w w')/(lam + w^2),   lam^ = (1 + w_999^2) F^2.

They contract: by Cauchy-Schwarz (lam + w w')^2 <= (lam + w^2)(lam + w'^2), so lam^ stays below its limit for endless
steps, lam (1 + w_999^2)/(lam + w_999^2); and a level w'' between w and w' raises F, since (lam + w w'')(lam + w'' w')
= (lam + w w')(lam + w''^2) + lam (w - w'')(w'' - w'). Source: own derivation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, TransformerMixin

from lsf import checks
from lsf.blocks import in_blocks
from lsf.ole import normalised_ole, ole
from sims.laws import Laws

__all__ = [
    "ABAR",
    "noise_level",
    "Denoiser",
    "posterior_mean",
    "Diffused",
    "PosteriorMean",
    "csnr_of",
    "latent_curve",
]

ABAR = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
"""abar_0 .. abar_999 of the linear schedule (Ho et al., NeurIPS 2020)."""
ROWS = 1024  # a block, always: all components of all classes are held for each row


def noise_level(timestep: Any) -> float:
    """w = sqrt((1 - abar_t)/abar_t); ValueError naming `timestep` outside 0..999."""
    t = checks.whole("timestep", timestep)
    if not 0 <= t < len(ABAR):
        raise ValueError(f"timestep must lie in 0..{len(ABAR) - 1}, found {t}")
    return float(np.sqrt((1 - ABAR[t]) / ABAR[t]))


class Denoiser:
    """E[x_0 | x_w] of `laws`, whose principal axes are found once.

    Raises ValueError on laws on spheres, whose denoiser is another one, and on covariances with a negative eigenvalue.
    """

    def __init__(self, laws: Laws) -> None:
        if laws.sphere:
            raise ValueError(f"laws must be normal in every direction, found a sphere of {laws.sphere} axes")
        self.laws = laws
        lam, self.axes = np.linalg.eigh(laws.covariances)
        if lam.min() < -laws.dim * np.finfo(float).eps * np.abs(lam).max():
            raise ValueError(
                f"laws must have covariances without negative eigenvalues, found {lam.min():.3g}"
            )
        self.lam = np.clip(lam, 0, None)
        with np.errstate(divide="ignore"):  # a component of weight 0 takes no part
            self.log_weights = np.log(laws.weights)

    def posterior_mean(self, x_w: Any, w: float, labels: Any = None) -> np.ndarray:
        """(n, d) from x_w (n, d) at noise level w > 0; of each row's own class, or of all classes if labels is None.

        Raises ValueError on w not above 0, on NaN or another width, and on a label that is no class.
        """
        x = checks.flat("x_w", x_w).astype(np.float64)
        if x.shape[1] != self.laws.dim:
            raise ValueError(f"x_w has {x.shape[1]} features, laws have {self.laws.dim}")
        if not 0 < w < np.inf:
            raise ValueError(f"w must be a positive number, found {w}")
        if labels is None:
            return self._mean(x, w, slice(None))
        c = checks.known("labels", checks.labels_for("labels", labels, len(x), "x_w"), self.laws.classes)
        h = np.empty_like(x)
        for a in np.unique(c):
            h[c == a] = self._mean(x[c == a], w, slice(a, a + 1))
        return h

    def score(self, x_w: Any, w: float, labels: Any = None) -> np.ndarray:
        """Gradient of the log density of x_w, (n, d); arguments and errors as `posterior_mean`."""
        return (self.posterior_mean(x_w, w, labels) - x_w) / w**2

    def _mean(self, x: np.ndarray, w: float, part: slice) -> np.ndarray:
        """The formula, over all components k of the classes in `part`."""
        d = self.laws.dim
        m, V = self.laws.means[part].reshape(-1, 1, d), self.axes[part].reshape(-1, d, d)
        lam = self.lam[part].reshape(-1, 1, d)
        y = (x - m) @ V
        log_p = self.log_weights[part].reshape(-1, 1)
        log_r = log_p - (y**2 / (lam + w**2) + np.log(lam + w**2)).sum(axis=2) / 2
        D = m + (lam / (lam + w**2) * y) @ V.swapaxes(1, 2)
        return (softmax(log_r, axis=0)[:, :, None] * D).sum(axis=0)


def posterior_mean(laws: Laws, x_w: Any, w: float, labels: Any = None) -> np.ndarray:
    """`Denoiser(laws).posterior_mean(x_w, w, labels)`, for a single use."""
    return Denoiser(laws).posterior_mean(x_w, w, labels)


@dataclass(frozen=True, eq=False)
class Diffused:
    """What DDIM draws with the exact score of each class of `laws`, in 1 <= `steps` <= 1000 steps: evenly spaced
    timesteps from 999 to 0, and from w_0 to the sample. Its law tends to `laws`.

    Raises ValueError on `steps` out of range, and on laws as `Denoiser`.
    """

    laws: Laws
    steps: int

    def __post_init__(self) -> None:
        if not 1 <= checks.whole("steps", self.steps) <= len(ABAR):
            raise ValueError(f"steps must lie in 1..{len(ABAR)}, found {self.steps}")
        self.denoiser  # noqa: B018  bad laws are refused here and not at the first sample

    @cached_property
    def denoiser(self) -> Denoiser:
        """Of `laws`."""
        return Denoiser(self.laws)

    @property
    def levels(self) -> np.ndarray:
        """w of every step, falling, and the final 0: (steps + 1,)."""
        t = np.round(np.linspace(len(ABAR) - 1, 0, self.steps)).astype(int)
        return np.append(np.sqrt((1 - ABAR[t]) / ABAR[t]), 0.0)

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float64, one row a label; raises ValueError on a label that is no class."""
        labels, w = np.asarray(labels), self.levels
        checks.known("labels", labels, self.laws.classes)
        x = np.sqrt(1 + w[0] ** 2) * rng.standard_normal((len(labels), self.laws.dim))
        if not len(labels):
            return x
        for now, then in pairwise(w):
            x += (then - now) / now * (x - self.denoiser.posterior_mean(x, now, labels))
        return x

    def sampled_laws(self) -> Laws:
        """The exact laws of `sample`, for classes of one component; raises ValueError on mixtures, which are bent."""
        if self.laws.weights.shape[1] > 1:
            raise ValueError(
                "laws must have one component a class: finite steps take a mixture to no mixture"
            )
        w = self.levels
        lam, V = self.denoiser.lam[..., None], self.denoiser.axes
        F = ((lam + w[:-1] * w[1:]) / (lam + w[:-1] ** 2)).prod(axis=-1)
        VF = V * F[..., None, :]
        means = self.laws.means[..., None] - VF @ V.swapaxes(2, 3) @ self.laws.means[..., None]
        return replace(self.laws, means=means[..., 0], covariances=(1 + w[0] ** 2) * VF @ VF.swapaxes(2, 3))


class PosteriorMean(TransformerMixin, BaseEstimator):
    """The latent at a timestep: E[x_0 | x_w] under the null label, by the denoiser of `laws` whatever x it is shown.

    Parameters
    - laws: of the frozen generation-0 model;  timestep: 0..999, of noise level w.
    - noised: False feeds x itself as x_w (a network would get sqrt(abar) x); True feeds x + w e.
    - random_state: whole number >= 0 from which e is drawn. e is a function of it and of the row's own numbers: the
      same sample has the same latent beside any others, and the same e at every timestep.

    Fitted: `denoiser_`, `w_`. `fit` learns nothing from x.
    """

    def __init__(self, laws: Laws, timestep: int, noised: bool = False, random_state: int = 0) -> None:
        self.laws = laws
        self.timestep = timestep
        self.noised = noised
        self.random_state = random_state

    def fit(self, x: Any, y: Any = None) -> "PosteriorMean":
        """Checks x (n, d) and the parameters; raises ValueError naming what is wrong."""
        w, denoiser = noise_level(self.timestep), Denoiser(self.laws)
        if checks.whole("random_state", self.random_state) < 0:
            raise ValueError(f"random_state must be 0 or more, found {self.random_state}")
        self._rows(x)
        self.w_, self.denoiser_ = w, denoiser
        return self

    def transform(self, x: Any) -> np.ndarray:
        """h (n, d), in the units of x."""
        checks.fitted(self, "denoiser_")
        rows = self._rows(x)
        x_w = rows + self.w_ * _row_noise(rows, self.random_state) if self.noised else rows
        return in_blocks(lambda block: self.denoiser_.posterior_mean(block, self.w_), x_w, ROWS)

    def _rows(self, x: Any) -> np.ndarray:
        rows = checks.flat("x", x).astype(np.float64)
        if rows.shape[1] != self.laws.dim:
            raise ValueError(f"x has {rows.shape[1]} features, laws have {self.laws.dim}")
        return rows


def _row_noise(rows: np.ndarray, seed: int) -> np.ndarray:
    """e (n, d): each row from a stream of its own, named by its numbers (0.0 and -0.0 are one)."""
    names = (int.from_bytes(blake2b(row.tobytes(), digest_size=8).digest(), "little") for row in rows + 0.0)
    keys = (np.array([seed, name], dtype=np.uint64) for name in names)
    return np.stack(
        [np.random.Generator(np.random.Philox(key=k)).standard_normal(rows.shape[1]) for k in keys]
    )


def csnr_of(h: Any, frames: np.ndarray, labels: Any) -> float:
    """E|P_c h|^2 / E|(I - P_c) h|^2 over the rows of h (n, d), P_c = U_c U_c' of each row's class.

    frames (C, d, r): U_c orthonormal, in the order of the sorted labels. Raises ValueError unless every class has rows.
    """
    rows = checks.flat("h", h)
    classes, c = np.unique(checks.labels_for("labels", labels, len(rows), "h"), return_inverse=True)
    if frames.ndim != 3 or (len(classes), rows.shape[1]) != frames.shape[:2]:
        raise ValueError(
            f"frames must be ({len(classes)} classes, {rows.shape[1]}, r), found shape {frames.shape}"
        )
    own = sum(float(np.square(rows[c == a] @ U).sum()) for a, U in enumerate(frames))
    return own / (float(np.square(rows).sum()) - own)


def latent_curve(
    laws0: Laws,
    x: Any,
    labels: Any,
    frames: np.ndarray,
    timesteps: Sequence[int],
    noised: bool,
    random_state: int = 0,
) -> list[dict[str, float]]:
    """Separation of the classes of x (n, d) in its `PosteriorMean` latents, a row a timestep: timestep, w, csnr, ole,
    ole_normalised and mean_norm, the mean of |h|. Errors as `PosteriorMean` and `csnr_of`."""
    denoiser = Denoiser(laws0)
    x_0 = checks.flat("x", x).astype(np.float64)
    e = _row_noise(x_0, random_state) if noised else 0.0  # drawn once: it is that of every timestep

    def row(t: int) -> dict[str, float]:
        w = noise_level(t)
        h = denoiser.posterior_mean(x_0 + w * e, w)
        return {
            "timestep": t,
            "w": w,
            "csnr": csnr_of(h, frames, labels),
            "ole": ole(h, labels),
            "ole_normalised": normalised_ole(h, labels),
            "mean_norm": float(np.linalg.norm(h, axis=1).mean()),
        }

    return [row(t) for t in timesteps]
