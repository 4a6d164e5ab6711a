"""What do two models of the latents of two classes predict of the filter, and what is seen of the same latents?

A pair of classes, latents h of n samples each, in d coordinates (PCA of real ones), z the log-odds of class 1 that a
fixed probe gives them, z_own those of their own label. Seen: means of sg(z_own) and of 1 - sg(z_own); OLE and OLEn;
of a pool of equal blocks (real data first), of which the most confident 1/blocks of each class is kept: the share of
real data, and the spread tr Cov(kept)/tr Cov(pool). Predicted by

  two-subspace              x ~ N(0, S_c), paper_checks.two_subspace, fitted to h about the pair's mean in real data;
                            its confidence and selection are those of its own quadratic probe Q, fitted to real data;
                            seen: the filter's linear probe
  two-subspace, own probe   the same, seen: Q on the same latents (is it the probe, or the law, that is wrong?)
  two-subspace, own means   the same, every class of every block about its own mean: what a linear probe cannot see
  gaussian                  x ~ N(mu_c, S_c). Any linear probe has z_own ~ N(m, v), m = w'mu + b, v = w'S w, so that
                                E sg(z_own) = int sg(z) N(z; m, v) dz;
                            of blocks j, kept above t: sum_j P(z_j > t) = 1 and, a = (t - m)/sqrt v,
                            l = phi(a)/Phi(-a), g = Cov(x, z),
                                E x = mu + g l/sqrt v,    Cov x = S - (g g'/v) l (l - a);
                            OLE from the spectra of S_c + mu_c mu_c' and of their mean (theory.nuclear_norm).

Models are fitted to the very samples that are seen, which favours them; Q, the probe and the axes to real data alone.
Where a model cannot be fitted, or its threshold is negative, the prediction is NaN. Source: own derivation.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, log_ndtr
from sklearn.covariance import LedoitWolf

from lsf.ole import nuclear_norms
from paper_checks.two_subspace import TwoSubspaceModel, fit, keep_top, predicted_ole
from theory.nuclear_norm import deterministic_equivalent

__all__ = [
    "MEASURES", "LAWS", "LATENTS", "LAWS_BESIDE", "MEASURES_BESIDE", "Block", "axes", "rank_of", "readings",
    "gaussian_shortfall",
]  # fmt: skip

MEASURES = (
    "confidence",
    "shortfall of confidence",
    "raw OLE",
    "normalised OLE",
    "kept spread",
    "share of real",
)
LAWS = ("two-subspace", "two-subspace, own probe", "two-subspace, own means", "gaussian")
LATENTS = ("clean, flattened", "clean, pooled", "noised, flattened", "noised, pooled")
"""Conventions of a latent, of which the first is the filter's own; of the others less is read and judged:"""
LAWS_BESIDE = ("two-subspace", "gaussian")
MEASURES_BESIDE = ("confidence", "normalised OLE", "kept spread", "share of real")
UNKNOWN = (np.nan, np.nan)


class Block(NamedTuple):
    """Equally many samples of two classes: latents `x` (2, n, d), and the log-odds `z` (2, n) that a probe gives to
    their own labels."""

    x: np.ndarray
    z: np.ndarray

    @property
    def labelled(self) -> tuple[np.ndarray, np.ndarray]:
        """(2n, d) and labels 0, 1."""
        return self.x.reshape(-1, self.x.shape[2]), np.repeat([0, 1], self.x.shape[1])

    def about(self, centre: np.ndarray) -> "Block":
        """Latents less `centre`, (d,) or (2, 1, d)."""
        return Block(self.x - centre, self.z)

    def judged_by(self, Q: np.ndarray) -> "Block":
        """With the log-odds of the quadratic probe x'Qx/2."""
        z = np.einsum("cni,ij,cnj->cn", self.x, Q, self.x) / 2
        return Block(self.x, z * np.array([[-1], [1]]))


def axes(h: np.ndarray, dim: int) -> np.ndarray:
    """The `dim` leading principal axes (p, dim) of h (n, p)."""
    return np.linalg.svd(h - h.mean(axis=0), full_matrices=False)[2][:dim].T


def rank_of(x: np.ndarray) -> int:
    """The likeliest rank r <= d/2 of two classes x (2, n, d) about 0 (BIC): eigenvalues at their mean over classes and
    over the r highest, or the others, make -2 log likelihood of a class n (r log l + (d-r) log f); a frame has r (d-r)
    parameters."""
    n, d = x.shape[1:]
    w = np.linalg.eigvalsh(x.swapaxes(1, 2) @ x / n).mean(axis=0)[::-1]
    r = np.arange(1, d // 2 + 1)
    held = np.cumsum(w)[r - 1]
    levels = r * np.log(held / r) + (d - r) * np.log((w.sum() - held) / (d - r))
    return int(r[np.argmin(n * levels + r * (d - r) * np.log(n))])


def readings(pool: Sequence[Block], now: Block) -> dict[str, dict[str, tuple[float, float]]]:
    """(predicted, seen) of each measure under each law; pool[0] is real, `now` the generation that is read.

    A pool of one block leaves no choice: nothing of selection is read.
    """
    centre = pool[0].x.mean(axis=(0, 1))
    about_pair = [b.about(centre) for b in (*pool, now)]
    about_own = [b.about(b.x.mean(axis=1, keepdims=True)) for b in (*pool, now)]
    linear, (said, own), (said_own, own_means) = (
        seen(about_pair),
        two_subspace(about_pair),
        two_subspace(about_own),
    )
    return {
        "two-subspace": paired(said, linear),
        "two-subspace, own probe": paired(said, own),
        "two-subspace, own means": paired(said_own, own_means),
        "gaussian": paired(gaussian(about_pair), linear),
    }


def two_subspace(blocks: Sequence[Block]) -> tuple[dict[str, float], dict[str, float]]:
    """(predicted, seen by its own probe) of the last block and of the pool before it, by the fitted two-subspace model;
    both empty if there is none."""
    rank = rank_of(blocks[0].x)
    try:
        models = [fit(*b.labelled, rank) for b in blocks]
    except ValueError:  # noise hides the subspaces
        return {}, {}
    Q = models[0].probe
    sure = or_unknown(lambda: (c := models[-1].probe_confidence(Q), 1 - c))
    ole = [float(v[0]) for v in predicted_ole(models[-1:], blocks[-1].x.shape[1])]
    kept = or_unknown(lambda: subspaces_kept(models[:-1], Q)) if len(blocks) > 2 else UNKNOWN
    return named(*sure, *ole, *kept), seen([b.judged_by(Q) for b in blocks])


def or_unknown(predict: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """NaN where the model does not say."""
    try:
        return predict()
    except ValueError:  # covariances not positive, or a negative threshold
        return UNKNOWN


def subspaces_kept(models: Sequence[TwoSubspaceModel], Q: np.ndarray) -> tuple[float, float]:
    """(kept spread, share of real), means over classes."""
    found = []
    for c in (0, 1):
        S = [m.covariances[c] for m in models]
        parts, M = keep_top(Q if c else -Q, S, 1 / len(S))
        found.append((np.trace(M) / np.trace(np.mean(S, axis=0)), parts[0]))
    spread, share = np.mean(found, axis=0)
    return float(spread), float(share)


def gaussian(blocks: Sequence[Block]) -> dict[str, float]:
    """Predicted of the last block and of the pool before it, by Gaussian classes with means."""
    short = float(np.mean([gaussian_shortfall(z.mean(), z.var(ddof=1)) for z in blocks[-1].z]))
    pools = [[(b.x[c], b.z[c]) for b in blocks[:-1]] for c in (0, 1)]
    kept = np.mean([gaussian_kept(p) for p in pools], axis=0) if len(blocks) > 2 else UNKNOWN
    return named(1 - short, short, *gaussian_ole(blocks[-1].x), *kept)


def gaussian_shortfall(m: float, v: float) -> float:
    """1 - E sg(z), z ~ N(m, v): exact to rounding, the poles of sg lying pi off the line and steps at most 1/2."""
    s = np.sqrt(v)
    step = min(0.5, s / 3)
    z = np.arange(m - 12 * s, m + 12 * s, step)
    return float(step * (expit(-z) * np.exp(-(((z - m) / s) ** 2) / 2)).sum() / (s * np.sqrt(2 * np.pi)))


def gaussian_ole(x: np.ndarray) -> tuple[float, float]:
    """(E OLE, OLEn) of n samples of each of two classes x (2, n, d), covariances shrunk (Ledoit and Wolf)."""
    n, mu = x.shape[1], x.mean(axis=1)
    M = np.stack([LedoitWolf().fit(own).covariance_ + np.outer(m, m) for own, m in zip(x, mu, strict=True)])
    spectra = np.linalg.eigvalsh(np.stack([*M, M.mean(axis=0)])).clip(0)
    first, second, whole = np.asarray(deterministic_equivalent(spectra, np.array([n, n, 2 * n])))
    each = first + second
    return float(each - whole), float(1 - whole / each)


def gaussian_kept(blocks: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """(kept spread, share of the first) of blocks of latents (n, d) and log-odds (n,), the top 1/blocks kept."""
    mu, m = np.array([x.mean(axis=0) for x, _ in blocks]), np.array([z.mean() for _, z in blocks])
    s = np.array([z.std(ddof=1) for _, z in blocks])
    g = np.array([(x - x.mean(axis=0)).T @ (z - z.mean()) / (len(z) - 1) for x, z in blocks])
    total = np.array([x.var(axis=0, ddof=1).sum() for x, _ in blocks])
    t = brentq(lambda t: np.exp(log_ndtr((m - t) / s)).sum() - 1, (m - 40 * s).min(), (m + 40 * s).max())
    a = (t - m) / s
    hazard = np.exp(-(a**2) / 2 - log_ndtr(-a)) / np.sqrt(2 * np.pi)
    part = np.exp(log_ndtr(-a))
    left = total - (g**2).sum(axis=1) / s**2 * hazard * (hazard - a)
    moved = mu + g * (hazard / s)[:, None]
    spread = mixed_spread(part, moved, left) / mixed_spread(np.ones(len(m)), mu, total)
    return spread, float(part[0] / part.sum())


def mixed_spread(weights: np.ndarray, means: np.ndarray, within: np.ndarray) -> float:
    """tr Cov of a mixture from its parts' means (b, d) and traces (b,)."""
    w = weights / weights.sum()
    return float(w @ (within + np.square(means - w @ means).sum(axis=1)))


def seen(blocks: Sequence[Block]) -> dict[str, float]:
    """Every measure of the last block and of the pool before it, by the log-odds that they carry."""
    short = float(expit(-blocks[-1].z).mean())
    by_class, whole = nuclear_norms(*blocks[-1].labelled)
    ole = float(by_class.sum() - whole)
    kept = np.mean([kept_of(blocks[:-1], c) for c in (0, 1)], axis=0) if len(blocks) > 2 else UNKNOWN
    return named(1 - short, short, ole, ole / by_class.sum(), *kept)


def kept_of(pool: Sequence[Block], c: int) -> tuple[float, float]:
    """(kept spread, share of the first block) of the most confident 1/blocks of class c."""
    x, z = np.concatenate([b.x[c] for b in pool]), np.concatenate([b.z[c] for b in pool])
    n = pool[0].x.shape[1]
    top = np.argsort(-z, kind="stable")[:n]
    spread = x[top].var(axis=0, ddof=1).sum() / x.var(axis=0, ddof=1).sum()
    return float(spread), float(np.mean(top < n))


def named(*numbers: float) -> dict[str, float]:
    """By measure."""
    return dict(zip(MEASURES, map(float, numbers), strict=True))


def paired(said: dict[str, float], seen: dict[str, float]) -> dict[str, tuple[float, float]]:
    """(predicted, seen) by measure; NaN where there is none."""
    return {name: (said.get(name, np.nan), seen.get(name, np.nan)) for name in MEASURES}
