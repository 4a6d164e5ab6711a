"""What does a Gaussian refit loop do to mean and covariance, when no sample needs to be drawn?

A fit sees its n points only through their sample mean and scatter, and the law of both is known:

    mean = m + L z / sqrt n,   scatter = (L T)(L T)',   z standard normal,
    T lower triangular, T_jj^2 ~ chi^2_{n-j} (j = 1..d), standard normals below (Bartlett 1933), all independent,

for points N(m, L L'). A generation costs O(d^3), whatever n. Under replacement the factors multiply, L_k = L_{k-1}
T_k / sqrt n, and nothing is ever factorised; pooled blocks add scatters and what lies between their means, and take
one Cholesky factor a generation. A known mean has n degrees of freedom instead of n - 1.

Fit 1 is to n real points N(0, I) (any other real law is an affine image of this one). Later blocks of n points hold
`fresh` n real points, the others from the last fit with its variance times `shrink`. Own derivation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lsf.checks import whole
from sims.seeds import stream

__all__ = ["Refit", "Trajectory", "exact", "covariance", "variances"]

POLICIES = ("replace", "accumulate")
AT_WORK = 2**16  # numbers in one array: seeds run in groups that stay in a core's cache
Reducer = Callable[[np.ndarray], np.ndarray]
"""(seeds, d, d) factors L, Sigma = L L', to (seeds, ...): what is kept of each generation."""


@dataclass(frozen=True)
class Refit:
    """One Gaussian class in `dim` dimensions, refitted to `n` points a generation.

    `policy`: "replace" fits the last n points (SYN), "accumulate" all points so far, real first (ACU). The divisor
    is the number of points fitted, or that less one if `unbiased`. `known_mean`: it is 0, and not fitted.

    Raises
    ------
    ValueError
        if n leaves fewer than dim degrees of freedom, `policy` is unknown, `unbiased` comes with a known mean
        (whose divisor n is unbiased), shrink is not positive, or fresh * n is no whole number within [0, n]
    TypeError
        if dim or n is no integer
    """

    dim: int
    n: int
    policy: str = "replace"
    known_mean: bool = False
    unbiased: bool = False
    shrink: float = 1.0
    fresh: float = 0.0

    def __post_init__(self) -> None:
        if whole("dim", self.dim) < 1:
            raise ValueError(f"dim must be at least 1, found {self.dim}")
        least = self.dim + (not self.known_mean)
        if whole("n", self.n) < least:
            raise ValueError(
                f"n must be at least {least} at dim {self.dim}, else fits are singular; found {self.n}"
            )
        if self.policy not in POLICIES:
            raise ValueError(f"policy must be one of {', '.join(POLICIES)}, found {self.policy!r}")
        if self.unbiased and self.known_mean:
            raise ValueError("unbiased must be False with a known mean: its divisor n is unbiased already")
        if not 0 < self.shrink < np.inf:
            raise ValueError(f"shrink must be a positive number, found {self.shrink}")
        if not 0 <= self.fresh <= 1 or abs(self.fresh * self.n - self.real) > 1e-9 * self.n:
            raise ValueError(
                f"fresh must be a share in [0, 1] of n = {self.n} whole points, found {self.fresh}"
            )

    @property
    def real(self) -> int:
        """Fresh real points a generation."""
        return round(self.fresh * self.n)

    def freedom(self, count: int) -> int:
        """Degrees of freedom of the scatter of `count` points."""
        return count - (not self.known_mean)

    def divisor(self, count: int) -> int:
        """What the scatter of `count` points is divided by."""
        return count - self.unbiased


@dataclass(frozen=True, eq=False)
class Trajectory:
    """K generations of many seeds; generation 0 is the real law.

    `means` (seeds, K+1, d); `log_dets` (seeds, K+1), of the fitted covariances; `factor` (seeds, d, d): lower
    triangular L of the last one, L L'; `kept` (seeds, K+1, ...): what `reduce` gave, None without it. Memory in
    numbers: seeds (d^2 + (K+1) (d + 1 + kept)), and about 8 max(d^2, 2^16) at work.
    """

    seeds: tuple[int, ...]
    means: np.ndarray
    log_dets: np.ndarray
    factor: np.ndarray
    kept: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Block:
    """Statistics of `count` points, seed by seed: mean (seeds, d), root R (seeds, d, d), scatter R R' if known."""

    count: int
    mean: np.ndarray
    root: np.ndarray
    scatter: np.ndarray | None = None


def exact(loop: Refit, seeds: Sequence[int], generations: int, reduce: Reducer | None = None) -> Trajectory:
    """`generations` refits of `loop` for each seed, in law what drawing every point would give.

    A seed's trajectory is its own: the other seeds, and later generations, do not change a bit of it. `reduce` sees
    the factors L (seeds, d, d) of each generation: `covariance` and `variances` are two.

    Raises
    ------
    ValueError
        if `seeds` is empty, repeated or negative, or `generations` is negative
    FloatingPointError
        if a variance leaves the range of float64 (a log-determinant near -1400, or 1400, a dimension)
    """
    numbers, K = _distinct(seeds), _steps(generations)
    size = max(1, AT_WORK // loop.dim**2)
    with np.errstate(over="ignore", invalid="ignore"):  # `_state` refuses what they leave
        groups = [_run(loop, numbers[i : i + size], K, reduce) for i in range(0, len(numbers), size)]
    factor, means, log_dets, kept = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    return Trajectory(tuple(numbers), means, log_dets, factor, None if reduce is None else kept)


def _run(loop: Refit, seeds: Sequence[int], generations: int, reduce: Reducer | None) -> list[np.ndarray]:
    """One group of seeds: last factor, then means, log dets and what is kept, generations on the second axis."""
    rngs = [stream(seed, "law-exact") for seed in seeds]
    mean, L = np.zeros((len(rngs), loop.dim)), np.tile(np.eye(loop.dim), (len(rngs), 1, 1))
    states, pool = [_state(mean, L, 0, reduce)], None
    for k in range(1, generations + 1):
        made = loop.n - loop.real if k > 1 else 0
        blocks = [pool] if pool is not None and loop.policy == "accumulate" else []
        if made:
            blocks.append(_sampled(loop, rngs, made, mean, L, loop.shrink))
        if made < loop.n:
            blocks.append(_sampled(loop, rngs, loop.n - made))
        pool = pooled(blocks)
        mean, L = pool.mean, pool.root / np.sqrt(loop.divisor(pool.count))
        states.append(_state(mean, L, k, reduce))
    return [L, *(np.stack(parts, axis=1) for parts in zip(*states, strict=True))]


def _distinct(seeds: Sequence[int]) -> list[int]:
    """The seeds as integers; ValueError unless there are some, all different and none negative."""
    numbers = [whole("seeds", seed) for seed in seeds]
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise ValueError(f"seeds must be different integers from 0, at least one; found {numbers[:5]} ...")
    return numbers


def _steps(generations: int) -> int:
    if whole("generations", generations) < 0:
        raise ValueError(f"generations must not be negative, found {generations}")
    return generations


def _state(mean: np.ndarray, L: np.ndarray, k: int, reduce: Reducer | None) -> tuple[np.ndarray, ...]:
    """Mean, log det and what is kept of generation k."""
    diagonal = np.diagonal(L, axis1=1, axis2=2)
    if not (np.isfinite(L).all() and np.isfinite(mean).all()):
        raise FloatingPointError(f"a variance overflowed float64 at generation {k}: run fewer generations")
    if not (diagonal > 0).all():
        raise FloatingPointError(f"a variance vanished in float64 at generation {k}: run fewer generations")
    return mean, 2 * np.log(diagonal).sum(axis=1), np.empty(len(L)) if reduce is None else reduce(L)


def _sampled(
    loop: Refit,
    rngs: Sequence[np.random.Generator],
    count: int,
    mean: np.ndarray | None = None,
    L: np.ndarray | None = None,
    shrink: float = 1.0,
) -> Block:
    """Statistics of `count` points of N(mean, shrink L L'), by default of the real law N(0, I)."""
    T = bartlett(rngs, loop.dim, loop.freedom(count))
    root = T if L is None else lower_product(L, T)
    if shrink != 1:
        root *= np.sqrt(shrink)
    if loop.known_mean:
        return Block(count, np.zeros(root.shape[:2]), root)
    step = np.sqrt(shrink / count) * np.stack([rng.standard_normal(loop.dim) for rng in rngs])
    return Block(count, step if L is None else mean + (L @ step[:, :, None])[:, :, 0], root)


def bartlett(rngs: Sequence[np.random.Generator], dim: int, freedom: int) -> np.ndarray:
    """T (seeds, dim, dim), lower triangular, T T' ~ Wishart_dim(freedom, I); one generator a seed.

    Below dim degrees of freedom T has zero columns from the `freedom`-th on, as the factor of that many points has.
    """
    T = np.zeros((len(rngs), dim, dim))
    below = np.stack([rng.standard_normal(dim * (dim - 1) // 2) for rng in rngs])
    for i in range(1, dim):  # rows, not one index array of pairs: half the time
        T[:, i, :i] = below[:, i * (i - 1) // 2 : i * (i + 1) // 2]
    T[:, :, freedom:] = 0
    j = np.arange(min(dim, freedom))
    T[:, j, j] = np.sqrt(np.stack([rng.chisquare(freedom - j) for rng in rngs]))
    return T


def lower_product(L: np.ndarray, T: np.ndarray) -> np.ndarray:
    """L T of lower triangular (seeds, d, d), by halves: the block that is zero is not multiplied, half the work."""
    LT, h = np.zeros_like(L), L.shape[1] // 2
    np.matmul(L[:, :h, :h], T[:, :h, :h], out=LT[:, :h, :h])
    np.matmul(L[:, h:], T[:, :, :h], out=LT[:, h:, :h])
    np.matmul(L[:, h:, h:], T[:, h:, h:], out=LT[:, h:, h:])
    return LT


def pooled(blocks: Sequence[Block]) -> Block:
    """The statistics of all points together: sum_b R_b R_b' + n_b (m_b - m)(m_b - m)', m the mean of all."""
    if len(blocks) == 1:
        return blocks[0]
    count = sum(b.count for b in blocks)
    mean = np.asarray(sum(b.count * b.mean for b in blocks)) / count
    between = [np.sqrt(b.count) * (b.mean - mean)[:, :, None] for b in blocks]
    R = np.concatenate([b.root for b in blocks if b.scatter is None] + between, axis=2)
    S = R @ R.swapaxes(1, 2)
    for b in blocks:
        if b.scatter is not None:
            S += b.scatter
    return Block(count, mean, np.linalg.cholesky(S), S)


def covariance(L: np.ndarray) -> np.ndarray:
    """Reducer: Sigma = L L', (seeds, d, d)."""
    return L @ L.swapaxes(1, 2)


def variances(L: np.ndarray) -> np.ndarray:
    """Reducer: the diagonal of Sigma, (seeds, d)."""
    return np.square(L).sum(axis=2)
