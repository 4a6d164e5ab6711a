"""Which analytic worlds are there, and how does a generator in them learn from samples?

Truth: C classes of equal share. Class c lives on a subspace U_c (d x r) with isotropic noise s around it,

    S_c = U_c U_c' + s^2 I,   U_c[:, i] = sum_k E_ck Q_k[:, i],   E E' = cos(angle_i) off the diagonal, 1 on it,

so that every two classes have the same r principal angles; Q_k (d x r) random orthonormal blocks. Switches of the
truth: class means (`separation`), a minority mode in each class, a sphere in place of the normal law on the subspace.
Generator: the same family, refitted (`fit`), sampled through the mechanisms, directly or by a diffusion sampler with
the exact score.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from lsf.checks import whole
from lsf.pool import Pool
from sims.exact_score import ABAR, Diffused, noise_level
from sims.extrapolation import extrapolated
from sims.laws import Laws
from sims.lowrank import ppca
from sims.mechanisms import NONE, Mechanisms
from sims.seeds import stream

__all__ = ["World", "WORLDS", "ClassFit", "Model", "world"]

FITS = ("full", "ppca", "pca")
SHAPES = ("normal", "sphere")


@dataclass(frozen=True)
class World:
    """A row of settings; lengths in units of the standard deviation on the subspaces, angles in degrees.

    fit            "full": mean and covariance of each class; "ppca": top `rank` axes with their variances and one mean
                   variance for the rest (Tipping and Bishop 1999); "pca": the top axes alone, variances as in truth
    known_mean     means are those of the truth and not fitted;  unbiased: divisor n - 1 in place of n
    separation     distance of the class means from their centre (0: all means are 0)
    minority       share of a second mode in every class, `shift` nearer to the centre of the means; fitted by EM
    score_steps    None: sampled directly; else by that many DDIM steps of the exact score (drawn from their exact law)
    timestep       None: latents are the coordinates; else the posterior mean at this timestep, E[x_0 | x_t], of the
                   generation-0 model without a label

    Raises ValueError, naming the setting, on values out of range or without meaning together.
    """

    dim: int
    rank: int
    noise: float
    angles: float | tuple[float, ...] = 90.0
    classes: int = 2
    fit: str = "full"
    known_mean: bool = False
    unbiased: bool = False
    separation: float = 0.0
    minority: float = 0.0
    shift: float = 0.0
    shape: str = "normal"
    thickness: float = 0.1
    score_steps: int | None = None
    timestep: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("rank", 1), ("classes", 1)):
            if whole(name, getattr(self, name)) < least:
                raise ValueError(f"{name} must be at least {least}, found {getattr(self, name)}")
        if self.rank > self.dim:
            raise ValueError(f"rank must be at most dim = {self.dim}, found {self.rank}")
        if self.columns > self.dim:
            raise ValueError(f"dim must be at least {self.columns} for these classes, found {self.dim}")
        for name, allowed in (("fit", FITS), ("shape", SHAPES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, found {getattr(self, name)!r}")
        if not 0 < self.noise < np.inf:
            raise ValueError(f"noise must be a positive number, found {self.noise}")
        self._check_angles()
        self._check_modes()
        self._check_diffusion()

    def _check_angles(self) -> None:
        if np.asarray(self.angles).dtype.kind not in "if":
            raise TypeError(f"angles must be numbers, found {self.angles!r}")
        t = np.atleast_1d(np.asarray(self.angles, dtype=float))
        if len(t) not in (1, self.rank):
            raise ValueError(f"angles must be one number or rank = {self.rank} of them, found {len(t)}")
        if not np.all((t >= 0) & (t <= 90)):
            raise ValueError(f"angles must lie in [0, 90] degrees, found {self.angles}")

    def _check_modes(self) -> None:
        if not 0 <= self.separation < np.inf:
            raise ValueError(f"separation must be a distance, 0 or more, found {self.separation}")
        if not 0 <= self.minority < 0.5:
            raise ValueError(f"minority must be a share in [0, 0.5), found {self.minority}")
        if self.minority and not self.separation:
            raise ValueError("minority needs separation > 0: its mode lies towards the centre of the means")
        if not 0 <= self.shift < np.inf or (self.minority and not self.shift):
            raise ValueError(f"shift must be a distance, above 0 with a minority, found {self.shift}")
        for name in ("known_mean", "unbiased"):
            if self.minority and getattr(self, name):
                raise ValueError(
                    f"{name} must be False with a minority: EM fits every mean, by its own divisor"
                )
        if self.shape == "sphere" and (self.rank < 2 or self.minority):
            raise ValueError("shape 'sphere' needs rank >= 2 and minority 0")
        if (
            not 0 <= self.thickness <= 0.3
        ):  # beyond, the radius folds at 0 and a refit no longer finds its spread
            raise ValueError(f"thickness must lie in [0, 0.3], found {self.thickness}")
        if self.shift and not self.minority:
            raise ValueError(f"shift must be 0 without a minority, found {self.shift}")
        if self.shift > self.separation:
            raise ValueError(f"shift must be at most separation = {self.separation}, found {self.shift}")
        if self.unbiased and self.known_mean:
            raise ValueError("unbiased must be False with known_mean: its divisor n is unbiased already")

    def _check_diffusion(self) -> None:
        if self.score_steps is not None:
            if not 2 <= whole("score_steps", self.score_steps) <= len(ABAR):
                raise ValueError(
                    f"score_steps must lie in 2..{len(ABAR)}, or be None, found {self.score_steps}"
                )
            if self.minority or self.shape != "normal":
                raise ValueError("score_steps needs one normal mode a class: minority 0 and shape 'normal'")
        if self.timestep is not None:
            noise_level(self.timestep)
            if self.shape != "normal":
                raise ValueError("timestep needs shape 'normal': a sphere has another denoiser")

    @property
    def columns(self) -> int:
        """Orthonormal directions that subspaces and means take."""
        return self.classes * (self.rank + (self.separation > 0))

    @property
    def least(self) -> int:
        """Samples of a class that a fit needs."""
        return (self.dim if self.fit == "full" else self.rank) + 2

    @property
    def modes(self) -> int:
        """J."""
        return 2 if self.minority else 1

    def truth(self, seed: int) -> Laws:
        """The real laws of this seed, whose frames are drawn at random."""
        Q = np.linalg.qr(stream(seed, "frames").standard_normal((self.dim, self.columns)))[0]
        U = self.frames(Q)
        S = U @ U.swapaxes(1, 2) + self.noise**2 * np.eye(self.dim)
        m = self.class_means(Q)
        means = np.repeat(m[:, None], self.modes, axis=1)
        if self.minority:
            length = np.linalg.norm(m, axis=1, keepdims=True)
            means[:, 1] -= self.shift * m / length
        share = np.array([1 - self.minority, self.minority])[: self.modes]
        q = self.rank if self.shape == "sphere" else 0
        return Laws(
            np.arange(self.classes),
            np.tile(share, (self.classes, 1)),
            means,
            np.repeat(S[:, None], self.modes, axis=1),
            sphere=q,
            thickness=self.thickness if q else 0.0,
        )

    def frames(self, Q: np.ndarray) -> np.ndarray:
        """U (C, d, r) from orthonormal columns Q."""
        C, r = self.classes, self.rank
        blocks = Q[:, : C * r].reshape(self.dim, C, r)
        t = np.broadcast_to(np.deg2rad(np.asarray(self.angles, dtype=float)), (r,))
        U = np.empty((C, self.dim, r))
        for i, cos in enumerate(np.cos(t)):
            gram = np.full((C, C), cos) + (1 - cos) * np.eye(C)
            w, V = np.linalg.eigh(gram)
            E = (V * np.sqrt(np.clip(w, 0, None))) @ V.T
            U[:, :, i] = E @ blocks[:, :, i].T
        return U

    def class_means(self, Q: np.ndarray) -> np.ndarray:
        """(C, d): corners of a simplex about 0, `separation` from it, in directions off the subspaces."""
        if not self.separation:
            return np.zeros((self.classes, self.dim))
        corner = Q[:, self.classes * self.rank :].T
        if self.classes > 1:
            corner = corner - corner.mean(axis=0)
        return self.separation * corner / np.linalg.norm(corner, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Model:
    """A generator of one generation: the laws it has `fitted`, and those it is sampled as (`law`, exact but for a
    curved manifold under mechanisms, where moments stand for it)."""

    fitted: Laws
    law: Laws

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n, d), one row a label."""
        return self.law.sample(labels, rng)

    def state(self) -> dict[str, np.ndarray]:
        """The fitted laws."""
        return self.fitted.state()


@dataclass(frozen=True, eq=False)
class ClassFit:
    """Refits `world`'s family to a pool, and samples through the `mechanisms`; `truth` is where known means, the
    number of modes and a mixture's first guess come from."""

    world: World
    truth: Laws
    mechanisms: Mechanisms = NONE
    planes: np.ndarray | None = None

    def fit(self, pool: Pool, rng: np.random.Generator, start: Any = None) -> Model:
        """The model of `pool`; a mixture's EM starts from the model `start`.

        A class that a filter has starved of the samples a fit needs stays as it is in `start`, as a network's would;
        without a start that is a ValueError.
        """
        guess = self.truth if start is None else start.fitted
        parts = []
        for i, c in enumerate(self.truth.classes):
            x = pool.x[pool.y == c]
            starved = len(x) < self.world.least and start is not None
            parts.append(_kept(guess, i) if starved else self._class(x, i, guess))
        p, m, S, tau = (np.stack(part) for part in zip(*parts, strict=True))
        fitted = Laws(self.truth.classes, p, m, S, self.truth.sphere, tau)
        return Model(fitted, self.sampled(fitted))

    def extrapolated(self, base: Model, aux: Model, strength: float) -> Model:
        """The model of score (1 + strength) s_base - strength s_aux, component by component."""
        means, S = np.empty_like(base.fitted.means), np.empty_like(base.fitted.covariances)
        for c, j in np.ndindex(base.fitted.weights.shape):
            b, a = ((m.fitted.means[c, j], m.fitted.roots[c, j]) for m in (base, aux))
            means[c, j], R = extrapolated(b, a, strength)
            S[c, j] = R @ R.T
        return Model(base.fitted, self.sampled(replace(base.fitted, means=means, covariances=S)))

    def fit_statistics(self, classes: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> Model:
        """The model of (count, mean (d,), scatter about it (d, d)) of each class: all that normal classes show a fit.

        Raises ValueError if a class is too small, or the world has mixtures or a sphere, which need the points.
        """
        if self.world.modes > 1 or self.truth.sphere:
            raise ValueError("statistics suffice for one normal mode a class: minority 0 and shape 'normal'")
        m, S = [], []
        for i, (n, mean, scatter) in enumerate(classes):
            if n < self.world.least:
                raise ValueError(f"class {i} has {n} samples, a fit needs {self.world.least}")
            m.append(self.truth.means[i, 0] if self.world.known_mean else mean)
            about = scatter + n * np.outer(mean - m[-1], mean - m[-1])
            S.append(self._structured(about / (n - self.world.unbiased)))
        fitted = Laws(self.truth.classes, np.ones((len(m), 1)), np.array(m)[:, None], np.array(S)[:, None])
        return Model(fitted, self.sampled(fitted))

    def sampled(self, fitted: Laws) -> Laws:
        """What fitted laws are sampled as: by a diffusion sampler of `score_steps`, then through the mechanisms."""
        if self.world.score_steps is not None:
            fitted = Diffused(fitted, self.world.score_steps).sampled_laws()
        return self.mechanisms.apply(fitted, self.planes)

    def _class(self, x: np.ndarray, i: int, guess: Laws) -> tuple[np.ndarray, ...]:
        if len(x) < self.world.least:
            raise ValueError(f"class {i} has {len(x)} samples, a fit needs {self.world.least}")
        if self.world.modes > 1:
            return self._mixture(x, i, guess)
        m = self.truth.means[i, 0] if self.world.known_mean else x.mean(axis=0)
        S = self._structured((x - m).T @ (x - m) / (len(x) - self.world.unbiased))
        return np.ones(1), m[None], S[None], np.array([self._thickness(x - m, S)])

    def _structured(self, S: np.ndarray) -> np.ndarray:
        """The covariance that the family has room for."""
        r, d, fit = self.world.rank, self.world.dim, self.world.fit
        if fit == "full" or (fit == "ppca" and r == d):
            return S
        if fit == "ppca":
            return ppca(S, r)
        U = np.linalg.eigh(S)[1][:, -r:]
        return U @ U.T + self.world.noise**2 * np.eye(d)

    def _thickness(self, x: np.ndarray, S: np.ndarray) -> float:
        """s.d. of the radius over its mean, in the whitened plane of the top q axes."""
        q = self.truth.sphere
        if not q:
            return 0.0
        w, V = np.linalg.eigh(S)
        rho = np.linalg.norm(x @ V[:, -q:] / np.sqrt(w[-q:]), axis=1)
        return float(rho.std() / rho.mean())

    def _mixture(self, x: np.ndarray, i: int, guess: Laws) -> tuple[np.ndarray, ...]:
        """EM from the guess; each component then takes the family's covariance."""
        em = GaussianMixture(
            self.world.modes,
            weights_init=guess.weights[i],
            means_init=guess.means[i],
            precisions_init=np.linalg.inv(guess.covariances[i]),
            max_iter=25,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            em.fit(x)
        S = np.stack([self._structured(S) for S in em.covariances_])
        return em.weights_, em.means_, S, np.zeros(self.world.modes)


def _kept(laws: Laws, i: int) -> tuple[np.ndarray, ...]:
    """Weights, means, covariances and thickness of class number i."""
    tau = np.broadcast_to(np.asarray(laws.thickness, dtype=float), laws.weights.shape)
    return laws.weights[i], laws.means[i], laws.covariances[i], tau[i]


WORLDS = {
    "gaussian": World(dim=8, rank=2, noise=0.3, angles=60.0),
    "low-rank": World(dim=16, rank=2, noise=0.3, angles=90.0, fit="ppca"),
    "means": World(dim=16, rank=2, noise=0.3, angles=60.0, classes=3, separation=1.5, fit="ppca"),
    "curved": World(dim=12, rank=2, noise=0.15, angles=90.0, shape="sphere", fit="ppca"),
    "minority": World(dim=6, rank=1, noise=1.0, angles=90.0, separation=3.0, minority=0.1, shift=2.5),
    "diffusion": World(16, 2, 0.1, fit="ppca", score_steps=40, timestep=100),
}
"""Named rows; a sweep changes a setting with `dataclasses.replace`."""


def world(name: str) -> World:
    """The row of that name; raises ValueError on an unknown one, and lists those there are."""
    if name not in WORLDS:
        raise ValueError(f"world must be one of {', '.join(WORLDS)}, found {name!r}")
    return WORLDS[name]
