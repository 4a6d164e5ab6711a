"""Does E OLE fall with every principal angle when there is noise and the sample is finite?

    M = s N + T,   N white, d x 2n;   rows of T in plane i, with v = (a, a'), w = (a, -a'), a and a' ~ N(0, I_n):
        x = sqrt((1 + c)/2) v + s g,   y = sqrt((1 - c)/2) w + s h,   c = cos theta_i,
    slope = (dE||M||_*/d theta_i) / sin 2 theta_i = -F'(c)/(2c),   F(c) = E||M||_*,
    F'(c) = E [ <(U V')_x, v> / sqrt((1 + c)/2) - <(U V')_y, w> / sqrt((1 - c)/2) ] / 4,   M = U S V'.

E sum_c ||M_c||_* has no angle in it, so E OLE falls where the slope is positive ("rises": E||M||_* does). The proofs,
and where they end (`proof`), stand in docs/open_questions.md; elsewhere this is a map, not a proof. Own derivation.

Unbiased, one draw being the mean over eight signs that leave its law as it is: g -> -g, h -> -h, and a' -> -a' with g
and h exchanged, which is c -> -c. They cancel what F' has of odd order, so nothing blows up at 0 or 90 degrees.
Each interval is a mean +- 6 standard errors of 100 batches; an undecided point is drawn again, 8, 64, 512 times as
long; at n = 1, d = 2 it is quadrature (`theory.ole.one_sample_slope`), twice, the finer +- their difference.

Control: slope of E||M||_4^4 = E tr (M M')^2, known exactly: -2 n^2 at every point. The same draws must show it to fall.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from theory.checks import Array
from theory.ole import one_sample_slope

__all__ = [
    "Point", "Job", "COLUMNS", "RISES", "FALLS", "UNDECIDED", "points", "proof", "polar", "quartic", "draw", "slope",
    "verdict", "jobs", "row", "summary",
]  # fmt: skip

STANDARD_ERRORS = 6
BATCHES, GROUP = 100, 10
LENGTHS = (10, 80, 640, 5120)  # draws a batch: the first pass and those for undecided points
RISES, FALLS, UNDECIDED = "rises", "falls", "undecided"
CORNERS, INSIDE, IN_THE_OPEN = np.radians([0.5, 89.5]), 12, 8
NOISES = (0.05, 2.0)
NODES = (300, 400)
COLUMNS = (
    "dim", "rank", "n", "noise", "angle_deg", "other_angles_deg", "proof", "slope", "low", "high", "draws", "verdict",
    "control", "control_low", "control_high", "control_verdict",
)  # fmt: skip


Gradient = Callable[[Array], Array]
Interval = tuple[float, float, float]


class Point(NamedTuple):
    """A point of the map: the derivative is taken in the first of `angles` (radians)."""

    dim: int
    n: int
    noise: float
    angles: tuple[float, ...]

    @property
    def rank(self) -> int:
        """r, the number of planes."""
        return len(self.angles)


def proof(dim: int, rank: int, n: int) -> str:
    """Which proof covers (d, r, n), at every noise and angle; "" where none does."""
    if dim >= 2 * rank + 2:
        return "d >= 2r+2"
    if dim >= 2 * n + 1:
        return "d >= 2n+1"
    return "n = 1" if n == 1 else "d = 2" if dim == 2 else ""


def points(seed: int) -> list[Point]:
    """The map's points: all d in 2r..8, r in 1..3, n in 1..8; of each the corners, some inside, more where unproved.

    Noise is log-uniform in [0.05, 2], angles uniform in [0.5, 89.5] degrees.
    """
    rng, found = np.random.default_rng(seed), []
    for r, n in ((r, n) for r in (1, 2, 3) for n in range(1, 9)):
        for d in range(2 * r, 9):
            for theta, s in ((t, s) for t in CORNERS for s in NOISES):
                found.append(Point(d, n, s, (float(theta), *rng.choice(CORNERS, r - 1).tolist())))
            for _ in range(INSIDE if proof(d, r, n) else INSIDE + IN_THE_OPEN):
                s = float(NOISES[0] * (NOISES[1] / NOISES[0]) ** rng.uniform())
                found.append(Point(d, n, s, tuple(rng.uniform(CORNERS[0], CORNERS[1], r).tolist())))
    return found


def polar(M: Array) -> Array:
    """U V' of each matrix: the gradient of the nuclear norm."""
    U, _, Vt = np.linalg.svd(M, full_matrices=False)
    return U @ Vt


def quartic(M: Array) -> Array:
    """4 M M' M: the gradient of tr (M M')^2."""
    return 4 * M @ (M.swapaxes(-1, -2) @ M)


def draw(point: Point, rng: np.random.Generator, size: int, *gradients: Gradient) -> Array:
    """`size` independent unbiased values of the slope of each functional, given by its `gradients`; (.., size)."""
    d, n, s, angles = point
    a = rng.standard_normal((size, len(angles), 2 * n))
    noise = s * rng.standard_normal((size, d, 2 * n))
    b = np.concatenate([a[..., :n], -a[..., n:]], axis=-1)
    M = noise.copy()
    for i, theta in enumerate(angles):
        M[:, 2 * i] += np.cos(theta / 2) * a[:, i]
        M[:, 2 * i + 1] += np.sin(theta / 2) * b[:, i]
    v, w, g, h = a[:, 0], b[:, 0], noise[:, 0], noise[:, 1]
    total = np.zeros((len(gradients), size))
    for sign in (1, -1):
        x, y = (np.cos(angles[0] / 2), np.sin(angles[0] / 2))[::sign]
        for e, f in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            M[:, 0], M[:, 1] = x * v + e * g, y * w + f * h
            for k, gradient in enumerate(gradients):
                G = gradient(M)
                total[k] += sign * ((G[:, 0] * v).sum(-1) / x - (G[:, 1] * w).sum(-1) / y)
    return -total / (8 * 4 * 2 * np.cos(angles[0]))


def slope(point: Point, rng: np.random.Generator, length: int, *gradients: Gradient) -> list[Interval]:
    """(mean, low, high) of each slope: +- 6 standard errors from 100 batches of `length` draws."""
    shape = (len(gradients), GROUP, length)
    groups = [draw(point, rng, GROUP * length, *gradients).reshape(shape) for _ in range(BATCHES // GROUP)]
    means = np.concatenate([group.mean(axis=-1) for group in groups], axis=1)
    mean, error = means.mean(axis=1), means.std(axis=1, ddof=1) / np.sqrt(BATCHES)
    half = STANDARD_ERRORS * error
    return list(zip(mean.tolist(), (mean - half).tolist(), (mean + half).tolist(), strict=True))


def quadrature(point: Point) -> Interval:
    """(value, low, high) of the slope at n = 1, d = 2: the finer of two quadratures, and their difference."""
    coarse, fine = (float(one_sample_slope(point.angles[0], point.noise, k)) for k in NODES)
    return fine, fine - abs(fine - coarse), fine + abs(fine - coarse)


def verdict(found: Interval) -> str:
    """rises if the interval lies above 0, falls if below, else undecided."""
    _, low, high = found
    return RISES if low > 0 else FALLS if high < 0 else UNDECIDED


class Job(NamedTuple):
    """A row to be made: its own random stream is a function of `seed` and `number` alone."""

    seed: int
    number: int
    point: Point


def jobs(seed: int, every: int = 1) -> list[Job]:
    """One job for every point; `every` keeps one in so many."""
    return [Job(seed, k, point) for k, point in enumerate(points(seed))][::every]


def row(job: Job) -> dict[str, str]:
    """The row of a point, by `COLUMNS`; six digits. Passes of fresh draws, each longer, until one decides."""
    d, n, s, angles = point = job.point
    exact = quadrature(point) if (n, d) == (1, 2) else None
    for length in LENGTHS:
        rng = np.random.default_rng([job.seed, job.number, length])
        found, control = slope(point, rng, length, polar, quartic)
        found = exact or found
        if UNDECIDED not in (verdict(found), verdict(control)):
            break
    degrees = [f"{x:.4f}" for x in np.degrees(angles)]
    cells = [d, point.rank, n, f"{s:.6g}", degrees[0], " ".join(degrees[1:]), proof(d, point.rank, n)]
    cells += [*(f"{x:.6g}" for x in found), 0 if exact else BATCHES * length, verdict(found)]
    cells += [*(f"{x:.6g}" for x in control), verdict(control)]
    return dict(zip(COLUMNS, map(str, cells), strict=True))


def summary(rows: Sequence[dict[str, str]]) -> str:
    """Verdicts counted, the proved and the unproved points apart, and those of the control."""
    count = Counter(("proved" if r["proof"] else "not proved", r["verdict"]) for r in rows)
    lines = [f"{where}: {k} {what}" for (where, what), k in sorted(count.items())]
    control = Counter(r["control_verdict"] for r in rows)
    return "; ".join([*lines, *(f"control: {k} {what}" for what, k in sorted(control.items()))])
