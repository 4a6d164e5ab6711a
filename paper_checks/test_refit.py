"""Loops of Gaussian refits: collapse, fresh data and accumulation by closed form, and the loop that never saw it.

Every class of a pool is an independent loop, so that one fit advances many. A known mean is that of
`sims.lowrank.ClassSubspaces`, about zero; in two dimensions and of rank one it is the full covariance.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lsf.pool import Pool, concat
from paper_checks.agreement import against, all_hold
from paper_checks.simulated import Draw
from sims.gaussian import ClassGaussians, GaussianSampler
from sims.lowrank import ClassSubspaces
from tests.tolerances import EXPONENT_SHARP, Estimate
from theory import gaussian_loop


@dataclass(frozen=True)
class Noisy(ClassSubspaces):
    """A generator that adds the variance `added` in every direction."""

    added: float = 0.0

    def covariance(self, x: np.ndarray) -> np.ndarray:
        return super().covariance(x) + self.added * np.eye(x.shape[1])


@dataclass(frozen=True)
class Loop:
    """`fits` refits to n points in `dim` dimensions, the first to real points of N(0, I); of later ones `real` are
    fresh real points, or all blocks are kept if `accumulate`."""

    n: int
    dim: int
    fits: int
    generator: ClassGaussians = field(default_factory=ClassGaussians)
    real: int = 0
    accumulate: bool = False

    def run(self, loops: int, rng: np.random.Generator) -> GaussianSampler:
        """The models fitted last, one a class."""
        y = np.repeat(np.arange(loops), self.n)
        fresh = (np.arange(len(y)) % self.n < self.real)[:, None]
        history = [Pool(rng.standard_normal((len(y), self.dim)), y, 0)]
        for k in range(self.fits):
            sampler = self.generator.fit(concat(history) if self.accumulate else history[-1], rng)
            made = sampler.sample(y, rng)
            history.append(Pool(np.where(fresh, rng.standard_normal(made.shape), made), y, k + 1))
        return sampler

    def variances(self, loops: int, rng: np.random.Generator) -> np.ndarray:
        """Fitted variances (loops, dim)."""
        return np.square(self.run(loops, rng).roots).sum(axis=2)

    def mean_variance(self) -> Draw:
        """The variance of each loop, averaged over dimensions."""
        return lambda rng, size: self.variances(size, rng).mean(axis=1)


def test_variance_collapse(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """E log det after 5 refits to 20 points in 3 dimensions; exponents negative for both estimators."""
    loop = Loop(20, 3, 5)
    value = float(gaussian_loop.expected_log_det(3, 20, 5))
    draw = lambda g, size: np.linalg.slogdet(loop.run(size, g).roots)[1] * 2  # noqa: E731
    verdict, found = against(draw, value, rng, 1200, control=0.7 * value)
    falling = all((gaussian_loop.lyapunov_exponents(3, 20, u) < 0).all() for u in (False, True))
    conclude("variance-collapse", all_hold([verdict, falling]), found.mean, around=found, world="gaussian")


def test_accumulation_limit(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Mean variance after 10 accumulating refits of n = 10; replacing, the control, leaves much less."""
    value = float(gaussian_loop.accumulated_variance(10, 10))
    draw = Loop(10, 2, 10, accumulate=True).mean_variance()
    verdict, found = against(draw, value, rng, 800, control=(1 - 1 / 10) ** 10)
    conclude("accumulation-limit", verdict, found.mean, around=found, world="gaussian")


def test_fresh_data_drift(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Stationary mean square of the fitted mean, n = 10 of them 2 real; the control forgets that the variance shrinks.

    After 18 fits the transient, 0.64^18 of it, is far below a standard error.
    """
    loop = Loop(10, 4, 18, real=2)
    value = float(gaussian_loop.fresh_data_drift(10, 0.2))
    draw = lambda g, size: np.square(loop.run(size, g).means).mean(axis=1)  # noqa: E731
    verdict, found = against(draw, value, rng, 3600, control=(1 / 10) / (1 - 0.8**2))
    conclude("fresh-data [drift]", verdict, found.mean, around=found, world="gaussian")


def test_fresh_data_spread(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Stationary variance of the fitted variance, n = 20 of them 8 real, known mean; the control is one fit's."""
    loop = Loop(20, 2, 10, ClassSubspaces(rank=1), real=8)
    value = float(gaussian_loop.fresh_data_spread(20, 0.4))
    draw = lambda g, size: np.square(loop.variances(size, g) - 1).mean(axis=1)  # noqa: E731
    verdict, found = against(draw, value, rng, 3000, control=2 / 20)
    conclude("fresh-data [spread]", verdict, found.mean, around=found, world="gaussian")


def test_accumulated_spread(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """Variance of the variance fitted by the 8th fit to an accumulating pool, n = 10, known mean; the control replaces,
    which gives (1 + 2/n)^8 - 1."""
    loop = Loop(10, 2, 8, ClassSubspaces(rank=1), accumulate=True)
    value = float(gaussian_loop.accumulated_spread(10, 8))
    draw = lambda g, size: np.square(loop.variances(size, g) - 1).mean(axis=1)  # noqa: E731
    verdict, found = against(draw, value, rng, 2000, control=1.2**8 - 1)
    conclude("accumulated-spread", verdict, found.mean, around=found, world="gaussian")


def power(P: np.ndarray, K: np.ndarray, shrink: float) -> float:
    """Slope of log P on log(K + 1 + lam/2): the exponent, with an error of order 1/K^2."""
    return float(np.diff(np.log(P))[0] / np.diff(np.log(K + 1 + shrink / 2))[0])


def test_biased_accumulation(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The pool's variance after 8 and 24 generations with lam = .5, and the exponent -(1 - lam) between them.

    With a known mean the law is exact at every n. Value: the sampled exponent. Controls: a pool that is cured (1), and
    the exponent of lam = .7.
    """
    lam, K = 0.5, np.array([8, 24])
    law = gaussian_loop.biased_accumulation(lam, 24)[K]
    parts = []
    for k, value in zip(K, law, strict=True):
        draw = Loop(20, 2, int(k) + 1, ClassSubspaces(shrink=lam, rank=1), accumulate=True).mean_variance()
        scaled = lambda g, size, draw=draw: draw(g, size) / lam  # noqa: E731
        parts.append(against(scaled, float(value), rng, 800, control=1.0))
    seen = power(np.array([found.mean for _, found in parts]), K, lam)
    error = np.linalg.norm([found.error / found.mean for _, found in parts]) / np.log(25.25 / 9.25)
    assert abs(seen + 0.3) > 5 * error, "the control, the exponent of lam = .7, was accepted"
    is_power = abs(power(law, K, lam) + (1 - lam)) <= EXPONENT_SHARP and abs(seen + (1 - lam)) <= 5 * error
    around = Estimate(seen, float(error))
    verdict = all_hold([*(v for v, _ in parts), bool(is_power)])
    conclude("biased-accumulation", verdict, seen, around=around, world="gaussian")


def test_additive_noise(conclude: Callable[..., None], rng: np.random.Generator) -> None:
    """The pool's variance after K = 3 and 15 generations that each add v = .4: 1 + v (H_{K+1} - 1), exact at every n.

    Controls: the straight line 1 + v K of a loop that replaces, and no growth between K = 3 and 15.
    """
    v = 0.4
    path = gaussian_loop.noisy_accumulation(v, 15)
    parts = []
    for k, control in ((3, 1 + 3 * v), (15, float(path[3]))):
        draw = Loop(20, 2, k + 1, Noisy(rank=1, added=v), accumulate=True).mean_variance()
        less = lambda g, size, draw=draw: draw(g, size) - v  # noqa: E731
        parts.append(against(less, float(path[k]), rng, 1000, control))
    found = parts[-1][1]
    conclude(
        "additive-noise-accumulates",
        all_hold([v for v, _ in parts]),
        found.mean,
        around=found,
        world="gaussian",
    )
